"""Summaries of the values of a column, of bounded size, which can be merged.

The summary of a table is that of its parts, merged: exactly, apart from the errors that are stated for each summary.
"""

from dataclasses import dataclass, field
from itertools import zip_longest

import numpy as np
import numpy.typing as npt

SKETCH_SIZE = 2048
"""The parameter k of a sketch: up to this many values are stored completely."""

TRACKED_VALUES = 10_000
"""The maximum number of distinct strings whose counts are stored."""

Numbers = npt.NDArray[np.float64]


@dataclass
class Sketch:
    """A KLL sketch of n numbers: ascending values by level, where a value at level h represents 2**h values.

    As in Karnin, Lang and Liberty, "Optimal Quantile Approximation in Streams" (FOCS 2016), a level that is too long
    passes on every second value; here alternately the odd and the even ones, so that the result is deterministic and
    the errors of successive passes cancel. The total weight of the levels is n.

    Attributes:
        levels: The levels.
        size: The maximum length of a level.
    """

    levels: list[Numbers]
    size: int = SKETCH_SIZE
    _passes: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, ordered: Numbers, size: int = SKETCH_SIZE) -> "Sketch":
        """Return the sketch of n ascending values."""
        found = cls([ordered], size)
        found._compress()
        return found

    def merge(self, other: "Sketch") -> None:
        """Add the values of another sketch."""
        for level, values in enumerate(other.levels):
            self._insert(level, values)
        self._passes = [sum(counts) for counts in zip_longest(self._passes, other._passes, fillvalue=0)]
        self._compress()

    def _insert(self, level: int, values: Numbers) -> None:
        if level == len(self.levels):
            self.levels.append(values)
        else:
            self.levels[level] = np.sort(np.concatenate([self.levels[level], values]))

    def _compress(self) -> None:
        level = 0
        while level < len(self.levels):
            self._passes += [0] * (level + 1 - len(self._passes))
            ordered = self.levels[level]
            if len(ordered) > self.size:
                paired = len(ordered) - len(ordered) % 2
                self.levels[level] = ordered[paired:]
                self._insert(level + 1, ordered[(level + self._passes[level] + 1) % 2 : paired : 2])
                self._passes[level] += 1
            level += 1


@dataclass
class NumberSummary:
    """The moments, range and sketch of n numbers; the rank of a value is known up to the error of the sketch.

    Attributes:
        count: The number of values, n.
        mean: Their mean; 0 if there are none.
        squares: The sum of their squared differences from the mean.
        total: Their sum.
        lowest: The smallest value; infinite if there are none.
        highest: The largest value; minus infinity if there are none.
        whole: Whether all are whole numbers.
        sketch: Their distribution.
    """

    count: int
    mean: float
    squares: float
    total: float
    lowest: float
    highest: float
    whole: bool
    sketch: Sketch

    @classmethod
    def of(cls, values: Numbers) -> "NumberSummary":
        """Return the summary of n finite values."""
        ordered = np.sort(values)
        mean = float(ordered.mean()) if len(ordered) else 0.0
        return cls(
            count=len(ordered),
            mean=mean,
            squares=float(((ordered - mean) ** 2).sum()),
            total=float(ordered.sum()),
            lowest=float(ordered[0]) if len(ordered) else np.inf,
            highest=float(ordered[-1]) if len(ordered) else -np.inf,
            whole=bool((ordered == np.floor(ordered)).all()),
            sketch=Sketch.of(ordered),
        )

    def merge(self, other: "NumberSummary") -> None:
        """Add the values of another summary.

        Means and squares are combined as in Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for
        Computing Sample Variances" (1979), equation 2.1.
        """
        if not other.count:
            return
        count = self.count + other.count
        difference = other.mean - self.mean
        self.squares += other.squares + difference**2 * self.count * (other.count / count)
        self.mean += difference * (other.count / count)
        self.count = count
        self.total += other.total
        self.lowest, self.highest = min(self.lowest, other.lowest), max(self.highest, other.highest)
        self.whole &= other.whole
        self.sketch.merge(other.sketch)


@dataclass
class StringSummary:
    """The counts of n strings.

    Counts are exact for up to `TRACKED_VALUES` distinct strings. Beyond, those of rare strings are dropped, and each
    count is too small by n / TRACKED_VALUES at most (Misra and Gries, "Finding Repeated Elements", 1982; merged as in
    Agarwal et al., "Mergeable Summaries", PODS 2012).

    Attributes:
        count: The number of strings, n.
        counts: The number of occurrences of each string.
        distinct: The number of distinct strings; a lower bound once strings were dropped.
    """

    count: int
    counts: dict[str, int]
    distinct: int

    @classmethod
    def of(cls, counts: dict[str, int]) -> "StringSummary":
        """Return the summary of strings that occur so often."""
        found = cls(sum(counts.values()), counts, len(counts))
        found._prune()
        return found

    def merge(self, other: "StringSummary") -> None:
        """Add the strings of another summary."""
        self.count += other.count
        for value, count in other.counts.items():
            self.counts[value] = self.counts.get(value, 0) + count
        self.distinct = max(self.distinct, other.distinct, len(self.counts))
        self._prune()

    def _prune(self) -> None:
        if len(self.counts) > TRACKED_VALUES:
            surplus = sorted(self.counts.values(), reverse=True)[TRACKED_VALUES]
            self.counts = {value: count - surplus for value, count in self.counts.items() if count > surplus}
