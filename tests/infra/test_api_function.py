"""The function behind the HTTP API, run as Lambda runs it against an endpoint whose answers are scripted."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

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

FUNCTION = f"{SLUG}-production-api"
WORKLOAD = {
    "AWS::Region": REGION,
    "LogBucket": f"sagemaker-{SLUG}-{ID}-logs",
    "DataKeyArn": GIVEN["WorkloadKeyArn"],
    "ModelBucket": f"sagemaker-{SLUG}-{ID}-model",
    "ModelKeyArn": GIVEN["WorkloadKeyArn"],
    "ModelPackageGroup": SLUG,
}
SECRET = "arn:aws:logs:eu-west-1:123456789012:log-group:secret"


@dataclass
class Endpoint:
    """What SageMaker's runtime answers, and what it was asked.

    Attributes:
        status: The status of its answers.
        headers: Their headers.
        body: Their body.
        asked: Path, headers and body of each request.
        hangs: Whether it reads a request and says nothing.
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
            if endpoint.hangs:
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
        api = stack("api", {}, AnswerSeconds="2", MaxPayloadMegabytes="1")
        place = "Function/Properties/Environment/Variables/AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"
        deploy.put(account, Stack(api.name, changed({place: runtime.address}, api.template), api.parameters))

    account.cloud.once(("api", runtime.address), deploy_api)
    runtime.endpoint = Endpoint()
    return runtime.endpoint


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
    return replace(call, parameters={**call.parameters, "EndpointName": f"{SLUG}-{environment}"})


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


def test_the_role_of_the_api_may_ask_its_endpoint_and_write_its_log_and_nothing_more(
    account: StandInAccount, endpoint: Endpoint, record: CallRecord
) -> None:
    ask(account, request(b"1", content_type="text/csv"))
    [call] = record.calls()
    assert call.role == GIVEN["ApiRoleArn"]
    workload = said("workload", {}, **WORKLOAD).resources["ApiRole"]["Properties"]
    documents = [policy["PolicyDocument"] for policy in workload["Policies"]]
    own = {"region": REGION, "account": "123456789012"}
    needed = [
        need
        for environment in ("staging", "production")
        for need in (
            *needs([of_environment(call, environment)]),
            *service_needs("lambda logs", log_group=f"/aws/lambda/{SLUG}-{environment}-api", **own),
        )
    ]
    assert policies.findings(FUNCTION, RolePolicies(documents), needed, [f"{SLUG}-", "123456789012"]) == []
