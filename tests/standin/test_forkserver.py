"""A process that starts warm is like one that is started anew."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from standin.calls import CallRecord
from standin.forkserver import ForkServer, forkserver

PROGRAM = """
import json, os, sys
print(json.dumps([sys.argv, os.getcwd(), sorted(os.environ.items()), sys.stdin.read(), __name__, sys.path[0]]))
print("to standard error", file=sys.stderr)
"""
# Without a locale a Python that starts anew says which one it takes.
ENVIRONMENT = {"PATH": os.environ["PATH"], "LC_CTYPE": "C.UTF-8", "SOMETHING": "else"}


@pytest.fixture(scope="module")
def warm() -> Iterator[ForkServer]:
    with forkserver(["decimal", "boto3"]) as server:
        yield server


def run(command: Sequence[str], folder: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*command, *arguments], cwd=folder, env={**ENVIRONMENT, **variables}, input="typed",
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("arguments", [["program.py", "a b", ""], ["-m", "program", "--x"], ["-P", "program.py"]])
def test_it_sees_what_a_new_one_sees(warm: ForkServer, tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    forked = run(warm.command, tmp_path, *arguments)
    new = run([sys.executable], tmp_path, *arguments)
    assert (forked.returncode, forked.stderr) == (0, "to standard error\n")
    ours, theirs = json.loads(forked.stdout), json.loads(new.stdout)
    assert ours[1:5] == theirs[1:5]
    assert [Path(ours[0][0]).name, *ours[0][1:]] == [Path(theirs[0][0]).name, *theirs[0][1:]]
    if arguments[0] != "-P":
        assert Path(tmp_path, ours[5]).resolve() == Path(tmp_path, theirs[5]).resolve() == tmp_path


def test_it_has_imported_what_takes_long_and_shares_nothing_with_others(warm: ForkServer, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        "import sys; print('boto3' in sys.modules, hasattr(sys, 'left')); sys.left = 1\n"
    )
    assert [run(warm.command, tmp_path, "program.py").stdout for _ in range(2)] == ["True False\n"] * 2


@pytest.mark.parametrize(
    ("program", "status", "said"),
    [
        ("import sys; sys.exit(3)", 3, ""),
        ("import sys; sys.exit('no')", 1, "no\n"),
        ("raise SystemExit", 0, ""),
        ("1 / 0", 1, "ZeroDivisionError: division by zero\n"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM, ""),
    ],
)
def test_it_ends_as_a_new_one_ends(warm: ForkServer, tmp_path: Path, program: str, status: int, said: str) -> None:
    (tmp_path / "program.py").write_text(program)
    for command in (warm.command, [sys.executable]):
        ended = run(command, tmp_path, "program.py")
        assert ended.returncode == status
        assert ended.stderr.endswith(said)


def test_it_goes_when_who_asked_for_it_is_killed(warm: ForkServer, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        "import os, time; open('pid', 'w').write(str(os.getpid())); os.rename('pid', 'here'); time.sleep(600)\n"
    )
    client = subprocess.Popen([*warm.command, "program.py"], cwd=tmp_path, env=ENVIRONMENT)
    wait_for(lambda: (tmp_path / "here").exists())
    client.kill()
    client.wait()
    wait_for(lambda: not alive(int((tmp_path / "here").read_text())))


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_for(condition: object) -> None:
    assert callable(condition)
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_it_is_as_far_from_the_network(warm: ForkServer, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("import socket; socket.create_connection(('192.0.2.1', 80), timeout=1)\n")
    assert "NetworkRefusedError" in run(warm.command, tmp_path, "program.py").stderr


def test_its_calls_are_recorded(warm: ForkServer, tmp_path: Path) -> None:
    record = CallRecord(tmp_path / "calls")
    (tmp_path / "program.py").write_text(
        "import boto3\n"
        "s3 = boto3.client('s3', 'eu-west-1', endpoint_url='http://127.0.0.1:9', aws_access_key_id='a',"
        " aws_secret_access_key='b')\n"
        "try: s3.list_buckets()\n"
        "except Exception: pass\n"
    )
    variables = {**record.environment("arn:aws:iam::1:role/r"), "AWS_MAX_ATTEMPTS": "1"}
    for command in (warm.command, [sys.executable]):
        assert run(command, tmp_path, "program.py", **variables).stderr == ""
    first, second = record.calls()
    assert first == second
    assert (first.operation, first.role) == ("ListBuckets", "arn:aws:iam::1:role/r")


def test_modules_that_cannot_be_imported_are_said() -> None:
    with pytest.raises(RuntimeError, match="cannot import nothing_of_this_name"), forkserver(["nothing_of_this_name"]):
        pass
