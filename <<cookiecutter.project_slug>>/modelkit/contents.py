"""What a file is that was taken for data, by its start, its header and its values, without Arrow: Lambda has none."""

import re
from collections.abc import Collection, Sequence

from modelkit.messages import listed

SUFFIXES = (".csv", ".csv.gz", ".parquet")
"""The suffixes of data files."""

START = 64
"""The number of bytes at the start of a file that show what it is."""

_STARTS: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs.github.com/spec/", "a git-lfs pointer in place of the data: `git lfs pull`"),
    (b"/annex/objects/", "a git-annex pointer in place of the data: `git annex get`"),
    (b"PK\x03\x04", "a zip archive, such as an Excel workbook: save the sheet as CSV (UTF-8)"),
    (b"\xff\xfe", "UTF-16 text: save it as UTF-8"),
    (b"\xfe\xff", "UTF-16 text: save it as UTF-8"),
    (b"<!doctype", "HTML, such as an error page in place of a download"),
    (b"<html", "HTML, such as an error page in place of a download"),
    (b"<?xml", "XML, such as an error message in place of a download"),
)
_PACKED, _PARQUET = b"\x1f\x8b", b"PAR1"
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
_NULLS = frozenset({"#n/a", "-", "--", ".", "?", "n/a", "na", "nan", "none", "null"})
_TRUE, _FALSE = frozenset({"on", "t", "y", "yes"}), frozenset({"f", "n", "no", "off"})
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]+([eE][+-]?[0-9]+)?")


def fault_of_start(name: str, start: bytes) -> str | None:
    """Return what a file is instead of what its suffix says; None if it begins like that.

    Args:
        name: The file's name, with one of `SUFFIXES`.
        start: Its first `START` bytes, or all if it has fewer.
    """
    for known, what in _STARTS:
        if start.lower().startswith(known.lower()):
            return what
    found = ".parquet" if start.startswith(_PARQUET) else ".csv.gz" if start.startswith(_PACKED) else ".csv"
    suffix = next(one for one in reversed(SUFFIXES) if name.endswith(one))
    if found == suffix:
        return None
    what = {".csv": f"not what {suffix} says", ".csv.gz": "gzip-compressed", ".parquet": "a Parquet file"}[found]
    return f"its content is {what}; damaged, or to be named otherwise"


def fault_of_header(header: Sequence[str]) -> str | None:
    """Return why the header of a CSV file does not name its columns; None if it does.

    Args:
        header: Its fields, one of which is not empty.
    """
    if header[0].startswith("sep="):
        return "its first line is an instruction to Excel, sep=; remove that line"
    for separator, what in _SEPARATORS.items():
        if len(header) == 1 and separator in header[0]:
            return f"the header has {what} and no comma; separate the columns with commas"
    if "" in header:
        return (
            f"column {header.index('') + 1} has no name; leave out row numbers that pandas (index=False) or "
            "R (row.names=FALSE) wrote, and name the columns"
        )
    return None


def notation_of(texts: Collection[str], kind: str) -> str:
    """Return the arguments of the notation that makes values of texts; empty if that is not what is wrong with them.

    Args:
        texts: The texts that are not of the type of their column.
        kind: The type of the column.
    """
    nulls = sorted(text for text in texts if text.lower() in _NULLS)
    rest = set(texts).difference(nulls)
    found = [f"null_values={tuple(nulls)}"] if nulls else []
    if rest and kind == "boolean" and all(text.lower() in _TRUE | _FALSE for text in rest):
        for name, known in (("true_values", _TRUE), ("false_values", _FALSE)):
            found += [f"{name}={tuple(sorted(text for text in rest if text.lower() in known))}"]
    elif rest and kind in ("integer", "number") and all(map(_DECIMAL_COMMA.fullmatch, rest)):
        found.append("decimal_comma=True")
    elif rest:
        return ""
    return ", ".join(found)


def notation_message(columns: Sequence[str], notation: str) -> str:
    """Return the message for columns whose texts are values in a notation that the schema does not declare.

    Args:
        columns: The names of the columns.
        notation: The arguments of the notation (see `notation_of`).
    """
    subject = f"column '{columns[0]}'" if len(columns) == 1 else f"{len(columns)} columns ({listed(columns)})"
    return f"{subject}: values in a notation that the schema lacks, notation=Notation({notation})"
