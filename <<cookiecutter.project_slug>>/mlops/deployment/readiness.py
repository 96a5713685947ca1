"""Read-only checks before a deployment: what the account lacks, and what the configuration leaves unset.

A new account has quotas of 0 for common instance types. Service-linked roles are not checked: the role that
CloudFormation deploys with creates those of autoscaling and API Gateway on first use.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from operator import attrgetter
from typing import Any

import yaml
from botocore.exceptions import ClientError

from mlops.base.commands import MLOPS
from mlops.base.environments import SHARED
from mlops.base.errors import MlopsError
from mlops.deployment import capacity, quotas
from mlops.deployment.capacity import Amount, Use
from mlops.deployment.cloudformation import StackService
from mlops.deployment.quotas import Quota
from mlops.project.account import aws_errors, is_missing
from mlops.project.configuration import IMAGES, STACKS, file_of
from mlops.project.environment import Environment
from mlops.project.project import Project
from mlops.project.target import Target

_CONSOLE = "https://{0}.console.aws.amazon.com/codesuite/settings/connections?region={0}"
_NOTICE = timedelta(days=90)
_PENDING = "PendingConfirmation"


@dataclass(frozen=True)
class Finding:
    """Something is missing.

    Attributes:
        blocks: Whether a deployment fails without it; otherwise it is advice.
        what: What is missing.
        cost: The consequence of ignoring it.
        remedy: The command or the page that fixes it.
    """

    blocks: bool
    what: str
    cost: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what}\n  {self.cost}\n  {self.remedy}"


def require(findings: Collection[Finding], place: str) -> None:
    """Refuse a deployment that would fail.

    Args:
        findings: The findings.
        place: What was checked, for the message.

    Raises:
        MlopsError: At least one finding blocks; the message lists all that do.
    """
    blocking = [finding for finding in findings if finding.blocks]
    if blocking:
        raise MlopsError(
            "\n".join([f"{place} is not ready; nothing was changed:", *map(str, blocking)]),
            "Fix this and deploy again. AWS approves quota increases within hours to days; see docs/deploying.md.",
        )


@dataclass(frozen=True)
class Readiness:
    """The checks of one environment.

    Attributes:
        target: The environment.
        service: The stacks in its account.
    """

    target: Target
    service: StackService

    def before(self, chosen: Collection[str], today: date) -> list[Finding]:
        """Return the findings before a deployment.

        Args:
            chosen: The names of the stacks to deploy; findings of other stacks are advice.
            today: The date.

        Raises:
            MlopsError: A value in the configuration is not a number.
        """
        found = [*self._quotas(chosen), *image_support(self.target.project, today)]
        if self.target.environment != SHARED:
            return [*found, *self._notification()]
        if "cicd" in chosen and (arn := self._shared.stack("cicd").get("connection_arn")):
            found += self._connection(arn, blocks=True)
        if self._address is None:
            found.append(
                Finding(
                    blocks=False,
                    what=f"No value for `stacks.execution.notification_email` in {file_of(SHARED)}.",
                    cost="No one is notified of failures, alarms and requests for approval.",
                    remedy=f"Set it, then: {MLOPS} deploy --environment {SHARED} --stack execution",
                )
            )
        return found

    def after(self) -> list[Finding]:
        """Return the manual steps that complete a deployment of the shared stacks."""
        if self.target.environment != SHARED:
            return []
        arn = self._output("cicd", "SourceArn")
        return [*self._notification(), *(self._connection(arn, blocks=False) if ":connection/" in arn else ())]

    def _quotas(self, chosen: Collection[str]) -> Iterator[Finding]:
        uses = sorted(capacity.uses(self.target, self.target.account.id), key=attrgetter("service"))
        try:
            for service, of_service in groupby(uses, key=attrgetter("service")):
                together: dict[str, list[Use]] = {}
                for use in of_service:
                    together.setdefault(use.quota, []).append(use)
                known = quotas.look_up(self.target.account, service, together)
                for name, its in together.items():
                    deploys = any(use.environment == self.target.environment and use.stack in chosen for use in its)
                    if name not in known:
                        yield _unlisted(service, name, self.target.account.region)
                    elif known[name].value < capacity.total(use.most for use in its):
                        yield self._too_low(known[name], its, deploys and known[name].value < self._now(its))
        except MlopsError as error:
            yield _unread(error, "A quota that is too low then only shows when AWS refuses an endpoint or a job.")

    def _now(self, uses: list[Use]) -> int:
        """Return what this deployment and the other deployed environments use of a quota."""
        return capacity.total(
            use.least if use.environment == self.target.environment else Amount(use.least.lasting)
            for use in uses
            if use.environment == self.target.environment or self._is_deployed(use)
        )

    def _is_deployed(self, use: Use) -> bool:
        name = self.target.names.stack(use.stack, use.environment)
        return self.service.describe(name) is not None

    def _too_low(self, quota: Quota, uses: list[Use], blocks: bool) -> Finding:
        least, most = _least(uses), capacity.total(use.most for use in uses)
        load = f", {most} under load" if most > least else ""
        parts = ", ".join(f"{use.what} uses {_amount(use)}" for use in uses)
        place = f"--service-code {quota.service} --quota-code {quota.code}"
        remedy = f"aws service-quotas request-service-quota-increase {place} --desired-value {most}"
        if pending := self._pending(quota):  # AWS accepts no second request
            parts += f"; an increase to {pending:g} is requested and pending"
            remedy = f"aws service-quotas list-requested-service-quota-change-history-by-quota {place}"
        return Finding(
            blocks=blocks,
            what=f"Quota {quota.code} ({quota.name!r}) is {quota.value:g}; {least} needed{load}: {parts}.",
            cost="AWS refuses what exceeds a quota (ResourceLimitExceeded), and autoscaling stops there.",
            remedy=f"{remedy} --region {self.target.account.region}",
        )

    def _pending(self, quota: Quota) -> float | None:
        try:
            return quotas.pending_increase(self.target.account, quota)
        except MlopsError:
            return None  # the command that requests an increase reports a pending one

    def _notification(self) -> Iterator[Finding]:
        address, topic = self._address, self._output("execution", "TopicArn")
        if address is None or not topic:
            return
        try:
            with aws_errors("list the subscriptions to the notifications"):
                pages = self.target.account.notifications.get_paginator("list_subscriptions_by_topic").paginate(
                    TopicArn=topic
                )
                confirmed = {
                    each["Endpoint"]
                    for page in pages
                    for each in page["Subscriptions"]
                    if each["SubscriptionArn"] != _PENDING
                }
        except MlopsError as error:
            yield _unread(error, "Notifications may not be delivered.")
            return
        if address not in confirmed:
            subscribe = f"aws sns subscribe --topic-arn {topic} --protocol email --notification-endpoint {address}"
            yield Finding(
                blocks=False,
                what=f"{address} has not confirmed its subscription to the notifications.",
                cost="Until then, no one is notified of failures, alarms and requests for approval.",
                remedy="Open the link in the email from AWS Notifications. To send another email: "
                f"{subscribe} --region {self.target.account.region}",
            )

    def _connection(self, arn: str, *, blocks: bool) -> Iterator[Finding]:
        """Yield what a connection lacks; one that a stack has just created is pending, which blocks nothing."""
        place = f"--connection-arn {arn} --region {self.target.account.region}"
        try:
            with aws_errors("look up the connection to the repository"):
                status = self._connection_status(arn)
        except MlopsError as error:
            yield _unread(error, "The pipelines may be unable to read their sources.")
            return
        if status == "AVAILABLE":
            return
        if status is None:
            key = f"{STACKS}.cicd.connection_arn"
            remedy = f"Correct `{key}` in {self._shared.file(key)}, or set it to null to create a connection."
        else:
            console = _CONSOLE.format(self.target.account.region)
            command = f"aws codeconnections get-connection {place}"
            remedy = f"Update the pending connection at {console}. To see its status: {command}"
        yield Finding(
            blocks=blocks,
            what=f"The connection {arn} {f'is {status}' if status else 'does not exist'}.",
            cost="Every execution of the pipelines fails at its source stage.",
            remedy=remedy,
        )

    def _connection_status(self, arn: str) -> str | None:
        try:
            connection: dict[str, str] = self.target.account.connections.get_connection(ConnectionArn=arn)["Connection"]
        except ClientError as error:
            if is_missing(error):
                return None
            raise
        return connection["ConnectionStatus"]

    @property
    def _shared(self) -> Environment:
        return self.target.shared.settings

    @property
    def _address(self) -> Any:
        return self._shared.stack("execution").get("notification_email")

    def _output(self, stack: str, name: str) -> str:
        """Return an output of a shared stack; empty if there is none."""
        return self.service.outputs(self.target.names.stack(stack, SHARED)).get(name, "")


def image_support(project: Project, today: date) -> Iterator[Finding]:
    """Yield the AWS images whose support ends within 90 days, or has ended.

    Args:
        project: The project; without AWS images if it has its own image or does not train.
        today: The date.
    """
    path = project.root / IMAGES / f"{project.answers.get('framework')}.yaml"
    if not path.is_file() or project.answer("training_image") != "aws":
        return
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    for image in [content, *(content[scope] for scope in ("training", "inference") if scope in content)]:
        end = image.get("end_of_support")
        if end and today >= end - _NOTICE:
            yield Finding(
                blocks=False,
                what=f"AWS {'ended' if today > end else 'ends'} its support of the image "
                f"{content['framework']} {image['version']} on {end}.",
                cost="After that it gets no security patches.",
                remedy=f"Set a later version in {path.relative_to(project.root)}.",
            )


def _unread(error: MlopsError, cost: str) -> Finding:
    """Return the finding for something that could not be read."""
    return Finding(blocks=False, what=error.message, cost=cost, remedy=error.remedy)


def _least(uses: list[Use]) -> int:
    return capacity.total(use.least for use in uses)


def _amount(use: Use) -> str:
    passing = f" and {use.least.passing} more during an update" if use.least.passing else ""
    return f"{use.least.lasting}{passing}"


def _unlisted(service: str, name: str, region: str) -> Finding:
    return Finding(
        blocks=False,
        what=f"Service Quotas lists no {name!r} in {region}.",
        cost="AWS may not offer that instance type there, and would reject it.",
        remedy=f"aws service-quotas list-aws-default-service-quotas --service-code {service} --region {region}",
    )
