"""The application without a network: what it answers to which request."""

import asyncio
import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops.base.handlers import Handlers
from mlops.serving.app import OFF_LOOP_BYTES, Application
from mlops.serving.engine import Engine
from mlops.serving.recorder import Recorder
from model.schema import SCHEMA
from modelkit import inference

ROW = ["1", "site-1", "100", "1", "1000", "", "13749", "4", "12", "42.9", "0", "0", "95", "13.7", "0", "", "good"]
CSV_ROW = (",".join(ROW) + "\n").encode()
VALUES = [1, "site-1", 100, True, 1000, None, 13749, 4, 12, 42.9, False, False, 95, 13.7, 0, None, "good"]
OBJECT = dict(zip(SCHEMA.feature_names, VALUES, strict=True))
LARGEST = 200_000


def predict_fn(matrix: Any, model: Any) -> Any:
    """Stands in for a model: the share of the income that a row has of 100 000."""
    return np.nan_to_num(matrix[:, SCHEMA.feature_names.index("income")]) / 100_000


def engine(**halves: Any) -> Engine:
    handlers = Handlers(
        Path(), None, inference.input_fn, predict_fn, inference.output_fn, inference.decode_fn, inference.assemble_fn
    )
    return Engine(handlers, in_halves=True, **halves)


class Client:
    """Asks an application as a server does."""

    def __init__(self, application: Application) -> None:
        self.application = application

    def ask(
        self, body: bytes | list[bytes] = CSV_ROW, path: str = "/invocations", method: str = "POST", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        names = {"content_type": "text/csv"} | headers
        raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in names.items() if value]
        return self.ask_raw(body if isinstance(body, list) else [body], path, method, raw)

    def ask_raw(
        self, parts: list[bytes], path: str, method: str, headers: list[tuple[bytes, bytes]], gone: bool = False
    ) -> tuple[int, dict[str, str], bytes]:
        messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
        if gone:
            messages.append({"type": "http.disconnect"})
        else:
            messages[-1]["more_body"] = False
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return messages.pop(0)

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        scope = {"type": "http", "path": path, "method": method, "headers": headers}
        asyncio.run(self.application(scope, receive, send))
        if not sent:
            return 0, {}, b""
        start, end = sent
        answer_headers = {name.decode(): value.decode() for name, value in start["headers"]}
        assert answer_headers["content-length"] == str(len(end["body"]))
        return start["status"], answer_headers, end["body"]


@pytest.fixture(scope="module")
def client() -> Client:
    return Client(Application(engine(), LARGEST))


def test_a_response_larger_than_what_carries_it_is_refused_and_a_smaller_one_is_not() -> None:
    client = Client(Application(engine(), LARGEST, largest_response=40))
    assert client.ask(CSV_ROW * 2)[0] == 200
    answer = client.ask(CSV_ROW * 3)
    assert (answer[0], reason(answer)) == (413, "the response is larger than 40 bytes; send fewer rows at a time")


def reason(answer: tuple[int, dict[str, str], bytes]) -> str:
    assert answer[1]["content-type"] == "application/json"
    return str(json.loads(answer[2])["error"])


def test_ping_is_well_when_there_is_a_model(client: Client) -> None:
    assert client.ask(b"", "/ping", "GET")[0] == 200


@pytest.mark.parametrize(("path", "method"), [("/ping", "GET"), ("/invocations", "POST")])
def test_without_a_model_everything_is_unavailable_with_the_reason(path: str, method: str) -> None:
    answer = Client(Application("the archive is damaged", LARGEST)).ask(path=path, method=method)
    assert (answer[0], reason(answer)) == (503, "the archive is damaged")


@pytest.mark.parametrize("engine_", [engine(), "the archive is damaged"])
def test_sagemaker_s_question_for_metrics_is_neither_refused_nor_logged(
    engine_: Engine | str, caplog: pytest.LogCaptureFixture
) -> None:
    client = Client(Application(engine_, LARGEST))
    status, headers, body = client.ask(b"", "/metrics", "GET")
    assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4")
    assert body.startswith(b"# HELP mlops_requests_total ")
    assert (client.application.answered, client.application.refused, caplog.records) == (0, {}, [])


@pytest.mark.parametrize(
    ("content_type", "body", "answer"),
    [
        ("text/csv", CSV_ROW * 2, b"0.13749000430107117\n0.13749000430107117\n"),
        ("text/csv; charset=UTF-8", CSV_ROW, b"0.13749000430107117\n"),
        ("TEXT/CSV", CSV_ROW, b"0.13749000430107117\n"),
        ("application/json", json.dumps({"instances": [OBJECT]}).encode(), b'{"predictions": [0.13749000430107117]}'),
        ("application/json", json.dumps([list(OBJECT.values())]).encode(), b'{"predictions": [0.13749000430107117]}'),
        ("application/jsonlines", json.dumps(OBJECT).encode(), b'{"prediction": 0.13749000430107117}\n'),
    ],
)
def test_it_answers_in_the_type_of_the_request(client: Client, content_type: str, body: bytes, answer: bytes) -> None:
    status, headers, received = client.ask(body, content_type=content_type)
    assert (status, received) == (200, answer)
    assert headers["content-type"] == content_type.partition(";")[0].lower()


@pytest.mark.parametrize(
    ("accept", "answer_type"),
    [
        ("*/*", "text/csv"),
        ("", "text/csv"),
        ("application/*", "application/json"),
        ("application/json", "application/json"),
        ("image/png, application/jsonlines", "application/jsonlines"),
        ("text/csv;q=0.2, application/json;q=0.9", "application/json"),
        ("text/csv;q=0, */*;q=0.1", "text/csv"),
        ("application/json;q=much", "application/json"),
    ],
)
def test_it_answers_in_the_best_type_that_the_client_accepts(client: Client, accept: str, answer_type: str) -> None:
    status, headers, _ = client.ask(accept=accept)
    assert (status, headers["content-type"]) == (200, answer_type)


@pytest.mark.parametrize(
    ("status", "said", "request_"),
    [
        (400, "row 1 has 2 values", {"body": b"1,2"}),
        (400, "row 2, column 'income'", {"body": CSV_ROW + CSV_ROW.replace(b"13749", b"much")}),
        (400, "has no rows", {"body": b""}),
        (400, "not UTF-8", {"body": b"\xff"}),
        (400, "not valid JSON", {"body": b"{", "content_type": "application/json"}),
        (404, "unknown path '/'", {"path": "/"}),
        (405, "/invocations only allows POST", {"method": "GET"}),
        (405, "/ping only allows GET", {"path": "/ping"}),
        (405, "/metrics only allows GET", {"path": "/metrics"}),
        (406, "no type in 'image/png'", {"accept": "image/png"}),
        (406, "no type in 'text/csv;q=0'", {"accept": "text/csv;q=0"}),
        (413, f"larger than {LARGEST} bytes", {"body": b"1" * (LARGEST + 1)}),
        (413, f"larger than {LARGEST} bytes", {"body": [b"1" * (LARGEST // 2)] * 3}),
        (413, f"larger than {LARGEST} bytes", {"content_length": str(LARGEST + 1)}),
        (415, "no Content-Type", {"content_type": ""}),
        (415, "'image/png' is not supported", {"content_type": "image/png"}),
        (415, "charset latin-1", {"content_type": "text/csv; charset=latin-1"}),
        (415, "coding 'gzip'", {"content_encoding": "gzip"}),
    ],
)
def test_a_request_that_cannot_be_answered_is_told_why(
    client: Client, status: int, said: str, request_: dict[str, Any]
) -> None:
    answer = client.ask(**request_)
    assert answer[0] == status
    assert said in reason(answer)


def test_a_wrong_method_is_told_the_right_one(client: Client) -> None:
    assert client.ask(method="PUT")[1]["allow"] == "POST"


def test_a_client_that_goes_away_gets_nothing_and_counts_as_nothing(client: Client) -> None:
    before = client.application.answered
    headers = [(b"content-type", b"text/csv")]
    assert client.ask_raw([CSV_ROW], "/invocations", "POST", headers, gone=True) == (0, {}, b"")
    assert client.application.answered == before


def test_a_body_in_parts_is_one_request(client: Client) -> None:
    assert client.ask([CSV_ROW[:5], b"", CSV_ROW[5:]])[0] == 200


def test_a_large_body_gets_the_answer_that_a_small_one_gets(client: Client) -> None:
    rows = OFF_LOOP_BYTES // len(CSV_ROW) + 1
    status, _, answer = client.ask(CSV_ROW * rows)
    assert (status, answer) == (200, client.ask()[2] * rows)


@pytest.mark.parametrize(("rows", "thread"), [(1, "MainThread"), (OFF_LOOP_BYTES, "large-requests_0")])
def test_only_large_bodies_are_answered_beside_the_loop(rows: int, thread: str) -> None:
    threads = set()

    def decode_fn(body: bytes, content_type: str) -> list[list[float]]:
        threads.add(threading.current_thread().name)
        return inference.decode_fn(CSV_ROW, content_type)

    def input_fn(body: bytes, content_type: str) -> Any:
        return inference.assemble_fn(decode_fn(body, content_type))

    handlers = Handlers(Path(), None, input_fn, predict_fn, inference.output_fn, decode_fn, inference.assemble_fn)
    assert Client(Application(Engine(handlers, in_halves=True), 10**9)).ask(CSV_ROW * rows)[0] == 200
    assert threads == {thread}


def test_handlers_that_fail_are_said_in_the_log_only(caplog: pytest.LogCaptureFixture) -> None:
    def broken(rows: Any) -> Any:
        raise RuntimeError("a secret")

    with caplog.at_level(logging.ERROR):
        answer = Client(Application(engine(small=broken), LARGEST)).ask()
    assert answer[0] == 500
    assert "secret" not in reason(answer)
    assert "RuntimeError: a secret" in caplog.text


@pytest.mark.parametrize("in_halves", [True, False])
def test_a_model_that_refuses_what_was_read_is_at_fault_and_not_who_asks(in_halves: bool) -> None:
    def broken(rows: Any, model: Any) -> Any:
        raise ValueError("feature_names mismatch")  # as XGBoost says it

    handlers = Handlers(
        Path(), None, inference.input_fn, broken, inference.output_fn, inference.decode_fn, inference.assemble_fn
    )
    assert Client(Application(Engine(handlers, in_halves=in_halves), LARGEST)).ask()[0] == 500


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    made = Recorder(tmp_path)
    yield made
    made.close()


def records(recorder: Recorder, folder: Path) -> list[dict[str, Any]]:
    recorder.close()
    return [json.loads(line) for path in folder.rglob("*.jsonl") for line in path.read_text().splitlines()]


def test_answered_requests_are_captured_and_refused_ones_are_not(recorder: Recorder, tmp_path: Path) -> None:
    client = Client(Application(engine(), LARGEST, recorder))
    answer = client.ask(x_amzn_sagemaker_inference_id="order-7", accept="application/json")[2]
    client.ask(b"1,2")
    [record] = records(recorder, tmp_path)
    data = record["captureData"]
    assert data["endpointInput"] == {
        "observedContentType": "text/csv", "mode": "INPUT", "data": CSV_ROW.decode(), "encoding": "CSV",
    }  # fmt: skip
    assert data["endpointOutput"] == {
        "observedContentType": "application/json", "mode": "OUTPUT", "data": answer.decode(), "encoding": "JSON",
    }  # fmt: skip
    assert record["eventMetadata"]["inferenceId"] == "order-7"


def test_a_share_of_the_answered_requests_is_captured(recorder: Recorder, tmp_path: Path) -> None:
    client = Client(Application(engine(), LARGEST, recorder, 0.5))
    for _ in range(200):
        client.ask()
    assert 40 < len(records(recorder, tmp_path)) < 160


MEDIA = st.sampled_from(
    ["text/csv", "application/json", "application/jsonlines", "text/csv;charset=x", "*/*", "a/b;q=2"]
)
HEADERS = st.dictionaries(
    st.sampled_from([b"content-type", b"accept", b"content-encoding", b"x-amzn-sagemaker-inference-id"]),
    st.one_of(MEDIA.map(str.encode), st.binary(max_size=30)),
)
BODIES = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=200).map(str.encode),
    st.lists(st.sampled_from([*ROW, "", "?", "1e999", "nan", '"'])).map(lambda row: ",".join(row).encode()),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=18) | st.dictionaries(st.sampled_from(SCHEMA.feature_names), inner),
        max_leaves=20,
    ).map(lambda document: json.dumps(document).encode()),
)


METHODS = st.sampled_from(["POST", "POST", "POST", "GET", "HEAD"])
PATHS = st.sampled_from(["/invocations", "/invocations", "/ping", "/\u0000"])


@settings(max_examples=300, deadline=None)
@given(BODIES, HEADERS, METHODS, PATHS)
def test_no_request_is_the_servers_fault(
    client: Client, body: bytes, headers: dict[bytes, bytes], method: str, path: str
) -> None:
    status, _, answer = client.ask_raw([body], path, method, list(headers.items()))
    assert status == 200 or 400 <= status < 500
    assert status == 200 or json.loads(answer)["error"]
