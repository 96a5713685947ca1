"""Probe rows for a loaded model, generated from its schema so that they are valid in requests."""

import json
import random
from importlib import import_module
from typing import Any

CONTENT_TYPE = "application/json"

_ROWS = 256
_EXTREMES: dict[str, tuple[float, ...]] = {
    "integer": (0, 1, -1, 2**62, -(2**62)),
    "number": (0.0, 1e-30, -1.0, 3.4e38, -3.4e38),
}


def request() -> bytes:
    """Create a request for the loaded model's handlers; every other row has extreme and missing values."""
    columns = import_module("model.schema").SCHEMA.features
    generator = random.Random(0)
    rows = [[_value(column, generator, number % 2 == 1) for column in columns] for number in range(_ROWS)]
    return json.dumps(rows).encode()


def _value(column: Any, generator: random.Random, extreme: bool) -> Any:
    if column.type == "string":
        values = list(column.categories)
    elif column.type == "boolean":
        values = [True, False]
    elif extreme and generator.random() < 0.5:
        values = list(_EXTREMES[column.type])
    else:
        low = 0 if column.minimum is None else column.minimum
        high = low + 100 if column.maximum is None else column.maximum
        values = [generator.randint(int(low), int(high)) if column.type == "integer" else generator.uniform(low, high)]
    if column.nullable and extreme:
        values.append(None)
    return generator.choice(values)
