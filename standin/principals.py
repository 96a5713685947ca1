"""Who makes a call: the principals of IAM, and the credentials that stand for them here."""

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

_KEY, _TOKEN = "ASTANDIN", "standin:"

CALLER: ContextVar[str] = ContextVar("CALLER", default="")
"""ARN of the principal whose request is being answered; empty when the request is not signed."""


def access_key(account: str) -> str:
    """The id of the access keys of an account's principals; it names the account, for moto to tell them apart."""
    return _KEY + account


def account_of_key(key: str) -> str:
    """The account that an access key names.

    Raises:
        ValueError: The key was not made here.
    """
    if not key.startswith(_KEY):
        raise ValueError(f"the access key {key} is not one of an account here")
    return key.removeprefix(_KEY)


def session_token(role: str) -> str:
    """The token of a session of a role, which says the role to whoever sees it."""
    return _TOKEN + role


def role_of_token(token: str | None) -> str:
    """ARN of the role that a session token stands for; empty when it stands for none."""
    return token.removeprefix(_TOKEN) if token and token.startswith(_TOKEN) else ""


def administrator(account: str) -> str:
    """ARN of the principal that an account's own access key stands for."""
    return f"arn:aws:iam::{account}:user/administrator"


def account_of(arn: str) -> str:
    """The account in an ARN; empty when the ARN has none, and for services."""
    parts = arn.split(":")
    return parts[4] if len(parts) > 4 else ""


def is_service(principal: str) -> bool:
    """Whether a principal is a service, such as `events.amazonaws.com`."""
    return principal.endswith(".amazonaws.com")


def principal_context(principal: str) -> dict[str, Any]:
    """The condition keys that IAM fills in from the principal.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
    """
    if is_service(principal):
        return {"aws:PrincipalIsAWSService": True, "aws:PrincipalServiceName": principal}
    account = account_of(principal)
    return {
        "aws:PrincipalAccount": account,
        "aws:PrincipalArn": principal,
        "aws:PrincipalIsAWSService": False,
        "kms:CallerAccount": account,
    }


def temporary(role: str) -> Mapping[str, str]:
    """The credentials of a session of a role, as environment variables."""
    return {
        "AWS_ACCESS_KEY_ID": access_key(account_of(role)),
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_SESSION_TOKEN": session_token(role),
    }
