"""That what chance explains alarms in at most one of a hundred windows, however strict the limits."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from model.schema import SCHEMA
from modelkit import dataset
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
