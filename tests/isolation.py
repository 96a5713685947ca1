"""Commands without a network."""

import functools
import shutil
import subprocess
import sys

_UNSHARE = ["unshare", "--map-root-user", "--net"]
# In a new network namespace loopback is down: raise it (SIOCSIFFLAGS, IFF_UP), then become the command.
_LOOPBACK_UP = """
import fcntl, os, socket, struct, sys
with socket.socket() as control:
    fcntl.ioctl(control, 0x8914, struct.pack("16sh", b"lo", 1))
os.execvp(sys.argv[1], sys.argv[1:])
"""


@functools.cache
def can_isolate() -> bool:
    """Whether the kernel lets us take the network away."""
    if shutil.which(_UNSHARE[0]) is None:
        return False
    return subprocess.run([*_UNSHARE, "true"], capture_output=True, check=False).returncode == 0


def isolated(*command: str) -> list[str]:
    """A command with no network but loopback, where the kernel lets us take it away."""
    return [*_UNSHARE, sys.executable, "-c", _LOOPBACK_UP, *command] if can_isolate() else list(command)
