"""Policies that name a principal which does not exist are refused, as AWS refuses them when they are attached.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html: a role or user is replaced
by its id when the policy is saved, for which it must exist; of an account nothing is asked.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from moto.awslambda.policy import Policy
from moto.core.exceptions import JsonRESTError
from moto.ecr.exceptions import InvalidParameterException
from moto.ecr.models import ECRBackend
from moto.events.models import EventsBackend
from moto.iam.exceptions import MalformedPolicyDocument
from moto.iam.models import IAMBackend, iam_backends
from moto.kms.models import KmsBackend
from moto.s3.exceptions import S3ClientError
from moto.s3.models import S3Backend
from moto.sns.exceptions import InvalidParameterValue
from moto.sns.models import SNSBackend
from moto.sqs.exceptions import InvalidAttributeValue
from moto.sqs.models import Queue

from standin.iam import as_list, statements

_ACCOUNT = re.compile(r"\*|\d{12}|arn:aws:iam::\d{12}:root")
_MEMBER = re.compile(
    r"arn:aws:(?:iam::(\d{12}):(role|user)/(?:.*/)?([^/*?]+)|sts::(\d{12}):assumed-(role)/([^/*?]+)/.+)"
)


def missing_principals(policy: str | bytes | Mapping[str, Any] | None) -> list[str]:
    """The roles and users that a policy names as principals and that do not exist, and what is no principal."""
    if not policy:
        return []
    written = policy if isinstance(policy, Mapping) else json.loads(policy)
    document: Mapping[str, Any] = {"Statement": [], **written}
    elements = [statement.get("Principal", {}) for statement in statements(document)]
    named = [text for element in elements if isinstance(element, Mapping) for text in as_list(element.get("AWS", []))]
    return [text for text in named if not _ACCOUNT.fullmatch(text) and not _exists(text)]


def _exists(principal: str) -> bool:
    matched = _MEMBER.fullmatch(principal)
    if matched is None:
        return False
    account, kind, name = (part for part in matched.groups() if part)
    iam = iam_backends[account]["aws"]
    names = {role.name for role in iam.roles.values()} if kind == "role" else set(iam.users)
    return name in names


def _checked(method: Any, policy_of: Callable[..., Any], refusal: Callable[[str], Exception]) -> Any:
    """A method that refuses a policy with principals that are not there.

    Args:
        method: What attaches the policy.
        policy_of: The policy, of the arguments.
        refusal: What is raised, with the reason.
    """

    def checked(*arguments: Any, **named: Any) -> Any:
        if missing := missing_principals(policy_of(*arguments, **named)):
            raise refusal(f'Invalid principal in policy: "AWS":"{missing[0]}"')
        return method(*arguments, **named)

    return checked


def _of_queue(_: Any, attributes: Mapping[str, Any], *__: Any, **___: Any) -> Any:
    return attributes.get("Policy")


def _of_topic(_: Any, __: str, name: str, value: Any) -> Any:
    return value if name.lower() == "policy" else None


def _of_permission(_: Any, raw: str, *__: Any) -> Mapping[str, Any] | None:
    """A policy of one statement for a principal that is an ARN; others are accounts and services."""
    principal = json.loads(raw).get("Principal", "")
    return {"Statement": [{"Principal": {"AWS": principal}}]} if principal.startswith("arn:") else None


def _argument(name: str, position: int) -> Callable[..., Any]:
    """What reads an argument of a method, which comes by its name or its position."""

    def read(*arguments: Any, **named: Any) -> Any:
        return named[name] if name in named else arguments[position]

    return read


def _json_error(code: str) -> Callable[[str], Exception]:
    return lambda why: JsonRESTError(code, why)


@contextmanager
def existing_principals() -> Iterator[None]:
    """Let services refuse policies that name what does not exist, within a `with` block."""
    rows: list[tuple[Any, str, Callable[..., Any], Callable[[str], Exception]]] = [
        (ECRBackend, "set_repository_policy", _argument("policy_text", 3), InvalidParameterException),
        (EventsBackend, "put_permission", _argument("policy", 6), _json_error("ValidationException")),
        (IAMBackend, "create_role", _argument("assume_role_policy_document", 2), MalformedPolicyDocument),
        (IAMBackend, "update_assume_role_policy", _argument("policy_document", 2), MalformedPolicyDocument),
        (KmsBackend, "create_key", _argument("policy", 1), _json_error("MalformedPolicyDocumentException")),
        (KmsBackend, "put_key_policy", _argument("policy", 2), _json_error("MalformedPolicyDocumentException")),
        (Policy, "add_statement", _of_permission, _json_error("InvalidParameterValueException")),
        (Queue, "_set_attributes", _of_queue, lambda _: InvalidAttributeValue("Policy")),
        (S3Backend, "put_bucket_policy", _argument("policy", 2), lambda why: S3ClientError("MalformedPolicy", why)),
        (SNSBackend, "set_topic_attribute", _of_topic, InvalidParameterValue),
    ]
    with pytest.MonkeyPatch.context() as patch:
        for owner, name, policy_of, refusal in rows:
            patch.setattr(owner, name, _checked(getattr(owner, name), policy_of, refusal))
        yield
