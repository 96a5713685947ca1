"""The builds of the deploy pipeline really run: a version goes live, is tested, is refused or gives way."""

import base64
import io
import json
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from moto.sagemakerruntime.models import SageMakerRuntimeBackend

from mlops.base.environments import ENVIRONMENTS, PRODUCTION, STAGING
from standin.account import StandInAccount
from standin.buildspecs import Build
from standin.calls import Call, CallRecord
from standin.needs import Need, keys, needs
from standin.service_side import service_needs
from tests.infra.checks import buildspec_schema, codepipeline
from tests.infra.deployed import NAMES
from tests.infra.promoting import Actions, FromRegistry, Promotion, declared, promoted
from tests.infra.rendered import SLUG, configured
from tests.projects import Bake

REALTIME = {"deployment_strategy": "canary"}
ASYNC = {"inference": "async", "http_api": "no", "deployment_strategy": "all-at-once"}
BATCH = {"inference": "batch", "http_api": "no", "deployment_strategy": "all-at-once"}
TAGS = {"aws:ResourceTag/sagemaker:project-name": SLUG, "aws:ResourceTag/sagemaker:project-id": NAMES.id}
ANSWER = 0.25
INFERENCE = f"""
def model_fn(folder):
    return {ANSWER}

def input_fn(body, content_type):
    return body.decode().splitlines()[1:]

def predict_fn(rows, model):
    return [model] * len(rows)

def output_fn(predictions, accept):
    return "".join(f"{{value}}\\n" for value in predictions)
"""


@pytest.fixture
def answers() -> dict[str, str]:
    """Those that a test does not say otherwise."""
    return REALTIME


@pytest.fixture
def sources(rendering: Bake, tmp_path: Path, account: StandInAccount, answers: dict[str, str]) -> Path:
    """The project as it was released, with its account filled in."""
    rendered = rendering(project_slug=SLUG, **answers)
    return configured(rendered, tmp_path, account=account.id, notification_email="team@example.com")


@pytest.fixture
def promotion(account: StandInAccount, answers: dict[str, str]) -> Promotion:
    found = promoted(account, answers)
    account.grow()
    return found


Run = Callable[..., Build]


@pytest.fixture
def shown() -> dict[str, str]:
    """The variables of the execution, which the actions that ran have filled."""
    return {}


@pytest.fixture
def run(promotion: Promotion, sources: Path, record: CallRecord, tmp_path: Path, shown: dict[str, str]) -> Run:
    """Runs an action of a stage for an execution."""
    return Actions(promotion, sources, record, tmp_path, shown).run


@pytest.fixture
def served(account: StandInAccount, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What endpoints answer each row with: one value, which a test may change."""
    served, s3 = [ANSWER], account.client("s3")

    def invoke(_: Any, endpoint_name: str, unique_repr: bytes) -> tuple[str, str, str, str]:
        rows = json.loads(base64.b64decode(unique_repr))["Body"].splitlines()[1:]
        return f"{served[0]}\n" * len(rows), "text/csv", "AllTraffic", ""

    def queue(_: Any, endpoint_name: str, input_location: str) -> tuple[str, str]:
        bucket, _, key = input_location.removeprefix("s3://").partition("/")
        rows = s3.get_object(Bucket=bucket, Key=key)["Body"].read().splitlines()[1:]
        places = [key.replace("/requests/", f"/{outcome}/") for outcome in ("answers", "failures")]
        s3.put_object(Bucket=bucket, Key=places[0], Body=f"{served[0]}\n" * len(rows))
        return f"s3://{bucket}/{places[0]}", f"s3://{bucket}/{places[1]}"

    monkeypatch.setattr(SageMakerRuntimeBackend, "invoke_endpoint", invoke)
    monkeypatch.setattr(SageMakerRuntimeBackend, "invoke_endpoint_async", queue)
    return served


def model(promotion: Promotion) -> str:
    """The URI of an archive of a model that answers every row alike."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        entry = tarfile.TarInfo("code/inference.py")
        entry.size = len(INFERENCE.encode())
        archive.addfile(entry, io.BytesIO(INFERENCE.encode()))
    bucket = promotion.values["ModelBucket"]
    key = f"{promotion.group}/1/model.tar.gz"
    owner = promotion.registry if isinstance(promotion, FromRegistry) else promotion.account
    owner.client("s3").put_object(Bucket=bucket, Key=key, Body=content.getvalue())
    return f"s3://{bucket}/{key}"


def started(promotion: Promotion) -> tuple[str, str]:
    """An approved version, and the execution that was started for it."""
    package = promotion.register(model(promotion))
    return package, promotion.deliver(promotion.approve(package))["execution"]


@pytest.mark.parametrize("name", ["ship", "smoke"])
def test_the_buildspecs_are_such(sources: Path, name: str) -> None:
    assert list(buildspec_schema.faults((sources / f"buildspecs/{name}.yml").read_text())) == []


def question(promotion: Promotion, shown: dict[str, str]) -> str:
    """What the person is asked who approves."""
    return codepipeline.filled(declared(promotion, "Approval", "Approve")["configuration"]["CustomData"], shown)


def remove_functions(account: StandInAccount, bucket: str) -> None:
    """Remove the archives of the functions' code that deployments have uploaded."""
    s3 = account.client("s3")
    for found in s3.list_objects_v2(Bucket=bucket, Prefix=f"{SLUG}/functions/")["Contents"]:
        s3.delete_object(Bucket=bucket, Key=found["Key"])


@pytest.mark.parametrize(
    ("answers", "measured"),
    [
        pytest.param(REALTIME, r"p99 (?P<p99>\d+) ms, errors 0\.00%", id="realtime"),
        pytest.param(ASYNC, "correct predictions for 3 rows", id="async", marks=pytest.mark.nightly),
        pytest.param(BATCH, "the schedule uses it", id="batch"),
    ],
)
def test_a_version_is_deployed_tested_and_asked_about_and_the_role_may_do_that_and_nothing_more(
    promotion: Promotion,
    run: Run,
    served: list[float],
    record: CallRecord,
    shown: dict[str, str],
    answers: dict[str, str],
    measured: str,
) -> None:
    package, execution = started(promotion)
    remove_functions(
        promotion.account, NAMES.data_bucket
    )  # as if the stacks of dev had been deployed by an earlier release
    for stage, test in ((STAGING, "Test"), (PRODUCTION, "Verify")):
        shipped = run(stage, "Deploy", package, execution)
        assert (shipped.succeeded, shipped.findings) == (True, []), shipped.phases
        assert promotion.live()[stage] == package
        tested = run(stage, test)
        assert (tested.succeeded, tested.findings) == (True, []), tested.phases
        if stage == STAGING:
            passed = f"Version 1 \\({package}\\) has passed its tests in staging: {measured}"
            asked = re.fullmatch(
                rf"{passed}; production is ready\. Deploy it to production\?", question(promotion, shown)
            )
            assert asked, question(promotion, shown)
            if answers == REALTIME:
                [in_table] = re.findall(r"\bp99 +([\d.]+) ms", tested.phases[-1].output)
                assert float(asked["p99"]) == pytest.approx(float(in_table), abs=0.6)
    assert promotion.executions() == [(package, "InProgress")]
    # What only happens when something is wrong: another version is wanted, a stack was never made whole.
    other = promotion.register(model(promotion))
    second = promotion.deliver(promotion.approve(other))["execution"]
    assert run(STAGING, "Deploy", package, execution).succeeded
    assert promotion.executions() == [(package, "Stopping"), (other, "InProgress")]
    promotion.account.cloud.quotas.values.clear()  # as in an account that nobody has used yet
    refused = run(STAGING, "Deploy", other, second)
    assert not refused.succeeded
    assert "aws service-quotas request-service-quota-increase" in refused.phases[-1].output
    assert "team@example.com has not confirmed its subscription" in refused.phases[-1].output
    promotion.account.grow()
    assert run(STAGING, "Deploy", other, second).succeeded
    calls = as_iam_sees(call for call in record.calls() if call.role == promotion.role("ship"))
    wanted = [as_it_is_tagged(need) for need in needs(calls, keys(promotion.account))]
    judged = promotion.judged("ship", [*wanted, *rest(promotion, answers)])
    assert "\n".join(judged) == ""


def as_it_is_tagged(need: Need, id_: str = NAMES.id) -> Need:
    """CloudFormation names models and configurations itself, without a word of ours: their tags say whose they are."""
    place, _, name = need.resource.rpartition("/")
    if not place.endswith((":endpoint-config", ":model")):
        return need
    return replace(
        need,
        resource=f"{place}/{name.rpartition('-')[2]}",
        context={**need.context, **TAGS, "aws:ResourceTag/sagemaker:project-id": id_},
    )


def as_iam_sees(calls: Iterable[Call]) -> Iterator[Call]:
    """Calls with the stack of each change set; roles that are values of a template's parameters are not handed on."""
    stack = ""
    for call in calls:
        if call.operation == "CreateChangeSet":
            stack = call.parameters["StackName"]
            yield replace(call, passed=(call.parameters["RoleARN"],))
        elif "ChangeSetName" in call.parameters:
            yield replace(call, parameters={**call.parameters, "StackName": stack})
        else:
            yield call


def rest(promotion: Promotion, answers: dict[str, str]) -> Iterator[Need]:
    """What the builds need beside the calls that they made."""
    account, values = promotion.account, promotion.values
    yield from service_needs("codebuild source", bucket=values["ArtifactBucket"], prefix="")
    yield from service_needs("codebuild artifacts", bucket=values["ArtifactBucket"], prefix="cache/ship/")
    yield from service_needs("codebuild artifact key", key=values["ArtifactKeyArn"])
    yield from promotion.logs(f"/aws/codebuild/{SLUG}-ship", f"/aws/codebuild/{SLUG}-smoke")
    live = f"arn:aws:ssm:{account.region}:{account.id}:parameter/{SLUG}/live/"
    yield from (Need("ssm:GetParameters", f"{live}{environment}", "what is live") for environment in ENVIRONMENTS)
    stack = (
        f"arn:aws:cloudformation:{account.region}:{account.id}:stack/{SLUG}-{{}}/00000000-0000-4000-8000-000000000000"
    )
    for environment in ENVIRONMENTS:
        kind = "transform" if answers == BATCH else "endpoint"
        # A stack that has nothing to change, was never made whole, or could not be changed.
        for action in ("DeleteChangeSet", "DeleteStack", "DescribeStackEvents"):
            yield Need(f"cloudformation:{action}", stack.format(f"{environment}-{kind}"), "another outcome")
    if answers == BATCH:
        return
    # The first deployment of an environment finds no alarms yet.
    alarm = f"arn:aws:cloudwatch:{account.region}:{account.id}:alarm:{SLUG}-production-errors"
    yield Need("cloudwatch:DescribeAlarms", alarm, "the next deployment")
    # S3 tells only those who may list a bucket that there is no such object; others it refuses.
    looked_for = values["CaptureBucket"] if answers == ASYNC else values["DataBucket"]
    yield Need("s3:ListBucket", f"arn:aws:s3:::{looked_for}", "an object that is not there")
    if answers == ASYNC:
        failure = f"arn:aws:s3:::{looked_for}/{SLUG}/async/staging/failures/1"
        yield Need("s3:GetObject", failure, "a request that is not answered yet")


def test_what_production_lacks_is_said_before_a_person_is_asked(
    promotion: Promotion, run: Run, sources: Path, shown: dict[str, str]
) -> None:
    package, execution = started(promotion)
    file = sources / "config/production.yaml"
    file.write_text(file.read_text().replace("min_instance_count: 2", "min_instance_count: 0"))
    shipped = run(STAGING, "Deploy", package, execution)
    assert shipped.succeeded, shipped.phases
    assert "`stacks.endpoint.min_instance_count` in config/production.yaml" in shipped.phases[-1].output
    asked = question(promotion, shown | {"tested.P99_MS": "1", "tested.ERROR_SHARE": "0"})
    assert "; production is NOT ready, the log of this version's deployment to staging says why." in asked
    assert promotion.live() == {STAGING: package}


def test_a_version_that_is_rejected_while_it_waits_is_refused_and_nothing_deployed(
    promotion: Promotion, run: Run
) -> None:
    package, execution = started(promotion)
    promotion.reject(package)
    shipped = run(PRODUCTION, "Deploy", package, execution)
    assert not shipped.succeeded
    assert "Version 1 is Rejected: only approved versions can be deployed." in shipped.phases[-1].output
    assert promotion.live() == {}
    assert promotion.executions() == [(package, "InProgress")]  # CodePipeline lets it fail


def test_a_model_that_answers_otherwise_than_the_registered_one_fails_the_test(
    promotion: Promotion, run: Run, served: list[float]
) -> None:
    package, execution = started(promotion)
    assert run(STAGING, "Deploy", package, execution).succeeded
    served[0] = 0.75
    tested = run(STAGING, "Test")
    assert not tested.succeeded
    assert "Row 1: the endpoint predicts 0.750000, the registered model 0.250000." in tested.phases[-1].output
    assert promotion.live() == {STAGING: package}
