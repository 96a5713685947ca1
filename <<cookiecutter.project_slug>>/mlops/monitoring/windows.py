"""Windows of time whose captured traffic is compared with the baseline, below `.mlops/monitor/<environment>/`.

Each window has a folder named by its end: `window.json`, `report.html`, and the documents of each version that served.
"""

import contextlib
import json
import os
import subprocess
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from mlops.base import capture
from mlops.base.errors import MlopsError
from mlops.base.files import copy_file, write_json
from mlops.project.project import RUNTIME_ENVIRONMENT
from mlops.project.target import Target
from mlops.registry.adapters import registry_of
from mlops.registry.archives import schema_file, unpacked
from mlops.registry.versions import champion, find
from mlops.store.local import LocalStore
from modelkit.signature import SCHEMA_FILE
from modelkit.violations import Limits, WindowDocument
from modelkit.windows import REPORT_FILE, WINDOW_FILE

WATERMARK = timedelta(seconds=2)
"""More recent records may not be in their file yet: servers flush every second."""

_MAX_AUC_LOSS = 0.05
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
        return self.folder / REPORT_FILE if self.folder and self.comparisons else None

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
        names = [name for name in Limits.__dataclass_fields__ if name != "max_auc_loss"]
        limits = {name: settings.number(f"monitoring.{name}") for name in names} | {"max_auc_loss": _MAX_AUC_LOSS}
        min_rows = settings.integer("monitoring.min_rows")
        start = since or self._last_end()
        end = until or datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
        time.sleep(max(0.0, (end + WATERMARK - datetime.now(UTC)).total_seconds()))
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=".comparing-") as temporary:
            request, results = Path(temporary) / "request", Path(temporary) / "window"
            self._prepare(request, start, end)
            comparisons = self._compare(request, results, limits, min_rows)
            rows = sum(comparison["rows"] for comparison in comparisons.values())
            too_small = not (since or until) and rows < min_rows
            window = Window(start, end, comparisons, min_rows, None if too_small else self.folder / f"{end:{_STAMP}}")
            if window.folder:
                with contextlib.suppress(FileNotFoundError):  # an earlier result for the same window is replaced
                    window.folder.replace(Path(temporary) / "before")
                results.replace(window.folder)
        return window

    def _last_end(self) -> datetime | None:
        ends = sorted(path.parent.name for path in self.folder.glob(f"*/{WINDOW_FILE}"))
        return datetime.strptime(ends[-1], _STAMP).replace(tzinfo=UTC) if ends else None

    def _prepare(self, folder: Path, start: datetime | None, end: datetime) -> None:
        """Write what the job needs: the window, and the baseline and schema of each version that may have traffic."""
        project, source = self.target.project, registry_of(self.target)
        versions = source.versions()
        used = champion(versions)
        document = {
            "start": timestamp(start) if start else None,
            "end": timestamp(end),
            "labels": None,
            "live": used.version if used else None,
            "project_name": project.answer("project_name"),
            "environment": self.target.environment,
        }
        write_json(folder / WINDOW_FILE, document)
        for captured in self._captured.glob("[0-9]*"):
            newest = max((path.stat().st_mtime for path in captured.rglob("*.jsonl")), default=0.0)
            if start and newest < start.timestamp():
                continue
            version = find(versions, int(captured.name))
            source.download_baseline(version, folder / captured.name)
            model = unpacked(source, version, project.state / "models")
            copy_file(schema_file(model, project.python(RUNTIME_ENVIRONMENT)), folder / captured.name / SCHEMA_FILE)

    @property
    def _captured(self) -> Path:
        root = capture.root(self.target.settings["bucket"], self.target.project.slug)
        return LocalStore.of(self.target).path(root)

    def _compare(
        self, request: Path, output: Path, limits: dict[str, float], min_rows: int
    ) -> dict[int, WindowDocument]:
        """Return the comparison of each version that served requests in the window."""
        project = self.target.project
        command = [
            *(str(project.python(RUNTIME_ENVIRONMENT)), "-m", "modelkit.jobs.compare", "--window", str(request)),
            *("--captured", str(self._captured), "--output", str(output), "--min-rows", str(min_rows)),
            *("--test-prefix", capture.SMOKE),
            *(f"--{name.replace('_', '-')}={limit}" for name, limit in limits.items()),
        ]
        environment = {**os.environ, "PYTHONPATH": str(project.root), "PYTHONDONTWRITEBYTECODE": "1"}
        result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if result.returncode:
            raise MlopsError(f"Cannot compare the traffic.\n{result.stderr.strip()[-2000:]}")
        found: dict[str, WindowDocument] = json.loads((output / WINDOW_FILE).read_text())["versions"]
        return {
            int(version): comparison
            for version, comparison in found.items()
            if comparison["rows"] or comparison["damaged"] or comparison["smoke"]
        }


def timestamp(moment: datetime) -> str:
    """Format a time like captured records: UTC, ISO 8601, to the second."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
