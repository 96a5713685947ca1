"""True labels that become known after the prediction, joined to captured responses by inference id.

Files ending in .csv have the columns `inference_id` and the target's, and one line per row. Files ending in .jsonl are
in the ground truth format of SageMaker Model Monitor ("Ingest Ground Truth labels and merge them with predictions" in
its documentation). The labels of a request with several rows are in the order of the rows. Of ids, 128-bit hashes are
stored.
"""

import csv
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

from modelkit.captured import NAMED, Answers
from modelkit.parsing import parse
from modelkit.records import UNREADABLE, Lines, blocks, in_portions, parse_json
from modelkit.schema import Column

ID_COLUMN = "inference_id"

_TRUTH = pa.schema(
    [("groundTruthData", pa.struct([("data", pa.string())])), ("eventMetadata", pa.struct([("eventId", pa.string())]))]
)
_TARGET = Column("target", "boolean", "target", "The target, whatever its name.")
_HASH_BYTES = 16
_BLOCK = 1 << 20  # lines are short: a block has many

Booleans = npt.NDArray[np.bool_]


@dataclass
class Joined:
    """The responses of one version, with their labels.

    Attributes:
        requests: The number of requests with a response in the interval of the labels.
        rows: The number of their rows.
        unlabelled: The number of requests without labels.
        mismatched: The number of requests with more or fewer labels than rows.
        parts: For each batch the position of each labelled row's id, its label and its prediction.
    """

    requests: int = 0
    rows: int = 0
    unlabelled: int = 0
    mismatched: int = 0
    parts: list[tuple[npt.NDArray[np.int64], Booleans, npt.NDArray[np.float32]]] = field(default_factory=list)


class LabelCounts(TypedDict):
    """Numbers of labels.

    Attributes:
        ids: The number of ids with labels.
        without_request: The number of them without a captured request in the interval.
        repeated: The number of them with several, which are left out.
        unreadable: The number of lines, and of files, that cannot be read.
        unreadable_at: The first of them, as `<file>:<line>`.
    """

    ids: int
    without_request: int
    repeated: int
    unreadable: int
    unreadable_at: list[str]


class Labels:
    """The labels in the files of a folder; those of an id in a later file, by path, replace those in earlier ones.

    Attributes:
        unreadable: The number of lines, and of files, that cannot be read.
        unreadable_at: The first of them, as `<file>:<line>`.

    Args:
        folder: The folder; it may be missing.
        targets: The names that the column of labels may have.
    """

    def __init__(self, folder: Path, targets: Collection[str]) -> None:
        self.unreadable = 0
        self.unreadable_at: list[str] = []
        self._targets = targets
        hashes, self._labels, files = self._sorted(folder)
        starts, counts = _runs(hashes)
        kept = files == np.repeat(files[starts + counts - 1], counts)  # those of each id's last file
        del files, starts, counts
        if not kept.all():
            hashes, self._labels = hashes[kept], self._labels[kept]
        self._starts, self._counts = _runs(hashes)
        self._ids = hashes[self._starts]
        self._requests = np.zeros(len(self._ids), np.int32)

    def _sorted(self, folder: Path) -> tuple[npt.NDArray[np.bytes_], Booleans, npt.NDArray[np.int32]]:
        """Return the hashed id, the value and the file of each label: by id, in the order of the lines."""
        hashes, labels, files = [np.empty(0, f"S{_HASH_BYTES}")], [np.empty(0, np.bool_)], [np.empty(0, np.int32)]
        for number, path in enumerate(sorted(path for path in folder.rglob("*") if path.is_file())):
            for ids, values in self._read(path, path.relative_to(folder).as_posix()):
                hashes.append(_hashed(ids))
                labels.append(values)
                files.append(np.full(len(values), number, np.int32))
        found = np.concatenate(hashes)
        hashes.clear()  # there may be ten million
        order = np.argsort(found, kind="stable")
        return found[order], np.concatenate(labels)[order], np.concatenate(files)[order]

    def join(self, answers: Answers, joined: Joined) -> None:
        """Add the rows of responses whose labels are known to those of their version, and count the others."""
        joined.requests += len(answers.ids)
        joined.rows += len(answers.predictions)
        known, positions = self._find(answers.ids)
        np.add.at(self._requests, positions, 1)
        joined.unlabelled += len(answers.ids) - len(positions)
        fits = self._counts[positions] == answers.counts[known]
        joined.mismatched += int((~fits).sum())
        known[known], positions = fits, positions[fits]
        counts = answers.counts[known]
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        labels = self._labels[np.repeat(self._starts[positions], counts) + within]
        predictions = answers.predictions[np.repeat(known, answers.counts)].astype(np.float32)
        read = ~np.isnan(predictions)
        joined.parts.append((np.repeat(positions, counts)[read], labels[read], predictions[read]))

    def rows(self, joined: Joined) -> tuple[Booleans, npt.NDArray[np.float32]]:
        """Return the labels and the predictions of a version, once all versions are joined.

        Ids that were captured more than once are left out, because it is not known which request the labels are for.
        """
        if not joined.parts:
            return np.empty(0, np.bool_), np.empty(0, np.float32)
        positions, labels, predictions = map(np.concatenate, zip(*joined.parts, strict=True))
        once = self._requests[positions] == 1
        return labels[once], predictions[once]

    @property
    def ids(self) -> int:
        """The number of ids with labels."""
        return len(self._ids)

    def document(self) -> LabelCounts:
        """Return what was read and joined, once all versions are joined."""
        return {
            "ids": self.ids,
            "without_request": int((self._requests == 0).sum()),
            "repeated": int((self._requests > 1).sum()),
            "unreadable": self.unreadable,
            "unreadable_at": self.unreadable_at,
        }

    def _find(self, ids: list[str | None]) -> tuple[Booleans, npt.NDArray[np.int64]]:
        """Return which ids have labels, and the positions of these ids."""
        hashes = _hashed([each or "" for each in ids])
        positions = np.searchsorted(self._ids, hashes)
        known = np.array([each is not None for each in ids], np.bool_) & (positions < len(self._ids))
        known[known] = self._ids[positions[known]] == hashes[known]
        return known, positions[known]

    def _read(self, path: Path, place: str) -> Iterator[tuple[list[str], Booleans]]:
        """Yield the ids and labels of a file in batches, one id per label."""
        header: list[str] = []
        try:
            for lines, _ in blocks(path, _BLOCK):
                if path.suffix == ".csv" and not header:
                    header = next(csv.reader([lines.pop(0)[1].decode("utf-8-sig")]))
                    self._check(header)
                yield from self._parsed(lines, header, place)
        except (OSError, *UNREADABLE):
            self._refuse(place, 1)

    def _parsed(self, lines: Lines, header: list[str], place: str) -> Iterator[tuple[list[str], Booleans]]:
        def parsed(low: int, high: int) -> tuple[list[str], Booleans]:
            chosen = [line for _, line in lines[low:high]]
            return _from_csv(chosen, header, self._targets) if header else _from_json(chosen)

        return in_portions(0, len(lines), parsed, lambda at: self._refuse(place, lines[at][0]))

    def _check(self, header: list[str]) -> None:
        if header.count(ID_COLUMN) != 1 or sum(name in self._targets for name in header) != 1:
            raise ValueError(f"the columns are {header}")

    def _refuse(self, place: str, line: int) -> None:
        self.unreadable += 1
        if len(self.unreadable_at) < NAMED:
            self.unreadable_at.append(f"{place}:{line}")


def _runs(ordered: npt.NDArray[np.bytes_]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Return the first positions and the lengths of the runs of equal values in n ascending ones."""
    differs = np.ones(len(ordered), np.bool_)
    differs[1:] = ordered[1:] != ordered[:-1]
    starts = np.flatnonzero(differs).astype(np.int32)
    return starts, np.diff(starts, append=np.int32(len(ordered)))


def _hashed(ids: list[str]) -> npt.NDArray[np.bytes_]:
    digests = [blake2b(each.encode(), digest_size=_HASH_BYTES).digest() for each in ids]
    return np.frombuffer(b"".join(digests), dtype=f"S{_HASH_BYTES}")


def _from_csv(lines: list[bytes], header: list[str], targets: Collection[str]) -> tuple[list[str], Booleans]:
    table = arrow_csv.read_csv(
        pa.BufferReader(b"\n".join(lines)),
        read_options=arrow_csv.ReadOptions(column_names=header),
        convert_options=arrow_csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string())),
    )
    if table.num_rows != len(lines) or not pc.all(pc.not_equal(table[ID_COLUMN], "")).as_py():
        raise ValueError("not one id per line")
    (target,) = (name for name in header if name in targets)
    return table[ID_COLUMN].to_pylist(), _labels(table[target].combine_chunks())


def _from_json(lines: list[bytes]) -> tuple[list[str], Booleans]:
    table = parse_json(lines, _TRUTH)
    ids = pc.struct_field(table["eventMetadata"], "eventId").combine_chunks()
    data = pc.struct_field(table["groundTruthData"], "data").combine_chunks()
    if ids.null_count or data.null_count:
        raise ValueError("no id or no label")
    values = pc.split_pattern_regex(pc.utf8_trim_whitespace(data), r"\s*[,\n]\s*")
    repeated = pc.take(ids, pc.list_parent_indices(values))
    return repeated.to_pylist(), _labels(pc.list_flatten(values))


def _labels(text: Any) -> Booleans:
    """Return labels as booleans.

    Raises:
        ValueError: One is missing or not a value of the target.
    """
    values = parse(text, _TARGET).values
    if values.null_count:
        raise ValueError("not a label")
    return np.asarray(values.to_numpy(zero_copy_only=False))
