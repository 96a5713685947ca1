"""Python processes that start warm: forked from one that has imported already what they are going to import.

`ForkServer.command` is a command that does what `python ARGUMENTS` does, with the environment, the working folder and
the standard streams that it is given, in a process of its own. What takes long, importing boto3 or the SageMaker SDK,
was done once. A process whose start is the point of a test is to be started as its user would.
"""

import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from standin.calls import HOOK

CLIENT = HOOK / "forked.py"
_STREAMS = 3
_TICK = 0.005


@dataclass(frozen=True)
class ForkServer:
    """A warm process that others are forked from.

    Attributes:
        address: The socket at which it is asked for one.
        python: Its interpreter.
    """

    address: Path
    python: Path

    @property
    def command(self) -> list[str]:
        """What starts a process; arguments as of `python` follow: `-m MODULE ...` or `SCRIPT ...`."""
        return [str(self.python), "-SIE", str(CLIENT), str(self.address)]


@contextmanager
def forkserver(modules: Sequence[str], python: Path = Path(sys.executable), **variables: str) -> Iterator[ForkServer]:
    """A warm process, for as long as the `with` block takes.

    Args:
        modules: What it imports.
        python: Its interpreter.
        variables: Environment variables that importing them takes.
    """
    root = str(Path(__file__).parent.parent)
    with tempfile.TemporaryDirectory(prefix="fork-") as folder:
        address = Path(folder) / "socket"
        environment = {**os.environ, **variables, "PYTHONPATH": os.pathsep.join([str(HOOK), root])}
        process = subprocess.Popen(
            [str(python), "-m", "standin.forkserver", str(address), *modules],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        try:
            assert process.stdout is not None
            if process.stdout.readline() != b"ready\n":
                raise RuntimeError(f"{python} cannot import {', '.join(modules)}")
            yield ForkServer(address, python)
        finally:
            process.kill()
            process.communicate()


def serve(address: str, modules: Sequence[str]) -> None:
    """Import modules, then fork a process for each connection until this one is killed."""
    gc.disable()
    for module in modules:
        importlib.import_module(module)
    gc.freeze()
    gc.enable()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        print("ready", flush=True)
        while True:
            connection, _ = server.accept()
            request, streams = _asked(connection)
            child = os.fork()
            if child == 0:
                server.close()
                connection.close()
                _become(request, streams)
            for stream in streams:
                os.close(stream)
            threading.Thread(target=_attend, args=(connection, child), daemon=True).start()


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


def _asked(connection: socket.socket) -> tuple[Mapping[str, object], list[int]]:
    length, streams, *_ = socket.recv_fds(connection, 8, _STREAMS)
    wanted, text = int.from_bytes(length, "big"), b""
    while len(text) < wanted:
        text += connection.recv(wanted - len(text))
    return json.loads(text), streams


def _attend(connection: socket.socket, child: int) -> None:
    """Tell a client how its process ended; a client that goes takes its process with it."""
    with connection:
        while True:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                with suppress(OSError):
                    connection.sendall(os.waitstatus_to_exitcode(status).to_bytes(2, "big", signed=True))
                return
            if select.select([connection], [], [], _TICK)[0]:
                with suppress(ProcessLookupError):
                    os.killpg(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return


def _become(request: Mapping[str, object], streams: Sequence[int]) -> None:
    """Be the process that was asked for, to its end."""
    status = 1
    try:
        os.setpgid(0, 0)
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        for number, mode in enumerate("rww"):
            setattr(sys, ("stdin", "stdout", "stderr")[number], open(number, mode, closefd=False))  # noqa: SIM115
        status = _run(request)
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with suppress(OSError):
            sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status & 0xFF)


def _run(request: Mapping[str, object]) -> int:
    arguments, folder, environment = request["arguments"], request["folder"], request["environment"]
    assert isinstance(arguments, list)
    assert isinstance(environment, dict)
    os.chdir(str(folder))
    os.environ.clear()
    os.environ.update(environment)
    paths = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path and path != str(HOOK)]
    own = str(Path(__file__).parent.parent)
    sys.path[:] = [*paths, *(path for path in sys.path if path not in (own, str(HOOK)))]
    if "PROOF_CALLS" in environment:
        from standin import recording

        recording.install()
    safe = arguments[0] == "-P"
    first, *rest = arguments[safe:]
    if first == "-m":
        sys.argv = rest
        if not safe:
            sys.path.insert(0, str(folder))
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = [first, *rest]
        if not safe:
            sys.path.insert(0, str(Path(first).parent))
        runpy.run_path(first, run_name="__main__")
    return 0


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2:])
