"""Service quotas; a new account has quotas of 0 for common instance types."""

from collections.abc import Collection, Iterator
from itertools import groupby
from operator import attrgetter

from mlops.base.errors import MlopsError
from mlops.deployment import capacity, quotas
from mlops.deployment.capacity import Amount, Use
from mlops.deployment.checks.check import Subject
from mlops.deployment.checks.finding import Finding, Level
from mlops.deployment.quotas import Quota
from mlops.project.account import Account


def sufficient(subject: Subject) -> Iterator[Finding]:
    """Yield the quotas that are lower than what the environments of the account need.

    Raises:
        MlopsError: A value in the configuration is not a number, or the quotas cannot be read.
    """
    account = subject.target.account
    uses = sorted(capacity.uses(subject.target, account.id), key=attrgetter("service"))
    for service, of_service in groupby(uses, key=attrgetter("service")):
        together: dict[str, list[Use]] = {}
        for use in of_service:
            together.setdefault(use.quota, []).append(use)
        known = quotas.look_up(account, service, together)
        for name, its in together.items():
            if name not in known:
                yield _unlisted(service, name, account.region)
            elif known[name].value < capacity.total(use.most for use in its):
                yield _too_low(account, known[name], its, blocks=_blocks(subject, known[name], its))


def _blocks(subject: Subject, quota: Quota, uses: Collection[Use]) -> bool:
    """Return whether the deployment of an environment would exceed a quota."""
    deployed = {use.environment for use in uses if use.stack in subject.chosen.get(use.environment, ())}
    return any(quota.value < _now(subject, environment, uses) for environment in deployed)


def _now(subject: Subject, environment: str, uses: Collection[Use]) -> int:
    """Return what the deployment of an environment and the other deployed environments use of a quota."""
    return capacity.total(
        use.least if use.environment == environment else Amount(use.least.lasting)
        for use in uses
        if use.environment == environment or subject.stack(use.stack, use.environment) is not None
    )


def _too_low(account: Account, quota: Quota, uses: list[Use], *, blocks: bool) -> Finding:
    least, most = capacity.total(use.least for use in uses), capacity.total(use.most for use in uses)
    load = f", {most} under load" if most > least else ""
    parts = ", ".join(f"{use.what} uses {_amount(use)}" for use in uses)
    place = f"--service-code {quota.service} --quota-code {quota.code}"
    remedy = f"aws service-quotas request-service-quota-increase {place} --desired-value {most}"
    if pending := _pending(account, quota):  # AWS accepts no second request
        parts += f"; an increase to {pending:g} is requested and pending"
        remedy = f"aws service-quotas list-requested-service-quota-change-history-by-quota {place}"
    return Finding(
        Level.BLOCKS if blocks else Level.WARNING,
        what=f"Quota {quota.code} ({quota.name!r}) is {quota.value:g}; {least} needed{load}: {parts}.",
        cost="AWS refuses what exceeds a quota (ResourceLimitExceeded), and autoscaling stops there.",
        remedy=f"{remedy} --region {account.region}",
    )


def _pending(account: Account, quota: Quota) -> float | None:
    try:
        return quotas.pending_increase(account, quota)
    except MlopsError:
        return None  # the command that requests an increase reports a pending one


def _amount(use: Use) -> str:
    passing = f" and {use.least.passing} more during an update" if use.least.passing else ""
    return f"{use.least.lasting}{passing}"


def _unlisted(service: str, name: str, region: str) -> Finding:
    return Finding(
        Level.WARNING,
        what=f"Service Quotas lists no {name!r} in {region}.",
        cost="AWS may not offer that instance type there, and would reject it.",
        remedy=f"aws service-quotas list-aws-default-service-quotas --service-code {service} --region {region}",
    )
