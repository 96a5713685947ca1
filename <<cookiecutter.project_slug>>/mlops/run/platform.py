"""What stands in for AWS on this machine: the object store and the registry of one project."""

from dataclasses import dataclass

from mlops.base.environments import LOCAL
from mlops.project.project import Project
from mlops.registry.local import LocalRegistry
from mlops.store.local import LocalStore


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
