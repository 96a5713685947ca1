"""Executions of the training pipeline in SageMaker. Lambda functions import this module."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, TypedDict

from botocore.exceptions import ClientError

from mlops.retraining.policy import Status

_UNDER_WAY = ("Executing", "Stopping")
_NEVER = "9999"
_RECENT = 100
"""How many executions are looked at: older ones have ended."""


class Step(TypedDict):
    """A step of an execution; times are ISO 8601, empty until they are known. `outputs` are those of a function."""

    name: str
    status: str
    started: str
    ended: str
    resource: str
    outputs: dict[str, str]
    failure: str


class Execution(TypedDict):
    """The record of an execution.

    Attributes:
        execution: Its ARN.
        status: Executing, Stopping, Stopped, Failed or Succeeded.
        started: When it was started, ISO 8601.
        ended: When its status last changed; empty while it executes.
        failure: Why it failed.
        model_package: The ARN of the version that it registered; empty without one.
        parameters: The values of the parameters that were given.
        steps: Its steps, in the order of their start; `resource` is the ARN of the job or of the version.
    """

    execution: str
    status: str
    started: str
    ended: str
    failure: str
    model_package: str
    parameters: dict[str, str]
    steps: list[Step]


def recent(sagemaker: Any, pipeline: str, count: int) -> list[str]:
    """Return the ARNs of the newest executions of a pipeline, newest first.

    Raises:
        ClientError: The executions cannot be listed.
    """
    return [each["PipelineExecutionArn"] for each in _newest(sagemaker, pipeline, count)]


def describe(sagemaker: Any, execution: str) -> Execution | None:
    """Return the record of an execution; None if it does not exist.

    Raises:
        ClientError: It cannot be read.
    """
    described = _described(sagemaker, execution)
    if described is None:
        return None
    pages = sagemaker.get_paginator("list_pipeline_parameters_for_execution").paginate(PipelineExecutionArn=execution)
    steps = [_step(step) for step in _steps(sagemaker, execution)]
    name = described["PipelineExecutionStatus"]
    return {
        "execution": execution,
        "status": name,
        "started": _time(described["CreationTime"]),
        "ended": "" if name in _UNDER_WAY else _time(described["LastModifiedTime"]),
        "failure": described.get("FailureReason", ""),
        "model_package": next((step["resource"] for step in steps if ":model-package/" in step["resource"]), ""),
        "parameters": {each["Name"]: each["Value"] for page in pages for each in page["PipelineParameters"]},
        "steps": sorted(steps, key=lambda step: step["started"] or _NEVER),
    }


def resolved(execution: Execution) -> dict[str, str]:
    """Return the parameters of an execution, with the values that its functions found for those that were not given."""
    return execution["parameters"] | {
        name: value for step in execution["steps"] for name, value in step["outputs"].items()
    }


def declared_parameters(sagemaker: Any, pipeline: str) -> frozenset[str] | None:
    """Return the names of the parameters that a pipeline declares; None if it does not exist.

    Raises:
        ClientError: It cannot be read.
    """
    try:
        definition = sagemaker.describe_pipeline(PipelineName=pipeline)["PipelineDefinition"]
    except ClientError as error:
        if not _is_missing(error):
            raise
        return None
    return frozenset(parameter["Name"] for parameter in json.loads(definition).get("Parameters", []))


def hold(sagemaker: Any, pipeline: str) -> str:
    """Return which execution of a pipeline has not ended, as a clause; empty if all have.

    Raises:
        ClientError: The executions cannot be listed.
    """
    newest = _newest(sagemaker, pipeline, _RECENT)
    under_way = (each for each in newest if each["PipelineExecutionStatus"] in _UNDER_WAY)
    return next((f"execution {each['PipelineExecutionArn']} of the pipeline has not ended" for each in under_way), "")


def status(sagemaker: Any, execution: str) -> Status:
    """Return the status of an execution; one that does not exist has failed.

    Args:
        sagemaker: A boto3 client.
        execution: The execution's ARN.

    Raises:
        ClientError: It cannot be read.
    """
    described = _described(sagemaker, execution)
    if described is None:
        return Status.FAILED
    name = described["PipelineExecutionStatus"]
    if name != "Failed":
        return {"Succeeded": Status.REGISTERED, "Stopped": Status.FAILED}.get(name, Status.EXECUTING)
    by_gate = any("Fail" in step.get("Metadata", {}) for step in _steps(sagemaker, execution))
    return Status.GATE_FAILED if by_gate else Status.FAILED


def _described(sagemaker: Any, execution: str) -> dict[str, Any] | None:
    try:
        described: dict[str, Any] = sagemaker.describe_pipeline_execution(PipelineExecutionArn=execution)
    except ClientError as error:
        if not _is_missing(error):
            raise
        return None
    return described


def _newest(sagemaker: Any, pipeline: str, count: int) -> Iterator[dict[str, Any]]:
    pages = sagemaker.get_paginator("list_pipeline_executions").paginate(
        PipelineName=pipeline, SortBy="CreationTime", SortOrder="Descending", PaginationConfig={"MaxItems": count}
    )
    return (each for page in pages for each in page["PipelineExecutionSummaries"])


def _steps(sagemaker: Any, execution: str) -> Iterator[dict[str, Any]]:
    pages = sagemaker.get_paginator("list_pipeline_execution_steps").paginate(PipelineExecutionArn=execution)
    return (step for page in pages for step in page["PipelineExecutionSteps"])


def _step(step: dict[str, Any]) -> Step:
    metadata = step.get("Metadata", {})
    resources = (str(each["Arn"]) for each in metadata.values() if "Arn" in each)
    outputs = metadata.get("Lambda", {}).get("OutputParameters", [])
    return {
        "name": step["StepName"],
        "status": step["StepStatus"],
        "started": _time(step.get("StartTime")),
        "ended": _time(step.get("EndTime")),
        "resource": next(resources, ""),
        "outputs": {each["Name"]: each["Value"] for each in outputs},
        "failure": step.get("FailureReason", ""),
    }


def _time(moment: datetime | None) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds") if moment else ""


def _is_missing(error: ClientError) -> bool:
    return bool(error.response["Error"]["Code"] == "ResourceNotFound")
