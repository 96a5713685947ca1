"""What training takes and what it gives, whatever the algorithm."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

_ROUNDS_PER_LINE = 10


@dataclass(frozen=True)
class Hyperparameter:
    """A number that training takes.

    Attributes:
        name: Its name on SageMaker; on the command line `_` may be written `-`.
        kind: int or float.
        default: Its value when none is given.
        minimum: The smallest value allowed; minus infinity for any.
        maximum: The largest value allowed; infinity for any.
        description: What it does.
    """

    name: str
    kind: type[int] | type[float]
    default: float
    minimum: float = -math.inf
    maximum: float = math.inf
    description: str = ""

    def parse(self, text: str) -> float:
        """Return the value that a text stands for.

        Raises:
            ValueError: It is not a number of this kind, or out of range.
        """
        value = self.kind(text)
        if not self.minimum <= value <= self.maximum:
            raise ValueError(text)
        return value

    @property
    def parameter(self) -> str:
        """The name of the pipeline parameter that sets it: `MaxDepth` for `max_depth`."""
        return "".join(word.capitalize() for word in self.name.split("_"))

    @property
    def expected(self) -> str:
        """What the value must be, for a message."""
        kind = "a whole number" if self.kind is int else "a number"
        bounds = [
            f"{word} {bound:g}"
            for word, bound in (("at least", self.minimum), ("at most", self.maximum))
            if math.isfinite(bound)
        ]
        return ", ".join([kind, " and ".join(bounds)] if bounds else [kind])


@dataclass(frozen=True)
class Rows:
    """One split.

    Attributes:
        features: The (n, f + d) matrix that `modelkit.features` makes.
        labels: n values, 0 or 1.
    """

    features: npt.NDArray[np.float32]
    labels: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Trained:
    """A trained model: of one that grows in rounds, as it was when it did best on the validation rows.

    Attributes:
        model: What the algorithm predicts with.
        best_iteration: After which tree or epoch that was, counted from 0; None for a model without rounds.
        curve: For each split and metric the value after each of them: `curve["validation"]["auc"]`; empty without.
    """

    model: Any
    best_iteration: int | None = None
    curve: Mapping[str, Mapping[str, Sequence[float]]] = field(default_factory=dict)


def print_rounds(curve: Mapping[str, Mapping[str, Sequence[float]]]) -> None:
    """Print every tenth round of a curve, for algorithms that do not print while they train."""
    rounds = len(curve["validation"]["auc"])
    for iteration in range(0, rounds, _ROUNDS_PER_LINE):
        figures = "\t".join(f"{split}-auc:{metrics['auc'][iteration]:.5f}" for split, metrics in curve.items())
        print(f"[{iteration}]\t{figures}")
