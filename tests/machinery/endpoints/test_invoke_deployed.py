"""Asking a model that is deployed: its answers, its refusals, and answers that come later."""

import io
from datetime import UTC, datetime
from typing import Any

import pytest

from mlops.base.errors import MlopsError, UsageError
from mlops.base.payloads import ENDPOINTS, Payload
from mlops.endpoints.adapters import endpoint_of
from mlops.endpoints.sagemaker import AwsEndpoint
from mlops.project.account import Account
from mlops.project.project import Project
from mlops.project.target import Target
from mlops.registry.versions import ModelVersion
from standin.scripted import Clock, Refusal, Script
from tests.machinery.deployment.small_project import ACCOUNT, GROUP, NAMES, REGION, small_project

ASKED = (b"a,b\n1,2\n", "text/csv", "application/json")
MISSING = Refusal("NoSuchKey", "The specified key does not exist.")
OUTPUT, FAILURE = "s3://answers/1.out", "s3://failures/1.out"


def refusal(status: int) -> Refusal:
    return Refusal(
        "ModelError", "Received an error", {"OriginalStatusCode": status, "OriginalMessage": "no such column"}
    )


def asked(queued: bool = False, **answers: Any) -> tuple[AwsEndpoint, Script]:
    script = Script(Clock(), {name: one if isinstance(one, list) else [(0, one)] for name, one in answers.items()})
    account = Account(id=ACCOUNT, region=REGION, bucket="data", role="role")
    services = {"runtime": "sagemaker-runtime", "sagemaker": "sagemaker", "ssm": "ssm", "s3": "s3"}
    account.__dict__.update({name: script.client(service) for name, service in services.items()})
    return AwsEndpoint(account, NAMES, "staging", queued, script.clock), script


def test_an_endpoint_answers() -> None:
    server, script = asked(InvokeEndpoint={"Body": io.BytesIO(b'{"predictions": []}')})
    assert server.invoke(*ASKED) == '{"predictions": []}'
    ((_, parameters),) = script.asked
    assert parameters["EndpointName"] == "visits-staging"
    assert (parameters["ContentType"], parameters["Accept"]) == ASKED[1:]
    assert "InferenceId" not in parameters


def test_a_request_that_has_a_name_is_captured_by_it() -> None:
    server, script = asked(InvokeEndpoint={"Body": io.BytesIO(b"0.5\n")})
    server.invoke(*ASKED, "test-1")
    queued = {"OutputLocation": OUTPUT, "FailureLocation": FAILURE}
    answers = {"Body": io.BytesIO(b"0.5\n")}
    later, queue = asked(queued=True, PutObject={}, InvokeEndpointAsync=queued, GetObject=answers)
    later.invoke(*ASKED, "test-2")
    named = [one["InferenceId"] for _, one in script.asked + queue.asked if "InferenceId" in one]
    assert named == ["test-1", "test-2"]


@pytest.mark.parametrize(("status", "exit_code"), [(400, 2), (413, 2), (500, 1), (503, 1)])
def test_a_refusal_of_the_model_is_told_in_its_own_words(status: int, exit_code: int) -> None:
    server, _ = asked(InvokeEndpoint=refusal(status))
    with pytest.raises(MlopsError) as caught:
        server.invoke(*ASKED)
    assert caught.value.message == f"The endpoint rejected the request ({status}): no such column"
    assert caught.value.exit_code == exit_code


@pytest.mark.parametrize(("inference", "payload"), ENDPOINTS.items())
def test_a_request_larger_than_sagemaker_takes_is_not_sent(
    inference: str, payload: Payload, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Account, "verify", lambda _: None)
    server = endpoint_of(Target(small_project(tmp_path, inference=inference), "staging"))
    assert isinstance(server, AwsEndpoint)
    assert (server.payload, server.queued) == (payload, inference == "async")

    class Large(bytes):
        """As much as is said, without the memory."""

        def __len__(self) -> int:
            return payload.request_bytes + 1

    with pytest.raises(UsageError, match=f"{payload.what} takes up to {payload.request} MB"):
        server.invoke(Large(), "text/csv", "text/csv")


def test_an_endpoint_that_is_not_there_says_to_deploy_it() -> None:
    server, _ = asked(InvokeEndpoint=Refusal("ValidationError", "Endpoint visits-staging of account 1 not found."))
    with pytest.raises(MlopsError, match="Endpoint visits-staging does not exist") as caught:
        server.invoke(*ASKED)
    assert "mlops deploy --environment staging" in caught.value.remedy


def test_a_queued_request_is_uploaded_and_its_answer_waited_for() -> None:
    answers = [(0, MISSING), (60, {"Body": io.BytesIO(b"0.5\n")})]
    queued = {"OutputLocation": OUTPUT, "FailureLocation": FAILURE}
    server, script = asked(queued=True, PutObject={}, InvokeEndpointAsync=queued, GetObject=answers)
    assert server.invoke(*ASKED) == "0.5\n"
    assert script.clock.now == 60
    uploaded = next(parameters for name, parameters in script.asked if name == "PutObject")
    assert uploaded["Bucket"] == NAMES.capture_bucket
    assert uploaded["Key"].startswith("visits/async/staging/requests/")
    asked_for = next(parameters for name, parameters in script.asked if name == "InvokeEndpointAsync")
    assert asked_for["InputLocation"] == f"s3://{uploaded['Bucket']}/{uploaded['Key']}"


def test_a_queued_request_that_fails_is_told_as_what_the_failure_says() -> None:
    queued = {"OutputLocation": OUTPUT, "FailureLocation": FAILURE}
    server, script = asked(queued=True, PutObject={}, InvokeEndpointAsync=queued, GetObject=MISSING)

    def failure(params: dict[str, Any], **_: Any) -> None:
        if params["Bucket"] == "failures":
            script.timelines = {**script.timelines, "GetObject": [(0, {"Body": io.BytesIO(b"no such column")})]}

    server.account.s3.meta.events.register("provide-client-params.s3.GetObject", failure)
    with pytest.raises(MlopsError, match="failed to process the request: no such column"):
        server.invoke(*ASKED)


def test_an_answer_that_never_comes_is_not_waited_for_for_ever() -> None:
    queued = {"OutputLocation": OUTPUT, "FailureLocation": FAILURE}
    server, script = asked(queued=True, PutObject={}, InvokeEndpointAsync=queued, GetObject=MISSING)
    with pytest.raises(MlopsError, match="is not complete after 15 minutes"):
        server.invoke(*ASKED)
    assert script.clock.now == 900


def version(number: int) -> ModelVersion:
    now = datetime.now(UTC)
    return ModelVersion(number, f"{GROUP}/{number}", "Approved", now, now, "", "", "", (), {})


def test_what_is_served_is_what_the_last_deployment_recorded() -> None:
    described = {"EndpointStatus": "InService", "LastModifiedTime": datetime(2026, 1, 2, tzinfo=UTC)}
    live = {"Parameters": [{"Name": "/visits/live/staging", "Value": f"{GROUP}/7"}]}
    server, _ = asked(DescribeEndpoint=described, GetParameters=live)
    serving = server.describe()
    assert serving is not None
    assert (serving.version, serving.status, serving.started) == (7, "InService", "2026-01-02T00:00:00+00:00")
    assert serving.url.endswith("/endpoints/visits-staging/invocations")
    assert server.advice(version(7)) == server.advice(None) == ""
    assert "to deploy version 8:  .venv/bin/python -m mlops deploy --environment staging" in server.advice(version(8))


def test_an_endpoint_that_is_made_for_the_first_time_serves_nothing_yet() -> None:
    described = {"EndpointStatus": "Creating", "LastModifiedTime": datetime.now(UTC)}
    server, _ = asked(DescribeEndpoint=described, GetParameters={"Parameters": []})
    assert server.describe() is None


def test_environments_that_models_are_deployed_to_are_asked_in_aws(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Account, "verify", lambda _: None)
    project: Project = small_project(tmp_path, inference="async")
    server = endpoint_of(Target(project, "production"))
    assert isinstance(server, AwsEndpoint)
    assert (server.name, server.queued) == ("visits-production", True)
    assert not isinstance(endpoint_of(Target(project, "local")), AwsEndpoint)
