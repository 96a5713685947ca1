"""The proof's sixth rung: a role may do what it needs, and nothing more."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from standin.finding import Finding
from standin.iam import RolePolicies, applies, as_list, resource_matches, statements
from standin.needs import Need, catalogue
from standin.principals import principal_context
from standin.resource_policies import ResourcePolicies, policy_holder

OTHERS = "another"
"""What stands for another project, account or service in a resource that must be refused."""
_REFUSED = "which is not allowed"


def findings(
    role: str,
    policies: RolePolicies,
    needs: Sequence[Need],
    own: Iterable[str],
    resources: ResourcePolicies | None = None,
) -> list[Finding]:
    """What a role lacks, and what it has that nothing needs.

    Args:
        role: Its name; its ARN when the policies of resources are given.
        policies: As they are deployed.
        needs: What its calls, and the services that act as it, need.
        own: What makes a resource the project's own: its name, its id, its account. A need must be refused when it is
            put to the same resource of another.
        resources: The policies of the resources of all accounts; without them identity-based policies decide alone.
    """
    denied = _denied(policies, needs) if resources is None else _closed(role, policies, needs, resources)
    found = [*denied, *_too_wide(policies, needs, list(own)), *_unused(policies, needs)]
    return [Finding(role, what) for what in dict.fromkeys(found)]


def _denied(policies: RolePolicies, needs: Sequence[Need]) -> Iterator[str]:
    for need in needs:
        if not policies.allow(need.action, need.resource, need.context):
            yield f"{need.why} needs {need.action} on {need.resource}, {_REFUSED}"


def _closed(role: str, policies: RolePolicies, needs: Sequence[Need], resources: ResourcePolicies) -> Iterator[str]:
    for need in needs:
        try:
            if not resources.allow(role, policies, need):
                yield f"{need.why} needs {need.action} on {need.resource}, {_refusing(role, policies, need)}"
        except LookupError as error:
            yield f"{need.why} needs {need.action} on {need.resource}: {error}"


def _refusing(role: str, policies: RolePolicies, need: Need) -> str:
    """Whose policy it is that does not allow something."""
    context = {**need.context, **principal_context(role)}
    own = policies.allow(need.action, need.resource, context)
    return f"which the policy of {policy_holder(need.shared or need.resource)} does not allow" if own else _REFUSED


def _too_wide(policies: RolePolicies, needs: Sequence[Need], own: Sequence[str]) -> Iterator[str]:
    for need in needs:
        for text in own:
            others = need.resource.replace(text, OTHERS)
            if others != need.resource and policies.allow(need.action, others, need.context):
                yield f"{need.action} is allowed on {others}, which is another project's or account's"
        if need.action == "iam:PassRole":
            service = {**need.context, "iam:PassedToService": f"{OTHERS}.amazonaws.com"}
            if policies.allow(need.action, need.resource, service):
                yield f"{need.resource} may be passed to any service"


def _unused(policies: RolePolicies, needs: Sequence[Need]) -> Iterator[str]:
    for document in policies.allowed:
        for statement in statements(document):
            if statement["Effect"] == "Allow":
                yield from _unused_in(statement, needs)


def _unused_in(statement: Mapping[str, Any], needs: Sequence[Need]) -> Iterator[str]:
    if "NotAction" in statement or "NotResource" in statement:
        yield "a statement allows everything but something; say what it allows"
        return
    using = [need for need in needs if applies(statement, need.action, need.resource, need.context)]
    needed = {need.action.lower() for need in using}
    for action in as_list(statement["Action"]):
        if {"*", "?"} & set(action):
            yield f"{action} allows whatever AWS may add; name the actions"
        elif action.lower() not in catalogue():
            yield f"{action} is no action of IAM"
        elif action.lower() not in needed:
            yield f"nothing needs {action} on {' or '.join(as_list(statement['Resource']))}"
    for pattern in as_list(statement["Resource"]):
        if not any(resource_matches(pattern, need.resource, need.context) for need in using):
            yield f"nothing is done to {pattern}, which a statement allows"
