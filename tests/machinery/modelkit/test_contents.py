"""Values in a notation that the schema does not know are one cause, however many columns have them."""

import json
from collections.abc import Collection
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from mlops.functions.validate_data import Sample, faults
from modelkit.contents import notation_of
from modelkit.jobs import validate
from modelkit.schema import NUMBER_PATTERN, Column, Notation, Schema

SCHEMA = Schema(
    (
        Column("id", "integer", "attribute", ""), Column("a", "number", "feature", "", nullable=True),
        Column("b", "integer", "feature", "", nullable=True), Column("c", "boolean", "feature", "", nullable=True),
        Column("d", "boolean", "target", ""),
    ),
    "id",
)  # fmt: skip
HEADER = ["id", "a", "b", "c", "d"]
ROWS = [["1", "1,5", "NA", "NA", "1"], ["2", "NA", "2", "Yes", "0"], ["3", "2,25", "n/a", "No", "1"]]


@pytest.mark.parametrize(
    ("texts", "kind", "notation"),
    [
        (["NA", "n/a"], "number", "null_values=('NA', 'n/a')"),
        (["Yes", "No"], "boolean", "true_values=('Yes',), false_values=('No',)"),
        (["Y"], "boolean", "true_values=('Y',), false_values=()"),
        (["NA", "1,5", "-,5", "1,0e3"], "number", "null_values=('NA',), decimal_comma=True"),
        (["NA", "old"], "number", ""),
        (["1,5"], "boolean", ""),
        (["yes"], "integer", ""),
        (["1,000,000"], "integer", ""),
        ([""], "number", ""),
    ],
)
def test_texts_are_explained_by_a_notation_or_not_at_all(texts: Collection[str], kind: str, notation: str) -> None:
    assert notation_of(texts, kind) == notation


def by_job(folder: Path, schema: Schema) -> list[tuple[str, str]]:
    (folder / "a.csv").write_text("\n".join(",".join(f'"{each}"' for each in row) for row in [HEADER, *ROWS]))
    return [(each.rule, each.message) for each in validate.validate(folder, schema, 1).violations]


def by_function(folder: Path, schema: Schema) -> list[tuple[str, str]]:
    document = {
        "columns": [json.loads(json.dumps(asdict(column))) for column in schema.columns], "ignored": [],
        "notation": asdict(schema.notation), "number_pattern": NUMBER_PATTERN,
    }  # fmt: skip
    return list(faults(Sample(HEADER, ROWS, whole=True), document))


@pytest.mark.parametrize("check", [by_job, by_function])
def test_each_notation_that_the_schema_lacks_is_told_once_with_its_columns(tmp_path: Path, check: object) -> None:
    assert callable(check)
    found = check(tmp_path, SCHEMA)
    assert [rule for rule, _ in found] == ["type"] * 3
    lines = sorted(message.partition("), for example")[0].rstrip(")") for _, message in found)
    assert lines == [
        "column 'a': values in a notation that the schema lacks, "
        "notation=Notation(null_values=('NA',), decimal_comma=True",
        "column 'b': values in a notation that the schema lacks, notation=Notation(null_values=('NA', 'n/a'",
        "column 'c': values in a notation that the schema lacks, "
        "notation=Notation(null_values=('NA',), true_values=('Yes',), false_values=('No',",
    ]
    notation = Notation(null_values=("NA", "n/a"), true_values=("Yes",), false_values=("No",), decimal_comma=True)
    assert check(tmp_path, replace(SCHEMA, notation=notation)) == []


@pytest.mark.parametrize("check", [by_job, by_function])
def test_columns_with_the_same_notation_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, check: object
) -> None:
    assert callable(check)
    monkeypatch.setattr(f"{__name__}.ROWS", [["1", "NA", "NA", "NA", "1"], ["2", "", "", "", "0"]])
    ((rule, message),) = check(tmp_path, SCHEMA)
    assert rule == "type"
    assert message.startswith("3 columns (a, b, c): values in a notation that the schema lacks, notation=Notation(")
