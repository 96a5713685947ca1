"""Locate errors in pipeline modules, instead of showing the SDK's traceback."""

import linecache
import traceback
from pathlib import Path

from mlops.base.errors import MlopsError


def explain(error: Exception, root: Path) -> MlopsError | None:
    """Explain an error to the author of the pipeline.

    Args:
        error: The exception from importing or building the pipeline.
        root: The project's folder.

    Returns:
        The message; None if the error is neither in a pipeline module nor raised by the SDK, but in this package.
    """
    if isinstance(error, MlopsError):
        return error
    if isinstance(error, SyntaxError) and error.filename and _owned(Path(error.filename), root):
        return _located(Path(error.filename), error.lineno or 0, f"SyntaxError: {error.msg}", root)
    text = f"{type(error).__name__}: {error}"
    frames = traceback.extract_tb(error.__traceback__)
    for frame in reversed(frames):
        if frame.lineno and _owned(Path(frame.filename), root):
            return _located(Path(frame.filename), frame.lineno, text, root)
    if frames and "site-packages" in frames[-1].filename:
        return MlopsError(f"The SageMaker SDK cannot compile the pipeline.\n  {text}", "Correct pipelines/.")
    return None


def _owned(path: Path, root: Path) -> bool:
    """Return whether a file belongs to the project, not to the template's machinery or an installed package."""
    if not path.is_relative_to(root):
        return False
    first = path.relative_to(root).parts[0]
    return first not in ("mlops", "modelkit") and not first.startswith(".")


def _located(path: Path, line: int, text: str, root: Path) -> MlopsError:
    place = f"{path.relative_to(root)}, line {line}"
    source = linecache.getline(str(path), line).strip()
    return MlopsError(f"{place}: {text}" + (f"\n    {source}" if source else ""), f"Correct {place}.")
