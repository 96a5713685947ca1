"""`smoke`: right answers first, then the limits under load."""

import io
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from hypothesis import given
from hypothesis import strategies as st

from mlops.base.errors import MlopsError
from mlops.base.limits import MAX_CONCURRENCY
from mlops.endpoints import load_test
from mlops.endpoints.load_test import Load
from mlops.endpoints.sagemaker import AwsEndpoint
from mlops.project.account import Account
from tests.machinery.deployment.small_project import ACCOUNT, NAMES, REGION
from tests.projects import mlops, mlops_json


def load(*milliseconds: float, errors: int = 0) -> Load:
    return Load(len(milliseconds) + errors, tuple(sorted(milliseconds)), "it said no" if errors else "")


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=300), st.sampled_from([50, 95, 99, 100]))
def test_a_percentile_is_a_measured_value_that_so_many_percent_do_not_exceed(values: list[float], percent: int) -> None:
    found = load(*values).percentile(percent)
    assert found in values
    assert sum(value <= found for value in values) >= percent / 100 * len(values)
    assert sum(value < found for value in values) < percent / 100 * len(values)


def test_limits_that_are_kept_are_not_broken() -> None:
    assert load(*range(1, 101)).broken(99, 0) == []
    assert load(1, 2, 3, errors=1).broken(3, 0.25) == []


def test_each_broken_limit_is_named_with_what_was_measured() -> None:
    slow, failing = load(*range(1, 201), errors=50).broken(100, 0.1)
    assert slow == "20.00% of the requests failed; smoke.max_error_share allows 10.00%. First error: it said no"
    assert failing == "The p99 is 198 ms; smoke.max_p99_ms allows 100 ms."


def test_what_answers_nothing_breaks_both_limits_and_is_json() -> None:
    nothing = load(errors=3)
    assert len(nothing.broken(1e9, 0.99)) == 2
    assert nothing.percentile(50) == math.inf
    assert nothing.document() == {"requests": 3, "error_share": 1, "p50_ms": None, "p95_ms": None, "p99_ms": None}


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([0.5], "A request of 2 rows returned 1 predictions"),
        ([0.5, 0.25, 0.25], "A request of 2 rows returned 3 predictions"),
        ([0.5, 0.26], r"Row 2: the endpoint predicts 0\.260000, the registered model 0\.250000"),
    ],
)
def test_a_wrong_answer_is_told(answers: list[float], said: str) -> None:
    load_test.require_correct([0.5, 0.2501], 2, [0.5, 0.25])
    with pytest.raises(MlopsError, match=said):
        load_test.require_correct(answers, 2, [0.5, 0.25])


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("0.5\nnan\n", "not a probability"),
        ("1.01\n", "not a probability"),
        ("-0.1", "not a probability"),
        ("{}", "not a number"),
    ],
)
def test_an_answer_that_is_no_probability_is_told(answer: str, said: str) -> None:
    assert load_test.probabilities("0\n1\n0.5\n") == [0, 1, 0.5]
    with pytest.raises(MlopsError, match=said):
        load_test.probabilities(answer)


def test_every_request_is_sent_in_turns_and_what_is_wrong_with_an_answer_counts_as_an_error() -> None:
    asked: list[bytes] = []

    def ask(body: bytes) -> str:
        asked.append(body)
        if body == b"refused":
            raise MlopsError("no")
        return "0.5\n0.5\n" if body == b"two" else "0.5\n"

    done = load_test.load(ask, [b"one", b"two", b"refused", b"four"], 10, 3)
    assert sorted(asked) == sorted([b"one", b"two", b"refused", b"four"] * 2 + [b"one", b"two"])
    assert (done.requests, done.error_share, len(done.milliseconds)) == (10, 0.5, 5)
    assert done.first_error == "A request of one row did not return one probability."


class Body(io.BytesIO):
    """What a server has sent, as botocore reads it."""

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self.read()


def answer(status: int, body: bytes, code: str = "") -> AWSResponse:
    return AWSResponse("", status, {"x-amzn-errortype": code, "content-type": "text/csv"}, Body(body))


def test_what_is_throttled_once_is_one_error_and_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    account = Account(id=ACCOUNT, region=REGION, bucket="data", role="role")
    answers = iter([answer(429, b"{}", "ThrottlingException"), *(answer(200, b"0.5\n") for _ in range(9))])
    account.runtime.meta.events.register("before-send.sagemaker-runtime", lambda **_: next(answers))
    endpoint = AwsEndpoint(account, NAMES, "staging", queued=False)
    done = load_test.load(lambda body: endpoint.invoke(body, "text/csv", "text/csv"), [b"1\n"], 10, 1)
    assert (done.requests, len(done.milliseconds)) == (10, 9)
    assert "ThrottlingException" in done.first_error


def test_as_many_requests_at_a_time_as_may_be_asked_for_have_connections(after_run: Path) -> None:
    account = Account(id=ACCOUNT, region=REGION, bucket="data", role="role")
    assert account.runtime.meta.config.max_pool_connections == MAX_CONCURRENCY
    refused = mlops(after_run, "smoke", "--concurrency", str(MAX_CONCURRENCY + 1), check=False)
    assert refused.returncode == 2
    assert "--concurrency between 1 and 1000" in refused.stderr


@pytest.fixture
def served(after_run: Path) -> Iterator[Path]:
    """A project whose first version is served on this machine."""
    mlops(after_run, "approve", "latest")
    mlops(after_run, "serve", "--detach", "--port", "0", "--workers", "1")
    yield after_run
    mlops(after_run, "serve", "--stop")


def limits(project: Path, p99: float) -> None:
    path = project / "config/local.yaml"
    path.write_text(re.sub(r"max_p99_ms: .*", f"max_p99_ms: {p99}", path.read_text()))


def test_what_is_served_here_answers_rightly_and_keeps_its_limits_or_breaks_them(served: Path) -> None:
    limits(served, 60_000)
    said = mlops_json(served, "smoke", "--requests", "20", "--concurrency", "2")
    assert (said["version"], said["rows"], said["requests"], said["error_share"], said["broken"]) == (1, 3, 20, 0, [])
    assert 0 < said["p50_ms"] <= said["p95_ms"] <= said["p99_ms"]
    printed = mlops(served, "smoke", "--requests", "20").stdout
    assert [line.split()[0] for line in printed.splitlines()[1:]] == ["requests", "errors", "p50", "p95", "p99"]
    limits(served, 0.001)
    broken = mlops(served, "smoke", "--requests", "20", check=False)
    assert broken.returncode == 1
    assert "smoke.max_p99_ms allows 0 ms" in broken.stderr
    assert "config/local.yaml" in broken.stderr


def test_monitoring_leaves_out_what_it_asks_and_says_so(served: Path) -> None:
    limits(served, 60_000)
    mlops(served, "smoke", "--requests", "200")
    said = mlops(served, "monitor").stdout
    assert "0 rows in 0 requests, 201 requests of `smoke` excluded" in said
    assert "No requests" in said
    mlops(served, "invoke", "data/request.csv")
    window = mlops_json(served, "monitor", "--since", "1h")
    found = window["versions"]["1"]
    assert (found["records"], found["rows"], found["smoke"]) == (1, 3, 201)
    assert "Excluded requests of <code>smoke</code>: 201." in Path(window["report"]).read_text()


def test_rows_that_the_model_refuses_and_files_that_hold_none_are_told(served: Path) -> None:
    (served / "empty.csv").write_text("year\n")
    (served / "odd.csv").write_text("year\nabc\n")
    for file, code, said in (
        ("empty.csv", 2, "empty.csv has no rows below its header."),
        ("none.csv", 2, "Cannot read none.csv"),
        ("odd.csv", 2, "Invalid request"),
    ):
        done = mlops(served, "smoke", "--file", file, check=False)
        assert done.returncode == code, done.stderr
        assert said in done.stderr


def test_where_nothing_is_served_that_is_told(project: Path) -> None:
    done = mlops(project, "smoke", check=False)
    assert done.returncode == 1
    assert "Nothing is deployed to local." in done.stderr
    assert mlops(project, "smoke", "--requests", "0", check=False).returncode == 2
