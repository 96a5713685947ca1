"""The stacks of a project: their order, and where they are deployed.

Shared stacks belong to `dev` and serve all environments; the others are deployed once per environment. A stack is part
of a project if its template, `infra/<name>.yaml`, is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlops.base.environments import ENVIRONMENTS, IN_AWS, SHARED
from mlops.base.errors import UsageError

SHADOW_MINUTES = "shadow_minutes"
"""How long a new version runs as a shadow of the live one; a setting of `deploy`, not of the template."""


@dataclass(frozen=True)
class Stack:
    """A row of the table.

    Attributes:
        name: The name of its template, without the ending.
        shared: Whether all environments share it; otherwise each of `ENVIRONMENTS` has one.
        endpoint: Whether it serves requests.
    """

    name: str
    shared: bool = True
    endpoint: bool = False


REGISTRY = Stack("registry")
TABLE = (
    Stack("data"),
    REGISTRY,
    Stack("execution"),
    Stack("retraining"),
    Stack("workload"),
    Stack("monitoring"),
    Stack("cicd"),
    Stack("image"),
    Stack("build"),
    Stack("promotion"),
    Stack("people"),
    Stack("endpoint", shared=False, endpoint=True),
    Stack("transform", shared=False),
    Stack("api", shared=False),
    Stack("observability", shared=False),
)
"""All stacks in the order of deployment: each uses outputs of preceding ones. They are deleted in reverse."""


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


def _present(root: Path, environment: str) -> list[Stack]:
    return [
        stack
        for stack in TABLE
        if environment in ((SHARED,) if stack.shared else ENVIRONMENTS) and template_file(root, stack).is_file()
    ]


def selected(stacks: Sequence[Stack], names: Sequence[str]) -> list[Stack]:
    """Return the named stacks, or all stacks without a name.

    Raises:
        MlopsError: There is no stack with one of the names.
    """
    for name in names:
        if name not in (stack.name for stack in stacks):
            known = ", ".join(stack.name for stack in stacks)
            raise UsageError(f"There is no stack {name!r} here.", f"Stacks: {known}.")
    return [stack for stack in stacks if not names or stack.name in names]


def template_file(root: Path, stack: Stack) -> Path:
    """Return the path of the template of a stack."""
    return root / "infra" / f"{stack.name}.yaml"
