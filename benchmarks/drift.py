"""False alarms, detected changes and cost of the drift checks, beside those of scipy's tests and of evidently.

Windows are drawn from the population of the baseline, or from a changed one. An alarm of the checks is drift, a data
quality violation or a degraded model; scipy alarms if a Kolmogorov-Smirnov or chi-squared test is significant at 1 %
after Bonferroni's correction, evidently if its preset finds a drifted column. evidently is not installed with the
template:

    uv run --no-project --with 'evidently,pandas<3,pyarrow,scipy' benchmarks/drift.py
"""

import argparse
import math
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy import stats

sys.path.insert(0, str(Path(__file__).parent.parent / "<<cookiecutter.project_slug>>"))

from modelkit import evaluation, quality
from modelkit.statistics import constraints, statistics
from modelkit.violations import Limits, compare

LIMITS = Limits(max_distance=0.1, max_drifted_share=0.3, max_missing_increase=0.02, max_auc_loss=0.05)
SIGNIFICANCE = 0.01
BASELINE_ROWS = 10_000
CATEGORIES = ["red", "green", "blue", "black"]

Numbers = npt.NDArray[np.float64]


@dataclass
class Sample:
    """Rows of a population.

    Attributes:
        features: The values of each feature, n each: floats with NaN for missing values, or strings.
        predictions: The predicted probabilities.
        labels: The true labels.
    """

    features: dict[str, npt.NDArray[Any]]
    predictions: Numbers
    labels: npt.NDArray[np.bool_]

    @property
    def table(self) -> Any:
        """The features as an Arrow table."""
        return pa.table({name: pa.array(values, from_pandas=True) for name, values in self.features.items()})


def draw(random: np.random.Generator, features: int, rows: int) -> Sample:
    """Draw rows: of each ten features six are normal, one is skewed, one a count with nulls, two are categories."""
    values: dict[str, npt.NDArray[Any]] = {}
    for number in range(features):
        kind = number % 10
        if kind < 6:
            values[f"x{number}"] = random.normal(size=rows)
        elif kind == 6:
            values[f"x{number}"] = random.lognormal(size=rows)
        elif kind == 7:
            counts = random.poisson(1.0, rows).astype(float)
            values[f"x{number}"] = np.where(random.random(rows) < 0.05, np.nan, counts)
        else:
            values[f"x{number}"] = np.array(CATEGORIES)[random.choice(4, rows, p=[0.55, 0.3, 0.1, 0.05])]
    predictions = 1 / (1 + np.exp(-random.normal(-0.5, 1.2, rows)))
    return Sample(values, predictions, random.random(rows) < predictions)


class Ours:
    """The checks of the monitoring job."""

    def __init__(self, baseline: Sample) -> None:
        self._statistics = statistics(baseline.table)
        self._constraints = constraints(self._statistics)
        self._predictions = _predictions(baseline)
        metrics = evaluation.quality(baseline.labels, baseline.predictions.astype(np.float32))
        self._evaluation = {"binary_classification_metrics": metrics}

    def alarms(self, window: Sample) -> tuple[bool, bool]:
        """Return whether the checks alarm, and whether they report anything."""
        pair = (self._predictions, _predictions(window))
        found = compare(self._statistics, self._constraints, statistics(window.table), {}, LIMITS, pair)
        degraded = False
        if window.labels.any() and not window.labels.all():
            now = quality.figures(window.labels, window.predictions.astype(np.float32), self._evaluation)
            before = self._evaluation["binary_classification_metrics"]
            degraded = quality.is_degraded(before, now, LIMITS.max_auc_loss)
        return found.drift or found.quality or degraded, bool(found.violations) or degraded


class Scipy:
    """Tests of all features and of the predictions, at a significance level that they share."""

    def __init__(self, baseline: Sample) -> None:
        self._baseline = baseline

    def alarms(self, window: Sample) -> tuple[bool, bool]:
        """Return twice whether a test is significant."""
        level = SIGNIFICANCE / (len(window.features) + 1)
        before = {**self._baseline.features, "prediction": self._baseline.predictions}
        now = {**window.features, "prediction": window.predictions}
        found = any(_p_value(before[name], now[name]) < level for name in now)
        return found, found


class Evidently:
    """The data drift preset of evidently, with its defaults."""

    def __init__(self, baseline: Sample) -> None:
        self._baseline = self._dataset(baseline)
        self._report = import_module("evidently").Report([import_module("evidently.presets").DataDriftPreset()])

    def alarms(self, window: Sample) -> tuple[bool, bool]:
        """Return whether half of the columns drifted, its default, and whether one did."""
        found = self._report.run(self._dataset(window), self._baseline).dict()
        (share,) = (
            each["value"]["share"]
            for each in found["metrics"]
            if isinstance(each["value"], dict) and "share" in each["value"]
        )
        return share >= 0.5, share > 0

    def _dataset(self, sample: Sample) -> Any:
        frame = import_module("pandas").DataFrame({**sample.features, "prediction": sample.predictions})
        return import_module("evidently").Dataset.from_pandas(frame)


def wilson(hits: int, trials: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of a share (Wilson, "Probable Inference", JASA 22, 1927)."""
    z, share = 1.959963984540054, hits / trials
    middle, scale = share + z * z / (2 * trials), 1 + z * z / trials
    half = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def _predictions(sample: Sample) -> dict[str, Any]:
    found: dict[str, Any] = statistics(pa.table({"prediction": sample.predictions}))["features"][0]
    return found


def _p_value(before: npt.NDArray[Any], now: npt.NDArray[Any]) -> float:
    if before.dtype.kind == "f":
        return float(stats.ks_2samp(before[~np.isnan(before)], now[~np.isnan(now)], method="asymp").pvalue)
    names = sorted({*before.tolist(), *now.tolist()})
    counts = [[int((side == name).sum()) for name in names] for side in (before, now)]
    return float(stats.chi2_contingency(counts).pvalue)


def _shift(share: float, size: float) -> Callable[[Sample, np.random.Generator], None]:
    def change(sample: Sample, random: np.random.Generator) -> None:
        names = [name for name, values in sample.features.items() if values.dtype.kind == "f"]
        for name in names[: max(1, round(share * len(sample.features)))]:
            sample.features[name] = sample.features[name] + size

    return change


def _scale(sample: Sample, random: np.random.Generator) -> None:
    for name in list(sample.features)[: max(1, round(0.4 * len(sample.features)))]:
        sample.features[name] = sample.features[name] * 3


def _category(sample: Sample, random: np.random.Generator) -> None:
    values = sample.features["x8"].astype("U6")
    sample.features["x8"] = np.where(random.random(len(values)) < 0.05, "violet", values)


def _nulls(sample: Sample, random: np.random.Generator) -> None:
    values = sample.features["x0"]
    sample.features["x0"] = np.where(random.random(len(values)) < 0.15, np.nan, values)


def _flip(sample: Sample, random: np.random.Generator) -> None:
    sample.labels = sample.labels ^ (random.random(len(sample.labels)) < 0.3)


def _predict(sample: Sample, random: np.random.Generator) -> None:
    sample.predictions = 1 / (1 + (1 / sample.predictions - 1) * math.exp(-0.8))


CHANGES: dict[str, Callable[[Sample, np.random.Generator], None]] = {
    "one feature + 0.5 sd": _shift(0, 0.5),
    "40 % of the features + 0.5 sd": _shift(0.4, 0.5),
    "40 % of the features x 3": _scale,
    "a new category in 5 % of the rows": _category,
    "15 % of one feature missing": _nulls,
    "30 % of the labels flipped": _flip,
    "log-odds of the predictions + 0.8": _predict,
}


def _row(title: str, checks: Any, windows: int, sample: Callable[[int], Sample]) -> None:
    alarmed = reported = 0
    seconds = 0.0
    for number in range(windows):
        drawn = sample(number)
        started = time.perf_counter()
        alarm, report = checks.alarms(drawn)
        seconds += time.perf_counter() - started
        alarmed += alarm
        reported += report
    low, high = wilson(alarmed, windows)
    print(
        f"{title:<60} {alarmed / windows:7.1%} [{low:5.1%}, {high:6.1%}] {reported / windows:7.1%}"
        f" {1000 * seconds / windows:9.1f} ms",
        flush=True,
    )


def main() -> None:
    """Print the share of windows with an alarm and with any finding, and the time per window."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=1_000, help="windows of each size without a change")
    parser.add_argument("--changed", type=int, default=200, help="windows of each size with each change")
    parser.add_argument(
        "--peers", type=int, default=100, help="windows for scipy and evidently, which are slower; 0: leave them out"
    )
    parser.add_argument("--features", type=int, nargs="+", default=[10, 300])
    parser.add_argument("--rows", type=int, nargs="+", default=[100, 1_000, 10_000])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    peers: list[tuple[str, Any]] = [("scipy", Scipy)]
    try:
        peers.append((f"evidently {import_module('evidently').__version__}", Evidently))
    except ImportError:
        print("evidently is not installed, and left out\n")
    print(f"{'':<60} {'alarm':>7} {'95 % interval':>15} {'finding':>7} {'a window':>9}")
    for features in options.features:
        baseline = draw(np.random.default_rng([options.seed, features]), features, BASELINE_ROWS)
        judges = [("checks", Ours(baseline), options.windows, options.changed)]
        if options.peers:
            judges += [(name, peer(baseline), options.peers, options.peers) for name, peer in peers]
        for name, checks, same, changed in judges:
            for rows in options.rows:
                _rows(name, checks, (same, changed), features, rows, options.seed)
    print(f"\npeak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def _rows(name: str, checks: Any, windows: tuple[int, int], features: int, rows: int, seed: int) -> None:
    def sample(number: int) -> Sample:
        return draw(np.random.default_rng([seed, features, rows, number]), features, rows)

    title = f"{name}, {features} x {rows}"
    _row(f"{title}: no change", checks, windows[0], sample)
    if features > 10:
        return
    for change_name, change in CHANGES.items():

        def changed(number: int, change: Callable[[Sample, np.random.Generator], None] = change) -> Sample:
            drawn = sample(number)
            change(drawn, np.random.default_rng([seed, number]))
            return drawn

        _row(f"{title}: {change_name}", checks, windows[1], changed)


if __name__ == "__main__":
    main()
