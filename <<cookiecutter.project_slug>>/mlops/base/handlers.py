"""The inference handlers of a registered model, loaded from its archive as SageMaker's server loads them."""

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops.base.errors import MlopsError, UsageError
from mlops.base.sealed import require_intact
from mlops.base.twin_file import TWIN_FILES

_MODULE = "inference"
_OF_THE_ARCHIVE = (_MODULE, "model", "modelkit")
"""The modules and packages that each archive contains."""


@dataclass(frozen=True)
class Handlers:
    """The four functions of SageMaker's framework servers, bound to a loaded model.

    Attributes:
        code: The folder of the archive's code.
        model: What `model_fn` returned.
        input_fn: Parses a request body of a content type.
        predict_fn: Predicts from what `input_fn` returned.
        output_fn: Writes predictions in a content type.
        decode_fn: The first half of `input_fn`, from a request to rows; None if the handlers do not have it.
        assemble_fn: The second half, from the rows of one or more requests to the input of `predict_fn`.
    """

    code: Path
    model: Any
    input_fn: Callable[[bytes, str], Any]
    predict_fn: Callable[[Any, Any], Any]
    output_fn: Callable[[Any, str], Any]
    decode_fn: Callable[[bytes, str], Any] | None = None
    assemble_fn: Callable[[Any], Any] | None = None

    def invoke(self, body: bytes, content_type: str, accept: str) -> str:
        """Return the response to one request.

        Raises:
            MlopsError: The request is malformed; the message is that of the handlers.
        """
        try:
            prediction = self.predict_fn(self.input_fn(body, content_type), self.model)
            response = self.output_fn(prediction, accept)
        except ValueError as error:
            raise UsageError(f"Invalid request: {error}") from None
        return response.decode() if isinstance(response, bytes) else str(response)


def load_unpacked(folder: Path, what: str) -> Handlers:
    """Load the model of an unpacked archive with the code in the archive, and no other copy of it.

    Modules that this process loaded from elsewhere are unloaded: `model` and `modelkit` are those of the archive from
    now on.

    Args:
        folder: The unpacked archive.
        what: What the model is, for the message.

    Raises:
        MlopsError: A file of it was changed, or its handlers cannot be loaded, or import `model` or `modelkit` from
            elsewhere.
    """
    require_intact(folder, TWIN_FILES)
    code = (folder / "code").absolute()
    sys.dont_write_bytecode = True  # the folder keeps the files that it was unpacked with
    for name in [name for name in sys.modules if name.partition(".")[0] in _OF_THE_ARCHIVE]:
        del sys.modules[name]
    sys.path.insert(0, str(code))
    importlib.invalidate_caches()
    try:
        module = importlib.import_module(_MODULE)
        model = module.model_fn(str(folder))
        halves = (getattr(module, name, None) for name in ("decode_fn", "assemble_fn"))
        handlers = Handlers(code, model, module.input_fn, module.predict_fn, module.output_fn, *halves)
    except Exception as error:  # the handlers are the user's code and may raise anything
        raise MlopsError(
            f"{what} does not load: {type(error).__name__}: {error}.", f"Its code is in {code}."
        ) from error
    for name in _OF_THE_ARCHIVE:
        loaded = sys.modules.get(name)
        origin = Path(str(loaded.__file__)) if loaded else code
        if not origin.is_relative_to(code):
            raise MlopsError(
                f"{what} does not load: it imports {name} from {origin.parent}, not from its archive.",
                f"Its code is in {code}: train again with this release of the template.",
            )
    return handlers
