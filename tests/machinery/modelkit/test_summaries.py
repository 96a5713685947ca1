"""Summaries of parts are, merged, the summary of the whole."""

from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelkit import statistics as module
from modelkit.statistics import Accumulator, statistics
from modelkit.summaries import SKETCH_SIZE, TRACKED_VALUES, NumberSummary, Sketch, StringSummary

numbers = st.lists(st.one_of(st.none(), st.integers(-1_000, 1_000), st.floats(-1e6, 1e6)), min_size=1, max_size=300)
cuts = st.lists(st.integers(0, 300), max_size=5)


def parts(table: Any, at: list[int]) -> list[Any]:
    bounds = [0, *sorted(min(each, table.num_rows) for each in at), table.num_rows]
    return [table.slice(low, high - low) for low, high in pairwise(bounds)]


def rank_errors(levels: list[Any], ordered: Any) -> Any:
    values = np.concatenate(levels)
    weights = np.concatenate([np.full(len(level), 2**height) for height, level in enumerate(levels)])
    estimates = np.array([weights[values <= value].sum() for value in ordered])
    return np.abs(estimates - np.searchsorted(ordered, ordered, "right"))


@settings(deadline=None, max_examples=60)
@given(values=numbers, at=cuts)
def test_statistics_of_parts_are_those_of_the_whole(values: list[float | None], at: list[int]) -> None:
    text = [None if value is None else str(int(value) % 7) for value in values]
    table = pa.table({"x": pa.array(values, pa.float64()), "y": pa.array(text, pa.string())})
    accumulator = Accumulator(table.schema)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BATCH", 1)  # each part is summarized by itself
        for part in parts(table, at):
            accumulator.add(part)
        found, whole = accumulator.statistics(), statistics(table)
    first, expected = (each["features"][0].get("numerical_statistics", {}) for each in (found, whole))
    for name in ("mean", "sum", "std_dev"):
        assert first.pop(name, 0) == pytest.approx(expected.pop(name, 0), rel=1e-9, abs=1e-6)
    assert found == whole


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(st.integers(0, 500), max_size=200), min_size=1, max_size=8), st.integers(8, 32))
def test_a_merged_sketch_weighs_all_values_and_stays_small(batches: list[list[int]], size: int) -> None:
    merged = Sketch.of(np.empty(0), size)
    for batch in batches:
        merged.merge(Sketch.of(np.sort(np.array(batch, dtype=np.float64)), size))
    ordered = np.sort(np.array([each for batch in batches for each in batch], dtype=np.float64))
    assert sum(len(level) * 2**height for height, level in enumerate(merged.levels)) == len(ordered)
    assert all(len(level) <= size for level in merged.levels)
    if len(ordered):
        # each pass at level h moves ranks by 2**h at most, and there are n / (size 2**h) of them
        passes = sum(count * 2**height for height, count in enumerate(merged._passes))
        assert rank_errors(merged.levels, ordered).max() <= passes


def test_the_ranks_of_a_million_values_in_batches_are_exact_to_a_tenth_of_a_percent() -> None:
    random = np.random.default_rng(0)
    merged, drawn = Sketch.of(np.empty(0)), []
    for size in random.integers(1, 20_000, 100):
        drawn.append(random.normal(size=size))
        merged.merge(Sketch.of(np.sort(drawn[-1])))
    ordered = np.sort(np.concatenate(drawn))
    values = np.concatenate(merged.levels)
    weights = np.concatenate([np.full(len(level), 2**height) for height, level in enumerate(merged.levels)])
    order = np.argsort(values)
    estimates = np.cumsum(weights[order])
    exact = np.searchsorted(ordered, values[order], "right")
    assert np.abs(estimates - exact).max() / len(ordered) < 0.001
    assert all(len(level) <= SKETCH_SIZE for level in merged.levels)


def test_moments_of_batches_are_those_of_numpy() -> None:
    random = np.random.default_rng(1)
    batches = [random.normal(1e6, 1e-3, size) for size in (1, 5_000, 0, 20_000)]
    merged = NumberSummary.of(np.empty(0))
    for batch in batches:
        merged.merge(NumberSummary.of(batch))
    whole = np.concatenate(batches)
    assert merged.mean == pytest.approx(whole.mean(), rel=1e-14)
    assert np.sqrt(merged.squares / merged.count) == pytest.approx(whole.std(), rel=1e-9)
    assert (merged.count, merged.lowest, merged.highest, merged.whole) == (25_001, whole.min(), whole.max(), False)


def test_the_counts_of_many_strings_are_bounded_and_those_of_frequent_ones_are_close() -> None:
    merged = StringSummary.of({})
    for batch in range(10):
        rare = {f"{batch}-{number}": 1 for number in range(5_000)}
        merged.merge(StringSummary.of({"often": 4_000, "sometimes": 100, **rare}))
    assert len(merged.counts) <= TRACKED_VALUES
    assert merged.count == 10 * 9_100
    assert merged.distinct > TRACKED_VALUES
    slack = merged.count / TRACKED_VALUES
    assert 0 <= 40_000 - merged.counts["often"] <= slack
    assert 0 <= 1_000 - merged.counts["sometimes"] <= slack
