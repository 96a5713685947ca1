"""Calls that reach into another account: they get there if the policies of its resources allow it to the caller.

A caller's own policies are not looked at here, as no call's are; `policies.findings` judges them afterwards. What is
not in the table stays in the caller's account, where the other account's resource is not found.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from moto.awslambda.exceptions import LambdaClientError
from moto.awslambda.models import LambdaFunction
from moto.s3.exceptions import S3AccessDeniedError
from moto.s3.models import s3_backends
from moto.s3.responses import S3Response
from moto.sagemaker.models import sagemaker_backends

from standin.attached import bucket_key, resource_policies
from standin.calls import Call
from standin.gaps import RefusedError, Where
from standin.principals import CALLER, account_of

Message = Mapping[str, Any]
_Account = Callable[[Message], str]


class ForbiddenError(Exception):
    """The resource's account does not allow a call to a principal of another account."""


def require_open(call: Call) -> None:
    """Refuse a call that a resource of another account is not open to.

    Args:
        call: Its role is the principal that makes it.

    Raises:
        ForbiddenError: A policy of one of the resources does not allow it.
    """
    resources, account = resource_policies(), account_of(call.role)
    for need in resources.needs([call]):
        if resources.owner(need.shared or need.resource) not in ("", account) and not resources.open(call.role, need):
            raise ForbiddenError(
                f"User: {call.role} is not authorized to perform: {need.action} on resource: "
                f"{need.shared or need.resource} because no resource-based policy allows the {need.action} action"
            )


def _in(member: str) -> _Account:
    return lambda request: account_of(str(request.get(member, "")))


def _of_queue(request: Message) -> str:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-queue-message-identifiers.html."""
    found = re.search(r"/(\d{12})/[^/]+$", request.get("QueueUrl", ""))
    return found[1] if found else str(request.get("QueueOwnerAWSAccountId", ""))


def _of_registry(request: Message) -> str:
    return str(request.get("registryId", ""))


_KMS = (
    *("CreateGrant", "Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey"),
    *("GenerateDataKeyWithoutPlaintext", "GetPublicKey", "Sign", "Verify"),
)
"""https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-modifying-external-accounts.html."""
_ECR = (
    *("BatchCheckLayerAvailability", "BatchGetImage", "CompleteLayerUpload", "DescribeImageScanFindings"),
    *("DescribeImages", "DescribeRepositories", "GetDownloadUrlForLayer", "InitiateLayerUpload", "ListImages"),
    *("PutImage", "UploadLayerPart"),
)
_SQS = (
    *("ChangeMessageVisibility", "DeleteMessage", "GetQueueAttributes", "GetQueueUrl", "PurgeQueue", "ReceiveMessage"),
    *("SendMessage", "SendMessageBatch"),
)
_GROUP, _PACKAGE = "ModelPackageGroupName", "ModelPackageName"

CROSSINGS: Mapping[tuple[str, str], _Account] = {
    **{("ecr", name): _of_registry for name in _ECR},
    **{("kms", name): _in("KeyId") for name in _KMS},
    **{("sqs", name): _of_queue for name in _SQS},
    ("sagemaker", "CreateModelPackage"): _in(_GROUP),
    ("sagemaker", "DescribeModelPackage"): _in(_PACKAGE),
    ("sagemaker", "DescribeModelPackageGroup"): _in(_GROUP),
    ("sagemaker", "ListModelPackages"): _in(_GROUP),
    ("sagemaker", "UpdateModelPackage"): _in("ModelPackageArn"),
}
"""The account that a request is about, by service and operation; empty when the request does not say."""


def account_reached(operation: tuple[str, str], request: Message, where: Where) -> str:
    """The account in which a request is to be answered.

    Raises:
        ForbiddenError: It is another one than the caller's, which does not allow the call.
    """
    account = CROSSINGS[operation](request) or where.account
    if account != where.account:
        require_open(Call(CALLER.get(), *operation, request, where.region))
    return account


def in_its_account(request: Message) -> dict[str, Any]:
    """A request as moto understands it in the account of its group, which it knows by name alone."""
    group = str(request.get(_GROUP, ""))
    return {**request, _GROUP: group.rpartition("/")[2]} if group.startswith("arn:") else dict(request)


def _require_packages(where: Where, request: Message) -> None:
    """Refuse a model of a version of another account that is not there, or not open to the caller."""
    require_open(Call(CALLER.get(), "sagemaker", "CreateModel", request, where.region))
    for container in (*request.get("Containers", []), request.get("PrimaryContainer", {})):
        package = container.get(_PACKAGE, "")
        if account_of(package) in ("", where.account):
            continue
        if package not in sagemaker_backends[account_of(package)][package.split(":")[3]].model_packages:
            raise RefusedError("ValidationException", f"Model package {package} does not exist.")


def limits() -> Mapping[tuple[str, str], Callable[[Where, Message], None]]:
    """What is refused before moto answers."""
    return {("sagemaker", "CreateModel"): _require_packages}


def _authorize(response: S3Response, bucket_name: str | None = None, key_name: str | None = None) -> None:
    """Refuse what a bucket, or a key of its objects, of another account is not open to."""
    caller = CALLER.get()
    source = response.headers.get("x-amz-copy-source")
    buckets = [name for name in (bucket_name, (source or "").lstrip("/").partition("/")[0]) if name]
    if caller and any(account_of(caller) != account for name in buckets for account in _accounts(name)):
        named = {"Bucket": bucket_name, "Key": key_name, "CopySource": source}
        parameters = {name: value for name, value in named.items() if value}
        try:
            require_open(Call(caller, "s3", response.data["Action"], parameters, response.region))
        except (ForbiddenError, ValueError) as error:  # an action that no policy can name is open to nobody else
            raise S3AccessDeniedError from error


def _accounts(bucket: str) -> Iterator[str]:
    """The accounts of a bucket, if it exists, and of the key of its objects."""
    if bucket in s3_backends.bucket_accounts:
        partition, account = s3_backends.bucket_accounts[bucket]
        yield account
        key = bucket_key(s3_backends[account][partition].get_bucket(bucket))
        yield account_of(key) or account


def _require_code(account: str, region: str, code: Message) -> None:
    """Refuse the code of a function in a bucket that whoever makes the function may not read."""
    bucket, caller = code.get("S3Bucket"), CALLER.get()
    if bucket and any(account != owner for owner in _accounts(bucket)):
        try:
            require_open(Call(caller, "s3", "GetObject", {"Bucket": bucket, "Key": code["S3Key"]}, region))
        except ForbiddenError as error:
            raise LambdaClientError(
                "AccessDeniedException",
                "Your access has been denied by S3, please make sure your request credentials have permission to "
                f"GetObject for {bucket}/{code['S3Key']}. {error}",
            ) from error


@contextmanager
def crossings() -> Iterator[None]:
    """Let S3 and Lambda refuse what buckets of other accounts are not open to, within a `with` block."""
    set_code = LambdaFunction._set_function_code

    def set_open_code(function: LambdaFunction, updated_spec: dict[str, Any]) -> None:
        _require_code(function.account_id, function.region, updated_spec)
        set_code(function, updated_spec)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(S3Response, "_authenticate_and_authorize_s3_action", _authorize)
        patch.setattr(LambdaFunction, "_set_function_code", set_open_code)
        yield
