"""A project each of whose parts has an account of its own: rendered, and deployed by its own verb."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from mlops.deployment.deploy import Deployment, DeployRequest
from mlops.project.project import Project
from mlops.project.target import Target
from standin.account import ACCOUNT, Cloud, StandInAccount
from tests.infra import several_accounts
from tests.infra.rendered import SLUG, configured
from tests.infra.several_accounts import ADMINISTRATOR, PEOPLE, Part

ACCOUNTS = {
    "data-lake": "555555555555",
    "artifacts": "666666666666",
    "operations": ACCOUNT,
    "cicd": "777777777777",
    "experimentation": "888888888888",
    "staging": "222222222222",
    "production": "333333333333",
}
LAYOUT = "organization"


def filled_in(rendered: Path, folder: Path) -> Path:
    """A copy of a project of which is filled in what is asked for."""
    people = {name: f"arn:aws:iam::*:role/{name}" for name in PEOPLE}
    asks = re.search("^ *repository: null$", (rendered / "config/dev.yaml").read_text(encoding="utf-8"), re.MULTILINE)
    repository = {"repository": f"organization/{SLUG}"} if asks else {}
    project = configured(rendered, folder, **repository, **people)
    for name in ("dev", "staging", "production"):
        path = project / f"config/{name}.yaml"
        lines = path.read_text(encoding="utf-8").splitlines()
        part = "operations" if name == "dev" else name
        for number, line in enumerate(lines):
            key = line.strip().rstrip(":")
            part = key if key in ACCOUNTS and line.startswith("  ") else part
            lines[number] = line.replace("account: null", f'account: "{ACCOUNTS[part]}"').replace(
                "assume_role: null", f"assume_role: {ADMINISTRATOR}"
            )
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return project


def opened(cloud: Cloud) -> dict[str, StandInAccount]:
    """The accounts, which have been used for long; who administers that of operations may enter the others."""
    return several_accounts.opened(cloud, ACCOUNTS, "operations")


def deployed(cloud: Cloud, project: Path, patch: pytest.MonkeyPatch, answers: Mapping[str, str]) -> dict[str, Part]:
    """Deploy what the environments share, by the project's own verb; a second time by going back to it."""
    accounts = {name: cloud.account(number) for name, number in ACCOUNTS.items()}
    accounts["operations"].enter(patch)

    def deploy() -> None:
        opened(cloud)
        Deployment(Target(Project(project), "dev"), DeployRequest(), lambda _: None, lambda _: None).run()

    cloud.once((LAYOUT, frozenset(answers.items())), deploy)
    return {name: Part.of(account, SLUG) for name, account in accounts.items()}
