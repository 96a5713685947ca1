"""How much may come out of files from outside, whatever their headers say."""

import gzip
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

FLOOR_BYTES = 512 << 20
"""What any archive or data set may unpack to, however small it is."""

PACKED_RATIO = 100
"""How many times its size a .tar.gz or .csv.gz file may unpack to, beyond `FLOOR_BYTES`."""

PARQUET_RATIO = 1000
"""How many times its size the table in a Parquet file may take: dictionaries and runs pack repeated values better."""

MEMORY_SHARE = 0.5
"""The share of the machine's memory that a data set may take as a table; jobs hold it more than once."""

ARCHIVE_MEMBERS = 10_000
"""The maximum number of files and folders of an archive."""

ARCHIVE_HEADER_BYTES = 1 << 20
"""The maximum size of an extended header of an archive's member, which is read at once."""

SCHEMA_BYTES = 16 << 20
"""The maximum size of the schema in an archive."""

HEADER_BYTES = 1 << 20
"""The maximum size of the header of a CSV file."""

PIECE_BYTES = 16 << 20
"""How much of a Parquet file is made into a table at once."""

_BLOCK = 1 << 20
_FIELD_BYTES = 4  # where it ends
_MEMORY_OF_CONTAINER = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


class LimitError(ValueError):
    """More came out of a file than it may unpack to."""


@dataclass
class Budget:
    """What may still be unpacked.

    Attributes:
        limit: The maximum number of bytes.
        remedy: What to do if it is more.
        spent: The number of bytes so far.
    """

    limit: int
    remedy: str
    spent: int = 0

    def spend(self, size: int) -> None:
        """Count bytes that were unpacked.

        Raises:
            LimitError: They exceed the limit.
        """
        self.require(size)
        self.spent += size

    def require(self, size: int) -> None:
        """Make sure that bytes may be unpacked.

        Raises:
            LimitError: They exceed the limit.
        """
        if self.spent + size > self.limit:
            raise LimitError(f"it unpacks to more than {self.limit / 1e6:,.0f} MB; {self.remedy}")


def of_archive(size: int) -> Budget:
    """Return what an archive of `size` bytes may unpack to."""
    return Budget(max(FLOOR_BYTES, PACKED_RATIO * size), "no model needs that: train again, and do not use the archive")


def of_data(sizes: Iterable[tuple[str, int]], *, in_memory: bool) -> Budget:
    """Return what the files of a data set may unpack to.

    Args:
        sizes: Name and size in bytes of each file.
        in_memory: Whether all of it is to be held as one table.
    """
    ratios = ((PARQUET_RATIO if name.endswith(".parquet") else PACKED_RATIO, size) for name, size in sizes)
    packed = max(FLOOR_BYTES, sum(ratio * size for ratio, size in ratios))
    available = int(MEMORY_SHARE * memory())
    if in_memory and available < packed:
        share = f"{MEMORY_SHARE:.0%} of the memory here"
        return Budget(available, f"that is {share}: use fewer rows, or a machine (instance type) with more memory")
    return Budget(packed, "data do not repeat themselves so often: leave the file out, or write it as .csv")


def text(path: Path, budget: Budget) -> Iterator[bytes]:
    """Yield the content of a .csv or .csv.gz file in blocks, whose fields are counted as Arrow would hold them.

    Raises:
        LimitError: It is more than the budget.
    """
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        while block := file.read(_BLOCK):
            budget.spend(len(block) + _FIELD_BYTES * (block.count(b",") + block.count(b"\n")))
            yield block


def memory() -> int:
    """Return the number of bytes of memory that this machine, or the container, has."""
    found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for path in _MEMORY_OF_CONTAINER:
        try:
            found.append(int(path.read_text(encoding="ascii")))
        except (OSError, ValueError):
            continue  # no such control group, or no limit
    return min(found)
