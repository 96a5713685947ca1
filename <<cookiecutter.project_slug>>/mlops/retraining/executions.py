"""Executions of the training pipeline in SageMaker. Lambda functions import this module."""

from typing import Any

from botocore.exceptions import ClientError

from mlops.retraining.policy import Status

_RECENT = 100
"""How many executions are looked at: older ones have ended."""


def pipeline_exists(sagemaker: Any, name: str) -> bool:
    """Return whether a pipeline exists.

    Raises:
        ClientError: It cannot be read.
    """
    try:
        sagemaker.describe_pipeline(PipelineName=name)
    except ClientError as error:
        if not _is_missing(error):
            raise
        return False
    return True


def executing(sagemaker: Any, pipeline: str) -> str:
    """Return the ARN of an execution of a pipeline that has not ended; empty if there is none.

    Raises:
        ClientError: The executions cannot be listed.
    """
    pages = sagemaker.get_paginator("list_pipeline_executions").paginate(
        PipelineName=pipeline, SortBy="CreationTime", SortOrder="Descending", PaginationConfig={"MaxItems": _RECENT}
    )
    return next(
        (
            str(each["PipelineExecutionArn"])
            for page in pages
            for each in page["PipelineExecutionSummaries"]
            if each["PipelineExecutionStatus"] in ("Executing", "Stopping")
        ),
        "",
    )


def status(sagemaker: Any, execution: str) -> Status:
    """Return the status of an execution; one that does not exist has failed.

    Args:
        sagemaker: A boto3 client.
        execution: The execution's ARN.

    Raises:
        ClientError: It cannot be read.
    """
    try:
        described = sagemaker.describe_pipeline_execution(PipelineExecutionArn=execution)
    except ClientError as error:
        if not _is_missing(error):
            raise
        return Status.FAILED
    name = described["PipelineExecutionStatus"]
    if name != "Failed":
        return {"Succeeded": Status.REGISTERED, "Stopped": Status.FAILED}.get(name, Status.EXECUTING)
    pages = sagemaker.get_paginator("list_pipeline_execution_steps").paginate(PipelineExecutionArn=execution)
    steps = [step for page in pages for step in page["PipelineExecutionSteps"]]
    return Status.GATE_FAILED if any("Fail" in step.get("Metadata", {}) for step in steps) else Status.FAILED


def _is_missing(error: ClientError) -> bool:
    return bool(error.response["Error"]["Code"] == "ResourceNotFound")
