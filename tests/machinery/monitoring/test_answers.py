"""`mlops.monitoring.answers`: what an asynchronous endpoint answered, by the notices of SageMaker."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest

from mlops.monitoring.answers import find
from mlops.monitoring.intervals import Interval, Intervals
from mlops.monitoring.pairs import Pairs
from mlops.monitoring.place import Place
from tests.machinery.monitoring.test_batch_lists import END, MINUTE, START, Objects

FOLDER = "s3://captured/visits/async/production"
ANSWERED = datetime.fromisoformat("2026-11-20T05:10:00.608Z")
FIRST = f"{FOLDER}/notices/2026/11/20/05/stream-1.jsonl"


@dataclass
class Endpoint(Objects):
    """The storage of an asynchronous endpoint."""

    percentage: float = 100

    def answer(self, name: str, time: datetime = ANSWERED, version: int = 7, uri: str = FIRST, **changed: Any) -> str:
        """Upload a request and its response, and deliver the notice, which is returned."""
        text = notice(name, time, version, **changed)
        self.put(f"{FOLDER}/requests/{name}", time - 2 * MINUTE)
        self.put(f"{FOLDER}/answers/{version}/{name}.out", time)
        self.put(uri, time, self.content.get(uri, (time, ""))[1] + text)
        return text


def notice(name: str, time: datetime = ANSWERED, version: int = 7, **changed: Any) -> str:
    """A notice, as SageMaker documents it."""
    when = time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    content = {
        "awsRegion": "eu-central-1",
        "eventTime": when,
        "receivedTime": when,
        "invocationStatus": "Completed",
        "requestParameters": {
            "accept": "text/csv",
            "contentType": "application/json",
            "endpointName": "visits-production",
            "inputLocation": f"{FOLDER}/requests/{name}",
        },
        "responseParameters": {
            "contentType": "text/csv; charset=utf-8",
            "outputLocation": f"{FOLDER}/answers/{version}/{name}.out",
        },
        "inferenceId": f"id-{name}",
        "eventVersion": "1.0",
        "eventSource": "aws:sagemaker",
        "eventName": "InferenceResult",
    }
    return json.dumps(content | changed, separators=(",", ":")) + "\n"


def found(
    endpoint: Endpoint, start: datetime | None = START, live: int | None = 7, label_delay: timedelta = timedelta(0)
) -> Mapping[int, Pairs]:
    place: Place = endpoint  # type: ignore[assignment]  # what `find` does not call is missing
    window = Interval(start, END)
    pairs = find(place, "production", live, Intervals(window, window.earlier(label_delay)))
    return {number: each for number, each in pairs.items() if each}


@pytest.fixture
def endpoint() -> Endpoint:
    return Endpoint()


def test_requests_are_paired_with_their_responses_by_the_version_that_answered(endpoint: Endpoint) -> None:
    endpoint.answer("a")
    endpoint.answer("b", version=8)
    pairs = found(endpoint)
    assert pairs.keys() == {7, 8}
    [pair] = pairs[7].pairs
    assert (pair.input, pair.output) == (f"{FOLDER}/requests/a", f"{FOLDER}/answers/7/a.out")
    assert (pair.time, pair.id) == (ANSWERED, "id-a")
    assert (pair.input_type, pair.output_type) == ("application/json", "text/csv; charset=utf-8")
    assert [pair.id for pair in pairs[8].pairs] == ["id-b"]


def test_nothing_is_found_where_nothing_was_answered(endpoint: Endpoint) -> None:
    assert found(endpoint) == {}


@pytest.mark.parametrize(
    ("time", "expected"), [(START, 1), (START - MINUTE, 0), (END - MINUTE, 1), (END, 0), (END + 120 * MINUTE, 0)]
)
def test_a_request_belongs_to_the_window_in_which_it_was_answered(
    endpoint: Endpoint, time: datetime, expected: int
) -> None:
    endpoint.answer("a", time, uri=f"{FOLDER}/notices/{time:%Y/%m/%d/%H}/stream-1.jsonl")
    assert sum(len(each.pairs) for each in found(endpoint).values()) == expected


def test_a_request_whose_label_is_due_is_found_again(endpoint: Endpoint) -> None:
    endpoint.answer("a", ANSWERED - 60 * MINUTE, uri=f"{FOLDER}/notices/2026/11/20/04/stream-1.jsonl")
    assert found(endpoint) == {}
    assert [pair.id for pair in found(endpoint, label_delay=60 * MINUTE)[7].pairs] == ["id-a"]


@pytest.mark.parametrize("separator", ["\n", "", "\r\n", "  "])
def test_notices_may_have_no_line_ends_between_them_and_come_twice(endpoint: Endpoint, separator: str) -> None:
    texts = [endpoint.answer(name).strip() for name in "ab"]
    endpoint.put(FIRST, ANSWERED, separator.join([*texts, texts[0]]))
    endpoint.put(FIRST.replace("stream-1", "stream-2"), ANSWERED, texts[1])
    assert [pair.id for pair in found(endpoint)[7].pairs] == ["id-a", "id-b"]


@pytest.mark.parametrize(
    "damaged",
    [
        "no JSON",
        "[" * 100_000,
        "7",
        "[]",
        "{}",
        "null",
        notice("x", eventTime="yesterday"),
        notice("x", eventTime=7),
        notice("x", inferenceId=None),
        notice("x", requestParameters=None),
        notice("x", responseParameters={"outputLocation": f"{FOLDER}/answers/x.out"}),
        notice("x", responseParameters={"outputLocation": "s3://elsewhere/answers/7/x.out"}),
        notice("x", requestParameters={"inputLocation": "s3://elsewhere/x", "contentType": 1}),
    ],
)
def test_a_notice_that_cannot_be_read_counts_and_the_others_are_read(endpoint: Endpoint, damaged: str) -> None:
    before, after = endpoint.answer("a"), endpoint.answer("b")
    endpoint.put(FIRST, ANSWERED, f"{before}{damaged.strip()}\n{after}")
    pairs = found(endpoint)[7]
    assert [pair.id for pair in pairs.pairs] == ["id-a", "id-b"]
    assert pairs.unreadable == [f"{FIRST}: a notice cannot be read"]


def test_the_test_of_the_topic_is_no_answer(endpoint: Endpoint) -> None:
    endpoint.put(FIRST, ANSWERED, json.dumps({"eventName": "TestNotification", "eventSource": "aws:sagemaker"}))
    assert found(endpoint) == {}


@pytest.mark.parametrize(("live", "expected"), [(9, {9}), (None, {8})])
def test_what_names_no_version_counts_for_the_one_in_use(
    endpoint: Endpoint, live: int | None, expected: set[int]
) -> None:
    endpoint.answer("a", version=8)
    endpoint.put(FIRST.replace("stream-1", "stream-2"), ANSWERED, "damaged")
    pairs = found(endpoint, live=live)
    assert {number for number, each in pairs.items() if each.unreadable} == expected


def test_what_names_no_version_is_logged_where_no_version_answered(
    endpoint: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint.put(FIRST, ANSWERED, "damaged")
    assert found(endpoint, live=None) == {}
    assert f"{FIRST}: a notice cannot be read" in caplog.text


def test_what_is_gone_or_replaced_is_unreadable(endpoint: Endpoint) -> None:
    for name in "abcd":
        endpoint.answer(name)
    del endpoint.content[f"{FOLDER}/requests/a"]
    del endpoint.content[f"{FOLDER}/answers/7/b.out"]
    endpoint.put(f"{FOLDER}/requests/c", ANSWERED + MINUTE)
    pairs = found(endpoint)[7]
    assert [pair.id for pair in pairs.pairs] == ["id-d"]
    assert sorted(pairs.unreadable) == [
        f"{FOLDER}/answers/7/b.out: it does not exist",
        f"{FOLDER}/requests/a: it does not exist",
        f"{FOLDER}/requests/c: it was replaced after it was predicted",
    ]


def test_requests_that_are_not_in_the_project_s_folder_are_unreadable(endpoint: Endpoint) -> None:
    endpoint.answer("a", requestParameters={"inputLocation": "s3://elsewhere/a"})
    assert found(endpoint)[7].unreadable == ["s3://elsewhere/a: it does not exist"]


def test_a_sample_has_about_its_share_of_the_requests_and_always_the_same(endpoint: Endpoint) -> None:
    for number in range(1_000):
        endpoint.answer(str(number))
    endpoint.percentage = 30
    sample = [pair.id for pair in found(endpoint)[7].pairs]
    assert 250 < len(sample) < 350
    assert [pair.id for pair in found(endpoint)[7].pairs] == sample
