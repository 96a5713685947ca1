"""The AWS account of an environment: its clients, and messages for its errors."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ParamSpec, TypeVar

import boto3
import botocore.session
from botocore import exceptions
from botocore.config import Config
from botocore.parsers import ResponseParserError

from mlops.base.environments import LOCAL
from mlops.base.errors import MlopsError, UsageError
from mlops.base.limits import MAX_CONCURRENCY
from mlops.project.configuration import ASSUME_ROLE
from mlops.project.environment import Environment
from mlops.project.sessions import assuming, role_to_assume

_Request = ParamSpec("_Request")
_Response = TypeVar("_Response")

_SECONDS_TO_CONNECT, _SECONDS_TO_READ = 3, 20
_SIGN_IN = "Sign in: `aws sso login` or `aws configure`, and set AWS_PROFILE if you use profiles."
_CREDENTIAL_ERRORS = (
    exceptions.NoCredentialsError,
    exceptions.PartialCredentialsError,
    exceptions.CredentialRetrievalError,
    exceptions.ProfileNotFound,
    exceptions.SSOError,
    exceptions.TokenRetrievalError,
)
# A proxy or the page of a public network may answer in place of AWS.
_CONNECTION_ERRORS = (exceptions.HTTPClientError, exceptions.ConnectionError, ResponseParserError)
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"})
_INVALID = frozenset(
    {"InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "SignatureDoesNotMatch"}
)
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403", "Forbidden"})
_NOT_FOUND = frozenset(
    {"404", "NoSuchBucket", "NoSuchEntity", "NoSuchKey", "NotFound", "QueueDoesNotExist", "ResourceNotFound"}
)
_NOT_FOUND_ENDINGS = ("NotFoundException", "DoesNotExistException", ".NonExistentQueue")
_NOT_FOUND_PHRASES = ("does not exist", "Could not find", "Cannot find")
_THROTTLED = frozenset({"Throttling", "ThrottlingException", "SlowDown", "TooManyRequestsException"})


@dataclass(frozen=True)
class Account:
    """The account, Region, bucket and role of one environment.

    Attributes:
        id: The account's twelve digits.
        region: The AWS Region.
        bucket: The environment's bucket.
        role: The ARN of the role of the pipeline and its jobs.
        assumes: The ARN of the role to assume for callers of another account; None for none.
        data_lake: The account of the bucket, if it is another one.
    """

    id: str
    region: str
    bucket: str
    role: str
    assumes: str | None = None
    data_lake: str | None = None

    @classmethod
    def of(cls, environment: Environment) -> "Account":
        """Return the account of an environment, as configured.

        Raises:
            MlopsError: The environment is this machine, or its configuration is incomplete.
        """
        if environment.name == LOCAL:
            raise UsageError(
                f"The environment {LOCAL!r} is this machine and does not exist in AWS.",
                "Use another one: `--environment dev`.",
            )
        return cls(
            id=str(environment["account"]),
            region=environment.region,
            bucket=str(environment["bucket"]),
            role=str(environment["pipeline_role"]),
            assumes=role_to_assume(
                environment.account_name or environment.name,
                str(environment["account"]),
                environment.settings.get(ASSUME_ROLE),
            ),
            data_lake=str(environment[environment.data_account_key]),
        )

    @cached_property
    def s3(self) -> Any:
        """The S3 client."""
        return self._client("s3")

    @cached_property
    def sagemaker(self) -> Any:
        """The SageMaker client."""
        return self._client("sagemaker")

    @cached_property
    def kms(self) -> Any:
        """The KMS client."""
        return self._client("kms")

    @cached_property
    def ecr(self) -> Any:
        """The ECR client."""
        return self._client("ecr")

    @cached_property
    def iam(self) -> Any:
        """The IAM client."""
        return self._client("iam")

    @cached_property
    def codecommit(self) -> Any:
        """The CodeCommit client."""
        return self._client("codecommit")

    @cached_property
    def functions(self) -> Any:
        """The Lambda client."""
        return self._client("lambda")

    @cached_property
    def ssm(self) -> Any:
        """The Systems Manager client; its parameters pass values between stacks and pipelines."""
        return self._client("ssm")

    @cached_property
    def runtime(self) -> Any:
        """The client that invokes endpoints; it does not retry, so that tests count the errors callers see."""
        return self._client(
            "sagemaker-runtime", retries={"total_max_attempts": 1}, max_pool_connections=MAX_CONCURRENCY
        )

    @cached_property
    def cloudformation(self) -> Any:
        """The CloudFormation client."""
        return self._client("cloudformation")

    @cached_property
    def cloudwatch(self) -> Any:
        """The CloudWatch client."""
        return self._client("cloudwatch")

    @cached_property
    def queues(self) -> Any:
        """The SQS client."""
        return self._client("sqs")

    @cached_property
    def tables(self) -> Any:
        """The DynamoDB client."""
        return self._client("dynamodb")

    @cached_property
    def scheduler(self) -> Any:
        """The EventBridge Scheduler client."""
        return self._client("scheduler")

    @cached_property
    def quotas(self) -> Any:
        """The Service Quotas client."""
        return self._client("service-quotas")

    @cached_property
    def notifications(self) -> Any:
        """The SNS client."""
        return self._client("sns")

    @cached_property
    def connections(self) -> Any:
        """The CodeConnections client; connections give access to external repositories."""
        return self._client("codeconnections")

    def verify(self) -> None:
        """Check that the credentials are those of this account.

        Raises:
            MlopsError: The credentials are missing, expired, or those of another account.
        """
        if self._caller["Account"] != self.id:
            raise UsageError(
                f"Your credentials are for account {self._caller['Account']} ({self._caller['Arn']}), "
                f"but the configuration has {self.id}.",
                "Switch the profile (AWS_PROFILE), correct `account` in the configuration, or set "
                f"`{ASSUME_ROLE}` there to enter the account from yours.",
            )

    @property
    def is_entered(self) -> bool:
        """Whether a role is assumed in the account, because the credentials are of another one.

        Raises:
            MlopsError: The credentials are missing or expired.
        """
        with aws_errors("verify the AWS credentials"):
            return self._session is not boto3

    @property
    def caller(self) -> str:
        """The ARN of the credentials.

        Raises:
            MlopsError: The credentials are missing or expired.
        """
        return self._caller["Arn"]

    @cached_property
    def _caller(self) -> dict[str, str]:
        """The identity of the credentials, looked up once: several parts of a verb verify it."""
        with aws_errors("verify the AWS credentials"):
            identity: dict[str, str] = self._client("sts").get_caller_identity()
        return identity

    def _client(self, service: str, **config: Any) -> Any:
        config = {"retries": {"mode": "standard", "max_attempts": 5}, **config}
        with aws_errors(f"create a client for {service}"):
            return self._session.client(service, region_name=self.region, config=Config(**config))

    @cached_property
    def _session(self) -> Any:
        """The caller's session, or one with the role to assume if the caller is of another account."""
        if (
            self.assumes is None
            or boto3.client("sts", region_name=self.region).get_caller_identity()["Account"] == self.id
        ):
            return boto3
        return assuming(self.assumes, self.region)


@contextmanager
def aws_errors(purpose: str, then: str = "") -> Iterator[None]:
    """Turn the errors of AWS calls in a `with` block into messages.

    Args:
        purpose: What the calls are for, to complete "Cannot ...".
        then: What to do after signing in again.

    Raises:
        MlopsError: A call failed.
    """
    try:
        yield
    except _CREDENTIAL_ERRORS as error:
        raise MlopsError(
            f"Cannot {purpose}: no usable AWS credentials ({error}).", f"{_SIGN_IN} {then}".strip()
        ) from None
    except exceptions.ClientError as error:
        raise MlopsError(f"Cannot {purpose}: {_reason(error)}", _remedy(error, then)) from None
    except _CONNECTION_ERRORS as error:
        raise MlopsError(
            f"Cannot {purpose}: AWS cannot be reached ({error}).", "Check the network, the proxy and `aws_region`."
        ) from None
    except exceptions.BotoCoreError as error:
        raise MlopsError(f"Cannot {purpose}: {error}", "Correct the configuration of this environment.") from None


def is_missing(error: exceptions.ClientError) -> bool:
    """Return whether an error means that a resource does not exist."""
    code, message = _code(error), str(error.response.get("Error", {}).get("Message", ""))
    return (
        code in _NOT_FOUND
        or code.endswith(_NOT_FOUND_ENDINGS)
        # SageMaker has no specific error code for most missing resources.
        or (code.startswith("Validation") and any(phrase in message for phrase in _NOT_FOUND_PHRASES))
    )


def if_exists(
    look_up: Callable[_Request, _Response], *args: _Request.args, **request: _Request.kwargs
) -> _Response | None:
    """Return the response of an AWS call; None if what it looks up does not exist.

    Args:
        look_up: Makes the call.
        *args: Its positional arguments.
        **request: Its other arguments.

    Raises:
        ClientError: The call fails for another reason.
    """
    try:
        return look_up(*args, **request)
    except exceptions.ClientError as error:
        if is_missing(error):
            return None
        raise


def is_denied(error: exceptions.ClientError) -> bool:
    """Return whether an error means that the caller lacks permission."""
    return _code(error) in _DENIED


def fail_fast() -> None:
    """Let the clients that are created from now on wait seconds instead of minutes for a network that is not there."""
    session = botocore.session.get_session()
    session.set_default_client_config(Config(connect_timeout=_SECONDS_TO_CONNECT, read_timeout=_SECONDS_TO_READ))
    boto3.setup_default_session(botocore_session=session)


def _code(error: exceptions.ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _reason(error: exceptions.ClientError) -> str:
    message = str(error.response.get("Error", {}).get("Message", "")).strip().rstrip(".")
    return f"{error.operation_name} failed with {_code(error)}{f': {message}' if message else ''}."


def _remedy(error: exceptions.ClientError, then: str) -> str:
    code = _code(error)
    if code in _EXPIRED:
        return f"Your session has expired. {_SIGN_IN} {then}".rstrip()
    if code in _INVALID:
        return f"AWS rejected these credentials. {_SIGN_IN}"
    if code in _DENIED:
        return f"Your role needs permission for {error.operation_name}. Ask the administrator of the account."
    if code == "NoSuchBucket":
        return "Create the bucket, or correct `bucket` in the configuration."
    if code in _THROTTLED:
        return "AWS is busy with other calls of this account. Try again in a minute."
    return "Correct the cause that AWS reports, and try again."
