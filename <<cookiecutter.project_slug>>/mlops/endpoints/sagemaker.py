"""The endpoint of an environment in SageMaker: its state, the outcome of updates, and its invocation."""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from mlops.base.commands import MLOPS
from mlops.base.errors import MlopsError, UsageError
from mlops.base.payloads import REALTIME, Payload
from mlops.base.waiting import RESUME, Clock, wait
from mlops.endpoints.payload import payload_of, require_fits
from mlops.endpoints.port import Deployment
from mlops.project.account import Account, aws_errors, if_exists, is_missing
from mlops.project.configuration import file_of
from mlops.project.names import Names
from mlops.project.target import Target
from mlops.registry.live import live, version_of
from mlops.registry.versions import ModelVersion
from mlops.store.objects import split_uri

IN_SERVICE, FAILED, MIXED = "InService", "Failed", "UpdateRollbackFailed"
"""States of an endpoint; in the last one it serves from instances on the old and on the new configuration."""

_NO_REASON = "SageMaker gives no reason."
_ROLLING = "https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-rolling.html"

_IN_PROGRESS = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")
_RESPONSE_SECONDS = 900
_CLIENT_ERRORS = range(400, 500)


@dataclass(frozen=True)
class AwsEndpoint:
    """The endpoint of one environment (see `Endpoint`).

    Attributes:
        account: The account.
        names: The project's names there.
        environment: The environment.
        queued: Whether requests are queued, with their responses in S3 (`inference: async`).
        clock: The clock; tests replace it.
        payload: The limits of its requests.
    """

    account: Account
    names: Names
    environment: str
    queued: bool
    clock: Clock = time
    payload: Payload = REALTIME

    @classmethod
    def of(cls, target: Target, clock: Clock = time) -> "AwsEndpoint":
        """Return the endpoint of an environment.

        Raises:
            MlopsError: The configuration lacks a value, or the credentials belong to another account.
        """
        target.account.verify()
        queued = target.project.answer("inference") == "async"
        return cls(target.account, target.names, target.environment, queued, clock, payload_of(target))

    @property
    def name(self) -> str:
        """The endpoint's name."""
        return self.names.endpoint(self.environment)

    def describe(self) -> Deployment | None:
        """Describe what is served (see `Endpoint.describe`); None during the first deployment."""
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

    def advice(self, best: ModelVersion | None) -> str:
        """Return how to make the endpoint serve the champion (see `Endpoint.advice`)."""
        serving = self.describe()
        if serving is None or best is None or serving.version == best.version:
            return ""
        command = f"{MLOPS} deploy --environment {self.environment}"
        return f"version {serving.version} is live in {self.environment}; to deploy version {best.version}:  {command}"

    def invoke(self, body: bytes, content_type: str, accept: str, inference_id: str = "") -> str:
        """Send a request and return the response (see `Endpoint.invoke`), waiting for it if requests are queued."""
        require_fits(body, self.payload.what, self.payload.request)
        request = {"EndpointName": self.name, "ContentType": content_type, "Accept": accept}
        if inference_id:
            request["InferenceId"] = inference_id
        response = self._queue(body, request) if self.queued else self._send(body, request)
        return response.decode(errors="replace")

    def look(self) -> dict[str, Any] | None:
        """Return SageMaker's description of the endpoint; None if it does not exist.

        Raises:
            MlopsError: The call fails.
        """
        with aws_errors(f"look up the endpoint {self.name}", RESUME):
            described: dict[str, Any] | None = if_exists(
                self.account.sagemaker.describe_endpoint, EndpointName=self.name
            )
        return described

    def settle(self) -> dict[str, Any] | None:
        """Wait until no change is in progress and return SageMaker's description; None if there is no endpoint.

        Raises:
            MlopsError: The change takes too long, or a call fails.
        """

        def settled() -> tuple[dict[str, Any] | None] | None:
            described = self.look()
            return None if described and described["EndpointStatus"] in _IN_PROGRESS else (described,)

        return wait(settled, f"The change of the endpoint {self.name}", self.clock)[0]

    def in_alarm(self, alarms: list[str]) -> list[str]:
        """Return the names of the alarms that are in ALARM.

        Raises:
            MlopsError: The call fails.
        """
        if not alarms:
            return []
        with aws_errors("look up the alarms of the endpoint", RESUME):
            found = self.account.cloudwatch.describe_alarms(AlarmNames=alarms)["MetricAlarms"]
        return sorted(alarm["AlarmName"] for alarm in found if alarm["StateValue"] == "ALARM")

    def require(self, config: str, alarms: list[str]) -> str:
        """Make sure that an update ended on an endpoint configuration.

        Args:
            config: The name of the configuration.
            alarms: The alarms that roll an update back.

        Returns:
            The name as SageMaker writes it.

        Raises:
            MlopsError: The endpoint was rolled back, or failed; the message gives the reason.
        """
        described = self.settle()
        if described is None:
            raise MlopsError(f"Endpoint {self.name} does not exist.", self._deploy)
        if serves(described, config):
            return str(described["EndpointConfigName"])
        status, reason = described["EndpointStatus"], described.get("FailureReason", _NO_REASON)
        if status == IN_SERVICE:
            raise self.rolled_back(alarms, f"it is {status} on {described['EndpointConfigName']}, not on {config}")
        if status == MIXED:
            raise self.mixed(reason)
        remedy = self._recreate if status == FAILED else self._deploy
        raise MlopsError(f"Endpoint {self.name} is {status}: {reason}", f"Fix the cause. {remedy}")

    def rolled_back(self, alarms: list[str], evidence: str) -> MlopsError:
        """Return the error for an endpoint that was rolled back to its previous configuration.

        Args:
            alarms: The alarms that roll an update back.
            evidence: What shows that it was rolled back.
        """
        in_alarm = self.in_alarm(alarms)
        cause = f" {_in_alarm_sentence(in_alarm)}" if in_alarm else ""
        return MlopsError(
            f"Endpoint {self.name} was rolled back to its previous configuration: {evidence}.{cause}",
            "Its logs are in CloudWatch, /aws/sagemaker/Endpoints. Fix the cause, and deploy again.",
        )

    def mixed(self, reason: str) -> MlopsError:
        """Return the error for an endpoint whose rolling update failed, and whose rollback failed too.

        Args:
            reason: Why the update failed.
        """
        return MlopsError(
            f"Endpoint {self.name} is {MIXED}: some of its instances serve the previous version, others the new one. "
            f"{reason}",
            f"Do not delete it. Fix the cause, and update it until it is {IN_SERVICE} again ({_ROLLING}). "
            f"{self._deploy}",
        )

    def remove_config(self, old: str, new: str) -> None:
        """Delete an endpoint configuration, and its models that the new configuration does not use.

        Args:
            old: The name of the configuration to delete.
            new: The name of the configuration in use.

        Raises:
            MlopsError: A call fails.
        """
        sagemaker = self.account.sagemaker
        with aws_errors(f"delete the previous configuration of endpoint {self.name}"):
            try:
                unused = self._models(old) - self._models(new)
                sagemaker.delete_endpoint_config(EndpointConfigName=old)
                for model in unused:
                    sagemaker.delete_model(ModelName=model)
            except ClientError as error:
                if not is_missing(error):
                    raise

    def require_updatable(self, alarms: list[str]) -> None:
        """Make sure that the endpoint can be updated: SageMaker refuses it if it failed or has an alarm in ALARM.

        In `UpdateRollbackFailed` it can: an update is the only way to get all instances on one configuration again.

        Raises:
            MlopsError: It cannot be updated.
        """
        described = self.settle()
        if described is None:
            return
        if described["EndpointStatus"] == FAILED:
            reason = described.get("FailureReason", _NO_REASON)
            raise MlopsError(f"Endpoint {self.name} failed and cannot be updated: {reason}", self._recreate)
        if in_alarm := self.in_alarm(alarms):
            raise MlopsError(
                f"{_in_alarm_sentence(in_alarm)} An update of endpoint {self.name} would be rolled back.",
                "Wait until it is OK. If this update fixes the cause, set `rollback_on_alarm: false` for it, under "
                f"`stacks.endpoint` in {file_of(self.environment)}.",
            )

    def _models(self, config: str) -> set[str]:
        described = self.account.sagemaker.describe_endpoint_config(EndpointConfigName=config)
        variants = (*described["ProductionVariants"], *described.get("ShadowProductionVariants", ()))
        return {variant["ModelName"] for variant in variants}

    @property
    def _deploy(self) -> str:
        return f"Deploy: {MLOPS} deploy --environment {self.environment}"

    @property
    def _recreate(self) -> str:
        verb = f"{MLOPS} destroy --environment {self.environment} --stack endpoint"
        return f"Remove it: {verb}; then deploy again."

    def _send(self, body: bytes, request: dict[str, str]) -> bytes:
        with self._endpoint_errors():
            response = self.account.runtime.invoke_endpoint(Body=body, **request)
            content: bytes = response["Body"].read()
        return content

    def _queue(self, body: bytes, request: dict[str, str]) -> bytes:
        bucket = self.names.capture_bucket
        key = f"{self.names.slug}/async/{self.environment}/requests/{uuid.uuid4()}"
        with aws_errors(f"upload the request to s3://{bucket}/{key}"):
            self.account.s3.put_object(Bucket=bucket, Key=key, Body=body, ExpectedBucketOwner=self.account.id)
        with self._endpoint_errors():
            queued = self.account.runtime.invoke_endpoint_async(InputLocation=f"s3://{bucket}/{key}", **request)

        def look() -> tuple[bool, bytes] | None:
            output = self._object(queued["OutputLocation"])
            failure = self._object(queued["FailureLocation"]) if output is None else None
            content = failure if output is None else output
            return None if content is None else (output is not None, content)

        succeeded, content = wait(look, f"The response of {self.name}", self.clock, _RESPONSE_SECONDS)
        if not succeeded:
            raise MlopsError(f"Endpoint {self.name} failed to process the request: {content.decode(errors='replace')}")
        return content

    def _object(self, uri: str) -> bytes | None:
        bucket, key = split_uri(uri)
        with aws_errors(f"read {uri}"):
            found = if_exists(self.account.s3.get_object, Bucket=bucket, Key=key)
            return found and found["Body"].read()

    @contextmanager
    def _endpoint_errors(self) -> Iterator[None]:
        """Turn errors of the endpoint into messages."""
        with aws_errors(f"invoke the endpoint {self.name}"):
            try:
                yield
            except ClientError as error:
                if "OriginalStatusCode" in error.response:
                    status = int(error.response["OriginalStatusCode"])
                    raise (UsageError if status in _CLIENT_ERRORS else MlopsError)(
                        f"The endpoint rejected the request ({status}): {error.response.get('OriginalMessage', '')}"
                    ) from None
                if is_missing(error) or "not found" in str(error):
                    raise MlopsError(f"Endpoint {self.name} does not exist.", self._deploy) from None
                raise


def serves(described: dict[str, Any], config: str) -> bool:
    """Return whether an endpoint is in service on an endpoint configuration, with all of its instances.

    Args:
        described: SageMaker's description of the endpoint.
        config: The name of the configuration; case is ignored, since SageMaker's ARNs may be in lower case.
    """
    serving = str(described["EndpointConfigName"])
    return described["EndpointStatus"] == IN_SERVICE and serving.lower() == config.lower()


def _in_alarm_sentence(names: list[str]) -> str:
    return f"Alarm {names[0]} is in ALARM." if len(names) == 1 else f"Alarms {' and '.join(names)} are in ALARM."
