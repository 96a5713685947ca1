"""The project on this machine: its machinery and its environments."""

from collections.abc import Iterator
from pathlib import Path

from mlops.base.errors import UsageError
from mlops.deployment.checks.check import Subject
from mlops.deployment.checks.finding import Finding, Level
from mlops.project import machinery
from mlops.project.project import DEVELOPMENT_ENVIRONMENT, RUNTIME_ENVIRONMENT

_LISTED = 3
_COMPLETE = ".complete"
"""The file that `make setup` writes last into an environment."""

_LOCKS = {".tools": "setup", RUNTIME_ENVIRONMENT: "runtime", DEVELOPMENT_ENVIRONMENT: "dev"}
"""The environments, each with its lock."""


def unchanged(subject: Subject) -> Iterator[Finding]:
    """Yield a finding if the machinery differs from the release."""
    cost = "An upgrade overwrites the changes, and the template was not tested with them."
    try:
        differences = machinery.compare(subject.target.project)
    except UsageError as error:
        yield Finding.of(error, Level.WARNING, "Changes of the machinery cannot be detected.")
        return
    if differences:
        names = [*differences.changed, *differences.missing, *differences.added]
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        yield Finding(
            Level.WARNING,
            what=f"The machinery differs from the release: {', '.join(names[:_LISTED])}{more}.",
            cost=cost,
            remedy=" && ".join(differences.commands.values()),
        )


def set_up(subject: Subject) -> Iterator[Finding]:
    """Yield the environments that are missing or incomplete, and those that are older than their lock."""
    root = subject.target.project.root
    complete = [name for name in _LOCKS if (root / name / _COMPLETE).exists()]
    old = [name for name in complete if _is_older(root / name / _COMPLETE, root / f"locks/{_LOCKS[name]}.txt")]
    if missing := [name for name in _LOCKS if name not in complete]:
        yield Finding(
            Level.WARNING,
            what=f"Missing or incomplete: {', '.join(missing)}.",
            cost="`run`, `upsert`, `make test` and `make lint` need them.",
            remedy="make setup",
        )
    if old:
        yield Finding(
            Level.WARNING,
            what=f"Older than the locked versions in locks/: {', '.join(old)}.",
            cost="Programs here may run with other package versions than the jobs in AWS.",
            remedy="make setup",
        )


def _is_older(marker: Path, lock: Path) -> bool:
    return lock.exists() and marker.stat().st_mtime < lock.stat().st_mtime
