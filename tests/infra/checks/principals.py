"""Who is let in: no principal that may not exist yet, not everybody, and nobody into accounts closed to them.

S3 and KMS refuse a policy that names a role that does not exist yet, so two accounts that name each other's roles can
never be deployed: policies name the other account and narrow it by `aws:PrincipalArn`.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from standin.finding import Finding
from standin.template import PSEUDO_PARAMETERS, Place, Template, is_known

LOG_GROUPS = ("Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey", "ReEncryptFrom", "ReEncryptTo")
"""What CloudWatch Logs does with the key of a log group.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
"""
NARROWING = {
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principalorgid",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "kms:calleraccount",
}
"""Condition keys that say which of many principals is meant."""

_CANNOT_EXIST_YET = "{} may not exist yet: name its account and narrow it by aws:PrincipalArn"


def statements(resource: Mapping[str, Any]) -> Iterator[tuple[Place, dict[str, Any]]]:
    """The statements with principals of a resource: of its trust policy or resource policy."""

    def walk(value: Any, place: Place) -> Iterator[tuple[Place, dict[str, Any]]]:
        if isinstance(value, dict) and "Principal" in value and "Effect" in value:
            yield place, value
        elif isinstance(value, dict | list):
            for key, item in value.items() if isinstance(value, dict) else enumerate(value):
                yield from walk(item, (*place, key))

    return walk(resource.get("Properties", {}), ("Properties",))


def findings(resolved: Template, account: str = PSEUDO_PARAMETERS["AWS::AccountId"]) -> list[Finding]:
    """Roles and users of other accounts as principals, other accounts or everybody without a condition, and services
    that a key does not let do all they ask for.

    Args:
        resolved: A resolved template.
        account: The account that it is deployed to.
    """
    allowing = [
        (name, place, statement)
        for name, resource in resolved.resources.items()
        for place, statement in statements(resource)
        if statement["Effect"] == "Allow"
    ]
    return [
        resolved.finding(what, name, *place)
        for name, place, statement in allowing
        for what in (
            *(_fault(principal, statement, account) for principal in _principals(statement)),
            _lack(resolved.resources[name]["Type"], statement),
        )
        if what
    ]


def reachable(stacks: Mapping[str, Template], start: Collection[str]) -> dict[str, str]:
    """Every role that some principals can become, step by step, with the one it is reached from.

    A trust policy that lets them in counts, whatever their own policies say.

    Args:
        stacks: Resolved templates by their account; several stacks of an account as `111111111111/data`.
        start: ARNs of the principals.
    """
    roles = {
        _role_arn(account, properties): (account, statement)
        for stack, template in stacks.items()
        for account in [stack.partition("/")[0]]
        for name, properties in template.properties("AWS::IAM::Role")
        for statement in [template.resources[name]]
    }
    reached: dict[str, str] = dict.fromkeys(start, "")
    queue = list(start)
    while queue:
        caller = queue.pop()
        for arn, (account, role) in roles.items():
            if arn not in reached and _admits(role, caller, account):
                reached[arn] = caller
                queue.append(arn)
    return {arn: caller for arn, caller in reached.items() if caller}


def trespasses(stacks: Mapping[str, Template], start: Collection[str], closed: Collection[str]) -> list[Finding]:
    """Roles and resources of closed accounts that some principals, or what they can become, are let into.

    Args:
        stacks: Resolved templates by their account; several stacks of an account as `111111111111/data`.
        start: ARNs of the principals.
        closed: The accounts.
    """
    callers = {*start, *reachable(stacks, start)}
    return [
        template.finding(f"{caller} is let in", name)
        for stack, template in stacks.items()
        if (account := stack.partition("/")[0]) in closed
        for name, resource in template.resources.items()
        for caller in sorted(callers)
        if _account(caller) not in closed and _admits(resource, caller, account)
    ]


def _principals(statement: dict[str, Any]) -> Iterator[str]:
    """The AWS principals of a statement; `*` is everybody."""
    principal = statement["Principal"]
    named = principal if isinstance(principal, str) else principal.get("AWS", [])
    yield from [named] if isinstance(named, str) else named


def _fault(principal: str, statement: dict[str, Any], account: str) -> str:
    keys = {key.lower() for condition in statement.get("Condition", {}).values() for key in condition}
    if principal == "*":
        return "" if keys & NARROWING else "everybody is let in"
    if not is_known(principal) or _account(principal) == account:
        return ""
    if ":root" not in principal and not principal.isdigit():
        return _CANNOT_EXIST_YET.format(principal)
    return "" if "aws:principalarn" in keys else f"all of {principal} is let in: narrow it by aws:PrincipalArn"


def _lack(type_: str, statement: dict[str, Any]) -> str:
    """What a statement of a key does not let CloudWatch Logs do, which asks for it with every log group."""
    principal = statement["Principal"]
    services = [] if isinstance(principal, str) else principal.get("Service", [])
    if type_ != "AWS::KMS::Key" or not str(services).startswith("logs."):
        return ""
    missing = [action for action in LOG_GROUPS if f"kms:{action}" not in statement["Action"]]
    return f"CloudWatch Logs also needs {', '.join(missing)}" if missing else ""


def _account(principal: str) -> str:
    return principal if principal.isdigit() else (principal.split(":") + [""] * 5)[4]


def _role_arn(account: str, properties: dict[str, Any]) -> str:
    return f"arn:aws:iam::{account}:role{properties.get('Path', '/')}{properties.get('RoleName', '{{}}')}"


def _admits(resource: dict[str, Any], caller: str, account: str) -> bool:
    """Whether a policy of a resource lets a principal in; conditions on anything but its ARN count as fulfilled."""
    return any(
        statement["Effect"] == "Allow" and _is_meant(principal, caller, account) and _fulfils(caller, statement)
        for _, statement in statements(resource)
        for principal in _principals(statement)
    )


def _is_meant(principal: str, caller: str, account: str) -> bool:
    if principal == "*" or principal == caller:
        return True
    whole_account = principal.isdigit() or principal.endswith(":root")
    # A root principal of the own account only says that the account's policies decide.
    return whole_account and _account(principal) == _account(caller) != account


def _fulfils(caller: str, statement: dict[str, Any]) -> bool:
    return all(
        any(fnmatchcase(caller, value) for value in ([values] if isinstance(values, str) else values))
        for operator, condition in statement.get("Condition", {}).items()
        for key, values in condition.items()
        if key.lower() == "aws:principalarn" and re.fullmatch(r"(Arn|String)(Like|Equals)(IfExists)?", operator)
    )
