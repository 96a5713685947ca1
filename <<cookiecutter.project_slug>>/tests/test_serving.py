"""The handlers that answer requests: they must give what the model gives, and say what is wrong with a request."""

import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from model import algorithm, features, inference, onnx_twin
from model.schema import SCHEMA

REQUEST = Path(__file__).parent.parent / "data" / "request.csv"
NAMES = list(SCHEMA.feature_names)
JSON = "application/json"


def as_csv(records: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, NAMES)
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


@pytest.fixture(scope="module")
def records(rows: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = rows.select(NAMES).slice(0, 200).to_pylist()
    return found


def test_the_handlers_answer_as_the_model_does(model_folder: Path, rows: Any, records: list[dict[str, Any]]) -> None:
    expected = algorithm.predict(features.matrix(rows.slice(0, 200), SCHEMA), algorithm.load(model_folder))
    model = inference.model_fn(str(model_folder))
    lines = "\n".join(json.dumps(record) for record in records)
    requests = ((as_csv(records), "text/csv"), (json.dumps(records), JSON), (lines, "application/jsonlines"))
    for body, content_type in requests:
        prediction = inference.predict_fn(inference.input_fn(body, content_type), model)
        answer = json.loads(inference.output_fn(prediction, JSON))
        assert answer["predictions"] == pytest.approx(expected.tolist(), abs=1e-6)


def test_the_onnx_twin_answers_as_the_model_does(model_folder: Path, rows: Any) -> None:
    model = algorithm.load(model_folder)
    data = features.matrix(rows, SCHEMA)
    data[np.random.default_rng(0).random(data.shape) < 0.2] = np.nan
    session = onnxruntime.InferenceSession(onnx_twin.to_onnx(model))
    answer = session.run(None, {session.get_inputs()[0].name: data})[-1][:, -1]
    np.testing.assert_allclose(answer, algorithm.predict(data, model), atol=1e-5)


def test_the_archive_answers_the_example_request_without_the_project(model_folder: Path, tmp_path: Path) -> None:
    program = (
        "import sys, inference\n"
        "model = inference.model_fn(sys.argv[1])\n"
        "rows = inference.input_fn(sys.stdin.buffer.read(), 'text/csv')\n"
        "print(inference.output_fn(inference.predict_fn(rows, model), 'text/csv'), end='')\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program, str(model_folder)],
        input=REQUEST.read_bytes(),
        capture_output=True,
        check=False,
        cwd=tmp_path,
        env={"PYTHONPATH": str(model_folder / "code"), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert answer.returncode == 0, answer.stderr.decode()
    probabilities = np.array([float(line) for line in answer.stdout.split()])
    assert len(probabilities) == len(inference.input_fn(REQUEST.read_bytes(), "text/csv"))
    assert ((probabilities >= 0) & (probabilities <= 1)).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_bad_value_in_a_request_is_named_with_row_and_column(records: list[dict[str, Any]], name: str) -> None:
    bad = [records[0], records[1] | {name: "?"}]
    for body, content_type in ((as_csv(bad), "text/csv"), (json.dumps(bad), JSON)):
        with pytest.raises(ValueError, match=re.escape(f"row 2, column '{name}'")):
            inference.input_fn(body, content_type)


@pytest.mark.parametrize("name", NAMES)
def test_a_feature_that_a_request_lacks_is_named(records: list[dict[str, Any]], name: str) -> None:
    lacking = {key: value for key, value in records[0].items() if key != name}
    with pytest.raises(ValueError, match=re.escape(f"row 1 lacks {name}")):
        inference.input_fn(json.dumps([lacking]), JSON)
