"""The address that receives failures, alarms and requests for approval."""

from collections.abc import Iterator
from typing import Any

from mlops.base.commands import MLOPS
from mlops.base.environments import SHARED
from mlops.deployment.checks.check import Subject
from mlops.deployment.checks.finding import Finding, Level
from mlops.project import stacks
from mlops.project.account import aws_errors
from mlops.project.configuration import file_of

_PENDING = "PendingConfirmation"


def configured(subject: Subject) -> Iterator[Finding]:
    """Yield a finding if the configuration names no address."""
    stack = _stack(subject)
    if stack and SHARED in subject.own_environments and _address(subject, stack) is None:
        yield Finding(
            Level.WARNING,
            what=f"No value for `stacks.{stack}.notification_email` in {file_of(SHARED)}.",
            cost="No one is notified of failures, alarms and requests for approval.",
            remedy=f"Set it, then: {MLOPS} deploy --environment {SHARED} --stack {stack}",
        )


def confirmed(subject: Subject) -> Iterator[Finding]:
    """Yield a finding if the owner of the address has not confirmed the subscription.

    Raises:
        MlopsError: The subscriptions cannot be listed.
    """
    stack = _stack(subject)
    address = _address(subject, stack) if stack else None
    topic = subject.output(stack, "TopicArn") if stack and address is not None else ""
    if not topic:
        return
    account = subject.target.account
    with aws_errors("list the subscriptions to the notifications"):
        pages = account.notifications.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
        confirmed_ = {
            each["Endpoint"] for page in pages for each in page["Subscriptions"] if each["SubscriptionArn"] != _PENDING
        }
    if address not in confirmed_:
        subscribe = f"aws sns subscribe --topic-arn {topic} --protocol email --notification-endpoint {address}"
        yield Finding(
            Level.WARNING,
            what=f"{address} has not confirmed its subscription to the notifications.",
            cost="Until then, no one is notified of failures, alarms and requests for approval.",
            remedy="Open the link in the email from AWS Notifications. To send another email: "
            f"{subscribe} --region {account.region}",
        )


def _stack(subject: Subject) -> str | None:
    """Return the name of the stack with the topic of the account; None if it has none."""
    target = subject.target
    found = (one for one in stacks.WITH_TOPIC if target.account_name in one.accounts(target.project.layout))
    return next((stack.name for stack in found), None)


def _address(subject: Subject, stack: str) -> Any:
    return subject.shared.stack(stack).get("notification_email")
