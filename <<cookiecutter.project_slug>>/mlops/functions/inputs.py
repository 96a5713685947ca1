"""The Lambda functions of the training pipeline: resolve the inputs of a run, and confirm that they are unchanged."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from mlops.base.errors import MlopsError
from mlops.functions.clients import client
from mlops.registry import inputs, packages
from mlops.registry.inputs import Listing
from mlops.registry.versions import APPROVED, ModelVersion, champion
from mlops.store.objects import data_version, newest_versions, split_uri


def resolve(event: Mapping[str, str], _context: object) -> dict[str, str]:
    """Resolve the inputs of a run (see `registry.inputs`)."""
    return inputs.resolve(AwsPlace.of_environment(), event)


def confirm(event: Mapping[str, str], _context: object) -> dict[str, str]:
    """Confirm that the data is unchanged (see `registry.inputs`)."""
    return inputs.confirm(AwsPlace.of_environment(), event)


@dataclass(frozen=True)
class AwsPlace:
    """S3 and a model package group (see `registry.inputs.Place`).

    Attributes:
        group: The model package group.
        manifests: The S3 prefix of the manifests of data versions.
    """

    group: str
    manifests: str

    @classmethod
    def of_environment(cls) -> "AwsPlace":
        """Return what the function's environment variables describe."""
        return cls(os.environ["MODEL_PACKAGE_GROUP"], os.environ["MANIFESTS_URI"])

    def listing(self, uri: str) -> Listing:
        """List the data below a URI.

        Raises:
            MlopsError: There are none.
        """
        objects = newest_versions(client("s3"), *split_uri(uri))
        if not objects:
            raise MlopsError(f"No data below {uri}.", "Upload it first, or start with another InputDataUri.")
        return Listing(data_version(objects), objects)

    def keep(self, name: str, content: bytes) -> None:
        """Write an object below the prefix of the manifests."""
        bucket, prefix = split_uri(self.manifests)
        client("s3").put_object(Bucket=bucket, Key=f"{prefix}{name}", Body=content)

    def champion(self) -> ModelVersion | None:
        """Return the champion; None if no version is approved.

        Raises:
            ClientError: The registry cannot be read.
        """
        return champion(packages.versions(client("sagemaker"), self.group, APPROVED))
