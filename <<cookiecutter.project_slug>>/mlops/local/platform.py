"""What stands in for AWS on this machine: the object store, the registry and the runs of one project."""

from dataclasses import dataclass
from pathlib import Path

from mlops.errors import MlopsError
from mlops.local.registry import LocalRegistry
from mlops.local.state import EXECUTING, SUCCEEDED, RunFolder, runs
from mlops.local.store import LocalStore
from mlops.project import Project


@dataclass(frozen=True)
class LocalPlatform:
    """The local adapters of one project.

    Attributes:
        project: The project.
    """

    project: Project

    @property
    def store(self) -> LocalStore:
        """The object store."""
        return LocalStore(self.project.store)

    def registry(self, group: str) -> LocalRegistry:
        """The registry of a model package group."""
        return LocalRegistry(self.project.state / "registry" / group, self.store)

    @property
    def runs(self) -> Path:
        """The folder of the runs."""
        return self.project.state / "runs"

    def find_run(self, run_id: str) -> RunFolder:
        """The folder of a run.

        Raises:
            MlopsError: There is no such run.
        """
        folder = RunFolder(self.runs / run_id)
        if not run_id.isalnum() or not folder.path.is_dir():
            raise MlopsError(
                f"There is no run {run_id!r}.", "List them: `.venv/bin/python -m mlops runs`.", exit_code=2
            )
        return folder

    def last_unfinished(self) -> RunFolder:
        """The newest run that has not succeeded.

        Raises:
            MlopsError: There is none.
        """
        for folder in runs(self.runs):
            if folder.load().status not in (SUCCEEDED, EXECUTING):
                return folder
        raise MlopsError("No run is left to resume.", "Start one: `.venv/bin/python -m mlops run`.", exit_code=2)
