"""The registry as verbs use it: the same on this machine and in SageMaker."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from mlops.base.errors import MlopsError
from mlops.project.account import Account
from mlops.registry.local import LocalRegistry
from mlops.registry.port import Registry
from mlops.registry.sagemaker import AwsRegistry
from mlops.registry.versions import APPROVED, PENDING, REJECTED, champion, find
from mlops.store.local import LocalStore
from mlops.store.s3 import S3Store
from standin.account import ACCOUNT, REGION
from tests.places import BUCKET, ROLE

GROUP = "visits"


class Registered:
    """A registry and a way to register versions in it."""

    def __init__(self, registry: Registry, register: Callable[[dict[str, Any]], Any], put: Callable[[str, bytes], Any]):
        self.registry, self._register, self._put, self._count = registry, register, put, 0

    def add(self, status: str = PENDING) -> int:
        """Register the next version; return its number."""
        self._count += 1
        folder = f"{GROUP}/{self._count}"
        self._put(f"{folder}/model.tar.gz", f"model {self._count}".encode())
        self._put(f"{folder}/evaluation.json", json.dumps({"auc": self._count}).encode())
        uri = f"s3://{BUCKET}/{folder}"
        statistics = {"ContentType": "application/json", "S3Uri": f"{uri}/evaluation.json"}
        self._register(
            {
                "ModelPackageGroupName": GROUP,
                "ModelApprovalStatus": status,
                "InferenceSpecification": {
                    "Containers": [{"Image": "image", "ModelDataUrl": f"{uri}/model.tar.gz"}],
                    "SupportedContentTypes": ["text/csv"],
                    "SupportedResponseMIMETypes": ["text/csv"],
                },
                "ModelMetrics": {"ModelQuality": {"Statistics": statistics}},
                "CustomerMetadataProperties": {"DataVersion": f"data {self._count}"},
            }
        )
        return self._count

    def best(self) -> int | None:
        """The number of the champion."""
        found = champion(self.registry.versions())
        return found.version if found else None


def local(folder: Path) -> Registered:
    store = LocalStore(folder / "s3")
    registry = LocalRegistry(folder / "registry", store)

    def put(key: str, content: bytes) -> None:
        (folder / "object").write_bytes(content)
        store.upload(folder / "object", f"s3://{BUCKET}/{key}")

    arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model-package/{GROUP}"
    return Registered(
        registry,
        lambda request: registry.register(request, arn, request["CustomerMetadataProperties"]["DataVersion"]),
        put,
    )


def sagemaker() -> Registered:
    account = Account(id=ACCOUNT, region=REGION, bucket=BUCKET, role=ROLE)

    def register(request: dict[str, Any]) -> None:
        if not account.sagemaker.list_model_package_groups()["ModelPackageGroupSummaryList"]:
            account.sagemaker.create_model_package_group(ModelPackageGroupName=GROUP)
        account.sagemaker.create_model_package(**request)

    registry = AwsRegistry(account, S3Store(account), GROUP)
    return Registered(registry, register, lambda key, body: account.s3.put_object(Bucket=BUCKET, Key=key, Body=body))


@pytest.fixture(params=["local", "SageMaker"])
def registered(request: pytest.FixtureRequest, tmp_path: Path) -> Registered:
    if request.param == "local":
        return local(tmp_path)
    request.getfixturevalue("with_bucket")
    return sagemaker()


def test_before_the_first_registration_there_are_no_versions(registered: Registered) -> None:
    assert registered.registry.versions() == []
    assert registered.best() is None


def test_versions_are_listed_oldest_first_with_where_they_come_from(registered: Registered) -> None:
    registered.add()
    registered.add(APPROVED)
    first, second = registered.registry.versions()
    assert (first.version, first.status, first.decided) == (1, PENDING, None)
    assert first.arn.endswith(f":{ACCOUNT}:model-package/{GROUP}/1")
    assert first.metadata == {"DataVersion": "data 1"}
    assert (second.version, second.status) == (2, APPROVED)
    assert isinstance(second.decided, datetime)
    assert registered.registry.evaluation(second) == {"auc": 2}


def test_the_champion_is_the_version_approved_last_and_rejecting_it_brings_back_the_one_before(
    registered: Registered,
) -> None:
    registered.add()
    registered.add()
    registered.registry.decide(2, APPROVED, "")
    decided = registered.registry.decide(1, APPROVED, "better for the elderly")
    assert (decided.status, decided.comment) == (APPROVED, "better for the elderly")
    assert registered.best() == 1
    registered.registry.decide(1, REJECTED, "complaints")
    assert registered.best() == 2
    registered.registry.decide(2, REJECTED, "")
    assert registered.best() is None


def test_a_version_that_the_pipeline_approves_is_the_champion_at_once(registered: Registered) -> None:
    registered.add(APPROVED)
    assert registered.best() == 1


def test_a_version_that_is_not_there_cannot_be_decided_on(registered: Registered) -> None:
    registered.add()
    registered.add()
    with pytest.raises(MlopsError, match=r"Version 7 does not exist\.") as refusal:
        registered.registry.decide(7, APPROVED, "")
    assert refusal.value.remedy == "Versions: 1, 2."


def test_looking_for_a_version_of_an_empty_registry_says_to_train_one(registered: Registered) -> None:
    with pytest.raises(MlopsError, match="No model is registered yet"):
        find(registered.registry.versions(), 1)


def test_a_model_archive_is_downloaded_whole(registered: Registered, tmp_path: Path) -> None:
    registered.add()
    (version,) = registered.registry.versions()
    path = registered.registry.download_model(version, tmp_path / "model")
    assert path.read_text() == "model 1"
    assert [file.name for file in path.parent.iterdir()] == ["model.tar.gz"]
