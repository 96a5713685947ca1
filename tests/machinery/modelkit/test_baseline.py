import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelkit.jobs import baseline
from modelkit.statistics import BUCKETS, LARGEST_DOMAIN, constraints, statistics
from modelkit.summaries import SKETCH_SIZE, Sketch


def test_numbers_are_described_as_numpy_describes_them() -> None:
    values = np.random.default_rng(0).normal(size=5_000)
    found = statistics(pa.table({"x": pa.array([*values, None, float("nan")])}))
    assert found["dataset"] == {"item_count": 5_002}
    [feature] = found["features"]
    figures = feature["numerical_statistics"]
    assert feature["inferred_type"] == "Fractional"
    assert figures["common"] == {"num_present": 5_000, "num_missing": 2}
    assert figures["mean"] == pytest.approx(values.mean())
    assert figures["std_dev"] == pytest.approx(values.std())
    assert (figures["min"], figures["max"]) == (values.min(), values.max())
    counts, edges = np.histogram(values, bins=BUCKETS)
    buckets = figures["distribution"]["kll"]["buckets"]
    assert sum(bucket["count"] for bucket in buckets) == len(values) > SKETCH_SIZE
    assert [bucket["count"] for bucket in buckets] == pytest.approx(counts, abs=8)
    assert [bucket["lower_bound"] for bucket in buckets] == pytest.approx(edges[:-1])
    assert buckets[-1]["upper_bound"] == values.max()


@settings(deadline=None, max_examples=50)
@given(values=st.lists(st.integers(-1_000, 1_000), min_size=1, max_size=400), size=st.integers(8, 64))
def test_a_sketch_weighs_all_values_and_keeps_their_ranks(values: list[int], size: int) -> None:
    ordered = np.sort(np.array(values, dtype=np.float64))
    levels = Sketch.of(ordered, size).levels
    weighted = [(value, 2**level) for level, kept in enumerate(levels) for value in kept]
    assert sum(weight for _, weight in weighted) == len(values)
    assert all(len(level) <= size for level in levels)
    for value in ordered:
        rank = np.searchsorted(ordered, value, "right")
        estimate = sum(weight for kept, weight in weighted if kept <= value)
        assert abs(estimate - rank) <= 2 ** (len(levels) - 1)


def test_few_values_are_kept_whole() -> None:
    assert [level.tolist() for level in Sketch.of(np.array([1.0, 2.0, 3.0])).levels] == [[1.0, 2.0, 3.0]]


def test_whole_numbers_and_booleans_are_integral() -> None:
    table = pa.table({"whole": [1.0, 2.0], "count": [3, -4], "flag": [True, False]})
    found = statistics(table)
    assert [feature["inferred_type"] for feature in found["features"]] == ["Integral"] * 3
    signs = [feature["num_constraints"]["is_non_negative"] for feature in constraints(found)["features"]]
    assert signs == [True, False, True]


def test_a_constant_has_one_bucket_that_holds_everything() -> None:
    [feature] = statistics(pa.table({"x": [7, 7, 7]}))["features"]
    buckets = feature["numerical_statistics"]["distribution"]["kll"]["buckets"]
    assert buckets == [{"lower_bound": 7.0, "upper_bound": 7.0, "count": 3}]


def test_a_small_text_column_is_held_to_its_values() -> None:
    found = statistics(pa.table({"colour": pa.array(["red", "green", "red", None]).dictionary_encode()}))
    [feature] = found["features"]
    assert feature["string_statistics"] == {
        "common": {"num_present": 3, "num_missing": 1},
        "distinct_count": 2,
        "distribution": {"categorical": {"buckets": [{"value": "red", "count": 2}, {"value": "green", "count": 1}]}},
    }
    [constraint] = constraints(found)["features"]
    assert constraint["completeness"] == 0.75
    assert constraint["string_constraints"] == {"domains": ["red", "green"]}


def test_a_text_column_of_many_values_is_not_held_to_them() -> None:
    found = statistics(pa.table({"name": [str(index) for index in range(LARGEST_DOMAIN + 1)]}))
    assert "string_constraints" not in constraints(found)["features"][0]


def test_a_column_without_values_is_of_unknown_type() -> None:
    found = statistics(pa.table({"x": pa.array([None, None], pa.float64())}))
    assert constraints(found)["features"] == [{"name": "x", "inferred_type": "Unknown", "completeness": 0.0}]


def test_parquet_and_csv_folders_give_two_documents(tmp_path: Path) -> None:
    table = pa.table({"age": [1.5, 2.5], "site": ["a", "b"], "rest": [1, 2]})
    (tmp_path / "csv").mkdir()
    (tmp_path / "parquet").mkdir()
    arrow_csv.write_csv(table, tmp_path / "csv" / "a.csv")
    parquet.write_table(table.slice(0, 1), tmp_path / "parquet" / "a.parquet")
    parquet.write_table(table.slice(1), tmp_path / "parquet" / "b.parquet")
    documents = []
    for kind in ("csv", "parquet"):
        output = tmp_path / "out" / kind
        arguments = ["--data", str(tmp_path / kind), "--output", str(output), "--columns", "age, site"]
        assert baseline.main(arguments) == 0
        documents.append([json.loads((output / name).read_text()) for name in ("statistics.json", "constraints.json")])
    assert documents[0] == documents[1]
    found, limits = documents[0]
    assert [feature["name"] for feature in found["features"]] == ["age", "site"]
    assert limits["monitoring_config"]["evaluate_constraints"] == "Enabled"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("_SUCCESS", b"", "no files to read"),
        ("a.csv", b"", "cannot be read"),
        ("a.csv", b"x,y\n", "no rows to describe"),
        ("a.csv", b"x,z\n1,2\n", "no such column: y"),
        ("a.csv", b"x,y\ninf,2\n", "column 'x' contains an infinite value"),
        ("a.parquet", b"no", "cannot be read"),
        ("a.txt", b"no", "not a data file"),
    ],
)
def test_data_that_cannot_be_described_is_refused_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes, reason: str
) -> None:
    data, output = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    (data / name).write_bytes(content)
    assert baseline.main(["--data", str(data), "--output", str(output), "--columns", "x,y"]) == 1
    assert reason in capsys.readouterr().err
    assert not output.exists()
