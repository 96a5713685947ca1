"""The handlers for the servers of AWS's images, which return status 400 for invalid requests.

Those servers return status 500 for every exception of a handler, which alarms count as a failure of the model. This
module does not define `input_fn`, `predict_fn` and `output_fn`: the servers accept those or `transform_fn`, not both.
"""

import json
from importlib import import_module
from typing import Any

from modelkit import inference

_BAD_REQUEST = 400

model_fn = inference.model_fn


def transform_fn(model: Any, body: bytes | bytearray | str, content_type: str, accept: str, context: Any = None) -> Any:
    """Return the response to a request.

    Args:
        model: The result of `model_fn`.
        body: The request, as for `input_fn`.
        content_type: Its media type.
        accept: The media type of the response.
        context: The object through which the PyTorch images (TorchServe) set the status; None in the images of the
            other frameworks (Flask).

    Returns:
        The response and its media type; `{"error": <reason>}` with status 400 if the handlers reject the request.
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
        flask = import_module("flask")  # by name: only the images with a Flask server contain it
        return flask.Response(answer, _BAD_REQUEST, mimetype=inference.JSON)
    context.set_response_status(code=_BAD_REQUEST, phrase="Bad Request")
    return answer, inference.JSON
