from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest

from model.schema import SCHEMA
from modelkit import dataset, features, synthetic
from modelkit.job import JobError
from modelkit.jobs import validate
from modelkit.metrics import auc
from modelkit.schema import Column, Schema
from tests.projects import SOURCES


def test_the_same_seed_makes_the_same_rows() -> None:
    assert synthetic.generate(SCHEMA, 500, seed=5).equals(synthetic.generate(SCHEMA, 500, seed=5))
    assert not synthetic.generate(SCHEMA, 500, seed=5).equals(synthetic.generate(SCHEMA, 500, seed=6))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_what_is_written_is_what_is_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"visits{suffix}"
    assert synthetic.main(["--rows", "300", "--seed", "2", "--output", str(path)]) == 0
    assert dataset.read_typed(path, SCHEMA).equals(synthetic.generate(SCHEMA, 300, seed=2).combine_chunks())


def test_the_null_fraction_applies_to_nullable_columns_only() -> None:
    table = synthetic.generate(SCHEMA, 4_000, seed=1, null_fraction=0.3)
    for column in SCHEMA.columns:
        share = table[column.name].null_count / 4_000
        assert share == pytest.approx(0.3, abs=0.04) if column.nullable else share == 0


def test_drift_moves_numbers_up_within_their_limits() -> None:
    still, moved = (synthetic.generate(SCHEMA, 2_000, seed=1, drift=drift) for drift in (0.0, 1.0))
    for column in SCHEMA.features:
        if column.type == "number":
            assert pc.mean(moved[column.name]).as_py() > pc.mean(still[column.name]).as_py()
            assert pc.max(moved[column.name]).as_py() <= (column.maximum or np.inf)
    assert moved["site"].equals(still["site"])


def test_bias_lowers_the_target_in_the_disadvantaged_group_only() -> None:
    fair, unfair = (synthetic.generate(SCHEMA, 4_000, seed=1, bias=bias) for bias in (0.0, 2.0))
    female = fair["female"].to_numpy()
    before, after = (features.labels(table, SCHEMA) for table in (fair, unfair))
    assert before[female].mean() == pytest.approx(before[~female].mean(), abs=0.05)
    assert after[female].mean() < before[female].mean() - 0.2
    assert (after[~female] == before[~female]).all()


def test_the_features_tell_something_about_the_target() -> None:
    table = synthetic.generate(SCHEMA, 4_000, seed=1)
    matrix, labels = features.matrix(table, SCHEMA, {}), features.labels(table, SCHEMA) > 0
    filled = np.nan_to_num((matrix - np.nanmean(matrix, axis=0)) / np.nanstd(matrix, axis=0))
    weights, *_ = np.linalg.lstsq(filled[:2_000], labels[:2_000] - 0.5)
    assert auc(labels[2_000:], filled[2_000:] @ weights) > 0.7


def test_a_schema_without_key_facet_or_limits_will_do() -> None:
    columns = (
        Column("household", "string", "attribute", "who"),
        Column("height", "number", "feature", "m"),
        Column("visited", "boolean", "target", "came"),
    )
    table = synthetic.generate(Schema(columns, group="household"), 40, seed=0)
    assert pc.count_distinct(table["household"]).as_py() == 10
    assert pc.stddev(table["height"]).as_py() > 0


@pytest.mark.parametrize("arguments", [["--rows", "0"], ["--seed", "-1"], ["--null-fraction", "2"]])
def test_an_impossible_request_is_refused(tmp_path: Path, arguments: list[str]) -> None:
    assert synthetic.main([*arguments, "--output", str(tmp_path / "x.csv")]) == 1
    assert not (tmp_path / "x.csv").exists()


def test_an_unknown_suffix_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert synthetic.main(["--output", str(tmp_path / "x.xlsx")]) == 1
    assert "must end in .csv or .parquet" in capsys.readouterr().err


ORDER = Column("order", "string", "attribute", "which")
DAY = Column("day", "integer", "attribute", "of the week", minimum=1, maximum=7)
SHOP = Column("shop", "string", "feature", "where", categories=("north, by the sea", "south"))
RATE = Column("rate", "number", "feature", "share", minimum=0.001, maximum=0.009)
DEBT = Column("debt", "number", "feature", "dollars, below zero", maximum=-10)
LATE = Column("late", "boolean", "target", "came late")


@pytest.mark.parametrize(
    ("group", "key"),
    [
        ("order", ()),
        ("order", ("order",)),
        ("order", ("order", "day")),
        ("order", ("day", "order")),
        ("shop", ("order",)),
    ],
)
def test_rows_follow_any_schema(group: str, key: tuple[str, ...], tmp_path: Path) -> None:
    schema = Schema((ORDER, DAY, SHOP, RATE, DEBT, LATE), group=group, key=key)
    synthetic.write(synthetic.generate(schema, 300, seed=0), tmp_path / "rows.csv")
    assert validate.validate(tmp_path, schema, 0.5).violations == []


@pytest.fixture(scope="module")
def real_visits() -> Any:
    return dataset.read_typed(SOURCES / "data/raw", SCHEMA)


def test_rows_like_those_of_a_data_set_can_stand_beside_them(real_visits: Any, tmp_path: Path) -> None:
    for seed in (0, 1):
        synthetic.write(synthetic.resample(real_visits, SCHEMA, 500, seed, drift=1.5), tmp_path / f"{seed}.csv")
    synthetic.write(real_visits, tmp_path / "visits.parquet")
    found = validate.validate(tmp_path, SCHEMA, 0.5)
    assert [violation.message for violation in found.violations] == []
    assert found.rows == real_visits.num_rows + 1_000


def test_the_same_seed_draws_the_same_rows(real_visits: Any) -> None:
    first, again, other = (synthetic.resample(real_visits, SCHEMA, 200, seed) for seed in (3, 3, 4))
    assert first.equals(again)
    assert not first.drop_columns("person").equals(other.drop_columns("person"))


def test_drift_moves_the_numbers_of_drawn_rows_by_standard_deviations_and_nothing_else(real_visits: Any) -> None:
    still, moved = (synthetic.resample(real_visits, SCHEMA, 1_000, 7, drift) for drift in (0.0, 0.5))
    expected = np.minimum(still["age"].to_numpy() + 0.5 * pc.stddev(real_visits["age"]).as_py(), 110)
    np.testing.assert_allclose(moved["age"].to_numpy(), expected)
    assert moved["year"].type == still["year"].type
    for name in ("site", "health", "female", SCHEMA.target):
        assert moved[name].equals(still[name])
    assert moved["income"].null_count == still["income"].null_count


def test_identifiers_without_room_for_new_ones_are_refused(real_visits: Any) -> None:
    person = Column("person", "integer", "attribute", "", minimum=1, maximum=700_000)
    narrow = Schema((person, *SCHEMA.columns[1:]), group="person", key=SCHEMA.key)
    with pytest.raises(JobError, match="'person' has no 100000 unused values for identifiers"):
        synthetic.resample(real_visits, narrow, 100_000, seed=0)
