"""What batch predictions were asked and what they answered, captured as an endpoint's requests are."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from mlops.base import capture
from mlops.base.files import replacing
from mlops.batch.scoring import CSV, Scored
from mlops.batch.writing import as_csv

Record = Callable[[Scored], None]
"""Records some rows of a file and their predictions."""


@dataclass(frozen=True)
class Recorder:
    """Captures batch predictions of one version.

    Attributes:
        folder: Where the prefix of the version's captured objects stands.
        percentage: Of how many rows in a hundred.
    """

    folder: Path
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

            def record(scored: Scored) -> None:
                if self.percentage < 100:
                    scored = scored.take(np.flatnonzero(100 * random.random(len(scored.predictions)) < self.percentage))
                if len(scored.predictions):
                    with temporary.open("ab") as stream:  # not kept open: there may be thousands of objects
                        stream.write(encoder.record(as_csv(scored.asked, header=True), scored.answer))

            yield record
