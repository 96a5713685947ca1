"""The state of a local run, which survives a crash so that the run can be resumed."""

import hashlib
import json
import re
import secrets
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypedDict

from mlops.base.commands import MLOPS
from mlops.base.documents import conform, is_path, read_document
from mlops.base.errors import MlopsError, UsageError
from mlops.base.files import is_locked, locked, write_text
from mlops.pipeline.bundle import Manifest
from mlops.project.project import Project

EXECUTING, SUCCEEDED, FAILED, STOPPED = "Executing", "Succeeded", "Failed", "Stopped"
NOT_STARTED, SKIPPED, INTERRUPTED = "NotStarted", "Skipped", "Interrupted"

_STATUSES = (EXECUTING, SUCCEEDED, FAILED, STOPPED, NOT_STARTED, SKIPPED)
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
_RANDOM_LENGTH = 3
_ID = re.compile("[0-9a-y][0-9a-z]{11}")
RUNS = "runs"
"""The folder of the training pipeline's runs."""

# Seconds: processes that check whether a run executes hold the lock for less.
_PATIENCE = 0.5


def now() -> str:
    """Return the current time, UTC, ISO 8601 to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def new_run_id(after: str = "") -> str:
    """Create an id of twelve letters and digits, like SageMaker's execution ids, that sorts by time.

    Args:
        after: An id that sorts before it, whatever the clock says; empty for none.
    """
    number, digits = time.time_ns() // 1_000_000, ""
    if after:
        number = max(number, int(after[:-_RANDOM_LENGTH], len(_ALPHABET)) + 1)
    while number:
        number, remainder = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[remainder] + digits
    return digits.rjust(12 - _RANDOM_LENGTH, "0") + "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_LENGTH))


class _S3Output(TypedDict):
    S3Uri: str


class _Output(TypedDict):
    S3Output: _S3Output


class _Outputs(TypedDict):
    Outputs: dict[str, _Output]


class _Artifacts(TypedDict):
    S3ModelArtifacts: str


class _Metric(TypedDict):
    MetricName: str
    Value: float


class Properties(TypedDict, total=False):
    """The properties of a step that this package reads."""

    ProcessingOutputConfig: _Outputs
    ModelArtifacts: _Artifacts
    FinalMetricDataList: list[_Metric]
    OutputParameters: dict[str, Any]
    ModelName: str
    PrimaryContainer: dict[str, Any]
    Containers: list[dict[str, Any]]
    ModelPackageArn: str
    ModelPackageGroupName: str
    ModelPackageVersion: int
    ModelApprovalStatus: str
    CustomerMetadataProperties: dict[str, str]


@dataclass
class StepState:
    """The state of one step.

    Attributes:
        status: NotStarted, Executing, Succeeded, Failed, Stopped or Skipped (the branch not taken).
        seconds: Its duration, over all attempts.
        attempts: The number of attempts.
        cached: Whether its result was taken from an earlier run.
        failure: The reason of its failure.
        folder: The folder of its job below the run's folder.
        outcome: The outcome of a condition.
        figures: The comparisons of a condition, as text.
        properties: The response of its Describe call, which later steps refer to.
    """

    status: str = NOT_STARTED
    seconds: float = 0.0
    attempts: int = 0
    cached: bool = False
    failure: str = ""
    folder: str = ""
    outcome: bool | None = None
    figures: list[str] = field(default_factory=list)
    properties: dict[str, Any] = field(default_factory=dict)


@dataclass
class RunState:
    """The state of one run: the content of `run.json`.

    Attributes:
        id: The run's id, and its pipeline execution id.
        pipeline: The pipeline's name.
        environment: The environment whose definition it runs.
        definition_sha256: Digest of that definition.
        status: Executing, Succeeded, Failed or Stopped.
        started: When it was first started.
        ended: When it ended; empty while it executes.
        parameters: The value of every pipeline parameter.
        steps: The steps by name, in the order of the definition.
        failure: The reason of its failure.
    """

    id: str
    pipeline: str
    environment: str
    definition_sha256: str
    status: str
    started: str
    ended: str
    parameters: dict[str, str | int | float | bool]
    steps: dict[str, StepState]
    failure: str = ""

    @property
    def registered(self) -> dict[str, Any]:
        """The model package that the run registered; empty if it registered none."""
        packages = (step.properties for step in self.steps.values() if "ModelPackageArn" in step.properties)
        return next(packages, {})

    @property
    def resolved(self) -> dict[str, Any]:
        """The parameters, with the values that functions found for those that were not given."""
        found: dict[str, Any] = {}
        for step in self.steps.values():
            found |= step.properties.get("OutputParameters", {})
        return {name: found.get(name, value) for name, value in self.parameters.items()}


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run: `run.json`, the definition it runs, and a folder for each job."""

    path: Path

    @property
    def definition(self) -> Path:
        """The definition of the run, also after a resume."""
        return self.path / "definition.json"

    @property
    def bundle(self) -> Path:
        """The manifest of the bundle."""
        return self.path / "bundle.json"

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.path / "report.html"

    @property
    def manifest(self) -> Path:
        """The record of inputs and outputs."""
        return self.path / "manifest.json"

    def save(self, state: RunState) -> None:
        """Write `run.json` atomically."""
        content = {**vars(state), "steps": {name: vars(step) for name, step in state.steps.items()}}
        write_text(self.path / "run.json", json.dumps(content))

    def load(self) -> RunState:
        """Read `run.json`. A run in status Executing that no process holds was interrupted.

        Raises:
            MlopsError: The file is missing or damaged.
        """
        path, what = self.path / "run.json", f"The state of run {self.path.name}"
        state = read_document(path, RunState, what, self._remedy)
        try:
            _require_status("status", state.status)
            for name, step in state.steps.items():
                _require_status(f"steps.{name}.status", step.status)
                if "/" in step.folder or not is_path(step.folder):
                    raise ValueError(f"`steps.{name}.folder` is not a name")
                conform(step.properties, Properties, f"steps.{name}.properties")
        except ValueError as error:
            raise MlopsError(f"{what} is damaged: {path} ({error}).", self._remedy) from None
        if state.status == EXECUTING and not is_locked(self._lock):
            state.status = INTERRUPTED
        return state

    def read_definition(self, state: RunState) -> str:
        """Read the definition of the run.

        Args:
            state: The state of the run.

        Raises:
            MlopsError: The file is missing, or is not the one that the run was started with.
        """
        what = f"The definition of run {self.path.name}"
        try:
            content = self.definition.read_bytes()
        except OSError as error:
            raise MlopsError(f"{what} cannot be read: {error}.", self._remedy) from None
        if hashlib.sha256(content).hexdigest() != state.definition_sha256:
            raise MlopsError(f"{what} is damaged: {self.definition} has another SHA-256.", self._remedy)
        return content.decode()

    def read_bundle(self) -> Manifest:
        """Read the manifest of the run's bundle.

        Raises:
            MlopsError: The file is missing or damaged.
        """
        what = f"The bundle's manifest of run {self.path.name}"
        return read_document(self.bundle, Manifest, what, self._remedy)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the lock of this run for the duration of a `with` block.

        Raises:
            MlopsError: Another process executes it.
        """
        with locked(self._lock, patience=_PATIENCE) as held:
            if not held:
                raise MlopsError(f"Run {self.path.name} is executing in another process.", "Wait for it to end.")
            yield

    @property
    def _lock(self) -> Path:
        return self.path / ".lock"

    @property
    def _remedy(self) -> str:
        return f"Remove the run: `rm -r {shlex.quote(str(self.path))}`. Then start a new one."


def _require_status(place: str, status: str) -> None:
    if status not in _STATUSES:
        raise ValueError(f"`{place}` is {status!r:.50}, not one of {', '.join(_STATUSES)}")


def runs(project: Project) -> list[RunFolder]:
    """Return the runs of a project, newest first."""
    paths = (path for path in _folders(project, RUNS) if (path / "run.json").exists())
    return [RunFolder(path) for path in sorted(paths, reverse=True)]


def new_run_folder(project: Project, kind: str = RUNS) -> RunFolder:
    """Return a folder for a new run; it does not exist yet. Its name sorts after those of all others.

    Args:
        project: The project.
        kind: The folder of the runs of a pipeline.
    """
    names = (path.name for path in _folders(project, kind) if _ID.fullmatch(path.name))
    return RunFolder(project.state / kind / new_run_id(max(names, default="")))


def find_run(project: Project, run_id: str) -> RunFolder:
    """Return the folder of a run.

    Raises:
        MlopsError: The run does not exist.
    """
    folder = RunFolder(project.state / RUNS / run_id)
    if not run_id.isalnum() or not folder.path.is_dir():
        raise UsageError(f"Run {run_id!r} does not exist.", f"List the runs: {MLOPS} runs")
    return folder


def last_unfinished(project: Project) -> RunFolder:
    """Return the newest run, which must be unfinished.

    Raises:
        MlopsError: There is no run, or it has succeeded.
    """
    newest = next(iter(runs(project)), None)
    if newest is None:
        raise UsageError("No run to resume.", f"Start one: {MLOPS} run")
    if newest.load().status == SUCCEEDED:
        remedy = f"To resume an older one, name it. List the runs: {MLOPS} runs"
        raise UsageError(f"The newest run, {newest.path.name}, has succeeded.", remedy)
    return newest


def _folders(project: Project, kind: str) -> list[Path]:
    folder = project.state / kind
    return list(folder.iterdir()) if folder.is_dir() else []
