"""Files from outside that unpack to more than any machine holds are refused before they do."""

import gzip
import io
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from mlops.base.errors import MlopsError
from mlops.batch.reading import InputFile
from modelkit import archives, baseline, limits, parquet_files
from modelkit.dataset import FileError, find_files, read_source, read_typed
from modelkit.job import JobError
from modelkit.schema import Column, Schema
from tests.projects import SOURCES

MB = 1 << 20
SMALL = 4 * MB
"""What small files may unpack to in these tests."""

_PEAK = """
import resource, sys
from pathlib import Path
from modelkit.dataset import FileError, find_files, read_source
base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
files = find_files(Path(sys.argv[1]))
try:
    read_source(*files.data[0], files.budget())
except FileError as error:
    print(error.rule)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base) // 1024)
"""


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FLOOR_BYTES", SMALL)


def archive(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for member, text in members:
            member.size = member.size or len(text)
            tar.addfile(member, io.BytesIO(text.ljust(member.size, b"\0")))
    path.write_bytes(gzip.compress(content.getvalue(), 9))
    return path


def named(name: str, **facts: Any) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    for fact, value in facts.items():
        setattr(member, fact, value)
    return member


def large(path: Path) -> Path:
    return archive(path, (named("zeros"), bytes(SMALL + 1)))


def many_small(path: Path) -> Path:
    return archive(path, *((named(f"{number}", size=MB), b"") for number in range(5)))


def many_empty(path: Path) -> Path:
    return archive(path, *((named(f"{number}"), b"") for number in range(limits.ARCHIVE_MEMBERS + 1)))


def after_the_end(path: Path) -> Path:
    path.write_bytes(archive(path, (named("a"), b"1")).read_bytes() + gzip.compress(bytes(SMALL)))
    return path


def long_header(path: Path) -> Path:
    return archive(path, (named("a", pax_headers={"comment": "x" * 2 * MB}), b"1"))


def announced(path: Path) -> Path:
    header = named("a", size=1 << 60).tobuf(tarfile.GNU_FORMAT)
    path.write_bytes(gzip.compress(header + bytes(1024)))
    return path


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("make", [large, many_small, many_empty, after_the_end, long_header, announced])
def test_an_archive_that_unpacks_to_too_much_is_refused_and_writes_nothing(
    tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    path, folder = make(tmp_path / "model.tar.gz"), tmp_path / "model"
    with pytest.raises(archives.ArchiveError, match=r"model\.tar\.gz of [\d,]+ bytes is refused: .*; ") as refused:
        archives.unpack(path, folder)
    assert re.search(r"more than [\d,]+", str(refused.value))
    assert not folder.exists()


def recursive(path: Path) -> Path:
    header = named("x", type=tarfile.XHDTYPE, size=0).tobuf(tarfile.USTAR_FORMAT)
    path.write_bytes(gzip.compress(header * 3000))
    return path


def sparse(path: Path) -> Path:
    headers = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.name": "a", "GNU.sparse.map": "0,1",
               "GNU.sparse.size": str(1 << 50)}  # fmt: skip
    return archive(path, (named("a", pax_headers=headers), b"1"))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    "make",
    [
        recursive,
        sparse,
        lambda path: archive(path, (named("a", pax_headers={"path": "a\0b"}), b"1")),
        lambda path: archive(path, (named("../a"), b"1")),
        lambda path: archive(path, (named("/etc/a"), b"1")),
        lambda path: archive(path, (named("a", type=tarfile.SYMTYPE, linkname="/etc/passwd"), b"")),
        lambda path: archive(path, (named("a", type=tarfile.FIFOTYPE), b"")),
        lambda path: archive(path, (named("a", pax_headers={"size": "-512"}), b"1")),
        lambda path: archive(path, (named("a", pax_headers={"GNU.sparse.size": "many"}), b"1")),
    ],
)
def test_an_archive_with_a_header_that_lies_is_refused_and_writes_nothing(
    tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    folder = tmp_path / "model"
    with pytest.raises(archives.ArchiveError, match=r"model\.tar\.gz"):
        archives.unpack(make(tmp_path / "model.tar.gz"), folder)
    assert not folder.exists()


def test_an_archive_that_packs_as_models_do_is_unpacked(tmp_path: Path) -> None:
    text = b"".join(b'{"split": %d, "value": %f}' % (number, number / 7) for number in range(100_000))
    archives.unpack(archive(tmp_path / "model.tar.gz", (named("code/a"), text)), tmp_path / "model")
    assert (tmp_path / "model/code/a").read_bytes() == text


def runs(path: Path) -> None:
    """Write 1.5 GB of one number in 10 KB."""
    columns = {f"c{number}": pa.repeat(7, 5_000_000) for number in range(13)}
    with parquet.ParquetWriter(path, pa.table(columns).schema, compression="zstd") as writer:
        for _ in range(3):
            writer.write_table(pa.table(columns), row_group_size=5_000_000)


def dictionary(path: Path) -> None:
    """Write 20 GB of one text in 1 KB."""
    text = pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), 20_000), pa.array(["x" * 1_000_000]))
    parquet.write_table(pa.table({"a": text}), path, compression="zstd", dictionary_pagesize_limit=10 * MB)


def page(path: Path) -> None:
    """Write one value of 600 MB in 50 KB."""
    table = pa.table({"a": pa.array(["x" * 600_000_000])})
    parquet.write_table(table, path, compression="zstd", use_dictionary=False, write_statistics=False)


def text(path: Path) -> None:
    """Write 190 MB of one row, 580 MB as a table, in less than 1 MB."""
    block = b"1,2,3\n" * 1_000_000
    with path.open("wb") as file, gzip.open(file, "wb", 6) as packed:
        packed.write(b"a,b,c\n")
        for _ in range(32):
            packed.write(block)


@pytest.mark.parametrize(
    ("write", "name"), [(runs, "a.parquet"), (dictionary, "a.parquet"), (page, "a.parquet"), (text, "a.csv.gz")]
)
def test_a_few_bytes_that_stand_for_gigabytes_are_refused_within_little_memory(
    tmp_path: Path, write: Callable[[Path], None], name: str
) -> None:
    write(tmp_path / name)
    assert (tmp_path / name).stat().st_size < 2 * MB
    environment = {**os.environ, "PYTHONPATH": f"{SOURCES}"}
    done = subprocess.run(
        [sys.executable, "-c", _PEAK, str(tmp_path)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rule, peak = done.stdout.split()
    assert rule == "file_too_large"
    assert int(peak) < 200


def test_a_row_group_that_hides_its_rows_is_counted_as_it_is_read(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"a": pa.repeat("x" * 1000, 50_000)}), tmp_path / "a.parquet")
    budget = limits.Budget(10 * MB, "a remedy")
    with pytest.raises(limits.LimitError, match="more than 10 MB; a remedy"):
        list(parquet_files.pieces(tmp_path / "a.parquet", ["a"], budget))


@pytest.mark.usefixtures("small")
def test_many_small_files_share_the_limit_of_their_data_set(tmp_path: Path) -> None:
    schema = Schema((Column("a", "integer", "feature", "a number"), Column("b", "boolean", "target", "a label")), "a")
    for number in range(10):
        table = pa.table({"a": pa.repeat(1, 1_000_000), "b": pa.repeat(True, 1_000_000)})
        parquet.write_table(table, tmp_path / f"{number}.parquet", compression="zstd")
    with pytest.raises(FileError, match=r"\d\.parquet: it unpacks to more than \d+ MB; data do not repeat"):
        read_typed(tmp_path, schema)


@pytest.mark.usefixtures("small")
def test_a_file_that_is_refused_leaves_the_limit_to_the_others(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"a": pa.repeat(1, 5_000_000)}), tmp_path / "a.parquet")
    parquet.write_table(pa.table({"a": pa.repeat(1, 300_000)}), tmp_path / "b.parquet")
    files = find_files(tmp_path)
    budget = files.budget()
    with pytest.raises(FileError, match=r"a\.parquet"):
        read_source(*files.data[0], budget)
    assert read_source(*files.data[1], budget).table.num_rows == 300_000


def test_a_table_may_take_half_of_the_memory_that_the_machine_or_container_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "memory.max").write_text(f"{6 * MB}\n")
    monkeypatch.setattr(limits, "_MEMORY_OF_CONTAINER", (tmp_path / "memory.max", tmp_path / "none"))
    (tmp_path / "a.csv").write_text("a\n" + "1\n" * MB)
    [(name, path)] = (files := find_files(tmp_path / "a.csv")).data
    with pytest.raises(FileError, match="more than 3 MB; that is 50% of the memory here: use fewer rows, or"):
        read_source(name, path, files.budget())


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("packed", ["a.parquet", "a.csv.gz"])
def test_batch_predictions_and_baselines_have_the_same_limits(tmp_path: Path, packed: str) -> None:
    path = tmp_path / packed
    if path.suffix == ".parquet":
        parquet.write_table(pa.table({"a": pa.repeat(1, 5_000_000)}), path)
    else:
        path.write_bytes(gzip.compress(b"a\n" + b"1\n" * 5_000_000))
    with pytest.raises(MlopsError, match=f"{packed} cannot be read: it unpacks to more than"):
        list(InputFile.of(packed, path).pieces(["a"]))
    with pytest.raises(JobError, match=f"{packed}: the file cannot be read: it unpacks to more than"):
        baseline.read(path)


def test_a_header_without_end_is_refused_within_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a," * 2 * MB)
    files = find_files(path)
    with pytest.raises(FileError, match=r"no header within 1,048,576 characters"):
        read_source(*files.data[0], files.budget())


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "zstd"},
        {"compression": "none", "use_dictionary": False},
        {"compression": "gzip", "data_page_version": "2.0"},
        {"row_group_size": 100, "data_page_size": 64, "write_page_index": True, "write_page_checksum": True},
    ],
)
def test_parquet_is_read_as_arrow_reads_it(tmp_path: Path, options: dict[str, Any]) -> None:
    path, rows = tmp_path / "a.parquet", 3000
    written = pa.table(
        {
            "text, with a name.like this": pa.array(["x", "y", None] * 1000),
            "categories": pa.array(["q", "q", None] * 1000).dictionary_encode(),
            "codes": pa.array([4, 5, 6] * 1000).dictionary_encode(),
            "long": pa.array([f"{number}" * 40 for number in range(rows)], pa.large_string()),
            "number": pa.array([0.5, None, float("nan")] * 1000),
            "whole": pa.array(range(rows)),
            "decimal": pa.array([1, 2, None] * 1000, pa.decimal128(10, 2)),
            "flag": pa.array([True, None, False] * 1000),
            "time": pa.array(range(rows), pa.timestamp("ms")),
            "nothing": pa.nulls(rows),
        }
    )
    parquet.write_table(written, path, **options)
    files = find_files(path)
    table = read_source(*files.data[0], files.budget()).table
    assert table.column_names == written.column_names
    assert str(table.to_pydict()) == str(written.to_pydict())


def test_parquet_without_rows_has_columns(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"a": pa.array([], pa.string())}), tmp_path / "a.parquet")
    files = find_files(tmp_path)
    assert read_source(*files.data[0], files.budget()).table.to_pydict() == {"a": []}


def test_lists_are_not_read_but_their_column_is_known(tmp_path: Path) -> None:
    lists = pa.ListArray.from_arrays(pa.array([0, 100_000_000], pa.int32()), pa.repeat(pa.scalar(1, pa.int8()), 10**8))
    parquet.write_table(pa.table({"embedding": lists, "a": [1]}), tmp_path / "a.parquet", compression="zstd")
    files = find_files(tmp_path)
    assert read_source(*files.data[0], files.budget()).table.to_pydict() == {"embedding": [[]], "a": [1]}


@pytest.mark.parametrize("place", range(4, 30))
def test_damaged_pages_are_said(tmp_path: Path, place: int) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"a": [1, 2, 3]}), path)
    content = bytearray(path.read_bytes())
    content[place] ^= 0xFF
    path.write_bytes(content)
    files = find_files(path)
    try:
        read_source(*files.data[0], files.budget())
    except FileError as error:
        assert str(error).startswith("a.parquet: ")  # noqa: PT017 - some bytes are values
