import html
import io
import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops.base import contents
from model.derive import DERIVED, FEATURE_NAMES
from model.schema import SCHEMA
from modelkit import evaluation, features, inference, metrics, signature
from modelkit.dataset import raw, read_sources, read_typed, write_parquet
from modelkit.jobs import evaluate
from modelkit.pages import page
from tests.projects import SOURCES

ARN = "arn:aws:sagemaker:eu-west-1:111122223333:model-package/visits/3"
labelled_scores = st.lists(st.tuples(st.booleans(), st.integers(0, 12)), min_size=2, max_size=60).filter(
    lambda rows: len({label for label, _ in rows}) == 2
)


def split_up(rows: list[tuple[bool, int]]) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float32]]:
    return np.array([label for label, _ in rows]), np.array([score for _, score in rows], dtype=np.float32)


def pair_count(labels: npt.NDArray[np.bool_], scores: npt.NDArray[np.float32]) -> float:
    """Compare each positive row with each negative one; a tie is half a win."""
    difference = scores[labels][:, None] - scores[~labels][None, :]
    return float(((difference > 0) + 0.5 * (difference == 0)).mean())


def pack(folder: Path, destination: Path) -> Path:
    destination.mkdir(parents=True, exist_ok=True)
    with tarfile.open(destination / "model.tar.gz", "w:gz") as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, path.name)
    return destination


def run(model: Path, test: Path, output: Path, *more: str) -> tuple[int, str]:
    """Run the step and return its exit code and what it says about a failure."""
    failure = output / "failure"
    arguments = ["--model", str(model), "--test", str(test), "--raw", str(test.with_name("raw"))]
    code = evaluate.main([*arguments, "--output", str(output), "--failure-file", str(failure), *more])
    return code, failure.read_text() if failure.exists() else ""


def against(champion: Path, model: Path, splits: Path, output: Path) -> dict[str, Any]:
    """Run the step with a champion and return the reference in its report."""
    more = ("--champion", str(champion), "--champion-arn", ARN)
    assert run(model, splits / "test", output, *more) == (0, "")
    report = json.loads((output / "evaluation.json").read_text())
    reference: dict[str, Any] = report["reference"] | {"gain": report["auc_gain"]}
    return reference


@settings(deadline=None, max_examples=50)
@given(rows=labelled_scores)
def test_the_auc_is_the_share_of_pairs_in_order(rows: list[tuple[bool, int]]) -> None:
    labels, scores = split_up(rows)
    assert metrics.auc(labels, scores) == pytest.approx(pair_count(labels, scores), abs=1e-12)


@settings(deadline=None, max_examples=50)
@given(rows=labelled_scores)
def test_the_area_under_the_points_of_the_roc_curve_is_the_auc(rows: list[tuple[bool, int]]) -> None:
    labels, scores = split_up(rows)
    points = metrics.curves(labels, scores)
    area = float(np.trapezoid(points.true_positive_rates, points.false_positive_rates))
    assert area == pytest.approx(metrics.auc(labels, scores), abs=1e-12)
    assert points.true_positive_rates[-1] == points.false_positive_rates[-1] == 1
    assert points.precisions[-1] == pytest.approx(labels.mean())


def test_the_auc_of_one_class_is_refused() -> None:
    with pytest.raises(ValueError, match="both classes"):
        metrics.auc(np.array([True, True]), np.array([0.1, 0.2]))


def test_the_standard_deviation_of_the_auc_is_that_of_many_samples() -> None:
    random = np.random.default_rng(0)
    positives, negatives, areas = 60, 40, []
    labels = np.arange(positives + negatives) < positives
    for _ in range(400):
        scores = random.exponential(np.where(labels, 2.0, 1.0))
        areas.append(metrics.auc(labels, scores))
    expected = metrics.auc_standard_deviation(float(np.mean(areas)), positives, negatives)
    assert np.std(areas) == pytest.approx(expected, rel=0.15)


def test_the_figures_are_those_worked_out_by_hand() -> None:
    labels = np.array([True, True, True, False, False])
    probabilities = np.array([0.9, 0.6, 0.2, 0.7, 0.1], dtype=np.float32)
    quality = evaluation.quality(labels, probabilities)
    assert quality["confusion_matrix"] == {"0": {"0": 1, "1": 1}, "1": {"0": 1, "1": 2}}
    assert quality["accuracy"]["value"] == pytest.approx(3 / 5)
    assert quality["precision"]["value"] == quality["recall"]["value"] == pytest.approx(2 / 3)
    assert quality["true_negative_rate"]["value"] == quality["false_positive_rate"]["value"] == 1 / 2
    assert quality["f1"]["value"] == pytest.approx(2 / 3)
    assert quality["auc"]["value"] == pytest.approx(4 / 6)
    assert quality["log_loss"]["value"] == pytest.approx(-np.log([0.9, 0.6, 0.2, 0.3, 0.9]).mean(), rel=1e-6)
    assert quality["brier_score"]["value"] == pytest.approx((0.01 + 0.16 + 0.64 + 0.49 + 0.01) / 5, rel=1e-6)
    report = evaluation.classification_report(labels, probabilities >= 0.5)
    assert report["0"] == {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2}
    assert report["macro_average"]["f1"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert report["weighted_average"]["f1"] == pytest.approx((2 * 1 / 2 + 3 * 2 / 3) / 5)


def test_a_model_that_calls_nothing_positive_has_no_precision_to_divide_by() -> None:
    quality = evaluation.quality(np.array([True, False]), np.array([0.2, 0.1], dtype=np.float32))
    assert quality["precision"] == {"value": 0.0, "standard_deviation": 0.0}
    assert quality["log_loss"]["value"] > 0


def test_without_champion_the_reference_is_a_constant(model_folder: Path, splits: Path, tmp_path: Path) -> None:
    (tmp_path / "champion").mkdir()
    code, failure = run(model_folder, splits / "test", tmp_path, "--champion", str(tmp_path / "champion"))
    assert (code, failure) == (0, "")
    report = json.loads((tmp_path / "evaluation.json").read_text())
    area = report["binary_classification_metrics"]["auc"]["value"]
    assert area > 0.7
    assert report["reference"] == {
        "name": "constant prediction", "auc": 0.5, "status": "no champion",
        "rows": read_typed(splits / "test", SCHEMA).num_rows,
    }  # fmt: skip
    assert report["auc_gain"] == pytest.approx(area - 0.5)
    curve = report["binary_classification_metrics"]["receiver_operating_characteristic_curve"]
    assert 2 < len(curve["true_positive_rates"]) == len(curve["false_positive_rates"]) <= 200
    shares = [entry["importance"] for entry in report["feature_importance"]]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1)
    assert {entry["feature"] for entry in report["feature_importance"]} == set(FEATURE_NAMES)


def test_the_importance_of_features_is_found_where_one_class_is_rare(model_folder: Path, splits: Path) -> None:
    table = read_typed(splits / "test", SCHEMA)
    data = np.tile(features.matrix(table, SCHEMA, DERIVED), (40, 1))
    labels = np.arange(len(data)) % len(data) == 7
    model = inference.model_fn(str(model_folder))
    shares = evaluation.feature_importance(lambda rows: inference.predict_fn(rows, model), data, labels, FEATURE_NAMES)
    assert [share["importance"] for share in shares] == sorted((share["importance"] for share in shares), reverse=True)
    assert sum(share["importance"] for share in shares) == pytest.approx(1)


def test_the_champion_is_scored_on_the_same_rows(model_folder: Path, splits: Path, tmp_path: Path) -> None:
    packed = pack(model_folder, tmp_path / "champion")
    reference = against(packed, packed, splits, tmp_path)
    assert (reference["name"], reference["status"], reference["gain"]) == (ARN, "compared", 0)
    assert f"Reference on the same rows, <code>{ARN}</code>" in shown(tmp_path)


@pytest.mark.parametrize("content", [None, b"not an archive", b""])
def test_a_champion_that_cannot_be_read_is_an_error_not_its_absence(
    model_folder: Path, splits: Path, tmp_path: Path, content: bytes | None
) -> None:
    damaged = tmp_path / "champion"
    damaged.mkdir()
    if content is not None:
        (damaged / "model.tar.gz").write_bytes(content)
    code, failure = run(model_folder, splits / "test", tmp_path, "--champion", str(damaged), "--champion-arn", ARN)
    assert code == 1
    assert f"the champion {ARN} cannot be read" in failure
    assert ".venv/bin/python -m mlops approve 3 --reject" in failure
    assert ".venv/bin/python -m mlops run -p ChampionArn=none" in failure
    assert not (tmp_path / "evaluation.json").exists()


def test_a_champion_needs_its_folder_and_its_name(model_folder: Path, splits: Path, tmp_path: Path) -> None:
    assert (
        "no --champion and --raw were given" in run(model_folder, splits / "test", tmp_path, "--champion-arn", ARN)[1]
    )
    assert "is 'none'" in run(model_folder, splits / "test", tmp_path, "--champion", str(model_folder))[1]


def champion_with(model_folder: Path, folder: Path, changes: dict[str, tuple[str, str]]) -> Path:
    """The folder of a champion's archive, after replacements in its code."""
    shutil.copytree(model_folder, folder / "unpacked")
    for name, (before, after) in changes.items():
        path = folder / "unpacked/code" / name
        assert before in path.read_text()
        path.write_text(path.read_text().replace(before, after))
    return pack(folder / "unpacked", folder / "champion")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model/schema.py": ('"age"', '"shoe_size"')}, "it needs columns that are not in the data: shoe_size"),
        ({"model/schema.py": ('"visited", "boolean", "target"', '"seen", "boolean", "target"')}, "it predicts 'seen'"),
        ({"model/derive.py": ('"income"', '"wage"')}, "the schema has no feature 'wage'"),
        ({"model/algorithm.py": ("import xgboost", "import a_package_that_is_missing as xgboost")}, "a_package_that"),
        ({"model/algorithm.py": ("return np.asarray(", "return np.atleast_2d(")}, "returns predictions of shape (1,"),
    ],
)
def test_the_report_says_why_a_champion_is_not_comparable(
    model_folder: Path, splits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    changes: dict[str, tuple[str, str]], reason: str,
) -> None:  # fmt: skip
    other = champion_with(model_folder, tmp_path, changes)
    reference = against(other, model_folder, splits, tmp_path)
    assert (reference["name"], reference["auc"]) == ("constant prediction", 0.5)
    assert (reference["champion"], reference["status"]) == (ARN, "not comparable")
    assert reason in reference["reason"]
    assert f"champion {ARN}: not comparable: {reference['reason']}\n" in capsys.readouterr().out
    assert reference["gain"] > 0.2
    assert f"is not comparable: {reference['reason']}." in shown(tmp_path)


def shown(folder: Path) -> str:
    """The report of a run with the evaluation in a folder."""
    facts = dict.fromkeys(("id", "status", "started", "environment", "definition_sha256", "failure"), "")
    rows: list[tuple[str, str]] = []
    text = page(
        "run", project_name="", state=SimpleNamespace(**facts, steps={}, resolved={}), details=str, gate=[], data=rows,
        lineage=rows, evaluation=json.loads((folder / "evaluation.json").read_text()), unreadable="",
    )  # fmt: skip
    return html.unescape(" ".join(text.split()))


def with_new_sites(splits: Path, folder: Path, known: tuple[str, ...]) -> Path:
    """The test set, as read from files in which all sites but these are new ones."""
    shutil.copytree(splits / "test", folder / "test")
    rows = raw(read_sources(splits / "raw"))
    sites = pc.if_else(pc.is_in(rows["site"], value_set=pa.array(known, pa.string())), rows["site"], "site-99")
    write_parquet(rows.drop_columns(["site"]).append_column("site", sites), folder / "raw/part.parquet")
    return folder


def test_models_are_compared_on_the_rows_that_the_champion_takes(
    model_folder: Path, splits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = ("site-2", "site-3", "site-4", "site-5", "site-6")
    reference = against(model_folder, model_folder, with_new_sites(splits, tmp_path, known), tmp_path)
    test = read_typed(splits / "test", SCHEMA)
    assert (reference["status"], reference["gain"]) == ("compared", 0)
    assert reference["rows"] == test.filter(pc.not_equal(test["site"], "site-1")).num_rows < test.num_rows
    assert f"gain over {ARN} on the {reference['rows']} rows that it takes" in capsys.readouterr().out
    assert f"Reference on the {reference['rows']} rows that it takes, <code>{ARN}</code>" in shown(tmp_path)


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        (("site-6",), "rows: the others have values unknown to it"),
        ((), "it takes none of the rows, because of the values of: site"),
    ],
)
def test_a_champion_that_takes_few_rows_is_not_comparable(
    model_folder: Path, splits: Path, tmp_path: Path, known: tuple[str, ...], reason: str
) -> None:
    reference = against(model_folder, model_folder, with_new_sites(splits, tmp_path, known), tmp_path)
    assert reference["status"] == "not comparable"
    assert reason in reference["reason"]


def test_a_champion_with_other_features_and_other_code_is_scored_by_its_own(
    model_folder: Path, splits: Path, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    for name, path in contents.job_files(SOURCES):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, project / name)
    derive, kit, algorithm = (
        project / name for name in ("model/derive.py", "modelkit/features.py", "model/algorithm.py")
    )
    derive.write_text(
        derive.read_text().replace(
            '    "income_per_person": income_per_person,\n', '    "twice": lambda columns: 2 * columns["age"],\n'
        )
    )
    kit.write_text(kit.read_text().replace("def matrix(", "def only_here() -> None: ...\n\n\ndef matrix("))
    algorithm.write_text(f"import modelkit.features\n{algorithm.read_text()}\nmodelkit.features.only_here()\n")
    paths = ["--train", splits / "train", "--validation", splits / "validation", "--model-dir", tmp_path / "other"]
    environment = {"PYTHONPATH": str(project), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "modelkit.jobs.train", *map(str, paths), "--num-round=5"]
    subprocess.run(command, check=True, env=environment, cwd=tmp_path)
    other = pack(tmp_path / "other", tmp_path / "champion")
    reference = against(other, model_folder, splits, tmp_path)
    assert reference["status"] == "compared"
    assert reference["auc"] > 0.6
    assert reference["gain"] > 0


def test_monitoring_needs_no_archive(model_folder: Path, splits: Path, tmp_path: Path) -> None:
    assert run(model_folder, splits / "test", tmp_path, "--threshold", "0.3") == (0, "")
    assert signature.read(tmp_path / "schema.json") == signature.read(model_folder / "schema.json")
    [feature] = json.loads((tmp_path / "predictions.json").read_text())["features"]
    table = read_typed(splits / "test", SCHEMA)
    data = features.matrix(table, SCHEMA, DERIVED)
    expected = inference.predict_fn(data, inference.model_fn(str(model_folder)))
    assert feature["name"] == "prediction"
    assert feature["numerical_statistics"]["common"] == {"num_present": len(expected), "num_missing": 0}
    assert feature["numerical_statistics"]["mean"] == pytest.approx(expected.mean(), abs=1e-6)
    assert json.loads((tmp_path / "evaluation.json").read_text())["threshold"] == 0.3


def test_an_archive_cannot_write_outside_its_folder(splits: Path, tmp_path: Path) -> None:
    archive = tmp_path / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        entry = tarfile.TarInfo("../escaped")
        entry.size = 1
        tar.addfile(entry, io.BytesIO(b"x"))
    code, failure = run(archive, splits / "test", tmp_path)
    assert code == 1
    assert "is outside the folder" in failure
    assert not list(tmp_path.rglob("escaped"))


def test_a_test_split_of_one_class_is_refused(model_folder: Path, splits: Path, tmp_path: Path) -> None:
    table = read_typed(splits / "test", SCHEMA)
    write_parquet(table.filter(table["visited"]), tmp_path / "test" / "part.parquet")
    code, failure = run(model_folder, tmp_path / "test", tmp_path)
    assert code == 1
    assert "rows have the same 'visited'; both values are needed" in failure


def test_a_damaged_model_is_named(model_folder: Path, splits: Path, tmp_path: Path) -> None:
    shutil.copytree(model_folder, tmp_path / "model")
    (tmp_path / "model" / "model.ubj").write_bytes(b"{}")
    code, failure = run(tmp_path / "model", splits / "test", tmp_path)
    assert code == 1
    assert "the model cannot be scored" in failure
    assert "model/algorithm.py cannot load the model in" in failure


def test_an_impossible_threshold_is_refused(model_folder: Path, splits: Path, tmp_path: Path) -> None:
    assert "--threshold must be between" in run(model_folder, splits / "test", tmp_path, "--threshold", "2")[1]
