"""The monitoring pipeline on this machine, and the result of a window."""

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypedDict

from mlops.base.documents import read_document
from mlops.base.environments import LOCAL
from mlops.base.errors import MlopsError
from mlops.monitoring import limits
from mlops.monitoring.collect import AUTO, WINDOW
from mlops.monitoring.intervals import timestamp
from mlops.monitoring.local import LocalPlace
from mlops.monitoring.publish import METRICS
from mlops.pipeline import bundle
from mlops.pipeline.bundle import Bundle
from mlops.project import pipelines
from mlops.project.target import Target
from mlops.run.start import execute, new_run
from mlops.run.state import FAILED, SUCCEEDED, RunFolder, RunState
from modelkit.violations import WindowDocument

_REPORT = "report.html"
_AGAIN = "Start monitoring again."
_RUNS = "monitoring"
"""The folder of this pipeline's runs; those that succeed leave their results in the store only."""


class _Content(TypedDict):
    start: str | None
    end: str
    min_rows: int
    enough_rows: bool
    labels: dict[str, Any] | None
    versions: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Window:
    """An evaluated window.

    Attributes:
        folder: The folder of its results.
        content: The document `window.json`.
        is_chosen: Whether its start or its end was given.
    """

    folder: Path
    content: dict[str, Any]
    is_chosen: bool

    @property
    def comparisons(self) -> dict[int, WindowDocument]:
        """The `comparison.json` of each version that got requests, by version."""
        return {int(version): comparison for version, comparison in self.content["versions"].items()}

    @property
    def figures(self) -> dict[str, float]:
        """The metrics of the version in use."""
        return read_document(self.folder / METRICS, dict[str, float], "The metrics of the window", _AGAIN)

    @property
    def end(self) -> str:
        """Its end, exclusive, as captured records have it."""
        return str(self.content["end"])

    @property
    def min_rows(self) -> int:
        """The number of rows that a window needs."""
        return int(self.content["min_rows"])

    @property
    def is_closed(self) -> bool:
        """Whether it is evaluated; if not, it has too few rows, which then count for the next window."""
        return bool(self.content["enough_rows"] or self.is_chosen)

    @property
    def report(self) -> Path | None:
        """The HTML report; None if there is nothing to report yet."""
        return self.folder / _REPORT if self.content["versions"] and self.is_closed else None

    def document(self) -> dict[str, Any]:
        """Return the window as JSON."""
        return {**self.content, "report": str(self.report) if self.report else None}


def evaluate(target: Target, since: datetime | None, until: datetime | None) -> Window:
    """Run the monitoring pipeline for a window.

    Args:
        target: This machine, or an environment in AWS, whose traffic is fetched.
        since: The start of the window, inclusive; None for the end of the last window.
        until: The end of the window, exclusive; None for now.

    Raises:
        MlopsError: The pipeline does not compile, or a step failed: traffic, a baseline or an archive cannot be read.
    """
    chosen = {"WindowStart": timestamp(since) if since else AUTO, "WindowEnd": timestamp(until) if until else AUTO}
    here = target.at(LOCAL)
    if target.is_local:
        end = until or datetime.now(UTC) + timedelta(seconds=1)  # records have whole seconds
        compiled = bundle.current(here, pipelines.MONITORING)
        time.sleep(max(0.0, (end + LocalPlace(here).lateness - datetime.now(UTC)).total_seconds()))
        folder, state = _executed(here, compiled, chosen)
    else:
        from mlops.monitoring.fetched import FetchedPlace  # boto3 takes 0.2 s, which this machine's windows do not need

        place = FetchedPlace(target)
        place.require_readable()
        chosen |= {"EnvironmentName": target.environment, **limits.values(target.settings)}
        try:
            folder, state = _executed(here, bundle.current(here, pipelines.MONITORING), chosen)
        finally:
            place.remove()
    results = LocalPlace(here).store.path(_report_uri(state)).parent
    shutil.rmtree(folder.path)
    document = read_document(results / WINDOW, _Content, "The evaluated window", _AGAIN)
    return Window(results, {**document}, is_chosen=bool(since or until))


def _executed(here: Target, compiled: Bundle, parameters: Mapping[str, str]) -> tuple[RunFolder, RunState]:
    """Run the pipeline.

    Raises:
        MlopsError: A step failed.
    """
    folder = new_run(here, compiled, None, parameters, _RUNS)
    state = execute(here, folder, use_cache=False, listener=lambda state, step: None)
    if state.status != SUCCEEDED:
        raise _failure(folder, state)
    return folder, state


def _report_uri(state: RunState) -> str:
    return str(state.steps["Publish"].properties["OutputParameters"]["report"])


def _failure(folder: RunFolder, state: RunState) -> MlopsError:
    """Return the error of the step that failed, with the log of its job if it is one."""
    name, step = next((name, step) for name, step in state.steps.items() if step.status == FAILED)
    log = folder.path / step.folder / "job.log"
    return MlopsError(f"Monitoring failed in step {name}: {step.failure}", f"Log: {log}" if log.is_file() else "")
