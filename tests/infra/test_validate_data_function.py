"""The gate before training, run as Lambda runs it, on data that fits and on each kind that does not."""

import csv
import gzip
import io
from collections.abc import Iterable
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

import boto3
import pyarrow as pa
import pytest

from mlops.deployment import functions
from mlops.functions import validate_data
from modelkit.parsing import parse
from modelkit.schema import NUMBER_PATTERN, PLAIN, Column, ColumnType, Notation
from standin import lambdas
from standin.account import StandInAccount
from standin.calls import CallRecord
from tests.projects import SOURCES

BUCKET, PREFIX, FUNCTION = "visits-data", "visits/data/", "visits-validate-data"


def column(name: str, type_: str, **facts: Any) -> dict[str, Any]:
    return {
        "name": name, "type": type_, "nullable": False, "minimum": None, "maximum": None, "categories": (),
        "unknown": "refuse", **facts
    }  # fmt: skip


COLUMNS = [
    column("person", "integer", minimum=1),
    column("age", "number", nullable=True, minimum=0, maximum=110),
    column("health", "string", categories=("poor", "good")),
    column("female", "boolean"),
    column("note", "string", nullable=True),
]
SCHEMA: dict[str, Any] = {
    "columns": COLUMNS,
    "ignored": [],
    "notation": asdict(PLAIN),
    "minimum_rows": 2,
    "number_pattern": NUMBER_PATTERN,
}
HEADER = ["person", "age", "health", "female", "note"]
ROWS = [["1", "", "good", "True", ""], ["2.0", "4e1", "poor", "0", "a\nb"], ["3", "7.5", "good", "1", "ß"]]


def table(rows: Iterable[list[str]], header: list[str] = HEADER) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([header, *rows])
    return text.getvalue().encode()


GOOD = table(ROWS)
BOMB = gzip.compress(GOOD + b"1,1,good,1,\n" * 10_000_000, mtime=0)


# One object of each kind of bad data, with the rule that it breaks and a part of what is said.
BAD: dict[str, tuple[bytes, str, str]] = {
    "notes.txt": (b"x", "file_type", "expected .csv, .csv.gz, .parquet"),
    "empty.csv": (b"", "file_empty", "0 bytes"),
    "headless.csv": (b"\n", "file_empty", "no header"),
    "plain.csv.gz": (GOOD, "file_unreadable", "its content is not what .csv.gz says"),
    "torn.csv.gz": (gzip.compress(GOOD, mtime=0)[:-12], "file_unreadable", "the file is truncated"),
    "flipped.csv.gz": (gzip.compress(GOOD, mtime=0)[:-8] + bytes(8), "file_unreadable", "incorrect data check"),
    "latin.csv": (GOOD.decode().encode("latin-1"), "file_encoding", "not UTF-8"),
    "no.parquet": (b"PAR1 and no end", "file_unreadable", "not a Parquet"),
    "pointer.csv": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n",
        "file_unreadable",
        "git-lfs pointer",
    ),
    "pointer.parquet": (b"version https://git-lfs.github.com/spec/v1\n", "file_unreadable", "git-lfs pointer"),
    "sheet.csv": (b"PK\x03\x04 and more", "file_unreadable", "an Excel workbook"),
    "wide.csv": (GOOD.decode().encode("utf-16"), "file_unreadable", "UTF-16 text"),
    "packed.csv": (gzip.compress(GOOD), "file_unreadable", "its content is gzip-compressed"),
    "semicolons.csv": (GOOD.replace(b",", b";"), "file_header", "semicolons and no comma"),
    "numbered.csv": (table([], ["", *HEADER]), "file_header", "column 1 has no name"),
    "lacks.csv": (table([], HEADER[1:]), "missing_column", "column person: missing"),
    "more.csv": (table([], [*HEADER, "colour"]), "unexpected_column", "column colour: not in the schema"),
    "twice.csv": (table([], [*HEADER, "age"]), "duplicate_column", "column age: in the header twice"),
    "ragged.csv": (table([*ROWS, ["4"]]), "ragged_row", "1 instead of 5 (row 4)"),
    "text.csv": (table([["x", *ROWS[0][1:]]]), "type", "'person': not an integer in 1 row, for example 'x' (row 1)"),
    "half.csv": (table([["1.5", *ROWS[0][1:]]]), "type", "not an integer"),
    "infinite.csv": (table([["1", "inf", "good", "1", ""]]), "type", "'age': not a number"),
    "maybe.csv": (table([["1", "1", "good", "2", ""]]), "type", "'female': not a boolean"),
    "fair.csv": (table([["1", "1", "fair", "1", ""]]), "category", "not one of poor, good"),
    "young.csv": (table([["1", "-1", "good", "1", ""]]), "minimum", "below the minimum 0"),
    "old.csv": (table([["1", "111", "good", "1", ""]]), "maximum", "above the maximum 110"),
    "nobody.csv": (table([["", "1", "good", "1", ""]]), "null", "'person': required value missing"),
}


class Gate:
    """Asks the function, as Lambda runs it, about some objects."""

    def __init__(self, account: StandInAccount) -> None:
        self._account = account
        place = {"LocationConstraint": account.region}
        account.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=place)
        role = account.client("iam").create_role(RoleName="check", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
        account.client("lambda").create_function(
            FunctionName=FUNCTION,
            Runtime="python3.13",
            Role=role,
            Code={"ZipFile": functions.archive(SOURCES)},
            Handler="mlops.functions.validate_data.handler",
            Timeout=45,
        )

    def ask(self, objects: dict[str, bytes], schema: dict[str, Any] = SCHEMA) -> Any:
        for key, content in objects.items():
            self._account.client("s3").put_object(Bucket=BUCKET, Key=PREFIX + key, Body=content)
        answer, error = lambdas.invoke(self._account, FUNCTION, {"uri": f"s3://{BUCKET}/{PREFIX}", "schema": schema})
        assert error == ""
        return answer


@pytest.fixture
def gate(account: StandInAccount) -> Gate:
    return Gate(account)


def test_data_that_fits_is_let_pass_whatever_it_is_packed_in(gate: Gate) -> None:
    objects = {
        "plain.csv": GOOD,
        "marked.csv": b"\xef\xbb\xbf" + GOOD,
        "packed.csv.gz": gzip.compress(GOOD),
        "together.csv.gz": gzip.compress(GOOD[:40]) + gzip.compress(GOOD[40:]),
        "columns.parquet": b"PAR1 whatever PAR1",
        "_SUCCESS": b"",
        ".hidden": b"x",
        "folder/": b"",
    }
    assert gate.ask(objects) == {"valid": True, "objects": 5, "sampled": 5, "rows": 12, "reasons": []}


def test_a_new_category_is_let_pass_where_the_schema_takes_it(gate: Gate) -> None:
    columns = [each | ({"unknown": "other"} if each["categories"] else {}) for each in COLUMNS]
    fair = {"fair.csv": BAD["fair.csv"][0]}
    strict, tolerant = (SCHEMA | {"columns": each, "minimum_rows": 1} for each in (COLUMNS, columns))
    assert [reason["rule"] for reason in gate.ask(fair, strict)["reasons"]] == ["category"]
    assert gate.ask(fair, tolerant)["valid"]


@pytest.mark.parametrize("half", [0, 1])
def test_each_kind_of_bad_data_is_named_with_its_object_and_its_rule(gate: Gate, half: int) -> None:
    bad = dict(list(BAD.items())[half::2])  # the function names no more than 20 reasons
    answer = gate.ask({key: content for key, (content, _, _) in bad.items()})
    assert not answer["valid"]
    found = {reason["key"].removeprefix(PREFIX): reason for reason in answer["reasons"]}
    assert {key: reason["rule"] for key, reason in found.items()} == {key: rule for key, (_, rule, _) in bad.items()}
    assert [key for key, (_, _, said) in bad.items() if said not in found[key]["message"]] == []


def test_a_prefix_without_an_object_is_refused(gate: Gate) -> None:
    [reason] = gate.ask({})["reasons"]
    assert (reason["rule"], reason["key"]) == ("file_missing", PREFIX)


def test_too_few_rows_are_refused_when_all_of_them_were_seen(gate: Gate) -> None:
    [reason] = gate.ask({"one.csv": table(ROWS[:1])})["reasons"]
    assert (reason["rule"], reason["message"]) == ("minimum_rows", "1 rows; at least 2 are required")
    assert gate.ask({"other.parquet": b"PAR1 whatever PAR1"})["valid"]


def test_only_the_beginning_of_a_large_object_is_read(gate: Gate, record: CallRecord) -> None:
    row = ["1", "30", "good", "1", "x" * 1000]
    large = table([row] * 3000)
    answer = gate.ask({"large.csv": large, "large.csv.gz": gzip.compress(large), "bomb.csv.gz": BOMB})
    assert answer["valid"]
    assert 0 < answer["rows"] < 2000 + validate_data.ROWS
    asked = [call.parameters["Range"] for call in record.calls() if call.operation == "GetObject"]
    assert asked == [f"bytes=0-{validate_data.SAMPLE_BYTES - 1}"] * 3


def test_many_objects_are_all_listed_and_some_of_them_read(gate: Gate, record: CallRecord) -> None:
    answer = gate.ask({f"{number:02}.csv": GOOD for number in range(45)})
    assert (answer["objects"], answer["sampled"]) == (45, 15)
    assert len([call for call in record.calls() if call.operation == "GetObject"]) == 15


def test_no_further_object_is_read_when_the_time_is_nearly_over(
    gate: Gate, account: StandInAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate.ask({"good.csv": GOOD})
    monkeypatch.setattr(boto3, "client", account.client)
    context = SimpleNamespace(get_remaining_time_in_millis=lambda: validate_data.RESERVE_MILLISECONDS - 1)
    answer = validate_data.handler({"uri": f"s3://{BUCKET}/{PREFIX}", "schema": SCHEMA}, context)
    assert (answer["valid"], answer["sampled"]) == (True, 0)


OWN = Notation(null_values=("NA", "."), true_values=("Yes", "TRUE"), false_values=("No",), decimal_comma=True)
TEXTS = ["1", "-1.5", "1e3", ".5", "1.", "abc", "nan", "inf", "0x10", " 1", "true", "1e999"]
OWN_TEXTS = ["NA", ".", "Yes", "No", "yes", "1,5", "1.5", "1.500", "1.500,5", ",5", "-2,", "1,5,5"]


@pytest.mark.parametrize("notation", [PLAIN, OWN], ids=["plain", "own"])
@pytest.mark.parametrize("text", [*TEXTS, *OWN_TEXTS])
@pytest.mark.parametrize("kind", ["integer", "number", "boolean"])
def test_a_value_is_of_a_type_here_when_the_pipeline_says_so(kind: ColumnType, text: str, notation: Notation) -> None:
    """The function cannot have the pipeline's own parser, which needs packages that Lambda lacks."""
    declared = Column("x", kind, "attribute", "")
    parsed = parse(pa.array([text]), declared, notation)
    expected = "type" if parsed.invalid is not None else "null" if parsed.values.null_count else None
    schema = {**SCHEMA, "columns": [column("x", kind)], "notation": asdict(notation)}
    here = validate_data.faults(validate_data.Sample(["x"], [[text]], True), schema)
    assert [rule for rule, _ in here] == ([expected] if expected else [])


def test_ignored_columns_may_be_there_twice_or_not_at_all() -> None:
    schema = {**SCHEMA, "columns": [column("x", "integer")], "ignored": ["row"]}
    for header in (["x"], ["row", "x"], ["row", "x", "row"]):
        sample = validate_data.Sample(header, [["1"] * len(header)], True)
        assert list(validate_data.faults(sample, schema)) == []
