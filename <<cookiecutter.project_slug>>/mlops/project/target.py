"""This project in one environment: resolved once by the command line and passed down."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from mlops.base.environments import ENVIRONMENTS, IN_AWS, LOCAL, SHARED
from mlops.base.errors import UsageError
from mlops.project import stacks
from mlops.project.environment import Environment
from mlops.project.names import Names
from mlops.project.project import Project
from mlops.project.stacks import ACCOUNTS, ARTIFACTS, DEVELOPMENT, EXPERIMENTATION, Placed

if TYPE_CHECKING:
    from mlops.project.account import Account

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Target:
    """A project in one of its environments.

    Properties are resolved once, on first use.

    Attributes:
        project: The project.
        environment: The name of the environment: local, dev, staging or production.
        part: The account, where the environment is divided among several; None for the environment as its pipelines
            see it.
    """

    project: Project
    environment: str
    part: str | None = None

    def __post_init__(self) -> None:
        """Refuse a name that is none of an environment, before it is part of a path."""
        if not _NAME.fullmatch(self.environment):
            raise UsageError(f"There is no environment {self.environment!r}.")

    @cached_property
    def settings(self) -> Environment:
        """The configuration of the environment.

        Raises:
            MlopsError: There is no such environment, or its configuration is invalid.
        """
        return self.project.environment(self.environment, self.part)

    @cached_property
    def names(self) -> Names:
        """The names of the stacks' resources in the account of the environment.

        Raises:
            MlopsError: The configuration has no account.
        """
        return Names(self.project.slug, str(self.settings["project_id"]))

    @cached_property
    def account(self) -> "Account":
        """The AWS account of the environment.

        Raises:
            MlopsError: The environment is this machine, or its configuration lacks a value.
        """
        from mlops.project.account import Account  # boto3 takes 0.2 s, which local verbs do not need

        self.require_place()
        return Account.of(self.settings)

    def require_place(self) -> None:
        """Reject an environment with an account that is not configured yet, in whichever of its accounts it is asked.

        Raises:
            MlopsError: Keys are missing; the message lists all of them.
        """
        divided = self.part is not None or self.experiments
        (self.shared if divided else self).settings.require_place()

    @property
    def stacks(self) -> Sequence[Placed]:
        """The stacks that are deployed for the environment, account by account, in the order of deployment.

        Raises:
            MlopsError: It has no stacks.
        """
        return stacks.placed(self.project.root, self.environment, self.project.layout)

    @property
    def account_name(self) -> str:
        """The name of the account; see `stacks.ACCOUNTS`."""
        return self.part or stacks.account_of(self.project.layout, self.environment)

    @property
    def owns_account(self) -> bool:
        """Whether the account is its own, and has shared stacks that it alone deploys."""
        return self.environment in IN_AWS and self.account_name in (self.environment, self.part)

    def in_account(self, name: str) -> "Target":
        """Return the environment that an account belongs to, as it is there; this one if it is in that account."""
        if name not in IN_AWS:
            return self._other(SHARED, name)
        return self if name == self.account_name else self.at(name)

    @property
    def places(self) -> list["Target"]:
        """The environment in each of its accounts; itself if it has one."""
        if self.environment != SHARED:
            return [self]
        accounts = ACCOUNTS[self.project.layout]
        return [self.in_account(name) for name in dict.fromkeys(accounts[part] for part in DEVELOPMENT)]

    def holding(self, part: str) -> "Target":
        """Return the environment in the account of a part that this one uses; one that trains in one account has all.

        Args:
            part: One of `stacks.DEVELOPMENT`.
        """
        name = ACCOUNTS[self.project.layout][part]
        has_all = name == SHARED and not self.is_deployed_to
        return self if has_all or self.is_local else self.in_account(name)

    def own(self, part: str) -> "Target":
        """Return the environment in the account with what this one has itself of a part.

        Versions are deployed to accounts that have their own records and bucket; the others share those of a part.

        Args:
            part: One of `stacks.DEVELOPMENT`.
        """
        return self if self.is_deployed_to else self.holding(part)

    @property
    def registry(self) -> "Target":
        """The environment whose account has the registry and the images that this one uses."""
        return self.holding(ARTIFACTS)

    @property
    def is_local(self) -> bool:
        """Whether the environment is this machine."""
        return self.environment == LOCAL

    @property
    def is_deployed_to(self) -> bool:
        """Whether versions are deployed to the environment."""
        return self.environment in ENVIRONMENTS

    @property
    def experiments(self) -> bool:
        """Whether the environment is for runs in an account of their own, which register nothing."""
        return self.environment == EXPERIMENTATION and ACCOUNTS[self.project.layout][EXPERIMENTATION] != SHARED

    @cached_property
    def shared(self) -> "Target":
        """The environment with the shared resources."""
        return self.at(SHARED)

    def at(self, environment: str) -> "Target":
        """Return the same project in another environment."""
        return self._other(environment, None)

    def _other(self, environment: str, part: str | None) -> "Target":
        """Return another environment, made once: each reads its configuration and looks up its credentials."""
        if (environment, part) == (self.environment, self.part):
            return self
        return self._others.setdefault((environment, part), Target(self.project, environment, part))

    @cached_property
    def _others(self) -> "dict[tuple[str, str | None], Target]":
        return {}

    @property
    def model_package_group(self) -> str:
        """The name of the model package group that versions are registered in.

        Raises:
            MlopsError: Another project registers them, and the configuration does not name the group.
        """
        if not self.project.deploys_only:
            return self.project.slug
        return str(self.shared.settings["stacks.registry.model_package_group"])

    @property
    def registration(self) -> str:
        """The model package group as pipelines name it: its ARN, if it is in another account than theirs.

        Raises:
            MlopsError: As for `model_package_group`, or the configuration has no account for the registry.
        """
        group, registry = self.model_package_group, self.registry
        if registry.account_name == self.account_name:
            return group
        return f"arn:aws:sagemaker:{self.project.region}:{registry.settings['account']}:model-package-group/{group}"

    @cached_property
    def trainer(self) -> "Target":
        """The project on this machine whose versions are served here: this one, if it trains.

        Raises:
            MlopsError: Another project trains, and the configuration does not name its folder.
        """
        if not self.project.deploys_only:
            return self.at(LOCAL)
        settings = self.at(LOCAL).settings
        trainer = Project((self.project.root / str(settings["trained_in"])).resolve())
        if not (trainer.root / "project.yaml").is_file() or trainer.deploys_only:
            raise UsageError(
                f"{settings.path} sets `trained_in: {settings['trained_in']}`, but {trainer.root} does not train.",
                "Set the path of the project that trains, relative to this one: ../NAME.",
            )
        return Target(trainer, LOCAL)

    @property
    def capture_percentage(self) -> float:
        """The percentage of the requests to capture: 0 if monitoring is off.

        Raises:
            MlopsError: The configuration has no value, or it is not a percentage.
        """
        if not self.is_local or self.project.answer("monitoring") != "on":
            return 0
        return self.settings.number("capture.percentage")
