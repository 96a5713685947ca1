"""Progress of a run while it executes: a live table on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mlops.base.terminal import clean, terminal
from mlops.run.runner import Listener
from mlops.run.state import EXECUTING, FAILED, NOT_STARTED, SKIPPED, STOPPED, SUCCEEDED, RunState, StepState

if TYPE_CHECKING:
    from rich.table import Table

_STYLES = {SUCCEEDED: "green", FAILED: "bold red", STOPPED: "yellow", EXECUTING: "cyan", SKIPPED: "dim"}
_REFRESHES_PER_SECOND = 8


def details(step: StepState) -> str:
    """Describe a step in one line: the comparisons of a gate, a cache hit, the registered version.

    The reason of a failure is printed once, at the end of the run.
    """
    if "ModelPackageVersion" in step.properties:
        approval = step.properties.get("ModelApprovalStatus", "")
        return f"version {step.properties['ModelPackageVersion']}, {approval}"
    if step.figures:
        return "; ".join(step.figures)
    notes = ["cached"] if step.cached else []
    if step.attempts > 1:
        notes.append(f"{step.attempts} attempts")
    metrics = step.properties.get("FinalMetricDataList", [])
    return "; ".join([*notes, *(f"{metric['MetricName']} {metric['Value']:.4g}" for metric in metrics)])


def plain(state: RunState, name: str) -> None:
    """Print one line on standard error when a step ends."""
    step = state.steps[name]
    if step.status not in (EXECUTING, NOT_STARTED):
        seconds = f"{step.seconds:6.1f} s" if step.status != SKIPPED else " " * 8
        print(f"{name:<18} {step.status:<10} {seconds}  {details(step)}".rstrip(), file=sys.stderr, flush=True)


@contextmanager
def listener() -> Iterator[Listener]:
    """Provide the listener that suits standard error, for the duration of a `with` block."""
    if not sys.stderr.isatty():
        yield plain
        return
    with _live() as update:
        yield lambda state, _: update(state)


@contextmanager
def _live() -> Iterator[Callable[[RunState], None]]:
    from rich.console import Console  # imported here, because only a terminal needs it
    from rich.live import Live

    seen: list[RunState] = []
    started: dict[str, float] = {}

    def render() -> "Table":
        return _table(seen[0] if seen else None, started)

    console = Console(file=terminal())
    with Live(get_renderable=render, console=console, refresh_per_second=_REFRESHES_PER_SECOND) as live:

        def update(state: RunState) -> None:
            seen[:] = [state]
            for name, step in state.steps.items():
                if step.status == EXECUTING:
                    started.setdefault(name, time.monotonic())
            live.refresh()

        yield update


def _table(state: RunState | None, started: dict[str, float]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for heading, justify in (("Step", "left"), ("Status", "left"), ("Seconds", "right"), ("", "left")):
        table.add_column(heading, justify="right" if justify == "right" else "left")
    for name, step in state.steps.items() if state else ():
        running = step.status == EXECUTING
        seconds = time.monotonic() - started.get(name, time.monotonic()) if running else step.seconds
        shown = f"{seconds:.1f}" if step.status not in (NOT_STARTED, SKIPPED) else ""
        status = "" if step.status == NOT_STARTED else step.status
        table.add_row(Text(name), Text(status, style=_STYLES.get(step.status, "")), shown, Text(clean(details(step))))
    return table
