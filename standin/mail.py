"""Mail addresses that topics of SNS send to: they are told nothing until somebody has confirmed that they want it.

https://docs.aws.amazon.com/sns/latest/api/API_Subscribe.html and API_ListSubscriptionsByTopic.html
"""

import copy
from typing import Any

from moto.sns.models import SNSBackend, Subscription, sns_backends

_LIST = SNSBackend.list_subscriptions_by_topic


def subscriptions(backend: SNSBackend, topic_arn: str, next_token: str | None = None) -> tuple[list[Subscription], Any]:
    """What a topic sends to; one that is not confirmed has no ARN yet. moto confirms all of them itself."""
    found, token = _LIST(backend, topic_arn, next_token=next_token)
    return [_shown(each) for each in found], token


def confirm(account: str, region: str, address: str) -> None:
    """Follow the link in the mail to an address."""
    for each in sns_backends[account][region].subscriptions.values():
        each.confirmed = each.confirmed or each.endpoint == address


def _shown(subscription: Subscription) -> Subscription:
    if subscription.protocol != "email" or subscription.confirmed:
        return subscription
    pending = copy.copy(subscription)
    pending.arn = "PendingConfirmation"
    return pending
