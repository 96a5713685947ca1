"""Bringing a version into service at an endpoint: quiet alarms first, in the shadow where asked for, and judged after.

SageMaker itself shifts the traffic and brings back what was served before when an alarm rings. A stack does not always
tell that from success: the endpoint's configuration does. What was served before outlives its replacement in the stack,
and is deleted here, once the endpoint is known to be off it: SageMaker updates no endpoint whose configuration is gone.
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
"""The parameters of the version that answers, and of the one that is only asked the same."""

ATTEMPT = "Attempt"
"""The parameter that makes another update of what the stack holds already, and SageMaker has rolled back."""

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
        role: The role that CloudFormation takes on.
        confirm: Refuses a plan that the reader does not want, by raising an MlopsError.
        shadow_minutes: How long a version is asked beside the live one; None without a shadow.
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
            live: The ARN of the package that is live; None when there is none.

        Raises:
            MlopsError: The endpoint must not be touched, an alarm rang, it was rolled back, or AWS fails.
        """
        guarded = values.get(_GUARDED) != "false"

        def confirm(plan: Plan) -> None:
            self.confirm(plan)
            self.endpoint.require_updatable(self._alarms() if guarded else [])

        if self.shadow_minutes is None or live in (None, values[PACKAGE]):
            return self._update(values, confirm)
        self._update({**values, PACKAGE: str(live), SHADOW: values[PACKAGE]}, confirm)
        self._observe(self.shadow_minutes, values, str(live))
        return self._update(values, _yes)

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
        """The number of the attempt: another one when the endpoint does not serve what its stack says."""
        attempt = int(self.service.parameters(self.stack).get(ATTEMPT, 1))
        config = self._config()
        rolled_back = described is not None and config is not None and not serves(described, config)
        return str(attempt + rolled_back)

    def _config(self) -> str | None:
        """The name of the stack's endpoint configuration; None before the first deployment."""
        return next((made.rpartition("/")[2] for made in self._made(_CONFIG).values()), None)

    def _observe(self, minutes: float, values: Mapping[str, str], live: str) -> None:
        """Let the version run in the shadow, and take it out of there when an alarm rings.

        Raises:
            MlopsError: An alarm rang.
        """
        new, clock = version_of(values[PACKAGE]), self.service.clock
        self.service.say(f"Version {new} is asked what version {version_of(live)} is asked, for {minutes:g} minutes.")
        alarms, end = self._alarms(in_shadow=True), clock.time() + minutes * _MINUTE
        while not (ringing := self.endpoint.in_alarm(alarms)) and clock.time() < end:
            clock.sleep(_MINUTE)
        if ringing:
            self._update({**values, PACKAGE: live, SHADOW: ""}, _yes)
            raise MlopsError(
                f"The alarm {' and '.join(ringing)} rang while version {new} ran in the shadow: version "
                f"{version_of(live)} answers on, and the shadow is gone.",
                "Look at the logs of the shadow variant in CloudWatch (/aws/sagemaker/Endpoints).",
            )

    def _alarms(self, *, in_shadow: bool = False) -> list[str]:
        """The names of the alarms that speak against a version; none before the first deployment."""
        guards, made = self.template.guards(), self._made(_ALARM).items()
        return [name for logical, name in made if logical in guards or (in_shadow and logical.startswith("Shadow"))]

    def _made(self, type_: str) -> dict[str, str]:
        """What the stack has made of a type: physical ids by logical id; nothing before the first deployment."""
        return self.service.resources(self.stack, type_) if self.service.describe(self.stack) else {}


def _yes(_: Plan) -> None:
    """No question: it belongs to what was confirmed."""
