"""The `model`, `modelkit` and `inference` of the process that runs the tests, which loading an archive replaces."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

_ROOTS = ("inference", "model", "modelkit")


@contextmanager
def kept() -> Iterator[None]:
    """Load any archive within the block: afterwards, modules and path are as they were."""
    path, modules = list(sys.path), _loaded()
    try:
        yield
    finally:
        sys.path[:] = path
        for name in _loaded():
            del sys.modules[name]
        sys.modules.update(modules)


def _loaded() -> dict[str, ModuleType]:
    return {name: module for name, module in sys.modules.items() if name.partition(".")[0] in _ROOTS}
