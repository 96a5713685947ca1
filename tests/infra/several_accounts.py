"""A project with an account for each environment, or one that trains and one that deploys: deployed by their own verb,
and what their roles may do there."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
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
from tests.projects import Bake

ACCOUNTS = {"dev": ACCOUNT, "staging": "222222222222", "production": "333333333333"}
ADMINISTRATOR = "OrganizationAccountAccessRole"
"""The role by which who administers the development account enters the others."""
AWS_IMAGES = "141502667606"
TRAINER = "trainer"
"""The project that trains for one that only deploys."""
PEOPLE = ("data_scientists", "ml_engineers", "approvers", "operators", "auditors")


def filled_in(rendered: Path, folder: Path, registry: Mapping[str, str] | None = None) -> Path:
    """A copy of a project of which is filled in what is asked for.

    Args:
        rendered: The project.
        folder: Where the copy is put.
        registry: The outputs of the project that trains, for one that only deploys.
    """
    given = {
        "account": ACCOUNTS["dev"],
        "repository": f"organization/{rendered.name}",
        "project": SLUG,
        **{name: ACCOUNTS[name] for name in ("staging", "production")},
        **{name: f"arn:aws:iam::*:role/{name}" for name in PEOPLE},
        **{key: (registry or {}).get(output, "") for key, output in REGISTRY.items()},
    }
    asked = re.findall(r"^ *(\w+): null$", (rendered / "config/dev.yaml").read_text(), re.M)
    project = configured(rendered, folder, **{key: given[key] for key in asked if given.get(key)})
    for name in ("staging", "production"):
        path = project / f"config/{name}.yaml"
        with suppress(FileNotFoundError):  # a project that only trains has none
            text = path.read_text().replace("account: null", f'account: "{ACCOUNTS[name]}"', 1)
            path.write_text(text.replace("assume_role: null", f"assume_role: {ADMINISTRATOR}", 1))
    return project


REGISTRY = {
    "model_package_group": "ModelPackageGroup",
    "model_bucket": "ModelBucket",
    "model_key_arn": "ModelKeyArn",
    "baseline_bucket": "DataBucket",
    "baseline_key_arn": "DataKeyArn",
    "image_repository": "ImageRepository",
}
"""The settings of a project that only deploys, with the outputs of the one that trains that they are copied from."""


def opened(cloud: Cloud, numbers: Mapping[str, str] = ACCOUNTS, home: str = "dev") -> dict[str, StandInAccount]:
    """Accounts, which have been used for long; who administers one of them may enter the others."""
    found = {name: cloud.account(number) for name, number in numbers.items()}
    own = f"arn:aws:iam::{numbers[home]}"
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": f"{own}:root"},
        "Action": "sts:AssumeRole",
        "Condition": {"ArnLike": {"aws:PrincipalArn": f"{own}:user/administrator"}},
    }
    trust = {"Version": "2012-10-17", "Statement": [statement]}
    for name, account in found.items():
        account.grow()
        if name != home:
            account.client("iam").create_role(RoleName=ADMINISTRATOR, AssumeRolePolicyDocument=json.dumps(trust))
    return found


@dataclass(frozen=True)
class Part:
    """What a project has in one account.

    Attributes:
        account: The account.
        values: The outputs of its stacks there.
        slug: Its short name.
    """

    account: StandInAccount
    values: Mapping[str, str]
    slug: str = SLUG

    @classmethod
    def of(cls, account: StandInAccount, slug: str) -> "Part":
        """What a project has in an account now."""
        stacks = [one["StackName"] for one in account.client("cloudformation").describe_stacks()["Stacks"]]
        own = [outputs(account, name) for name in stacks if name.startswith(f"{slug}-")]
        return cls(account, {key: value for values in own for key, value in values.items()}, slug)

    @property
    def names(self) -> Names:
        """The names of its resources there."""
        return Names(self.slug, project_id(self.account.id, REGION, self.slug))

    def role(self, suffix: str) -> str:
        """The ARN of one of its roles."""
        return f"arn:aws:iam::{self.account.id}:role/{self.names.of(suffix)}"

    def policies(self, suffix: str) -> RolePolicies:
        """The policies of one of its roles."""
        return role_policies(self.account.client("iam"), self.role(suffix))

    def roles(self) -> Iterator[str]:
        """The ARNs of its roles."""
        for page in self.account.client("iam").get_paginator("list_roles").paginate():
            yield from (role["Arn"] for role in page["Roles"] if f"-{self.slug}-" in role["RoleName"])

    def judged(self, suffix: str, wanted: list[Need]) -> list[str]:
        """What a role lacks and what it has too much, by its own policies and by those of the resources."""
        role, own = self.role(suffix), (self.slug, self.names.id, self.account.id)
        resources = resource_policies(public=frozenset({AWS_IMAGES}))
        return list(map(str, policies.findings(role, self.policies(suffix), wanted, own, resources)))


@dataclass(frozen=True)
class Installed:
    """A project in its three accounts.

    Attributes:
        project: Its folder.
        parts: What it has in each account, by the environment that the account is named after.
        trainer: What the project that trains its models has in the development account: its own part, or another's.
    """

    project: Path
    parts: Mapping[str, Part]
    trainer: Part


def deployed(
    cloud: Cloud, rendering: Bake, folder: Path, patch: pytest.MonkeyPatch, answers: Mapping[str, str]
) -> Installed:
    """Deploy what the environments share, by the project's own verb; a second time by going back to it.

    For a project that only deploys, the one that trains is deployed before.
    """
    accounts = {name: cloud.account(number) for name, number in ACCOUNTS.items()}
    accounts["dev"].enter(patch)
    registers = answers.get("project_scope") != "deploy"

    def deploy() -> Mapping[str, str]:
        opened(cloud)
        if registers:
            registry = {}
        else:
            _deploy(training(rendering, folder / "trains", answers))
            registry = dict(Part.of(accounts["dev"], TRAINER).values)
        _deploy(filled_in(rendering(project_slug=SLUG, **answers), folder / "deploys", registry))
        return registry

    registry = cloud.once(("several accounts", frozenset(answers.items())), deploy)
    project = filled_in(rendering(project_slug=SLUG, **answers), folder, registry)
    parts = {name: Part.of(account, SLUG) for name, account in accounts.items()}
    return Installed(project, parts, parts["dev"] if registers else Part.of(accounts["dev"], TRAINER))


def training(rendering: Bake, folder: Path, answers: Mapping[str, str]) -> Path:
    """The project that trains for one that only deploys, filled in."""
    scope = {"project_slug": TRAINER, "project_scope": "build-train", "account_layout": "multi"}
    return filled_in(rendering(**{**answers, **scope}), folder)


def _deploy(project: Path) -> None:
    Deployment(Target(Project(project), "dev"), DeployRequest(), lambda _: None, lambda _: None).run()
