"""What the servers of AWS's images call: the handlers, with requests that are refused told from a model that fails.

Those servers answer 500 to whatever a handler raises, as if the model had failed, and alarms count it so. This module
has no `input_fn`, `predict_fn` and `output_fn` of its own: the servers take those or `transform_fn`, not both.
"""

import json
from importlib import import_module
from typing import Any

from modelkit import inference

_BAD_REQUEST = 400

model_fn = inference.model_fn


def transform_fn(model: Any, body: bytes | bytearray | str, content_type: str, accept: str, context: Any = None) -> Any:
    """Answer a request.

    Args:
        model: What `model_fn` returned.
        body: The request, as `input_fn` takes it.
        content_type: Its media type.
        accept: The media type of the answer.
        context: Where the images of PyTorch (TorchServe) are told a status; those of the other frameworks (Flask) give
            none.

    Returns:
        The answer and its media type; `{"error": <reason>}` with status 400 if the handlers refuse the request.
    """
    try:
        data = inference.input_fn(body, content_type)
    except ValueError as error:
        return _refusal(error, context)
    prediction = inference.predict_fn(data, model)
    try:
        return inference.output_fn(prediction, accept), accept
    except ValueError as error:
        return _refusal(error, context)


def _refusal(error: ValueError, context: Any) -> Any:
    answer = json.dumps({"error": str(error)})
    if context is None:
        flask = import_module("flask")  # by name: only the images whose server is made of it hold it
        return flask.Response(answer, _BAD_REQUEST, mimetype=inference.JSON)
    context.set_response_status(code=_BAD_REQUEST, phrase="Bad Request")
    return answer, inference.JSON
