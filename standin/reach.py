"""A walk over the trust and the resource policies of all accounts: who may enter which role, and touch which resource.

Identity-based policies are not looked at: an administrator of the principal's account can change them, and what is
opened here is then open. So is a condition whose key the principal does not settle (an external id, a source address, a
tag): it is taken to hold. What a principal does in its own account by its own policies is not part of this.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from standin.iam import as_list, conditions_hold, resource_matches, statements
from standin.principals import account_of, is_service, principal_context
from standin.resource_policies import ResourcePolicies, named, with_resource

_ENTER = "sts:assumerole"


@dataclass(frozen=True, order=True)
class Opening:
    """What a policy opens to a principal.

    Attributes:
        account: The account of the resource.
        resource: ARN of what the policy is attached to.
        actions: The actions, as the policy writes them.
        through: ARNs of the roles that are entered on the way, in order.
    """

    account: str
    resource: str
    actions: tuple[str, ...]
    through: tuple[str, ...] = ()


@dataclass(frozen=True)
class Walk:
    """All ways that policies open.

    Attributes:
        resources: The policies of all accounts.
    """

    resources: ResourcePolicies

    def principals(self, account: str = "*", name: str = "*") -> list[str]:
        """ARNs of the roles that exist, and of the accounts, services and `*` that policies name.

        Args:
            account: Those of this account; services and `*` have none.
            name: Those whose last part is like this.
        """
        written = {text for document in self.resources.documents.values() for text in _named_in(document)}
        roots = {f"arn:aws:iam::{text}:root" if text.isdigit() else text for text in written}
        found = {*filter(_is_role, self.resources.documents), *roots}
        return sorted(
            one for one in found if fnmatchcase(account_of(one), account) and fnmatchcase(one.rpartition("/")[2], name)
        )

    def openings(self, principal: str) -> list[Opening]:
        """What is open to a principal itself.

        Args:
            principal: ARN of a role or user, which need not exist, or of the root of an account; a service; or `*`.
        """
        found = [
            Opening(self.resources.owner(arn), arn, actions)
            for arn, document in self.resources.documents.items()
            if (actions := tuple(_allowed(statements(document), principal)))
        ]
        return sorted(found)

    def entered(self, principal: str) -> dict[str, tuple[str, ...]]:
        """The roles that a principal may enter, itself or through roles that it may enter, with the way to each.

        Args:
            principal: As in `openings`.
        """
        ways = dict[str, tuple[str, ...]]()
        waiting: list[tuple[str, tuple[str, ...]]] = [(principal, ())]
        while waiting:
            here, way = waiting.pop(0)
            for opening in self.openings(here):
                role = opening.resource
                if _is_role(role) and role not in (*ways, principal) and any(map(_enters, opening.actions)):
                    ways[role] = way
                    waiting.append((role, (*way, role)))
        return ways

    def reached(self, principal: str) -> list[Opening]:
        """What is open to a principal, itself or through roles that it may enter.

        Args:
            principal: As in `openings`.
        """
        ways = {principal: ()} | {role: (*way, role) for role, way in self.entered(principal).items()}
        return sorted(
            Opening(opening.account, opening.resource, opening.actions, way)
            for here, way in ways.items()
            for opening in self.openings(here)
        )


def _is_role(arn: str) -> bool:
    return arn.startswith("arn:aws:iam:") and ":role/" in arn


def _enters(pattern: str) -> bool:
    return fnmatchcase(_ENTER, pattern.lower())


def _named_in(document: Mapping[str, Any]) -> Iterator[str]:
    """The principals that a policy names."""
    for statement in statements(document):
        element = statement["Principal"]
        for text in as_list([*element.values()] if isinstance(element, Mapping) else element):
            yield from as_list(text)


def _allowed(written: Sequence[Mapping[str, Any]], principal: str) -> Iterator[str]:
    """The actions, as they are written, that statements allow to a principal if all that is not known of it holds."""
    context = principal_context(principal)
    speaking = [with_resource(statement) for statement in written if named(statement, principal)]
    denies = [each for each in speaking if each["Effect"] == "Deny" and _holds(each, context, unknown=False)]
    for statement in speaking:
        if statement["Effect"] == "Allow" and _holds(statement, context, unknown=True):
            if "NotAction" in statement:
                yield "*"
            for action in as_list(statement.get("Action", [])):
                if not any(_covers(deny, action, statement) for deny in denies):
                    yield action


def _holds(statement: Mapping[str, Any], context: Mapping[str, Any], *, unknown: bool) -> bool:
    """Whether the conditions of a statement hold for a principal; those on other keys are taken to be `unknown`."""
    known = {key.lower() for key in context}
    rows = [
        (operator, key, wanted)
        for operator, keys in statement.get("Condition", {}).items()
        for key, wanted in keys.items()
    ]
    settled = [(operator, key, wanted) for operator, key, wanted in rows if key.lower() in known]
    return (unknown or len(settled) == len(rows)) and all(
        conditions_hold({operator: {key: wanted}}, context) for operator, key, wanted in settled
    )


def _covers(deny: Mapping[str, Any], action: str, allow: Mapping[str, Any]) -> bool:
    """Whether a Deny takes in all that an Allow gives by one of its actions."""
    if {"NotAction", "NotResource"} & deny.keys() or "NotResource" in allow:
        return False
    return any(fnmatchcase(action.lower(), pattern.lower()) for pattern in as_list(deny["Action"])) and all(
        any(resource_matches(pattern, given, {}) for pattern in as_list(deny["Resource"]))
        for given in as_list(allow["Resource"])
    )


def strangers(walk: Walk, account: str) -> dict[str, list[Opening]]:
    """What an account opens to others, by principal; services are at home in every account.

    Args:
        walk: All ways.
        account: The account.
    """
    openings = {
        one: walk.openings(one) for one in walk.principals() if account_of(one) != account and not is_service(one)
    }
    inside = {one: [opening for opening in found if opening.account == account] for one, found in openings.items()}
    return {one: found for one, found in inside.items() if found}
