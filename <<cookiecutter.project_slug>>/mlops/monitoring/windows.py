"""Windows of time whose captured traffic is compared with the baseline, below `.mlops/monitor/<environment>/`.

Each window has a folder named by its end: `window.json`, `report.html`, and the documents of each version that served.
"""

import contextlib
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from mlops.base import capture
from mlops.base.errors import MlopsError
from mlops.base.files import write_json, write_text
from mlops.base.pages import page
from mlops.monitoring import charts
from mlops.project.project import RUNTIME_ENVIRONMENT
from mlops.project.target import Target
from mlops.registry.adapters import registry_of
from mlops.registry.archives import schema_file, unpacked
from mlops.registry.versions import find
from mlops.store.local import LocalStore
from modelkit.baseline import STATISTICS_FILE
from modelkit.violations import COMPARISON_FILE, Limits, WindowDocument

WATERMARK = timedelta(seconds=2)
"""More recent records may not be in their file yet: servers flush every second."""

_WINDOW, _REPORT = "window.json", "report.html"
_STAMP = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True)
class Window:
    """An evaluated window.

    Attributes:
        start: Its start, inclusive; None for the first request.
        end: Its end, exclusive.
        comparisons: The `comparison.json` of each version that served requests, by version.
        min_rows: The number of rows that a window needs.
        folder: Its folder; None if it has too few rows, which then count for the next window.
    """

    start: datetime | None
    end: datetime
    comparisons: dict[int, WindowDocument]
    min_rows: int
    folder: Path | None

    @property
    def report(self) -> Path | None:
        """The HTML report; None if there is nothing to report."""
        return self.folder / _REPORT if self.folder and self.comparisons else None

    def document(self) -> dict[str, Any]:
        """Return the window as JSON."""
        return {
            "start": timestamp(self.start) if self.start else None,
            "end": timestamp(self.end),
            "versions": {str(version): comparison for version, comparison in self.comparisons.items()},
            "enough_rows": self.folder is not None,
            "report": str(self.report) if self.report else None,
        }


@dataclass(frozen=True)
class Windows:
    """The windows of one environment on this machine.

    Attributes:
        target: The environment.
    """

    target: Target

    @property
    def folder(self) -> Path:
        """The folder of the windows."""
        return self.target.project.state / "monitor" / self.target.environment

    def evaluate(self, since: datetime | None, until: datetime | None) -> Window:
        """Compare the requests of a window with the baselines of the versions that served them, and save the result.

        Args:
            since: The start of the window, inclusive; None for the end of the last window.
            until: The end of the window, exclusive; None for now.

        Raises:
            MlopsError: The configuration, a baseline or an archive cannot be read, or a comparison failed.
        """
        settings = self.target.settings
        limits = {name: settings.number(f"monitoring.{name}") for name in Limits.__dataclass_fields__}
        min_rows = settings.integer("monitoring.min_rows")
        start = since or self._last_end()
        end = until or datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
        time.sleep(max(0.0, (end + WATERMARK - datetime.now(UTC)).total_seconds()))
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=".comparing-") as temporary:
            kept = Path(temporary) / "window"
            comparisons = dict(self._compare(kept, start, end, limits))
            rows = sum(comparison["rows"] for comparison in comparisons.values())
            too_small = not (since or until) and rows < min_rows
            window = Window(start, end, comparisons, min_rows, None if too_small else self.folder / f"{end:{_STAMP}}")
            if window.folder:
                self._keep(window, window.folder, kept, limits)
        return window

    def _last_end(self) -> datetime | None:
        ends = sorted(path.parent.name for path in self.folder.glob(f"*/{_WINDOW}"))
        return datetime.strptime(ends[-1], _STAMP).replace(tzinfo=UTC) if ends else None

    def _compare(
        self, folder: Path, start: datetime | None, end: datetime, limits: dict[str, float]
    ) -> Iterator[tuple[int, WindowDocument]]:
        """Yield the comparison of each version that served requests in the window, and write its documents."""
        root = capture.root(self.target.settings["bucket"], self.target.project.slug)
        everything = LocalStore.of(self.target).path(root)
        for version in sorted(int(path.name) for path in everything.glob("[0-9]*")):
            captured = everything / str(version)
            newest = max((path.stat().st_mtime for path in captured.rglob("*.jsonl")), default=0.0)
            if start and newest < start.timestamp():
                continue
            comparison = self._compare_version(version, captured, folder / str(version), start, end, limits)
            if comparison["rows"] or comparison["damaged"] or comparison["smoke"]:
                yield version, comparison

    def _compare_version(
        self,
        number: int,
        captured: Path,
        output: Path,
        start: datetime | None,
        end: datetime,
        limits: dict[str, float],
    ) -> WindowDocument:
        project, source = self.target.project, registry_of(self.target)
        version = find(source.versions(), number)
        model = unpacked(source, version, project.state / "models")
        source.download_baseline(version, output / "baseline")
        python = project.python(RUNTIME_ENVIRONMENT)
        command = [
            *(str(python), "-m", "modelkit.jobs.compare", "--schema", str(schema_file(model, python))),
            *("--captured", str(captured), "--baseline", str(output / "baseline"), "--output", str(output)),
            *("--start", timestamp(start) if start else "", "--end", timestamp(end)),
            *("--test-prefix", capture.SMOKE),
            *(f"--{name.replace('_', '-')}={limit}" for name, limit in limits.items()),
        ]
        environment = {**os.environ, "PYTHONPATH": str(project.root), "PYTHONDONTWRITEBYTECODE": "1"}
        result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if result.returncode:
            raise MlopsError(f"Cannot compare the traffic of version {number}.\n{result.stderr.strip()[-2000:]}")
        comparison: WindowDocument = json.loads((output / COMPARISON_FILE).read_text())
        return comparison

    def _keep(self, window: Window, folder: Path, documents: Path, limits: dict[str, float]) -> None:
        documents.mkdir(exist_ok=True)
        write_json(documents / _WINDOW, {**window.document(), "limits": limits})
        if window.comparisons:
            project = self.target.project
            text = page(
                "monitor",
                project.state / "cache" / "pages",
                project_name=project.answer("project_name"),
                start=f"{window.start:%Y-%m-%d %H:%M:%S} UTC" if window.start else "",
                end=f"{window.end:%Y-%m-%d %H:%M:%S} UTC",
                comparisons=window.comparisons,
                min_rows=window.min_rows,
                charts={version: _charts(documents / str(version), window) for version in window.comparisons},
                limits=limits,
            )
            write_text(documents / _REPORT, text)
        with contextlib.suppress(FileNotFoundError):  # an earlier result for the same window is replaced
            folder.replace(documents.parent / "before")
        documents.replace(folder)


def timestamp(moment: datetime) -> str:
    """Format a time like captured records: UTC, ISO 8601, to the second."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _charts(folder: Path, window: Window) -> dict[str, Any]:
    before, now = (
        {feature["name"]: feature for feature in json.loads((path / STATISTICS_FILE).read_text())["features"]}
        for path in (folder / "baseline", folder)
    )
    counts = window.comparisons[int(folder.name)]["predictions"]["histogram"]
    return {
        "features": {name: charts.chart(before[name], now[name]) for name in now if name in before},
        "predictions": charts.predictions(counts),
    }
