"""Rows that follow the schema, split, and a model trained on them: made once for all tests, whatever the schema is."""

from pathlib import Path
from typing import Any

import pytest

from model.schema import SCHEMA
from modelkit import synthetic
from modelkit.jobs import preprocess, train

ROWS = 2_000


@pytest.fixture(scope="session")
def rows() -> Any:
    return synthetic.generate(SCHEMA, ROWS, seed=1)


@pytest.fixture(scope="session")
def splits(rows: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("splits")
    synthetic.write(rows, folder / "rows.parquet")
    assert preprocess.main(["--data", str(folder / "rows.parquet"), "--output", str(folder)]) == 0
    return folder


@pytest.fixture(scope="session")
def model_folder(splits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        paths = ["--train", splits / "train", "--validation", splits / "validation", "--model-dir", folder]
        assert train.main([str(part) for part in paths]) == 0
    return folder
