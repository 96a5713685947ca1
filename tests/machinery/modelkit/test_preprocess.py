import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.schema import SCHEMA
from modelkit import owner, splitting, synthetic
from modelkit.dataset import read_typed, write_parquet
from modelkit.job import JobError
from modelkit.jobs import preprocess
from modelkit.schema import Column, Notation, Schema


def persons(folder: Path, split: str) -> set[int]:
    return set(parquet.read_table(folder / split)["person"].to_pylist())


def test_every_row_goes_to_one_split_and_no_person_to_two(splits: Path, visits: Any) -> None:
    found = [persons(splits, split) for split in splitting.SPLITS]
    everyone = set(visits["person"].to_pylist())
    assert set.union(*found) == everyone
    assert sum(map(len, found)) == len(everyone)
    assert sum(parquet.read_table(splits / split).num_rows for split in splitting.SPLITS) == visits.num_rows


def test_the_output_has_the_types_of_the_schema(splits: Path, visits: Any) -> None:
    assert parquet.read_table(splits / "train").schema.remove_metadata() == visits.schema


def test_instances_with_a_share_of_the_files_make_the_same_split(visits: Any, splits: Path, tmp_path: Path) -> None:
    for index, part in enumerate((visits.slice(0, 700), visits.slice(700))):
        host = f"algo-{index + 1}"
        synthetic.write(part, tmp_path / host / "part.parquet")
        config = tmp_path / f"{host}.json"
        config.write_text(json.dumps({"current_host": host, "hosts": ["algo-1", "algo-2"]}))
        arguments = [
            "--data",
            str(tmp_path / host),
            "--output",
            str(tmp_path / "out"),
            "--resource-config",
            str(config),
        ]
        assert preprocess.main(arguments) == 0
    for split in splitting.SPLITS:
        assert sorted(path.name for path in (tmp_path / "out" / split).iterdir()) == [
            "part-algo-1.parquet",
            "part-algo-2.parquet",
        ]
        assert persons(tmp_path / "out", split) == persons(splits, split)


def preprocess_own(
    monkeypatch: pytest.MonkeyPatch, data: Path, output: Path, split: Callable[..., Any] | None = None
) -> Any:
    """Split a data set of two columns and return the test rows as they were read."""
    schema = Schema(
        (Column("id", "integer", "attribute", ""), Column("x", "number", "feature", "", nullable=True),
         Column("y", "boolean", "target", "")), "id", notation=Notation(null_values=("NA",), true_values=("yes",)),
    )  # fmt: skip
    own = {"SCHEMA": schema, "split": split or (lambda table, *how: splitting.by_group(table, "id", *how))}
    monkeypatch.setattr(owner, "load", lambda module, name: own[name])
    assert preprocess.main(["--data", str(data), "--output", str(output)]) == 0
    kept, test = (parquet.read_table(output / name) for name in ("raw", "test"))
    assert kept.num_rows == test.num_rows > 0
    assert test.column_names == ["id", "x", "y"]
    assert [int(each) for each in kept["id"].to_pylist()] == test["id"].to_pylist()
    return kept


def test_the_test_rows_are_kept_as_they_were_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    lines = [f"0{row},NA,yes,of {row},{row}" for row in range(50)]
    (data / "a.csv").write_text("\n".join(["id,x,y,note,note", *lines, "50,1,,no target,1"]))
    more = pa.table({"y": [False] * 50, "x": [1.5] * 50, "id": list(range(100, 150)), "seen": [3] * 50})
    write_parquet(more, data / "b.parquet")
    kept = preprocess_own(monkeypatch, data, tmp_path / "out").to_pylist()
    for row in kept:
        number = int(row["id"])
        expected = (
            {"id": f"0{number}", "x": "NA", "y": "yes", "seen": None}
            if number < 50
            else {"id": str(number), "x": "1.5", "y": "false", "seen": 3}
        )
        assert row == expected
    assert {row["y"] for row in kept} == {"yes", "false"}


def test_rows_are_kept_in_the_order_of_the_split_and_typed_if_it_does_not_say_which_they_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.csv").write_text("\n".join(["id,x,y", *(f"{row},NA,yes" for row in range(99))]))

    def descending(table: Any, *how: Any) -> Any:
        return splitting.by_group(table.sort_by([("id", "descending")]), "id", *how)

    def selecting(table: Any, *how: Any) -> Any:
        return splitting.by_group(table.select(["id", "x", "y"]), "id", *how)

    kept = preprocess_own(monkeypatch, tmp_path / "a.csv", tmp_path / "out", descending)
    assert kept["x"].to_pylist() == ["NA"] * len(kept)
    assert "a champion is scored" not in capsys.readouterr().out
    typed = preprocess_own(monkeypatch, tmp_path / "a.csv", tmp_path / "out", selecting)
    assert typed["x"].null_count == len(typed) == len(kept)
    assert "a champion is scored on the schema's columns only" in capsys.readouterr().out


@settings(deadline=None, max_examples=50)
@given(groups=st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=30), seed=st.integers(0, 10), data=st.data())
def test_the_place_of_a_row_depends_on_nothing_but_its_group_and_the_seed(
    groups: list[int], seed: int, data: st.DataObject
) -> None:
    places = dict(zip(groups, splitting.positions(pa.array(groups), seed), strict=True))
    shuffled = data.draw(st.permutations(groups))
    assert splitting.positions(pa.array(shuffled), seed).tolist() == [places[group] for group in shuffled]
    as_text = splitting.positions(pa.array([str(group) for group in groups]), seed)
    assert as_text.tolist() == [places[group] for group in groups]


def test_places_are_uniform_and_change_with_the_seed() -> None:
    groups = pa.array(range(20_000))
    first, second = splitting.positions(groups, 0), splitting.positions(groups, 1)
    counts, _ = np.histogram(first, bins=10, range=(0, 1))
    assert counts.sum() == 20_000
    assert abs(counts - 2_000).max() < 5 * 2_000**0.5
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.05


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--train-fraction", "0.9", "--validation-fraction", "0.1"], "leave no rows for the test set"),
        (["--train-fraction", "0"], "--train-fraction must be above 0"),
        (["--validation-fraction", "nan"], "--validation-fraction must be above 0"),
        (["--train-fraction", "0.000001", "--validation-fraction", "0.5"], "the train split is empty"),
        (["--host", "a", "--resource-config", "b"], "not allowed with"),
        (["--resource-config", "absent.json"], "absent.json"),
    ],
)
def test_a_split_that_cannot_be_made_says_why_and_writes_nothing(
    visits_folder: Path, tmp_path: Path, arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    output, failure = tmp_path / "out", tmp_path / "failure"
    base = ["--data", str(visits_folder), "--output", str(output), "--failure-file", str(failure)]
    assert preprocess.main([*base, *arguments]) == 1
    assert reason in failure.read_text()
    assert reason in capsys.readouterr().err
    assert not output.exists()


def test_a_resource_configuration_without_host_is_refused(visits_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("[]")
    failure = tmp_path / "failure"
    arguments = ["--data", str(visits_folder), "--output", str(tmp_path / "out"), "--failure-file", str(failure)]
    assert preprocess.main([*arguments, "--resource-config", str(tmp_path / "config.json")]) == 1
    assert "current_host" in failure.read_text()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("person,year\n1,1\n", "missing or repeated columns: site"),
        (",".join(SCHEMA.names) + "\n1,2\n", "row 1 has 2 fields, not 19"),
        (
            ",".join(SCHEMA.names) + "\n" + ",".join(["x"] * 19) + "\n",
            "column 'person' has 1 values that",
        ),
    ],
)
def test_data_that_was_not_validated_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "visits.csv").write_text(text)
    failure = tmp_path / "failure"
    arguments = ["--data", str(tmp_path / "visits.csv"), "--output", str(tmp_path), "--failure-file", str(failure)]
    assert preprocess.main(arguments) == 1
    assert reason in failure.read_text()


def test_unusual_but_valid_notation_is_read(visits_folder: Path, tmp_path: Path) -> None:
    header, first, *rest = (visits_folder / "visits.csv").read_text().splitlines()
    fields = first.replace('"', "").split(",")
    for name, text in (("family_size", "+3"), ("year", "1.0"), ("female", "TRUE"), ("examined", "0.0")):
        fields[SCHEMA.names.index(name)] = text
    (tmp_path / "visits.csv").write_text("\n".join([header, ",".join(fields), *rest]) + "\n")
    row = read_typed(tmp_path, SCHEMA).slice(0, 1).to_pylist()[0]
    assert (row["family_size"], row["year"], row["female"], row["examined"]) == (3, 1, True, False)


def test_a_row_without_group_is_refused(visits: Any) -> None:
    position = visits.column_names.index("person")
    lost = pc.if_else(pc.equal(visits["person"], 1), None, visits["person"])
    with pytest.raises(JobError, match="column 'person'"):
        splitting.by_group(visits.set_column(position, "person", lost), "person", 0.5, 0.2, 0)


def test_rows_without_a_target_are_left_out_and_counted(
    visits: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = visits[SCHEMA.target].to_pylist()
    labels[:7] = [None] * 7
    position = SCHEMA.names.index(SCHEMA.target)
    table = visits.set_column(position, SCHEMA.target, pa.array(labels, pa.bool_()))
    write_parquet(table, tmp_path / "data/a.parquet")
    assert preprocess.main(["--data", str(tmp_path / "data"), "--output", str(tmp_path / "out")]) == 0
    assert f"left out: 7 rows without '{SCHEMA.target}'" in capsys.readouterr().out
    parts = [read_typed(tmp_path / "out" / name, SCHEMA) for name in ("train", "validation", "test")]
    assert sum(part.num_rows for part in parts) == visits.num_rows - 7
