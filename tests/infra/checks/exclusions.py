"""What SageMaker cannot do together, and what our endpoints promise: rules that no linter knows.

Sources: deployment guardrails and their exclusions, serverless and asynchronous inference, shadow variants in the
SageMaker developer guide, November 2026.
"""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from mlops.project.instances import has_own_disks
from standin.finding import Finding
from standin.template import PSEUDO_PARAMETERS, Template

PREBUILT_IMAGES = re.compile(r"^\d{12}\.dkr\.ecr\.[\w-]+\.amazonaws\.com/(sagemaker-|pytorch-)")
"""Images that AWS builds, which serverless endpoints use from AWS's accounts."""


@dataclass(frozen=True)
class Deployment:
    """An endpoint configuration of a template with what belongs to it.

    Attributes:
        template: The resolved template.
        config_id: Its logical id.
        config: Its properties.
        endpoint: The properties of its endpoint; none when the endpoint is elsewhere.
        models: The properties of its models, as far as they are in the template.
        account: Where it is deployed to.
    """

    template: Template
    config_id: str
    config: dict[str, Any]
    endpoint: dict[str, Any]
    models: list[dict[str, Any]]
    account: str

    @property
    def variants(self) -> list[dict[str, Any]]:
        """Its production variants."""
        return list(self.config["ProductionVariants"])

    @property
    def is_serverless(self) -> bool:
        """Whether a variant has no instances."""
        return any("ServerlessConfig" in variant for variant in self.variants)

    @property
    def is_async(self) -> bool:
        """Whether answers go to S3."""
        return "AsyncInferenceConfig" in self.config

    @property
    def fewest_instances(self) -> int:
        """The instances of its smallest variant."""
        return min(int(variant.get("InitialInstanceCount", 0)) for variant in self.variants)

    @property
    def guardrails(self) -> dict[str, Any]:
        """How its endpoint goes from one configuration to the next."""
        return dict(self.endpoint.get("DeploymentConfig", {}))

    @property
    def rolling(self) -> dict[str, Any]:
        """Its rolling update, if it has one."""
        return dict(self.guardrails.get("RollingUpdatePolicy", {}))

    @property
    def routing(self) -> dict[str, Any]:
        """How a blue/green update shifts traffic."""
        return dict(self.guardrails.get("BlueGreenUpdatePolicy", {}).get("TrafficRoutingConfiguration", {}))

    @property
    def shifts_gradually(self) -> bool:
        """Whether an update keeps two fleets at work: canary, linear or rolling."""
        return bool(self.rolling) or self.routing.get("Type") in ("CANARY", "LINEAR")

    @property
    def alarms(self) -> list[dict[str, Any]]:
        """The properties of the alarms that roll an update back."""
        names = [alarm["AlarmName"] for alarm in self.guardrails.get("AutoRollbackConfiguration", {}).get("Alarms", [])]
        return [
            properties
            for name, properties in self.template.properties("AWS::CloudWatch::Alarm")
            if f"{{{{{name}}}}}" in names or properties.get("AlarmName") in names
        ]

    @property
    def wait(self) -> int:
        """Seconds for which an update watches its alarms between two steps."""
        return int((self.rolling or self.routing).get("WaitIntervalInSeconds", 0))

    @property
    def bake(self) -> int:
        """Seconds for which a blue/green update watches its alarms before the old instances end."""
        return int(self.guardrails.get("BlueGreenUpdatePolicy", {}).get("TerminationWaitInSeconds", 0))

    @property
    def steps(self) -> int:
        """How often an update waits."""
        size = self.rolling.get("MaximumBatchSize") or self.routing.get("LinearStepSize")
        return math.ceil(100 / _percent(size, self.fewest_instances)) if size else 1

    @property
    def timeout(self) -> float:
        """Seconds after which an update is given up."""
        policy = self.rolling or self.guardrails.get("BlueGreenUpdatePolicy", {})
        return float(policy.get("MaximumExecutionTimeoutInSeconds", math.inf))

    @property
    def least_capacity(self) -> list[int]:
        """To how few instances, or how little provisioned concurrency, it may shrink; empty without autoscaling."""
        return [
            int(properties["MinCapacity"])
            for _, properties in self.template.properties("AWS::ApplicationAutoScaling::ScalableTarget")
            if properties["ServiceNamespace"] == "sagemaker"
        ]

    @property
    def is_autoscaled(self) -> bool:
        """Whether something changes how many instances it has."""
        return bool(self.least_capacity)

    @property
    def keeps_capacity(self) -> bool:
        """Whether an update leaves the number of instances as it is."""
        return str(self.endpoint.get("RetainAllVariantProperties")).lower() == "true"


Broken = Callable[[Deployment], bool]


def _percent(size: dict[str, Any], instances: int) -> float:
    return float(size["Value"]) * (1 if size["Type"] == "CAPACITY_PERCENT" else 100 / max(instances, 1))


def _percent_outside(size: dict[str, Any], low: int, high: int, instances: int) -> bool:
    return not low <= _percent(size, instances) <= high


def _overprovisioned(variant: dict[str, Any]) -> bool:
    config = variant.get("ServerlessConfig", {})
    return int(config.get("ProvisionedConcurrency", 0)) > int(config.get("MaxConcurrency", 0))


def _is_woken(deployment: Deployment) -> bool:
    policies = deployment.template.properties("AWS::ApplicationAutoScaling::ScalingPolicy")
    return any(properties["PolicyType"] == "StepScaling" for _, properties in policies)


def _foreign_image(deployment: Deployment) -> bool:
    containers = [model.get("PrimaryContainer", {}) for model in deployment.models]
    images = [container["Image"] for container in containers if "Image" in container]
    own = f"{deployment.account}."
    return any(
        not PREBUILT_IMAGES.match(image) and re.match(r"\d{12}\.", image) and not image.startswith(own)
        for image in images
    )


def _seconds_to_alarm(alarm: dict[str, Any]) -> int:
    return int(alarm.get("Period", 0)) * int(alarm.get("DatapointsToAlarm", alarm["EvaluationPeriods"]))


ROWS: dict[str, Broken] = {
    "a serverless endpoint captures no data": lambda d: d.is_serverless and "DataCaptureConfig" in d.config,
    "a serverless endpoint has no VPC": lambda d: (
        d.is_serverless and ("VpcConfig" in d.config or any("VpcConfig" in model for model in d.models))
    ),
    "a serverless endpoint has no network isolation": lambda d: (
        d.is_serverless and any(str(model.get("EnableNetworkIsolation")).lower() == "true" for model in d.models)
    ),
    # Its key is for the volume attached to instances, and a serverless variant has neither:
    # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateEndpointConfig.html
    "a serverless endpoint has no disk to encrypt": lambda d: d.is_serverless and "KmsKeyId" in d.config,
    "a serverless endpoint has one variant": lambda d: d.is_serverless and len(d.variants) > 1,
    "a serverless endpoint has no guardrails": lambda d: d.is_serverless and bool(d.guardrails),
    "a serverless endpoint answers at once": lambda d: d.is_serverless and d.is_async,
    "a serverless endpoint has no instances": lambda d: (
        d.is_serverless
        and any("InstanceType" in variant or "InitialInstanceCount" in variant for variant in d.variants)
    ),
    "an endpoint with instances says whether it is observed in detail": lambda d: (
        not d.is_serverless and "EnableDetailedObservability" not in d.config.get("MetricsConfig", {})
    ),
    "a serverless endpoint is not autoscaled by CloudFormation": lambda d: d.is_serverless and d.is_autoscaled,
    "a serverless endpoint uses an image of its own account": lambda d: d.is_serverless and _foreign_image(d),
    "a serverless endpoint provisions no more than its concurrency": lambda d: any(map(_overprovisioned, d.variants)),
    "a key is for disks that SageMaker encrypts": lambda d: (
        "KmsKeyId" in d.config and any(has_own_disks(variant.get("InstanceType", "")) for variant in d.variants)
    ),
    "only a realtime endpoint has a shadow": lambda d: (
        "ShadowProductionVariants" in d.config and (d.is_serverless or d.is_async)
    ),
    "a shadowed endpoint has one variant and one shadow": lambda d: (
        "ShadowProductionVariants" in d.config
        and (len(d.variants), len(d.config["ShadowProductionVariants"])) != (1, 1)
    ),
    "an update is blue/green or rolling": lambda d: bool(d.rolling) and "BlueGreenUpdatePolicy" in d.guardrails,
    "a canary is at most half": lambda d: (
        d.routing.get("Type") == "CANARY" and _percent_outside(d.routing["CanarySize"], 1, 50, d.fewest_instances)
    ),
    "a linear step is 10 to 50 %": lambda d: (
        d.routing.get("Type") == "LINEAR" and _percent_outside(d.routing["LinearStepSize"], 10, 50, d.fewest_instances)
    ),
    "a rolling batch is 5 to 50 %": lambda d: (
        bool(d.rolling) and _percent_outside(d.rolling["MaximumBatchSize"], 5, 50, d.fewest_instances)
    ),
    "a rolling update has one variant": lambda d: bool(d.rolling) and len(d.variants) > 1,
    "canary, linear and rolling need two instances": lambda d: d.shifts_gradually and d.fewest_instances < 2,
    "two instances are left at night for canary, linear and rolling": lambda d: (
        d.shifts_gradually and min(d.least_capacity, default=2) < 2
    ),
    "an update is given the time that it waits": lambda d: d.steps * d.wait + d.bake >= d.timeout,
    "guardrails exclude Inf1 instances": lambda d: (
        bool(d.guardrails) and any(variant.get("InstanceType", "").startswith("ml.inf1.") for variant in d.variants)
    ),
    "a gradual update is watched by an alarm of the template": lambda d: d.shifts_gradually and not d.alarms,
    "an alarm of an update takes missing data for good": lambda d: any(
        alarm.get("TreatMissingData") != "notBreaching" for alarm in d.alarms
    ),
    "an alarm of an update rings while it waits": lambda d: (
        d.shifts_gradually and any(_seconds_to_alarm(alarm) > d.wait for alarm in d.alarms)
    ),
    "an alarm of an update at once rings while the old instances are there": lambda d: (
        not d.shifts_gradually and any(_seconds_to_alarm(alarm) > d.bake for alarm in d.alarms)
    ),
    "an update keeps autoscaled capacity": lambda d: bool(d.endpoint) and d.is_autoscaled and not d.keeps_capacity,
    "an update brings the configured capacity": lambda d: (
        not d.is_serverless and not d.is_autoscaled and d.keeps_capacity
    ),
    "an endpoint without instances is woken by steps": lambda d: 0 in d.least_capacity and not _is_woken(d),
    "the variant is always called AllTraffic": lambda d: d.variants[0].get("VariantName") != "AllTraffic",
    "an endpoint configuration has no name": lambda d: "EndpointConfigName" in d.config,
    "a model has no name": lambda d: any("ModelName" in model for model in d.models),
    "a stack with an endpoint in a VPC owns no subnet or security group": lambda d: (
        any("VpcConfig" in model for model in d.models)
        and any(True for _ in d.template.properties("AWS::EC2::Subnet", "AWS::EC2::SecurityGroup"))
    ),
}
"""What is broken when the function says so."""


def findings(resolved: Template, account: str = PSEUDO_PARAMETERS["AWS::AccountId"]) -> list[Finding]:
    """Rows of the table that an endpoint of a resolved template breaks, and HTTP routes without authorisation.

    Args:
        resolved: A resolved template.
        account: The account that it is deployed to.
    """
    found = [
        resolved.finding(rule, deployment.config_id)
        for deployment in _deployments(resolved, account)
        for rule, is_broken in ROWS.items()
        if is_broken(deployment)
    ]
    for name, properties in resolved.properties("AWS::ApiGatewayV2::Route"):
        if properties.get("AuthorizationType", "NONE") == "NONE":
            found.append(resolved.finding("a route asks who calls", name, "Properties", "AuthorizationType"))
    return found


def _deployments(resolved: Template, account: str) -> Iterator[Deployment]:
    endpoints = list(resolved.properties("AWS::SageMaker::Endpoint"))
    models = list(resolved.properties("AWS::SageMaker::Model"))
    for name, config in resolved.properties("AWS::SageMaker::EndpointConfig"):
        used = [properties for model, properties in models if f"{{{{{model}." in str(config)]
        endpoint = [properties for _, properties in endpoints if f"{{{{{name}." in properties["EndpointConfigName"]]
        yield Deployment(resolved, name, config, endpoint[0] if endpoint else {}, used, account)
