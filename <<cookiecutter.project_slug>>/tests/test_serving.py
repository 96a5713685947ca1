"""The handlers that answer requests: they must give what the model gives."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from model import algorithm
from model.derive import DERIVED
from model.schema import SCHEMA
from modelkit import features, inference

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
    expected = algorithm.predict(features.matrix(rows.slice(0, 200), SCHEMA, DERIVED), algorithm.load(model_folder))
    model = inference.model_fn(str(model_folder))
    lines = "\n".join(json.dumps(record) for record in records)
    requests = ((as_csv(records), "text/csv"), (json.dumps(records), JSON), (lines, "application/jsonlines"))
    for body, content_type in requests:
        prediction = inference.predict_fn(inference.input_fn(body, content_type), model)
        answer = json.loads(inference.output_fn(prediction, JSON))
        assert answer["predictions"] == pytest.approx(expected.tolist(), abs=1e-6)


def test_the_onnx_twin_answers_as_the_model_does(model_folder: Path, rows: Any) -> None:
    onnx_twin = pytest.importorskip("model.onnx_twin", reason="the server answers with the model alone")
    model = algorithm.load(model_folder)
    try:
        graph = onnx_twin.to_onnx(model)
    except Exception as error:
        pytest.skip(f"model/onnx_twin.py cannot convert this model, so the server answers with it alone: {error!r}")
    data = features.matrix(rows, SCHEMA, DERIVED)
    data[np.random.default_rng(0).random(data.shape) < 0.2] = np.nan
    session = onnxruntime.InferenceSession(graph)
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
