"""Files of a data set as people have them: found, read, or refused by their cause."""

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from mlops.base import files
from mlops.base.errors import MlopsError
from modelkit import dataset, owner
from modelkit.dataset import FileError, Source, find_files, read_source
from modelkit.jobs import validate
from modelkit.parsing import parse
from modelkit.schema import PLAIN, Column, Notation, Schema

BIG = 2**53 + 1
PERSON = Column("person", "integer", "attribute", "an identifier")


def read(path: Path) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = source(path).table.to_pylist()
    return rows


def source(path: Path, name: str = "") -> Source:
    return read_source(name or path.name, path, find_files(path).budget())


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.csv", True),
        ("year=2026/a.csv", True),
        ("a_b.csv", True),
        (".a.csv", False),
        ("_SUCCESS", False),
        (".ipynb_checkpoints/a-checkpoint.csv", False),
        ("_temporary/0/a.csv", False),
        ("b/__pycache__/a.csv", False),
    ],
)
def test_verbs_functions_and_jobs_agree_on_what_is_data(tmp_path: Path, name: str, *, data: bool) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("a\n1\n")
    (tmp_path / "other.csv").write_text("a\n1\n")
    assert (files.is_data(name), dataset.is_data(name)) == (data, data)
    found = find_files(tmp_path)
    assert (name in dict(found.data), found.left_out) == (data, [] if data else [name])
    assert files.data_files(tmp_path) == (found.data, found.left_out)


def test_a_marker_of_a_folder_in_s3_is_no_data() -> None:
    assert not files.is_data("january/")
    assert not files.is_data("")


@pytest.mark.parametrize("name", ["caf\udce9.csv", "caf\udce9/a.csv"])
def test_a_name_that_is_not_utf_8_is_refused_by_verbs_and_jobs(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("a\n1\n")
    for find, error in ((find_files, FileError), (files.data_files, MlopsError)):
        with pytest.raises(error, match="is not UTF-8"):
            find(tmp_path)


Find = Callable[[Path], object]
each_finder = pytest.mark.parametrize(
    ("find", "error"), [(find_files, FileError), (files.data_files, MlopsError)], ids=["jobs", "verbs"]
)


@each_finder
def test_links_to_folders_and_files_are_followed(tmp_path: Path, find: Find, error: type[Exception]) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/2026.csv").write_text("a\n1\n")
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "2026").symlink_to("../elsewhere")
    (folder / "copy.csv").symlink_to("../elsewhere/2026.csv")
    found = find(folder)
    names = found.data if isinstance(found, dataset.Files) else found[0]  # type: ignore[index]
    assert [name for name, _ in names] == ["2026/2026.csv", "copy.csv"]


@each_finder
@pytest.mark.parametrize(("target", "said"), [("../.annex/absent.csv", "which does not exist"), (".", "contains it")])
def test_a_link_that_leads_nowhere_or_back_is_named(
    tmp_path: Path, find: Find, error: type[Exception], target: str, said: str
) -> None:
    (tmp_path / "2026.csv").write_text("a\n1\n")
    (tmp_path / "2027").symlink_to(target)
    with pytest.raises(error, match=rf"2027.*{said}"):
        find(tmp_path)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("packed", [False, True])
def test_line_ends_in_quotes_are_read_at_any_place(tmp_path: Path, end: str, *, packed: bool) -> None:
    rows = [(str(number), f"called back{end}see ticket {number}, or {number + 1}") for number in range(60_000)]
    text = f"a,note{end}" + "".join(f'{number},"{note}"{end}' for number, note in rows)
    path = tmp_path / ("a.csv.gz" if packed else "a.csv")
    path.write_bytes(gzip.compress(text.encode(), 1) if packed else text.encode())
    assert path.name == "a.csv.gz" or path.stat().st_size > 2 * (1 << 20)  # several blocks
    table = source(path).table
    assert list(zip(table["a"].to_pylist(), table["note"].to_pylist(), strict=True)) == rows


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"a;b;c\n1;2;3\n", "semicolons and no comma; separate the columns with commas"),
        ("a.csv", b"a\tb\n1\t2\n", "tabs and no comma"),
        ("a.csv", b"a|b\n1|2\n", "bars and no comma"),
        ("a.csv", b"sep=,\na,b\n1,2\n", "instruction to Excel"),
        ("a.csv", b"sep=;\na;b\n1;2\n", "instruction to Excel"),
        ("a.csv", b",a,b\n0,1,2\n", "column 1 has no name; leave out row numbers"),
        ("a.csv", b'"","a"\n"1",2\n', "column 1 has no name"),
        ("a.csv", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git lfs pull"),
        ("a.csv.gz", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git lfs pull"),
        ("a.parquet", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git lfs pull"),
        ("a.csv", b"/annex/objects/SHA256E-s1--0.csv\n", "git annex get"),
        ("a.csv", b"PK\x03\x04\x14\x00", "Excel workbook"),
        ("a.csv", "a,b\n1,2\n".encode("utf-16"), "UTF-16 text: save it as UTF-8"),
        ("a.csv", b"caf\xe9,b\n1,2\n", "not UTF-8 text"),
        ("a.csv", b"<!DOCTYPE html><html>", "HTML"),
        ("a.csv", gzip.compress(b"a,b\n1,2\n", mtime=0), "gzip-compressed"),
        ("a.csv.gz", b"a,b\n1,2\n", "not what .csv.gz says"),
        ("a.csv", b"PAR1....PAR1", "a Parquet file"),
        ("a.xlsx", b"PK\x03\x04", "not a data file"),
    ],
)
def test_a_file_that_is_no_table_is_refused_by_its_cause(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(FileError, match=said.replace(".", r"\.")) as refused:
        read(path)
    assert str(refused.value).startswith(f"{name}: ")
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("key", ["year", "batch"])
def test_names_of_folders_add_no_column_to_parquet(tmp_path: Path, key: str) -> None:
    folder = tmp_path / "year=2026" / f"{key}=1"
    folder.mkdir(parents=True)
    parquet.write_table(pa.table({"year": [1, 2]}), folder / "part-0.parquet")
    [(name, path)] = find_files(tmp_path / "year=2026").data
    found = source(path, name)
    assert (found.name, found.table.to_pydict()) == (f"{key}=1/part-0.parquet", {"year": [1, 2]})


@pytest.mark.parametrize(
    "values",
    [
        pa.array(["7.0", str(BIG), str(BIG + 1), "-3", "+4", "007", "1e3", None]),
        pa.array([Decimal("7"), Decimal(BIG), Decimal(BIG + 1), -3, 4, 7, 1000, None], pa.decimal128(38, 0)),
        pa.array([Decimal("7.00"), Decimal(BIG), Decimal(BIG + 1), -3, 4, 7, 1000, None], pa.decimal128(38, 2)),
    ],
    ids=["text", "decimal", "decimal with places"],
)  # fmt: skip
def test_whole_numbers_stay_exact(values: pa.Array) -> None:
    parsed = parse(values, PERSON)
    assert parsed.invalid is None
    assert parsed.values.to_pylist() == [7, BIG, BIG + 1, -3, 4, 7, 1000, None]


@pytest.mark.parametrize(
    "values",
    [
        pa.array(["1", "7.5", str(2**63), str(10**30), "0x1", "seven", " 1"]),
        pa.array([1, 2**63], pa.uint64()),
        pa.array([Decimal("1.00"), Decimal("7.50"), Decimal(2**63)], pa.decimal128(38, 2)),
    ],
    ids=["text", "unsigned", "decimal"],
)
def test_what_is_no_whole_number_of_64_bits_is_invalid(values: pa.Array) -> None:
    parsed = parse(values, PERSON)
    assert parsed.invalid is not None
    assert parsed.invalid.to_pylist() == [False] + [True] * (len(values) - 1)
    assert parsed.values.to_pylist() == [1] + [None] * (len(values) - 1)


def test_the_largest_whole_numbers_are_exact_in_odd_company() -> None:
    parsed = parse(pa.array(["1.0", str(2**63 - 1), str(-(2**63) + 1), "000" + str(2**63 - 1)]), PERSON)
    assert parsed.invalid is None
    assert parsed.values.to_pylist() == [1, 2**63 - 1, -(2**63) + 1, 2**63 - 1]


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(folder: Path) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(Path, "iterdir", closed)
    with pytest.raises(MlopsError, match=r"cannot be read: Permission denied"):
        files.data_files(tmp_path)
    with pytest.raises(OSError, match="Permission denied"):
        find_files(tmp_path)


OWN = Schema(
    columns=(
        Column("row", "integer", "ignored", "the number of the row"),
        Column("id", "integer", "attribute", "an identifier"),
        Column("smokes", "boolean", "feature", "whether the person smokes"),
        Column("bmi", "number", "feature", "body mass index", nullable=True),
        Column("country", "string", "feature", "code of the country", categories=("NA", "DE")),
        Column("ill", "boolean", "target", "whether the person is ill", nullable=True),
    ),
    group="id",
    notation=Notation(("NA", "."), ("Yes",), ("No",), decimal_comma=True),
)
TEXT = 'row,id,smokes,bmi,country,ill\nx,1,Yes,"22,5",NA,No\ny,2,No,NA,DE,Yes\nz,3,1,.,DE,NA\n'


def test_files_are_read_in_the_notation_of_the_schema(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(TEXT)
    (tmp_path / "b.csv").write_text("id,smokes,bmi,country,ill\n4,No,19,DE,No\n")  # an ignored column need not be there
    assert validate.validate(tmp_path, OWN, 0.9).violations == []
    assert dataset.read_typed(tmp_path, OWN).to_pydict() == {
        "id": [1, 2, 3, 4],
        "smokes": [True, False, True, False],
        "bmi": [22.5, None, None, 19.0],
        "country": ["NA", "DE", "DE", "DE"],  # a category, not a missing value
        "ill": [False, True, None, False],
    }


@pytest.mark.parametrize("bmi", ["22.5", "1.500", "1.500,5"])
def test_a_point_in_a_number_with_decimal_comma_is_refused(tmp_path: Path, bmi: str) -> None:
    (tmp_path / "a.csv").write_text(f'id,smokes,bmi,country,ill\n1,Yes,"{bmi}",DE,No\n2,No,1,DE,Yes\n')
    [violation] = validate.validate(tmp_path, OWN, 0.9).violations
    assert violation.message == f"column 'bmi': not a number in 1 row, for example '{bmi}' (row 1 of a.csv)"


def test_a_text_that_means_two_things_is_refused() -> None:
    with pytest.raises(ValueError, match="NA means two things"):
        Notation(null_values=("NA",), false_values=("NA",))


def test_a_column_that_is_needed_cannot_be_ignored() -> None:
    columns = (replace(OWN.columns[1], role="ignored"), *OWN.columns[2:])
    with pytest.raises(ValueError, match="no such column: id"):
        replace(OWN, columns=columns)


def test_the_notation_and_ignored_columns_are_kept_with_a_model() -> None:
    assert Schema.from_document(json.loads(json.dumps(OWN.document()))) == OWN
    without = {name: value for name, value in OWN.document().items() if name != "notation"}
    assert Schema.from_document(without).notation == PLAIN  # of an older release


def test_a_message_names_ten_columns_or_values_and_has_two_kilobytes_at_most(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"a column with a name that is rather long, number {number:04}" for number in range(500)]
    values = tuple(f"value-{number}" for number in range(4_043))
    columns = (
        *(Column(name, "number", "feature", "") for name in names),
        Column("shop", "string", "feature", "", categories=values),
        *OWN.columns[1:3],
        OWN.columns[5],
    )
    wide = Schema(columns=columns, group="id")
    (tmp_path / "a.csv").write_text("id,smokes,ill,shop,extra\n1,1,1,unheard-of,9\n2,0,0,value-7,9\n")
    monkeypatch.setattr(owner, "load", lambda module, name: wide if name == "SCHEMA" else {})
    code = validate.main(["--data", str(tmp_path), "--report", str(tmp_path / "report"), "--data-version", "1"])
    said = capsys.readouterr().err
    assert code == 1
    assert len(said.encode()) < 2048
    assert "500 columns (a column with a name" in said
    assert "and 490 more) missing from a.csv" in said
    assert "not one of value-0, value-1" in said
    assert "value-9 and 4033 more in 1 row, for example 'unheard-of'" in said
    assert "column 'extra' of a.csv, not in the schema" in said
