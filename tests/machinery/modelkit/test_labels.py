"""Labels from files, and which requests they are joined to."""

import json
from pathlib import Path

import numpy as np
import pytest

from modelkit.captured import Answers
from modelkit.labels import Joined, Labels


def answers(**predictions: list[float]) -> Answers:
    counts = np.array([len(values) for values in predictions.values()])
    return Answers(list(predictions), counts, np.concatenate(list(predictions.values())))


def truth(name: str, data: str) -> str:
    return json.dumps(
        {
            "groundTruthData": {"data": data, "encoding": "CSV"},
            "eventMetadata": {"eventId": name},
            "eventVersion": "0",
        }
    )


def joined(labels: Labels, *batches: Answers) -> tuple[Joined, list[tuple[bool, float]]]:
    found = Joined()
    for batch in batches:
        labels.join(batch, found)
    truths, predictions = labels.rows(found)
    return found, list(zip(truths.tolist(), np.round(predictions.astype(float), 3).tolist(), strict=True))


def write(folder: Path, name: str, *lines: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("\n".join(lines) + "\n")


def test_rows_of_a_request_keep_their_order_in_both_formats(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "won,other,inference_id", "1,x,a", "0,x,b", "0,x,a", "true,x,c")
    write(tmp_path, "b.jsonl", truth("d", "1,0"), truth("e", "0\n1\nfalse\n"), truth("f", " 1 "))
    labels = Labels(tmp_path, {"won"})
    counts, rows = joined(
        labels,
        answers(a=[0.1, 0.2], b=[0.3]),
        answers(f=[0.9], e=[0.6, 0.7, 0.8], d=[0.4, 0.5], c=[0.35]),
    )
    assert rows == [
        (True, 0.1), (False, 0.2), (False, 0.3), (True, 0.9), (False, 0.6), (True, 0.7), (False, 0.8),
        (True, 0.4), (False, 0.5), (True, 0.35),
    ]  # fmt: skip
    assert (counts.requests, counts.rows, counts.unlabelled, counts.mismatched) == (6, 10, 0, 0)
    assert (labels.unreadable, labels.document()["ids"]) == (0, 6)


def test_a_later_file_replaces_the_labels_of_an_id(tmp_path: Path) -> None:
    write(tmp_path, "2026/01/a.csv", "inference_id,won", "a,1", "a,1", "b,1")
    write(tmp_path, "2026/02/a.jsonl", truth("a", "0"))
    _, rows = joined(Labels(tmp_path, {"won"}), answers(a=[0.1], b=[0.2]))
    assert rows == [(False, 0.1), (True, 0.2)]


def test_a_row_that_cannot_be_read_takes_its_label_with_it(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "inference_id,won", "a,1", "a,0", "a,1")
    _, rows = joined(Labels(tmp_path, {"won"}), answers(a=[0.1, np.nan, 0.3]))
    assert rows == [(True, 0.1), (True, 0.3)]


def test_what_does_not_match_is_counted_and_never_guessed(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "inference_id,won", "few,1", "many,1", "many,0", "twice,1", "gone,1", "fits,0")
    labels = Labels(tmp_path, {"won"})
    counts, rows = joined(
        labels,
        answers(few=[0.1, 0.2], many=[0.3], twice=[0.4], fits=[0.5], new=[0.6]),
        answers(twice=[0.7]),
        Answers([None], np.array([1]), np.array([0.8])),
    )
    assert rows == [(False, 0.5)]
    assert (counts.requests, counts.unlabelled, counts.mismatched) == (7, 2, 2)
    document = labels.document()
    assert (document["ids"], document["without_request"], document["repeated"]) == (5, 1, 1)


def test_lines_that_cannot_be_read_are_counted_and_listed(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "inference_id,won", "a,1", "b,maybe", "c", "d,1,2", ",1", "e,", "f,0")
    write(tmp_path, "b.jsonl", truth("g", "1"), "{}", "no", truth("h", "1,x"), '{"groundTruthData": 1}')
    write(tmp_path, "c.csv", "id,label", "x,1")
    (tmp_path / "d.jsonl").write_bytes(b"\xff\x00\n\xfe")
    (tmp_path / "e.csv").write_bytes(b"")
    labels = Labels(tmp_path, {"won"})
    _, rows = joined(labels, answers(a=[0.1], f=[0.2], g=[0.3]))
    assert rows == [(True, 0.1), (False, 0.2), (True, 0.3)]
    assert labels.unreadable == 5 + 4 + 1 + 2
    assert labels.unreadable_at == [f"a.csv:{line}" for line in (3, 4, 5, 6, 7)]


@pytest.mark.parametrize("exists", [False, True])
def test_a_folder_without_files_has_no_labels(tmp_path: Path, exists: bool) -> None:
    labels = Labels(tmp_path if exists else tmp_path / "missing", {"won"})
    counts, rows = joined(labels, answers(a=[0.1]))
    assert (rows, counts.unlabelled, labels.document()["ids"]) == ([], 1, 0)
