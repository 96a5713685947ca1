from typing import Any

import pytest

from standin.template import resolve
from tests.infra.checks import exclusions
from tests.infra.checks.mutants import PARAMETERS, REMOVED, changed

VARIANTS = "EndpointConfig/Properties/ProductionVariants"
GUARDRAILS = "Endpoint/Properties/DeploymentConfig"
ROUTING = f"{GUARDRAILS}/BlueGreenUpdatePolicy/TrafficRoutingConfiguration"
ALARM = "Errors/Properties"
MODEL = {"Fn::GetAtt": ["Model", "ModelName"]}
INSTANCES = {"VariantName": "AllTraffic", "ModelName": MODEL, "InitialInstanceCount": 4, "InstanceType": "ml.m5.large"}
SERVERLESS: dict[str, Any] = {
    f"{VARIANTS}/0": {
        "VariantName": "AllTraffic",
        "ModelName": MODEL,
        "ServerlessConfig": {"MaxConcurrency": 5, "MemorySizeInMB": 2048},
    },
    "EndpointConfig/Properties/DataCaptureConfig": REMOVED,
    "Model/Properties/VpcConfig": REMOVED,
    "Model/Properties/EnableNetworkIsolation": REMOVED,
    "EndpointConfig/Properties/KmsKeyId": REMOVED,
    GUARDRAILS: REMOVED,
    "ScalableTarget": REMOVED,
    "ScalingPolicy": REMOVED,
}  # fmt: skip
ASYNC: dict[str, Any] = {
    "EndpointConfig/Properties/AsyncInferenceConfig": {"OutputConfig": {"S3OutputPath": "s3://bucket/answers"}}
}
SHADOW: dict[str, Any] = {
    "EndpointConfig/Properties/ShadowProductionVariants": [{**INSTANCES, "VariantName": "Shadow"}]
}
ROLLING: dict[str, Any] = {
    f"{GUARDRAILS}/RollingUpdatePolicy": {
        "MaximumBatchSize": {"Type": "CAPACITY_PERCENT", "Value": 50}, "WaitIntervalInSeconds": 600,
    },
    f"{GUARDRAILS}/BlueGreenUpdatePolicy": REMOVED,
}  # fmt: skip
OWN_IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/churn@sha256:0"


def capture() -> dict[str, Any]:
    return {
        "EnableCapture": True,
        "InitialSamplingPercentage": 100,
        "DestinationS3Uri": "s3://bucket/x",
        "CaptureOptions": [],
    }


def routed(kind: str, size: str, percent: int) -> dict[str, Any]:
    return {ROUTING: {"Type": kind, size: {"Type": "CAPACITY_PERCENT", "Value": percent}, "WaitIntervalInSeconds": 600}}


SOUND_VARIATIONS: dict[str, dict[str, Any]] = {
    "realtime, canary": {},
    "serverless": SERVERLESS,
    "serverless, own image": {**SERVERLESS, "Model/Properties/PrimaryContainer/Image": OWN_IMAGE},
    "async, canary": ASYNC,
    "realtime, shadow": SHADOW,
    "realtime, rolling": ROLLING,
    "realtime, linear": routed("LINEAR", "LinearStepSize", 10),
    "realtime, all at once, one instance": {f"{VARIANTS}/0/InitialInstanceCount": 1, ROUTING: {"Type": "ALL_AT_ONCE"}},
}
MUTANTS: dict[str, dict[str, Any]] = {
    "a serverless endpoint captures no data": {**SERVERLESS, "EndpointConfig/Properties/DataCaptureConfig": capture()},
    "a serverless endpoint has no VPC": {**SERVERLESS, "Model/Properties/VpcConfig": {"Subnets": ["x"]}},
    "a serverless endpoint has no network isolation": {**SERVERLESS, "Model/Properties/EnableNetworkIsolation": True},
    "a serverless endpoint has no disk to encrypt": {**SERVERLESS, "EndpointConfig/Properties/KmsKeyId": "key"},
    "a serverless endpoint has one variant": {**SERVERLESS, f"{VARIANTS}/1": SERVERLESS[f"{VARIANTS}/0"]},
    "a serverless endpoint has no guardrails": {
        **SERVERLESS, GUARDRAILS: {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE"}}}
    },
    "a serverless endpoint answers at once": {**SERVERLESS, **ASYNC},
    "a serverless endpoint has no instances": {**SERVERLESS, f"{VARIANTS}/0/InstanceType": "ml.m5.large"},
    "an endpoint with instances says whether it is observed in detail": {
        "EndpointConfig/Properties/MetricsConfig": REMOVED
    },
    "a serverless endpoint is not autoscaled by CloudFormation": {
        place: value for place, value in SERVERLESS.items() if place not in ("ScalableTarget", "ScalingPolicy")
    },
    "a serverless endpoint uses an image of its own account": {
        **SERVERLESS, "Model/Properties/PrimaryContainer/Image": OWN_IMAGE.replace("1", "2")
    },
    "a serverless endpoint provisions no more than its concurrency": {
        **SERVERLESS,
        f"{VARIANTS}/0/ServerlessConfig": {"MaxConcurrency": 5, "MemorySizeInMB": 2048, "ProvisionedConcurrency": 6},
    },
    "a key is for disks that SageMaker encrypts": {f"{VARIANTS}/0/InstanceType": "ml.g5.xlarge"},
    "only a realtime endpoint has a shadow": {**ASYNC, **SHADOW},
    "a shadowed endpoint has one variant and one shadow": {**SHADOW, f"{VARIANTS}/1": INSTANCES},
    "an update is blue/green or rolling": {
        f"{GUARDRAILS}/RollingUpdatePolicy": ROLLING[f"{GUARDRAILS}/RollingUpdatePolicy"]
    },
    "a canary is at most half": routed("CANARY", "CanarySize", 51),
    "a linear step is 10 to 50 %": routed("LINEAR", "LinearStepSize", 9),
    "a rolling batch is 5 to 50 %": {
        **ROLLING, f"{GUARDRAILS}/RollingUpdatePolicy/MaximumBatchSize": {"Type": "INSTANCE_COUNT", "Value": 2}
    },
    "a rolling update has one variant": {**ROLLING, f"{VARIANTS}/1": INSTANCES},
    "canary, linear and rolling need two instances": {f"{VARIANTS}/0/InitialInstanceCount": 1},
    "two instances are left at night for canary, linear and rolling": {"ScalableTarget/Properties/MinCapacity": 1},
    "an update is given the time that it waits": {
        **routed("LINEAR", "LinearStepSize", 10),
        f"{GUARDRAILS}/BlueGreenUpdatePolicy/MaximumExecutionTimeoutInSeconds": 3600,
    },
    "guardrails exclude Inf1 instances": {f"{VARIANTS}/0/InstanceType": "ml.inf1.xlarge"},
    "a gradual update is watched by an alarm of the template": {f"{GUARDRAILS}/AutoRollbackConfiguration": REMOVED},
    "an alarm of an update takes missing data for good": {f"{ALARM}/TreatMissingData": REMOVED},
    "an alarm of an update rings while it waits": {f"{ALARM}/Period": 600},
    "an alarm of an update at once rings while the old instances are there": {
        ROUTING: {"Type": "ALL_AT_ONCE"}, f"{ALARM}/DatapointsToAlarm": 6, f"{ALARM}/EvaluationPeriods": 6
    },
    "an update keeps autoscaled capacity": {"Endpoint/Properties/RetainAllVariantProperties": REMOVED},
    "an update brings the configured capacity": {"ScalableTarget": REMOVED, "ScalingPolicy": REMOVED},
    "an endpoint without instances is woken by steps": {
        "ScalableTarget/Properties/MinCapacity": 0, ROUTING: {"Type": "ALL_AT_ONCE"}
    },
    "the variant is always called AllTraffic": {f"{VARIANTS}/0/VariantName": {"Ref": "AWS::StackName"}},
    "an endpoint configuration has no name": {"EndpointConfig/Properties/EndpointConfigName": "x"},
    "a model has no name": {"Model/Properties/ModelName": "x"},
    "a stack with an endpoint in a VPC owns no subnet or security group": {
        "Subnet": {"Type": "AWS::EC2::Subnet", "Properties": {"VpcId": "vpc-0"}}
    },
}  # fmt: skip


def findings(changes: dict[str, Any]) -> list[str]:
    return [finding.what for finding in exclusions.findings(resolve(changed(changes), PARAMETERS))]


def test_every_row_of_the_table_has_a_mutant() -> None:
    assert list(MUTANTS) == list(exclusions.ROWS)


@pytest.mark.parametrize("variation", SOUND_VARIATIONS)
def test_what_works_together_is_no_finding(variation: str) -> None:
    assert findings(SOUND_VARIATIONS[variation]) == []


@pytest.mark.parametrize("row", MUTANTS)
def test_the_mutant_of_a_row_is_found_as_that(row: str) -> None:
    assert findings(MUTANTS[row]) == [row]


@pytest.mark.parametrize("authorisation", [REMOVED, "NONE"])
def test_a_route_that_asks_nobody_is_found(authorisation: Any) -> None:
    assert findings({"Route/Properties/AuthorizationType": authorisation}) == ["a route asks who calls"]
