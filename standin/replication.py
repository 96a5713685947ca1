"""Replication of S3: what is put into a bucket is in the destinations of its rules at once, or has failed.

moto keeps the rules, and copies nothing.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from moto.backends import get_backend
from moto.s3.exceptions import S3ClientError
from moto.s3.models import FakeBucket, FakeKey, S3Backend, s3_backends

from standin.attached import bucket_key, resource_policies, roles
from standin.iam import role_policies, statements
from standin.needs import Need
from standin.principals import account_of
from standin.resource_policies import ResourcePolicies
from standin.service_side import service_needs

_PLACE = "aws"
"""Where moto keeps what belongs to no Region."""

_Rule = Mapping[str, Any]
_BUCKET = "arn:aws:s3:::"


@contextmanager
def replication(client: Callable[[str, str], Any]) -> Iterator[None]:
    """Let buckets replicate within a `with` block.

    Args:
        client: The client of a service, in an account: what its policies are read with.
    """
    put_object, put_replication = S3Backend.put_object, S3Backend.put_bucket_replication

    def configured(backend: S3Backend, bucket_name: str, replication: dict[str, Any]) -> None:
        put_replication(backend, bucket_name, replication)
        try:
            for rule in replication["Rule"]:
                _require_possible(replication["Role"], rule)
        except S3ClientError:
            backend.delete_bucket_replication(bucket_name)
            raise

    def put(backend: S3Backend, *arguments: Any, **named: Any) -> FakeKey:
        key = put_object(backend, *arguments, **named)
        bucket = backend.get_bucket(str(key.bucket_name))
        role, rules = _configuration(bucket)
        for rule in _applying(rules, key.name):
            destination, resources = _destination(rule), resource_policies()
            wanted = list(needs(resources, bucket.name, rule, key.name))
            policies = role_policies(client("iam", account_of(role)), role) if role in roles() else None
            if policies and all(resources.allow(role, policies, need) for need in wanted) and _takes(bucket, rule):
                home = s3_backends[destination.account_id][_PLACE]
                replica = put_object(home, destination.name, key.name, key.value, kms_key_id=bucket_key(destination))
                replica.last_modified = key.last_modified
            else:
                _count_failure(bucket, destination, rule)
        return key

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(S3Backend, "put_bucket_replication", configured)
        patch.setattr(S3Backend, "put_object", put)
        yield


def rules_of(account: str, bucket: str) -> list[_Rule]:
    """The rules of a bucket of an account."""
    return _configuration(s3_backends[account][_PLACE].get_bucket(bucket))[1]


def needs(resources: ResourcePolicies, bucket: str, rule: _Rule, key: str) -> Iterator[Need]:
    """What the role of a rule needs, to replicate an object.

    Args:
        resources: The policies of all resources.
        bucket: The name of the object's bucket.
        rule: The rule.
        key: The object's key.
    """
    source, replica = f"{_BUCKET}{bucket}", rule["Destination"]["Bucket"]
    destination = replica.removeprefix(_BUCKET)
    yield from service_needs("s3 replication", bucket=bucket, destination=destination, key=key)
    replica_key = resources.keys.get(_replica_key(rule), _replica_key(rule))
    for side, one, used in (("source", source, resources.keys.get(source)), ("replica", replica, replica_key)):
        context = one if one in resources.bucket_keys else f"{one}/{key}"
        if used:
            region = used.split(":")[3]
            yield from service_needs(f"s3 replication {side} key", region=region, encryption_key=used, context=context)


def _configuration(bucket: FakeBucket) -> tuple[str, list[_Rule]]:
    """The role and the rules of a bucket."""
    found = getattr(bucket, "replication", None)
    return (found["Role"], found["Rule"]) if found else ("", [])


def _applying(rules: list[_Rule], key: str) -> Iterator[_Rule]:
    """The rules for an object: of each destination that with the highest priority.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication-add-config.html
    """
    found: dict[str, _Rule] = {}
    for rule in sorted(rules, key=lambda rule: int(rule["Priority"])):
        if rule["Status"] == "Enabled" and key.startswith((rule.get("Filter") or {}).get("Prefix") or ""):
            found[rule["Destination"]["Bucket"]] = rule
    yield from found.values()


def _destination(rule: _Rule) -> FakeBucket:
    name = rule["Destination"]["Bucket"].removeprefix(_BUCKET)
    partition, account = s3_backends.bucket_accounts[name]
    return s3_backends[account][partition].get_bucket(name)


def _require_possible(role: str, rule: _Rule) -> None:
    """Refuse a rule that could not replicate.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication-requirements.html
    """
    name = rule["Destination"]["Bucket"].removeprefix(_BUCKET)
    if name not in s3_backends.bucket_accounts:
        raise S3ClientError("InvalidRequest", "Destination bucket must exist.")
    if not _destination(rule).is_versioned:
        raise S3ClientError("InvalidRequest", "Destination bucket must have versioning enabled.")
    trusting = statements(roles().get(role, {"Statement": []}))
    if not any(each.get("Principal") == {"Service": "s3.amazonaws.com"} for each in trusting):
        raise S3ClientError("InvalidRequest", f"S3 cannot assume the role {role}.")


def _replica_key(rule: _Rule) -> str:
    return str((rule["Destination"].get("EncryptionConfiguration") or {}).get("ReplicaKmsKeyID", ""))


def _takes(bucket: FakeBucket, rule: _Rule) -> bool:
    """Whether a rule takes in objects under a key, and says the replicas' key: without, S3 leaves them out.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication-config-for-kms-objects.html
    """
    criteria = (rule.get("SourceSelectionCriteria") or {}).get("SseKmsEncryptedObjects") or {}
    is_named = re.fullmatch(r"arn:aws:kms:[^:]+:\d{12}:(key|alias)/.+", _replica_key(rule))
    return not bucket_key(bucket) or (criteria.get("Status") == "Enabled" and bool(is_named))


def _count_failure(bucket: FakeBucket, destination: FakeBucket, rule: _Rule) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/metrics-dimensions.html."""
    if (rule["Destination"].get("Metrics") or {}).get("Status") == "Enabled":
        named = {"SourceBucket": bucket.name, "DestinationBucket": destination.name, "RuleId": rule["ID"]}
        dimensions = [{"Name": name, "Value": value} for name, value in named.items()]
        get_backend("cloudwatch")[bucket.account_id][bucket.region_name].put_metric_data(
            "AWS/S3", [{"MetricName": "OperationsFailedReplication", "Value": 1, "Dimensions": dimensions}]
        )
