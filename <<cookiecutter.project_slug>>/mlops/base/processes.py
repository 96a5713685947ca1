"""Processes that are recorded in a file, and signalled later only if they are known to be the recorded ones.

A process id alone names whatever process has it now. Together with the time of its start, it names one process.
"""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_BOOT = _PROC / "sys/kernel/random/boot_id"
_GROUP, _START = 2, 19
"""Positions in /proc/<pid>/stat, after the name of the program."""

_INIT = 1


@dataclass(frozen=True)
class Process:
    """A process.

    Attributes:
        pid: Its id.
        started: When it was started, as the operating system says it; empty if that is not known.
    """

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> "Process":
        """Return the process that has an id now."""
        return cls(pid, _started(pid))

    def is_running(self) -> bool:
        """Return whether it is known to run: the process that has its id now was started at the same time."""
        return self.pid > _INIT and bool(self.started) and _started(self.pid) == self.started

    def send(self, number: signal.Signals) -> bool:
        """Send a signal to it, if it is known to run, and return whether it was sent; never to this process."""
        if self.pid in (os.getpid(), os.getppid()) or not self.is_running():
            return False
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)
        return True


@dataclass(frozen=True)
class Group:
    """A process group, which outlives its leader while it has other members.

    Attributes:
        leader: Its leader, whose id is that of the group.
        mark: A variable that only its members have in their environment: NAME=VALUE.
    """

    leader: Process
    mark: str

    def kill(self) -> None:
        """Kill the group if its leader is known to run; without a leader, its members that have the mark."""
        if self.leader.pid in (os.getpid(), os.getppid(), os.getpgrp()):
            return
        with suppress(ProcessLookupError, PermissionError):
            if self.leader.is_running() and os.getpgid(self.leader.pid) == self.leader.pid:
                os.killpg(self.leader.pid, signal.SIGKILL)
                return
        if _started(self.leader.pid):
            return  # the id is another process's: all members of the group have ended
        for pid in _members(self.leader.pid):
            member = Process.of(pid)
            if self.mark and self.mark in _environment(pid):
                member.send(signal.SIGKILL)


def _started(pid: int) -> str:
    """Return when the process with an id was started; empty if there is none, or it cannot be found out."""
    if _PROC.joinpath("self/stat").exists():
        fields = _stat(pid)
        with suppress(OSError):
            return f"{_BOOT.read_text().strip()} {fields[_START]}" if fields else ""
    return " ".join(_ps("-o", "lstart=", "-p", str(pid)).split())


def _members(group: int) -> Iterator[int]:
    if _PROC.joinpath("self/stat").exists():
        for entry in _PROC.iterdir():
            if entry.name.isdecimal() and (fields := _stat(int(entry.name))) and fields[_GROUP] == str(group):
                yield int(entry.name)
        return
    for line in _ps("-A", "-o", "pid=,pgid=").splitlines():
        pid, of = line.split()
        if of == str(group):
            yield int(pid)


def _environment(pid: int) -> list[str]:
    """Return the variables of a process, NAME=VALUE; none if it belongs to another user."""
    if _PROC.joinpath("self/environ").exists():
        with suppress(OSError):
            return _PROC.joinpath(str(pid), "environ").read_text(errors="replace").split("\0")
        return []
    return _ps("-E", "-ww", "-o", "command=", "-p", str(pid)).split()


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/<pid>/stat after the name of the program; empty if the process does not exist."""
    with suppress(OSError):
        return _PROC.joinpath(str(pid), "stat").read_text(errors="replace").rpartition(")")[2].split()
    return []


def _ps(*options: str) -> str:
    environment = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
    with suppress(OSError):
        return subprocess.run(
            ["ps", *options], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        ).stdout
    return ""
