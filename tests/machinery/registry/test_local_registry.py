import errno
import json
import os
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mlops.base.errors import MlopsError
from mlops.registry.local import LocalRegistry
from mlops.registry.versions import APPROVED, PENDING, REJECTED, champion
from mlops.store.local import LocalStore

MODEL = "s3://bucket/models/model.tar.gz"
ARN = "arn:aws:sagemaker:eu-west-1:000000000000:model-package/group"


@pytest.fixture
def registry(tmp_path: Path) -> LocalRegistry:
    store = LocalStore(tmp_path / "s3")
    (tmp_path / "model.tar.gz").write_bytes(b"model")
    store.upload(tmp_path / "model.tar.gz", MODEL)
    return LocalRegistry(tmp_path / "registry", store)


def register(registry: LocalRegistry, status: str = PENDING, model: str = MODEL) -> dict[str, Any]:
    request = {
        "ModelPackageGroupName": "group",
        "ModelApprovalStatus": status,
        "InferenceSpecification": {"Containers": [{"ModelDataUrl": model}]},
    }
    return registry.register(request, ARN, uuid.uuid4().hex)


def test_versions_are_numbered_from_one(registry: LocalRegistry) -> None:
    assert [register(registry)["ModelPackageVersion"] for _ in range(3)] == [1, 2, 3]
    assert [version.arn for version in registry.versions()] == [f"{ARN}/{number}" for number in (1, 2, 3)]


def test_what_registers_twice_gets_the_same_version(registry: LocalRegistry) -> None:
    request = {"InferenceSpecification": {"Containers": [{"ModelDataUrl": MODEL}]}, "ModelApprovalStatus": PENDING}
    first = registry.register(request, ARN, "run/RegisterModel")
    assert registry.register(request, ARN, "run/RegisterModel") == first
    assert len(registry.versions()) == 1


def test_registering_from_many_threads_at_once_loses_no_version(registry: LocalRegistry) -> None:
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda _: register(registry)["ModelPackageVersion"], range(24)))
    assert sorted(numbers) == list(range(1, 25))
    assert [version.version for version in registry.versions()] == list(range(1, 25))


def test_a_model_without_its_archive_is_not_registered(registry: LocalRegistry) -> None:
    with pytest.raises(MlopsError, match="No model archive"):
        register(registry, model="s3://bucket/none.tar.gz")
    assert registry.versions() == []


def test_a_full_disk_uses_up_no_version(registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(MlopsError, match="No space left"):
            register(registry)
    assert registry.versions() == []
    assert register(registry)["ModelPackageVersion"] == 1


@pytest.mark.parametrize("content", ["", '{"ModelPackageVersion": 1', "{}", "[]", "null", '{"ModelPackageVersion": 1}'])
def test_a_damaged_record_is_named_and_never_skipped(registry: LocalRegistry, content: str) -> None:
    register(registry)
    path = registry.folder / "1.json"
    path.write_text(content)
    with pytest.raises(MlopsError, match=r"record of version 1 is damaged: .*1\.json"):
        registry.versions()


def test_a_deleted_archive_is_said_when_it_is_asked_for(registry: LocalRegistry, tmp_path: Path) -> None:
    register(registry)
    registry.store.path(MODEL).unlink()
    (version,) = registry.versions()
    with pytest.raises(MlopsError, match="model archive of version 1 is missing"):
        registry.download_model(version, tmp_path / "download")


def test_an_archive_that_is_not_the_registered_one_is_refused(registry: LocalRegistry, tmp_path: Path) -> None:
    register(registry)
    registry.store.path(MODEL).write_bytes(b"modem")
    (version,) = registry.versions()
    with pytest.raises(MlopsError, match="model archive of version 1 is damaged"):
        registry.download_model(version, tmp_path / "download")


def test_a_version_of_release_0_4_0_has_no_digest_and_is_used(registry: LocalRegistry, tmp_path: Path) -> None:
    register(registry)
    change(registry, 1, lambda record: record.pop("ModelDataSha256"))
    (version,) = registry.versions()
    assert registry.download_model(version, tmp_path / "download").read_bytes() == b"model"


def change(registry: LocalRegistry, number: int, how: Callable[[dict[str, Any]], object]) -> None:
    """Change the record of a version."""
    path = registry.folder / f"{number}.json"
    record = json.loads(path.read_text())
    how(record)
    path.write_text(json.dumps(record))


def test_an_approval_by_a_clock_that_was_ahead_does_not_outrank_later_ones(registry: LocalRegistry) -> None:
    for number in (1, 2, 3):
        register(registry)
        registry.decide(number, APPROVED, "")
    change(registry, 1, lambda record: record["Decisions"][-1].update(Time="2999-01-01T00:00:00+00:00"))
    best = champion(registry.versions())
    assert best
    assert best.version == 3
    registry.decide(2, APPROVED, "")
    best = champion(registry.versions())
    assert best
    assert best.version == 2


def test_decisions_of_release_0_4_0_are_ordered_by_time_and_precede_numbered_ones(registry: LocalRegistry) -> None:
    for number in (1, 2):
        register(registry)
        registry.decide(number, APPROVED, "")
    for number, time in ((1, "2999-01-01T00:00:00+00:00"), (2, "2025-01-01T00:00:00+00:00")):
        change(registry, number, lambda record, time=time: record["Decisions"][-1].update(Time=time))  # type: ignore[misc]
        change(registry, number, lambda record: record["Decisions"][-1].pop("Number"))
    best = champion(registry.versions())
    assert best
    assert best.version == 1
    registry.decide(2, APPROVED, "")
    best = champion(registry.versions())
    assert best
    assert best.version == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ModelPackageVersion", 2),
        ("ModelPackageVersion", "1"),
        ("ModelApprovalStatus", "Maybe"),
        ("CreationTime", "2025-01-01T00:00:00"),
        ("CreationTime", 5),
        ("Decisions", {}),
        ("Decisions", [{"Status": "Approved"}]),
        ("Decisions", [{"Status": "Approved", "Time": "soon", "Comment": ""}]),
        ("InferenceSpecification", {"Containers": []}),
        ("ModelMetrics", {"ModelQuality": {"Statistics": "s3://"}}),
        ("CustomerMetadataProperties", {"GitCommit": 1}),
        ("DriftCheckBaselines", {"ModelDataQuality": {"Statistics": {}}}),
        ("ModelDataSha256", None),
    ],
)
def test_a_record_with_a_wrong_member_is_damaged(registry: LocalRegistry, name: str, value: object) -> None:
    register(registry)
    change(registry, 1, lambda record: record.update({name: value}))
    with pytest.raises(MlopsError, match=r"record of version 1 is damaged: .*1\.json") as refusal:
        registry.versions()
    assert "mv " in refusal.value.remedy


def test_every_decision_is_kept(registry: LocalRegistry) -> None:
    register(registry)
    registry.decide(1, APPROVED, "good")
    registry.decide(1, REJECTED, "complaints")
    decisions = json.loads((registry.folder / "1.json").read_text())["Decisions"]
    assert [(decision["Status"], decision["Comment"]) for decision in decisions] == [
        (APPROVED, "good"),
        (REJECTED, "complaints"),
    ]


def test_decisions_made_one_right_after_the_other_keep_their_order(registry: LocalRegistry) -> None:
    for _ in range(2):
        register(registry)
    for number in [1, 2] * 20:
        registry.decide(number, APPROVED, "")
        best = champion(registry.versions())
        assert best
        assert best.version == number
