"""The rollout of a version to an endpoint: check the alarms, optionally run a shadow, update, and verify the result.

SageMaker shifts the traffic, and rolls back when an alarm goes into ALARM. A stack may report success all the same, so
the endpoint's configuration decides. The stack retains the previous configuration when it replaces it; it is deleted
here once the endpoint no longer uses it, because SageMaker cannot update an endpoint whose configuration is gone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mlops.base.errors import MlopsError
from mlops.deployment.cloudformation import Deployed, FailedChangeError, Plan, StackService
from mlops.deployment.templates import Template
from mlops.endpoints.sagemaker import IN_SERVICE, MIXED, AwsEndpoint, serves
from mlops.registry.live import version_of

PACKAGE, SHADOW = "ModelPackageArn", "ShadowModelPackageArn"
"""The parameters of the version that serves, and of the one that gets a copy of its requests."""

ATTEMPT = "Attempt"
"""The parameter that forces another update to a version that the stack has, but SageMaker has rolled back."""

_GUARDED = "RollbackOnAlarm"
_ALARM, _CONFIG = "AWS::CloudWatch::Alarm", "AWS::SageMaker::EndpointConfig"
_MINUTE = 60


@dataclass(frozen=True)
class Rollout:
    """The deployment of one version to one endpoint.

    Attributes:
        endpoint: The endpoint.
        service: The stacks.
        stack: The name of the endpoint's stack.
        template: Its template.
        role: The role that CloudFormation assumes.
        confirm: Declines a plan by raising an MlopsError.
        shadow_minutes: How long a version runs as a shadow of the live one; None without a shadow.
    """

    endpoint: AwsEndpoint
    service: StackService
    stack: str
    template: Template
    role: str | None
    confirm: Callable[[Plan], None]
    shadow_minutes: float | None

    def run(self, values: Mapping[str, str], live: str | None) -> Deployed:
        """Deploy.

        Args:
            values: Values of the template's parameters.
            live: The ARN of the live package; None if there is none.

        Raises:
            MlopsError: The endpoint cannot be updated, an alarm went into ALARM, the update was rolled back, or an AWS
                call fails.
        """
        guarded = values.get(_GUARDED) != "false"

        def confirm(plan: Plan) -> None:
            self.confirm(plan)
            self.endpoint.require_updatable(self._alarms() if guarded else [])

        if self.shadow_minutes is None or live in (None, values[PACKAGE]):
            return self._update(values, confirm)
        self._update({**values, PACKAGE: str(live), SHADOW: values[PACKAGE]}, confirm)
        self._observe(self.shadow_minutes, values, str(live))
        return self._update(values, _accept)

    def _update(self, values: Mapping[str, str], confirm: Callable[[Plan], None]) -> Deployed:
        self.service.settle(self.stack)
        before = self.endpoint.settle()
        if ATTEMPT in values:
            values = {**values, ATTEMPT: self._attempt(before)}
        try:
            done = self.service.put(self.stack, self.template, values, role=self.role, confirm=confirm)
        except FailedChangeError as error:
            status = (self.endpoint.settle() or {}).get("EndpointStatus")
            if status == IN_SERVICE:
                raise self.endpoint.rolled_back(self._alarms(), error.message) from None
            if status == MIXED:
                raise self.endpoint.mixed(error.message) from None
            raise
        config = self.endpoint.require(str(self._config()), self._alarms())
        if before and before["EndpointConfigName"] != config:
            self.endpoint.remove_config(before["EndpointConfigName"], config)
        return done

    def _attempt(self, described: dict[str, Any] | None) -> str:
        """Return the number of the attempt: a new one if the endpoint does not serve its stack's configuration."""
        attempt = int(self.service.parameters(self.stack).get(ATTEMPT, 1))
        config = self._config()
        rolled_back = described is not None and config is not None and not serves(described, config)
        return str(attempt + rolled_back)

    def _config(self) -> str | None:
        """Return the name of the stack's endpoint configuration; None before the first deployment."""
        return next((id_.rpartition("/")[2] for id_ in self._resources(_CONFIG).values()), None)

    def _observe(self, minutes: float, values: Mapping[str, str], live: str) -> None:
        """Monitor the shadow, and remove it when an alarm goes into ALARM.

        Raises:
            MlopsError: An alarm went into ALARM.
        """
        new, clock = version_of(values[PACKAGE]), self.service.clock
        self.service.report(f"Version {new} runs as a shadow of version {version_of(live)} for {minutes:g} minutes.")
        alarms, end = self._alarms(in_shadow=True), clock.time() + minutes * _MINUTE
        while not (in_alarm := self.endpoint.in_alarm(alarms)) and clock.time() < end:
            clock.sleep(_MINUTE)
        if in_alarm:
            self._update({**values, PACKAGE: live, SHADOW: ""}, _accept)
            raise MlopsError(
                f"{' and '.join(in_alarm)} went into ALARM while version {new} ran as a shadow. The shadow was "
                f"removed; version {version_of(live)} is still live.",
                "See the logs of the shadow variant in CloudWatch (/aws/sagemaker/Endpoints).",
            )

    def _alarms(self, *, in_shadow: bool = False) -> list[str]:
        """Return the names of the alarms that stop a version; empty before the first deployment."""
        guards, alarms = self.template.guards(), self._resources(_ALARM).items()
        return [name for logical, name in alarms if logical in guards or (in_shadow and logical.startswith("Shadow"))]

    def _resources(self, type_: str) -> dict[str, str]:
        """Return the stack's resources of a type: physical ids by logical id; empty before the first deployment."""
        return self.service.resources(self.stack, type_) if self.service.describe(self.stack) else {}


def _accept(_: Plan) -> None:
    """Accept a plan that is part of the confirmed rollout."""
