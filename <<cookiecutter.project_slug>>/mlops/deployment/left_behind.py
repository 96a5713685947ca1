"""Find the resources that deleted stacks retained, so that the stack that would create them again imports them.

A change set of type IMPORT takes their identifiers. By itself (ImportExistingResources) CloudFormation imports only
resources with a literal name in the template and an identifier that is not read-only, unlike that of keys and groups:
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/import-resources-automatically.html
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mlops.base.errors import MlopsError, UsageError
from mlops.deployment import intrinsics
from mlops.deployment.templates import Template, values_at
from mlops.project.account import Account, aws_errors, if_exists

_KEY = "AWS::KMS::Key"


@dataclass(frozen=True)
class LeftBehind:
    """A resource that exists and belongs to no stack.

    Attributes:
        identifier: The primary identifier of its type, by which CloudFormation imports it.
        properties: The current values of its immutable properties.
        key: The KMS key that it is encrypted with, as the service returns it; None without a key.
    """

    identifier: Mapping[str, str]
    properties: Mapping[str, Any]
    key: str | None = None


def _bucket(account: Account, name: str) -> LeftBehind:
    owner = {"Bucket": name, "ExpectedBucketOwner": account.id}
    account.s3.head_bucket(**owner)
    (rule,) = account.s3.get_bucket_encryption(**owner)["ServerSideEncryptionConfiguration"]["Rules"]
    key = rule["ApplyServerSideEncryptionByDefault"].get("KMSMasterKeyID")
    return LeftBehind({"BucketName": name}, {"BucketName": name}, key)


def _image_repository(account: Account, name: str) -> LeftBehind:
    (found,) = account.ecr.describe_repositories(repositoryNames=[name])["repositories"]
    encryption = {member[0].upper() + member[1:]: value for member, value in found["encryptionConfiguration"].items()}
    properties = {"RepositoryName": name, "EncryptionConfiguration": encryption}
    return LeftBehind({"RepositoryName": name}, properties, encryption.get("KmsKey"))


def _source_repository(account: Account, name: str) -> LeftBehind:
    found = account.codecommit.get_repository(repositoryName=name)["repositoryMetadata"]
    return LeftBehind({"RepositoryId": found["repositoryId"]}, {"RepositoryName": name})


def _model_package_group(account: Account, name: str) -> LeftBehind:
    found = account.sagemaker.describe_model_package_group(ModelPackageGroupName=name)
    properties = {"ModelPackageGroupName": name}
    if "ModelPackageGroupDescription" in found:
        properties["ModelPackageGroupDescription"] = found["ModelPackageGroupDescription"]
    identifier = {"ModelPackageGroupArn": found["ModelPackageGroupArn"]}
    return LeftBehind(identifier, properties)


_NAMED = {
    "AWS::CodeCommit::Repository": ("RepositoryName", _source_repository),
    "AWS::ECR::Repository": ("RepositoryName", _image_repository),
    "AWS::S3::Bucket": ("BucketName", _bucket),
    "AWS::SageMaker::ModelPackageGroup": ("ModelPackageGroupName", _model_package_group),
}
"""By type: the property that names a resource, and the function that looks it up by name."""

FOUND = frozenset({*_NAMED, _KEY})
"""The types that can be found: keys by what is encrypted with them, the others by name."""


def left_behind(
    account: Account, template: Template, parameters: Mapping[str, str], held: Collection[str]
) -> dict[str, LeftBehind]:
    """Find existing resources that a template retains and its stack does not contain.

    Args:
        account: The account to search.
        template: The template.
        parameters: Values of its parameters; the others take their defaults.
        held: The logical ids of the stack's resources.

    Returns:
        The resources by logical id.

    Raises:
        MlopsError: A name is known only after a deployment, a key is no longer usable, or an AWS call fails.
    """
    values = {
        **template.with_defaults(parameters),
        **{"AWS::AccountId": account.id, "AWS::Partition": "aws", "AWS::Region": account.region},
    }
    missing = [name for name in template.retained() if name not in held and _is_created(name, template, values)]
    found: dict[str, LeftBehind] = {}
    for logical in missing:
        resource = template.resources[logical]
        if resource["Type"] in _NAMED:
            property_, look_up = _NAMED[resource["Type"]]
            name = _text(resource["Properties"][property_], f"{property_} of {logical}", values)
            with aws_errors(f"look up {name}"):
                existing = if_exists(look_up, account, name)
            if existing is not None:
                found[logical] = existing
    keys: dict[str, LeftBehind] = {}
    for logical in missing:
        if template.resources[logical]["Type"] == _KEY:
            for holder, key in _encrypted_with(logical, template, found):
                keys |= _key(account, logical, holder, key)
    return found | keys


def _is_created(logical: str, template: Template, values: Mapping[str, str]) -> bool:
    name = template.resources[logical].get("Condition")
    try:
        return name is None or intrinsics.holds({"Condition": name}, template.content["Conditions"], values)
    except LookupError as error:
        raise _unknown(f"Condition of {logical}", error) from None


def _text(expression: Any, what: str, values: Mapping[str, str]) -> str:
    try:
        return intrinsics.text(expression, values)
    except LookupError as error:
        raise _unknown(what, error) from None


def _unknown(what: str, error: LookupError) -> MlopsError:
    return UsageError(
        f"The {what}, a retained resource, cannot be resolved before the deployment: {error}.",
        "Write it with parameters, !Ref and !Sub: it identifies what an earlier stack retained.",
    )


def _encrypted_with(logical: str, template: Template, found: Mapping[str, LeftBehind]) -> Iterator[tuple[str, str]]:
    """Yield the found resources that a template encrypts with one of its keys, each with its actual key."""
    for holder, one in found.items():
        if one.key and [logical, "Arn"] in values_at("Fn::GetAtt", template.resources[holder]):
            yield next(iter(one.identifier.values())), one.key


def _key(account: Account, logical: str, holder: str, key: str) -> dict[str, LeftBehind]:
    """Return the key that a resource is encrypted with; empty if it is not a customer key of this account.

    Raises:
        MlopsError: The key is not usable.
    """
    with aws_errors(f"look up the key {key} of {holder}"):
        described = account.kms.describe_key(KeyId=key)["KeyMetadata"]
    if described["KeyManager"] != "CUSTOMER" or described["AWSAccountId"] != account.id:
        return {}
    if command := enabling(described):
        raise MlopsError(
            f"{holder} is encrypted with the key {described['KeyId']}, which is {described['KeyState']}.",
            f"{command}; or delete {holder} if it is no longer needed.",
        )
    return {logical: LeftBehind({"KeyId": described["KeyId"]}, {})}


def enabling(key: Mapping[str, Any]) -> str:
    """Return the command that makes a key usable again; empty if it is usable.

    Args:
        key: The metadata of the key, as KMS returns it.
    """
    if key["KeyState"] == "Enabled":
        return ""
    cancel = f"aws kms cancel-key-deletion --key-id {key['KeyId']} && "
    return f"{cancel if key['KeyState'] == 'PendingDeletion' else ''}aws kms enable-key --key-id {key['KeyId']}"
