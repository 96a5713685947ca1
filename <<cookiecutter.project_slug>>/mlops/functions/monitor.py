"""The Lambda functions of the monitoring pipeline: collect the traffic of a window, and publish its metrics."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from mlops.functions.clients import client
from mlops.monitoring import publish as publishing
from mlops.monitoring.collect import Request
from mlops.monitoring.collect import collect as collected
from mlops.monitoring.objects import LATENESS, Objects, schema_in_archive
from mlops.monitoring.place import Layout
from mlops.monitoring.publish import Metric
from mlops.registry.versions import ModelVersion, of_package
from mlops.store.objects import split_uri


def collect(event: Mapping[str, Any], _context: object) -> dict[str, str]:
    """Collect a window (see `monitoring.collect`)."""
    return collected(AwsPlace.of_environment(), Request.of(event))


def publish(event: Mapping[str, Any], _context: object) -> dict[str, str]:
    """Publish a window (see `monitoring.publish`) to CloudWatch, in the project's namespace."""
    return publishing.publish(AwsPlace.of_environment(), event, _put_metrics)


@dataclass(frozen=True)
class AwsPlace(Objects):
    """S3, the model package group and the record of live versions (see `monitoring.place.Place`).

    Attributes:
        layout: The layout.
        packages: The ARN of a version of the model package group, without its number.
        percentage: The percentage of an asynchronous endpoint's requests to compare.
    """

    layout: Layout
    packages: str
    percentage: float
    lateness: timedelta = LATENESS

    @classmethod
    def of_environment(cls) -> "AwsPlace":
        """Return what the function's environment variables describe."""
        variables = os.environ
        layout = Layout(variables["PROJECT"], variables["CAPTURED_URI"], variables["DATA_URI"])
        return cls(layout, variables["PACKAGES_ARN"], float(variables.get("PERCENTAGE", "100")))

    @property
    def s3(self) -> Any:
        """The client of S3."""
        return client("s3")

    def write(self, uri: str, content: bytes) -> None:
        """Write an object."""
        bucket, key = split_uri(uri)
        client("s3").put_object(Bucket=bucket, Key=key, Body=content)

    def version(self, number: int) -> ModelVersion:
        """Return a registered version.

        Raises:
            ClientError: It does not exist.
        """
        return of_package(client("sagemaker").describe_model_package(ModelPackageName=f"{self.packages}/{number}"))

    def archived_schema(self, version: ModelVersion) -> bytes | None:
        """Return the schema file in the archive of a version, which is read only up to it; None if it has none."""
        return schema_in_archive(client("s3"), version.model_uri)

    def live(self, environment: str) -> int | None:
        """Return the number of the version in use; None if none is."""
        ssm = client("ssm")
        try:
            value = ssm.get_parameter(Name=f"/{self.layout.slug}/live/{environment}")["Parameter"]["Value"]
        except ssm.exceptions.ParameterNotFound:
            return None
        return int(value.rpartition("/")[2])


def _put_metrics(metrics: list[Metric]) -> None:
    data = [
        {"MetricName": one.name, "Value": one.value, "Dimensions": [{"Name": "Environment", "Value": one.environment}]}
        for one in metrics
    ]
    client("cloudwatch").put_metric_data(Namespace=os.environ["PROJECT"], MetricData=data)
