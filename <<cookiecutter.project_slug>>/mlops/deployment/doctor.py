"""Make all checks of a project, in each of its accounts; nothing is changed."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import Any

from mlops.base.environments import IN_AWS, LOCAL, SHARED
from mlops.base.errors import MlopsError, UsageError, errors_of
from mlops.deployment import readiness
from mlops.deployment.checks import (
    connection,
    credentials,
    images,
    installation,
    model,
    service_roles,
    settings,
    stack_states,
    storage,
)
from mlops.deployment.checks.check import Check, Scope, Subject
from mlops.deployment.checks.finding import Finding, Level
from mlops.project.account import fail_fast
from mlops.project.target import Target

SETTINGS = Check("settings", "the settings", "", Scope.SETTINGS, settings.valid)
CREDENTIALS = Check("credentials", "the credentials", "", Scope.ACCOUNT, credentials.valid)
_LATER = "What is missing then only shows when it is needed."
CHECKS = (
    Check("machinery", "the machinery", "", Scope.PROJECT, installation.unchanged),
    Check("installation", "the environments of `make setup`", "", Scope.PROJECT, installation.set_up),
    readiness.IMAGE_SUPPORT,
    SETTINGS,
    readiness.ADDRESS,
    CREDENTIALS,
    readiness.QUOTAS,
    readiness.CONFIRMED,
    Check("version", "the registry", _LATER, Scope.ACCOUNT, model.version_approved),
    Check("registry-policy", "the policy of the registry", _LATER, Scope.ENVIRONMENT, model.registry_opened),
    Check(
        readiness.CONFIGURED.id,
        readiness.CONFIGURED.subject,
        readiness.CONFIGURED.cost,
        Scope.ENVIRONMENT,
        connection.usable,
    ),
    Check("stacks", "the stacks", _LATER, Scope.ENVIRONMENT, stack_states.settled),
    Check("buckets", "the buckets", _LATER, Scope.ENVIRONMENT, storage.buckets),
    Check("keys", "the keys", _LATER, Scope.ENVIRONMENT, storage.encryption_keys),
    Check("image", "the project's image", _LATER, Scope.ENVIRONMENT, images.built),
    Check("pipelines", "the pipelines in SageMaker", _LATER, Scope.ENVIRONMENT, model.pipelines_submitted),
    Check("service-roles", "the service-linked roles", _LATER, Scope.ENVIRONMENT, service_roles.creatable),
)
"""All checks. Those of `deploy` are in `readiness`, and `settings`."""


@dataclass(frozen=True)
class Place:
    """What a finding is about.

    Attributes:
        account: The account; None for the project, and for an environment without an account.
        environment: The environment; None for the project or the whole account.
    """

    account: str | None = None
    environment: str | None = None


@dataclass(frozen=True)
class Result:
    """A finding, and where it was found.

    Attributes:
        place: What it is about.
        check: The check that found it, or could not be made.
        finding: The finding.
    """

    place: Place
    check: Check
    finding: Finding

    def document(self) -> dict[str, Any]:
        """Return the result as JSON."""
        place = {"account": self.place.account, "environment": self.place.environment, "check": self.check.id}
        found = self.finding
        if found.level is Level.NOT_CHECKED:
            return {**place, "reason": found.what, "cost": found.cost, "remedy": found.remedy}
        about = {"what": found.what, "cost": found.cost, "remedy": found.remedy}
        return {**place, "level": found.level.value, "blocks": found.blocks, **about}


@dataclass(frozen=True)
class Diagnosis:
    """The result of all checks.

    Attributes:
        results: What was found, by place.
    """

    results: Sequence[Result]

    def at(self, *levels: Level) -> list[Result]:
        """Return the results of some levels."""
        return [result for result in self.results if result.finding.level in levels]

    def document(self) -> dict[str, Any]:
        """Return the diagnosis as JSON."""
        found = self.at(Level.BLOCKS, Level.WARNING, Level.PENDING)
        return {
            "findings": [result.document() for result in found],
            "not_checked": [result.document() for result in self.at(Level.NOT_CHECKED)],
        }


def examine(target: Target, only: str | None, today: date, report: Callable[[str], None]) -> Diagnosis:
    """Make all checks of a project.

    Args:
        target: The project, in any of its environments.
        only: The environment to examine; None for all.
        today: The date.
        report: Prints progress.

    Raises:
        MlopsError: There is no such environment.
    """
    fail_fast()
    examination = _Examination(today, report)
    examination.project(target.at(LOCAL))
    readable = [one for name in _environments(target, only) for one in examination.readable(target.at(name))]
    accounts: dict[str, list[Target]] = {}
    for one in readable:
        accounts.setdefault(one.account.id, []).append(one)
    for its in accounts.values():
        examination.account(its)
    return Diagnosis(examination.ordered())


@dataclass
class _Examination:
    """Checks in progress.

    Attributes:
        today: The date.
        report: Prints progress.
        results: What was found.
        stacks: The stacks that were looked up.
    """

    today: date
    report: Callable[[str], None]
    results: list[Result] = field(default_factory=list)
    stacks: dict[tuple[str, str, str], dict[str, Any] | None] = field(default_factory=dict)

    def project(self, target: Target) -> None:
        """Make the checks that concern no environment."""
        subject = self._subject(target, [])
        self._make(_of(Scope.PROJECT), subject, Place())

    def readable(self, target: Target) -> list[Target]:
        """Make the checks of an environment that need no AWS; return it in each of its accounts, if all are known."""
        unknown = Place(None, target.environment)
        for error in (wrong := errors_of(partial(target.project.environment, target.environment))):
            self._add(unknown, SETTINGS, Finding.of(error, Level.BLOCKS, settings.REFUSED))
            self._skip([*_of(Scope.SETTINGS), *_of(Scope.ACCOUNT), *_of(Scope.ENVIRONMENT)], unknown, error)
        if wrong:
            return []
        incomplete = [_of_shared(target, each) for each in errors_of(target.require_place)]
        for reason in incomplete:
            self._add(unknown, SETTINGS, Finding.of(reason, Level.BLOCKS, settings.REFUSED))
            self._skip([*_of(Scope.ACCOUNT), *_of(Scope.ENVIRONMENT)], unknown, reason)
        for one in target.places:
            place = Place(one.settings.settings.get("account"), one.environment)
            self._make(_of(Scope.SETTINGS), self._subject(one, [one]), place)
        return [] if incomplete else target.places

    def account(self, targets: Sequence[Target]) -> None:
        """Make the checks of an account and its environments."""
        first = targets[0]
        self.report(f"Checking account {first.account.id} in {first.account.region} ...")
        place, subject = Place(first.account.id), self._subject(first, targets)
        wrong = list(CREDENTIALS.run(subject))
        for finding in wrong:
            self._add(place, CREDENTIALS, finding)
        remaining = [check for check in _of(Scope.ACCOUNT) if check is not CREDENTIALS]
        if wrong:
            error = MlopsError(wrong[0].what, wrong[0].remedy)
            self._skip([*remaining, *_of(Scope.ENVIRONMENT)], place, error)
            return
        self._make(remaining, subject, place)
        for target in targets:
            its = Place(target.account.id, target.environment)
            self._make(_of(Scope.ENVIRONMENT), self._subject(target, targets), its)

    def ordered(self) -> list[Result]:
        """Return the results by place: the project, then each account with its environments."""
        accounts = list(dict.fromkeys(result.place.account for result in self.results))
        names = [None, *IN_AWS]

        def position(result: Result) -> tuple[int, int]:
            name = result.place.environment
            return accounts.index(result.place.account), names.index(name) if name in names else len(names)

        return sorted(self.results, key=position)

    def _subject(self, target: Target, together: Iterable[Target]) -> Subject:
        chosen = {name: names for one in together for name, names in _stacks(one).items()}
        return Subject(target, chosen, self.today, self.stacks)

    def _make(self, checks: Iterable[Check], subject: Subject, place: Place) -> None:
        for check in checks:
            try:
                for finding in check.run(subject):
                    self._add(place, check, finding)
            except UsageError as error:
                self._add(place, check, Finding.of(error, Level.BLOCKS, settings.REFUSED))
                self._skip([check], place, error)

    def _skip(self, checks: Iterable[Check], place: Place, error: MlopsError) -> None:
        for check in checks:
            self.results.append(Result(place, check, Finding.of(error, Level.NOT_CHECKED, check.cost)))

    def _add(self, place: Place, check: Check, finding: Finding) -> None:
        """Add a finding, unless it was found before: environments of an account share files and resources."""
        before = [result.finding for result in self.results if result.place.account in (place.account, None)]
        if finding.level is Level.NOT_CHECKED or finding not in before:
            self.results.append(Result(place, check, finding))


def _of(scope: Scope) -> Iterator[Check]:
    return (check for check in CHECKS if check.scope is scope)


def _environments(target: Target, only: str | None) -> list[str]:
    """Return the environments to examine, the shared one first."""
    names = [name for name in target.project.readers.overlays() if name != LOCAL]
    if only is not None and only not in names:
        raise UsageError(f"There is no environment {only!r} in AWS.", f"Environments: {', '.join(names)}.")
    known = [name for name in IN_AWS if name in names]
    return [only] if only else [*known, *(name for name in names if name not in known)]


def _stacks(target: Target) -> dict[str, list[str]]:
    """Return the stacks of an environment, and the shared ones if its account is its own, by environment.

    Environments that a project adds have none.
    """
    if target.environment not in IN_AWS:
        return {target.environment: []}
    found = {target.environment: target.stacks}
    if target.owns_account:
        found[SHARED] = target.shared.stacks
    account = target.account_name
    return {name: [one.stack.name for one in placed if one.account == account] for name, placed in found.items()}


def _of_shared(target: Target, error: MlopsError) -> MlopsError:
    """Return the error of the shared environment, if it is the reason for this one."""
    inherits = target.environment != SHARED and not target.settings.has_own_account
    if not inherits or target.shared.settings.settings.get("account") is not None:
        return error
    return next(iter(errors_of(target.shared.require_place)), error)
