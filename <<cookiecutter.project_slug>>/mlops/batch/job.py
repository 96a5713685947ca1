"""Batch predictions: files in, files out, all of them or none."""

import tempfile
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from mlops.batch.reading import PARQUET, InputFile
from mlops.batch.recording import Record, Recorder
from mlops.batch.scoring import Scored, Scorer
from mlops.batch.writing import Write, alone, joined_csv, joined_parquet, output_name


@dataclass(frozen=True)
class Job:
    """Batch predictions of one version.

    Attributes:
        scorer: The version.
        output: The folder that outputs are put into.
        join: Whether outputs hold the input's columns too.
        recorder: Captures what was asked and answered; None to capture nothing.
    """

    scorer: Scorer
    output: Path
    join: bool
    recorder: Recorder | None

    def path(self, file: InputFile) -> Path:
        """Return where the output for a file stands."""
        return self.output / output_name(file, join=self.join)

    def run(self, files: Sequence[InputFile]) -> list[int]:
        """Predict the rows of checked files and return how many there were in each.

        Raises:
            MlopsError: A file is damaged, or a value is not one that its column can have. Nothing is left behind.
            OSError: The output cannot be written. Nothing is left behind.
        """
        self.output.mkdir(parents=True, exist_ok=True)
        try:
            with (
                tempfile.TemporaryDirectory(dir=self.output, prefix=".predicting-") as staging,
                ExitStack() as captured,
            ):
                rows = []
                for number, file in enumerate(files):
                    record = captured.enter_context(self.recorder.object()) if self.recorder else None
                    rows.append(self._predict(file, self._staged(staging, number, file), record))
                for number, file in enumerate(files):
                    self.path(file).parent.mkdir(parents=True, exist_ok=True)
                    self._staged(staging, number, file).replace(self.path(file))
                return rows
        except BaseException:
            with suppress(OSError):  # it held something before
                self.output.rmdir()
            raise

    def _staged(self, staging: str, number: int, file: InputFile) -> Path:
        return Path(staging) / f"{number}{self.path(file).suffix}"

    def _predict(self, file: InputFile, target: Path, record: Record | None) -> int:
        """Write one piece while the next is predicted; no more than these two are in memory."""
        rows = 0
        with self._writer(target) as write, ThreadPoolExecutor(max_workers=1) as beside:

            def put(scored: Scored) -> None:
                write(scored)
                if record:
                    record(scored)

            written: Future[None] | None = None
            for piece in file.pieces(file.columns if self.join else self.scorer.schema.feature_names):
                scored = self.scorer.score(piece, file, rows)
                if written:
                    written.result()
                written = beside.submit(put, scored)
                rows += piece.num_rows
            if written:
                written.result()
        return rows

    def _writer(self, target: Path) -> AbstractContextManager[Write]:
        if not self.join:
            return alone(target)
        return joined_parquet(target) if target.suffix == PARQUET else joined_csv(target)
