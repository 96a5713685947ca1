"""That what chance explains alarms in at most one of a hundred windows, however strict the limits."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from scipy import stats

from model.schema import SCHEMA
from modelkit import dataset, evaluation, quality
from modelkit.statistics import constraints, statistics
from modelkit.violations import Limits, compare, exceeds_chance
from tests.projects import SOURCES

STRICT = Limits(max_distance=0.1, max_drifted_share=0.0, max_missing_increase=0.0, max_auc_loss=0.0)


@pytest.fixture(scope="module")
def visits() -> Any:
    folder = SOURCES / "data/raw"
    return dataset.read_typed(folder, SCHEMA).select(list(SCHEMA.feature_names))


@pytest.mark.slow
@pytest.mark.parametrize("rows", [100, 1_000])
def test_no_limit_but_chance_still_lets_windows_of_the_same_source_pass(visits: Any, rows: int) -> None:
    random = np.random.default_rng(rows)
    alarms = []
    for _ in range(2):
        shuffled = random.permutation(visits.num_rows)
        before = statistics(visits.take(shuffled[:14_000]))
        rules = constraints(before)
        for _ in range(75):
            window = visits.take(random.choice(shuffled[14_000:], rows, replace=False))
            alarms.append(bool(compare(before, rules, statistics(window), {}, STRICT).violations))
    assert sum(alarms) <= len(alarms) // 100


@pytest.mark.parametrize("share", [0.0005, 0.01, 0.3])
@pytest.mark.parametrize("n", [100, 3_000])
def test_the_bound_holds_for_counts_of_one_source(share: float, n: int) -> None:
    m, chance = 14_000, 0.01
    random = np.random.default_rng(n)
    before, count = random.binomial(m, share, 20_000), random.binomial(n, share, 20_000)
    found = [exceeds_chance(k, n, k0, m, chance) for k, k0 in zip(count.tolist(), before.tolist(), strict=True)]
    assert np.mean(found) <= chance


def test_the_bound_is_never_below_the_exact_probability() -> None:
    n, m = 200, 2_000
    for count, before in ((5, 10), (20, 100), (60, 300), (1, 0), (4, 0)):
        exact = stats.hypergeom(n + m, count + before, n).sf(count - 1)
        assert not exceeds_chance(count, n, before, m, float(exact) * 0.999)


def test_what_chance_does_not_explain_is_found() -> None:
    assert exceeds_chance(30, 200, 100, 2_000, 1e-4)
    assert exceeds_chance(200, 200, 0, 2_000, 1e-4)


def test_negative_values_are_a_fault_where_the_baseline_has_none() -> None:
    before = statistics(pa.table({"x": np.arange(1_000.0)}))
    now = statistics(pa.table({"x": np.concatenate([np.arange(900.0), -np.arange(1.0, 101.0)])}))
    found = compare(before, constraints(before), now, {}, Limits(1.0, 1.0, 0.0, 0.0))
    assert [each["constraint_check_type"] for each in found.violations] == ["data_type_check"]
    assert "100 of 1000 values are negative" in found.violations[0]["description"]
    one = statistics(pa.table({"x": np.concatenate([np.arange(999.0), [-1.0]])}))
    assert compare(before, constraints(before), one, {}, Limits(1.0, 1.0, 0.0, 0.0)).violations == []


def population(random: np.random.Generator, features: int, rows: int) -> tuple[Any, Any, npt.NDArray[np.bool_]]:
    """Features, the statistics of predictions, and labels."""
    columns: dict[str, Any] = {f"x{number}": random.normal(size=rows) for number in range(features - 2)}
    columns["counts"] = pa.array(random.poisson(1.0, rows).astype(float), mask=random.random(rows) < 0.05)
    columns["colour"] = random.choice(["red", "green", "blue", "black"], rows, p=[0.55, 0.3, 0.1, 0.05])
    predictions = (1 / (1 + np.exp(-random.normal(size=rows)))).astype(np.float32)
    return pa.table(columns), predictions, random.random(rows) < predictions


def predicted(predictions: Any) -> dict[str, Any]:
    found: dict[str, Any] = statistics(pa.table({"prediction": predictions}))["features"][0]
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("features", "rows", "windows"),
    [(10, 100, 300), (10, 2_500, 160), pytest.param(300, 100, 150, marks=pytest.mark.nightly)],
)
def test_at_most_two_of_a_hundred_windows_of_the_same_population_raise_any_alarm(
    features: int, rows: int, windows: int
) -> None:
    random = np.random.default_rng([features, rows])
    table, predictions, labels = population(random, features, 5_000)
    before, known = statistics(table), predicted(predictions)
    evaluated = evaluation.quality(labels, predictions)
    rules = constraints(before)
    limits = Limits(max_distance=0.1, max_drifted_share=0.3, max_missing_increase=0.02, max_auc_loss=0.05)
    alarms = 0
    for _ in range(windows):
        table, predictions, labels = population(random, features, rows)
        pair = (known, predicted(predictions))
        found = compare(before, rules, statistics(table), {}, limits, pair)
        now = evaluation.quality(labels, predictions)
        alarms += bool(found.violations) or quality.is_degraded(evaluated, now, limits.max_auc_loss)
    upper = float(stats.beta.ppf(0.95, alarms + 1, windows - alarms))  # Clopper and Pearson, 1934
    assert upper <= 0.02


@pytest.mark.parametrize(("rows", "positives"), [(100, 0.5), (100, 0.1), (1_000, 0.03)])
@pytest.mark.parametrize("distance", [0.3, 1.0, 2.5])
def test_an_auc_that_is_lower_by_chance_is_not_degraded(rows: int, positives: float, distance: float) -> None:
    random = np.random.default_rng([rows, round(100 * positives), round(10 * distance)])

    def sample(count: int) -> dict[str, Any]:
        labels = np.arange(count) < max(2, positives * count)
        return evaluation.quality(labels, random.normal(distance * labels).astype(np.float32))

    alarms = sum(quality.is_degraded(sample(500), sample(rows), 0.0) for _ in range(300))
    assert alarms <= stats.binom.ppf(0.999, 300, 0.01)


def test_an_auc_that_is_lower_than_chance_explains_is_degraded_beyond_the_limit() -> None:
    labels = np.arange(4_000) % 2 > 0
    random = np.random.default_rng(0)
    good, poor = (evaluation.quality(labels, random.normal(each * labels).astype(np.float32)) for each in (1.5, 1.0))
    loss = good["auc"]["value"] - poor["auc"]["value"]
    assert 0.08 < loss < 0.11
    assert quality.is_degraded(good, poor, 0.05)
    assert not quality.is_degraded(good, poor, 0.08)
    assert not quality.is_degraded(poor, good, 0.0)
