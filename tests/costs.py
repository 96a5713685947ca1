"""What tests cost: which worker takes which, and a table of the time they took."""

from collections import defaultdict
from pathlib import Path

import pytest

_MOST_EXPENSIVE_FIRST = (
    "journeys/test_project_commands.py",
    "journeys",
    "infra/test_build_pipeline.py",
    "infra",
    "machinery/serving/test_server.py",
    "machinery/endpoints",
    "machinery/monitoring",
    "upgrade",
    "standin",
    "render",
    "machinery/run",
    "machinery",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--costs", action="store_true", help="show the time that tests took, by file and by folder")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file on one worker, which makes what they share once, and begin with what takes long."""
    for item in items:
        if not {"xdist_group", "alone"} & {mark.name for mark in item.iter_markers()}:
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    """How early a test is begun; what is not known to take long is begun last."""
    starts = [item.nodeid.startswith(f"tests/{place}") for place in _MOST_EXPENSIVE_FIRST]
    return starts.index(True) if True in starts else len(starts)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Keep groups together: xdist 3.8 names them where pytest 9.2 does not look.

    https://github.com/pytest-dev/pytest-xdist/issues/1386
    """
    for item in session.items:
        named = getattr(item, "_nodeid", item.nodeid)
        if named != item.nodeid:
            item._id = type(item.id).parse(named)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what each file and each folder took, set-up included, the longest first."""
    if not config.getoption("--costs"):
        return
    files: dict[Path, float] = defaultdict(float)
    tests: dict[Path, set[str]] = defaultdict(set)
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                file = Path(report.nodeid.partition("::")[0])
                for place in (file, *list(file.parents)[:-1]):
                    files[place] += report.duration
                    tests[place].add(report.nodeid)
    for title, is_folder in (("folder", True), ("file", False)):
        terminalreporter.section(f"time by {title}")
        for place, seconds in sorted(files.items(), key=lambda each: -each[1]):
            if (place.suffix == "") == is_folder:
                terminalreporter.write_line(f"{seconds:8.1f} s {len(tests[place]):6} tests  {place}")
