"""What deleted stacks have left behind on purpose, found so that the stack that would make it anew imports it.

A change set of type IMPORT takes their identifiers. By itself (ImportExistingResources) CloudFormation would import
only what has a literal name in the template and an identifier that is not read-only, as keys and groups have it:
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/import-resources-automatically.html
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from mlops.base.errors import MlopsError, UsageError
from mlops.deployment import intrinsics
from mlops.deployment.templates import Template, values_at
from mlops.project.account import Account, aws_errors, is_missing

_KEY = "AWS::KMS::Key"


@dataclass(frozen=True)
class LeftBehind:
    """A resource that exists and belongs to no stack.

    Attributes:
        identifier: What CloudFormation knows it by: the primary identifier of its type.
        properties: Those that cannot be changed once it exists, as they are.
        key: The KMS key that it is encrypted with, as the service names it; None for none.
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
"""By type, the property that names a resource, and how one of that name is looked up."""

FOUND = frozenset({*_NAMED, _KEY})
"""The types that are looked for: keys by what is encrypted with them, the others by name."""


def left_behind(
    account: Account, template: Template, parameters: Mapping[str, str], made: Collection[str]
) -> dict[str, LeftBehind]:
    """Find what exists of the resources that a template retains and its stack does not hold.

    Args:
        account: Where to look.
        template: The template.
        parameters: Values of its parameters; the others take their defaults.
        made: The logical ids of what the stack holds.

    Returns:
        By logical id.

    Raises:
        MlopsError: A name is known only after a deployment, a key can no longer be used, or AWS refuses a call.
    """
    values = {
        **template.with_defaults(parameters),
        **{"AWS::AccountId": account.id, "AWS::Partition": "aws", "AWS::Region": account.region},
    }
    wanted = [name for name in template.retained() if name not in made and _is_made(name, template, values)]
    found: dict[str, LeftBehind] = {}
    for logical in wanted:
        resource = template.resources[logical]
        if resource["Type"] in _NAMED:
            property_, look_up = _NAMED[resource["Type"]]
            name = _text(resource["Properties"][property_], f"{property_} of {logical}", values)
            with aws_errors(f"find out whether {name} is there"):
                try:
                    found[logical] = look_up(account, name)
                except ClientError as error:
                    if not is_missing(error):
                        raise
    keys: dict[str, LeftBehind] = {}
    for logical in wanted:
        if template.resources[logical]["Type"] == _KEY:
            for holder, key in _encrypted_with(logical, template, found):
                keys |= _key(account, logical, holder, key)
    return found | keys


def _is_made(logical: str, template: Template, values: Mapping[str, str]) -> bool:
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
        f"The {what}, which is retained, cannot be known before it is deployed: {error}.",
        "Write it with parameters, !Ref and !Sub: what an earlier stack has left behind is found by it.",
    )


def _encrypted_with(logical: str, template: Template, found: Mapping[str, LeftBehind]) -> Iterator[tuple[str, str]]:
    """What was found that a template encrypts with one of its keys, each with the key that it really has."""
    for holder, one in found.items():
        if one.key and [logical, "Arn"] in values_at("Fn::GetAtt", template.resources[holder]):
            yield next(iter(one.identifier.values())), one.key


def _key(account: Account, logical: str, holder: str, key: str) -> dict[str, LeftBehind]:
    """The key that something is encrypted with; none when it is not a key of this account's own.

    Raises:
        MlopsError: It can no longer be used.
    """
    with aws_errors(f"look up the key {key} of {holder}"):
        described = account.kms.describe_key(KeyId=key)["KeyMetadata"]
    if described["KeyManager"] != "CUSTOMER" or described["AWSAccountId"] != account.id:
        return {}
    if described["KeyState"] != "Enabled":
        cancel = f"aws kms cancel-key-deletion --key-id {described['KeyId']} && "
        raise MlopsError(
            f"What is in {holder} is encrypted with the key {described['KeyId']}, which is {described['KeyState']}.",
            f"{cancel if described['KeyState'] == 'PendingDeletion' else ''}"
            f"aws kms enable-key --key-id {described['KeyId']}; or remove {holder}, if nobody needs what is in it.",
        )
    return {logical: LeftBehind({"KeyId": described["KeyId"]}, {})}
