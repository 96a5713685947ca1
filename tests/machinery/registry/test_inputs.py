"""What a run reads and is compared with: found when nothing is given, taken when it is given, confirmed at the end."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from mlops.base.errors import MlopsError
from mlops.registry.inputs import AUTO, NO_CHAMPION, Listing, confirm, resolve
from mlops.registry.versions import APPROVED, ModelVersion
from mlops.store.objects import ObjectVersion, relative
from modelkit.jobs.evaluate import NO_CHAMPION as OF_THE_JOB

URI = "s3://bucket/visits/data/"
ARN = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/visits/7"
MODEL = "s3://models/7/model.tar.gz"
OBJECTS = [ObjectVersion("visits/data/a.csv", "v1", 4), ObjectVersion("visits/data/b.csv", '"etag"', 5)]


def version() -> ModelVersion:
    now = datetime.now(UTC)
    return ModelVersion(7, ARN, APPROVED, now, now, "", MODEL, "", (), {})


@dataclass
class Shelf:
    """Data, manifests and a registry in memory."""

    best: ModelVersion | None = None
    data: str = "d1"
    kept: dict[str, bytes] = field(default_factory=dict)

    def listing(self, uri: str) -> Listing:
        assert uri == URI
        return Listing(self.data, OBJECTS)

    def keep(self, name: str, content: bytes) -> None:
        self.kept[name] = content

    def champion(self) -> ModelVersion | None:
        return self.best


def event(**given: str) -> dict[str, str]:
    return {
        "input_data": URI,
        "data_version": AUTO,
        "champion_arn": AUTO,
        "champion_model": AUTO,
        "no_champion": "s3://bucket/none/",
        **given,
    }


def test_with_nothing_given_the_data_are_listed_and_the_champion_is_found() -> None:
    shelf = Shelf(version())
    assert resolve(shelf, event()) == {"DataVersion": "d1", "ChampionArn": ARN, "ChampionModelUri": MODEL}
    assert [ObjectVersion(**each) for each in json.loads(shelf.kept["d1.json"])] == OBJECTS


def test_without_a_champion_the_prefix_without_a_model_is_used() -> None:
    expected = {"DataVersion": "d1", "ChampionArn": NO_CHAMPION, "ChampionModelUri": "s3://bucket/none/"}
    assert resolve(Shelf(), event()) == expected
    assert NO_CHAMPION == OF_THE_JOB


@pytest.mark.parametrize(
    ("given", "arn", "model"),
    [
        ({"champion_arn": "none"}, "none", "s3://bucket/none/"),
        ({"champion_arn": "x", "champion_model": "s3://other/model.tar.gz"}, "x", "s3://other/model.tar.gz"),
        ({"data_version": "d1"}, ARN, MODEL),
    ],
)
def test_what_is_given_is_used_as_it_is(given: dict[str, str], arn: str, model: str) -> None:
    resolved = resolve(Shelf(version()), event(**given))
    assert resolved == {"DataVersion": "d1", "ChampionArn": arn, "ChampionModelUri": model}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"data_version": "d0"}, f"The data are version d1, not d0: an object below {URI} was added"),
        ({"champion_arn": "x"}, "ChampionArn and ChampionModelUri name one model"),
        ({"champion_model": "s3://other/model.tar.gz"}, "ChampionArn and ChampionModelUri name one model"),
        ({"champion_arn": "x", "champion_model": "model.tar.gz"}, "'model.tar.gz' is not an S3 URI"),
    ],
)
def test_what_cannot_be_used_is_refused_and_nothing_is_kept(given: dict[str, str], said: str) -> None:
    shelf = Shelf(version())
    with pytest.raises(MlopsError) as caught:
        resolve(shelf, event(**given))
    assert said in str(caught.value)
    assert shelf.kept == {}


def test_data_that_changed_while_it_was_read_fails_the_run() -> None:
    assert confirm(Shelf(), {"input_data": URI, "data_version": "d1"}) == {}
    with pytest.raises(MlopsError, match=r"The data changed while it was read.*version d1 is now d2"):
        confirm(Shelf(data="d2"), {"input_data": URI, "data_version": "d1"})


@pytest.mark.parametrize(
    ("key", "uri", "name"),
    [
        ("visits/data/part/a.csv", URI, "part/a.csv"),
        ("visits/data/part/a.csv", "s3://bucket/visits/data", "part/a.csv"),
        ("visits/data/a.csv", "s3://bucket/visits/data/a.csv", "a.csv"),
    ],
)
def test_an_object_has_a_name_below_the_uri_that_it_was_found_with(key: str, uri: str, name: str) -> None:
    assert relative(key, uri) == name
