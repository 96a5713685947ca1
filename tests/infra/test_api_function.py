"""The function behind the HTTP API, run as Lambda runs it against an endpoint whose answers are scripted.

In a serverless project with monitoring it also captures what it answers.
"""

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from mlops.base import capture
from mlops.base.payloads import LAMBDA, MEGABYTE
from model.schema import SCHEMA
from modelkit.captured import Captured
from modelkit.intervals import Interval
from standin import deploy, policies
from standin.account import REGION, StandInAccount
from standin.calls import Call, CallRecord
from standin.deploy import Stack
from standin.iam import RolePolicies
from standin.lambdas import invoke
from standin.needs import needs
from standin.service_side import service_needs
from tests.infra.checks.mutants import changed
from tests.infra.rendered import ID, SLUG
from tests.infra.serving_stacks import GIVEN, prepare, said, stack
from tests.projects import SOURCES

FUNCTION = f"{SLUG}-production-api"
WORKLOAD = {
    "AWS::Region": REGION,
    "LogBucket": f"sagemaker-{SLUG}-{ID}-logs",
    "DataKeyArn": GIVEN["WorkloadKeyArn"],
    "ModelBucket": f"sagemaker-{SLUG}-{ID}-model",
    "ModelKeyArn": GIVEN["WorkloadKeyArn"],
    "ModelPackageGroup": SLUG,
}
SERVERLESS = {"inference": "serverless"}
STREAM = f"{SLUG}-production-capture"
FOLDER = f"{SLUG}/capture/{{}}/{SLUG}-production/AllTraffic"
ROWS = (SOURCES / "data/request.csv").read_bytes()
ANSWER = "0.25\n" * (ROWS.count(b"\n") - 1)
SECRET = "arn:aws:logs:eu-west-1:123456789012:log-group:secret"


@dataclass
class Endpoint:
    """What SageMaker's runtime answers, and what it was asked.

    Attributes:
        status: The status of its answers.
        headers: Their headers.
        body: Their body.
        asked: Path, headers and body of each request.
        hangs: Whether it reads a request and says nothing; a request to another service it never answers.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "text/csv"})
    body: bytes = b"0.25\n"
    asked: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    hangs: bool = False

    def fails(self, status: int, code: str, **body: Any) -> None:
        """Answer with an error of SageMaker."""
        self.status, self.headers = status, {"Content-Type": "application/json", "x-amzn-ErrorType": code}
        self.body = json.dumps(body).encode()


@dataclass
class Runtime:
    """SageMaker's runtime at an address.

    Attributes:
        address: Where it answers.
        endpoint: What it answers for.
    """

    address: str = ""
    endpoint: Endpoint = field(default_factory=Endpoint)


@pytest.fixture(scope="module")
def runtime() -> Iterator[Runtime]:
    runtime = Runtime()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            endpoint = runtime.endpoint
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            endpoint.asked.append((self.path, headers, body))
            if endpoint.hangs or not self.path.startswith("/endpoints/"):
                self.rfile.read(1)
                return
            self.send_response(endpoint.status)
            for name, value in {**endpoint.headers, "Content-Length": str(len(endpoint.body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(endpoint.body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    runtime.address = f"http://127.0.0.1:{server.server_port}"
    yield runtime
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def endpoint(account: StandInAccount, runtime: Runtime) -> Endpoint:
    """The endpoint behind an API that is deployed."""

    def deploy_api() -> None:
        prepare(account)
        put_api(account, {}, {"SAGEMAKER_RUNTIME": runtime.address}, AnswerSeconds="2", MaxPayloadMegabytes="1")

    account.cloud.once(("api", runtime.address), deploy_api)
    runtime.endpoint = Endpoint()
    return runtime.endpoint


@pytest.fixture
def captured_endpoint(account: StandInAccount, runtime: Runtime) -> Endpoint:
    """The serverless endpoint behind an API that is deployed, which captures."""

    def deploy_api() -> None:
        prepare(account)
        put_api(account, SERVERLESS, {"SAGEMAKER_RUNTIME": runtime.address})

    account.cloud.once(("api that captures", runtime.address), deploy_api)
    runtime.endpoint = Endpoint(body=ANSWER.encode())
    return runtime.endpoint


def put_api(account: StandInAccount, answers: dict[str, str], addresses: dict[str, str], **given: str) -> None:
    """Deploy the API, whose function is told where services outside the stand-in are, and to retry by default."""
    api = stack("api", answers, **given)
    variables = {f"AWS_ENDPOINT_URL_{service}": address for service, address in addresses.items()}
    place = "Function/Properties/Environment/Variables/"
    values = {f"{place}{name}": value for name, value in {**variables, "AWS_MAX_ATTEMPTS": "3"}.items()}
    template = changed(values, api.template)
    deploy.put(account, Stack(api.name, template, api.parameters))


def request(body: bytes, *, encoded: bool = False, **headers: str) -> dict[str, Any]:
    """A request as API Gateway hands it over."""
    return {
        "version": "2.0",
        "routeKey": "POST /invocations",
        "rawPath": "/invocations",
        "headers": {name.replace("_", "-"): value for name, value in headers.items()},
        "requestContext": {"http": {"method": "POST", "path": "/invocations"}, "stage": "$default"},
        "body": base64.b64encode(body).decode() if encoded else body.decode(),
        "isBase64Encoded": encoded,
    }


def ask(account: StandInAccount, event: dict[str, Any]) -> tuple[int, str, str]:
    """Status, content type and body of what the API answers."""
    answer, error = invoke(account, FUNCTION, event)
    assert error == ""
    body = base64.b64decode(answer["body"]).decode() if answer.get("isBase64Encoded") else answer["body"]
    return answer["statusCode"], answer["headers"]["content-type"], body


def of_environment(call: Call, environment: str) -> Call:
    """A call as the function of another environment makes it."""
    named = {"EndpointName": f"{SLUG}-{environment}", "DeliveryStreamName": f"{SLUG}-{environment}-capture"}
    return replace(call, parameters={**call.parameters, **{key: named[key] for key in named if key in call.parameters}})


def refusal(account: StandInAccount, event: dict[str, Any]) -> tuple[int, str]:
    """Status and reason of what the API answers."""
    status, content_type, body = ask(account, event)
    assert content_type == "application/json"
    [(name, reason)] = json.loads(body).items()
    assert name == "error"
    assert not any(text in reason for text in (SECRET, "123456789012", "arn:", SLUG, "Traceback"))
    return status, reason


@pytest.mark.parametrize("encoded", [False, True])
def test_a_request_and_its_answer_pass_unchanged_with_their_types(
    account: StandInAccount, endpoint: Endpoint, encoded: bool
) -> None:
    event = request(
        "1,2,ä\n".encode(),
        encoded=encoded,
        content_type="text/csv",
        accept="text/csv",
        x_amzn_sagemaker_inference_id="42",
        authorization="secret",
    )
    assert ask(account, event) == (200, "text/csv", "0.25\n")
    [(path, headers, body)] = endpoint.asked
    assert path == f"/endpoints/{SLUG}-production/invocations"
    assert body == "1,2,ä\n".encode()
    assert headers["content-type"] == headers["accept"] == "text/csv"
    assert headers["x-amzn-sagemaker-inference-id"] == "42"
    assert "secret" not in str(headers)


def test_a_request_that_is_too_large_is_refused_before_the_endpoint_is_asked(
    account: StandInAccount, endpoint: Endpoint
) -> None:
    status, reason = refusal(account, request(b"1" * 1_000_001))
    assert (status, endpoint.asked) == (413, [])
    assert "1000000 bytes" in reason


def test_a_response_that_the_function_cannot_return_is_refused_with_its_limit_and_a_smaller_one_is_returned(
    account: StandInAccount, endpoint: Endpoint
) -> None:
    event = request(b"1", content_type="text/csv")
    endpoint.body = b"1" * 4_400_000
    assert ask(account, event) == (200, "text/csv", "1" * 4_400_000)
    endpoint.body = b"1" * 4_720_000
    status, reason = refusal(account, event)
    assert status == 413
    (limit,) = map(int, re.findall(r"the response is larger than (\d+) bytes", reason))
    headers = len(json.dumps({"statusCode": 200, "headers": {"content-type": "x" * 256}, "isBase64Encoded": True}))
    assert 4_700_000 < limit <= (LAMBDA * MEGABYTE - headers) * 3 / 4


def test_a_response_that_is_refused_is_not_captured(account: StandInAccount, captured_endpoint: Endpoint) -> None:
    captured_endpoint.body = b"1" * 4_720_000
    assert refusal(account, request(b"1", content_type="text/csv"))[0] == 413
    assert objects(account) == {}


@pytest.mark.parametrize(
    ("status", "said", "expected", "reason"),
    [
        (400, "{\"error\": \"row 2, column 'age': 'x' is not of type integer\"}", 400, "row 2, column 'age'"),
        (413, '{"error": "the request is larger"}', 413, "the request is larger"),
        (415, f"<html>{SECRET}</html>", 415, "the model rejected the request"),
        (400, '["row 2"]', 400, "the model rejected the request"),
        (500, f'{{"error": "{SECRET}"}}', 502, "the model failed"),
        (503, '{"error": "there is no model"}', 503, "not ready"),
    ],
)
def test_what_the_model_refuses_is_told_with_its_reason_and_how_it_fails_is_not(
    account: StandInAccount, endpoint: Endpoint, status: int, said: str, expected: int, reason: str
) -> None:
    message = f"Received client error ({status}) from primary. See {SECRET}"
    endpoint.fails(
        424, "ModelError", Message=message, OriginalStatusCode=status, OriginalMessage=said, LogStreamArn=SECRET
    )
    told = refusal(account, request(b"1", content_type="text/csv"))
    assert told[0] == expected
    assert reason in told[1]


@pytest.mark.parametrize(
    ("status", "code", "message", "expected"),
    [
        (400, "ValidationError", f"Endpoint {SLUG}-production of account 123456789012 not found.", 503),
        (400, "ValidationError", "1 validation error detected: Value at 'inferenceId' ...", 400),
        (429, "ThrottlingException", "Rate exceeded", 429),
        (429, "ModelNotReadyException", "starting", 503),
        (503, "ServiceUnavailable", "later", 503),
        (500, "InternalFailure", "later", 503),
        (403, "AccessDeniedException", f"User: {SECRET} is not authorized", 502),
        (418, "SomethingNew", SECRET, 502),
    ],
)
def test_what_sagemaker_says_becomes_a_status_and_a_reason(
    account: StandInAccount, endpoint: Endpoint, status: int, code: str, message: str, expected: int
) -> None:
    endpoint.fails(status, code, Message=message, message=message)
    assert refusal(account, request(b"1", content_type="text/csv"))[0] == expected
    assert len(endpoint.asked) == 1, "a caller asks again, not the function"


def test_a_model_that_takes_too_long_is_told_to_the_caller_in_time(account: StandInAccount, endpoint: Endpoint) -> None:
    endpoint.hangs = True
    status, reason = refusal(account, request(b"1", content_type="text/csv"))
    assert status == 504
    assert "2 seconds" in reason


def objects(account: StandInAccount) -> dict[str, bytes]:
    """What is in the capture bucket, by key."""
    s3, bucket = account.client("s3"), GIVEN["CaptureBucket"]
    keys = [each["Key"] for each in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
    return {key: s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


def read(account: StandInAccount, folder: Path, version: int) -> tuple[Captured, list[float]]:
    """What monitoring reads of a version: its counts, and the predictions."""
    for key, content in objects(account).items():
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    captured = Captured(Interval(None, datetime.now(UTC) + timedelta(hours=1)), None, capture.SMOKE)
    batches = list(captured.read(folder / FOLDER.format(version), SCHEMA))
    assert sum(batch.rows.num_rows for batch in batches) == sum(len(batch.predictions) for batch in batches)
    return captured, [prediction for batch in batches for prediction in batch.predictions]


def logged(account: StandInAccount, event: dict[str, Any]) -> tuple[int, list[dict[str, Any]]]:
    """The status that the API answers, and the metrics in its log."""
    ran = account.client("lambda").invoke(FunctionName=FUNCTION, Payload=json.dumps(event), LogType="Tail")
    lines = base64.b64decode(ran["LogResult"]).decode().splitlines()
    return json.load(ran["Payload"])["statusCode"], [json.loads(line) for line in lines if '"_aws"' in line]


def require_one_lost(metrics: list[dict[str, Any]]) -> None:
    """One record is counted as lost, in the metric that the alarm watches."""
    [line] = metrics
    alarm = said("api", SERVERLESS).resources["LostRecords"]["Properties"]
    [published] = line["_aws"]["CloudWatchMetrics"]
    assert published["Namespace"] == alarm["Namespace"]
    assert [metric["Name"] for metric in published["Metrics"]] == [alarm["MetricName"]]
    assert published["Dimensions"] == [[each["Name"] for each in alarm["Dimensions"]]]
    assert (line["FunctionName"], line[alarm["MetricName"]]) == (FUNCTION, 1)


@pytest.mark.usefixtures("captured_endpoint")
def test_what_is_answered_is_captured_below_its_version_and_read_by_monitoring(
    account: StandInAccount, tmp_path: Path
) -> None:

    def of_caller(inference_id: str) -> dict[str, Any]:
        return request(
            ROWS,
            content_type="text/csv",
            x_amzn_sagemaker_inference_id=inference_id,
            x_amzn_sagemaker_custom_attributes="trace",
        )

    event = of_caller("42")
    assert ask(account, event) == (200, "text/csv", ANSWER)
    ask(account, of_caller(f"{capture.SMOKE}1"))
    runtime = account.client("lambda").get_function_configuration(FunctionName=FUNCTION)["Environment"]["Variables"]
    addresses = {"SAGEMAKER_RUNTIME": runtime["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"]}
    put_api(account, SERVERLESS, addresses, ModelVersion="8")
    ask(account, event)
    found, predictions = read(account, tmp_path, 7)
    assert (found.records, found.smoke, found.damaged, found.torn) == (1, 1, 0, 0)
    assert predictions == [0.25] * (ROWS.count(b"\n") - 1)
    assert read(account, tmp_path, 8)[0].records == 1
    for key in objects(account):
        version = key.split("/")[2]
        prefix = capture.prefix(GIVEN["CaptureBucket"], SLUG, int(version), f"{SLUG}-production")
        assert f"s3://{GIVEN['CaptureBucket']}/{key}".startswith(f"{prefix}/20")
    records = [json.loads(line) for content in objects(account).values() for line in content.splitlines()]
    assert {record["eventMetadata"]["customAttributes"][0] for record in records} == {"trace"}
    assert "42" in {record["eventMetadata"]["inferenceId"] for record in records}
    assert len({record["eventMetadata"]["eventId"] for record in records}) == 3


def test_what_the_model_rejects_is_not_captured(account: StandInAccount, captured_endpoint: Endpoint) -> None:
    captured_endpoint.fails(424, "ModelError", Message="m", OriginalStatusCode=400, OriginalMessage='{"error": "no"}')
    assert refusal(account, request(b"1", content_type="text/csv"))[0] == 400
    assert objects(account) == {}


@pytest.mark.usefixtures("endpoint")
def test_nothing_is_captured_where_sagemaker_does_it(account: StandInAccount, record: CallRecord) -> None:
    ask(account, request(b"1", content_type="text/csv"))
    assert [call.operation for call in record.calls()] == ["InvokeEndpoint"]


def test_nothing_is_captured_of_no_percent(account: StandInAccount, runtime: Runtime, record: CallRecord) -> None:
    prepare(account)
    put_api(account, SERVERLESS, {"SAGEMAKER_RUNTIME": runtime.address}, CapturePercent="0")
    runtime.endpoint = Endpoint()
    assert logged(account, request(b"1", content_type="text/csv")) == (200, [])
    assert [call.operation for call in record.calls()] == ["InvokeEndpoint"]


@pytest.mark.parametrize("failure", ["it is gone", "it hangs", "it cannot be reached"])
def test_an_answer_does_not_depend_on_the_stream_and_what_is_lost_is_counted(
    account: StandInAccount, runtime: Runtime, record: CallRecord, failure: str
) -> None:
    prepare(account)
    runtime.endpoint = Endpoint()
    elsewhere = {"it hangs": runtime.address, "it cannot be reached": "http://127.0.0.1:9"}
    addresses = {"FIREHOSE": elsewhere[failure]} if failure in elsewhere else {}
    put_api(account, SERVERLESS, {"SAGEMAKER_RUNTIME": runtime.address, **addresses})
    if failure == "it is gone":
        account.client("firehose").delete_delivery_stream(DeliveryStreamName=STREAM)
    status, metrics = logged(account, request(b"1", content_type="text/csv"))
    assert status == 200
    require_one_lost(metrics)
    assert [call.operation for call in record.calls()] == ["InvokeEndpoint", "PutRecord"]
    sent = [path for path, *_ in runtime.endpoint.asked if not path.startswith("/endpoints/")]
    assert len(sent) == (failure == "it hangs"), "it is not sent again"


def test_a_record_that_is_too_large_for_the_stream_is_not_sent_and_is_counted(
    account: StandInAccount, captured_endpoint: Endpoint, record: CallRecord
) -> None:
    captured_endpoint.body = b"0" * 600_000
    status, metrics = logged(account, request(b"1" * 600_000, content_type="text/csv"))
    assert status == 200
    require_one_lost(metrics)
    assert [call.operation for call in record.calls()] == ["InvokeEndpoint"]


@pytest.mark.usefixtures("captured_endpoint")
def test_the_role_of_the_api_may_put_records_and_nothing_more(account: StandInAccount, record: CallRecord) -> None:
    ask(account, request(b"1", content_type="text/csv"))
    require_equal_grants(record.calls(), SERVERLESS)


def test_the_role_of_the_api_may_ask_its_endpoint_and_write_its_log_and_nothing_more(
    account: StandInAccount, endpoint: Endpoint, record: CallRecord
) -> None:
    ask(account, request(b"1", content_type="text/csv"))
    require_equal_grants(record.calls(), {})


def require_equal_grants(calls: list[Call], answers: dict[str, str]) -> None:
    """The role of the function is allowed what its calls need, in each environment, and its log, and nothing more."""
    assert {call.role for call in calls} == {GIVEN["ApiRoleArn"]}
    workload = said("workload", answers, **WORKLOAD).resources["ApiRole"]["Properties"]
    documents = [policy["PolicyDocument"] for policy in workload["Policies"]]
    own = {"region": REGION, "account": "123456789012"}
    needed = [
        need
        for environment in ("staging", "production")
        for need in (
            *needs([of_environment(call, environment) for call in calls]),
            *service_needs("lambda logs", log_group=f"/aws/lambda/{SLUG}-{environment}-api", **own),
        )
    ]
    assert policies.findings(FUNCTION, RolePolicies(documents), needed, [f"{SLUG}-", "123456789012"]) == []
