"""Roles, resources and events of a project whose environments have accounts of their own."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from standin.account import REGION, Cloud
from standin.attached import resource_policies
from standin.buildspecs import BuildProject
from standin.calls import CallRecord
from standin.lambdas import deliver, invoke, real_handlers
from standin.needs import Need
from standin.principals import account_of
from standin.queues import drain, waiting
from standin.reach import Walk
from standin.service_side import service_needs
from tests.answers import label, rest_at_night
from tests.infra import shipping
from tests.infra import test_base_stacks as base_stacks
from tests.infra.monitoring import alarm_rings
from tests.infra.promoting import Actions, Promotion
from tests.infra.rendered import SLUG
from tests.infra.retraining import Retraining
from tests.infra.several_accounts import AWS_IMAGES, Installed, Part, deployed
from tests.infra.test_monitoring_stack import FUNCTIONS, of_pipeline, of_schedules
from tests.infra.test_promotion_buildspecs import model, remove_functions, started
from tests.projects import Bake

ANSWERS: list[dict[str, str]] = [
    {"team_size": "medium"},
    {"team_size": "medium", "project_scope": "deploy"},
    {"account_layout": "multi", "inference": "batch", "framework": "pytorch"},
    {"account_layout": "multi", "inference": "async", "training_image": "custom"},
    {"account_layout": "multi", "inference": "serverless", "framework": "sklearn"},
    {"account_layout": "multi", "project_scope": "deploy", "inference": "batch", "training_image": "custom"},
    {"account_layout": "multi", "project_scope": "deploy", "inference": "async", "monitoring": "off"},
]
each_answer = pytest.mark.parametrize("answers", rest_at_night(ANSWERS, 3), ids=label)
of_medium = pytest.mark.parametrize("answers", ANSWERS[:1], ids=label)
of_medium_and_of_two_projects = pytest.mark.parametrize("answers", ANSWERS[:2], ids=label)
DUE = f"{SLUG}-production-retraining-due"


@pytest.fixture
def installed(
    cloud: Cloud,
    record: CallRecord,
    rendering: Bake,
    tmp_path: Path,
    answers: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Installed]:
    """The project in its three accounts, whose functions run."""
    found = deployed(cloud, rendering, tmp_path, monkeypatch, answers)
    with real_handlers(cloud, record):
        yield found


@pytest.fixture
def project(installed: Installed) -> Path:
    return installed.project


@pytest.fixture
def parts(installed: Installed) -> Mapping[str, Part]:
    return installed.parts


@pytest.fixture
def trainer(installed: Installed) -> Part:
    return installed.trainer


def in_workload(part: Part, registry: Part, name: str, answers: dict[str, str]) -> base_stacks.Deployed:
    """The workload's stacks of an account, as the needs of their roles are said."""
    bucket = f"arn:aws:s3:::{registry.values['ModelBucket']}"
    known = {
        **part.values,
        **{key: registry.values[key] for key in ("ModelBucket", "ModelKeyArn", "ModelPackageGroup")},
        **({"ImageRepository": registry.values["ImageRepository"]} if "ImageRepository" in registry.values else {}),
    }
    return base_stacks.Deployed(
        answers,
        known,
        {},
        account=part.account.id,
        registry=registry.account.id,
        id=part.names.id,
        environments=(name,),
        models={"kms:EncryptionContext:aws:s3:arn": bucket},
    )


@each_answer
def test_the_roles_of_what_serves_may_do_what_they_need_and_nothing_more(
    parts: Mapping[str, Part], trainer: Part, answers: dict[str, str]
) -> None:
    makers = {
        "host": base_stacks.host,
        "deploy": base_stacks.deploying,
        "api": base_stacks.api,
        "fire": base_stacks.fire,
        "note": base_stacks.note,
        "sched": base_stacks.sched,
    }
    for name in ("staging", "production"):
        stacks = in_workload(parts[name], trainer, name, answers)
        there = {role.rpartition("-")[2] for role in parts[name].roles()}
        for role in makers.keys() & there:
            needs = list(
                {(one.action, one.resource, *one.context.items()): one for one in makers[role](stacks)}.values()
            )
            assert parts[name].judged(role, needs) == [], (name, role)


@of_medium
def test_drift_in_production_retrains_in_the_development_account_once(parts: Mapping[str, Part]) -> None:
    dev = Retraining(parts["dev"].account, {}, parts["dev"].values)
    dev.upsert()
    dev.upload("january.csv")
    event = {**alarm_rings(DUE), "resources": [f"arn:aws:cloudwatch:{REGION}:333333333333:alarm:{DUE}"]}
    for delivered in (event, event):  # an event may come twice
        [sent, received] = deliver(parts["production"].account, delivered)
        assert (sent.error, received.account) == ("", parts["dev"].account.id)
    dev.decide()
    [parameters] = dev.executions().values()
    assert parameters["RunReason"] == f"drift: alarm {DUE}"


@of_medium
def test_what_the_development_account_does_not_take_is_kept_and_told(parts: Mapping[str, Part]) -> None:
    bus = parts["dev"].account.client("events")
    [statement] = json.loads(bus.describe_event_bus()["Policy"])["Statement"]
    bus.remove_permission(StatementId=statement["Sid"])
    production = parts["production"].account
    [sent] = deliver(production, alarm_rings(DUE))
    assert sent.error
    [kept] = waiting(production, f"{SLUG}-events-undelivered")
    assert json.loads(kept)["detail"]["alarmName"] == DUE


@of_medium
def test_no_other_account_and_no_other_alarm_retrains(parts: Mapping[str, Part]) -> None:
    staging = parts["staging"].account
    assert deliver(staging, alarm_rings(f"{SLUG}-production-retraining-due")) == []
    assert deliver(staging, alarm_rings(f"{SLUG}-staging-retraining-due")) == []
    assert deliver(parts["dev"].account, alarm_rings(DUE)) == []  # an alarm of this name in dev is none of production
    assert list(drain(parts["dev"].account, f"{SLUG}-retraining")) == []


@pytest.fixture
def served(parts: Mapping[str, Part], monkeypatch: pytest.MonkeyPatch) -> None:
    """Endpoints that answer each row alike."""
    shipping.answer_alike(monkeypatch)


@pytest.mark.slow
@of_medium_and_of_two_projects
def test_a_version_is_deployed_from_the_development_account_by_roles_that_may_do_that_and_nothing_more(
    parts: Mapping[str, Part],
    trainer: Part,
    project: Path,
    record: CallRecord,
    tmp_path: Path,
    served: None,
    answers: dict[str, str],
) -> None:
    registry = {name: trainer.values[name] for name in ("ModelBucket", "ModelPackageGroup")}
    promotion = Promotion(parts["dev"].account, {}, {**parts["dev"].values, **registry})
    actions = Actions(promotion, project, record, tmp_path)
    package, execution = started(promotion)
    for name in ("staging", "production"):
        remove_functions(
            parts[name].account, parts[name].values["DataBucket"]
        )  # as if the stacks of dev had been deployed by an earlier release
    for stage, test in (("staging", "Test"), ("production", "Verify")):
        shipped = actions.run(stage, "Deploy", package, execution)
        assert (shipped.succeeded, shipped.findings) == (True, []), shipped.phases
        assert promotion.live()[stage] == package
        assert actions.shown["deployed.READY"] == "production is ready"
        tested = actions.run(stage, test)
        assert (tested.succeeded, tested.findings) == (True, []), tested.phases
    parts["staging"].account.cloud.quotas.values.clear()  # as in accounts that nobody has used yet
    other = promotion.register(model(promotion))
    second = promotion.deliver(promotion.approve(other))["execution"]
    assert not actions.run("staging", "Deploy", other, second).succeeded
    for name, part in parts.items():
        besides = shipping.of_builds(part) if name == "dev" else of_deployments(part, name)
        assert shipping.judged(part, record, besides) == "", name


def of_deployments(part: Part, name: str) -> Iterator[Need]:
    """What deployments need in the account of an environment beside the calls that were made."""
    account, values = part.account, part.values
    stack = f"arn:aws:cloudformation:{REGION}:{account.id}:stack/{SLUG}-{name}-endpoint/{'0' * 8}"
    for action in ("DeleteChangeSet", "DeleteStack", "DescribeStackEvents"):
        yield Need(f"cloudformation:{action}", stack, "another outcome")
    tags = {"sagemaker:project-name": SLUG, "sagemaker:project-id": part.names.id}
    for kind, action in (
        ("endpoint-config", "DeleteEndpointConfig"),
        ("endpoint-config", "DescribeEndpointConfig"),
        ("model", "DeleteModel"),
    ):
        context = {f"aws:ResourceTag/{key}": value for key, value in tags.items()}
        yield Need(
            f"sagemaker:{action}", f"arn:aws:sagemaker:{REGION}:{account.id}:{kind}/1", "what no longer serves", context
        )
    alarm = f"arn:aws:cloudwatch:{REGION}:{account.id}:alarm:{SLUG}-{name}-errors"
    yield Need("cloudwatch:DescribeAlarms", alarm, "the next deployment")
    yield Need("s3:ListBucket", f"arn:aws:s3:::{values['DataBucket']}", "an object that is not there")
    yield Need("servicequotas:ListRequestedServiceQuotaChangeHistoryByQuota", "*", "a quota that is too low")
    yield Need("sns:ListSubscriptionsByTopic", values["TopicArn"], "an address that was given")


def of_functions(part: Part) -> list[Need]:
    """What the functions of monitoring need beside their calls."""
    return [
        need
        for name in FUNCTIONS
        for need in service_needs(
            "lambda logs", region=REGION, account=part.account.id, log_group=f"/aws/lambda/{name}"
        )
    ]


@of_medium_and_of_two_projects
def test_a_window_of_production_is_compared_with_baselines_of_the_development_account(
    parts: Mapping[str, Part], trainer: Part, record: CallRecord, answers: dict[str, str]
) -> None:
    production = parts["production"]
    package = with_baseline(trainer)
    ssm = production.account.client("ssm")
    ssm.put_parameter(Name=production.names.live_parameter("production"), Value=package, Type="String")
    put(production, "CaptureBucket", f"{SLUG}/capture/1/{SLUG}-production/AllTraffic/2026/11/20/05/01-x.jsonl", b"{}\n")
    event = {
        "project_name": "Visits",
        "environment": "production",
        "execution": "0123456789ab",
        "started": "2026-11-20T06:30:00.000Z",
        "start": "2026-11-20T05:00:00Z",
        "end": "auto",
        "label_delay_hours": 0,
    }
    answer, error = invoke(production.account, FUNCTIONS[0], event)
    assert error == ""
    folder = answer["window"].partition("/data/")[0].split("/", 3)[3]
    s3 = production.account.client("s3")
    for name in ("statistics.json", "constraints.json", "evaluation.json", "schema.json"):
        copied = s3.get_object(Bucket=production.values["DataBucket"], Key=f"{folder}1/{name}")["Body"].read()
        assert copied == f'{{"of": "{name}"}}'.encode()
    prefix = f"{SLUG}/monitoring/production/0123456789ab/report"
    put(production, "DataBucket", f"{prefix}/window.json", b'{"enough_rows": false, "end": "2026-11-20T06:15:00Z"}')
    put(production, "DataBucket", f"{prefix}/metrics.json", b'{"Rows": 0, "Requests": 0, "UnreadableRecords": 0}')
    uri = f"s3://{production.values['DataBucket']}/{prefix}"
    ended = {"environment": "production", "report": uri, "start": "auto", "end": "auto"}
    assert invoke(production.account, FUNCTIONS[1], ended)[1] == ""
    calls = [call for call in record.calls() if call.role == production.role("monf")]
    resources = resource_policies(public=frozenset({AWS_IMAGES}))
    model = f"arn:aws:s3:::{trainer.values['ModelBucket']}"
    archived = [  # what versions of older releases, whose archives alone have their schemas, need
        Need("s3:GetObject", f"{model}/{trainer.slug}/runs/1/model.tar.gz", "an archive", {}),
        Need(
            "kms:Decrypt",
            trainer.values["ModelKeyArn"],
            "an archive",
            {"kms:ViaService": f"s3.{REGION}.amazonaws.com", "kms:EncryptionContext:aws:s3:arn": model},
        ),
    ]
    assert production.judged("monf", [*resources.needs(calls), *of_functions(production), *archived]) == []


def put(part: Part, bucket: str, key: str, content: bytes) -> str:
    """Put an object into one of the buckets of an account, and return its URI."""
    part.account.client("s3").put_object(Bucket=part.values[bucket], Key=key, Body=content)
    return f"s3://{part.values[bucket]}/{key}"


def with_baseline(trainer: Part) -> str:
    """Register a version with its documents, and return its ARN."""
    documents = {
        name: put(trainer, "DataBucket", f"{trainer.slug}/runs/1/{folder}/{name}", f'{{"of": "{name}"}}'.encode())
        for name, folder in {
            "statistics.json": "Baseline",
            "constraints.json": "Baseline",
            "evaluation.json": "Evaluate/evaluation",
            "schema.json": "Evaluate/evaluation",
        }.items()
    }
    source = {name: {"ContentType": "application/json", "S3Uri": uri} for name, uri in documents.items()}
    arn: str = trainer.account.client("sagemaker").create_model_package(
        ModelPackageGroupName=trainer.slug,
        ModelApprovalStatus="PendingManualApproval",
        InferenceSpecification={
            "Containers": [{"Image": "image", "ModelDataUrl": "s3://models/model.tar.gz"}],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
        },
        ModelMetrics={"ModelQuality": {"Statistics": source["evaluation.json"]}},
        DriftCheckBaselines={
            "ModelDataQuality": {
                "Statistics": source["statistics.json"],
                "Constraints": source["constraints.json"],
            }
        },
    )["ModelPackageArn"]
    return arn


@of_medium_and_of_two_projects
def test_the_pipeline_and_the_schedules_of_monitoring_may_do_what_they_need_and_nothing_more(
    parts: Mapping[str, Part], answers: dict[str, str]
) -> None:
    for name in ("staging", "production"):
        assert parts[name].judged("mon", of_pipeline(parts[name])) == [], name
        assert parts[name].judged("msched", of_schedules(parts[name], (name,))) == [], name
    if answers.get("project_scope") == "deploy":
        return  # no event retrains
    bus = f"arn:aws:events:{REGION}:{parts['dev'].account.id}:event-bus/default"
    context = {"events:source": "aws.cloudwatch", "events:detail-type": "CloudWatch Alarm State Change"}
    assert parts["production"].judged("event", [Need("events:PutEvents", bus, "the rule", context)]) == []


@pytest.mark.slow
@of_medium
def test_the_build_pipeline_updates_monitoring_in_each_account_and_may_do_nothing_more_there(
    parts: Mapping[str, Part], project: Path, record: CallRecord, tmp_path: Path, answers: dict[str, str]
) -> None:
    codebuild = parts["dev"].account.client("codebuild")
    [compiling] = codebuild.batch_get_projects(names=[f"{SLUG}-compile"])["projects"]
    variables = {one["name"]: one["value"] for one in compiling["environment"]["environmentVariables"]}
    runner = BuildProject(parts["dev"].account, record, compiling["serviceRole"], tmp_path / "build", variables)
    commands = re.findall(r"- (.* upsert --environment (?:staging|production))$", written(project), re.MULTILINE)
    assert len(commands) == 2
    text = json.dumps({"version": 0.2, "phases": {"build": {"commands": commands}}})
    base = project / "config/base.yaml"
    for size in ("30", "40"):  # created, then updated
        base.write_text(base.read_text().replace("volume_size_gb: 30", f"volume_size_gb: {size}"))
        done = runner.build(text, {"source": project})
        assert (done.succeeded, done.findings) == (True, []), done.phases
    resources = resource_policies(public=frozenset({AWS_IMAGES}))
    for name in ("staging", "production"):
        part = parts[name]
        described = part.account.client("sagemaker").describe_pipeline(PipelineName=f"{SLUG}-monitoring")
        assert described["RoleArn"] == part.role("mon")
        calls = [call for call in record.calls() if call.role == part.role("submit")]
        missing = f"arn:aws:s3:::{part.values['DataBucket']}"
        besides = [
            Need("s3:ListBucket", missing, "an object that is not there"),
            *(Need(f"s3:{action}", f"{missing}/{SLUG}/no-champion/README.txt", "a definition") for action in _OBJECT),
            Need("sagemaker:AddTags", described["PipelineArn"], "a pipeline that is made with tags"),
        ]
        assert "\n".join(part.judged("submit", [*resources.needs(calls), *besides])) == "", name


_OBJECT = ("GetObject", "PutObject")


def written(project: Path) -> str:
    return (project / "buildspecs/compile.yml").read_text(encoding="utf-8")


@of_medium_and_of_two_projects
def test_only_the_builds_of_the_development_account_enter_the_others(
    parts: Mapping[str, Part], answers: dict[str, str]
) -> None:
    walk = Walk(resource_policies())
    dev, *others = (parts[name].account.id for name in ("dev", "staging", "production"))
    entered = {
        (caller.rpartition("-")[2], account_of(role), role.rpartition("-")[2])
        for caller in walk.principals(dev, f"*{SLUG}*")
        for role in walk.entered(caller)
        if account_of(role) != dev and SLUG in role
    }
    trains = answers.get("project_scope") != "deploy"
    expected = [("ship", "ship"), *([("build", "submit")] if trains else [])]
    assert entered == {(caller, account, role) for account in others for caller, role in expected}


@of_medium_and_of_two_projects
def test_people_of_development_are_in_no_other_account_and_reach_none(
    parts: Mapping[str, Part], trainer: Part, answers: dict[str, str]
) -> None:
    walk = Walk(resource_policies())
    for dev in (parts["dev"], trainer):
        people = {role.rpartition("-")[2]: role for role in dev.roles() if role.rpartition("-")[2] in _PEOPLE}
        assert people.keys() == _PEOPLE
        for name in ("ds", "mle", "appr"):
            assert {opening.account for opening in walk.reached(people[name])} <= {dev.account.id}, name
    for name in ("staging", "production"):
        there = {role.rpartition("-")[2] for role in parts[name].roles()}
        assert there & _PEOPLE == {"ops", "audit"}, name


_PEOPLE = {"ds", "mle", "appr", "ops", "audit"}


@pytest.mark.parametrize("answers", ANSWERS[1:2], ids=label)
def test_only_roles_of_the_project_that_deploys_reach_what_is_registered(
    parts: Mapping[str, Part], trainer: Part, answers: dict[str, str]
) -> None:
    walk = Walk(resource_policies())
    for name in ("staging", "production"):
        own = {role.rpartition("-")[2]: role for role in parts[name].roles()}
        reached = {
            suffix: {one.resource for one in walk.openings(role) if f"{trainer.slug}" in one.resource}
            for suffix, role in own.items()
        }
        group = f"arn:aws:sagemaker:{REGION}:{trainer.account.id}:model-package-group/{trainer.slug}"
        models, data = (f"arn:aws:s3:::{trainer.values[bucket]}" for bucket in ("ModelBucket", "DataBucket"))
        assert {suffix: found for suffix, found in reached.items() if found} == {
            "deploy": {group}, "host": {models}, "monf": {group, models, data},
        }  # fmt: skip
        other = parts[name].role("host").replace(f"-{SLUG}-", "-other-")
        assert [one for one in walk.openings(other) if one.account == trainer.account.id] == []


@of_medium_and_of_two_projects
def test_who_serves_cannot_decide_on_versions(
    parts: Mapping[str, Part], trainer: Part, answers: dict[str, str]
) -> None:
    resources = resource_policies()
    package = f"arn:aws:sagemaker:{REGION}:{trainer.account.id}:model-package/{trainer.slug}/1"
    for name in ("staging", "production"):
        for role in parts[name].roles():
            for action in ("UpdateModelPackage", "DeleteModelPackage", "CreateModelPackage"):
                need = Need(f"sagemaker:{action}", package, "a decision")
                assert not resources.open(role, need), (role, action)
