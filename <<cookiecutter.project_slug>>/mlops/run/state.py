"""The state of a local run, which survives a crash so that the run can be resumed."""

import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlops.base.commands import MLOPS
from mlops.base.errors import MlopsError, UsageError
from mlops.base.files import is_locked, locked, read_json, write_text
from mlops.pipeline.bundle import Manifest
from mlops.project.project import Project

EXECUTING, SUCCEEDED, FAILED, STOPPED = "Executing", "Succeeded", "Failed", "Stopped"
NOT_STARTED, SKIPPED, INTERRUPTED = "NotStarted", "Skipped", "Interrupted"

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
_RANDOM_LENGTH = 3
RUNS = "runs"
"""The folder of the training pipeline's runs."""

# Seconds: processes that check whether a run executes hold the lock for less.
_PATIENCE = 0.5


def now() -> str:
    """Return the current time, UTC, ISO 8601 to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def new_run_id() -> str:
    """Create an id of twelve letters and digits, like SageMaker's execution ids, that sorts by time."""
    number, digits = time.time_ns() // 1_000_000, ""
    while number:
        number, remainder = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[remainder] + digits
    return digits.rjust(12 - _RANDOM_LENGTH, "0") + "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_LENGTH))


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
    parameters: dict[str, Any]
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
        what = f"The state of run {self.path.name}"
        content = read_json(self.path / "run.json", what, self._remedy)
        try:
            steps = {name: StepState(**step) for name, step in content.pop("steps").items()}
            state = RunState(**content, steps=steps)
        except (TypeError, AttributeError, KeyError) as error:
            raise MlopsError(f"{what} is damaged: {self.path / 'run.json'} ({error}).", self._remedy) from None
        if state.status == EXECUTING and not is_locked(self._lock):
            state.status = INTERRUPTED
        return state

    def read_definition(self) -> str:
        """Read the definition of the run.

        Raises:
            MlopsError: The file is missing or cannot be read.
        """
        try:
            return self.definition.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise MlopsError(f"The definition of run {self.path.name} cannot be read: {error}.", self._remedy) from None

    def read_bundle(self) -> Manifest:
        """Read the manifest of the run's bundle.

        Raises:
            MlopsError: The file is missing or damaged.
        """
        manifest: Manifest = read_json(self.bundle, f"The bundle's manifest of run {self.path.name}", self._remedy)
        return manifest

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
        return f"Remove the run: `rm -r {self.path}`. Then start a new one."


def runs(project: Project) -> list[RunFolder]:
    """Return the runs of a project, newest first."""
    folder = _folder(project)
    paths = (path for path in folder.iterdir() if (path / "run.json").exists()) if folder.is_dir() else ()
    return [RunFolder(path) for path in sorted(paths, reverse=True)]


def new_run_folder(project: Project, kind: str = RUNS) -> RunFolder:
    """Return a folder for a new run; it does not exist yet.

    Args:
        project: The project.
        kind: The folder of the runs of a pipeline.
    """
    return RunFolder(project.state / kind / new_run_id())


def find_run(project: Project, run_id: str) -> RunFolder:
    """Return the folder of a run.

    Raises:
        MlopsError: The run does not exist.
    """
    folder = RunFolder(_folder(project) / run_id)
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


def _folder(project: Project) -> Path:
    return project.state / RUNS
