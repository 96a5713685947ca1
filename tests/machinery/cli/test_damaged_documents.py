"""Verbs on documents of a project that were changed: an error with the file and the remedy, and never a traceback."""

import fcntl
import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mlops.cli.main import main
from mlops.serving.state import State
from tests.projects import mlops

pytestmark = pytest.mark.slow

WRONG: tuple[Any, ...] = (None, 5, -1, 1.5, True, "", "x\0y", [], {}, "a" * 300)
VERBS = [
    ["models"], ["models", "1", "--json"], ["runs"], ["runs", "RUN"], ["data", "1"], ["retrain", "--status"],
    ["approve", "1"], ["run", "--resume", "RUN"], ["serve", "--stop"], ["invoke", "data/request.csv"],
]  # fmt: skip
"""Verbs that read documents and start no jobs."""


@pytest.fixture
def project(after_run: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project with a document of each kind, in this process, beside the lock of a server."""
    mlops(after_run, "approve", "1")
    mlops(after_run, "retrain", check=False)
    folder = after_run / ".mlops/endpoint/local"
    folder.mkdir(parents=True)
    State(2**22, "x", "InService", "127.0.0.1", 1, 1, 1, "d", process_started="y").write(folder)
    monkeypatch.chdir(after_run)
    with (folder / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield after_run


OTHERS = (b"null", b"[]", b"5", b'"x"')
"""JSON values that are not objects."""


def texts(original: bytes) -> Iterator[bytes]:
    """Documents that are none."""
    yield from (*OTHERS, b"", original[: len(original) // 2], b"\xff\xfe{}", b"NaN")
    yield from (b"[" * 100_000, b'{"a":' * 900 + b"1" + b"}" * 900, b"1" * 5_000, b"1e999")
    yield original.replace(b"{", b'{"digits": ' + b"1" * 5_000 + b", ", 1)


def changed(original: bytes, count: int) -> Iterator[bytes]:
    """Documents with a member that is missing, or has another type."""
    generator = random.Random(0)
    places = list(members(json.loads(original), ()))
    for place in generator.sample(places, min(count, len(places))):
        for value in (*generator.sample(WRONG, 3), ...):
            document = json.loads(original)
            holder = document
            for name in place[:-1]:
                holder = holder[name]
            if value is ...:
                del holder[place[-1]]
            else:
                holder[place[-1]] = value
            yield json.dumps(document).encode()


def members(value: Any, place: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict | list):
        for name in value if isinstance(value, dict) else range(len(value)):
            yield (*place, name)
            yield from members(value[name], (*place, name))


@contextmanager
def kept(path: Path) -> Iterator[bytes]:
    """A file with its content, which it has again at the end."""
    content = path.read_bytes()
    try:
        yield content
    finally:
        path.write_bytes(content)


EVALUATION = "s3/*/*/runs/*/Evaluate/evaluation/evaluation.json"
"""The owner may give it another form: versions are listed then without figures."""

DOCUMENTS = {
    "registry/local/*/1.json": ["models"],
    "runs/*/run.json": ["runs", "RUN"],
    "runs/*/definition.json": ["run", "--resume", "RUN"],
    "runs/*/bundle.json": ["run", "--resume", "RUN"],
    "retraining.json": ["retrain", "--status"],
    "s3/*/*/data-versions/*.json": ["data", "1"],
    EVALUATION: ["models"],
    "endpoint/local/state.json": ["serve", "--stop"],
}
"""Documents, with a verb that cannot do without them."""


@pytest.mark.parametrize("pattern", DOCUMENTS)
def test_each_verb_ends_with_a_status_and_that_which_needs_the_document_with_its_name(
    project: Path, capsys: pytest.CaptureFixture[str], pattern: str
) -> None:
    path = next((project / ".mlops").glob(pattern))
    run = next((project / ".mlops/runs").iterdir()).name

    def status(verb: list[str]) -> int:
        return main([run if argument == "RUN" else argument for argument in verb])

    with kept(path) as original, kept(project / ".mlops/runs" / run / "run.json"):
        for content in texts(original):
            path.write_bytes(content)
            for verb in VERBS:
                assert status(verb) in (0, 1, 2), (content[:40], verb)
            capsys.readouterr()
            path.write_bytes(content)
            if pattern == EVALUATION and content in OTHERS:
                assert status(DOCUMENTS[pattern]) == 0, content
                assert capsys.readouterr().out.count(" ? ") == 2, content
            else:
                assert status(DOCUMENTS[pattern]) in (1, 2), content[:40]
                assert path.name in capsys.readouterr().err, content[:40]
        for content in changed(original, 6):
            path.write_bytes(content)
            for verb in VERBS:
                assert status(verb) in (0, 1, 2), (content, verb)
                path.write_bytes(content)
