"""Read JSON documents that other jobs have written, and that may be damaged."""

import json
import math
from pathlib import Path
from typing import Any, NoReturn

LARGEST_BYTES = 256 * 1024 * 1024
"""The size of the largest document."""

_LONGEST_NUMBER = 20


def read(path: Path) -> Any:
    """Read a JSON file in UTF-8, without NaN, and with numbers that fit 64 bits.

    Raises:
        ValueError: It is missing or too large, or is not such a file.
    """
    try:
        if (size := path.stat().st_size) > LARGEST_BYTES:
            raise ValueError(f"it has {size} bytes, more than the {LARGEST_BYTES} that are allowed")
        text = path.read_text(encoding="utf-8")
        return json.loads(text, parse_constant=_refuse, parse_float=_finite, parse_int=_whole)
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from error
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text:.{_LONGEST_NUMBER}} is too large")
    return value


def _whole(text: str) -> int:
    if len(text) > _LONGEST_NUMBER:
        raise ValueError(f"a number has {len(text)} digits")
    return int(text)
