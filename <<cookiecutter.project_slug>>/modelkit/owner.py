"""The owner's package `model`, which jobs load when they run."""

import importlib
from typing import Any

from modelkit.job import JobError


def load(module: str, name: str) -> Any:
    """Return what `model/<module>.py` defines under a name.

    Raises:
        JobError: There is no such module, or it does not define the name.
    """
    try:
        found = importlib.import_module(f"model.{module}")
    except ModuleNotFoundError as error:
        if error.name not in ("model", f"model.{module}"):
            raise
        raise JobError(f"there is no model/{module}.py, which must define `{name}`") from error
    try:
        return getattr(found, name)
    except AttributeError as error:
        raise JobError(f"model/{module}.py does not define `{name}`") from error
