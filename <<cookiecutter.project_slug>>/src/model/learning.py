"""What training takes and what it gives, whatever the algorithm."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Hyperparameter:
    """A number that training takes.

    Attributes:
        name: Its name on SageMaker; on the command line `_` may be written `-`.
        kind: int or float.
        default: Its value when none is given.
        minimum: The smallest value allowed.
        maximum: The largest value allowed.
        description: What it does.
    """

    name: str
    kind: type[int] | type[float]
    default: float
    minimum: float
    maximum: float
    description: str

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
        upper = "" if math.isinf(self.maximum) else f" and at most {self.maximum:g}"
        return f"{kind}, at least {self.minimum:g}{upper}"


@dataclass(frozen=True)
class Rows:
    """One split.

    Attributes:
        features: The (n, f + d) matrix that `model.features` makes.
        labels: n values, 0 or 1.
    """

    features: npt.NDArray[np.float32]
    labels: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Trained:
    """A model as it was when it did best on the validation rows.

    Attributes:
        model: What the algorithm predicts with.
        best_iteration: After which tree or epoch that was, counted from 0.
        curve: For each split and metric the value after each of them: `curve["validation"]["auc"]`.
    """

    model: Any
    best_iteration: int
    curve: dict[str, dict[str, list[float]]]
