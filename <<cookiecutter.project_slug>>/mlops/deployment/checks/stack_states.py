"""The CloudFormation stacks: which do not exist yet, and which need attention."""

from collections.abc import Iterator

from mlops.base.commands import MLOPS
from mlops.deployment.checks.check import Subject
from mlops.deployment.checks.finding import Finding, Level
from mlops.deployment.cloudformation import NEVER_COMPLETED, NEW, STUCK

_ROLLED_BACK = ("UPDATE_ROLLBACK_COMPLETE", "IMPORT_ROLLBACK_COMPLETE")


def settled(subject: Subject) -> Iterator[Finding]:
    """Yield the stacks that are not deployed yet, and those whose last operation failed or is in progress.

    Raises:
        MlopsError: A stack cannot be looked up.
    """
    for environment in subject.own_environments:
        yield from _of_environment(subject, environment)


def _of_environment(subject: Subject, environment: str) -> Iterator[Finding]:
    absent: list[str] = []
    for stack in subject.chosen[environment]:
        described = subject.stack(stack, environment)
        name = subject.target.names.stack(stack, environment)
        if described is None or described["StackStatus"] == NEW:
            absent.append(stack)
        else:
            yield from _in_state(name, described["StackStatus"], f"{MLOPS} deploy --environment {environment}")
    if absent:
        yield Finding(
            Level.PENDING,
            what=f"Stacks that are not deployed yet: {', '.join(absent)}.",
            cost="What these stacks create does not exist.",
            remedy=f"{MLOPS} deploy --environment {environment}",
        )


def _in_state(name: str, status: str, deploy: str) -> Iterator[Finding]:
    events = f"aws cloudformation describe-stack-events --stack-name {name}"
    if status in STUCK:
        happened, remedy = STUCK[status]
        yield Finding(
            Level.BLOCKS,
            what=f"The stack {name} is {status}: {happened}.",
            cost="CloudFormation refuses to change it.",
            remedy=f"{remedy.format(name=name)} To see the cause: {events}",
        )
    elif status == NEVER_COMPLETED:
        yield Finding(
            Level.WARNING,
            what=f"The stack {name} is {status}: its first deployment failed and was removed.",
            cost="What it creates does not exist; if the cause remains, it fails again.",
            remedy=f"Fix the cause, then: {deploy}",
        )
    elif status in _ROLLED_BACK:
        yield Finding(
            Level.WARNING,
            what=f"The stack {name} is {status}: its last change failed and was rolled back.",
            cost="It is as before that change; if the cause remains, the next one fails, too.",
            remedy=f"Fix the cause, then: {deploy}",
        )
    elif status.endswith("_IN_PROGRESS"):
        yield Finding(
            Level.PENDING,
            what=f"The stack {name} is {status}.",
            cost="`deploy` waits for the operation in progress.",
            remedy=events,
        )
