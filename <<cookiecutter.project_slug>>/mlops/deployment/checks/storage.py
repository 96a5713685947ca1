"""The buckets and keys: those that the shared stacks create, and those that the configuration names."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from mlops.base.commands import MLOPS
from mlops.base.environments import ENVIRONMENTS, SHARED
from mlops.deployment import intrinsics, templates
from mlops.deployment.checks.check import Subject
from mlops.deployment.checks.finding import Finding, Level
from mlops.deployment.left_behind import enabling
from mlops.deployment.templates import values_at
from mlops.project import keys
from mlops.project.account import Account, aws_errors, if_exists, is_denied, is_missing
from mlops.project.target import Target

_BUCKET, _ALIAS = "AWS::S3::Bucket", "AWS::KMS::Alias"
_NAMES = {_BUCKET: "BucketName", _ALIAS: "AliasName"}
_BUCKETS = ("bucket", "model_bucket")
"""The settings that name a bucket."""

_KMS = "aws:kms"


@dataclass(frozen=True)
class _Resource:
    """A bucket or a key.

    Attributes:
        name: The name of the bucket, or the alias or the ARN of the key.
        stack: The stack that creates it; empty for one that the configuration names.
        setting: The setting that names it; empty for one of a stack.
        encryption: The algorithm that a bucket should be encrypted with.
    """

    name: str
    stack: str = ""
    setting: str = ""
    encryption: str = _KMS


def buckets(subject: Subject) -> Iterator[Finding]:
    """Yield the buckets that are missing, belong to another account, or are not encrypted as they should be.

    Raises:
        MlopsError: A bucket cannot be looked up.
    """
    account, later = subject.target.account, list[str]()
    for bucket in _buckets(subject.target):
        try:
            with aws_errors(f"look up the bucket {bucket.name}"):
                encryption = _encryption(account, bucket.name)
        except PermissionError:
            yield _denied(account, bucket)
            continue
        if encryption is None and _comes_later(subject, bucket):
            later.append(bucket.name)
        elif encryption is None:
            yield _absent(subject, bucket, f"The bucket {bucket.name}")
        elif not encryption["SSEAlgorithm"].startswith(bucket.encryption):
            yield _weakly_encrypted(bucket, encryption["SSEAlgorithm"])
        elif _comes_later(subject, bucket) and "KMSMasterKeyID" in encryption:
            # An earlier stack retained it; its key has no alias any more.
            yield from _usable(account, encryption["KMSMasterKeyID"])
    yield from _not_yet("Buckets", later)


def encryption_keys(subject: Subject) -> Iterator[Finding]:
    """Yield the keys that are missing or cannot be used.

    Raises:
        MlopsError: A key cannot be looked up.
    """
    account, later = subject.target.account, list[str]()
    for key in _keys(subject.target):
        with aws_errors(f"look up the key {key.name}"):
            metadata = _metadata(account, key.name)
        if metadata is None and _comes_later(subject, key):
            later.append(key.name)
        elif metadata is None:
            yield _absent(subject, key, f"The key {key.name}")
        else:
            yield from _enabled(key.name, metadata)
    yield from _not_yet("Keys", later)


def _encryption(account: Account, name: str) -> Mapping[str, str] | None:
    """Return how a bucket is encrypted; None if it does not exist.

    Raises:
        PermissionError: S3 denies access.
    """
    owner = {"Bucket": name, "ExpectedBucketOwner": account.id}
    try:
        account.s3.head_bucket(**owner)
    except ClientError as error:
        if is_missing(error):
            return None
        if is_denied(error):
            raise PermissionError(name) from None
        raise
    (rule,) = account.s3.get_bucket_encryption(**owner)["ServerSideEncryptionConfiguration"]["Rules"]
    found: Mapping[str, str] = rule["ApplyServerSideEncryptionByDefault"]
    return found


def _metadata(account: Account, name: str) -> Mapping[str, Any] | None:
    found = if_exists(account.kms.describe_key, KeyId=name)
    return found and found["KeyMetadata"]


def _usable(account: Account, key: str) -> Iterator[Finding]:
    with aws_errors(f"look up the key {key}"):
        metadata = _metadata(account, key)
    if metadata is not None:
        yield from _enabled(key, metadata)


def _enabled(name: str, metadata: Mapping[str, Any]) -> Iterator[Finding]:
    if command := enabling(metadata):
        yield Finding(
            Level.BLOCKS,
            what=f"The key {name} is {metadata['KeyState']}.",
            cost="Nothing that it encrypts can be read or written.",
            remedy=command,
        )


def _denied(account: Account, bucket: _Resource) -> Finding:
    command = f"aws s3api head-bucket --bucket {bucket.name} --expected-bucket-owner {account.id}"
    return Finding(
        Level.WARNING,
        what=f"S3 denies access to the bucket {bucket.name} as a bucket of account {account.id}.",
        cost="If it belongs to another account, deployments and jobs fail: they check its owner.",
        remedy=f"Ask for permission, or correct `{bucket.setting or 'project_id'}`. To check: {command}",
    )


def _weakly_encrypted(bucket: _Resource, algorithm: str) -> Finding:
    return Finding(
        Level.WARNING,
        what=f"The bucket {bucket.name} is encrypted with {algorithm}, not with {bucket.encryption}.",
        cost="Permission to read the bucket is enough to read what is written to it without a key.",
        remedy=f"Set a KMS key: aws s3api put-bucket-encryption --bucket {bucket.name} "
        "--server-side-encryption-configuration ...",
    )


def _comes_later(subject: Subject, resource: _Resource) -> bool:
    """Return whether the stack that creates a resource is not deployed yet."""
    return bool(resource.stack) and subject.stack(resource.stack, SHARED) is None


def _not_yet(kind: str, names: list[str]) -> Iterator[Finding]:
    if names:
        yield Finding(
            Level.PENDING,
            what=f"{kind} that do not exist yet: {', '.join(names)}.",
            cost="The stacks create them.",
            remedy=f"{MLOPS} deploy --environment {SHARED}",
        )


def _absent(subject: Subject, resource: _Resource, what: str) -> Finding:
    if resource.setting:
        file = subject.target.settings.file(resource.setting)
        return Finding(
            Level.BLOCKS,
            what=f"{what}, `{resource.setting}` in {file}, does not exist.",
            cost="Deployments and jobs that use it fail.",
            remedy=f"Create it, or correct `{resource.setting}` in {file}.",
        )
    stack = subject.target.names.stack(resource.stack, SHARED)
    place = f"--environment {SHARED} --stack {resource.stack}"
    return Finding(
        Level.BLOCKS,
        what=f"{what} of the stack {stack} does not exist any more.",
        cost="Deployments and jobs that use it fail; what it held or encrypted is lost.",
        remedy=f"Deploy the stack anew: {MLOPS} destroy {place} && {MLOPS} deploy {place}",
    )


def _buckets(target: Target) -> Iterator[_Resource]:
    yield from _created(target, _BUCKET)
    for setting in _BUCKETS if not _uses_shared(target) else ():
        name = str(target.settings[setting])
        is_used = setting == "bucket" or not target.project.deploys_only
        if is_used and not (target.owns_account and name in (target.names.data_bucket, target.names.model_bucket)):
            yield _Resource(name, setting=setting)


def _keys(target: Target) -> Iterator[_Resource]:
    yield from _created(target, _ALIAS)
    for setting, suffix in keys.KEYS.items() if not _uses_shared(target) else ():
        if arn := target.settings.settings.get(setting):
            yield _Resource(str(arn), setting=setting)
        elif setting in keys.unnamed(target) and not target.owns_account:
            yield _Resource(target.names.key_alias(suffix), setting=setting)


def _created(target: Target, type_: str) -> Iterator[_Resource]:
    """Yield the resources of a type that the shared stacks always create."""
    values = {"ProjectName": target.project.slug, "ProjectId": target.names.id}
    shared = [one.stack for one in target.shared.stacks if one.account == target.account_name]
    for stack in shared if target.owns_account else ():
        template = templates.read(target.project.root, stack)
        for logical in template.of_type(type_):
            resource = template.resources[logical]
            encryption = next(values_at("SSEAlgorithm", resource), "")
            with suppress(LookupError):  # the name is known only after the deployment
                if "Condition" not in resource:
                    name = intrinsics.text(resource["Properties"][_NAMES[type_]], values)
                    yield _Resource(name, stack.name, encryption=encryption)


def _uses_shared(target: Target) -> bool:
    """Return whether an environment names no storage of its own."""
    shared, own = target.shared.settings.settings, target.settings.settings
    place = ("account", *_BUCKETS, *keys.KEYS)
    return (
        target.environment in ENVIRONMENTS
        or target.experiments
        or (target.environment != SHARED and all(shared.get(key) == own.get(key) for key in place))
    )
