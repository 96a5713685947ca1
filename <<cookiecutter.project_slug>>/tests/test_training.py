"""The model: what it is trained on, and how it is judged."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model import algorithm, evaluate, features, signature
from model.derive import FEATURE_NAMES
from model.schema import SCHEMA

ARN = "arn:aws:sagemaker:eu-west-1:111122223333:model-package/group/3"


def judge(model: Path, test: Path, output: Path, *champion: str) -> dict[str, Any]:
    assert evaluate.main(["--model", str(model), "--test", str(test), "--output", str(output), *champion]) == 0
    report: dict[str, Any] = json.loads((output / "evaluation.json").read_text(encoding="utf-8"))
    return report


def test_a_row_has_the_same_features_alone_as_among_others(rows: Any) -> None:
    together = features.matrix(rows.slice(0, 100), SCHEMA)
    assert together.shape == (100, len(FEATURE_NAMES))
    for position in range(100):
        alone = features.matrix(rows.slice(position, 1), SCHEMA)
        np.testing.assert_allclose(alone[0], together[position], rtol=1e-5)


def test_every_derived_feature_has_values(rows: Any) -> None:
    derived = features.matrix(rows, SCHEMA)[:, len(SCHEMA.features) :]
    assert np.isfinite(derived).any(axis=0).all()


def test_a_model_of_other_features_is_refused(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    algorithm.load(model_folder)
    monkeypatch.setattr(signature, "FEATURE_NAMES", ("another", *FEATURE_NAMES[1:]))
    with pytest.raises(signature.OtherSchemaError, match="without another"):
        algorithm.load(model_folder)


def test_the_evaluation_has_what_the_gate_reads(model_folder: Path, splits: Path, tmp_path: Path) -> None:
    report = judge(model_folder, splits / "test", tmp_path)
    area = report["binary_classification_metrics"]["auc"]["value"]
    assert 0 < area < 1
    assert report["auc_gain"] == pytest.approx(area - 0.5)
    assert {entry["feature"] for entry in report["feature_importance"]} == set(FEATURE_NAMES)


def test_a_champion_is_judged_on_the_same_rows(model_folder: Path, splits: Path, tmp_path: Path) -> None:
    report = judge(model_folder, splits / "test", tmp_path, "--champion", str(model_folder), "--champion-arn", ARN)
    assert report["reference"]["name"] == ARN
    assert report["auc_gain"] == 0
