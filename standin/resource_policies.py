"""Resource-based policies of all accounts, and what they and identity-based policies allow together.

Semantics: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic-cross-account.html and
reference_policies_evaluation-logic_policy-eval-basics.html there; for keys
https://docs.aws.amazon.com/kms/latest/developerguide/key-policies.html.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from standin.calls import Call
from standin.iam import Document, RolePolicies, applies, as_list, statements
from standin.needs import Need, needs
from standin.principals import account_of, is_service, principal_context


class Verdict(Enum):
    """What a resource-based policy says of a principal's action."""

    DENIED = "an explicit Deny"
    ACCOUNT = "its account is allowed, which decides by identity-based policies"
    PRINCIPAL = "the principal itself is allowed"
    SILENT = "nothing"


_OPEN = (Verdict.ACCOUNT, Verdict.PRINCIPAL)
# A key and a role are closed to their own account, too, unless their policy opens them.
_CLOSED = ("arn:aws:kms:", "arn:aws:iam:")


def verdict(document: Document, principal: str, action: str, resource: str, context: Mapping[str, Any]) -> Verdict:
    """What a resource-based policy says.

    Args:
        document: The policy. Its statements may lack a resource, as those of roles and repositories do.
        principal: ARN of a role or user, or a service such as `events.amazonaws.com`.
        action: As `s3:GetObject`.
        resource: An ARN.
        context: Values of condition keys; those of the principal are filled in.

    Raises:
        ValueError: A statement has an element or operator that is not known here.
    """
    known = {**context, **principal_context(principal)}
    found = {
        (statement["Effect"], how)
        for statement in statements(document)
        if (how := named(statement, principal)) and applies(with_resource(statement), action, resource, known)
    }
    if any(effect == "Deny" for effect, _ in found):
        return Verdict.DENIED
    return next((how for how in (Verdict.PRINCIPAL, Verdict.ACCOUNT) if ("Allow", how) in found), Verdict.SILENT)


def with_resource(statement: Mapping[str, Any]) -> Mapping[str, Any]:
    """A statement with a resource: the one that it is attached to, if it names none."""
    return statement if {"Resource", "NotResource"} & statement.keys() else {**statement, "Resource": "*"}


def named(statement: Mapping[str, Any], principal: str) -> Verdict | None:
    """How the `Principal` of a statement takes in a principal: itself, or by its account; None when it does not.

    Raises:
        ValueError: The statement has none, or NotPrincipal.
    """
    if "Principal" not in statement:
        raise ValueError(f"a statement of a resource-based policy has no Principal: {dict(statement)}")
    element = statement["Principal"]
    service = is_service(principal)
    texts = as_list(element.get("Service" if service else "AWS", [])) if isinstance(element, Mapping) else [element]
    if principal in texts or "*" in texts:
        return Verdict.PRINCIPAL
    account = account_of(principal)
    return Verdict.ACCOUNT if not service and {account, f"arn:aws:iam::{account}:root"} & set(texts) else None


@dataclass(frozen=True)
class ResourcePolicies:
    """What the resources of all accounts allow, and to whom they belong; see `deployed.resource_policies`.

    Attributes:
        documents: Policies by ARN: of buckets, keys, queues, topics, repositories, event buses, functions, groups of
            model packages, and roles, whose policy is their trust.
        owners: The account of each bucket, by ARN.
        keys: ARN of the key of each bucket, queue, topic and alias that has one, by ARN.
        bucket_keys: ARNs of the buckets whose objects are encrypted with a bucket key.
        public: Accounts whose resources everybody may use, such as those of AWS's own images.
    """

    documents: Mapping[str, Document]
    owners: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    bucket_keys: frozenset[str] = frozenset()
    public: frozenset[str] = frozenset()

    def needs(self, calls: Iterable[Call]) -> list[Need]:
        """What calls need, in the accounts of the resources that they are about; see `needs.needs`."""
        return needs(calls, self.keys, owners=self.owners, bucket_keys=self.bucket_keys)

    def owner(self, resource: str) -> str:
        """The account of a resource; empty when it is none's.

        Raises:
            LookupError: It is a bucket, or in one, that does not exist.
        """
        if not resource.startswith("arn:aws:s3:::"):
            return account_of(resource)
        bucket = resource.partition("/")[0]
        if bucket not in self.owners:
            raise LookupError(f"there is no bucket {bucket}")
        return self.owners[bucket]

    def verdict(self, principal: str, need: Need) -> Verdict:
        """What the policy of the resource says of what a principal needs."""
        resource = need.shared or need.resource
        document = self.documents.get(policy_holder(resource), {"Statement": []})
        return verdict(document, principal, need.action, resource, need.context)

    def open(self, principal: str, need: Need) -> bool:
        """Whether the resource's side lets a principal of another account do what it needs."""
        return self.owner(need.shared or need.resource) in self.public or self.verdict(principal, need) in _OPEN

    def allow(self, principal: str, identity: RolePolicies, need: Need) -> bool:
        """Whether a principal may do what it needs, by its own policies and by those of the resource.

        Args:
            principal: ARN of a role.
            identity: Its policies.
            need: What it needs.
        """
        resource = need.shared or need.resource
        owner, account = self.owner(resource), account_of(principal)
        context = {**need.context, **principal_context(principal), "aws:ResourceAccount": owner or account}
        if identity.deny(need.action, need.resource, context):
            return False
        allowed = identity.allow(need.action, need.resource, context)
        if owner in self.public:
            return allowed
        said = self.verdict(principal, Need(need.action, need.resource, need.why, context, need.shared))
        if owner not in ("", account):
            return allowed and said in _OPEN
        if resource.startswith(_CLOSED) and need.action.startswith(("kms:", "sts:")):
            return said is Verdict.PRINCIPAL or (said is Verdict.ACCOUNT and allowed)
        # A boundary limits what a policy gives to a role by its ARN.
        direct = said is Verdict.PRINCIPAL and identity.within_boundary(need.action, need.resource, context)
        return said is not Verdict.DENIED and (allowed or direct)


def policy_holder(resource: str) -> str:
    """ARN of what the policy for a resource is attached to."""
    if resource.startswith("arn:aws:s3:::"):
        return resource.partition("/")[0]
    service, rest = (resource.split(":", 5) + [""] * 6)[2:6:3]
    if service == "sagemaker" and rest.startswith("model-package/"):
        group = rest.split("/")[1]
        return ":".join([*resource.split(":")[:5], f"model-package-group/{group}"])
    if service == "lambda" and rest.startswith("function:"):
        return ":".join(resource.split(":")[:7])  # a policy of a version or an alias is not known here
    return resource
