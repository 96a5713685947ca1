"""The file of a model's ONNX twin, in the model's folder, with its digest beside it."""

from pathlib import Path

from mlops.base.files import sha256_of_file

TWIN_FILE = "twin.onnx"
"""The ONNX twin of a model, in the model's folder."""

_DIGEST_FILE, _PARTIAL = f"{TWIN_FILE}.sha256", f".{TWIN_FILE}"
TWIN_FILES = frozenset({TWIN_FILE, _DIGEST_FILE, _PARTIAL})
"""The files that the server adds to a model's folder."""


def write(folder: Path, graph: bytes) -> None:
    """Write the twin of the model in a folder."""
    (folder / _DIGEST_FILE).unlink(missing_ok=True)
    (folder / _PARTIAL).write_bytes(graph)
    digest = sha256_of_file(folder / _PARTIAL)
    (folder / _PARTIAL).replace(folder / TWIN_FILE)
    (folder / _DIGEST_FILE).write_text(digest, encoding="ascii")


def is_intact(folder: Path) -> bool:
    """Return whether the model in a folder has a twin, and the twin has not been changed since it was written."""
    try:
        return (folder / _DIGEST_FILE).read_text(encoding="ascii") == sha256_of_file(folder / TWIN_FILE)
    except (OSError, UnicodeDecodeError):
        return False
