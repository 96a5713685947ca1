"""The roles of people in an account: each may do what its verbs and pages need, and no more; and the trail."""

import base64
import io
import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from moto.sagemakerruntime.models import SageMakerRuntimeBackend

from mlops.registry.versions import PENDING
from mlops.retraining.aws import AwsRetraining
from mlops.store.objects import data_version, newest_versions
from standin import deploy
from standin.account import ACCOUNT, REGION, StandInAccount
from standin.calls import CallRecord
from standin.finding import Finding
from standin.iam import RolePolicies, role_policies
from standin.needs import Need, keys, needs
from standin.policies import findings
from standin.queues import drain
from standin.recording import recorded_here
from standin.scripted import Clock
from tests.answers import meant
from tests.infra.deployed import NAMES, Deployed
from tests.infra.people import ROLES, abilities, pages
from tests.infra.promoting import GIVEN
from tests.infra.rendered import SLUG, configured
from tests.infra.retraining import LIMITS
from tests.infra.test_promotion_buildspecs import ANSWER, INFERENCE, as_iam_sees, as_it_is_tagged
from tests.machinery.deployment.deploying import Shell, entered
from tests.projects import Bake

pytestmark = pytest.mark.slow

VARIANTS: Mapping[str, dict[str, str]] = {
    "realtime": {},
    "async": {"inference": "async", "monitoring": "off", "training_image": "custom", "retraining_strategy": "manual"},
    "batch": {"inference": "batch"},
    "trains only": {"project_scope": "build-train"},
    "deploys only": {"project_scope": "deploy", "inference": "serverless"},
}
DAILY = ("realtime", "deploys only")
"""Tested with each change; the others at night."""
SSO = "arn:aws:iam::*:role/aws-reserved/sso.amazonaws.com/*/AWSReservedSSO_*"
PEOPLE = ("data_scientists", "ml_engineers", "approvers", "operators", "auditors")
TRAINER = "trainer"
ORDER = ("data", "registry", "execution", "retraining", "workload", "monitoring", "people")
"""The stacks whose outputs the roles name."""


@dataclass(frozen=True)
class Act:
    """A verb as a person runs it.

    Attributes:
        needs: The abilities that it takes.
        arguments: The verb and its options.
    """

    needs: frozenset[str]
    arguments: tuple[str, ...]


def act(needs: str, command: str) -> Act:
    return Act(frozenset(needs.split()), tuple(command.split()))


class Deciding(Clock):
    """A clock during whose pauses the function that decides on retraining works, as nobody of ours."""

    def __init__(self, account: StandInAccount, patch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.account, self.patch = account, patch

    def sleep(self, seconds: float) -> None:
        """Deliver what is in the queue."""
        super().sleep(seconds)
        with self.patch.context() as patch:
            patch.setenv("PROOF_ROLE", "")
            drain(self.account, NAMES.retraining)


@dataclass
class Office:
    """A deployed project, and the people who work on it.

    Attributes:
        answers: Those of the project that are not the default.
        run: Runs verbs.
        folder: Where their calls are kept.
        patch: Says who runs them.
        values: Outputs of the stacks.
        done: The verbs that were run, with what each needed.
    """

    answers: Mapping[str, str]
    run: Shell
    folder: Path
    patch: pytest.MonkeyPatch
    values: dict[str, str] = field(default_factory=dict)
    done: list[tuple[Act, list[Need]]] = field(default_factory=list)

    @property
    def account(self) -> StandInAccount:
        """Where it is deployed."""
        return self.run.account

    @property
    def full(self) -> Mapping[str, str]:
        """All answers."""
        return meant(self.answers)

    def work(self, one: Act) -> None:
        """Run a verb, and keep what it needed."""
        record = CallRecord(self.folder / f"calls-{len(self.done)}")
        person = f"arn:aws:iam::{ACCOUNT}:role/{NAMES.of('somebody')}"
        with self.patch.context() as patch, recorded_here():
            for name, value in record.environment(person).items():
                if name != "PYTHONPATH":
                    patch.setenv(name, value)
            assert self.run(*one.arguments) == 0, (one.arguments, self.run.error)
        calls = as_iam_sees(call for call in record.calls() if call.role)
        needed = list(map(_as_iam_knows_it, needs(calls, keys(self.account))))
        # A call that asks for two parameters is held against the first of them only.
        if any(need.action == "ssm:GetParameters" and need.resource == live("staging") for need in needed):
            needed.append(Need("ssm:GetParameters", live("production"), "what is live"))
        self.done.append((one, needed))

    def role(self, name: str) -> RolePolicies:
        """What a role may do."""
        arn = f"arn:aws:iam::{ACCOUNT}:role/{NAMES.of(ROLES[name]['suffix'])}"
        return role_policies(self.account.client("iam"), arn)

    def acts(self, role: str, *, allowed: bool) -> list[tuple[Act, list[Need]]]:
        """The verbs that a role may run, or those that it may not."""
        mine = abilities(role, self.answers)
        return [(one, needed) for one, needed in self.done if (one.needs <= mine) == allowed]


def _as_iam_knows_it(need: Need) -> Need:
    if need.action == "sagemaker:UpdateModelPackage":
        return replace(need, context={**need.context, "sagemaker:ModelApprovalStatus": "Approved"})
    return as_it_is_tagged(need)


def live(environment: str) -> str:
    return f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/{SLUG}/live/{environment}"


def archive() -> bytes:
    """An archive of a model that predicts the same for every row."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as file:
        entry = tarfile.TarInfo("code/inference.py")
        entry.size = len(INFERENCE.encode())
        file.addfile(entry, io.BytesIO(INFERENCE.encode()))
    return content.getvalue()


def elsewhere(account: StandInAccount) -> dict[str, str]:
    """What the project that trains has, for one that only deploys: its group, buckets and key."""
    key = account.client("kms").create_key()["KeyMetadata"]["Arn"]
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}
    s3 = account.client("s3")
    for bucket in (f"{TRAINER}-models", f"{TRAINER}-data"):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    account.client("sagemaker").create_model_package_group(ModelPackageGroupName=TRAINER)
    return {
        "model_package_group": TRAINER,
        "model_bucket": f"{TRAINER}-models",
        "model_key_arn": key,
        "baseline_bucket": f"{TRAINER}-data",
        "baseline_key_arn": key,
    }


def register(office: Office) -> None:
    """Register a version with its archive, its report and the data that it was trained on."""
    s3, trains = office.account.client("s3"), bool(office.full["__trains"])
    group = SLUG if trains else TRAINER
    models = office.values["ModelBucket"] if trains else f"{TRAINER}-models"
    reports = office.values["DataBucket"] if trains else f"{TRAINER}-data"
    model, report = f"{group}/runs/1/Train/model.tar.gz", f"{group}/runs/1/Evaluate/evaluation/evaluation.json"
    s3.put_object(Bucket=models, Key=model, Body=archive())
    measured = {"binary_classification_metrics": {"auc": {"value": 0.8}, "accuracy": {"value": 0.9}}}
    s3.put_object(Bucket=reports, Key=report, Body=json.dumps(measured))
    s3.put_object(Bucket=reports, Key=f"{group}/data/january.csv", Body=b"a\n1\n")
    objects = newest_versions(s3, reports, f"{group}/data/")
    version = data_version(objects)
    manifest = json.dumps([each._asdict() for each in objects])
    s3.put_object(Bucket=reports, Key=f"{group}/data-versions/{version}.json", Body=manifest)
    statistics = {"ContentType": "application/json", "S3Uri": f"s3://{reports}/{report}"}
    office.account.client("sagemaker").create_model_package(
        ModelPackageGroupName=group,
        ModelApprovalStatus=PENDING,
        CustomerMetadataProperties={"DataVersion": version, "InputDataUri": f"s3://{reports}/{group}/data/"},
        ModelMetrics={"ModelQuality": {"Statistics": statistics}},
        InferenceSpecification={
            "Containers": [{"Image": "image", "ModelDataUrl": f"s3://{models}/{model}"}],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
        },
    )


def let_pipelines_differ(office: Office) -> None:
    """Let the pipelines in SageMaker be others than those of the project: without tags, with another description."""
    sagemaker = office.account.client("sagemaker")
    for pipeline in sagemaker.list_pipelines()["PipelineSummaries"]:
        sagemaker.update_pipeline(PipelineName=pipeline["PipelineName"], PipelineDescription="before")
        tags = sagemaker.list_tags(ResourceArn=pipeline["PipelineArn"])["Tags"]
        sagemaker.delete_tags(ResourceArn=pipeline["PipelineArn"], TagKeys=[tag["Key"] for tag in tags])


def acts(office: Office) -> Iterator[Act]:
    """The verbs that people run in AWS, in an order in which each succeeds."""
    full = office.full
    yield act("versions", "models --environment dev")
    yield act("versions", "models 1 2 --environment dev")
    yield act("versions read-models", "invoke data/request.csv --version 1 --environment dev")
    if full["__trains"]:
        yield act("versions read-data", "data 1 --environment dev")
        restored = f"s3://{office.values['DataBucket']}/{SLUG}/restored/1"
        yield act("versions read-data add-data", f"data 1 --restore {restored} --environment dev")
    if full["__trains"] or full["__monitors"]:
        yield act("submit", "upsert --environment dev")
        let_pipelines_differ(office)
        yield act("submit", "upsert --environment dev")
    if full["__trains"]:
        yield act("train read-data", "upsert --environment dev --start")
        yield act("monitoring versions", "runs --environment dev")
        yield act("retrain", "retrain --environment dev --force --reason drift")
        yield act("retrain", "retrain --environment dev --resume --reason fixed")
        yield act("monitoring versions", "retrain --environment dev --status")
    yield act("versions approve", "approve 1 --environment dev")
    yield act("versions approve", "approve 2 --environment dev")
    yield act("versions approve", "approve 2 --reject --environment dev")
    if full["__deploys"]:
        for environment in ("staging", "production"):
            yield act("versions deploy", f"deploy --environment {environment} --yes")
            yield act("versions read-models test", f"smoke --environment {environment} --requests 4")
            if full["__serves"]:
                yield act("versions test", f"invoke data/request.csv --environment {environment}")
        yield act("versions deploy", "deploy --environment staging --yes")  # nothing changes
        yield act("versions approve", "approve 2 --environment dev")
        yield act("versions deploy", "deploy --environment staging --yes")  # the configuration before is removed
        yield act("versions", "models --environment dev")


@pytest.fixture(
    params=[
        pytest.param(
            name, marks=[pytest.mark.xdist_group(f"people {name}"), *([] if name in DAILY else [pytest.mark.nightly])]
        )
        for name in VARIANTS
    ]
)
def office(
    request: pytest.FixtureRequest,
    rendering: Bake,
    account: StandInAccount,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Office:
    """A project in an account, whose verbs were run."""
    answers = VARIANTS[request.param]
    rendered = rendering(project_slug=SLUG, **answers)
    open_ = set(re.findall(r"^ *(\w+): ", (rendered / "config/dev.yaml").read_text(), re.MULTILINE))
    given = {"account": ACCOUNT, "repository": f"someone/{SLUG}", "trail": "true", **dict.fromkeys(PEOPLE, SSO)}
    given["notification_email"] = "team@example.com"
    given |= elsewhere(account) if answers.get("project_scope") == "deploy" else {}
    folder = configured(rendered, tmp_path, **{key: given[key] for key in given.keys() & open_})
    account.grow()
    office = Office(answers, entered(account, folder, capsys, monkeypatch), tmp_path, monkeypatch)
    predict(account, monkeypatch)
    monkeypatch.setattr(AwsRetraining, "of", lambda target: AwsRetraining(target, Deciding(account, monkeypatch)))
    assert office.run("deploy", "--environment", "dev", "--yes") == 0, office.run.error
    for stack in office.run.stacks():
        office.values |= deploy.outputs(account, stack)
    if answers.get("training_image") == "custom":
        account.client("ssm").put_parameter(Name=f"/{SLUG}/image", Value=f"sha256:{'1' * 64}", Overwrite=True)
    for _ in range(2):
        register(office)
    for one in acts(office):
        office.work(one)
        if "approve" in one.arguments:  # the next deployment finds no code of functions
            forget_functions(office)
    return office


def forget_functions(office: Office) -> None:
    """Take away the code of the functions, as if the sources had changed."""
    s3, bucket = office.account.client("s3"), office.values["DataBucket"]
    for one in s3.list_objects_v2(Bucket=bucket, Prefix=f"{SLUG}/functions/").get("Contents", []):
        s3.delete_object(Bucket=bucket, Key=one["Key"])


def predict(account: StandInAccount, patch: pytest.MonkeyPatch) -> None:
    """Let endpoints predict what the archive does."""
    s3 = account.client("s3")

    def invoke(_: Any, endpoint_name: str, unique_repr: bytes) -> tuple[str, str, str, str]:
        rows = json.loads(base64.b64decode(unique_repr))["Body"].splitlines()[1:]
        return f"{ANSWER}\n" * len(rows), "text/csv", "AllTraffic", ""

    def queue(_: Any, endpoint_name: str, input_location: str) -> tuple[str, str]:
        bucket, _, key = input_location.removeprefix("s3://").partition("/")
        answered, failed = (key.replace("/requests/", f"/{outcome}/") for outcome in ("answers", "failures"))
        rows = s3.get_object(Bucket=bucket, Key=key)["Body"].read().splitlines()[1:]
        s3.put_object(Bucket=bucket, Key=answered, Body=f"{ANSWER}\n" * len(rows))
        return f"s3://{bucket}/{answered}", f"s3://{bucket}/{failed}"

    patch.setattr(SageMakerRuntimeBackend, "invoke_endpoint", invoke)
    patch.setattr(SageMakerRuntimeBackend, "invoke_endpoint_async", queue)


def pages_of(office: Office, role: str) -> list[Need]:
    """What a role needs besides the verbs."""
    group = {"ModelBucket": f"{TRAINER}-models"} if not office.full["__trains"] else {}
    known = {"slug": SLUG, "id": NAMES.id, "account": ACCOUNT, "region": REGION, **office.values, **group}
    return list(pages(role, office.answers, known, keys(office.account)))


def test_each_role_may_do_its_work_and_nothing_more(office: Office) -> None:
    found = []
    for role in ROLES:
        allowed = office.role(role)
        wanted = [need for _, needed in office.acts(role, allowed=True) for need in needed]
        found += findings(role, allowed, [*wanted, *pages_of(office, role)], (SLUG, NAMES.id, ACCOUNT))
        for one, needed in office.acts(role, allowed=False):
            if all(allowed.allow(need.action, need.resource, need.context) for need in needed):
                found.append(Finding(role, f"{one} can be done, which is not among its abilities"))
    assert "\n".join(map(str, found)) == ""
    assert list(trespasses(office)) == []
    for role in ROLES:
        documents = list(office.role(role).allowed)
        for number in range(len(documents)):
            fewer = RolePolicies(documents[:number] + documents[number + 1 :])
            wanted = [need for _, needed in office.acts(role, allowed=True) for need in needed]
            assert findings(role, fewer, [*wanted, *pages_of(office, role)], ()), (role, number)


_PLACE = f"{REGION}:{ACCOUNT}"
_BUCKET = f"arn:aws:s3:::{NAMES.of('{}')}"
NOBODY = [
    *(("iam:" + action, f"arn:aws:iam::{ACCOUNT}:role/{NAMES.of('appr')}") for action in (
        "AttachRolePolicy", "CreateRole", "DeleteRolePermissionsBoundary", "PutRolePolicy", "UpdateAssumeRolePolicy",
    )),
    ("iam:CreatePolicyVersion", f"arn:aws:iam::{ACCOUNT}:policy/{NAMES.of('approve')}"),
    *(("sts:AssumeRole", f"arn:aws:iam::{ACCOUNT}:role/{NAMES.of(role)}") for role in ("pipe", "ship", "appr")),
    *(("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/{NAMES.of(role)}") for role in ("host", "ship", "promo", "build")),
    ("sagemaker:CreateModelPackage", f"arn:aws:sagemaker:{_PLACE}:model-package/{SLUG}/1"),
    ("sagemaker:DeleteModelPackage", f"arn:aws:sagemaker:{_PLACE}:model-package/{SLUG}/1"),
    ("sagemaker:UpdateEndpoint", f"arn:aws:sagemaker:{_PLACE}:endpoint/{SLUG}-production"),
    ("cloudformation:UpdateStack", f"arn:aws:cloudformation:{_PLACE}:stack/{SLUG}-people/1"),
    ("cloudformation:DeleteStack", f"arn:aws:cloudformation:{_PLACE}:stack/{SLUG}-production-endpoint/1"),
    ("s3:PutObject", f"{_BUCKET.format('model')}/{SLUG}/runs/1/Train/model.tar.gz"),
    ("s3:PutObject", f"{_BUCKET.format('cicd')}/release/project.zip"),
    ("s3:DeleteObjectVersion", f"{_BUCKET.format('data')}/{SLUG}/data/january.csv"),
    ("s3:DeleteObject", f"{_BUCKET.format('trail')}/AWSLogs/1"),
    ("s3:PutBucketPolicy", _BUCKET.format("data")),
    ("kms:ScheduleKeyDeletion", f"arn:aws:kms:{_PLACE}:key/00000000-0000-4000-8000-000000000000"),
    ("cloudtrail:StopLogging", f"arn:aws:cloudtrail:{_PLACE}:trail/{SLUG}-trail"),
    ("dynamodb:PutItem", f"arn:aws:dynamodb:{_PLACE}:table/{SLUG}-retraining"),
]  # fmt: skip
"""What no role of people may do."""
ONLY = {
    ("sagemaker:UpdateModelPackage", f"arn:aws:sagemaker:{_PLACE}:model-package/{SLUG}/1"): {"Approver"},
    ("codepipeline:PutApprovalResult", f"arn:aws:codepipeline:{_PLACE}:{SLUG}-deploy/Approval/Approve"): {
        "Approver", "Operator",
    },
    ("codepipeline:StartPipelineExecution", f"arn:aws:codepipeline:{_PLACE}:{SLUG}-deploy"): {"Operator"},
    ("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/{NAMES.of('deploy')}"): {"Operator"},
    ("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/{NAMES.of('pipe')}"): {"MlEngineer"},
    ("sagemaker:InvokeEndpoint", f"arn:aws:sagemaker:{_PLACE}:endpoint/{SLUG}-production"): {"Operator"},
    ("sagemaker:InvokeEndpointAsync", f"arn:aws:sagemaker:{_PLACE}:endpoint/{SLUG}-production"): {"Operator"},
    ("sagemaker:StartPipelineExecution", f"arn:aws:sagemaker:{_PLACE}:pipeline/{SLUG}-training"): {
        "DataScientist", "MlEngineer",
    },
    ("sqs:SendMessage", f"arn:aws:sqs:{_PLACE}:{SLUG}-retraining"): {"DataScientist", "MlEngineer"},
    ("s3:PutObject", f"{_BUCKET.format('data')}/{SLUG}/data/january.csv"): {"DataScientist"},
    ("s3:PutObject", f"{_BUCKET.format('data')}/{SLUG}/code/train.py"): {"MlEngineer"},
    ("s3:PutObject", f"{_BUCKET.format('data')}/{SLUG}/functions/1.zip"): {"Operator"},
    ("s3:GetObject", f"{_BUCKET.format('data')}/{SLUG}/data/january.csv"): {"DataScientist", "MlEngineer", "Auditor"},
    ("s3:GetObject", f"{_BUCKET.format('model')}/{SLUG}/runs/1/Train/model.tar.gz"): {
        "DataScientist", "MlEngineer", "Operator", "Auditor",
    },
    ("s3:GetObject", f"{_BUCKET.format('capt')}/{SLUG}/capture/1/one.jsonl"): {"Auditor"},
    ("s3:GetObject", f"{_BUCKET.format('trail')}/AWSLogs/1"): {"Auditor"},
}  # fmt: skip
"""Who alone may do what, at most: in a project that lacks an ability, nobody may."""


def trespasses(office: Office) -> Iterator[Finding]:
    """What is allowed to somebody who must not do it, whatever the conditions are about."""
    forbidden = {**{key: set[str]() for key in NOBODY}, **ONLY}
    for role in ROLES:
        allowed = office.role(role)
        for (action, resource), who in forbidden.items():
            about = {
                "sagemaker:ModelApprovalStatus": "Approved",
                "iam:PassedToService": "sagemaker.amazonaws.com",
                "kms:ViaService": f"s3.{REGION}.amazonaws.com",
            }
            services = ("sagemaker", "cloudformation", "codepipeline", "lambda") if action == "iam:PassRole" else ("",)
            for service in services:
                context = {**about, "iam:PassedToService": f"{service}.amazonaws.com"}
                if role not in who and allowed.allow(action, resource, context):
                    yield Finding(role, f"{action} on {resource}")


def test_only_a_decision_is_an_update_of_a_version(account: StandInAccount) -> None:
    people = Deployed.into(account, {}, ORDER, **GIVEN, **LIMITS, Approvers=SSO)
    allowed = role_policies(account.client("iam"), people.role("appr"))
    version = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model-package/{SLUG}/1"
    for status, may in {"Approved": True, "Rejected": True, "PendingManualApproval": False}.items():
        context = {"sagemaker:ModelApprovalStatus": status}
        assert allowed.allow("sagemaker:UpdateModelPackage", version, context) == may
    assert not allowed.allow("sagemaker:UpdateModelPackage", version, {})
    assert [role["RoleName"] for role in account.client("iam").list_roles()["Roles"] if "appr" in role["RoleName"]]
    assert not [role for role in account.client("iam").list_roles()["Roles"] if role["RoleName"].endswith("-ds")]


def test_it_is_deployed_changed_by_nothing_and_deleted_and_the_trail_comes_by_setting(account: StandInAccount) -> None:
    people = Deployed.into(account, {}, ORDER, **GIVEN, **LIMITS, **dict.fromkeys(map("{}s".format, ROLES), SSO))
    plain = people.stacks["people"]
    recording = replace(plain, parameters={**plain.parameters, "Trail": "true"})
    assert account.client("cloudtrail").describe_trails()["trailList"] == []
    deploy.put(account, recording)
    [trail] = account.client("cloudtrail").describe_trails()["trailList"]
    assert trail["S3BucketName"] == NAMES.of("trail")
    assert trail["LogFileValidationEnabled"]
    assert account.client("cloudtrail").get_trail_status(Name=trail["Name"])["IsLogging"]
    selectors = account.client("cloudtrail").get_event_selectors(TrailName=trail["Name"])["AdvancedEventSelectors"]
    fields = [{each["Field"]: each for each in one["FieldSelectors"]} for one in selectors]
    recorded = {arn.removeprefix("arn:aws:s3:::") for arn in fields[0]["resources.ARN"]["StartsWith"]}
    assert recorded == {f"{people.values[name]}/" for name in ("DataBucket", "ModelBucket", "CaptureBucket")}
    assert fields[1]["readOnly"]["Equals"] == ["false"]
    assert deploy.findings(account, [recording]) == []
    kept = {bucket["Name"] for bucket in account.client("s3").list_buckets()["Buckets"]}
    assert NAMES.of("trail") in kept


def test_a_trail_that_is_switched_off_leaves_what_it_has_recorded(account: StandInAccount) -> None:
    people = Deployed.into(account, {}, ORDER, **GIVEN, **LIMITS, Trail="true")
    deploy.put(
        account, replace(people.stacks["people"], parameters={**people.stacks["people"].parameters, "Trail": "false"})
    )
    assert account.client("cloudtrail").describe_trails()["trailList"] == []
    assert NAMES.of("trail") in {bucket["Name"] for bucket in account.client("s3").list_buckets()["Buckets"]}
