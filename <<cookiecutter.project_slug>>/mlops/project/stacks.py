"""The stacks of a project: their order, and the accounts that they are deployed to.

Shared stacks belong to `dev` and serve all environments; the others are deployed once per environment. A stack is part
of a project if its template, `infra/<name>.yaml`, is.

With the layout `single` everything is in one account. With `multi` each environment has its own: what trains,
registers and builds is in that of `dev`, what serves and is monitored in those of staging and production.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlops.base.environments import ENVIRONMENTS, IN_AWS, SHARED
from mlops.base.errors import UsageError

SHADOW_MINUTES = "shadow_minutes"
"""How long a new version runs as a shadow of the live one; a setting of `deploy`, not of the template."""

SINGLE, MULTI = "single", "multi"

ACCOUNTS: Mapping[str, Mapping[str, str]] = {
    SINGLE: dict.fromkeys(IN_AWS, SHARED),
    MULTI: {name: name for name in IN_AWS},
}
"""By layout, for each environment, the one that its account is named after; several may have the same account."""


@dataclass(frozen=True)
class Stack:
    """A row of the table.

    Attributes:
        name: The name of its template, without the ending.
        multi: The accounts of a shared stack with the layout `multi`; with `single` it is that of `dev`.
        shared: Whether all environments of an account share it; otherwise each of `ENVIRONMENTS` has one.
        endpoint: Whether it serves requests.
    """

    name: str
    multi: tuple[str, ...] = (SHARED,)
    shared: bool = True
    endpoint: bool = False

    def accounts(self, layout: str) -> tuple[str, ...]:
        """Return the accounts that the stack is deployed to, in order."""
        of_layout = ACCOUNTS[layout]
        if self.shared:
            return self.multi if layout == MULTI else (of_layout[SHARED],)
        return tuple(dict.fromkeys(of_layout[name] for name in ENVIRONMENTS))

    def environments(self, layout: str) -> tuple[str, ...]:
        """Return the environments whose configuration has settings for it; those of shared stacks are in `dev` too."""
        return tuple(dict.fromkeys((SHARED, *self.accounts(layout)))) if self.shared else ENVIRONMENTS


@dataclass(frozen=True)
class Placed:
    """A stack in an account.

    Attributes:
        stack: The stack.
        account: The environment that the account is named after.
    """

    stack: Stack
    account: str


REGISTRY = Stack("registry")
MONITORING = Stack("monitoring", multi=ENVIRONMENTS)
TABLE = (
    Stack("data", multi=IN_AWS),
    REGISTRY,
    Stack("execution"),
    Stack("notifications", multi=ENVIRONMENTS),
    Stack("retraining"),
    Stack("workload", multi=ENVIRONMENTS),
    MONITORING,
    Stack("cicd"),
    Stack("image"),
    Stack("build"),
    Stack("promotion"),
    Stack("release", multi=ENVIRONMENTS),
    Stack("events", multi=ENVIRONMENTS),
    Stack("people", multi=IN_AWS),
    Stack("endpoint", shared=False, endpoint=True),
    Stack("transform", shared=False),
    Stack("api", shared=False),
    Stack("observability", shared=False),
)
"""All stacks in the order of deployment: each uses outputs of preceding ones of its account. They are deleted in
reverse."""


def present(root: Path, environment: str) -> list[Stack]:
    """Return the stacks of a project that are deployed for an environment, in the order of deployment.

    Raises:
        MlopsError: Nothing is deployed for this environment.
    """
    found = _present(root, environment)
    if not found:
        known = ", ".join(name for name in IN_AWS if _present(root, name))
        raise UsageError(f"This project has no stacks in {environment!r}.", f"Environments with stacks: {known}.")
    return found


def placed(root: Path, environment: str, layout: str) -> list[Placed]:
    """Return the stacks that are deployed for an environment, account by account, in the order of deployment.

    Raises:
        MlopsError: Nothing is deployed for this environment.
    """
    found, of_layout = present(root, environment), ACCOUNTS[layout]
    accounts = dict.fromkeys(of_layout.values()) if environment == SHARED else [of_layout[environment]]
    return [Placed(stack, account) for account in accounts for stack in found if account in stack.accounts(layout)]


def _present(root: Path, environment: str) -> list[Stack]:
    return [
        stack
        for stack in TABLE
        if environment in ((SHARED,) if stack.shared else ENVIRONMENTS) and template_file(root, stack).is_file()
    ]


def selected(found: Sequence[Placed], names: Sequence[str], account: str | None = None) -> list[Placed]:
    """Return the stacks with some names, or all without a name.

    Args:
        found: The stacks to select from.
        names: The names.
        account: The account to select in; None for all.

    Raises:
        MlopsError: There is no stack with one of the names, or none in the account.
    """
    in_account = [one for one in found if account in (None, one.account)]
    if not in_account:
        known = ", ".join(dict.fromkeys(one.account for one in found))
        raise UsageError(f"There are no stacks in an account {account!r} here.", f"Accounts: {known}.")
    for name in names:
        if name not in (one.stack.name for one in in_account):
            known = ", ".join(dict.fromkeys(one.stack.name for one in in_account))
            raise UsageError(f"There is no stack {name!r} here.", f"Stacks: {known}.")
    return [one for one in in_account if not names or one.stack.name in names]


def template_file(root: Path, stack: Stack) -> Path:
    """Return the path of the template of a stack."""
    return root / "infra" / f"{stack.name}.yaml"
