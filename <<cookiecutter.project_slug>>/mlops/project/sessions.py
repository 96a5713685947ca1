"""Sessions in other accounts: with the credentials of a role that the caller assumes there.

Roles are assumed for an hour at a time, the most that AWS allows a role which assumes another, and renewed:
https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles.html#iam-term-role-chaining
"""

import getpass
import os
import re

import boto3
import botocore.session
from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials

_HOUR = 3600
_NOT_IN_NAMES = re.compile(r"[^\w+=,.@-]")
_LONGEST_NAME = 64


def role_variable(name: str) -> str:
    """Return the environment variable with the ARN of the role to assume in an account, given the account's name."""
    return f"MLOPS_ROLE_{name.upper().replace('-', '_')}"


def role_to_assume(name: str, account: str, configured: str | None) -> str | None:
    """Return the ARN of the role to assume in an account; None to use the caller's credentials.

    Args:
        name: The name of the account.
        account: The account.
        configured: The name of the role in the configuration; `role_variable`, which builds set, goes before it.
    """
    role = f"arn:aws:iam::{account}:role/{configured}" if configured else None
    return os.environ.get(role_variable(name)) or role


def assuming(role: str, region: str) -> boto3.Session:
    """Return a session with the credentials of a role; it calls STS when it first needs them."""
    caller = botocore.session.get_session()
    caller.set_config_variable("region", region)
    fetcher = AssumeRoleCredentialFetcher(
        client_creator=caller.create_client,
        source_credentials=caller.get_credentials(),
        role_arn=role,
        extra_args={"RoleSessionName": _session_name(), "DurationSeconds": _HOUR},
    )
    session = botocore.session.get_session()
    # botocore has no public way to give a session credentials that renew themselves.
    session._credentials = DeferredRefreshableCredentials(method="assume-role", refresh_using=fetcher.fetch_credentials)
    return boto3.Session(botocore_session=session, region_name=region)


def _session_name() -> str:
    """Return a name for CloudTrail: who assumes the role."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = "unknown"
    return _NOT_IN_NAMES.sub("-", f"mlops-{user}")[:_LONGEST_NAME]
