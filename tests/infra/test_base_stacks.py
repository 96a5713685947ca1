"""The stacks that everything else stands on: data, registry, execution and workload."""

import functools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from mlops.deployment import functions
from mlops.pipeline.definition import Definition
from standin import deploy
from standin.account import ACCOUNT, REGION, StandInAccount, cloud
from standin.cloudformation import cloudformation
from standin.deploy import Stack
from standin.iam import RolePolicies, applies, as_list, role_policies, statements
from standin.needs import Need
from standin.policies import OTHERS, findings
from standin.service_side import service_needs
from standin.template import Template, parse, resolve
from tests.infra.checks import createonly
from tests.infra.needs_to_deploy import needs_to_deploy
from tests.infra.rendered import ID, SLUG, texts
from tests.infra.samples import sample
from tests.projects import ROOT, SOURCES

pytestmark = pytest.mark.slow

OWN = f"sagemaker-{SLUG}-{ID}"
BASE = ("data", "registry", "execution", "workload")
ENVIRONMENTS = ("staging", "production")
VARIANTS: Mapping[str, dict[str, str]] = {
    "realtime": {},
    "not monitored": {"monitoring": "off", "http_api": "no", "framework": "sklearn"},
    "own image": {"training_image": "custom"},
    "serverless": {"inference": "serverless"},
    "serverless, not monitored": {"inference": "serverless", "monitoring": "off"},
    "async": {"inference": "async", "framework": "pytorch"},
    "async, not monitored": {"inference": "async", "monitoring": "off"},
    "batch": {"inference": "batch"},
    "trained elsewhere": {"project_scope": "deploy", "training_image": "custom"},
    "batch, trained elsewhere": {"project_scope": "deploy", "inference": "batch", "framework": "pytorch"},
}
ELSEWHERE = {
    "ModelPackageGroup": "trainer",
    "ModelBucket": "trainer-models",
    "ModelKeyArn": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/01234567-89ab-cdef-0123-456789abcdef",
    "ImageRepository": "trainer",
}
"""What another project's registry is, for one that only deploys."""
AWS_IMAGES = "141502667606"
REPOSITORIES = {
    "xgboost": ("sagemaker-xgboost", "sagemaker-xgboost"),
    "sklearn": ("sagemaker-scikit-learn", "sagemaker-scikit-learn"),
    "pytorch": ("pytorch-training", "pytorch-inference"),
}
"""The repositories of AWS's images for training and for inference."""
IMAGES = sorted({name for names in REPOSITORIES.values() for name in names})
PARTS = (SLUG, ID, ACCOUNT, ELSEWHERE["ModelPackageGroup"], "/apis", "/tags", *IMAGES)
"""What makes a resource one that a role is made for."""
FUNCTIONS = (f"{SLUG}-resolve-data", f"{SLUG}-confirm-data")
"""What the training pipeline calls."""
EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}
DEFINITION = json.loads((ROOT / "tests/machinery/compile/golden/training-local.json").read_text(encoding="utf-8"))

each_variant = pytest.mark.parametrize(
    "variant", [pytest.param(variant, marks=pytest.mark.xdist_group(variant)) for variant in VARIANTS]
)
"""What one worker has deployed it also judges."""


@functools.cache
def template(variant: str, stack: str) -> Template:
    return parse(texts(VARIANTS[variant])[stack])


CODE = {"FunctionsBucket": "code", "FunctionsKey": "functions/0123456789abcdef.zip"}
"""Where the code of functions is."""


def with_code(account: StandInAccount) -> None:
    """Put the code of functions where stacks take it from."""
    place = {"LocationConstraint": REGION}
    account.client("s3").create_bucket(Bucket=CODE["FunctionsBucket"], CreateBucketConfiguration=place)
    body = functions.archive(SOURCES)
    account.client("s3").put_object(Bucket=CODE["FunctionsBucket"], Key=CODE["FunctionsKey"], Body=body)


def stack(variant: str, name: str, known: Mapping[str, str], **settings: str) -> Stack:
    """A stack with what is known of those before it, and else with samples."""
    written = template(variant, name)
    values = {**sample(written), "ProjectName": SLUG, "ProjectId": ID, **CODE, **known, **settings}
    return Stack(f"{SLUG}-{name}", written, {key: values[key] for key in values if key in written.data["Parameters"]})


def base(variant: str) -> list[str]:
    """The stacks of a variant."""
    return [name for name in BASE if name in texts(VARIANTS[variant])]


def registered_elsewhere(variant: str) -> dict[str, str]:
    """What is known of the registry of a variant that has none."""
    return {} if "registry" in base(variant) else dict(ELSEWHERE)


@dataclass(frozen=True)
class Deployed:
    """What the stacks of a variant came to.

    Attributes:
        answers: Those of the variant.
        known: Their outputs.
        roles: The policies of each role, by the suffix of its name.
        account: The account that they are in.
        registry: The account of the registry.
        id: The project's id in that account.
        environments: The environments that are in that account.
        models: Values of condition keys that decrypting models needs, besides those of every object.
    """

    answers: Mapping[str, str]
    known: Mapping[str, str]
    roles: Mapping[str, RolePolicies]
    account: str = ACCOUNT
    registry: str = ACCOUNT
    id: str = ID
    environments: tuple[str, ...] = ENVIRONMENTS
    models: Mapping[str, str] = field(default_factory=dict)

    @property
    def messages(self) -> str:
        """The key of queues and topics: that of the data, unless the data is in another account."""
        return self.known.get("MessageKeyArn", self.known["DataKeyArn"])

    @property
    def image(self) -> Callable[[int], dict[str, str]]:
        """Where the image of jobs (0) and of models (1) is."""
        if self.answers.get("training_image") == "custom":
            return lambda _: {"account": self.registry, "region": REGION, "repository": self.known["ImageRepository"]}
        names = REPOSITORIES[self.answers.get("framework", "xgboost")]
        return lambda use: {"account": AWS_IMAGES, "region": REGION, "repository": names[use]}


@functools.cache
def deployed(variant: str, **settings: str) -> Deployed:
    with cloud() as accounts, cloudformation(accounts):
        account = accounts.account()
        with_code(account)
        known = registered_elsewhere(variant)
        for name in base(variant):
            deploy.put(account, stack(variant, name, known, **settings))
            known |= deploy.outputs(account, f"{SLUG}-{name}")
        iam = account.client("iam")
        names = [role["RoleName"] for role in iam.list_roles()["Roles"]]
        roles = {name.removeprefix(f"{OWN}-"): role_policies(iam, f"/{name}") for name in names}
    return Deployed(VARIANTS[variant], known, roles)


def needs_of(variant: str, role: str, **settings: str) -> list[Need]:
    """What a role needs."""
    makers = {
        "pipe": pipe,
        "pipef": pipef,
        "host": host,
        "deploy": deploying,
        "api": api,
        "fire": fire,
        "note": note,
        "sched": sched,
    }
    makers |= {"sweep": sweep, "ssched": ssched}
    found = makers[role](deployed(variant, **settings))
    return list({(need.action, need.resource, *need.context.items()): need for need in found}.values())


def pipe(stacks: Deployed) -> Iterator[Need]:
    known = {"region": REGION, "account": stacks.account}
    registry = {"region": REGION, "account": stacks.registry, "group": SLUG}
    role = f"arn:aws:iam::{stacks.account}:role/sagemaker-{SLUG}-{stacks.id}-pipe"
    yield from service_needs("sagemaker pipeline jobs", **known)
    yield from service_needs("sagemaker pipeline passes", role=role)
    yield from service_needs("sagemaker pipeline registers", **registry, status="PendingManualApproval")
    yield from service_needs("sagemaker pipeline reads versions", **registry)
    for function in FUNCTIONS:
        yield from service_needs("sagemaker pipeline calls", **known, function=function)
    for kind in ("ProcessingJobs", "TrainingJobs"):
        yield from service_needs("sagemaker job logs", **known, log_group=f"/aws/sagemaker/{kind}")
        yield from service_needs("sagemaker metrics", kind=kind)
    for bucket, key in (("DataBucket", "DataKeyArn"), ("ModelBucket", "ModelKeyArn")):
        place = {"bucket": stacks.known[bucket]}
        yield from service_needs("sagemaker job input", **place, prefix="")
        yield from service_needs("sagemaker job output", **place, prefix=f"{SLUG}/runs/1/Step/")
        yield from service_needs("object encryption", region=REGION, key=stacks.known[key])
        yield from service_needs("job output key", key=stacks.known[key])
    yield from service_needs("volume encryption", key=stacks.known["DataKeyArn"])
    yield from service_needs("sagemaker image", **stacks.image(0))


def pipef(stacks: Deployed) -> Iterator[Need]:
    known = {"region": REGION, "account": stacks.account}
    bucket = f"arn:aws:s3:::{stacks.known['DataBucket']}"
    versions = f"arn:aws:sagemaker:{REGION}:{stacks.registry}:model-package/{SLUG}/1"
    yield Need("s3:ListBucketVersions", bucket, "the objects of the data")
    yield Need("s3:PutObject", f"{bucket}/{SLUG}/data-versions/0123456789abcdef.json", "their manifest")
    # Who only writes needs the last: to make a key for the object.
    yield from service_needs("object encryption", region=REGION, key=stacks.known["DataKeyArn"])[1:]
    yield Need("sagemaker:ListModelPackages", "*", "the champion")
    yield Need("sagemaker:DescribeModelPackage", versions, "the champion")
    for function in FUNCTIONS:
        yield from service_needs("lambda logs", **known, log_group=f"/aws/lambda/{function}")


def sweep(stacks: Deployed) -> Iterator[Need]:
    known = {"region": REGION, "account": stacks.account}
    arn, why = f"arn:aws:sagemaker:{REGION}:{stacks.registry}", "what versions name"
    yield Need("sagemaker:DescribeModelPackageGroup", f"{arn}:model-package-group/{SLUG}", why)
    yield Need("sagemaker:ListModelPackages", "*", why)
    yield Need("sagemaker:DescribeModelPackage", f"{arn}:model-package/{SLUG}/1", why)
    for environment in ENVIRONMENTS:
        yield Need(
            "ssm:GetParameters", f"arn:aws:ssm:{REGION}:{stacks.account}:parameter/{SLUG}/live/{environment}", why
        )
    data = f"arn:aws:s3:::{stacks.known['DataBucket']}"
    for bucket in (data, f"arn:aws:s3:::{stacks.known['ModelBucket']}"):
        yield Need("s3:ListBucketVersions", bucket, "what is stored")
        for action in ("Delete", "Get", "Put"):
            yield Need(f"s3:{action}ObjectVersionTagging", f"{bucket}/{SLUG}/runs/1/one", "the tags")
    yield Need("s3:GetObject", f"{data}/{SLUG}/data-versions/0123456789abcdef.json", "the manifests")
    for action in ("GetObject", "PutObject"):
        yield Need(f"s3:{action}", f"{data}/{SLUG}/sweep/next.json", "how far it came")
    yield from service_needs("object encryption", region=REGION, key=stacks.known["DataKeyArn"])
    queue = {"queue": f"{SLUG}-sweep-undelivered", "key": stacks.messages}
    send, *encrypt = service_needs("lambda dead letters", **known, **queue)
    yield replace(send, context={})
    yield from encrypt
    yield from service_needs("lambda logs", **known, log_group=f"/aws/lambda/{SLUG}-sweep")


def ssched(stacks: Deployed) -> Iterator[Need]:
    known = {"region": REGION, "account": stacks.account}
    yield from service_needs("scheduler function", **known, function=f"{SLUG}-sweep")
    yield from service_needs("scheduler dead letters", **known, queue=f"{SLUG}-sweep-undelivered")
    yield from service_needs("scheduler dead letters encryption", region=REGION, key=stacks.messages)


def host(stacks: Deployed) -> Iterator[Need]:
    inference = stacks.answers.get("inference", "realtime")
    captured = stacks.answers.get("monitoring", "on") == "on" and inference in ("realtime", "batch")
    capture, key = stacks.known["CaptureBucket"], stacks.known["WorkloadKeyArn"]
    places = ["TransformJobs"] if inference == "batch" else [f"Endpoints/{SLUG}-{name}" for name in stacks.environments]
    for place in places:
        yield from service_needs(
            "hosting",
            region=REGION,
            account=stacks.account,
            bucket=stacks.known["ModelBucket"],
            model=f"{stacks.known['ModelPackageGroup']}/runs/1/Train/model.tar.gz",
            log_group=f"/aws/sagemaker/{place}",
        )
        yield from service_needs("sagemaker metrics", kind=place.partition("/")[0])
    if inference in ("realtime", "async"):
        for environment in stacks.environments:
            alarm = f"{SLUG}-{environment}-server-errors"
            yield from service_needs("hosting guardrails", region=REGION, account=stacks.account, alarm=alarm)
    # Who only reads needs the first: to decrypt.
    [decrypt, *_] = service_needs("object encryption", region=REGION, key=stacks.known["ModelKeyArn"])
    yield replace(decrypt, context={**decrypt.context, **stacks.models})
    yield from service_needs("sagemaker image", **stacks.image(1))
    if inference == "batch":
        yield from service_needs("sagemaker job input", bucket=stacks.known["DataBucket"], prefix="to-predict/")
        yield from service_needs("object encryption", region=REGION, key=stacks.known["DataKeyArn"])[:1]
        yield from service_needs("sagemaker job output", bucket=capture, prefix=f"{SLUG}/batch/staging/output/")
    if inference == "async":
        for environment in stacks.environments:
            for topic in ("answered", "failed"):
                arn = f"arn:aws:sns:{REGION}:{stacks.account}:{SLUG}-{environment}-{topic}"
                prefix = f"{SLUG}/async/{environment}/"
                yield from service_needs("hosting asynchronously", bucket=capture, prefix=prefix, topic=arn)
    if captured:
        yield from service_needs("sagemaker job output", bucket=capture, prefix=f"{SLUG}/capture/1/")
    if captured or inference in ("async", "batch"):
        # SNS is another way to the key than S3: the role may use it by both.
        yield from (replace(need, context={}) for need in service_needs("object encryption", region=REGION, key=key))
        yield from service_needs("output encryption", key=key)


def everything(stacks: Deployed, environment: str) -> dict[str, str]:
    """Parameters of an environment with which each optional resource is there."""
    return {
        "ProjectName": SLUG,
        "ProjectId": stacks.id,
        "EnvironmentName": environment,
        "EndpointName": f"{SLUG}-{environment}",
        "MonitoringScheduleRoleArn": f"arn:aws:iam::{stacks.account}:role/sagemaker-{SLUG}-{stacks.id}-msched",
        "JwtIssuer": "https://issuer",
        "JwtAudience": "visits",
        "MinInstanceCount": "0" if stacks.answers.get("inference") == "async" else "2",
        "MaxInstanceCount": "4",
        "ProvisionedConcurrency": "2",
    }


def deploying(stacks: Deployed) -> Iterator[Need]:
    written = texts(stacks.answers)
    bucket = {"FunctionsBucket": stacks.known["DataBucket"], "FunctionsKey": f"{SLUG}/functions/0123.zip"}
    group = stacks.known["ModelPackageGroup"]
    package = f"arn:aws:sagemaker:{REGION}:{stacks.registry}:model-package/{group}/1"
    for environment in stacks.environments:
        known = {
            "region": REGION,
            "account": stacks.account,
            "slug": SLUG,
            "id": stacks.id,
            "endpoint": f"{SLUG}-{environment}",
        }
        for name in ("endpoint", "transform", "api", "observability"):
            if name not in written:
                continue
            parsed = parse(written[name])
            values = {**sample(parsed), **stacks.known, **bucket, **everything(stacks, environment)}
            values["ModelPackageArn"] = package
            taken = {key: value for key, value in values.items() if key in parsed.data["Parameters"]}
            place = {"AWS::Region": REGION, "AWS::AccountId": stacks.account}
            yield from needs_to_deploy(resolve(parsed, {**taken, **place}), {**stacks.known, **known})
            if name == "endpoint":
                tags = {"project-name": SLUG, "project-id": stacks.id}
                config = f"arn:aws:sagemaker:{REGION}:{stacks.account}:endpoint-config/EndpointConfig-1a2b3c4d"
                for action in ("CreateEndpoint", "UpdateEndpoint"):
                    context = {f"aws:ResourceTag/sagemaker:{tag}": value for tag, value in tags.items()}
                    yield Need(f"sagemaker:{action}", config, "the endpoint's configuration", context)
                if stacks.answers.get("inference") != "serverless":
                    yield from service_needs(
                        "sagemaker scaling", region=REGION, account=stacks.account, endpoint=f"{SLUG}-{environment}"
                    )
                    yield from service_needs("volume encryption", key=stacks.known["WorkloadKeyArn"])
            if name == "api":
                yield from service_needs("http api access log")
            if name in ("endpoint", "transform"):
                yield from service_needs(
                    "model of a registered version", region=REGION, account=stacks.registry, group=group
                )


def streams(answers: Mapping[str, str], inference: str) -> bool:
    """Whether the requests of this kind of inference are captured by streams."""
    return answers.get("inference") == inference and answers.get("monitoring") != "off"


def stream_of(environment: str) -> str:
    return f"{SLUG}-{environment}-capture"


def api(stacks: Deployed) -> Iterator[Need]:
    for environment in stacks.environments:
        known = {"region": REGION, "account": stacks.account, "endpoint": f"{SLUG}-{environment}"}
        yield from service_needs("invoke endpoint", **known)
        yield from service_needs("lambda logs", **known, log_group=f"/aws/lambda/{SLUG}-{environment}-api")
        if streams(stacks.answers, "serverless"):
            stream = f"arn:aws:firehose:{REGION}:{stacks.account}:deliverystream/{stream_of(environment)}"
            yield Need("firehose:PutRecord", stream, "the function behind the API")


def note(stacks: Deployed) -> Iterator[Need]:
    known = {"region": REGION, "account": stacks.account}
    for environment in stacks.environments:
        yield from service_needs("sns to firehose", **known, stream=stream_of(environment))


def fire(stacks: Deployed) -> Iterator[Need]:
    bucket = stacks.known["CaptureBucket"]
    records = "async/staging/notices/" if stacks.answers.get("inference") == "async" else "capture/7/"
    for prefix in (records, "capture-errors/"):
        yield from service_needs("firehose delivery", bucket=bucket, prefix=f"{SLUG}/{prefix}")
    yield from service_needs("object encryption", region=REGION, key=stacks.known["WorkloadKeyArn"])


def sched(stacks: Deployed) -> Iterator[Need]:
    key = stacks.known["WorkloadKeyArn"]
    for environment in stacks.environments:
        known = {"region": REGION, "account": stacks.account}
        yield from service_needs("start transform", **known, job=f"{SLUG}-{environment}-0123456789abcdef")
        queue = f"{SLUG}-{environment}-transform-undelivered"
        yield from service_needs("scheduler dead letters", **known, queue=queue)
    yield from service_needs("scheduler dead letters encryption", region=REGION, key=key)
    yield from service_needs("volume encryption", key=key)


def faults(policies: RolePolicies, needs: list[Need]) -> list[str]:
    """What a role lacks or has too much, conditions included: a need with another value of one must be refused."""
    found = [str(finding) for finding in findings("role", policies, needs, PARTS)]
    return found + [
        f"{need.action} on {need.resource} whatever {key} is"
        for need in needs
        for key in need.context
        if policies.allow(need.action, need.resource, {**need.context, key: OTHERS})
    ]


ROLES = [
    (variant, role)
    for variant, answers in VARIANTS.items()
    for role, is_there in {
        "pipe": answers.get("project_scope") != "deploy",
        "pipef": answers.get("project_scope") != "deploy",
        "sweep": answers.get("project_scope") != "deploy",
        "ssched": answers.get("project_scope") != "deploy",
        "host": True,
        "deploy": True,
        "api": answers.get("inference", "realtime") in ("realtime", "serverless") and answers.get("http_api") != "no",
        "fire": streams(answers, "serverless") or streams(answers, "async"),
        "note": streams(answers, "async"),
        "sched": answers.get("inference") == "batch",
    }.items()
    if is_there
]
each_role = pytest.mark.parametrize(
    ("variant", "role"),
    [pytest.param(variant, role, marks=pytest.mark.xdist_group(variant)) for variant, role in ROLES],
)


@each_variant
def test_each_variant_has_the_roles_that_it_needs(variant: str) -> None:
    assert sorted(deployed(variant).roles) == sorted(role for of, role in ROLES if of == variant)


@each_role
def test_a_role_may_do_what_it_needs_and_nothing_more(variant: str, role: str) -> None:
    assert faults(deployed(variant).roles[role], needs_of(variant, role)) == []


def mutants(statement: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """A statement with every action of its service, each resource left out and opened, and without its condition."""
    resources = as_list(statement["Resource"])
    changes: list[dict[str, Any]] = [{"Action": f"{as_list(statement['Action'])[0].partition(':')[0]}:*"}]
    if "Condition" in statement:
        changes.append({"Condition": {}})
    for resource in resources:
        rest = [other for other in resources if other != resource]
        wider = {"*", resource.replace(SLUG, "*"), resource.replace(ACCOUNT, "*")} - {resource}
        changes += [{"Resource": rest}] if rest else []
        changes += [{"Resource": [*rest, pattern]} for pattern in sorted(wider)]
    for change in changes:
        yield f"{statement['Sid']}: {change}", {**statement, **change}


@each_role
def test_each_statement_is_missed_and_found_when_it_is_widened(variant: str, role: str) -> None:
    needs, unseen = needs_of(variant, role), []
    written = [each for document in deployed(variant).roles[role].allowed for each in statements(document)]
    for statement in written:
        uses = [need for need in needs if applies(statement, need.action, need.resource, need.context)]
        others = RolePolicies([{"Statement": [other for other in written if other is not statement]}])
        if all(others.allow(need.action, need.resource, need.context) for need in uses):
            unseen.append(f"{statement['Sid']}: removed")
        mutated = ((what, RolePolicies([{"Statement": mutant}])) for what, mutant in mutants(statement))
        unseen += [what for what, policies in mutated if not faults(policies, uses)]
    assert unseen == []


def test_firehose_may_write_nothing_but_notices() -> None:
    found = deployed("async")
    (need,) = (need for need in fire(found) if need.action == "s3:PutObject" and "-errors" not in need.resource)
    assert found.roles["fire"].allow(need.action, need.resource, need.context)
    for folder in ("answers", "requests", "failures"):
        assert not found.roles["fire"].allow(need.action, need.resource.replace("/notices/", f"/{folder}/"), {})


def test_firehose_may_write_nothing_but_captured_requests() -> None:
    found = deployed("serverless")
    (need,) = (need for need in fire(found) if need.action == "s3:PutObject" and "-errors" not in need.resource)
    assert found.roles["fire"].allow(need.action, need.resource, need.context)
    for folder in ("async", "batch", "captured"):
        assert not found.roles["fire"].allow(need.action, need.resource.replace("/capture/", f"/{folder}/"), {})


def test_models_may_be_attached_to_a_vpc_only_if_the_configuration_says_so() -> None:
    policies, needs = deployed("realtime", AllowVpc="true").roles["host"], needs_of("realtime", "host", AllowVpc="true")
    assert any("ec2:CreateNetworkInterface" in fault for fault in faults(policies, needs))
    assert faults(policies, [*needs, *service_needs("sagemaker in a vpc")]) == []


@pytest.mark.parametrize("settings", [{"JobsInVpc": "true"}, {"VolumeKeyArn": ELSEWHERE["ModelKeyArn"]}], ids=str)
def test_jobs_may_be_in_a_vpc_and_have_another_key_for_their_disks_if_the_configuration_says_so(
    settings: dict[str, str],
) -> None:
    policies, needs = deployed("realtime", **settings).roles["pipe"], needs_of("realtime", "pipe", **settings)
    grant = service_needs("volume encryption", key=deployed("realtime", **settings).known["DataKeyArn"])
    if "VolumeKeyArn" in settings:
        needs = [need for need in needs if need.action != "kms:CreateGrant"]
        asked = service_needs("volume encryption", key=settings["VolumeKeyArn"])
        assert not policies.allow("kms:CreateGrant", grant[0].resource, grant[0].context)
    else:
        asked = service_needs("sagemaker in a vpc")
    assert any(asked[0].action in fault for fault in faults(policies, needs))
    assert faults(policies, [*needs, *asked]) == []


def test_steps_run_as_other_roles_only_if_the_configuration_lists_them() -> None:
    other = f"arn:aws:iam::{ACCOUNT}:role/evaluation"
    asked = service_needs("sagemaker pipeline passes", role=other)
    assert all(need.action in str(faults(deployed("realtime").roles["pipe"], asked)) for need in asked)
    policies = deployed("realtime", JobRoleArns=other).roles["pipe"]
    assert faults(policies, [*needs_of("realtime", "pipe", JobRoleArns=other), *asked]) == []
    assert not policies.allow("iam:PassRole", f"{other}-2", asked[0].context)


@pytest.mark.parametrize("configured", ["PendingManualApproval", "Approved"])
def test_versions_are_registered_for_review_or_with_the_configured_status(configured: str) -> None:
    policies = deployed("realtime", RegistersAs=configured).roles["pipe"]
    allowed = {
        status
        for status in ("PendingManualApproval", "Approved", "Rejected")
        for need in service_needs(
            "sagemaker pipeline registers", region=REGION, account=ACCOUNT, group=SLUG, status=status
        )
        if policies.allow(need.action, need.resource, need.context)
    }
    assert allowed == {"PendingManualApproval", configured}


def test_a_boundary_and_an_address_are_taken_when_they_are_given(account: StandInAccount) -> None:
    boundary = account.client("iam").create_policy(
        PolicyName="boundary", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [EVERYTHING]})
    )["Policy"]["Arn"]
    settings = {"PermissionsBoundaryArn": boundary, "NotificationEmail": "team@example.com"}
    with_code(account)
    known: dict[str, str] = {}
    for name in BASE:
        deploy.put(account, stack("realtime", name, known, **settings))
        known |= deploy.outputs(account, f"{SLUG}-{name}")
    roles = account.client("iam").list_roles()["Roles"]
    described = [account.client("iam").get_role(RoleName=role["RoleName"])["Role"] for role in roles]
    assert {role["PermissionsBoundary"]["PermissionsBoundaryArn"] for role in described} == {boundary}
    (subscription,) = account.client("sns").list_subscriptions_by_topic(TopicArn=known["TopicArn"])["Subscriptions"]
    assert (subscription["Protocol"], subscription["Endpoint"]) == ("email", "team@example.com")


@pytest.mark.parametrize("variant", ["own image", "async", "batch", "trained elsewhere"])
def test_the_stacks_are_deployed_updated_and_deleted_but_for_what_is_kept(
    account: StandInAccount, variant: str
) -> None:
    with_code(account)
    own = {"LogBucket": f"{OWN}-logs", "DataBucket": f"{OWN}-data", "ModelBucket": f"{OWN}-model"}
    known = {**own, **registered_elsewhere(variant)}
    changes = {
        "data": {"OldVersionDays": "30", "DataClassification": "restricted"},
        "registry": {"OldVersionDays": "30"},
        "execution": {"NotificationEmail": "team@example.com"},
        "workload": {"RecordDays": "7"},
    }
    first = [stack(variant, name, known) for name in base(variant)]
    later = [stack(variant, name, known, **changes[name]) for name in base(variant)]
    assert deploy.findings(account, first, later) == []
    kept = {bucket["Name"] for bucket in account.client("s3").list_buckets()["Buckets"]}
    models = {f"{OWN}-model"} if "registry" in base(variant) else set()
    assert kept - {CODE["FunctionsBucket"]} == {f"{OWN}-{suffix}" for suffix in ("capt", "data", "logs")} | models


def test_models_are_locked_when_the_configuration_says_so(account: StandInAccount) -> None:
    known = {"LogBucket": f"{OWN}-logs"}
    for name, settings in (("data", {}), ("registry", {"LockDays": "30"})):
        deploy.put(account, stack("realtime", name, known, **settings))
    locked = account.client("s3").get_object_lock_configuration(Bucket=f"{OWN}-model")["ObjectLockConfiguration"]
    assert locked["Rule"]["DefaultRetention"].items() >= {"Mode": "GOVERNANCE", "Days": 30}.items()


@pytest.mark.parametrize("name", BASE)
def test_no_other_answer_description_or_version_replaces_what_has_a_name(name: str) -> None:
    def rendering(variant: str, **more: str) -> Template:
        parsed = parse(texts({**VARIANTS[variant], **more})[name])
        return resolve(parsed, {**sample(parsed), "ProjectName": SLUG, "ProjectId": ID})

    before = rendering("realtime", project_description="Another", _template_version="9.9.9")
    for variant in VARIANTS:
        if name in base(variant):
            assert createonly.findings(before, rendering(variant)) == [], variant


def test_the_role_of_the_pipeline_is_made_for_the_steps_that_the_pipeline_has() -> None:
    steps = [step.request for step in Definition(DEFINITION).all_steps]
    assert {step["Type"] for step in steps} == {
        "Condition", "Fail", "Lambda", "Processing", "RegisterModel", "Training"
    }  # fmt: skip
    called = {step["FunctionArn"].rpartition(":")[2] for step in steps if step["Type"] == "Lambda"}
    assert called == {name.replace(SLUG, "doctor-visits") for name in FUNCTIONS}
    written = json.dumps([step["Arguments"].get("ProcessingOutputConfig") for step in steps])
    assert written.count('"Values": ["s3://local-bucket/doctor-visits/runs"') == written.count('"S3Uri"')
    (training,) = (step for step in steps if step["Type"] == "Training")
    path = training["Arguments"]["OutputDataConfig"]["S3OutputPath"]["Std:Join"]["Values"]
    assert path[0] == "s3://local-models/doctor-visits/runs"
