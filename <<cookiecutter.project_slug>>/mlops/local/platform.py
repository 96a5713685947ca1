"""What stands in for AWS on this machine: the object store, the registry and the runs of one project."""

from dataclasses import dataclass
from pathlib import Path

from mlops.errors import MlopsError
from mlops.local.registry import LocalRegistry
from mlops.local.state import SUCCEEDED, RunFolder, runs
from mlops.local.store import LocalStore
from mlops.project import LOCAL, Project


@dataclass(frozen=True)
class LocalPlatform:
    """The local adapters of one project.

    Attributes:
        project: The project.
        environment: The environment whose definition runs here: a trial of another environment's pipeline has a
            registry of its own, so that it is no champion of this one.
    """

    project: Project
    environment: str = LOCAL

    @property
    def store(self) -> LocalStore:
        """The object store."""
        return LocalStore(self.project.store)

    def registry(self, group: str) -> LocalRegistry:
        """The registry of a model package group."""
        return LocalRegistry(self.project.state / "registry" / self.environment / group, self.store)

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
        """The newest run, which must not have succeeded.

        Raises:
            MlopsError: There is none, or it has succeeded.
        """
        newest = next(iter(runs(self.runs)), None)
        if newest is None:
            raise MlopsError("No run is left to resume.", "Start one: `.venv/bin/python -m mlops run`.", exit_code=2)
        if newest.load().status == SUCCEEDED:
            remedy = "To resume an older one, name it: `.venv/bin/python -m mlops runs` lists them."
            raise MlopsError(f"The newest run, {newest.path.name}, has succeeded.", remedy, exit_code=2)
        return newest
