"""The inputs and results of training, for every algorithm."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

_ROUNDS_PER_LINE = 10


@dataclass(frozen=True)
class Hyperparameter:
    """A hyperparameter, which is a number.

    Attributes:
        name: Its name on SageMaker; on the command line `-` may replace `_`.
        kind: int or float.
        default: The default value.
        minimum: The smallest allowed value; minus infinity for no limit.
        maximum: The largest allowed value; infinity for no limit.
        description: Its meaning, for the help text.
    """

    name: str
    kind: type[int] | type[float]
    default: float
    minimum: float = -math.inf
    maximum: float = math.inf
    description: str = ""

    def parse(self, text: str) -> float:
        """Return the value of a string.

        Raises:
            ValueError: It is not a number of this kind, or is out of range.
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
        """A description of the allowed values, for messages."""
        kind = "a whole number" if self.kind is int else "a number"
        bounds = [
            f"{word} {bound:g}"
            for word, bound in (("at least", self.minimum), ("at most", self.maximum))
            if math.isfinite(bound)
        ]
        return ", ".join([kind, " and ".join(bounds)] if bounds else [kind])


@dataclass(frozen=True)
class Rows:
    """The rows of one split.

    Attributes:
        features: The (n, f + d) matrix of `modelkit.features`.
        labels: n values, 0 or 1.
    """

    features: npt.NDArray[np.float32]
    labels: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Trained:
    """A trained model; of an iterative algorithm, the one of the best iteration on the validation rows.

    Attributes:
        model: The model, as `predict` of the algorithm takes it.
        best_iteration: The index of that tree or epoch, from 0; None if the algorithm is not iterative.
        curve: The values of each metric after each iteration, by split: `curve["validation"]["auc"]`; empty if the
            algorithm is not iterative.
    """

    model: Any
    best_iteration: int | None = None
    curve: Mapping[str, Mapping[str, Sequence[float]]] = field(default_factory=dict)


def print_rounds(curve: Mapping[str, Mapping[str, Sequence[float]]]) -> None:
    """Print every tenth iteration of a curve, for algorithms that do not log during training."""
    rounds = len(curve["validation"]["auc"])
    for iteration in range(0, rounds, _ROUNDS_PER_LINE):
        scores = "\t".join(f"{split}-auc:{metrics['auc'][iteration]:.5f}" for split, metrics in curve.items())
        print(f"[{iteration}]\t{scores}")
