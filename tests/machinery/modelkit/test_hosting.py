"""What becomes of a request in the functions that servers of AWS's images call.

That those servers call them so is shown with AWS's own code, in tests/infra/test_aws_images.py.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import flask
import pytest

from modelkit import hosting, inference
from tests.projects import SOURCES

REQUEST = (SOURCES / "data/request.csv").read_bytes()
CSV = inference.CSV


@dataclass(frozen=True)
class Answer:
    """What a server is handed."""

    status: int
    media_type: str
    body: str


Transform = Callable[..., Answer]


def without_context(model: Any, body: bytes, content_type: str, accept: str) -> Answer:
    """As the images of XGBoost and scikit-learn call it."""
    result = hosting.transform_fn(model, body, content_type, accept)
    if isinstance(result, flask.Response):
        return Answer(result.status_code, str(result.mimetype), result.get_data(as_text=True))
    return Answer(HTTPStatus.OK, result[1], result[0])


def with_context(model: Any, body: bytes, content_type: str, accept: str) -> Answer:
    """As the images of PyTorch call it."""

    class Context:
        status = int(HTTPStatus.OK)

        def set_response_status(self, code: int, phrase: str) -> None:
            self.status = code

    context = Context()
    answer, media_type = hosting.transform_fn(model, body, content_type, accept, context)
    return Answer(context.status, media_type, answer)


@pytest.fixture(params=[without_context, with_context], ids=["flask", "torchserve"])
def transform(request: pytest.FixtureRequest) -> Transform:
    function: Transform = request.param
    return function


def test_a_request_is_answered_as_by_the_handlers_in_the_media_type_that_was_asked_for(
    transform: Transform, model_folder: Path
) -> None:
    data, model = inference.input_fn(REQUEST, CSV), hosting.model_fn(str(model_folder))
    for accept in (CSV, inference.JSON):
        expected = inference.output_fn(inference.predict_fn(data, model), accept)
        assert transform(model, REQUEST, CSV, accept) == Answer(HTTPStatus.OK, accept, expected)


@pytest.mark.parametrize(
    ("body", "content_type", "accept", "reason"),
    [
        (b"nonsense\n", CSV, CSV, "row 1 has 1 values"),
        (b"{", inference.JSON, CSV, "not valid JSON"),
        (REQUEST, "image/png", CSV, "content type 'image/png' is not supported"),
        (REQUEST, CSV, "image/png", "response type 'image/png' is not supported"),
    ],
    ids=["row", "json", "content type", "accept"],
)
def test_a_request_that_the_handlers_refuse_is_the_client_s_fault_and_told_why(
    transform: Transform, model_folder: Path, body: bytes, content_type: str, accept: str, reason: str
) -> None:
    answer = transform(hosting.model_fn(str(model_folder)), body, content_type, accept)
    assert (answer.status, answer.media_type) == (HTTPStatus.BAD_REQUEST, inference.JSON)
    assert reason in json.loads(answer.body)["error"]


def test_a_model_that_fails_is_no_fault_of_the_client(transform: Transform, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise ValueError("feature names mismatch")  # XGBoost's errors are such

    monkeypatch.setattr(inference, "predict_fn", fail)
    with pytest.raises(ValueError, match="feature names mismatch"):
        transform(None, REQUEST, CSV, CSV)


def test_the_servers_find_one_way_to_answer() -> None:
    assert not {"input_fn", "predict_fn", "output_fn"} & vars(hosting).keys()
