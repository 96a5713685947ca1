"""When a window differs from the baseline, and when it only seems to."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from scipy import stats

from model.schema import SCHEMA
from modelkit import charts, dataset, synthetic
from modelkit.statistics import constraints, statistics
from modelkit.summaries import SKETCH_SIZE
from modelkit.violations import CATEGORIES, NUMBERS, Comparison, Limits, compare, kolmogorov_smirnov, l_infinity
from tests.projects import SOURCES

LIMITS = Limits(max_distance=0.1, max_drifted_share=0.3, max_missing_increase=0.02, max_auc_loss=0.05)
ROOT = SOURCES
FEATURES = list(SCHEMA.feature_names)


def judge(baseline: Any, window: Any, invalid: dict[str, int] | None = None, limits: Limits = LIMITS) -> Comparison:
    before = statistics(baseline)
    return compare(before, constraints(before), statistics(window), invalid or {}, limits)


def checks(comparison: Comparison) -> set[tuple[str, str]]:
    return {(each["feature_name"], each["constraint_check_type"]) for each in comparison.violations}


@pytest.fixture(scope="module")
def visits() -> Any:
    return dataset.read_typed(ROOT / "data/raw", SCHEMA)


@pytest.fixture(scope="module")
def halves(visits: Any) -> tuple[Any, Any]:
    """The rows of some persons to make a baseline of, and those of the others to draw windows from."""
    first = pc.equal(pc.bit_wise_and(visits["person"], 1), 0)
    return visits.filter(first), visits.filter(pc.invert(first))


@pytest.mark.slow
@pytest.mark.parametrize("rows", [100, 1_000, 10_000])
def test_at_most_one_of_a_hundred_windows_without_drift_alarms(halves: tuple[Any, Any], rows: int) -> None:
    before = statistics(halves[0])
    rules = constraints(before)
    random = np.random.default_rng(rows)
    windows = 100 if rows > 1_000 else 300
    alarms = []
    for _ in range(windows):
        drawn = halves[1].select(FEATURES).take(random.integers(halves[1].num_rows, size=rows))
        found = compare(before, rules, statistics(drawn), {}, LIMITS)
        alarms.append(found.drift or found.quality or bool(found.violations))
    assert sum(alarms) <= windows // 100


@pytest.mark.parametrize(("rows", "drift"), [(300, 1.0), (2_000, 0.5)])
def test_seeded_drift_is_found(halves: tuple[Any, Any], rows: int, drift: float) -> None:
    window = synthetic.resample(halves[1], SCHEMA, rows, seed=1, drift=drift).select(FEATURES)
    found = judge(halves[0], window)
    assert found.drift
    assert not found.quality
    assert "income" in found.drifted
    assert not {"site", "health", "female"} & set(found.drifted)


def test_drift_of_few_features_is_listed_but_does_not_alarm(halves: tuple[Any, Any]) -> None:
    window = halves[1].select(FEATURES)
    position = window.column_names.index("age")
    found = judge(halves[0], window.set_column(position, "age", pc.add(window["age"], 30.0)))
    assert found.drifted == ["age"]
    assert checks(found) == {("age", "baseline_drift_check")}
    assert not found.drift


@pytest.mark.parametrize("sizes", [(50, 80), (2_000, 300), (2_048, 2_048)])
def test_the_distance_of_numbers_is_that_of_scipy(sizes: tuple[int, int]) -> None:
    random = np.random.default_rng(sizes[0])
    left, right = random.normal(size=sizes[0]), np.round(random.normal(0.3, size=sizes[1]), 1)
    before, now = (statistics(pa.table({"x": values}))["features"][0] for values in (left, right))
    expected = stats.ks_2samp(left, right).statistic
    assert kolmogorov_smirnov(before, now) == pytest.approx(expected, abs=1e-12)


def test_the_distance_from_a_sketch_of_many_numbers_is_near_the_exact_one() -> None:
    random = np.random.default_rng(0)
    left, right = random.exponential(size=50_000), random.exponential(1.3, size=5_000)
    before, now = (statistics(pa.table({"x": values}))["features"][0] for values in (left, right))
    exact = stats.ks_2samp(left, right).statistic
    assert len(left) > SKETCH_SIZE
    assert kolmogorov_smirnov(before, now) == pytest.approx(exact, abs=0.005)


def test_the_distance_of_categories_is_the_largest_difference_of_a_share() -> None:
    before, now = (statistics(pa.table({"x": list(values)}))["features"][0] for values in ("aaaabbbbcc", "aabbbbbbbd"))
    assert l_infinity(before, now) == pytest.approx(0.3)


def table(**columns: Any) -> Any:
    return pa.table(columns)


def test_more_missing_values_than_chance_explains_are_a_fault_of_the_data() -> None:
    whole = table(x=[1.0] * 950 + [None] * 50)
    assert checks(judge(whole, table(x=[1.0] * 280 + [None] * 20))) == set()
    found = judge(whole, table(x=[1.0] * 240 + [None] * 60))
    assert checks(found) == {("x", "completeness_check")}
    assert found.quality
    assert found.features[0].missing == pytest.approx(0.2)


def test_values_without_any_present_are_missing_and_nothing_else() -> None:
    found = judge(table(x=[1.0, 2.0] * 200), table(x=pa.nulls(200, pa.float64())))
    assert checks(found) == {("x", "completeness_check")}
    assert (found.features[0].method, found.features[0].distance) == ("", 0.0)


def test_a_category_that_the_baseline_may_just_have_missed_is_none_of_its_faults() -> None:
    known = table(x=["a", "b"] * 500)
    assert checks(judge(known, table(x=["a"] * 499 + ["b"] * 500 + ["c"]))) == set()
    found = judge(known, table(x=["a", "b"] * 450 + ["c"] * 100))
    assert ("x", "categorical_values_check") in checks(found)
    assert "100 of 1000" in found.violations[0]["description"]


def test_values_of_another_type_are_a_fault_of_the_data() -> None:
    before = table(x=[1, 2] * 300)
    found = judge(before, table(x=[*[1, 2] * 99, None, None]), {"x": 2})
    assert checks(found) == {("x", "data_type_check")}
    assert found.features[0].missing == 0


def test_a_column_that_the_baseline_does_not_know_is_named() -> None:
    found = judge(table(x=[1.0] * 300), table(x=[1.0] * 300, y=[1.0] * 300))
    assert checks(found) == {("y", "extra_column_check")}


def test_numbers_and_categories_say_how_they_were_compared() -> None:
    both = table(x=[1.0, 2.0] * 100, y=["a", "b"] * 100)
    assert {feature.name: feature.method for feature in judge(both, both).features} == {"x": NUMBERS, "y": CATEGORIES}


def test_what_is_found_is_told_in_the_order_of_the_features_the_furthest_away_first() -> None:
    before = pa.table({name: list(range(1_000)) for name in ("near", "far", "same")})
    now = {"near": [value + 300 for value in range(1_000)], "far": [5_000] * 1_000, "same": [None] * 1_000}
    found = judge(before, pa.table({**now, "new": [1] * 1_000}))
    assert [each["feature_name"] for each in found.violations] == ["new", "far", "near", "same"]


def test_the_bounds_of_bars_are_plain_figures() -> None:
    before, now = (statistics(pa.table({"x": [0.0, highest]}))["features"][0] for highest in (27_410.0, 20_000.0))
    labels = charts.chart(before, now)["labels"]
    assert (labels[0], labels[-1]) == ("0 to 1713", "25700 to 27410")


def test_the_limits_decide() -> None:
    before, now = table(x=np.arange(2_000.0)), table(x=np.arange(2_000.0) + 500)
    assert judge(before, now).drift
    assert not judge(before, now, limits=Limits(0.5, 0.3, 0.02, 0.05)).drift
    assert not judge(before, now, limits=Limits(0.05, 1.0, 0.02, 0.05)).drift
