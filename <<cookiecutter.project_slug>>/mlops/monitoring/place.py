"""Where monitoring reads traffic and labels and writes its results: the layout, and the interface of its storage."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from mlops.base.capture import VARIANT
from mlops.registry.versions import ModelVersion

LAST_WINDOW = "last-window.json"
"""The document, below the folder of an environment, that says where the last evaluated window ended."""


class Listed(NamedTuple):
    """An object.

    Attributes:
        name: Its key below the listed prefix.
        modified: When it was written, UTC.
    """

    name: str
    modified: datetime


@dataclass(frozen=True)
class Layout:
    """The places of a project, as S3 URIs without a slash at the end.

    Attributes:
        slug: The project's short name.
        captured: The folder of the project in the bucket of captured requests.
        data: The folder of the project in the bucket of data and results.
    """

    slug: str
    captured: str
    data: str

    @property
    def capture(self) -> str:
        """The folder of captured requests, with one folder per version."""
        return f"{self.captured}/capture"

    def endpoints(self, environment: str) -> tuple[str, ...]:
        """Return the folders of an environment in the folder of a version: its endpoint and its batch jobs."""
        return (f"{self.slug}-{environment}", f"{self.slug}-{environment}-batch")

    def batch_lists(self, environment: str, number: int) -> str:
        """Return the folder in which the batch transform jobs of a version list what they have predicted."""
        return f"{self.capture}/{number}/{self.slug}-{environment}-batch/{VARIANT}"

    def asynchronous(self, environment: str) -> str:
        """Return the folder of an asynchronous endpoint."""
        return f"{self.captured}/async/{environment}"

    def ground_truth(self, environment: str) -> str:
        """Return the folder of the labels of an environment."""
        return f"{self.data}/ground-truth/{environment}"

    @property
    def data_bucket(self) -> str:
        """The bucket of data and results."""
        return self.data.rpartition("/")[0]

    def results(self, environment: str) -> str:
        """Return the folder of the results of an environment, with one folder per run."""
        return f"{self.data}/monitoring/{environment}"

    def captured_manifest(self, environment: str, execution: str) -> str:
        """Return the list of a run's captured objects. It is in their bucket: a manifest has one prefix for all."""
        return f"{self.captured}/monitoring/{environment}/{execution}.manifest"


class Place(Protocol):
    """The storage and the registry, on this machine or in AWS."""

    @property
    def layout(self) -> Layout:
        """The layout."""

    @property
    def lateness(self) -> timedelta:
        """How long after a request its record may appear: more recent requests belong to the next window."""

    @property
    def percentage(self) -> float:
        """The percentage of an asynchronous endpoint's requests to compare."""

    def folders(self, uri: str) -> list[str]:
        """Return the names of the folders directly below a URI, sorted."""

    def objects(self, uri: str, after: str = "") -> Iterator[Listed]:
        """Yield the objects below a URI in the order of their names, beginning after the name `after`."""

    def read(self, uri: str) -> bytes | None:
        """Return the content of an object; None if it does not exist."""

    def write(self, uri: str, content: bytes) -> None:
        """Write an object."""

    def copy(self, source: str, target: str) -> bool:
        """Copy a document of a registered version; return False if it does not exist."""

    def version(self, number: int) -> ModelVersion:
        """Return a registered version.

        Raises:
            MlopsError: It does not exist.
        """

    def archived_schema(self, version: ModelVersion) -> bytes | None:
        """Return the schema file in the archive of a version; None if the archive has none."""

    def live(self, environment: str) -> int | None:
        """Return the number of the version in use; None if none is."""
