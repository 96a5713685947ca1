"""An environment of a small project, to examine with one check at a time."""

import json
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from mlops.deployment.checks.check import Subject
from mlops.deployment.checks.finding import Finding
from mlops.deployment.cloudformation import StackService
from mlops.project.project import Project
from mlops.project.target import Target
from standin.scripted import Clock, Refusal, Script
from tests.machinery.deployment.small_project import ACCOUNT, NAMES, small_project

TODAY = date(2026, 11, 26)


def subject(
    root: Path, patch: pytest.MonkeyPatch, environment: str = "dev", *, stacks: dict[str, str] | None = None, **dev: Any
) -> Subject:
    """The environment of a small project that was written before, or is now.

    Args:
        root: The project's folder.
        patch: Lets the stacks be found.
        environment: The environment.
        stacks: Statuses of stacks that are there, by the name of their template.
        dev: Settings of `dev` besides the account.
    """
    if not (root / "project.yaml").is_file():
        small_project(root)
    (root / "config/dev.yaml").write_text(json.dumps({"account": ACCOUNT, **dev}))
    target = Target(Project(root), environment)
    found = {NAMES.stack(name, environment): status for name, status in (stacks or {}).items()}
    described = {name: {"StackName": name, "StackStatus": status, "Outputs": []} for name, status in found.items()}
    patch.setattr(StackService, "describe", lambda _, name: described.get(name))
    chosen = {environment: [one.stack.name for one in target.stacks]}
    return Subject(target, chosen, TODAY)


def answers(of: Subject, client: str, service: str, **said: dict[str, Any] | Refusal) -> None:
    """Let a client of the account answer so."""
    script = Script(Clock(), {operation: [(0.0, answer)] for operation, answer in said.items()})
    of.target.account.__dict__[client] = script.client(service)


def found(check: Callable[[Subject], Iterable[Finding]], of: Subject) -> list[tuple[str, str, str]]:
    """What a check finds: how serious it is, what, and the remedy."""
    return [(finding.level.value, finding.what, finding.remedy) for finding in check(of)]
