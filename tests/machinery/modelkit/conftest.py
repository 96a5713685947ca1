"""A small data set and a model trained on it, made once for all tests."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from model.schema import SCHEMA
from modelkit import synthetic
from modelkit.jobs import preprocess, train

ROWS = 4_000


@pytest.fixture(scope="session")
def visits() -> Any:
    return synthetic.generate(SCHEMA, ROWS, seed=1)


@pytest.fixture(scope="session")
def visits_folder(visits: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("visits")
    synthetic.write(visits, folder / "visits.csv")
    return folder


@pytest.fixture(scope="session")
def splits(visits_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("splits")
    assert preprocess.main(["--data", str(visits_folder), "--output", str(folder)]) == 0
    return folder


@pytest.fixture(scope="session")
def model_folder(splits: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("model")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        code = train.main(
            ["--train", str(splits / "train"), "--validation", str(splits / "validation"), "--model-dir", str(folder)]
        )
        assert code == 0
        yield folder
