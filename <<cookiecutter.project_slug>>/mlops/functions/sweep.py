"""The Lambda function that sweeps the buckets of the project once a day (see `registry.sweep`)."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from mlops.base.environments import ENVIRONMENTS
from mlops.base.errors import MlopsError
from mlops.functions.clients import client
from mlops.registry import inputs, packages
from mlops.registry.named import named
from mlops.registry.sweep import Place, Rules, sweep
from mlops.store.objects import ObjectVersion, data_version, newest_versions, split_uri


def handler(_event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Sweep; log and return what was done.

    Raises:
        MlopsError: Something could not be read. What does not depend on it was swept; the rest was left as it is.
        ClientError: The registry cannot be read, or the buckets cannot be used.
    """
    return Sweep.of_environment().run(lambda: context.get_remaining_time_in_millis() / 1000)


@dataclass(frozen=True)
class Sweep:
    """The sweep of a project.

    Attributes:
        slug: The project.
        group: The model package group.
        data_bucket: The bucket of the data, the results and the manifests of data versions.
        model_bucket: The bucket of the model archives.
        grace: How long what no version names is left alone.
    """

    slug: str
    group: str
    data_bucket: str
    model_bucket: str
    grace: timedelta

    @classmethod
    def of_environment(cls) -> "Sweep":
        """Return what the function's environment variables describe."""
        variables = os.environ
        return cls(
            slug=variables["PROJECT"],
            group=variables["MODEL_PACKAGE_GROUP"],
            data_bucket=variables["DATA_BUCKET"],
            model_bucket=variables["MODEL_BUCKET"],
            grace=timedelta(days=int(variables["SWEEP_AFTER_DAYS"])),
        )

    def run(self, seconds_left: Callable[[], float]) -> dict[str, Any]:
        """Sweep until the end or until time is short; the next sweep then continues there.

        Args:
            seconds_left: Returns how long the function may still take.

        Raises:
            MlopsError: Something could not be read.
        """
        before = datetime.now(UTC) - self.grace
        records = packages.records(client("sagemaker"), self.group)
        found = named(records, self.slug, S3Manifests(inputs.manifests(self.data_bucket, self.slug)))
        lost = self._live() - {record["ModelPackageArn"] for record in records}
        rules = Rules(self.slug, found, results_known=not lost, before=before)
        start = self._start()
        report = sweep(client("s3"), [self.data_bucket, self.model_bucket], rules, start, seconds_left)
        if report.next != start:
            self._continue_at(report.next)
        done = {
            **report.outcomes,
            "left": report.left,
            "left_is_counted": report.is_counted,
            "versions_without_manifest": list(found.legacy),
        }
        print(json.dumps(done))
        problems = [
            *found.problems,
            *(f"{arn} is live and not registered: results of runs were not tagged." for arn in sorted(lost)),
        ]
        if problems:
            raise MlopsError("\n".join(problems))
        return done

    def _live(self) -> set[str]:
        """Return the ARNs of the packages that are live in an environment."""
        names = [f"/{self.slug}/live/{environment}" for environment in ENVIRONMENTS]
        return {parameter["Value"] for parameter in client("ssm").get_parameters(Names=names)["Parameters"]}

    @property
    def _bookmark(self) -> str:
        return f"{self.slug}/sweep/next.json"

    def _start(self) -> Place | None:
        """Return where the sweep before ran out of time; None if it reached the end."""
        if not newest_versions(client("s3"), self.data_bucket, self._bookmark):
            return None
        body = client("s3").get_object(Bucket=self.data_bucket, Key=self._bookmark)["Body"]
        place = json.load(body)
        return Place(**place) if place else None

    def _continue_at(self, place: Place | None) -> None:
        body = json.dumps(place._asdict() if place else None).encode()
        client("s3").put_object(Bucket=self.data_bucket, Key=self._bookmark, Body=body)


@dataclass(frozen=True)
class S3Manifests:
    """The manifests of data versions in S3 (see `registry.named.Manifests`).

    Attributes:
        prefix: Their S3 prefix.
    """

    prefix: str

    def names(self) -> AbstractSet[str]:
        """Return the names of the manifests that exist."""
        bucket, prefix = split_uri(self.prefix)
        return {each.key.removeprefix(prefix) for each in newest_versions(client("s3"), bucket, prefix)}

    def read(self, name: str) -> Sequence[ObjectVersion]:
        """Return the objects that a manifest lists.

        Raises:
            MlopsError: It does not exist, cannot be read, or is not the manifest of its data version.
        """
        bucket, prefix = split_uri(self.prefix)
        try:
            entries = json.load(client("s3").get_object(Bucket=bucket, Key=f"{prefix}{name}")["Body"])
            objects = [ObjectVersion(**entry) for entry in entries]
        except (ClientError, ValueError, TypeError) as error:
            raise MlopsError(f"{self.prefix}{name} cannot be read: {error}.") from error
        if inputs.manifest_name(data_version(objects)) != name:
            raise MlopsError(f"{self.prefix}{name} does not list the objects of this data version.")
        return objects
