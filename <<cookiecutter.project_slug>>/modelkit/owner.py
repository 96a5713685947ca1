"""Loading of the owner's package `model`, at run time."""

import importlib
from typing import Any

from modelkit.job import JobError


def load(module: str, name: str) -> Any:
    """Return the object with a name in `model/<module>.py`.

    Raises:
        JobError: The module does not exist, or does not define the name.
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
