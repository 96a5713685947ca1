"""The stacks of a project: their order, and the accounts that they are deployed to.

Shared stacks belong to `dev` and serve all environments; the others are deployed once per environment. A stack is part
of a project if its template, `infra/<name>.yaml`, is.

A stack names the parts of a project that its resources belong to. The layout says which account each part is in: with
`single` all are in one, with `multi` staging and production have their own, with `organization` each part does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlops.base.environments import ENVIRONMENTS, IN_AWS, PRODUCTION, SHARED, STAGING
from mlops.base.errors import UsageError

SHADOW_MINUTES = "shadow_minutes"
"""How long a new version runs as a shadow of the live one; a setting of `deploy`, not of the template."""

DATA_LAKE, ARTIFACTS, OPERATIONS, CICD = "data-lake", "artifacts", "operations", "cicd"
EXPERIMENTATION = "experimentation"
DEVELOPMENT = (DATA_LAKE, ARTIFACTS, OPERATIONS, CICD, EXPERIMENTATION)
"""The parts that belong to `dev`: its data, its models and images, what trains, what builds and deploys, and data
scientists' own runs."""

PARTS = (*DEVELOPMENT, STAGING, PRODUCTION)

SINGLE, MULTI, ORGANIZATION = "single", "multi", "organization"

ACCOUNTS: Mapping[str, Mapping[str, str]] = {
    SINGLE: dict.fromkeys(PARTS, SHARED),
    MULTI: {**dict.fromkeys(DEVELOPMENT, SHARED), **{name: name for name in ENVIRONMENTS}},
    ORGANIZATION: {part: part for part in PARTS},
}
"""By layout, the account of each part, in the order of deployment. An account is named after the environment that it
belongs to, or after its only part."""


def account_of(layout: str, environment: str) -> str:
    """Return the account of an environment: for `dev`, that of the training pipeline.

    Environments that a project adds have their own.
    """
    part = OPERATIONS if environment == SHARED else environment
    return ACCOUNTS[layout][part] if environment in IN_AWS else environment


@dataclass(frozen=True)
class Stack:
    """A row of the table.

    Attributes:
        name: The name of its template, without the ending.
        parts: The parts that its resources belong to.
        beside: A part whose account has other stacks in its place.
        shared: Whether all environments of an account share it; otherwise each of `ENVIRONMENTS` has one.
        endpoint: Whether it serves requests.
    """

    name: str
    parts: tuple[str, ...]
    beside: str | None = None
    shared: bool = True
    endpoint: bool = False

    def accounts(self, layout: str) -> tuple[str, ...]:
        """Return the accounts that the stack is deployed to, in order."""
        of_layout = ACCOUNTS[layout]
        left_out = of_layout.get(self.beside or "")
        return tuple(dict.fromkeys(of_layout[part] for part in self.parts if of_layout[part] != left_out))

    def environments(self, layout: str) -> tuple[str, ...]:
        """Return the environments whose configuration has settings for it; those of shared stacks are in `dev` too."""
        if not self.shared:
            return ENVIRONMENTS
        return tuple(dict.fromkeys((SHARED, *(name for name in self.accounts(layout) if name in IN_AWS))))


@dataclass(frozen=True)
class Placed:
    """A stack in an account.

    Attributes:
        stack: The stack.
        account: The name of the account.
    """

    stack: Stack
    account: str


REGISTRY = Stack("registry", (ARTIFACTS,))
EXECUTION = Stack("execution", (OPERATIONS,))
NOTIFICATIONS = Stack("notifications", (DATA_LAKE, ARTIFACTS, CICD, *ENVIRONMENTS), beside=OPERATIONS)
MONITORING = Stack("monitoring", ENVIRONMENTS)
TABLE = (
    Stack("data", PARTS),
    REGISTRY,
    EXECUTION,
    NOTIFICATIONS,
    Stack("experiments", (EXPERIMENTATION,)),
    Stack("retraining", (OPERATIONS,)),
    Stack("workload", ENVIRONMENTS),
    MONITORING,
    Stack("cicd", (CICD,)),
    Stack("image", (CICD,)),
    Stack("build", (CICD,)),
    Stack("promotion", (CICD,)),
    Stack("builds", (OPERATIONS,)),
    Stack("release", ENVIRONMENTS),
    Stack("approvals", (ARTIFACTS,)),
    Stack("arrivals", (DATA_LAKE,)),
    Stack("events", ENVIRONMENTS),
    Stack("people", PARTS),
    Stack("endpoint", ENVIRONMENTS, shared=False, endpoint=True),
    Stack("transform", ENVIRONMENTS, shared=False),
    Stack("api", ENVIRONMENTS, shared=False),
    Stack("observability", ENVIRONMENTS, shared=False),
)
"""All stacks in the order of deployment: each uses outputs of preceding ones of its account. They are deleted in
reverse."""

WITH_TOPIC = (EXECUTION, NOTIFICATIONS)
"""The stacks with the topic of notifications; an account has at most one of them."""


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
    found = present(root, environment)
    all_accounts = dict.fromkeys(ACCOUNTS[layout].values())
    accounts = all_accounts if environment == SHARED else [account_of(layout, environment)]
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
