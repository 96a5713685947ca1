"""`mlops.monitoring.batches`: what batch transform jobs have predicted, by the lists that they write."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from mlops.monitoring.batches import find
from mlops.monitoring.intervals import Interval, Intervals
from mlops.monitoring.pairs import Pairs
from mlops.monitoring.place import Layout, Listed, Place

LAYOUT = Layout("visits", "s3://captured/visits", "s3://data/visits")
LISTS = "s3://captured/visits/capture/7/visits-production-batch/AllTraffic"
INPUT, OUTPUT = "s3://data/visits/batch/", "s3://captured/visits/batch/production/0123/"
START, END = datetime(2026, 11, 20, 4, 45, tzinfo=UTC), datetime(2026, 11, 20, 5, 45, tzinfo=UTC)
LISTED = datetime(2026, 11, 20, 5, 10, tzinfo=UTC)
HOUR = "2026/11/20/03"
"""The job started then."""
MINUTE = timedelta(minutes=1)


@dataclass
class Objects:
    """A storage of objects: their times and contents."""

    content: dict[str, tuple[datetime, str]] = field(default_factory=dict)
    layout: Layout = LAYOUT

    def put(self, uri: str, time: datetime, content: str = "") -> None:
        self.content[uri] = (time, content)

    def job(
        self, names: str, listed: datetime = LISTED, hour: str = HOUR, name: str = "a", output: str = OUTPUT
    ) -> None:
        """A job that predicted some objects, which another job may have predicted too."""
        for each in names.split():
            self.content.setdefault(f"{INPUT}{each}", (listed - 90 * MINUTE, ""))
            self.put(f"{output}{each}.out", listed - MINUTE)
        self.lists(names, " ".join(f"{each}.out" for each in names.split()), listed, hour, name, output)

    def lists(
        self, inputs: str, outputs: str, time: datetime = LISTED, hour: str = HOUR, name: str = "a", to: str = OUTPUT
    ) -> None:
        self.put(f"{LISTS}/input/{hour}/{name}", time, json.dumps([{"prefix": INPUT}, *inputs.split()]))
        self.put(f"{LISTS}/output/{hour}/{name}", time, json.dumps([{"prefix": to}, *outputs.split()]))

    def objects(self, uri: str, after: str = "") -> Iterator[Listed]:
        for each, (time, _) in sorted(self.content.items()):
            if each.startswith(f"{uri}/") and (name := each.removeprefix(f"{uri}/")) > after:
                yield Listed(name, time)

    def read(self, uri: str) -> bytes | None:
        return self.content[uri][1].encode() if uri in self.content else None


def found(
    objects: Objects, start: datetime | None = START, end: datetime = END, label_delay: timedelta = timedelta(0)
) -> Pairs:
    place: Place = objects  # type: ignore[assignment]  # what `find` does not call is missing
    window = Interval(start, end)
    return find(place, "production", 7, Intervals(window, window.earlier(label_delay)))


def names(batches: Pairs) -> list[tuple[str, str]]:
    return [(pair.input, pair.output) for pair in batches.pairs]


@pytest.fixture
def objects() -> Objects:
    return Objects()


def test_outputs_are_paired_with_the_inputs_of_their_names(objects: Objects) -> None:
    objects.job("a.csv 2026/b.csv")
    batches = found(objects)
    assert names(batches) == [
        (f"{INPUT}a.csv", f"{OUTPUT}a.csv.out"),
        (f"{INPUT}2026/b.csv", f"{OUTPUT}2026/b.csv.out"),
    ]
    assert {pair.time for pair in batches.pairs} == {LISTED}
    assert [pair.id for pair in batches.pairs] == ["visits/batch/a.csv", "visits/batch/2026/b.csv"]
    assert batches.unreadable == []


def test_a_job_whose_labels_are_due_is_found_again_and_what_it_left_unreadable_is_not(objects: Objects) -> None:
    objects.job("a.csv", listed=LISTED - 60 * MINUTE)
    objects.lists("a.csv b.csv", "a.csv.out c.csv.out", LISTED - 60 * MINUTE)
    batches = found(objects, label_delay=60 * MINUTE)
    assert [pair.input for pair in batches.pairs] == [f"{INPUT}a.csv"]
    assert batches.unreadable == []


def test_nothing_is_found_where_no_job_ran(objects: Objects) -> None:
    assert not found(objects)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(None, END, 1), (LISTED, END, 1), (LISTED + MINUTE, END, 0), (START, LISTED, 0), (START, LISTED + MINUTE, 1)],
)
def test_a_job_belongs_to_the_window_in_which_it_wrote_its_list(
    objects: Objects, start: datetime | None, end: datetime, expected: int
) -> None:
    objects.job("a.csv")
    batches = found(objects, start, end)
    assert (len(batches.pairs), batches.unreadable) == (expected, [])


def test_jobs_of_one_hour_share_its_inputs(objects: Objects) -> None:
    objects.job("a.csv b.csv", name="1")
    objects.job("a.csv", name="2", listed=LISTED + 20 * MINUTE, output=f"{OUTPUT}again/")
    objects.job("a.csv", name="3", listed=END, output=f"{OUTPUT}later/")
    batches = found(objects)
    assert sorted(pair.output for pair in batches.pairs) == [
        f"{OUTPUT}a.csv.out", f"{OUTPUT}again/a.csv.out", f"{OUTPUT}b.csv.out",
    ]  # fmt: skip
    assert batches.unreadable == []


@pytest.mark.parametrize("separator", ["\n", " ", ""])
def test_a_list_may_be_an_array_or_lines(objects: Objects, separator: str) -> None:
    objects.job("a.csv")
    objects.put(f"{LISTS}/input/{HOUR}/a", LISTED, f'{{"prefix": "{INPUT}"}}{separator}"a.csv"\n')
    objects.put(f"{LISTS}/output/{HOUR}/a", LISTED, json.dumps([{"prefix": OUTPUT}, "a.csv.out"], indent=4))
    assert names(found(objects)) == [(f"{INPUT}a.csv", f"{OUTPUT}a.csv.out")]


@pytest.mark.parametrize("content", ["", "a.csv", '["a.csv"]', '[{"prefix": 1}, "a.csv"]', "[{}]", "1"])
def test_a_list_that_is_none_is_unreadable(objects: Objects, content: str) -> None:
    objects.put(f"{LISTS}/output/{HOUR}/a", LISTED, content)
    assert found(objects).unreadable == [f"{LISTS}/output/{HOUR}/a: it is not a list of objects"]


def test_an_input_without_an_output_is_unreadable_and_the_others_are_read(objects: Objects) -> None:
    objects.job("a.csv")
    objects.lists("a.csv b.csv", "a.csv.out")
    batches = found(objects)
    assert len(batches.pairs) == 1
    assert batches.unreadable == [f"{INPUT}b.csv: it has no output"]


def test_an_output_without_an_input_is_unreadable(objects: Objects) -> None:
    objects.lists("", "a.csv.out a.csv")
    assert found(objects).unreadable == [f"{OUTPUT}{name}: it has no input" for name in ("a.csv.out", "a.csv")]


def test_an_output_that_two_inputs_may_have_is_unreadable(objects: Objects) -> None:
    objects.job("a.csv")
    objects.put(f"{LISTS}/input/{HOUR}/b", LISTED, json.dumps([{"prefix": "s3://data/visits/other/"}, "a.csv"]))
    batches = found(objects)
    assert (batches.pairs, batches.unreadable) == ([], [f"{OUTPUT}a.csv.out: several inputs have its name"])


@pytest.mark.parametrize(
    ("uri", "time", "reason"),
    [
        (f"{INPUT}a.csv", None, "it does not exist"),
        (f"{OUTPUT}a.csv.out", None, "it does not exist"),
        (f"{INPUT}a.csv", LISTED, "it was replaced after it was predicted"),
    ],
)
def test_what_is_gone_or_replaced_is_unreadable(objects: Objects, uri: str, time: datetime | None, reason: str) -> None:
    objects.job("a.csv b.csv")
    if time:
        objects.put(uri, time)
    else:
        del objects.content[uri]
    batches = found(objects)
    assert [pair.input for pair in batches.pairs] == [f"{INPUT}b.csv"]
    assert batches.unreadable == [f"{uri}: {reason}"]


def test_predictions_outside_the_project_s_folder_are_unreadable(objects: Objects) -> None:
    objects.job("a.csv", output="s3://elsewhere/")
    assert found(objects).unreadable == ["s3://elsewhere/a.csv.out: it does not exist"]
