"""A check, and the environment that it examines."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import Enum, auto
from functools import cached_property
from typing import Any

from mlops.base.environments import SHARED
from mlops.base.errors import MlopsError, UsageError
from mlops.deployment.checks.finding import Finding, Level
from mlops.deployment.cloudformation import StackService
from mlops.project.environment import Environment
from mlops.project.target import Target


@dataclass(frozen=True)
class Subject:
    """The environment that is examined.

    Attributes:
        target: The environment.
        chosen: By environment of its account, the names of the stacks to deploy; findings of others are advice.
        today: The date.
        stacks: The stacks that were looked up, by account, Region and name; None for those that do not exist.
    """

    target: Target
    chosen: Mapping[str, Collection[str]]
    today: date
    stacks: dict[tuple[str, str, str], dict[str, Any] | None] = field(default_factory=dict)

    @cached_property
    def service(self) -> StackService:
        """The stacks of its account."""
        return StackService(self.target.account, self.target.project.slug, lambda _: None)

    @property
    def shared(self) -> Environment:
        """The configuration of the stacks that all environments share."""
        return self.target.shared.settings

    @property
    def is_shared(self) -> bool:
        """Whether it is the environment of those stacks."""
        return self.target.environment == SHARED

    @property
    def own_environments(self) -> list[str]:
        """The environments whose chosen stacks are its own: with an account of its own, the shared ones there, too."""
        own = dict.fromkeys([*([SHARED] if self.target.owns_account else []), self.target.environment])
        return [name for name in own if name in self.chosen]

    def stack(self, name: str, environment: str) -> dict[str, Any] | None:
        """Return CloudFormation's description of a stack, looked up once; None if it does not exist.

        Raises:
            MlopsError: The call fails.
        """
        account, full = self.target.account, self.target.names.stack(name, environment)
        key = (account.id, account.region, full)
        if key not in self.stacks:
            self.stacks[key] = self.service.describe(full)
        return self.stacks[key]

    def output(self, stack: str, name: str) -> str:
        """Return an output of a shared stack; empty if there is none.

        Raises:
            MlopsError: The call fails.
        """
        outputs = (self.stack(stack, SHARED) or {}).get("Outputs", [])
        return next((str(one["OutputValue"]) for one in outputs if one["OutputKey"] == name), "")


class Scope(Enum):
    """How often `doctor` makes a check."""

    PROJECT = auto()
    """Once, without AWS."""

    SETTINGS = auto()
    """Once per environment, without AWS."""

    ACCOUNT = auto()
    """Once per account."""

    ENVIRONMENT = auto()
    """Once per environment."""


@dataclass(frozen=True)
class Check:
    """A check.

    Attributes:
        id: Its name in JSON.
        subject: What it examines, to complete "Not checked: ...".
        cost: The consequence if it cannot be made.
        scope: How often `doctor` makes it.
        find: Yields what is missing. Raises a UsageError if the configuration cannot be used, another MlopsError if
            AWS cannot be asked.
    """

    id: str
    subject: str
    cost: str
    scope: Scope
    find: Callable[[Subject], Iterable[Finding]]

    def run(self, subject: Subject) -> Iterator[Finding]:
        """Yield what is missing, and whether something could not be looked up.

        Raises:
            UsageError: The configuration cannot be used.
        """
        try:
            yield from self.find(subject)
        except UsageError:
            raise
        except MlopsError as error:
            yield Finding.of(error, Level.NOT_CHECKED, self.cost)
