"""The connection to the repository, which a person authorizes."""

from collections.abc import Iterator

from mlops.deployment.checks.check import Subject
from mlops.deployment.checks.finding import Finding, Level
from mlops.project.account import Account, aws_errors, if_exists
from mlops.project.configuration import STACKS

_CONSOLE = "https://{0}.console.aws.amazon.com/codesuite/settings/connections?region={0}"
_KEY = f"{STACKS}.cicd.connection_arn"


def configured(subject: Subject) -> Iterator[Finding]:
    """Yield what a connection in the configuration lacks, if the stack that takes it is to be deployed.

    Raises:
        MlopsError: The connection cannot be looked up.
    """
    arn = _configured(subject)
    if subject.is_shared and "cicd" in subject.chosen[subject.target.environment] and arn:
        yield from _usable(subject, arn, Level.BLOCKS)


def created(subject: Subject) -> Iterator[Finding]:
    """Yield what the connection of the stack lacks; a new one is pending, which blocks nothing.

    Raises:
        MlopsError: The connection cannot be looked up.
    """
    arn = subject.output("cicd", "SourceArn") if subject.is_shared else ""
    if ":connection/" in arn:
        yield from _usable(subject, arn, Level.WARNING)


def usable(subject: Subject) -> Iterator[Finding]:
    """Yield what the connection lacks: the configured one, or else the one that the stack has created.

    Raises:
        MlopsError: The connection cannot be looked up.
    """
    return configured(subject) if _configured(subject) else created(subject)


def _configured(subject: Subject) -> str | None:
    arn: str | None = subject.shared.stack("cicd").get("connection_arn")
    return arn


def _usable(subject: Subject, arn: str, level: Level) -> Iterator[Finding]:
    account = subject.target.account
    with aws_errors("look up the connection to the repository"):
        status = _status(account, arn)
    if status == "AVAILABLE":
        return
    if status is None:
        remedy = f"Correct `{_KEY}` in {subject.shared.file(_KEY)}, or set it to null to create a connection."
    else:
        console = _CONSOLE.format(account.region)
        command = f"aws codeconnections get-connection --connection-arn {arn} --region {account.region}"
        remedy = f"Update the pending connection at {console}. To see its status: {command}"
    yield Finding(
        level,
        what=f"The connection {arn} {f'is {status}' if status else 'does not exist'}.",
        cost="Every execution of the pipelines fails at its source stage.",
        remedy=remedy,
    )


def _status(account: Account, arn: str) -> str | None:
    found = if_exists(account.connections.get_connection, ConnectionArn=arn)
    return found and found["Connection"]["ConnectionStatus"]
