"""AssumeRole: a role is entered by whom its trust names, for as long as it may be.

https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from moto.iam.models import iam_backends
from moto.sts.models import AssumedRole, STSBackend

from standin.attached import roles
from standin.gaps import RefusedError
from standin.principals import CALLER, access_key, account_of, session_token
from standin.resource_policies import Verdict, verdict

LONGEST_CHAINED = 3600
"""Seconds that a session may last whose caller is a session of a role itself."""
SHORTEST = 900


def require_trust(caller: str, request: Mapping[str, str]) -> None:
    """Refuse what STS refuses of a request for the credentials of a role.

    Args:
        caller: ARN of the principal that asks for them.
        request: Members and values.

    Raises:
        RefusedError: The trust of the role does not name the caller, or the session would be too long.
    """
    action, role = request["Action"], request.get("RoleArn", "")
    if action != "AssumeRole":
        raise RefusedError("AccessDenied", f"{action} is not known here.")
    if "Policy" in request or "PolicyArns.member.1.arn" in request:
        raise RefusedError("AccessDenied", "Policies of sessions are not evaluated here.")
    external = {"sts:ExternalId": request["ExternalId"]} if "ExternalId" in request else {}
    context = {"sts:RoleSessionName": request["RoleSessionName"], "aws:ResourceAccount": account_of(role), **external}
    trust = roles().get(role, {"Statement": []})
    if verdict(trust, caller, "sts:AssumeRole", role, context) not in (Verdict.ACCOUNT, Verdict.PRINCIPAL):
        # As AWS does, it tells nobody whether the role is there.
        raise RefusedError(
            "AccessDenied", f"User: {caller} is not authorized to perform: sts:AssumeRole on resource: {role}"
        )
    _require_duration(caller, role, int(request.get("DurationSeconds", 3600)))


def _require_duration(caller: str, role: str, duration: int) -> None:
    """Refuse a session that is too short or too long.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles.html#iam-term-role-chaining
    """
    longest = int(iam_backends[account_of(role)]["aws"].get_role_by_arn(role).max_session_duration or 3600)
    if ":role/" in caller and duration > LONGEST_CHAINED:
        raise RefusedError(
            "ValidationError",
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining",
        )
    if not SHORTEST <= duration <= longest:
        raise RefusedError(
            "ValidationError",
            f"The requested DurationSeconds {duration} is not between {SHORTEST} and the MaxSessionDuration "
            f"{longest} set for this role.",
        )


def _assume_role(
    _backend: STSBackend,
    region_name: str,
    role_session_name: str,
    role_arn: str,
    policy: str,
    duration: int,
    external_id: str,
) -> AssumedRole:
    """Give credentials that say which role they stand for; moto keeps a table."""
    account = account_of(role_arn)
    key: Any = SimpleNamespace(access_key_id=access_key(account), secret_access_key="testing")
    session = AssumedRole(account, region_name, key, role_session_name, role_arn, policy, duration, external_id)
    session.session_token = session_token(role_arn)
    return session


def _caller_identity(backend: STSBackend, access_key_id: str, region: str) -> tuple[str, str, str]:
    """Whose session it is; moto keeps no sessions of the roles of functions and builds."""
    caller = CALLER.get()
    if ":role/" not in caller:
        return _MOTO_IDENTITY(backend, access_key_id, region)
    name = caller.rpartition("/")[2]
    return f"AROASTANDIN:{name}", f"arn:aws:sts::{account_of(caller)}:assumed-role/{name}/session", account_of(caller)


_MOTO_IDENTITY = STSBackend.get_caller_identity


@contextmanager
def assuming() -> Iterator[None]:
    """Let STS give credentials that say which role they stand for, within a `with` block."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(STSBackend, "assume_role", _assume_role)
        patch.setattr(STSBackend, "get_caller_identity", _caller_identity)
        yield
