"""The endpoint of an environment in SageMaker: what it serves, how an update of it ended, and asking it."""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from mlops.base.commands import MLOPS
from mlops.base.errors import MlopsError, UsageError
from mlops.base.waiting import RESUME, Clock, wait
from mlops.endpoints.port import Deployment
from mlops.project.account import Account, aws_errors, is_missing
from mlops.project.names import Names
from mlops.project.target import Target
from mlops.registry.live import live, version_of
from mlops.registry.versions import ModelVersion
from mlops.store.s3 import split_uri

IN_SERVICE, FAILED, MIXED = "InService", "Failed", "UpdateRollbackFailed"
"""States of an endpoint; the last one answers, with some instances on the old and some on the new configuration."""

_ROLLING = "https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-rolling.html"

_UNDER_WAY = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")
_ANSWER_SECONDS = 900
_CLIENT_ERRORS = range(400, 500)


@dataclass(frozen=True)
class AwsEndpoint:
    """The endpoint of one environment (see `Endpoint`).

    Attributes:
        account: The account.
        names: The project's names there.
        environment: The environment.
        queued: Whether requests are queued, and answered in S3 (`inference: async`).
        clock: The time.
    """

    account: Account
    names: Names
    environment: str
    queued: bool
    clock: Clock = time

    @classmethod
    def of(cls, target: Target) -> "AwsEndpoint":
        """The endpoint of an environment.

        Raises:
            MlopsError: The configuration lacks a value, or the credentials are of another account.
        """
        target.account.verify()
        queued = target.project.answer("inference") == "async"
        return cls(target.account, target.names, target.environment, queued)

    @property
    def name(self) -> str:
        """The endpoint's name."""
        return self.names.endpoint(self.environment)

    def describe(self) -> Deployment | None:
        """What is served (see `Endpoint.describe`); an endpoint whose first deployment goes on serves nothing yet."""
        described = self.look()
        package = live(self.account, self.names, [self.environment]).get(self.environment)
        if described is None or package is None:
            return None
        runtime = self.account.runtime.meta.endpoint_url
        return Deployment(
            version=version_of(package),
            url=f"{runtime}/endpoints/{self.name}/{'async-invocations' if self.queued else 'invocations'}",
            status=described["EndpointStatus"],
            started=described["LastModifiedTime"].isoformat(timespec="seconds"),
        )

    def advice(self, wanted: ModelVersion | None) -> str:
        """What there is to do so that the version to use is served (see `Endpoint.advice`)."""
        serving = self.describe()
        if serving is None or wanted is None or serving.version == wanted.version:
            return ""
        command = f"{MLOPS} deploy --environment {self.environment}"
        return f"version {serving.version} is live in {self.environment}; version {wanted.version} instead:  {command}"

    def invoke(self, body: bytes, content_type: str, accept: str, inference_id: str = "") -> str:
        """The answer to a request (see `Endpoint.invoke`); waits for the answer to one that is queued."""
        request = {"EndpointName": self.name, "ContentType": content_type, "Accept": accept}
        if inference_id:
            request["InferenceId"] = inference_id
        answer = self._queue(body, request) if self.queued else self._ask(body, request)
        return answer.decode(errors="replace")

    def look(self) -> dict[str, Any] | None:
        """What SageMaker says of the endpoint; None when there is none.

        Raises:
            MlopsError: It cannot be asked.
        """
        with aws_errors(f"look up the endpoint {self.name}", RESUME):
            try:
                described: dict[str, Any] = self.account.sagemaker.describe_endpoint(EndpointName=self.name)
            except ClientError as error:
                if is_missing(error):
                    return None
                raise
        return described

    def settle(self) -> dict[str, Any] | None:
        """What SageMaker says of the endpoint once no change of it is under way; None when there is none.

        Raises:
            MlopsError: It changes for too long, or cannot be asked.
        """

        def settled() -> tuple[dict[str, Any] | None] | None:
            described = self.look()
            return None if described and described["EndpointStatus"] in _UNDER_WAY else (described,)

        return wait(settled, f"The change of the endpoint {self.name}", self.clock)[0]

    def in_alarm(self, alarms: list[str]) -> list[str]:
        """The names of those of some alarms that are in ALARM.

        Raises:
            MlopsError: They cannot be asked.
        """
        if not alarms:
            return []
        with aws_errors("ask the alarms of the endpoint", RESUME):
            found = self.account.cloudwatch.describe_alarms(AlarmNames=alarms)["MetricAlarms"]
        return sorted(alarm["AlarmName"] for alarm in found if alarm["StateValue"] == "ALARM")

    def require(self, config: str, alarms: list[str]) -> str:
        """Make sure that an update has ended with the endpoint configuration that was wanted.

        Args:
            config: The name of that configuration.
            alarms: The alarms that bring back the one before.

        Returns:
            Its name as SageMaker writes it.

        Raises:
            MlopsError: The endpoint was rolled back, or failed: the message says why.
        """
        described = self.settle()
        if described is None:
            raise MlopsError(f"There is no endpoint {self.name}.", self._deploy)
        if serves(described, config):
            return str(described["EndpointConfigName"])
        status, reason = described["EndpointStatus"], described.get("FailureReason", "SageMaker does not say why.")
        if status == IN_SERVICE:
            raise self.rolled_back(alarms, f"it is {status} on {described['EndpointConfigName']}, not on {config}")
        if status == MIXED:
            raise self.mixed(reason)
        remedy = self._anew if status == FAILED else self._deploy
        raise MlopsError(f"The endpoint {self.name} is {status}: {reason}", f"Remove the cause. {remedy}")

    def rolled_back(self, alarms: list[str], because: str) -> MlopsError:
        """The message for an endpoint that serves what it served before.

        Args:
            alarms: The alarms that bring it back.
            because: How that was found out.
        """
        ringing = self.in_alarm(alarms)
        why = f" The alarm {' and '.join(ringing)} rings." if ringing else ""
        return MlopsError(
            f"The endpoint {self.name} was rolled back, and serves what it served before: {because}.{why}",
            "Its logs are in CloudWatch, /aws/sagemaker/Endpoints. Remove the cause, and deploy again.",
        )

    def mixed(self, because: str) -> MlopsError:
        """The message for an endpoint whose rolling update failed, and whose rollback failed too.

        Args:
            because: Why.
        """
        return MlopsError(
            f"The endpoint {self.name} is {MIXED}: it answers, partly with the version before and partly with the new "
            f"one. {because}",
            f"Do not remove it. Remove the cause, and update it until it is {IN_SERVICE} again ({_ROLLING}). "
            f"{self._deploy}",
        )

    def remove_config(self, old: str, new: str) -> None:
        """Delete an endpoint configuration, and those of its models that the one in its place does not use.

        Args:
            old: The name of the configuration that the endpoint no longer uses.
            new: The name of the one that it uses.

        Raises:
            MlopsError: Something cannot be looked up or deleted.
        """
        sagemaker = self.account.sagemaker
        with aws_errors(f"delete what the endpoint {self.name} no longer uses"):
            try:
                unused = self._models(old) - self._models(new)
                sagemaker.delete_endpoint_config(EndpointConfigName=old)
                for model in unused:
                    sagemaker.delete_model(ModelName=model)
            except ClientError as error:
                if not is_missing(error):
                    raise

    def require_updatable(self, alarms: list[str]) -> None:
        """Refuse to update an endpoint that failed, or that has an alarm in ALARM: SageMaker would refuse it.

        One that is `UpdateRollbackFailed` may be updated: nothing else puts all of it on one configuration.

        Raises:
            MlopsError: One of these.
        """
        described = self.settle()
        if described is None:
            return
        if described["EndpointStatus"] == FAILED:
            reason = described.get("FailureReason", "SageMaker does not say why.")
            raise MlopsError(f"The endpoint {self.name} failed, and cannot be updated: {reason}", self._anew)
        if ringing := self.in_alarm(alarms):
            raise MlopsError(
                f"The alarm {' and '.join(ringing)} of the endpoint {self.name} rings: an update would be rolled back.",
                "Wait until it is quiet. If this update is the cure, set `rollback_on_alarm: false` for it, under "
                f"`stacks.endpoint` in config/{self.environment}.yaml.",
            )

    def _models(self, config: str) -> set[str]:
        described = self.account.sagemaker.describe_endpoint_config(EndpointConfigName=config)
        variants = (*described["ProductionVariants"], *described.get("ShadowProductionVariants", ()))
        return {variant["ModelName"] for variant in variants}

    @property
    def _deploy(self) -> str:
        return f"Deploy: {MLOPS} deploy --environment {self.environment}"

    @property
    def _anew(self) -> str:
        verb = f"{MLOPS} destroy --environment {self.environment} --stack endpoint"
        return f"Remove it: {verb}; then deploy anew."

    def _ask(self, body: bytes, request: dict[str, str]) -> bytes:
        with self._answers():
            answer = self.account.runtime.invoke_endpoint(Body=body, **request)
            content: bytes = answer["Body"].read()
        return content

    def _queue(self, body: bytes, request: dict[str, str]) -> bytes:
        bucket = self.names.capture_bucket
        key = f"{self.names.slug}/async/{self.environment}/requests/{uuid.uuid4()}"
        with aws_errors(f"upload the request to s3://{bucket}/{key}"):
            self.account.s3.put_object(Bucket=bucket, Key=key, Body=body, ExpectedBucketOwner=self.account.id)
        with self._answers():
            queued = self.account.runtime.invoke_endpoint_async(InputLocation=f"s3://{bucket}/{key}", **request)

        def look() -> tuple[bool, bytes] | None:
            answer = self._object(queued["OutputLocation"])
            failure = self._object(queued["FailureLocation"]) if answer is None else None
            content = failure if answer is None else answer
            return None if content is None else (answer is not None, content)

        answered, content = wait(look, f"The answer of {self.name}", self.clock, _ANSWER_SECONDS)
        if not answered:
            raise MlopsError(f"The endpoint {self.name} failed at the request: {content.decode(errors='replace')}")
        return content

    def _object(self, uri: str) -> bytes | None:
        bucket, key = split_uri(uri)
        with aws_errors(f"read {uri}"):
            try:
                content: bytes = self.account.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
            except ClientError as error:
                if is_missing(error):
                    return None
                raise
        return content

    @contextmanager
    def _answers(self) -> Iterator[None]:
        """Turn what the endpoint says against a request into a message."""
        with aws_errors(f"ask the endpoint {self.name}"):
            try:
                yield
            except ClientError as error:
                if "OriginalStatusCode" in error.response:
                    status = int(error.response["OriginalStatusCode"])
                    raise (UsageError if status in _CLIENT_ERRORS else MlopsError)(
                        f"The endpoint refuses the request ({status}): {error.response.get('OriginalMessage', '')}"
                    ) from None
                if is_missing(error) or "not found" in str(error):
                    raise MlopsError(f"There is no endpoint {self.name}.", self._deploy) from None
                raise


def serves(described: dict[str, Any], config: str) -> bool:
    """Whether all of an endpoint is on an endpoint configuration.

    Args:
        described: What SageMaker says of the endpoint.
        config: The name of the configuration; its case does not matter, since SageMaker's ARNs may be in lower case.
    """
    serving = str(described["EndpointConfigName"])
    return described["EndpointStatus"] == IN_SERVICE and serving.lower() == config.lower()
