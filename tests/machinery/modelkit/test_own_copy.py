"""Whoever predicts with an archive does so with the archive's own `model` and `modelkit`, whatever release made it."""

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlops.base import capture
from mlops.base.errors import MlopsError
from mlops.base.handlers import load_unpacked
from mlops.batch.reading import InputFile
from mlops.batch.scoring import Scorer
from mlops.registry.archives import schema
from mlops.serving import engine, twin
from model.derive import DERIVED
from model.schema import SCHEMA
from modelkit import champion, dataset, signature
from modelkit.job import JobError
from modelkit.jobs import baseline, compare
from tests.machinery.modelkit.traffic import arguments, write_captured, write_window
from tests.projects import ROOT, SOURCES
from tests.upgrade.test_upgrade import releases

CSV = "text/csv"
REQUEST = (SOURCES / "data/request.csv").read_bytes()
CONSTANT = "FLOAT32_MAXIMUM = 3.4028234663852886e38"

Predict = Callable[[Path, Any], Any]


def as_csv(table: Any) -> bytes:
    rows = table.select(SCHEMA.feature_names).to_pylist()
    lines = (",".join("" if value is None else str(value) for value in row.values()) for row in rows)
    return "\n".join(lines).encode()


def server(folder: Path, table: Any) -> Any:
    return [float(line) for line in engine.load(folder).respond(as_csv(table), CSV, CSV).split()]


def batch(folder: Path, table: Any) -> Any:
    scorer = Scorer.of(load_unpacked(folder, "The model"))
    for module in (scorer.parsing, scorer.features):
        assert Path(str(module.__file__)).is_relative_to(folder / "code")
    return scorer.predict(scorer.typed(table, InputFile("rows", Path("rows"), tuple(table.column_names)), 0))


def as_champion(folder: Path, table: Any) -> Any:
    return champion.predictions(folder, table, SCHEMA.target)


@pytest.fixture(params=[server, batch, as_champion], ids=["server", "batch", "champion"])
def predict(request: pytest.FixtureRequest) -> Predict:
    function: Predict = request.param
    return function


@pytest.fixture(scope="module")
def rows(splits: Path) -> Any:
    return dataset.read_typed(splits / "test", SCHEMA).slice(0, 50)


def test_a_constant_in_an_archive_s_modelkit_counts_for_that_archive_alone(
    predict: Predict, model_folder: Path, rows: Any, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(model_folder, tmp_path / "other"))
    path = other / "code/modelkit/schema.py"
    assert CONSTANT in path.read_text()
    path.write_text(path.read_text().replace(CONSTANT, "FLOAT32_MAXIMUM = 1.5"))
    expected = predict(model_folder, rows)
    assert len(expected) == 50
    with pytest.raises((ValueError, MlopsError, JobError), match="coinsurance"):
        predict(other, rows)
    assert np.array_equal(predict(model_folder, rows), expected)


@pytest.mark.parametrize("package", ["model", "modelkit"])
def test_an_archive_that_lacks_a_package_does_not_get_another_s(
    model_folder: Path, tmp_path: Path, package: str
) -> None:
    lacking = Path(shutil.copytree(model_folder, tmp_path / "lacking"))
    shutil.rmtree(lacking / "code" / package)
    with pytest.raises(MlopsError, match=rf"imports {package} from .*, not from its archive"):
        load_unpacked(lacking, "The model")


def train_0_4_0(splits: Path, folder: Path) -> Path:
    """The folder of a model that release 0.4.0 has trained."""
    commit = releases(ROOT)["0.4.0"]
    sources = subprocess.run(
        ["git", "archive", commit, "<<cookiecutter.project_slug>>/src"], cwd=ROOT, check=True, capture_output=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(sources)) as archive:
        archive.extractall(folder, filter="data")
    (source,) = folder.glob("*/src")
    paths = ["--train", splits / "train", "--validation", splits / "validation", "--model-dir", folder / "model"]
    environment = {"PYTHONPATH": str(source), "OMP_NUM_THREADS": "1", "PATH": os.environ["PATH"]}
    command = [sys.executable, "-m", "model.train", *map(str, paths), "--num-round=20"]
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    return folder / "model"


@pytest.fixture(scope="module")
def of_0_4_0(splits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_0_4_0(splits, tmp_path_factory.mktemp("0.4.0"))


def test_an_archive_of_0_4_0_predicts_everywhere(
    predict: Predict, of_0_4_0: Path, model_folder: Path, rows: Any
) -> None:
    assert not (of_0_4_0 / "code/modelkit").exists()
    newer = predict(model_folder, rows)
    expected = load_unpacked(of_0_4_0, "The model").invoke(as_csv(rows), CSV, CSV).split()
    found = predict(of_0_4_0, rows)
    np.testing.assert_allclose(found, np.array(expected, np.float32), atol=1e-6)
    assert not np.allclose(found, newer, atol=1e-3)
    assert np.array_equal(predict(model_folder, rows), newer)


def test_an_archive_of_0_4_0_has_a_twin(of_0_4_0: Path, rows: Any, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(of_0_4_0, tmp_path / "model"))
    twin.make(folder)
    loaded = engine.load(folder)
    assert loaded._small is not None
    assert loaded.in_halves


def test_the_traffic_of_a_version_of_0_4_0_is_compared_by_its_own_schema(
    of_0_4_0: Path, splits: Path, rows: Any, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(of_0_4_0, tmp_path / "model"))
    path = tmp_path / "schema.json"
    path.write_bytes(schema(folder, Path(sys.executable)))
    assert signature.read(path) == (SCHEMA, tuple(DERIVED))
    assert not (folder / "schema.json").exists()
    line = capture.Encoder(CSV, CSV).record(as_csv(rows), b"0.5\n" * rows.num_rows)
    window = write_window(tmp_path / "window")
    shutil.copyfile(path, window / "1/schema.json")
    write_captured(tmp_path / "captured", line)
    assert baseline.main(["--data", str(splits / "train"), "--output", str(window / "1")]) == 0
    assert compare.main(arguments(tmp_path)) == 0
    comparison = json.loads((tmp_path / "output/1/comparison.json").read_text())
    assert (comparison["rows"], comparison["prediction_drift"]) == (rows.num_rows, None)


def test_a_schema_that_cannot_be_made_is_an_error_with_its_reason(of_0_4_0: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(of_0_4_0, tmp_path / "model"))
    (folder / "code/model/schema.py").write_text("import a_package_that_is_missing")
    with pytest.raises(MlopsError, match="a_package_that_is_missing"):
        schema(folder, Path(sys.executable))
    assert not (folder / "schema.json").exists()
