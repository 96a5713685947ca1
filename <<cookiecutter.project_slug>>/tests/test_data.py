"""The data follows its schema, and is split by groups."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet

from mlops.project.project import Project
from model.schema import SCHEMA
from modelkit import synthetic
from modelkit.jobs import preprocess
from modelkit.jobs.validate import validate
from modelkit.splitting import SPLITS

ROOT = Path(__file__).parent.parent


def groups(folder: Path, split: str) -> set[Any]:
    return set(parquet.read_table(folder / split)[SCHEMA.group].to_pylist())


def test_the_project_s_own_data_follows_the_schema() -> None:
    environment = Project(ROOT).environment("local")
    validation = validate(ROOT / environment["data_folder"], SCHEMA, environment["validation.max_null_fraction"])
    assert [violation.message for violation in validation.violations] == []
    assert validation.rows > 0


def test_every_row_goes_to_one_split_and_no_group_to_two(splits: Path, rows: Any) -> None:
    found = [groups(splits, split) for split in SPLITS]
    everyone = set(rows[SCHEMA.group].to_pylist())
    assert set.union(*found) == everyone
    assert sum(map(len, found)) == len(everyone)
    assert sum(parquet.read_table(splits / split).num_rows for split in SPLITS) == rows.num_rows


def test_instances_with_a_share_of_the_files_make_the_same_split(splits: Path, rows: Any, tmp_path: Path) -> None:
    half = rows.num_rows // 2
    for host, share in (("algo-1", rows.slice(half)), ("algo-2", rows.slice(0, half))):
        synthetic.write(share, tmp_path / host / "part.parquet")
        paths = ["--data", str(tmp_path / host), "--output", str(tmp_path / "out")]
        assert preprocess.main([*paths, "--host", host]) == 0
    for split in SPLITS:
        assert groups(tmp_path / "out", split) == groups(splits, split)
