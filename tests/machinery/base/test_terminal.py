"""What comes from outside is shown on a terminal, and cannot command it."""

import io
import logging
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from mlops.base import terminal
from mlops.base.terminal import Clean, clean
from mlops.serving import logs
from modelkit.pages import page
from tests.projects import SOURCES

ATTACKS = {
    "red": "\x1b[31mno error\x1b[0m",
    "title": "\x1b]0;title\x07",
    "8-bit": "\x9b31m",
    "overwritten": "error\rdone ",
    "erased": "error\b\b\b\b\bdone ",
    "bidi": "file\u202evsc.exe",
    "isolated": "\u2066a\u2069",
    "invisible": "adm\u200bin\U000e0041",
    "line": "a\u2028b\x85c",
    "not UTF-8": os.fsdecode(b"caf\xe9"),
    "nul": "a\0b",
}
RAW = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u2028\u202e\u2066\u2069\ud800-\udfff\U000e0041]")


@pytest.mark.parametrize("text", ATTACKS.values(), ids=ATTACKS)
def test_text_is_shown_and_does_nothing(text: str) -> None:
    shown = clean(text)
    assert not RAW.search(shown)
    assert shown.encode("ascii", "strict")
    assert "\\" in shown


@pytest.mark.parametrize("text", ["a\nb\n", "a\tb", "a\r\n", "Zürich 東京 مرحبا 👍 1 234,5 €", "C:\\new\\x1b"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert clean(text) == text


def test_both_packages_have_the_same_rule() -> None:
    copies = [(SOURCES / folder / "terminal.py").read_text(encoding="utf-8") for folder in ("mlops/base", "modelkit")]
    assert copies[0] == copies[1]


def test_a_process_cleans_both_streams_once(monkeypatch: pytest.MonkeyPatch) -> None:
    output, errors = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", output)
    monkeypatch.setattr(sys, "stderr", errors)
    terminal.protect()
    terminal.protect()
    print("\x1b[31m", "\u202e")
    sys.stderr.writelines(["\a", "\n"])
    assert (output.getvalue(), errors.getvalue()) == ("\\x1b[31m \\u202e\n", "\\x07\n")
    assert terminal.terminal() is errors
    assert not isinstance(getattr(sys.stdout, "stream", None), Clean)


def in_project(*command: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env={**os.environ, "PYTHONPATH": f"{SOURCES}:{SOURCES / 'src'}"},
        capture_output=True, check=False, timeout=120,
    )  # fmt: skip
    return (done.stdout + done.stderr).decode(errors="surrogateescape")


@pytest.mark.parametrize("text", [text for text in ATTACKS.values() if "\0" not in text])
def test_a_verb_quotes_its_arguments_and_the_files_that_it_finds(tmp_path: Path, text: str) -> None:
    (tmp_path / "project.yaml").write_text('project_slug: "trial"\n')
    shown = in_project("-m", "mlops", text, folder=tmp_path)
    assert shown
    assert not RAW.search(shown)


@pytest.mark.parametrize("module", ["validate", "preprocess", "baseline"])
@pytest.mark.parametrize("text", [text for text in ATTACKS.values() if "\0" not in text])
def test_a_job_quotes_headers_values_and_names(tmp_path: Path, module: str, text: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / f"{text}.csv").write_bytes(f"{text},b\n{text},2\n".encode(errors="surrogateescape"))
    options = {
        "validate": ("--report", "report", "--data-version", "1"),
        "preprocess": ("--output", "output"),
        "baseline": ("--output", "output", "--columns", text),
    }[module]
    failure = tmp_path / "failure"
    shown = in_project(
        "-m", f"modelkit.jobs.{module}", "--data", str(data), *options, "--failure-file", str(failure), folder=tmp_path
    )
    assert shown
    assert not RAW.search(shown)
    assert not RAW.search(failure.read_text() if failure.exists() else "")


def test_a_bug_in_a_job_is_a_traceback_that_commands_nothing(tmp_path: Path) -> None:
    code = "from modelkit import job; job.run(lambda: {}['\\x1b[31m'], print, None)"
    shown = in_project("-c", code, folder=tmp_path)
    assert "Traceback" in shown
    assert not RAW.search(shown)


@pytest.mark.parametrize("text", ATTACKS.values(), ids=ATTACKS)
def test_the_log_of_the_server_quotes_requests_and_tracebacks(text: str) -> None:
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    handler.setFormatter(logs.Clean("%(message)s"))
    log = logging.Logger("test")
    log.addHandler(handler)
    try:
        raise ValueError(text)
    except ValueError:
        log.exception("request %s", text)
    assert not RAW.search(lines.getvalue())


def test_a_page_shows_text_and_runs_nothing() -> None:
    text = "<script>alert(1)</script>\u202e\x1b"
    step = SimpleNamespace(status=text, seconds=1.0, folder="", cached=False)
    facts = dict.fromkeys(("id", "status", "started", "environment", "definition_sha256", "failure"), text)
    state = SimpleNamespace(**facts, steps={text: step}, resolved={text: text})
    rows = [(text, text)]
    shown = page("run", project_name=text, state=state, details=lambda _: text, gate=[text], data=rows,
                 lineage=rows, evaluation={}, unreadable=text)  # fmt: skip
    assert shown.count("&lt;script&gt;alert(1)&lt;/script&gt;\\u202e\\x1b") > 10
    assert "<script>" not in shown
    assert not RAW.search(shown)


def test_a_terminal_without_a_character_shows_how_python_writes_it() -> None:
    content = io.BytesIO()
    stream = Clean(io.TextIOWrapper(content, encoding="ascii"))
    print("Zürich …", file=stream)
    stream.flush()
    assert content.getvalue() == b"Z\\xfcrich \\u2026\n"


@pytest.mark.parametrize("name", [os.fsdecode(b"caf\xe9"), "a\x1b[31mb"])
def test_a_project_in_a_folder_that_cannot_be_named_is_a_message(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "project.yaml").write_text('project_slug: "trial"\n')
    shown = in_project("-m", "mlops", "runs", folder=tmp_path / name)
    assert "Rename or move the project's folder." in shown
    assert "Traceback" not in shown
    assert not RAW.search(shown)
