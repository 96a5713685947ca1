"""The data and the champion of a run on this machine."""

from dataclasses import dataclass

from mlops.base.commands import MLOPS
from mlops.base.errors import MlopsError
from mlops.base.files import is_data, write_bytes
from mlops.project.lineage import version_of
from mlops.project.target import Target
from mlops.registry import versions
from mlops.registry.inputs import Listing, manifests
from mlops.registry.local import LocalRegistry
from mlops.registry.versions import ModelVersion
from mlops.store.local import LocalStore
from mlops.store.objects import relative


@dataclass(frozen=True)
class LocalInputs:
    """The local object store and registry (see `registry.inputs.Place`).

    Attributes:
        target: The environment.
    """

    target: Target

    def listing(self, uri: str) -> Listing:
        """List the data below a URI.

        Raises:
            MlopsError: There are none.
        """
        objects = [one for one in LocalStore.of(self.target).versions(uri) if is_data(relative(one.key, uri))]
        if not objects:
            raise MlopsError(f"No data below {uri}.", "Start with another InputDataUri.")
        return Listing(version_of({relative(each.key, uri): each.version for each in objects}), objects)

    def keep(self, name: str, content: bytes) -> None:
        """Write an object below the prefix of the manifests."""
        prefix = manifests(str(self.target.settings["bucket"]), self.target.project.slug)
        write_bytes(LocalStore.of(self.target).path(f"{prefix}{name}"), content)

    def champion(self) -> ModelVersion | None:
        """Return the champion; None if no version is approved.

        Raises:
            MlopsError: The registry cannot be read, or the archive of the champion is missing or damaged.
        """
        registry = LocalRegistry.of(self.target)
        best = versions.champion(registry.versions())
        if best is None:
            return None
        try:
            registry.require_intact(best)
        except MlopsError as error:
            raise MlopsError(
                f"A new version cannot be compared with the champion. {error.message}",
                f"Reject that version: {MLOPS} approve {best.version} --reject",
            ) from None
        return best
