"""The model registry on this machine: one JSON file per version below `.mlops/registry/<group>/`."""

import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from mlops.base.documents import conform, read_document
from mlops.base.errors import MlopsError
from mlops.base.files import below, locked, sha256_of_file, write_json
from mlops.project.target import Target
from mlops.registry.versions import (
    APPROVED,
    PENDING,
    REJECTED,
    TRAIN_AGAIN,
    ModelVersion,
    baseline_uris,
    find,
    require_baseline,
)
from mlops.store.local import LocalStore


class _Decision(TypedDict):
    """An approval or a rejection; up to release 0.4.0 without its number."""

    Number: NotRequired[int]
    Status: str
    Time: str
    Comment: str


class _Object(TypedDict):
    S3Uri: str


class _Container(TypedDict):
    ModelDataUrl: str


class _Specification(TypedDict):
    Containers: list[_Container]


class _Quality(TypedDict, total=False):
    Statistics: _Object


class _Metrics(TypedDict, total=False):
    ModelQuality: _Quality


class _Baseline(TypedDict, total=False):
    Statistics: _Object
    Constraints: _Object


class _Baselines(TypedDict, total=False):
    ModelDataQuality: _Baseline


class _Record(TypedDict):
    """The content of a version's file: the request that registered it, and what became of it."""

    ModelPackageVersion: int
    ModelPackageArn: str
    ModelApprovalStatus: str
    InferenceSpecification: _Specification
    CreationTime: str
    CreatedBy: str
    Decisions: list[_Decision]
    ModelDataSha256: NotRequired[str]
    CustomerMetadataProperties: NotRequired[dict[str, str]]
    ModelMetrics: NotRequired[_Metrics]
    DriftCheckBaselines: NotRequired[_Baselines]


@dataclass(frozen=True)
class LocalRegistry:
    """A model package group kept in a folder.

    Attributes:
        folder: The folder of the group; created with the first registration.
        store: The object store of model archives and reports.
    """

    folder: Path
    store: LocalStore

    @classmethod
    def of(cls, target: Target, group: str | None = None) -> "LocalRegistry":
        """Return the registry of an environment whose pipeline runs on this machine.

        A trial of another environment's pipeline gets its own registry, so that it cannot become the champion here.

        Args:
            target: The environment.
            group: The model package group; None for the project's.
        """
        folder = target.project.state / "registry" / target.environment
        return cls(below(folder, group or target.model_package_group), LocalStore.of(target))

    def register(self, arguments: dict[str, Any], arn_prefix: str, created_by: str) -> dict[str, Any]:
        """Add a version from the arguments of CreateModelPackage and return its record.

        Args:
            arguments: The request of the RegisterModel step, resolved.
            arn_prefix: `arn:aws:sagemaker:<region>:<account>:model-package/<group>`.
            created_by: The execution and the step that register it. If they have registered a version, it is returned.

        Raises:
            MlopsError: The model archive is missing, or the record cannot be written. No version number is consumed.
        """
        for container in arguments["InferenceSpecification"]["Containers"]:
            if not self.store.exists(container["ModelDataUrl"]):
                raise MlopsError(f"No model archive at {container['ModelDataUrl']}.")
        with locked(self.folder / ".lock"):
            records = self._records()
            for record in records:
                if record["CreatedBy"] == created_by:
                    return dict(record)
            version = max((record["ModelPackageVersion"] for record in records), default=0) + 1
            now = _now()
            status = arguments.get("ModelApprovalStatus", PENDING)
            decision = _decision(records, status, now, "by the pipeline")
            registered = {
                **arguments,
                "ModelPackageArn": f"{arn_prefix}/{version}",
                "ModelPackageVersion": version,
                "ModelPackageStatus": "Completed",
                "CreationTime": now,
                "CreatedBy": created_by,
                "ModelDataSha256": sha256_of_file(self.store.path(_model_uri(arguments))),
                "Decisions": [decision] if status in (APPROVED, REJECTED) else [],
            }
            write_json(self.folder / f"{version}.json", registered)
        return registered

    def versions(self) -> list[ModelVersion]:
        """Return all versions, oldest first (see `Registry.versions`)."""
        return list(map(_version, self._records()))

    def decide(self, version: int, status: str, comment: str) -> ModelVersion:
        """Set the approval status of a version (see `Registry.decide`)."""
        with locked(self.folder / ".lock"):
            records = self._records()
            find(list(map(_version, records)), version)
            record = next(record for record in records if record["ModelPackageVersion"] == version)
            record["ModelApprovalStatus"] = status
            record["Decisions"].append(_decision(records, status, _now(), comment))
            write_json(self.folder / f"{version}.json", record)
        return _version(record)

    def evaluation(self, version: ModelVersion) -> Any:
        """Return the evaluation report of a version (see `Registry.evaluation`)."""
        return self.store.read_json(version.evaluation_uri)

    def download_model(self, version: ModelVersion, folder: Path) -> Path:
        """Copy the model archive of a version into a folder (see `Registry.download_model`)."""
        source = self.store.path(version.model_uri)
        self.require_intact(version)
        folder.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copyfile(source, folder / source.name))

    def require_intact(self, version: ModelVersion) -> None:
        """Make sure that the model archive of a version is the one that was registered.

        Raises:
            MlopsError: It is missing, or has another SHA-256.
        """
        source = self.store.path(version.model_uri)
        if not source.is_file():
            raise MlopsError(f"The model archive of version {version.version} is missing: {source}.", TRAIN_AGAIN)
        if version.archive_sha256 not in ("", sha256_of_file(source)):
            raise MlopsError(
                f"The model archive of version {version.version} is damaged: {source} no longer has the SHA-256 "
                "that it was registered with.",
                f"Restore the file from a backup. Or: {TRAIN_AGAIN}",
            )

    def download_baseline(self, version: ModelVersion, folder: Path) -> None:
        """Copy the baseline of a version into a folder (see `Registry.download_baseline`)."""
        for uri in require_baseline(version):
            self.store.download(uri, folder)

    def _records(self) -> list[_Record]:
        """Return the records of all versions, oldest first.

        Raises:
            MlopsError: One is damaged.
        """
        files = self.folder.glob("*.json") if self.folder.is_dir() else ()
        numbered = [path for path in files if path.stem.isascii() and path.stem.isdecimal()]
        return [self._read(path) for path in sorted(numbered, key=lambda path: int(path.stem))]

    @staticmethod
    def _read(path: Path) -> _Record:
        what = f"The registry's record of version {path.stem}"
        place = shlex.quote(str(path))
        remedy = f"Restore the file from a backup, or move it away: mv {place} {place}.damaged"
        record = read_document(path, _Record, what, remedy)
        try:
            _version(record)
            if record["ModelApprovalStatus"] not in (APPROVED, PENDING, REJECTED):
                raise ValueError("`ModelApprovalStatus` is unknown")
            if path.stem != str(record["ModelPackageVersion"]):
                raise ValueError(f"it is of version {record['ModelPackageVersion']}")
        except ValueError as error:
            raise MlopsError(f"{what} is damaged: {path} ({error}).", remedy) from None
        return record


def _decision(records: Sequence[_Record], status: str, time: str, comment: str) -> _Decision:
    """Return the record of a decision, with a number above that of all others: their order is not left to clocks."""
    numbers = (decision.get("Number", 0) for record in records for decision in record["Decisions"])
    return {"Number": max(numbers, default=0) + 1, "Status": status, "Time": time, "Comment": comment}


def _model_uri(record: Mapping[str, Any]) -> str:
    containers = record["InferenceSpecification"]["Containers"]
    if not containers:
        raise ValueError("`InferenceSpecification.Containers` is empty")
    return str(containers[0]["ModelDataUrl"])


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _version(record: _Record) -> ModelVersion:
    """Convert a record.

    Raises:
        ValueError: A member has a value that it cannot have.
    """
    decision = record["Decisions"][-1] if record["Decisions"] else None
    statistics = record.get("ModelMetrics", {}).get("ModelQuality", {}).get("Statistics")
    return ModelVersion(
        version=record["ModelPackageVersion"],
        arn=record["ModelPackageArn"],
        status=record["ModelApprovalStatus"],
        created=conform(record["CreationTime"], datetime, "CreationTime"),
        decided=conform(decision["Time"], datetime, "Decisions.Time") if decision else None,
        comment=decision["Comment"] if decision else "",
        model_uri=_model_uri(record),
        evaluation_uri=statistics["S3Uri"] if statistics else "",
        baseline_uris=baseline_uris(record),
        metadata=record.get("CustomerMetadataProperties", {}),
        decision=decision.get("Number", 0) if decision else 0,
        archive_sha256=record.get("ModelDataSha256", ""),
    )
