"""The code of jobs in the store, where each folder is named by its content: what jobs get is what was compiled."""

import py_compile
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from mlops.base.errors import DamagedError
from mlops.base.files import locked, sha256_of_digests, sha256_of_file, unwritable
from mlops.base.sealed import Seal, is_intact
from mlops.pipeline.bundle import Object
from mlops.store.local import LocalStore

_CODE = "code"
_BY_HASH = py_compile.PycInvalidationMode.CHECKED_HASH


def place(store: LocalStore, objects: Sequence[Object], source: Path) -> None:
    """Put the objects of a bundle into the store, unless they and nothing else are there.

    Every job gets a copy of the code, including bytecode, which stays valid because it is checked by hash.

    Args:
        store: The store.
        objects: The objects.
        source: A folder with them: the bundle's, or that of the store.

    Raises:
        MlopsError: An object in `source` is missing or was changed, or the store cannot be written.
    """
    folders: dict[str, dict[str, str]] = {}
    for one in objects:
        folder = _folder(one["path"])
        folders.setdefault(folder, {})[one["path"].removeprefix(f"{folder}/")] = one["sha256"]
    for folder, digests in folders.items():
        made_from = sha256_of_digests(digests.items())
        if not is_intact(store.root / folder, made_from):
            _replace(store.root / folder, digests, source / folder, made_from)


def _folder(name: str) -> str:
    """Return the folder that is named by its content, `<bucket>/<slug>/code/<digest>`, or that of another object."""
    parts = name.split("/")
    return "/".join(parts[:4] if parts[2:3] == [_CODE] and len(parts) > 4 else parts[:-1])


def _replace(folder: Path, digests: Mapping[str, str], source: Path, made_from: str) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with (
            locked(folder.with_name(f".{folder.name}.lock")),
            tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary,
        ):
            if is_intact(folder, made_from):  # another run has placed it
                return
            made = Path(temporary) / "made"
            for name, digest in digests.items():
                (made / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source / name, made / name)
                if sha256_of_file(made / name) != digest:
                    raise DamagedError(f"The code of the run is damaged: {source / name}.", "Start a new run.")
                if name.endswith(".py"):
                    shown = str(folder / name)
                    py_compile.compile(str(made / name), dfile=shown, invalidation_mode=_BY_HASH, quiet=2)
            Seal.of(made, made_from).write(folder)
            if folder.exists():
                folder.rename(Path(temporary) / "replaced")
            made.rename(folder)
    except FileNotFoundError as error:
        raise DamagedError(
            f"The code of the run is incomplete: {error.filename} is missing.", "Start a new run."
        ) from None
    except OSError as error:
        raise unwritable(folder, error) from error
