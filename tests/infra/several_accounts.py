"""A project with an account for each environment: deployed by its own verb, and what its roles may do there."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from mlops.deployment.deploy import Deployment, DeployRequest
from mlops.project.names import Names, project_id
from mlops.project.project import Project
from mlops.project.target import Target
from standin import policies
from standin.account import ACCOUNT, REGION, Cloud, StandInAccount
from standin.attached import resource_policies
from standin.deploy import outputs
from standin.iam import RolePolicies, role_policies
from standin.needs import Need
from tests.infra.rendered import SLUG, configured

ACCOUNTS = {"dev": ACCOUNT, "staging": "222222222222", "production": "333333333333"}
ADMINISTRATOR = "OrganizationAccountAccessRole"
"""The role by which who administers the development account enters the others."""
AWS_IMAGES = "141502667606"
PEOPLE = ("data_scientists", "ml_engineers", "approvers", "operators", "auditors")


def filled_in(rendered: Path, folder: Path) -> Path:
    """A copy of a project of which is filled in what is asked for."""
    given = {"account": ACCOUNTS["dev"]}
    if re.search("^ *repository: null$", (rendered / "config/dev.yaml").read_text(), re.M):
        given["repository"] = f"organization/{SLUG}"
    people = {name: f"arn:aws:iam::*:role/{name}" for name in PEOPLE}
    project = configured(rendered, folder, **given, **people)
    for name in ("staging", "production"):
        path = project / f"config/{name}.yaml"
        text = path.read_text().replace("account: null", f'account: "{ACCOUNTS[name]}"', 1)
        path.write_text(text.replace("assume_role: null", f"assume_role: {ADMINISTRATOR}", 1))
    return project


def opened(cloud: Cloud) -> dict[str, StandInAccount]:
    """The three accounts, which have been used for long; who administers dev may enter the others."""
    found = {name: cloud.account(number) for name, number in ACCOUNTS.items()}
    dev = f"arn:aws:iam::{ACCOUNTS['dev']}"
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": f"{dev}:root"},
        "Action": "sts:AssumeRole",
        "Condition": {"ArnLike": {"aws:PrincipalArn": f"{dev}:user/administrator"}},
    }
    trust = {"Version": "2012-10-17", "Statement": [statement]}
    for name, account in found.items():
        account.grow()
        if name != "dev":
            account.client("iam").create_role(RoleName=ADMINISTRATOR, AssumeRolePolicyDocument=json.dumps(trust))
    return found


@dataclass(frozen=True)
class Part:
    """What a project has in one account.

    Attributes:
        account: The account.
        values: The outputs of its stacks there.
    """

    account: StandInAccount
    values: Mapping[str, str]

    @property
    def names(self) -> Names:
        """The names of its resources there."""
        return Names(SLUG, project_id(self.account.id, REGION, SLUG))

    def role(self, suffix: str) -> str:
        """The ARN of one of its roles."""
        return f"arn:aws:iam::{self.account.id}:role/{self.names.of(suffix)}"

    def policies(self, suffix: str) -> RolePolicies:
        """The policies of one of its roles."""
        return role_policies(self.account.client("iam"), self.role(suffix))

    def roles(self) -> Iterator[str]:
        """The ARNs of its roles."""
        for page in self.account.client("iam").get_paginator("list_roles").paginate():
            yield from (role["Arn"] for role in page["Roles"] if SLUG in role["RoleName"])

    def judged(self, suffix: str, wanted: list[Need]) -> list[str]:
        """What a role lacks and what it has too much, by its own policies and by those of the resources."""
        role, own = self.role(suffix), (SLUG, self.names.id, self.account.id)
        resources = resource_policies(public=frozenset({AWS_IMAGES}))
        return list(map(str, policies.findings(role, self.policies(suffix), wanted, own, resources)))


def deployed(cloud: Cloud, project: Path, patch: pytest.MonkeyPatch, answers: Mapping[str, str]) -> dict[str, Part]:
    """Deploy what the environments share, by the project's own verb; a second time by going back to it."""
    accounts = {name: cloud.account(number) for name, number in ACCOUNTS.items()}
    accounts["dev"].enter(patch)

    def deploy() -> None:
        opened(cloud)
        Deployment(Target(Project(project), "dev"), DeployRequest(), lambda _: None, lambda _: None).run()

    cloud.once(("several accounts", frozenset(answers.items())), deploy)
    parts = {}
    for name, account in accounts.items():
        stacks = account.client("cloudformation").describe_stacks()["Stacks"]
        values = {key: value for stack in stacks for key, value in outputs(account, stack["StackName"]).items()}
        parts[name] = Part(account, values)
    return parts
