"""The handlers under the servers of AWS's images, as far as those decide what becomes of a request."""

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import flask
import pytest

from model import hosting, inference

REQUEST = (Path(str(inference.__file__)).parents[2] / "data/request.csv").read_bytes()
CSV = inference.CSV


@dataclass(frozen=True)
class Answer:
    """What a client gets."""

    status: int
    media_type: str
    body: str


Ask = Callable[..., Answer]


def flask_server(model: Any) -> Ask:
    """The server of AWS's images for XGBoost and scikit-learn: _transformer.py of sagemaker-containers 2.8.6.post2.

    It wraps what a handler raises in an error of its own, which Flask answers with 500. A tuple is the answer and its
    media type; anything else is handed to Flask.
    """
    server = flask.Flask("server")

    @server.post("/invocations")
    def invocations() -> Any:
        asked = flask.request
        result = hosting.transform_fn(
            model, asked.get_data(as_text=True), str(asked.content_type), str(asked.accept_mimetypes)
        )
        return flask.Response(result[0], mimetype=result[1]) if isinstance(result, tuple) else result

    def ask(body: bytes, content_type: str = CSV, accept: str = CSV) -> Answer:
        headers = {"Content-Type": content_type, "Accept": accept}
        answer = server.test_client().post("/invocations", data=body, headers=headers)
        return Answer(answer.status_code, str(answer.mimetype), answer.get_data(as_text=True))

    return ask


def torchserve(model: Any) -> Ask:
    """The server of AWS's images for PyTorch: transformer.py of sagemaker-pytorch-inference 2.0.25.

    Functions of a parameter more than they are handed get the context, whose status TorchServe answers with.
    """

    class Context:
        status, media_type = int(HTTPStatus.OK), ""

        def set_response_status(self, code: int, phrase: str) -> None:
            assert "\r" not in phrase
            assert "\n" not in phrase
            self.status = code

    def ask(body: bytes, content_type: str = CSV, accept: str = CSV) -> Answer:
        context, given = Context(), (model, body.decode(), content_type, accept)
        more = [context] if len(inspect.signature(hosting.transform_fn).parameters) == len(given) + 1 else []
        try:
            answer, media_type = hosting.transform_fn(*given, *more)
        except Exception as error:
            return Answer(HTTPStatus.INTERNAL_SERVER_ERROR, "", str(error))
        return Answer(context.status, media_type, answer)

    return ask


@pytest.fixture(params=[flask_server, torchserve], ids=["flask", "torchserve"])
def ask(request: pytest.FixtureRequest, model_folder: Path) -> Ask:
    server: Ask = request.param(hosting.model_fn(str(model_folder)))
    return server


def test_a_request_is_answered_as_by_the_handlers_in_the_media_type_that_was_asked_for(
    ask: Ask, model_folder: Path
) -> None:
    data, model = inference.input_fn(REQUEST, CSV), inference.model_fn(str(model_folder))
    for accept in (CSV, inference.JSON):
        expected = inference.output_fn(inference.predict_fn(data, model), accept)
        assert ask(REQUEST, accept=accept) == Answer(HTTPStatus.OK, accept, expected)


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ({"body": b"nonsense\n"}, "row 1 has 1 values"),
        ({"body": b"{", "content_type": inference.JSON}, "not valid JSON"),
        ({"body": REQUEST, "content_type": "image/png"}, "content type 'image/png' is not supported"),
        ({"body": REQUEST, "accept": "image/png"}, "'image/png' cannot be answered"),
    ],
    ids=["row", "json", "content type", "accept"],
)
def test_a_request_that_the_handlers_refuse_is_the_client_s_fault_and_told_why(
    ask: Ask, request_: dict[str, Any], reason: str
) -> None:
    answer = ask(**request_)
    assert (answer.status, answer.media_type) == (HTTPStatus.BAD_REQUEST, inference.JSON)
    assert reason in json.loads(answer.body)["error"]


def test_a_model_that_fails_is_no_fault_of_the_client(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise ValueError("feature names mismatch")  # XGBoost's errors are such

    monkeypatch.setattr(inference, "predict_fn", fail)
    assert ask(REQUEST).status == HTTPStatus.INTERNAL_SERVER_ERROR


def test_the_servers_find_one_way_to_answer() -> None:
    assert not {"input_fn", "predict_fn", "output_fn"} & vars(hosting).keys()
