"""Probe rows for a loaded model, generated from its schema so that they are valid in requests."""

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

CONTENT_TYPE = "application/json"

_ROWS = 256
_EXTREMES: dict[str, tuple[float, ...]] = {
    "integer": (0, 1, -1, 2**62, -(2**62)),
    "number": (0.0, 1e-30, -1.0, 3.4e38, -3.4e38),
}


def request(folder: Path) -> bytes:
    """Create a request for the loaded model in a folder; every other row has extreme and missing values."""
    columns = [column for column in _columns(folder / "schema.json") if column["role"] == "feature"]
    generator = random.Random(0)
    rows = [[_value(column, generator, number % 2 == 1) for column in columns] for number in range(_ROWS)]
    return json.dumps(rows).encode()


def _columns(path: Path) -> Iterator[Mapping[str, Any]]:
    if path.is_file():
        yield from json.loads(path.read_text(encoding="utf-8"))["columns"]
    else:  # release 0.4.0 kept the schema as code only, which has been loaded with the handlers
        yield from map(asdict, import_module("model.schema").SCHEMA.columns)


def _value(column: Mapping[str, Any], generator: random.Random, extreme: bool) -> Any:
    if column["type"] == "string":
        values = list(column["categories"])
    elif column["type"] == "boolean":
        values = [True, False]
    elif extreme and generator.random() < 0.5:
        values = list(_EXTREMES[column["type"]])
    else:
        low = 0 if column["minimum"] is None else column["minimum"]
        high = low + 100 if column["maximum"] is None else column["maximum"]
        values = [
            generator.randint(int(low), int(high)) if column["type"] == "integer" else generator.uniform(low, high)
        ]
    if column["nullable"] and extreme:
        values.append(None)
    return generator.choice(values)
