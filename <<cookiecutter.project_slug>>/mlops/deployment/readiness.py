"""The checks of `deploy`, before it changes anything and after; `doctor` makes them, and more.

The role that `deploy` runs with in a pipeline has the permissions for these checks and no others, so that a check with
further calls is a check of `doctor` alone.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import date

from mlops.deployment.checks import connection, images, notification, quota
from mlops.deployment.checks.check import Check, Scope, Subject
from mlops.deployment.checks.finding import Finding
from mlops.project.target import Target

QUOTAS = Check(
    "quotas",
    "the service quotas",
    "A quota that is too low then only shows when AWS refuses an endpoint or a job.",
    Scope.ACCOUNT,
    quota.sufficient,
)
IMAGE_SUPPORT = Check("image-support", "the support of AWS's image", "", Scope.PROJECT, images.supported)
ADDRESS = Check("notification-address", "the address", "", Scope.SETTINGS, notification.configured)
_UNREAD = "Notifications may not be delivered."
CONFIRMED = Check(
    "notification-confirmed", "the confirmation of the address", _UNREAD, Scope.ACCOUNT, notification.confirmed
)
_NO_SOURCE = "The pipelines may be unable to read their sources."
CONFIGURED = Check(
    "connection", "the connection to the repository", _NO_SOURCE, Scope.ENVIRONMENT, connection.configured
)
CREATED = Check("connection", "the connection to the repository", _NO_SOURCE, Scope.ENVIRONMENT, connection.created)

BEFORE_SHARED = (QUOTAS, IMAGE_SUPPORT, CONFIGURED, ADDRESS)
"""Before a deployment of the shared stacks."""

BEFORE = (QUOTAS, IMAGE_SUPPORT, CONFIRMED)
"""Before a deployment of another environment."""

AFTER_SHARED = (CONFIRMED, CREATED)
"""After a deployment of the shared stacks: manual steps that complete it."""


def before(target: Target, chosen: Mapping[str, Collection[str]], today: date) -> list[Finding]:
    """Return the findings before a deployment to an account.

    Args:
        target: The environment that the account is named after, or another one in it.
        chosen: By environment, the names of the stacks to deploy; findings of other stacks are advice.
        today: The date.

    Raises:
        MlopsError: A value in the configuration is not a number.
    """
    subject = Subject(target, chosen, today)
    return _made(BEFORE_SHARED if subject.is_shared else BEFORE, subject)


def after(target: Target, chosen: Mapping[str, Collection[str]], today: date) -> list[Finding]:
    """Return the manual steps that complete a deployment; args as for `before`."""
    subject = Subject(target, chosen, today)
    return _made(AFTER_SHARED if subject.is_shared else (), subject)


def _made(checks: Iterable[Check], subject: Subject) -> list[Finding]:
    return [finding for check in checks for finding in check.run(subject)]
