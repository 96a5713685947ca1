"""Refusals of requests: short, whatever the schema and the request are."""

import importlib.util
import json
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.schema import SCHEMA
from modelkit import inference
from modelkit.messages import LISTED
from modelkit.schema import Column, Schema

CSV, JSON, LINES = FORMATS = ("text/csv", "application/json", "application/jsonlines")
MOST_BYTES = 2048
TARGET = (Column("came", "boolean", "target", ""), Column("id", "string", "attribute", ""))
CATEGORIES = tuple(f"category-{number}" + "\N{GRINNING FACE}" * 50 for number in range(4_043))

SCHEMAS = {
    "4 043 categories": Schema((Column("column-0", "string", "feature", "", categories=CATEGORIES), *TARGET), "id"),
    "2 000 features": Schema(
        (*(Column(f"column-{number}", "number", "feature", "", True) for number in range(2_000)), *TARGET), "id"
    ),
    "names of 5 000 characters": Schema(
        (*(Column(f"column-{number}" + "ä" * 5_000, "integer", "feature", "") for number in range(30)), *TARGET), "id"
    ),
}


@pytest.fixture(scope="module", params=SCHEMAS)
def handlers(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    """The handlers for a schema."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("model.schema.SCHEMA", SCHEMAS[request.param])
        patch.setattr("model.derive.DERIVED", {})
        spec = importlib.util.spec_from_file_location("inference_of_a_schema", inference.__file__)
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module


def body(content_type: str, names: list[str], values: list[Any]) -> bytes:
    """One row with names and as many values."""
    row = dict(zip(names, values, strict=True))
    if content_type == CSV:
        return "\n".join([",".join(row), ",".join(map(str, row.values()))]).encode(errors="replace")
    return json.dumps(row).encode()


def refusal(handlers: ModuleType, request: bytes, content_type: str) -> str:
    with pytest.raises(ValueError, match=r"row|header|content type") as error:
        handlers.decode_fn(request, content_type)
    return str(error.value)


def require_short(reason: str) -> None:
    assert len(json.dumps({"error": reason})) <= MOST_BYTES
    assert len(reason.encode(errors="surrogateescape")) <= MOST_BYTES
    assert reason.count("category-") <= LISTED
    assert reason.count("column-") + reason.count("stray-") <= LISTED


@pytest.mark.parametrize("content_type", FORMATS)
def test_a_refusal_of_a_row_is_short(handlers: ModuleType, content_type: str) -> None:
    names = list(handlers.SCHEMA.feature_names)
    stray = [f"stray-{number}-{'x' * 5_000}" for number in range(30)]
    huge = "\N{GRINNING FACE}" * 250_000  # 1 MB
    for row in (
        (names, [huge, *[1] * (len(names) - 1)]),
        (names[: len(names) // 2] + stray, [1] * (len(names) // 2 + len(stray))),
        (names + stray, [1] * (len(names) + len(stray))),
        (stray, [huge, *[1] * (len(stray) - 1)]),
    ):
        require_short(refusal(handlers, body(content_type, *row), content_type))
    for values in ([1] * 5_000, [huge], [[huge], *[1] * (len(names) - 1)]):
        text = ",".join(map(str, values)) if content_type == CSV else json.dumps(values)
        require_short(refusal(handlers, text.encode() if content_type != JSON else f"[{text}]".encode(), content_type))


def test_a_repeated_name_is_counted_with_the_others(handlers: ModuleType) -> None:
    names = list(handlers.SCHEMA.feature_names)
    header = [*names[: len(names) // 2 + 1] * 2, *(f"stray-{number}" for number in range(30))]
    reason = refusal(handlers, f"{','.join(header)}\n1\n".encode(), CSV)
    assert reason.startswith("the header ")
    assert "repeats column-0" in reason
    assert "has unknown 'stray-0'" in reason
    require_short(reason)


def test_the_names_that_are_not_listed_are_counted() -> None:
    names = [f"stray-{number}" for number in range(30)]
    reason = refusal(inference, body(JSON, [*SCHEMA.feature_names, *names], [1] * 47), JSON)
    listed = ", ".join(map(repr, names[:LISTED]))
    assert reason == f"row 1 has unknown {listed} and 20 more; the model has 17 columns"


def test_a_media_type_of_any_length_is_refused_in_short(handlers: ModuleType) -> None:
    require_short(refusal(handlers, b"1", "x" * 10_000))
    with pytest.raises(ValueError, match="is not supported") as error:
        handlers.output_fn(np.zeros(1, np.float32), "x" * 10_000)
    require_short(str(error.value))


TEXTS = st.text(max_size=80).map(lambda text: text * 60) | st.sampled_from(["column-0", "stray-1", "instances"])
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
DOCUMENTS = st.recursive(VALUES, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=40)


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=DOCUMENTS, content_type=st.sampled_from(FORMATS))
def test_no_refusal_is_longer_than_2_kb(handlers: ModuleType, document: Any, content_type: str) -> None:
    request = json.dumps(document)
    for text in (request, f"[{request}]", request.replace("\\n", "\n").replace('"', "")):
        try:
            handlers.decode_fn(text.encode(errors="replace"), content_type)
        except ValueError as error:
            require_short(str(error))
