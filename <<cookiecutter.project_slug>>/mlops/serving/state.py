"""The state of a server, in a folder that it shares with the process that controls it.

The folder contains `settings.json` (written by that process; read at the start and on SIGUSR1), `state.json` (written
by the server), `lock` (held while the server runs) and `log`.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

from mlops.base.files import read_json, write_json

SETTINGS_FILE, STATE_FILE, LOCK_FILE, LOG_FILE = "settings.json", "state.json", "lock", "log"

CREATING, IN_SERVICE, UPDATING, FAILED = "Creating", "InService", "Updating", "Failed"

READY = "ready"
"""The message of a worker that can serve; any other message is the reason why it cannot."""


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

    @classmethod
    def read(cls, folder: Path) -> "State":
        """Read the state of the server in a folder.

        Raises:
            MlopsError: The file is missing or damaged.
        """
        remedy = f"Kill the server, which holds {folder / LOCK_FILE}, and start it again."
        return cls(**read_json(folder / STATE_FILE, "The server's state", remedy))

    def write(self, folder: Path) -> None:
        """Write the state to a folder."""
        write_json(folder / STATE_FILE, asdict(self))
