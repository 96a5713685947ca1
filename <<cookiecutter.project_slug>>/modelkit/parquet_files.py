"""Parquet files, read in pieces that are counted: a few bytes may stand for any number of rows."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as parquet

from modelkit.limits import PIECE_BYTES, Budget
from modelkit.parquet_pages import require_unpackable

_ROWS = 1 << 20
_INDEX_BYTES = 4


def flat(schema: Any) -> list[str]:
    """Return the names of the columns whose rows each have one value: lists and structs are no data here."""
    return [field.name for field in schema if not pa.types.is_nested(getattr(field.type, "storage_type", field.type))]


def pieces(path: Path, columns: Sequence[str], budget: Budget) -> Iterator[Any]:
    """Yield the rows of a file as Arrow tables of at most `PIECE_BYTES`, or of one row; the first one is empty.

    Args:
        path: The file.
        columns: The names of the columns to read, all of them `flat`; they come in the order of the file.
        budget: What its table may take in memory; what its pages unpack to has the same limit.

    Raises:
        LimitError: It is more than the budget.
        ValueError: The file is damaged.
    """
    with parquet.ParquetFile(path) as source:
        fields = [field for field in source.schema_arrow if field.name in columns]
        widths = {field.name: _width(_value_type(field.type)) for field in fields}
        width = sum(_INDEX_BYTES if each is None else each for each in widths.values())
        budget.require(width * source.metadata.num_rows)
        require_unpackable(path, source.metadata, Budget(budget.limit, budget.remedy))
    texts = [name for name, each in widths.items() if each is None]
    # As dictionaries, texts take the memory that they take in the file.
    with parquet.ParquetFile(path, read_dictionary=texts) as source:
        kinds = {field.name: _value_type(field.type) for field in source.schema_arrow}
        names = [field.name for field in fields]
        yield pa.table([pa.array([], kinds[name]) for name in names], names=names)
        rows = max(1, min(_ROWS, PIECE_BYTES // max(width, 1)))
        for batch in source.iter_batches(batch_size=rows, columns=list(widths)):
            for piece in _halves(batch, budget):
                yield pa.table([_dense(column) for column in piece.columns], names=piece.schema.names)


def _halves(batch: Any, budget: Budget) -> Iterator[Any]:
    size = sum(map(_dense_bytes, batch.columns))
    if size <= PIECE_BYTES or size > budget.limit or batch.num_rows == 1:
        budget.spend(size)
        yield batch
        return
    middle = batch.num_rows // 2
    for half in (batch.slice(0, middle), batch.slice(middle)):
        yield from _halves(half, budget)


def _dense(column: Any) -> Any:
    return pc.cast(column, column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _dense_bytes(column: Any) -> int:
    """Return how much memory a column takes when each row has its own value."""
    width = _width(_value_type(column.type))
    if width is not None:
        return width * len(column)
    lengths = pc.cast(pc.binary_length(column.dictionary), pa.int64())
    return int(pc.sum(lengths.take(column.indices)).as_py() or 0) + _INDEX_BYTES * len(column)


def _value_type(kind: Any) -> Any:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _width(kind: Any) -> int | None:
    """Return the bytes of a value; None if they differ, as those of text do."""
    if pa.types.is_null(kind):
        return 1
    try:
        return max(1, int(kind.bit_width) // 8)
    except ValueError:
        return None
