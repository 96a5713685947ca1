"""The inference handlers of a registered model, loaded from its archive as SageMaker's server loads them."""

import contextlib
import importlib
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops.archives import unpack
from mlops.errors import MlopsError, UsageError
from mlops.files import sha256_of_file
from mlops.registry import ModelVersion, Registry

_MODULE = "inference"


@dataclass(frozen=True)
class Handlers:
    """The four functions of SageMaker's framework servers, bound to a loaded model.

    Attributes:
        model: What `model_fn` returned.
        input_fn: Parses a request body of a content type.
        predict_fn: Predicts from what `input_fn` returned.
        output_fn: Writes predictions in a content type.
        decode_fn: The first half of `input_fn`, from a request to rows, where the handlers have one.
        assemble_fn: The second half, from the rows of one request or of many to what `predict_fn` takes.
    """

    model: Any
    input_fn: Callable[[bytes, str], Any]
    predict_fn: Callable[[Any, Any], Any]
    output_fn: Callable[[Any, str], Any]
    decode_fn: Callable[[bytes, str], Any] | None = None
    assemble_fn: Callable[[Any], Any] | None = None

    def invoke(self, body: bytes, content_type: str, accept: str) -> str:
        """The answer to one request.

        Raises:
            MlopsError: The request is malformed; the message is the handlers' own.
        """
        try:
            prediction = self.predict_fn(self.input_fn(body, content_type), self.model)
            answer = self.output_fn(prediction, accept)
        except ValueError as error:
            raise UsageError(f"The request cannot be answered: {error}") from None
        return answer.decode() if isinstance(answer, bytes) else str(answer)


def load(source: Registry, version: ModelVersion, folder: Path) -> Handlers:
    """Load the model of a version with the code it was registered with.

    Args:
        source: The registry.
        version: The version.
        folder: Where unpacked models are kept, by the digest of their archive.

    Raises:
        MlopsError: The archive is missing or damaged, or its handlers do not load.
    """
    return load_unpacked(unpacked(source, version, folder), f"The model of version {version.version}")


def load_unpacked(folder: Path, what: str) -> Handlers:
    """Load the model of an unpacked archive with the code in it.

    Args:
        folder: The unpacked archive.
        what: What the model is, for the message.

    Raises:
        MlopsError: Its handlers do not load.
    """
    sys.path.insert(0, str(folder / "code"))
    try:
        module = importlib.import_module(_MODULE)
        model = module.model_fn(str(folder))
        halves = (getattr(module, name, None) for name in ("decode_fn", "assemble_fn"))
        return Handlers(model, module.input_fn, module.predict_fn, module.output_fn, *halves)
    except Exception as error:  # the handlers are the user's code: anything may come out of them
        raise MlopsError(
            f"{what} does not load: {type(error).__name__}: {error}.", f"Its code is in {folder / 'code'}."
        ) from error


def unpacked(source: Registry, version: ModelVersion, folder: Path) -> Path:
    """The folder that the archive of a version is unpacked in, below `folder`; it is unpacked when it is not yet.

    Raises:
        MlopsError: The archive is missing or damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".unpacking-") as temporary:
        archive = source.download_model(version, Path(temporary))
        destination = folder / sha256_of_file(archive)[:16]
        if destination.is_dir():
            return destination
        partial = Path(temporary) / "model"
        try:
            unpack(archive, partial)
        except MlopsError as error:
            raise MlopsError(
                f"Version {version.version}: {error.message}",
                "Train again (`run --no-cache`) and approve the new version.",
            ) from None
        with contextlib.suppress(OSError):  # another process has just unpacked the same archive
            partial.rename(destination)
        return destination
