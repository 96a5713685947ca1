"""Traffic of an environment in AWS, compared on this machine with the rights of the person who asks.

With an account for each environment these are copies in the account of the data: `copy_captured_data`.
"""

import shutil
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any

from mlops.base.commands import MLOPS
from mlops.base.environments import ENVIRONMENTS, LOCAL, SHARED
from mlops.base.errors import MlopsError, UsageError
from mlops.base.files import write_bytes
from mlops.monitoring.collect import Request, collect
from mlops.monitoring.objects import LATENESS, Objects, schema_in_archive
from mlops.monitoring.place import Layout
from mlops.project.account import Account, aws_errors
from mlops.project.stacks import DATA_LAKE, SINGLE
from mlops.project.target import Target
from mlops.registry.live import live, version_of
from mlops.registry.sagemaker import AwsRegistry
from mlops.registry.versions import ModelVersion, find
from mlops.store.local import LocalStore
from mlops.store.objects import manifest_entries, split_uri
from mlops.store.s3 import S3Store
from modelkit.archives import ArchiveError

_COPIES = "copy_captured_data"


@dataclass(frozen=True)
class FetchedPlace(Objects):
    """An environment in AWS, of which a window is fetched (see `monitoring.place.Place`).

    Attributes:
        target: The environment.
    """

    target: Target
    lateness: timedelta = LATENESS

    @property
    def layout(self) -> Layout:
        """The layout: in the account of the data, one bucket has copies of all."""
        slug = self.target.project.slug
        if self._is_copied:
            copies = f"s3://{self.target.shared.settings['bucket']}/{slug}"
            return Layout(slug, copies, copies)
        return Layout(
            slug, f"s3://{self.target.names.capture_bucket}/{slug}", f"s3://{self.target.settings['bucket']}/{slug}"
        )

    @property
    def percentage(self) -> float:
        """The percentage of an asynchronous endpoint's requests to compare."""
        return float(self.target.shared.settings.stack("monitoring").get("sample_percent", 100))

    @property
    def s3(self) -> Any:
        """The client of S3."""
        return self._account.s3

    def read(self, uri: str) -> bytes | None:
        """Return the content of an object, which may be a result on this machine; None if it does not exist.

        Objects that it names by the bucket that they were written to are named by that of their copies.
        """
        if split_uri(uri)[0] == self.target.at(LOCAL).settings["bucket"]:
            path = self._store.path(uri)
            return path.read_bytes() if path.is_file() else None
        content = super().read(uri)
        for bucket in (self.target.names.capture_bucket, self.target.names.data_bucket) if self._is_copied else ():
            copies = self.layout.data_bucket.encode()
            content = content and content.replace(f"s3://{bucket}/".encode(), copies + b"/")
        return content

    def write(self, uri: str, content: bytes) -> None:
        """Write an object on this machine."""
        write_bytes(self._store.path(uri), content)

    def version(self, number: int) -> ModelVersion:
        """Return a registered version.

        Raises:
            MlopsError: It does not exist.
        """
        return find(AwsRegistry.of(self.target).versions(), number)

    def archived_schema(self, version: ModelVersion) -> bytes | None:
        """Return the schema file in the archive of a version; None if it has none.

        Raises:
            MlopsError: The archive is damaged.
        """
        try:
            return schema_in_archive(self.target.registry.account.s3, version.model_uri)
        except ArchiveError as error:
            raise MlopsError(f"Version {version.version}: {error}.") from None

    def live(self, environment: str) -> int | None:
        """Return the number of the version in use; None if none is."""
        registry = self.target.registry
        package = live(registry.account, registry.names, [environment]).get(environment)
        return version_of(package) if package else None

    def collect(self, request: Request) -> dict[str, str]:
        """Collect a window (see `monitoring.collect`), and copy what it lists to this machine.

        Raises:
            MlopsError: Something cannot be read.
        """
        store = S3Store(self._account)
        with aws_errors(f"read the captured data of {request.environment}"):
            found = collect(self, request)
        for manifest in (uri for name, uri in found.items() if name != "window"):
            prefix, names = manifest_entries(self._store.read_json(manifest), manifest)
            for uri in (f"{prefix}{name}" for name in names):
                if uri != manifest:
                    store.download(uri, self._store.path(uri).parent)
        return found

    def remove(self) -> None:
        """Remove from this machine what was fetched; reports of it stay."""
        for bucket in {split_uri(uri)[0] for uri in (self.layout.captured, self.layout.data)}:
            shutil.rmtree(self._store.path(f"s3://{bucket}"), ignore_errors=True)

    def require_readable(self) -> None:
        """Reject an environment that serves nothing, or whose data do not leave its account.

        Raises:
            MlopsError: It is one of these, or its configuration is incomplete.
        """
        environment, settings = self.target.environment, self.target.settings
        if not self.target.is_deployed_to:
            raise UsageError(
                f"No requests are captured in {environment}.", f"Environments: {LOCAL}, {', '.join(ENVIRONMENTS)}."
            )
        if self._is_copied and not settings.flag(_COPIES):
            raise UsageError(
                f"The requests of {environment} stay in its account: `{_COPIES}` is false in {settings.file(_COPIES)}.",
                "Its own monitoring compares them there; docs/monitoring.md says where the reports are. If they may be "
                f"copied to the account of the data, set it to true: {MLOPS} deploy --environment {SHARED}",
            )

    @property
    def _is_copied(self) -> bool:
        """Whether the environment has an account of its own, which people who train do not enter."""
        return self.target.project.layout != SINGLE

    @property
    def _account(self) -> Account:
        """The account with the data."""
        return (self.target.shared.holding(DATA_LAKE) if self._is_copied else self.target).account

    @cached_property
    def _store(self) -> LocalStore:
        return LocalStore.of(self.target)
