"""The credentials of this machine; their permissions are not checked."""

from collections.abc import Iterator

from mlops.base.errors import errors_of
from mlops.deployment.checks.check import Subject
from mlops.deployment.checks.finding import Finding, Level


def valid(subject: Subject) -> Iterator[Finding]:
    """Yield a finding if the credentials are missing, expired, or those of another account."""
    for error in errors_of(subject.target.account.verify):
        yield Finding.of(error, Level.BLOCKS, "Nothing can be deployed to the account or looked up in it from here.")
