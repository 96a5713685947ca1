"""Smoke and load tests of a deployed model: correctness of its predictions, latency and errors."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

from mlops.base.errors import MlopsError

TOLERANCE = 1e-3
"""The allowed difference to a prediction of the registered model on this machine: processors round differently."""

Invoke = Callable[[bytes], str]
"""Sends rows as CSV and returns the response: one probability per line."""


@dataclass(frozen=True)
class Load:
    """The result of a load test.

    Attributes:
        requests: The number of requests that were sent.
        milliseconds: The latencies of the successful requests, ascending.
        first_error: The message of the first failed request; empty if none failed.
    """

    requests: int
    milliseconds: tuple[float, ...]
    first_error: str

    @property
    def error_share(self) -> float:
        """The share of failed requests, 0 to 1."""
        return 1 - len(self.milliseconds) / self.requests

    def percentile(self, percent: int) -> float:
        """Return a percentile of the latencies in milliseconds; infinite if every request failed.

        It is the nearest rank, which is one of the measured values.
        """
        if not self.milliseconds:
            return math.inf
        return self.milliseconds[math.ceil(percent / 100 * len(self.milliseconds)) - 1]

    def broken(self, max_p99_ms: float, max_error_share: float) -> list[str]:
        """Return one sentence per limit that is exceeded."""
        sentences = []
        if self.error_share > max_error_share:
            sentences.append(
                f"{self.error_share:.2%} of the requests failed; smoke.max_error_share allows {max_error_share:.2%}. "
                f"First error: {self.first_error}"
            )
        if self.percentile(99) > max_p99_ms:
            sentences.append(f"The p99 is {self.percentile(99):.0f} ms; smoke.max_p99_ms allows {max_p99_ms:.0f} ms.")
        return sentences

    def document(self) -> dict[str, Any]:
        """Return the result as JSON; percentiles are null if every request failed."""
        percentiles = {f"p{percent}_ms": self.percentile(percent) for percent in (50, 95, 99)}
        return {
            "requests": self.requests,
            "error_share": self.error_share,
            **{name: value if math.isfinite(value) else None for name, value in percentiles.items()},
        }


def probabilities(response: str) -> list[float]:
    """Parse the probabilities in a CSV response.

    Raises:
        MlopsError: A line is not a probability.
    """
    try:
        values = [float(line) for line in response.split()]
    except ValueError as error:
        raise MlopsError(f"The response contains a value that is not a number: {error}.") from None
    for value in values:
        if not 0 <= value <= 1:
            raise MlopsError(f"The response contains {value}, which is not a probability.")
    return values


def require_correct(predictions: Sequence[float], rows: int, expected: Sequence[float]) -> None:
    """Make sure that a deployed model predicts what the registered model predicts.

    Args:
        predictions: The predictions of the deployed model.
        rows: The number of rows in its request.
        expected: The predictions of the registered model for the same rows.

    Raises:
        MlopsError: The predictions differ.
    """
    if len(predictions) != rows:
        raise MlopsError(f"A request of {rows} rows returned {len(predictions)} predictions.")
    for row, (actual, right) in enumerate(zip(predictions, expected, strict=True), start=1):
        if abs(actual - right) > TOLERANCE:
            raise MlopsError(f"Row {row}: the endpoint predicts {actual:.6f}, the registered model {right:.6f}.")


def load(invoke: Invoke, bodies: Sequence[bytes], requests: int, concurrency: int) -> Load:
    """Send requests concurrently and measure them.

    Args:
        invoke: Sends one request; called from several threads.
        bodies: The request bodies, sent in rotation: one CSV row each.
        requests: The number of requests to send.
        concurrency: The number of requests in flight.
    """

    def measured(body: bytes) -> tuple[float, str]:
        started = time.perf_counter()
        try:
            if len(probabilities(invoke(body))) != 1:
                raise MlopsError("A request of one row did not return one probability.")
        except MlopsError as error:
            return 0, error.message
        return 1000 * (time.perf_counter() - started), ""

    with ThreadPoolExecutor(concurrency) as threads:
        results = list(threads.map(measured, islice(cycle(bodies), requests)))
    errors: Iterator[str] = (error for _, error in results if error)
    return Load(requests, tuple(sorted(took for took, error in results if not error)), next(errors, ""))
