"""What batch predictions were asked and what they answered, captured as an endpoint's requests are."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from mlops.base import capture
from mlops.base.files import replacing
from mlops.batch.scoring import CSV, Scorer
from mlops.batch.writing import as_csv

RECORD_ROWS = 10_000
"""The most rows that one record holds."""

Record = Callable[[Any, Any], None]
"""Records the Arrow table of n typed rows and their n predictions."""


@dataclass(frozen=True)
class Recorder:
    """Captures batch predictions of one version.

    Attributes:
        folder: Where the prefix of the version's captured objects stands.
        scorer: The version.
        percentage: Of how many rows in a hundred.
    """

    folder: Path
    scorer: Scorer
    percentage: float

    @contextmanager
    def object(self) -> Iterator[Record]:
        """Write an object that is there when the `with` block succeeds, and never when it fails.

        Raises:
            MlopsError: The store cannot be written.
        """
        random = np.random.default_rng()
        encoder = capture.Encoder(CSV, CSV)
        path = self.folder / capture.object_name(datetime.now(UTC))
        with replacing(path) as temporary:
            temporary.touch()

            def record(table: Any, predictions: Any) -> None:
                chosen = np.flatnonzero(100 * random.random(len(predictions)) < self.percentage)
                with temporary.open("ab") as stream:
                    for begin in range(0, len(chosen), RECORD_ROWS):
                        rows = chosen[begin : begin + RECORD_ROWS]
                        asked = as_csv(table.take(rows), header=True)
                        stream.write(encoder.record(asked, self.scorer.as_csv(predictions[rows])))

            yield record
