"""The data that a registered version was trained on, as the manifest that its run wrote lists it."""

from dataclasses import dataclass
from typing import TypedDict

from mlops.base.errors import DamagedError, MlopsError, UsageError
from mlops.registry.inputs import manifest_name
from mlops.registry.versions import TRAIN_AGAIN, ModelVersion
from mlops.store.objects import ObjectVersion, relative, split_uri
from mlops.store.port import Store


class _Entry(TypedDict):
    """An object in a manifest."""

    key: str
    version: str
    size: int


@dataclass(frozen=True)
class TrainingData:
    """The data that a version was trained on.

    Attributes:
        store: The object store.
        version: The version of the data.
        uri: The S3 URI below which it was read.
        objects: Its objects.
        missing: Those that can no longer be read.
    """

    store: Store
    version: str
    uri: str
    objects: tuple[ObjectVersion, ...]
    missing: tuple[ObjectVersion, ...]

    @classmethod
    def of(cls, store: Store, manifests: str, model: ModelVersion) -> "TrainingData":
        """Return the data of a model version.

        Args:
            store: The object store.
            manifests: The S3 prefix of the manifests of data versions.
            model: The model version.

        Raises:
            MlopsError: The version does not say what it was trained on, or there is no manifest of that data.
        """
        version, uri = model.metadata.get("DataVersion", ""), model.metadata.get("InputDataUri", "")
        manifest = f"{manifests}{manifest_name(version)}"
        if not version or not uri or not store.exists(manifest):
            raise MlopsError(
                f"The objects that version {model.version} was trained on were not listed: there is no {manifest}.",
                "Runs list them since the pipeline has a step ResolveData; versions from before it have no list.",
            )
        listed = store.read_json(manifest, list[_Entry])
        objects = tuple(ObjectVersion(each["key"], each["version"], each["size"]) for each in listed)
        if not objects:
            raise DamagedError(f"The manifest {manifest} is damaged: it lists no objects.", TRAIN_AGAIN)
        readable = set(store.versions(uri))
        return cls(store, version, uri, objects, tuple(each for each in objects if each not in readable))

    def restore(self, prefix: str) -> None:
        """Copy the objects below another prefix, all or none.

        Args:
            prefix: The S3 URI of the prefix; there is nothing below it.

        Raises:
            MlopsError: An object can no longer be read, or the prefix cannot be used.
        """
        prefix = f"{prefix.rstrip('/')}/"
        split_uri(prefix)
        folder = f"{self.uri.rstrip('/')}/"
        if prefix.startswith(folder) or folder.startswith(prefix):
            raise UsageError(f"Runs that read {self.uri} would read what is below {prefix} as well.")
        if self.missing:
            names = "".join(f"\n  {each.key}  {each.version}" for each in self.missing)
            raise MlopsError(
                f"{len(self.missing)} of {len(self.objects)} objects can no longer be read, so none was copied:{names}"
            )
        if self.store.exists(prefix):
            raise UsageError(f"There are objects below {prefix}.", "Restore below a prefix that is empty.")
        bucket, _ = split_uri(self.uri)
        for each in self.objects:
            self.store.copy(bucket, each, f"{prefix}{relative(each.key, self.uri)}")
