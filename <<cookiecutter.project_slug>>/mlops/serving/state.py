"""What a server says of itself, in a folder that it shares with whoever controls it.

The folder holds `settings.json` (written by the one who controls; read at the start and on SIGUSR1), `state.json`
(written by the server), `lock` (held for as long as the server lives) and `log`.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

from mlops.base.files import read_json, write_json

SETTINGS_FILE, STATE_FILE, LOCK_FILE, LOG_FILE = "settings.json", "state.json", "lock", "log"

CREATING, IN_SERVICE, UPDATING, FAILED = "Creating", "InService", "Updating", "Failed"

READY = "ready"
"""What a worker tells the supervisor once it can answer; anything else is the reason why it cannot."""


@dataclass(frozen=True)
class State:
    """The state of a server.

    Attributes:
        pid: The supervisor's process id.
        started: When it started, UTC, ISO 8601.
        status: Creating, InService, Updating, or Failed: it runs, but has no model that works.
        host: Where it listens.
        port: Where it listens.
        workers: How many processes answer.
        version: The version of the model that answers.
        deployment: The deployment of the settings that were tried last.
        failure: Why these are not in force; empty when they are.
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
        """Read the state of the server whose folder this is.

        Raises:
            MlopsError: There is none, or it is damaged.
        """
        remedy = f"End the server by hand (it holds {folder / LOCK_FILE}), then start it again."
        return cls(**read_json(folder / STATE_FILE, "The server's state", remedy))

    def write(self, folder: Path) -> None:
        """Replace the state in a folder."""
        write_json(folder / STATE_FILE, asdict(self))
