"""What belongs to a window: captured objects by their hour, labels by their arrival, baselines by version."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from mlops.base.errors import MlopsError
from mlops.monitoring.collect import Request, collect
from mlops.monitoring.place import Layout, Listed, Place
from mlops.registry.versions import APPROVED, ModelVersion
from tests.machinery.monitoring.test_answers import notice

LAYOUT = Layout("visits", "s3://captured/visits", "s3://data/visits")
NOW = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)
BASELINE = ("s3://data/visits/runs/1/Baseline/statistics.json", "s3://data/visits/runs/1/Baseline/constraints.json")
EVALUATION = "s3://data/visits/runs/1/Evaluate/evaluation"
EVENT = {
    "project_name": "Visits",
    "environment": "production",
    "execution": "run",
    "started": "2026-11-20T06:00:00.123Z",
    "start": "2026-11-20T04:00:00Z",
    "end": "2026-11-20T05:00:00Z",
    "label_delay_hours": 0,
}


@dataclass
class Memory:
    """Objects in memory with their times, and versions that all have the same baseline."""

    content: dict[str, tuple[datetime, bytes]] = field(default_factory=dict)
    baseline: tuple[str, ...] = BASELINE
    layout: Layout = LAYOUT
    lateness: timedelta = timedelta(minutes=15)
    percentage: float = 100

    def put(self, uri: str, content: str = "{}", time: datetime = NOW) -> None:
        self.content[uri] = (time, content.encode())

    def capture(self, hour: str, version: int = 1, endpoint: str = "visits-production/AllTraffic") -> str:
        name = f"capture/{version}/{endpoint}/2026/11/{hour}/01-01-001-x.jsonl"
        self.put(f"{LAYOUT.captured}/{name}")
        return name

    def folders(self, uri: str) -> list[str]:
        return sorted({name.removeprefix(f"{uri}/").partition("/")[0] for name in self.content if f"{uri}/" in name})

    def objects(self, uri: str, after: str = "") -> Iterator[Listed]:
        for each, (time, _) in sorted(self.content.items()):
            if each.startswith(f"{uri}/") and (name := each.removeprefix(f"{uri}/")) > after:
                yield Listed(name, time)

    def read(self, uri: str) -> bytes | None:
        return self.content[uri][1] if uri in self.content else None

    def write(self, uri: str, content: bytes) -> None:
        self.content[uri] = (NOW, content)

    def copy(self, source: str, target: str) -> bool:
        if source in self.content:
            self.content[target] = self.content[source]
        return source in self.content

    def version(self, number: int) -> ModelVersion:
        evaluation = f"{EVALUATION}/evaluation.json"
        return ModelVersion(number, f"arn/{number}", APPROVED, NOW, None, "", "", evaluation, self.baseline, {})

    def archived_schema(self, version: ModelVersion) -> bytes | None:
        return b'{"archived": true}' if version.version == 1 else None

    def live(self, environment: str) -> int | None:
        return 2


@pytest.fixture
def memory() -> Memory:
    found = Memory()
    for uri in (*BASELINE, f"{EVALUATION}/evaluation.json", f"{EVALUATION}/schema.json"):
        found.put(uri, json.dumps({"of": uri}))
    return found


def collected(memory: Memory, **event: Any) -> dict[str, Any]:
    """The documents that are written: the window and the names in the manifests, without their own."""
    answer = collect(cast("Place", memory), Request.of(EVENT | event))
    found: dict[str, Any] = {"window": json.loads(memory.content[f"{answer['window']}window.json"][1])}
    for name in ("captured", "ground_truth"):
        first, own, *names = json.loads(memory.content[answer[name]][1])
        assert first["prefix"] + own == answer[name]
        found[name] = names
    return found


def test_a_window_has_the_objects_of_its_hours_and_of_their_neighbours(memory: Memory) -> None:
    names = [memory.capture(f"20/{hour:02}") for hour in range(8)]
    memory.put(f"{LAYOUT.captured}/capture/1/visits-production/AllTraffic/2026/11/20/04/.x.jsonl")
    memory.put(f"{LAYOUT.captured}/capture/1/visits-production/AllTraffic/readme.jsonl")
    assert collected(memory)["captured"] == names[3:6]


def test_the_first_window_has_all_objects(memory: Memory) -> None:
    names = [memory.capture("18/01"), memory.capture("20/04")]
    found = collected(memory, start="auto")
    assert (found["captured"], found["window"]["start"]) == (names, None)


def test_an_environment_has_its_own_traffic_and_no_shadow_s(memory: Memory) -> None:
    memory.capture("20/04", endpoint="visits-staging/AllTraffic")
    memory.capture("20/04", endpoint="visits-production/Shadow")
    names = [memory.capture("20/04", endpoint="visits-production-batch/AllTraffic"), memory.capture("20/04", version=2)]
    assert collected(memory)["captured"] == names


def test_each_version_that_answered_gets_its_documents_and_no_other_does(memory: Memory) -> None:
    memory.capture("20/04", version=3)
    memory.capture("19/04", version=1)
    collected(memory)
    folder = f"{LAYOUT.results('production')}/run/window"
    written = {name.removeprefix(f"{folder}/") for name in memory.content if name.startswith(folder)}
    assert {name for name in written if name[0].isdigit() and "pairs" not in name} == {
        f"3/{name}.json" for name in ("statistics", "constraints", "evaluation", "schema")
    }


def test_the_objects_of_an_asynchronous_endpoint_are_captured_ones(memory: Memory) -> None:
    folder, time = f"{LAYOUT.captured}/async/production", datetime(2026, 11, 20, 4, 30, tzinfo=UTC)
    for name in ("requests/a", "answers/2/a.out"):
        memory.put(f"{folder}/{name}", "0.5", time)
    memory.put(f"{folder}/notices/2026/11/20/04/stream.jsonl", notice("a", time, 2))
    assert collected(memory)["captured"] == ["async/production/answers/2/a.out", "async/production/requests/a"]
    listed = json.loads(memory.content[f"{LAYOUT.results('production')}/run/window/2/pairs.json"][1])
    assert listed["pairs"][0] == {
        "input": "async/production/requests/a",
        "beside_output": True,
        "output": "async/production/answers/2/a.out",
        "time": "2026-11-20T04:30:00Z",
        "id": "id-a",
        "input_type": "application/json",
        "output_type": "text/csv; charset=utf-8",
    }


def test_a_version_of_an_older_release_has_its_schema_in_its_archive(memory: Memory) -> None:
    del memory.content[f"{EVALUATION}/schema.json"]
    memory.capture("20/04")
    collected(memory)
    assert memory.content[f"{LAYOUT.results('production')}/run/window/1/schema.json"][1] == b'{"archived": true}'
    memory.capture("20/04", version=2)
    with pytest.raises(MlopsError, match="Version 2 was registered without its schema"):
        collected(memory)


def test_labels_count_for_the_requests_that_came_in_their_delay_before(memory: Memory) -> None:
    early, late = memory.capture("19/04"), memory.capture("20/04")
    memory.put(f"{LAYOUT.ground_truth('production')}/a.csv", time=NOW)
    memory.put(f"{LAYOUT.ground_truth('production')}/old.csv", time=NOW - timedelta(days=2))
    memory.put(f"{LAYOUT.ground_truth('staging')}/b.csv", time=NOW)
    found = collected(memory, label_delay_hours=24)
    assert found["window"]["labels"] == {"start": "2026-11-19T04:00:00Z", "end": "2026-11-19T05:00:00Z"}
    assert found["captured"] == [early, late]
    assert found["ground_truth"] == ["ground-truth/production/a.csv"]


def test_a_window_begins_where_the_last_one_ended_and_leaves_time_for_late_records(memory: Memory) -> None:
    memory.put(f"{LAYOUT.results('production')}/last-window.json", '{"end": "2026-11-19T06:00:00Z"}')
    window = collected(memory, start="auto", end="auto")["window"]
    assert (window["start"], window["end"], window["live"]) == ("2026-11-19T06:00:00Z", "2026-11-20T05:45:00Z", 2)


@pytest.mark.parametrize(
    ("event", "last", "said"),
    [
        ({"start": "auto", "end": "auto"}, '{"end": "2026-11-20T05:50:00Z"}', "would start at 2026-11-20T05:50:00Z"),
        ({"start": "2026-11-20T05:00:00Z"}, None, "would start at"),
        ({"start": "auto"}, "{", "last-window.json is damaged"),
        ({"start": "auto"}, '{"end": 7}', "last-window.json is damaged"),
        ({"start": "auto"}, '{"end": "2026-11-20T06:06:00Z"}', "last-window.json, is in the future: 2026-11-20T06:06"),
        ({"end": "2026-11-20T06:06:00Z"}, "{}", "The end of the window is in the future: 2026-11-20T06:06:00Z"),
        ({"start": "yesterday"}, None, "'yesterday' is not a time"),
        ({"label_delay_hours": -1}, None, "LabelDelayHours is -1"),
    ],
)
def test_a_window_that_cannot_be_is_refused(memory: Memory, event: dict[str, Any], last: str | None, said: str) -> None:
    if last:
        memory.put(f"{LAYOUT.results('production')}/last-window.json", last)
    before = set(memory.content)
    with pytest.raises(MlopsError) as refused:
        collected(memory, **event)
    assert said in str(refused.value)
    assert set(memory.content) == before


@pytest.mark.parametrize("baseline", [(), ("s3://data/gone.json", BASELINE[1])])
def test_a_version_whose_baseline_is_missing_is_named(memory: Memory, baseline: tuple[str, ...]) -> None:
    memory.baseline = baseline
    memory.capture("20/04", version=4)
    with pytest.raises(MlopsError, match="ersion 4"):
        collected(memory)
