"""The state of a server, in a folder that it shares with the process that controls it.

The folder contains `settings.json` (written by that process; read at the start and on SIGUSR1), `state.json` (written
by the server), `lock` (held while the server runs) and `log`.
"""

import shlex
from dataclasses import asdict, dataclass
from pathlib import Path

from mlops.base.documents import read_document
from mlops.base.files import write_json
from mlops.base.processes import Process

SETTINGS_FILE, STATE_FILE, LOCK_FILE, LOG_FILE = "settings.json", "state.json", "lock", "log"

CREATING, IN_SERVICE, UPDATING, FAILED = "Creating", "InService", "Updating", "Failed"

READY = "ready"
"""The message of a worker that can serve; any other message is the reason why it cannot."""

RETIRE = "retire"
"""The message to a worker that others replace: they accept what it leaves. Without it, the whole server stops."""


def end_holder(folder: Path) -> str:
    """Return how to end a server whose state does not tell its process."""
    return (
        f"Find the process that holds {folder / LOCK_FILE} (`lsof {shlex.quote(str(folder / LOCK_FILE))}`), and end it."
    )


@dataclass(frozen=True)
class State:
    """The state of a server.

    Attributes:
        pid: The supervisor's process id.
        started: When it started, UTC, ISO 8601.
        status: Creating, InService, Updating, or Failed: it runs, but without a working model.
        host: The address it listens on.
        port: The port it listens on.
        workers: The number of worker processes.
        version: The version of the model that is served.
        deployment: The id of the settings that were applied last.
        failure: Why these are not in effect; empty if they are.
        process_started: When the process was started, as the operating system says it (see `base.processes`).
    """

    pid: int
    started: str
    status: str
    host: str
    port: int
    workers: int
    version: int
    deployment: str
    failure: str = ""
    process_started: str = ""

    @property
    def process(self) -> Process:
        """The supervisor."""
        return Process(self.pid, self.process_started)

    @property
    def address(self) -> str:
        """The host and the port as in a URL."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def read(cls, folder: Path) -> "State":
        """Read the state of the server in a folder.

        Raises:
            MlopsError: The file is missing or damaged.
        """
        return read_document(folder / STATE_FILE, cls, "The server's state", end_holder(folder))

    def write(self, folder: Path) -> None:
        """Write the state to a folder."""
        write_json(folder / STATE_FILE, asdict(self))
