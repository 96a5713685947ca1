"""The model: what it is trained on, and how it is judged."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.derive import DERIVED
from model.schema import SCHEMA
from modelkit import features
from modelkit.jobs import evaluate


def test_a_row_has_the_same_features_alone_as_among_others(rows: Any) -> None:
    together = features.matrix(rows.slice(0, 100), SCHEMA, DERIVED)
    assert together.shape == (100, len(SCHEMA.features) + len(DERIVED))
    for position in range(100):
        alone = features.matrix(rows.slice(position, 1), SCHEMA, DERIVED)
        np.testing.assert_allclose(alone[0], together[position], rtol=1e-5)


def test_every_derived_feature_has_values(rows: Any) -> None:
    derived = features.matrix(rows, SCHEMA, DERIVED)[:, len(SCHEMA.features) :]
    assert np.isfinite(derived).any(axis=0).all()


def test_the_evaluation_has_what_the_gate_reads(model_folder: Path, splits: Path, tmp_path: Path) -> None:
    paths = ["--model", model_folder, "--test", splits / "test", "--output", tmp_path]
    assert evaluate.main([str(part) for part in paths]) == 0
    report = json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8"))
    area = report["binary_classification_metrics"]["auc"]["value"]
    assert 0 < area < 1
    assert report["auc_gain"] == pytest.approx(area - 0.5)
    assert {entry["feature"] for entry in report["feature_importance"]} == {*SCHEMA.feature_names, *DERIVED}
