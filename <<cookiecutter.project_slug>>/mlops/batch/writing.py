"""Output files of batch predictions: the predictions alone, or beside the columns they were made from."""

import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as parquet

from mlops.base.errors import UsageError
from mlops.batch.reading import PARQUET, InputFile
from mlops.batch.scoring import Scored
from modelkit.messages import listed

PREDICTION = "prediction"
"""The name of the column that is put beside the others."""

Write = Callable[[Scored], None]
"""Writes the next piece of an output."""


def output_name(file: InputFile, *, join: bool) -> str:
    """Return the name of the output for a file: as SageMaker's batch transform names it, `<input>.out`.

    With the other columns beside it, the output has a header and is of the input's kind: `.out.csv`, `.out.parquet`.
    """
    return f"{file.name}.out" + ((PARQUET if file.path.suffix == PARQUET else ".csv") if join else "")


def check_join(file: InputFile) -> None:
    """Refuse a file whose columns cannot stand beside the prediction.

    Raises:
        MlopsError: A column is there twice, or is named as the prediction is.
    """
    names = (*file.columns, PREDICTION)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"{file.path}: with --join a column would be there twice: {listed(twice)}.")


@contextmanager
def alone(path: Path) -> Iterator[Write]:
    """Write an output of nothing but predictions."""
    with path.open("xb") as stream:

        def write(scored: Scored) -> None:
            stream.write(scored.answer)

        yield write


@contextmanager
def joined_csv(path: Path) -> Iterator[Write]:
    """Write an output with the input's columns as CSV with a header."""
    with path.open("xb") as stream:

        def write(scored: Scored) -> None:
            stream.write(as_csv(_joined(scored), header=not stream.tell()))

        yield write


@contextmanager
def joined_parquet(path: Path) -> Iterator[Write]:
    """Write an output with the input's columns as Parquet."""
    with ExitStack() as stack:
        writers: list[Any] = []

        def write(scored: Scored) -> None:
            whole = _joined(scored)
            if not writers:
                writers.append(stack.enter_context(parquet.ParquetWriter(path, whole.schema)))
            writers[0].write_table(whole)

        yield write


def _joined(scored: Scored) -> Any:
    return scored.rows.append_column(PREDICTION, pa.array(scored.predictions))


def as_csv(table: Any, *, header: bool) -> bytes:
    """Return a table as CSV; text is quoted only where a piece holds some that needs it."""
    try:
        return _as_csv(table, header, "none")
    except pa.ArrowInvalid:
        return _as_csv(table, header, "needed")


def _as_csv(table: Any, header: bool, quoting: str) -> bytes:
    buffer = io.BytesIO()
    arrow_csv.write_csv(table, buffer, arrow_csv.WriteOptions(include_header=header, quoting_style=quoting))
    return buffer.getvalue()
