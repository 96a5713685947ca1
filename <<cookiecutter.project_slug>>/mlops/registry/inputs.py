"""The inputs of a training run: the data that it reads, and the champion that it is compared with.

The first step of the training pipeline resolves them, so that all steps use the same, and keeps a list of the data's
objects. Jobs read whatever is newest below a prefix; a second listing after the last step that reads raw data therefore
confirms that it was what the first one found. Lambda functions import this module.
"""

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from mlops.base.commands import MLOPS
from mlops.base.errors import MlopsError, UsageError
from mlops.registry.versions import ModelVersion
from mlops.store.objects import ObjectVersion, split_uri

AUTO = "auto"
"""The value of a parameter that is not given."""

NO_CHAMPION = "none"
"""The value of ChampionArn without a champion."""


class Listing(NamedTuple):
    """The data below a prefix.

    Attributes:
        version: Their version.
        objects: The objects.
    """

    version: str
    objects: Sequence[ObjectVersion]


class Place(Protocol):
    """Where the data and the registry are: on this machine or in AWS."""

    def listing(self, uri: str) -> Listing:
        """List the data below a URI.

        Raises:
            MlopsError: There are none.
        """

    def keep(self, name: str, content: bytes) -> None:
        """Write an object below the prefix of the manifests of data versions."""

    def champion(self) -> ModelVersion | None:
        """Return the champion; None if no version is approved."""


def manifests(bucket: str, slug: str) -> str:
    """Return the S3 prefix of the manifests of a project's data versions."""
    return f"s3://{bucket}/{slug}/data-versions/"


def manifest_name(data_version: str) -> str:
    """Return the name of a manifest below that prefix."""
    return f"{data_version}.json"


def resolve(place: Place, event: Mapping[str, str]) -> dict[str, str]:
    """Resolve the inputs of a run, and write the manifest of its data.

    Args:
        place: The storage and the registry.
        event: The event of the step: `input_data`, `data_version`, `champion_arn`, `champion_model`, each the value of
            a parameter, and `no_champion`, the S3 prefix to use without a champion.

    Returns:
        `DataVersion`, `ChampionArn` and `ChampionModelUri`.

    Raises:
        MlopsError: There are no data, they are not the given version, or the registry cannot be read.
    """
    listing = place.listing(event["input_data"])
    if event["data_version"] not in (AUTO, listing.version):
        raise MlopsError(
            f"The data are version {listing.version}, not {event['data_version']}: an object below "
            f"{event['input_data']} was added, changed or removed.",
            f"Start a run without DataVersion, or restore that data below another prefix: {MLOPS} data --help",
        )
    champion = _champion(place, event)
    content = json.dumps([each._asdict() for each in listing.objects], indent=2)
    place.keep(manifest_name(listing.version), content.encode())
    return {"DataVersion": listing.version, **champion}


def confirm(place: Place, event: Mapping[str, str]) -> dict[str, str]:
    """Make sure that the data are still those that the run began with.

    Args:
        place: The storage.
        event: The event of the step: `input_data`, and the `data_version` that was resolved.

    Raises:
        MlopsError: They have changed.
    """
    version = place.listing(event["input_data"]).version
    if version != event["data_version"]:
        raise MlopsError(
            f"The data changed while it was read: an object below {event['input_data']} was added, changed or removed "
            f"since the run started (version {event['data_version']} is now {version}).",
            "Start again.",
        )
    return {}


def _champion(place: Place, event: Mapping[str, str]) -> dict[str, str]:
    arn, model = event["champion_arn"], event["champion_model"]
    if arn == AUTO and model == AUTO:
        best = place.champion()
        if best:
            return best.as_champion
        arn = NO_CHAMPION
    if arn == NO_CHAMPION and model == AUTO:
        model = event["no_champion"]
    if AUTO in (arn, model):
        raise UsageError("ChampionArn and ChampionModelUri name one model.", "Give both of them, or neither.")
    split_uri(model)
    return {"ChampionArn": arn, "ChampionModelUri": model}
