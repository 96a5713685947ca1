"""Evaluation of IAM policies: whether a role may do something to a resource.

Semantics: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html, for identity-based
policies and permissions boundaries. `resource_policies` adds the policies of resources.
"""

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

Document = Mapping[str, Any]


@dataclass(frozen=True)
class RolePolicies:
    """What a role may do.

    Attributes:
        allowed: The documents of its policies.
        boundary: The document of its permissions boundary.
    """

    allowed: Sequence[Document]
    boundary: Document | None = None

    def allow(self, action: str, resource: str, context: Mapping[str, Any]) -> bool:
        """Whether an action on a resource is allowed.

        Args:
            action: As `s3:GetObject`.
            resource: An ARN, or `*` where the action knows no resources.
            context: Values of condition keys; several as a list.

        Raises:
            ValueError: A condition has an operator that is not known here.
        """
        return _decide(self.allowed, action, resource, context) and self.within_boundary(action, resource, context)

    def within_boundary(self, action: str, resource: str, context: Mapping[str, Any]) -> bool:
        """Whether the permissions boundary, if there is one, allows an action."""
        return self.boundary is None or _decide([self.boundary], action, resource, context)

    def deny(self, action: str, resource: str, context: Mapping[str, Any]) -> bool:
        """Whether a policy or the boundary denies an action explicitly."""
        documents = [*self.allowed, *([self.boundary] if self.boundary else [])]
        return "Deny" in _effects(documents, action, resource, context)


def role_policies(iam: Any, role: str) -> RolePolicies:
    """The policies of a role that is deployed.

    Args:
        iam: A boto3 client of IAM.
        role: Its ARN.
    """
    name = role.rpartition("/")[2]
    inline = [
        iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
        for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]
    ]
    attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    boundary = iam.get_role(RoleName=name)["Role"].get("PermissionsBoundary")
    return RolePolicies(
        [*inline, *(_document(iam, policy["PolicyArn"]) for policy in attached)],
        _document(iam, boundary["PermissionsBoundaryArn"]) if boundary else None,
    )


def _document(iam: Any, arn: str) -> Document:
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    document: Document = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
    return document


def statements(document: Document) -> list[Mapping[str, Any]]:
    """The statements of a policy."""
    return as_list(document["Statement"])


def as_list(value: Any) -> list[Any]:
    """What IAM lets one write with or without brackets."""
    return value if isinstance(value, list) else [value]


def applies(statement: Mapping[str, Any], action: str, resource: str, context: Mapping[str, Any]) -> bool:
    """Whether a statement speaks of an action on a resource, whatever its effect."""
    return (
        _names(statement, "Action", lambda pattern: _glob(pattern.lower(), action.lower()))
        and _names(statement, "Resource", lambda pattern: resource_matches(pattern, resource, context))
        and conditions_hold(statement.get("Condition", {}), context)
    )


def conditions_hold(conditions: Mapping[str, Mapping[str, Any]], context: Mapping[str, Any]) -> bool:
    """Whether all conditions of a statement hold.

    Raises:
        ValueError: One has an operator that is not known here.
    """
    return all(
        _condition_holds(operator, key, as_list(wanted), context)
        for operator, keys in conditions.items()
        for key, wanted in keys.items()
    )


def resource_matches(pattern: str, resource: str, context: Mapping[str, Any]) -> bool:
    """Whether a resource pattern, with variables, takes in a resource; wildcards stay in a part of an ARN."""
    pattern = _filled(pattern, context)
    if pattern == "*":
        return True
    return _parts_match(pattern.split(":", 5), resource.split(":", 5))


def _decide(documents: Sequence[Document], action: str, resource: str, context: Mapping[str, Any]) -> bool:
    return _effects(documents, action, resource, context) == {"Allow"}


def _effects(documents: Sequence[Document], action: str, resource: str, context: Mapping[str, Any]) -> set[str]:
    return {
        statement["Effect"]
        for document in documents
        for statement in statements(document)
        if applies(statement, action, resource, context)
    }


def _names(statement: Mapping[str, Any], element: str, matches: Callable[[str], bool]) -> bool:
    if f"Not{element}" in statement:
        return not any(map(matches, as_list(statement[f"Not{element}"])))
    return any(map(matches, as_list(statement[element])))


def _parts_match(patterns: list[str], parts: list[str]) -> bool:
    return len(patterns) == len(parts) and all(map(_glob, patterns, parts))


def _glob(pattern: str, text: str) -> bool:
    return _compiled(pattern).fullmatch(text) is not None


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    translated = "".join({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in pattern)
    return re.compile(translated.replace(_LITERAL_STAR, r"\*"), re.DOTALL)


_LITERAL_STAR = "\x00"


def _filled(text: str, context: Mapping[str, Any]) -> str:
    """A text with the values of its variables, `${aws:PrincipalAccount}` for example; unknown ones match nothing."""

    def value(match: re.Match[str]) -> str:
        key, _, default = match[1].partition(",")
        if key == "*":
            return _LITERAL_STAR
        found = _values(context, key.strip())
        return str(found[0]) if found else default.strip(" '") or "\x01"

    return re.sub(r"\$\{([^}]+)\}", value, text)


def _values(context: Mapping[str, Any], key: str) -> list[Any] | None:
    return next((as_list(value) for name, value in context.items() if name.lower() == key.lower()), None)


def _text(wanted: str, value: str) -> bool:
    return wanted == value


def _arn(wanted: str, value: str) -> bool:
    return _parts_match(wanted.split(":", 5), value.split(":", 5))


_TESTS: Mapping[str, Callable[[str, str], bool]] = {
    "StringEquals": _text,
    "StringEqualsIgnoreCase": lambda wanted, value: wanted.lower() == value.lower(),
    "StringLike": _glob,
    "ArnEquals": _arn,
    "ArnLike": _arn,
    "Bool": lambda wanted, value: wanted.lower() == value.lower(),
    "NumericEquals": lambda wanted, value: float(wanted) == float(value),
    "NumericLessThan": lambda wanted, value: float(value) < float(wanted),
    "NumericLessThanEquals": lambda wanted, value: float(value) <= float(wanted),
    "NumericGreaterThan": lambda wanted, value: float(value) > float(wanted),
    "NumericGreaterThanEquals": lambda wanted, value: float(value) >= float(wanted),
    "DateLessThan": lambda wanted, value: date.fromisoformat(value[:10]) < date.fromisoformat(wanted[:10]),
    "DateGreaterThan": lambda wanted, value: date.fromisoformat(value[:10]) > date.fromisoformat(wanted[:10]),
}


def _condition_holds(operator: str, key: str, wanted: list[Any], context: Mapping[str, Any]) -> bool:
    quantifier, _, name = operator.rpartition(":")
    if_exists = name.endswith("IfExists")
    name = name.removesuffix("IfExists")
    values = _values(context, key)
    texts = [_as_text(item) for item in wanted]
    if name == "Null":
        return (values is None) == (texts == ["true"])
    if values is None:
        return if_exists or quantifier == "ForAllValues" or "Not" in name
    test, negated = _TESTS.get(name.replace("Not", "")), "Not" in name
    if test is None:
        raise ValueError(f"the condition operator {operator} is not known here")
    held = [any(test(_filled(text, context), _as_text(value)) for text in texts) != negated for value in values]
    return any(held) if quantifier == "ForAnyValue" else all(held)


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
