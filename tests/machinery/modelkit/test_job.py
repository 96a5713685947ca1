"""What a step says when it cannot go on."""

import argparse
from pathlib import Path

import pytest

from modelkit.job import JobError, JobParser, run


def refuse(arguments: argparse.Namespace) -> None:
    raise JobError("column 'age': 3 values are not numbers")


def stumble(arguments: argparse.Namespace) -> None:
    raise KeyError("age")


def test_what_the_user_can_mend_is_said_in_one_line_and_ends_the_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failure = tmp_path / "output/failure"
    assert run(lambda: JobParser("step", None), refuse, ["--failure-file", str(failure)]) == 1
    assert failure.read_text() == "column 'age': 3 values are not numbers\n"
    assert capsys.readouterr().err == "error: column 'age': 3 values are not numbers\n"


def test_a_fault_of_the_code_is_named_with_its_place_and_keeps_its_traceback(tmp_path: Path) -> None:
    failure = tmp_path / "failure"
    with pytest.raises(KeyError):
        run(lambda: JobParser("step", None), stumble, ["--failure-file", str(failure)])
    line = stumble.__code__.co_firstlineno + 1
    expected = f"KeyError: 'age' ({Path(__file__).name}, line {line}; the log has the traceback)\n"
    assert failure.read_text() == expected


def test_an_unknown_argument_reaches_the_failure_file_too(tmp_path: Path) -> None:
    failure = tmp_path / "failure"
    assert run(lambda: JobParser("step", None), refuse, ["--depth", "3", f"--failure-file={failure}"]) == 1
    assert "--depth" in failure.read_text()
