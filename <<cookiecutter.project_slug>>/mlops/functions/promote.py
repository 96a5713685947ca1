"""Start the deployment of the champion after a version was approved or rejected.

Events may be late, duplicated and out of order. An event is therefore only a notification with a time; the champion is
read from the registry.
"""

import json
import os
from datetime import datetime
from typing import Any

import boto3

from mlops.base.environments import ENVIRONMENTS
from mlops.registry import packages, promotion
from mlops.registry.promotion import NONE, START
from mlops.registry.versions import APPROVED, ModelVersion, approver, with_approval

VARIABLE = "ModelPackageArn"
"""The variable of the deploy pipeline with the ARN of the package."""


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Record the time of the approval, decide and act; log and return the decision."""
    moment, detail = datetime.fromisoformat(event["time"]), event["detail"]
    versions = _approved(detail["ModelPackageArn"] if detail["ModelApprovalStatus"] == APPROVED else "", moment)
    decision = promotion.decide(versions, _live(), _last_requested())
    result = {
        "event": f"{detail['ModelPackageArn']} {detail['ModelApprovalStatus']} {event['time']}",
        "outcome": decision.outcome,
        "reason": decision.reason,
    }
    if decision.version and decision.outcome == START:
        result |= {"package": decision.version.arn, "execution": _start(decision.version.arn, moment)}
    if decision.outcome == NONE:
        _notify(decision.reason)
    print(json.dumps(result))
    return result


def _approved(package: str, moment: datetime) -> list[ModelVersion]:
    """Record when and by whom the package of the event was approved, then return the approved versions."""
    sagemaker, group = boto3.client("sagemaker"), os.environ["MODEL_PACKAGE_GROUP"]
    versions = packages.versions(sagemaker, group, APPROVED)
    version = next((version for version in versions if version.arn == package), None)
    if version is None or not promotion.is_newer(moment, version):
        return versions
    by = approver(sagemaker.describe_model_package(ModelPackageName=package))
    metadata = with_approval(version.metadata, moment, by)
    sagemaker.update_model_package(ModelPackageArn=package, CustomerMetadataProperties=metadata)
    return packages.versions(sagemaker, group, APPROVED)


def _live() -> dict[str, str]:
    """Return the ARN of the live package by environment."""
    names = {os.environ[f"LIVE_{environment.upper()}"]: environment for environment in ENVIRONMENTS}
    parameters = boto3.client("ssm").get_parameters(Names=list(names))["Parameters"]
    return {names[parameter["Name"]]: parameter["Value"] for parameter in parameters}


def _last_requested() -> str | None:
    """Return the ARN of the package of the newest execution in progress; stopping ones do not count."""
    codepipeline, pipeline = boto3.client("codepipeline"), os.environ["PIPELINE"]
    executions = codepipeline.list_pipeline_executions(pipelineName=pipeline)["pipelineExecutionSummaries"]
    in_progress = [execution for execution in executions if execution["status"] == "InProgress"]
    if not in_progress:
        return None
    newest = max(in_progress, key=lambda execution: execution["startTime"])
    variables = codepipeline.get_pipeline_execution(
        pipelineName=pipeline, pipelineExecutionId=newest["pipelineExecutionId"]
    )["pipelineExecution"]["variables"]
    return str(next(variable["resolvedValue"] for variable in variables if variable["name"] == VARIABLE))


def _start(package: str, moment: datetime) -> str:
    started = boto3.client("codepipeline").start_pipeline_execution(
        name=os.environ["PIPELINE"],
        variables=[{"name": VARIABLE, "value": package}],
        clientRequestToken=promotion.token(package, moment),
    )
    return str(started["pipelineExecutionId"])


def _notify(reason: str) -> None:
    boto3.client("sns").publish(
        TopicArn=os.environ["TOPIC_ARN"], Subject=f"{os.environ['PIPELINE']}: nothing to deploy", Message=reason
    )
