"""The model registry on this machine: one JSON file per version below `.mlops/registry/<group>/`."""

import shlex
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlops.base.errors import MlopsError
from mlops.base.files import locked, read_json, write_json
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
        folder = target.project.state / "registry" / target.environment / (group or target.model_package_group)
        return cls(folder, LocalStore.of(target))

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
            records = [self._read(path) for _, path in self._files()]
            for record in records:
                if record["CreatedBy"] == created_by:
                    return record
            version = max((record["ModelPackageVersion"] for record in records), default=0) + 1
            now = _now()
            status = arguments.get("ModelApprovalStatus", PENDING)
            record = {
                **arguments,
                "ModelPackageArn": f"{arn_prefix}/{version}",
                "ModelPackageVersion": version,
                "ModelPackageStatus": "Completed",
                "CreationTime": now,
                "CreatedBy": created_by,
                "Decisions": [{"Status": status, "Time": now, "Comment": "by the pipeline"}]
                if status in (APPROVED, REJECTED)
                else [],
            }
            write_json(self.folder / f"{version}.json", record)
        return record

    def versions(self) -> list[ModelVersion]:
        """Return all versions, oldest first (see `Registry.versions`)."""
        return [_version(self._read(path)) for _, path in self._files()]

    def decide(self, version: int, status: str, comment: str) -> ModelVersion:
        """Set the approval status of a version (see `Registry.decide`)."""
        with locked(self.folder / ".lock"):
            find(self.versions(), version)
            path = self.folder / f"{version}.json"
            record = self._read(path)
            record["ModelApprovalStatus"] = status
            record["Decisions"].append({"Status": status, "Time": _now(), "Comment": comment})
            write_json(path, record)
        return _version(record)

    def evaluation(self, version: ModelVersion) -> dict[str, Any]:
        """Return the evaluation report of a version (see `Registry.evaluation`)."""
        report: dict[str, Any] = self.store.read_json(version.evaluation_uri)
        return report

    def download_model(self, version: ModelVersion, folder: Path) -> Path:
        """Copy the model archive of a version into a folder (see `Registry.download_model`)."""
        source = self.store.path(version.model_uri)
        if not source.is_file():
            raise MlopsError(
                f"The model archive of version {version.version} is missing: {source}.",
                TRAIN_AGAIN,
            )
        folder.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copyfile(source, folder / source.name))

    def download_baseline(self, version: ModelVersion, folder: Path) -> None:
        """Copy the baseline of a version into a folder (see `Registry.download_baseline`)."""
        for uri in require_baseline(version):
            self.store.download(uri, folder)

    def _files(self) -> list[tuple[int, Path]]:
        files = self.folder.glob("*.json") if self.folder.is_dir() else ()
        return sorted((int(path.stem), path) for path in files if path.stem.isdigit())

    @staticmethod
    def _read(path: Path) -> dict[str, Any]:
        what = f"The registry's record of version {path.stem}"
        place = shlex.quote(str(path))
        remedy = f"Restore the file from a backup, or move it away: mv {place} {place}.damaged"
        record: dict[str, Any] = read_json(path, what, remedy)
        try:
            _version(record)
            record["CreatedBy"]
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise MlopsError(f"{what} is damaged: {path} ({error!r}).", remedy) from None
        return record


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")  # fine enough to order decisions


def _version(record: dict[str, Any]) -> ModelVersion:
    decision = record["Decisions"][-1] if record["Decisions"] else None
    statistics = record.get("ModelMetrics", {}).get("ModelQuality", {}).get("Statistics", {})
    return ModelVersion(
        version=record["ModelPackageVersion"],
        arn=record["ModelPackageArn"],
        status=record["ModelApprovalStatus"],
        created=datetime.fromisoformat(record["CreationTime"]),
        decided=datetime.fromisoformat(decision["Time"]) if decision else None,
        comment=decision["Comment"] if decision else "",
        model_uri=record["InferenceSpecification"]["Containers"][0]["ModelDataUrl"],
        evaluation_uri=statistics.get("S3Uri", ""),
        baseline_uris=baseline_uris(record),
        metadata=record.get("CustomerMetadataProperties", {}),
    )
