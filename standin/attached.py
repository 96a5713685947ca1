"""The resource-based policies that are attached in all accounts of this process."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from moto.awslambda.models import lambda_backends
from moto.ecr.models import ecr_backends
from moto.events.models import events_backends
from moto.iam.models import iam_backends
from moto.kms.models import kms_backends
from moto.s3.models import FakeBucket, s3_backends
from moto.sagemaker.models import sagemaker_backends
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends

from standin.iam import Document
from standin.resource_policies import ResourcePolicies


def resource_policies(*, public: frozenset[str] = frozenset()) -> ResourcePolicies:
    """Read the policies of all resources of all accounts, with what their evaluation takes.

    Args:
        public: Accounts whose resources everybody may use, such as those of AWS's own images.
    """
    documents = {arn: _document(text) for arn, text in _texts() if text}
    buckets = {f"arn:aws:s3:::{bucket.name}": bucket for bucket in _buckets()}
    return ResourcePolicies(
        documents,
        {arn: bucket.account_id for arn, bucket in buckets.items()},
        dict(_keys(buckets)),
        frozenset(
            arn for arn, bucket in buckets.items() if str(_rule(bucket).get("BucketKeyEnabled")).lower() == "true"
        ),
        public,
    )


def roles() -> dict[str, Document]:
    """The trust of each role of each account, by ARN."""
    return {
        role.arn: _document(role.assume_role_policy_document)
        for iam in _all(iam_backends)
        for role in iam.roles.values()
    }


def bucket_key(bucket: FakeBucket) -> str:
    """ARN of the key that objects of a bucket are encrypted with; empty when it is S3's own."""
    return _key_arn(_rule(bucket).get("ApplyServerSideEncryptionByDefault", {}).get("KMSMasterKeyID"), bucket)


def _document(text: str | bytes | Mapping[str, Any]) -> Document:
    return {"Statement": [], **(text if isinstance(text, Mapping) else json.loads(text))}


def _all(backends: Any) -> Iterator[Any]:
    """What a service holds, by account and Region."""
    for account in list(backends.values()):
        yield from list(account.values())


def _texts() -> Iterator[tuple[str, Any]]:
    for bucket in _buckets():
        yield f"arn:aws:s3:::{bucket.name}", bucket.policy
    for kms in _all(kms_backends):
        yield from ((key.arn, key.policy) for key in kms.keys.values())
    for ecr in _all(ecr_backends):
        yield from ((repository.arn, repository.policy) for repository in ecr.repositories.values())
    for sagemaker in _all(sagemaker_backends):
        groups = sagemaker.model_package_groups.values()
        yield from ((group.arn, vars(group).get("resource_policy")) for group in groups)
    for sqs in _all(sqs_backends):
        yield from ((queue.queue_arn, queue.policy) for queue in sqs.queues.values())
    for sns in _all(sns_backends):
        yield from ((topic.arn, topic.policy) for topic in sns.topics.values())
    for events in _all(events_backends):
        yield from ((bus.arn, bus.policy) for bus in events.event_buses.values())
    for functions in _all(lambda_backends):
        for function in functions.list_functions():
            statements = function.policy.statements
            yield function.function_arn, {"Statement": statements} if statements else None
    yield from roles().items()


def _buckets() -> Iterator[FakeBucket]:
    for s3 in _all(s3_backends):
        yield from s3.buckets.values()


def _rule(bucket: FakeBucket) -> Mapping[str, Any]:
    rule: Mapping[str, Any] = (bucket.encryption or {}).get("Rule", {})
    return rule


def _keys(buckets: Mapping[str, FakeBucket]) -> Iterator[tuple[str, str]]:
    found = [(arn, bucket_key(bucket)) for arn, bucket in buckets.items()]
    for sqs in _all(sqs_backends):
        found += [
            (queue.queue_arn, _key_arn(vars(queue).get("kms_master_key_id"), queue)) for queue in sqs.queues.values()
        ]
    for sns in _all(sns_backends):
        found += [(topic.arn, _key_arn(topic.kms_master_key_id, sns)) for topic in sns.topics.values()]
    for kms in _all(kms_backends):
        for key in kms.keys.values():
            found += [(f"{_place(kms)}:{alias}", key.arn) for alias in key.aliases]
    yield from ((arn, key) for arn, key in found if key)


def _key_arn(said: str | None, user: Any) -> str:
    """ARN of the key that is named by its ARN, its id or an alias; empty for AWS's own keys."""
    if not said or "alias/aws/" in said:
        return ""
    if ":key/" in said:
        return said
    kms = kms_backends[user.account_id][getattr(user, "region", None) or user.region_name]
    if "alias/" not in said:
        return f"{_place(kms)}:key/{said}"
    return f"{_place(kms)}:key/{kms.get_key_id_from_alias(said.rpartition(':')[2])}"


def _place(kms: Any) -> str:
    return f"arn:aws:kms:{kms.region_name}:{kms.account_id}"
