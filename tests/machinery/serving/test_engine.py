"""The short cuts of a loaded model: they give the model's answers, or are not taken."""

import asyncio
import logging
import random
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops.base import twin_file
from mlops.serving import probes, twin
from mlops.serving.batching import Batcher
from mlops.serving.engine import LARGEST_FOR_TWIN, Engine, load
from model.schema import SCHEMA
from modelkit import inference, synthetic
from modelkit.jobs import train
from modelkit.schema import Column
from tests.machinery.serving.served import archive
from tests.own_code import kept


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive as training leaves it, with its twin."""
    folder = tmp_path_factory.mktemp("trained")
    rows = synthetic.generate(SCHEMA, 2_000, seed=1)
    for name in ("train", "validation"):
        (folder / name).mkdir()
        synthetic.write(rows, folder / name / "rows.parquet")
    paths = ["--train", folder / "train", "--validation", folder / "validation", "--model-dir", folder / "model"]
    assert train.main([*map(str, paths), "--num-round", "30"]) == 0
    with kept():
        twin.make(folder / "model")
    return folder / "model"


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "model"))


def requests(rows: int) -> bytes:
    table = synthetic.generate(SCHEMA, max(rows, 100), seed=2).select(SCHEMA.feature_names).slice(0, rows)
    texts = (["" if value is None else str(value) for value in row.values()] for row in table.to_pylist())
    return "\n".join(map(",".join, texts)).encode()


def answers(engine: Engine, body: bytes) -> list[float]:
    return [float(line) for line in engine.respond(body, "text/csv", "text/csv").split()]


def natively(body: bytes, folder: Path) -> list[float]:
    model = inference.model_fn(str(folder))
    return [float(value) for value in inference.predict_fn(inference.input_fn(body, "text/csv"), model)]


def test_the_twin_answers_what_the_model_answers(trained: Path) -> None:
    model = inference.model_fn(str(trained))
    rows = inference.input_fn(probes.request(trained), probes.CONTENT_TYPE)
    assert np.isnan(rows).any(), "the rows must have missing values to mean anything"
    assert np.abs(rows[np.isfinite(rows)]).max() > 1e37, "and extreme ones"
    expected = inference.predict_fn(rows, model)
    assert len(np.unique(expected)) > 50
    assert twin.load(trained, rows, expected)(rows) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("rows", [1, LARGEST_FOR_TWIN, LARGEST_FOR_TWIN + 1, 400])
def test_small_and_large_requests_get_the_models_answer(trained: Path, rows: int) -> None:
    body = requests(rows)
    assert answers(load(trained), body) == pytest.approx(natively(body, trained), abs=1e-6)


def test_few_rows_go_to_the_twin_and_many_to_the_model(trained: Path) -> None:
    handlers = load(trained)._handlers
    engine = Engine(handlers, small=lambda rows: np.full(len(rows), 2.0, np.float32))
    assert set(answers(engine, requests(LARGEST_FOR_TWIN))) == {2.0}
    assert max(answers(engine, requests(LARGEST_FOR_TWIN + 1))) <= 1.0


def test_a_row_gets_the_same_answer_alone_as_among_others(trained: Path) -> None:
    engine = load(trained)
    rows = engine.decode(requests(LARGEST_FOR_TWIN), "text/csv")
    together = engine.predict(rows)
    assert [float(engine.predict([row])[0]) for row in rows] == [float(value) for value in together]


def test_without_a_twin_the_model_answers(copy: Path) -> None:
    (copy / "twin.onnx").unlink()
    assert answers(load(copy), requests(3)) == natively(requests(3), copy)


def test_a_damaged_twin_is_not_used_and_the_log_says_why(copy: Path, caplog: pytest.LogCaptureFixture) -> None:
    (copy / "twin.onnx").write_bytes(b"no graph")
    with caplog.at_level(logging.WARNING):
        engine = load(copy)
    assert answers(engine, requests(3)) == natively(requests(3), copy)
    assert "optimizations are disabled" in caplog.text
    assert engine.in_halves


def test_flipped_bits_in_a_twin_are_found(copy: Path) -> None:
    content, generator = (copy / "twin.onnx").read_bytes(), random.Random(0)
    for _ in range(60):
        flipped = bytearray(content)
        flipped[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
        (copy / "twin.onnx").write_bytes(flipped)
        assert not twin_file.is_intact(copy)
    assert load(copy)._small is None
    (copy / "twin.onnx").write_bytes(content)
    assert twin_file.is_intact(copy)
    assert load(copy)._small is not None


def test_a_twin_of_another_model_is_not_used(copy: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = inference.input_fn(probes.request(copy), probes.CONTENT_TYPE)
    with pytest.raises(ValueError, match=r"differ from the model's by 0\.1"):
        twin.load(copy, rows, inference.predict_fn(rows, inference.model_fn(str(copy))) + 0.1)


def test_halves_that_do_less_than_the_whole_are_not_used(copy: Path) -> None:
    handlers = copy / "code/inference.py"
    whole = "return assemble_fn(decode_fn(body, content_type))"
    assert whole in handlers.read_text()
    assert load(copy).in_halves
    handlers.write_text(handlers.read_text().replace(whole, f"{whole} + 1"))
    assert not load(copy).in_halves


def test_handlers_of_another_kind_have_no_short_cut(tmp_path: Path) -> None:
    engine = load(archive(tmp_path / "other"))
    assert not engine.in_halves
    assert engine.respond(b"21", "text/csv", "text/csv") == b"42"
    assert engine.writes("application/json")
    assert not engine.writes("image/png")


class Doubling(Engine):
    """Doubles numbers and notes how many it is given together; it cannot do 13, and cannot read words."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def decode(self, body: bytes, content_type: str) -> list[list[float]]:
        return [[float(word)] for word in body.split()]

    def predict(self, rows: list[list[float]]) -> Any:
        if [13.0] in rows:
            raise RuntimeError("thirteen")
        self.sizes.append(len(rows))
        return np.array([row[0] * 2 for row in rows], np.float32)

    def write(self, prediction: Any, answer_type: str) -> bytes:
        return b" ".join(b"%d" % value for value in prediction)


def batched(requests: list[bytes]) -> tuple[list[Any], list[int]]:
    """The outcomes of requests of one turn, and the sizes of the batches they were put into."""
    engine = Doubling()

    async def ask() -> list[Any]:
        batcher = Batcher(engine)
        answers = (batcher.respond(request, "text/csv", "text/csv") for request in requests)
        return await asyncio.gather(*answers, return_exceptions=True)

    return asyncio.run(ask()), engine.sizes


NUMBERS = st.lists(st.integers(0, 12), min_size=1, max_size=70)


@settings(deadline=None)
@given(st.lists(NUMBERS, min_size=1, max_size=8))
def test_each_request_of_a_batch_gets_its_own_predictions(requests: list[list[int]]) -> None:
    outcomes, sizes = batched([" ".join(map(str, numbers)).encode() for numbers in requests])
    assert outcomes == [" ".join(str(number * 2) for number in numbers).encode() for numbers in requests]
    assert sum(sizes) == sum(map(len, requests))
    assert max(sizes) <= LARGEST_FOR_TWIN


def test_requests_of_one_turn_are_predicted_together() -> None:
    assert batched([b"1", b"2 3", b"4"]) == ([b"2", b"4 6", b"8"], [4])


def test_a_request_that_is_large_by_itself_is_predicted_by_itself() -> None:
    large = b"1 " * (LARGEST_FOR_TWIN + 1)
    assert batched([b"1", large, b"2"])[1] == [1, LARGEST_FOR_TWIN + 1, 1]


def test_more_rows_than_the_twin_takes_are_not_put_together() -> None:
    many = b"1 " * (LARGEST_FOR_TWIN // 2)
    assert batched([many, many, b"1", many])[1] == [LARGEST_FOR_TWIN, LARGEST_FOR_TWIN // 2 + 1]


def test_what_fails_for_one_request_does_not_fail_for_the_others() -> None:
    outcomes, _ = batched([b"1", b"13", b"word", b"3"])
    assert [outcomes[0], outcomes[3]] == [b"2", b"6"]
    assert str(outcomes[1]) == "thirteen"
    assert isinstance(outcomes[2], ValueError)


PLAIN_ROW = ["1" if column.type != "string" else column.categories[0] for column in SCHEMA.features]


def texts(column: Column) -> Any:
    number = st.from_regex(r"[+-]?[0-9]{1,4}\.?[0-9]{0,3}(e[0-9])?", fullmatch=True)
    common = st.sampled_from(["", "0", "1", "true", "False", "-1", "1e9", "9" * 25, "9" * 45, "nan", "inf", " 1"])
    return st.one_of(number, st.sampled_from(column.categories or ("7",)), common)


CHANGES = st.lists(st.sampled_from(SCHEMA.features).flatmap(lambda column: st.tuples(st.just(column), texts(column))))


@pytest.mark.slow
@settings(max_examples=300)
@given(CHANGES)
def test_a_plain_row_is_decoded_as_any_other_row(changes: list[tuple[Column, str]]) -> None:
    row = list(PLAIN_ROW)
    for column, text in changes:
        row[SCHEMA.features.index(column)] = text
    line = ",".join(row)
    try:
        slowly = inference._values([row], inference._TEXT_DECODERS, None)
    except ValueError as refusal:
        with pytest.raises(ValueError, match=re.escape(str(refusal))):
            inference.decode_fn(line, "text/csv")
    else:
        assert np.array_equal(inference.decode_fn(line, "text/csv"), slowly, equal_nan=True)


@pytest.mark.parametrize("column", SCHEMA.features, ids=lambda column: column.name)
def test_common_ways_to_write_a_value_are_plain(column: Column) -> None:
    ways = {"boolean": ("0", "1"), "integer": ("3", "-12"), "number": ("3", "-0.25", "7.")}
    for text in ways.get(column.type, column.categories):
        assert is_plain(column, text), text


@pytest.mark.parametrize("column", SCHEMA.features, ids=lambda column: column.name)
def test_what_a_column_cannot_have_is_not_plain(column: Column) -> None:
    ways = {"boolean": ("2", "yes"), "integer": ("9" * 19, "1.5", "nan"), "number": ("9" * 40, "nan", "inf", ".")}
    for text in ways.get(column.type, ("?", "1")):
        assert not is_plain(column, text), text


def is_plain(column: Column, text: str) -> bool:
    position = SCHEMA.features.index(column)
    return bool(inference._is_plain(",".join([*PLAIN_ROW[:position], text, *PLAIN_ROW[position + 1 :]])))
