"""What the pages of a Parquet file unpack to: their headers, which readers allocate by, and not the file's footer.

The headers are structs of Thrift's compact protocol: https://parquet.apache.org/docs/file-format/data-pages/.
"""

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from modelkit.limits import Budget

_UNPACKED, _PACKED = 2, 3
"""The numbers of the fields uncompressed_page_size and compressed_page_size of a page's header."""

_DEPTH = 8
_BYTES_OF_TYPE = {1: 0, 2: 0, 3: 1, 7: 8}  # true and false, which are in the field's header, byte, double
_NUMBERS = (4, 5, 6)
_BINARY, _STRUCT = 8, 12


class DamagedError(ValueError):
    """The pages of a file cannot be found."""


def require_unpackable(path: Path, metadata: Any, budget: Budget) -> None:
    """Count what the pages of a file unpack to.

    Args:
        path: The file.
        metadata: Its `pyarrow.parquet.FileMetaData`.
        budget: What it may unpack to.

    Raises:
        LimitError: It is more.
        DamagedError: A page's header cannot be read.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for start, end in _chunks(metadata):
            position = start
            while position < end:
                header = _Struct(content, position)
                unpacked, packed = (header.numbers.get(field, -1) for field in (_UNPACKED, _PACKED))
                if unpacked < 0 or packed < 0:
                    raise DamagedError(f"no page at byte {position}")
                budget.spend(unpacked)
                position = header.end + packed


def _chunks(metadata: Any) -> Iterator[tuple[int, int]]:
    """Yield the first byte of each column's pages in each group of rows, and the byte after the last."""
    for group in range(metadata.num_row_groups):
        for index in range(metadata.num_columns):
            column = metadata.row_group(group).column(index)
            start = column.data_page_offset
            if column.has_dictionary_page and 0 < column.dictionary_page_offset < start:
                start = column.dictionary_page_offset
            if column.num_values:  # else its pages are not read
                yield start, start + column.total_compressed_size


class _Struct:
    """A struct: its numbers by the number of their fields, and the position after it."""

    def __init__(self, content: Any, position: int, depth: int = 0) -> None:
        if depth > _DEPTH:
            raise DamagedError(f"structs nested too deeply at byte {position}")
        self._content = content
        self._depth = depth
        self.end = position
        self.numbers: dict[int, int] = {}
        field = 0
        while head := self._byte():
            field = field + (head >> 4) if head >> 4 else self._number()
            if head & 15 in _NUMBERS:
                self.numbers[field] = self._number()
            else:
                self._skip(head & 15)

    def _byte(self) -> int:
        try:
            value: int = self._content[self.end]
        except IndexError:
            raise DamagedError("a page's header is cut off") from None
        self.end += 1
        return value

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise DamagedError(f"no number at byte {self.end}")

    def _number(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)

    def _skip(self, kind: int) -> None:
        if kind in _BYTES_OF_TYPE:
            self.end += _BYTES_OF_TYPE[kind]
        elif kind in _NUMBERS:
            self._varint()
        elif kind == _BINARY:
            length = self._varint()
            self.end += length
        elif kind == _STRUCT:
            self.end = _Struct(self._content, self.end, self._depth + 1).end
        else:  # page headers have no lists or maps
            raise DamagedError(f"no page's header at byte {self.end}")
