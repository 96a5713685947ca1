"""Commands without a network, and commands as in a container."""

import functools
import shutil
import subprocess
import sys

_UNSHARE = ("unshare", "--map-root-user", "--net")
_CONTAIN = (*_UNSHARE, "--mount", "--pid", "--fork", "--mount-proc", "--kill-child")
# In a new network namespace loopback is down: raise it (SIOCSIFFLAGS, IFF_UP), then become the command.
_LOOPBACK_UP = """
import fcntl, os, socket, struct, sys
with socket.socket() as control:
    fcntl.ioctl(control, 0x8914, struct.pack("16sh", b"lo", 1))
os.execvp(sys.argv[1], sys.argv[1:])
"""


@functools.cache
def _allowed(unshare: tuple[str, ...]) -> bool:
    if shutil.which(unshare[0]) is None:
        return False
    return subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode == 0


def can_isolate() -> bool:
    """Whether the kernel lets us take the network away."""
    return _allowed(_UNSHARE)


def can_contain() -> bool:
    """Whether the kernel also lets us have mounts and processes that nobody else sees."""
    return _allowed(_CONTAIN)


def isolated(*command: str) -> list[str]:
    """A command with no network but loopback, where the kernel lets us take it away."""
    return [*_UNSHARE, sys.executable, "-c", _LOOPBACK_UP, *command] if can_isolate() else list(command)


def contained(*command: str) -> list[str]:
    """A command with no network but loopback, that may mount what it likes, and whose processes end with it."""
    return [*_CONTAIN, sys.executable, "-c", _LOOPBACK_UP, *command]
