"""Smoke and load tests of a model that is deployed: are its answers right, and does it answer quickly enough."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

from mlops.base.errors import MlopsError

TOLERANCE = 1e-3
"""How far an answer may be from that of the registered model here: another processor rounds otherwise."""

Ask = Callable[[bytes], str]
"""Sends rows of CSV and returns the answer: a probability a line."""


@dataclass(frozen=True)
class Load:
    """How a deployed model bore many requests.

    Attributes:
        requests: How many were sent.
        milliseconds: How long each took that was answered, ascending.
        first_error: What the first one said that was not; empty when all were.
    """

    requests: int
    milliseconds: tuple[float, ...]
    first_error: str

    @property
    def error_share(self) -> float:
        """The share of the requests that were not answered, 0 to 1."""
        return 1 - len(self.milliseconds) / self.requests

    def percentile(self, percent: int) -> float:
        """What that many percent of the answers took at most, in milliseconds; infinite when there is none.

        It is the nearest rank: one of the measured values.
        """
        if not self.milliseconds:
            return math.inf
        return self.milliseconds[math.ceil(percent / 100 * len(self.milliseconds)) - 1]

    def broken(self, max_p99_ms: float, max_error_share: float) -> list[str]:
        """The limits that it breaks, a sentence each."""
        faults = []
        if self.error_share > max_error_share:
            faults.append(
                f"{self.error_share:.2%} of the requests failed; smoke.max_error_share allows {max_error_share:.2%}. "
                f"The first said: {self.first_error}"
            )
        if self.percentile(99) > max_p99_ms:
            faults.append(f"The p99 is {self.percentile(99):.0f} ms; smoke.max_p99_ms allows {max_p99_ms:.0f} ms.")
        return faults

    def document(self) -> dict[str, Any]:
        """The figures as JSON has them; no percentiles when nothing was answered."""
        percentiles = {f"p{percent}_ms": self.percentile(percent) for percent in (50, 95, 99)}
        return {
            "requests": self.requests,
            "error_share": self.error_share,
            **{name: value if math.isfinite(value) else None for name, value in percentiles.items()},
        }


def probabilities(answer: str) -> list[float]:
    """The probabilities that an answer in CSV holds.

    Raises:
        MlopsError: One of its lines is none.
    """
    try:
        values = [float(line) for line in answer.split()]
    except ValueError as error:
        raise MlopsError(f"The answer holds what is no number: {error}.") from None
    for value in values:
        if not 0 <= value <= 1:
            raise MlopsError(f"The answer holds {value}, which is no probability.")
    return values


def require_right(answers: Sequence[float], rows: int, expected: Sequence[float]) -> None:
    """Make sure that a deployed model answers as the registered one does.

    Args:
        answers: Of the deployed model.
        rows: How many rows it was asked.
        expected: The answers of the registered model to the same rows.

    Raises:
        MlopsError: It does not.
    """
    if len(answers) != rows:
        raise MlopsError(f"{rows} rows were asked and {len(answers)} answers came.")
    for row, (answer, wanted) in enumerate(zip(answers, expected, strict=True), start=1):
        if abs(answer - wanted) > TOLERANCE:
            raise MlopsError(f"Row {row} is answered {answer:.6f}; the registered model answers {wanted:.6f}.")


def load(ask: Ask, bodies: Sequence[bytes], requests: int, concurrency: int) -> Load:
    """Send requests, some at a time, and measure them.

    Args:
        ask: Sends one; it is called from several threads.
        bodies: What is sent in turns: one row of CSV each.
        requests: How many to send.
        concurrency: How many at a time.
    """

    def measured(body: bytes) -> tuple[float, str]:
        begun = time.perf_counter()
        try:
            if len(probabilities(ask(body))) != 1:
                raise MlopsError("One row was not answered with one probability.")
        except MlopsError as error:
            return 0, error.message
        return 1000 * (time.perf_counter() - begun), ""

    with ThreadPoolExecutor(concurrency) as threads:
        results = list(threads.map(measured, islice(cycle(bodies), requests)))
    errors: Iterator[str] = (error for _, error in results if error)
    return Load(requests, tuple(sorted(took for took, error in results if not error)), next(errors, ""))
