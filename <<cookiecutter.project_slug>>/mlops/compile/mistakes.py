"""Say where in a pipeline module a mistake is, instead of how the SDK came to notice it."""

import linecache
import traceback
from pathlib import Path

from mlops.base.errors import MlopsError


def explain(error: Exception, root: Path) -> MlopsError | None:
    """What went wrong, for the author of the pipeline.

    Args:
        error: What importing or building the pipeline raised.
        root: The project's folder.

    Returns:
        The message; None when the fault is neither in a pipeline module nor found by the SDK, but in this package.
    """
    if isinstance(error, MlopsError):
        return error
    if isinstance(error, SyntaxError) and error.filename and _owned(Path(error.filename), root):
        return _located(Path(error.filename), error.lineno or 0, f"SyntaxError: {error.msg}", root)
    said = f"{type(error).__name__}: {error}"
    frames = traceback.extract_tb(error.__traceback__)
    for frame in reversed(frames):
        if frame.lineno and _owned(Path(frame.filename), root):
            return _located(Path(frame.filename), frame.lineno, said, root)
    if frames and "site-packages" in frames[-1].filename:
        return MlopsError(f"The SageMaker SDK cannot compile the pipeline.\n  {said}", "Correct pipelines/.")
    return None


def _owned(path: Path, root: Path) -> bool:
    """Whether a file is the project's own and not the template's machinery or an installed package."""
    if not path.is_relative_to(root):
        return False
    first = path.relative_to(root).parts[0]
    return first not in ("mlops", "modelkit") and not first.startswith(".")


def _located(path: Path, line: int, said: str, root: Path) -> MlopsError:
    place = f"{path.relative_to(root)}, line {line}"
    source = linecache.getline(str(path), line).strip()
    return MlopsError(f"{place}: {said}" + (f"\n    {source}" if source else ""), f"Correct {place}.")
