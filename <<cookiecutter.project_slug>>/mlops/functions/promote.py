"""Starts the deployment of the wanted version after a version was approved or rejected.

Events may be late, doubled and out of order, so the event only says that something has happened, and when: which
version is wanted is read from the registry.
"""

import json
import os
from datetime import datetime
from typing import Any

import boto3

from mlops.base.environments import ENVIRONMENTS
from mlops.registry import packages, promotion
from mlops.registry.promotion import NONE, START
from mlops.registry.versions import APPROVED, ModelVersion, with_approval_time

VARIABLE = "ModelPackageArn"
"""The variable of the deploy pipeline that names the package."""


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Stamp the approval, decide, and do it; log and return what was decided."""
    moment, detail = datetime.fromisoformat(event["time"]), event["detail"]
    versions = _approved(detail["ModelPackageArn"] if detail["ModelApprovalStatus"] == APPROVED else "", moment)
    decision = promotion.decide(versions, _live(), _last_asked())
    said = {
        "event": f"{detail['ModelPackageArn']} {detail['ModelApprovalStatus']} {event['time']}",
        "outcome": decision.outcome,
        "reason": decision.reason,
    }
    if decision.wanted and decision.outcome == START:
        said |= {"package": decision.wanted.arn, "execution": _start(decision.wanted.arn, moment)}
    if decision.outcome == NONE:
        _tell(decision.reason)
    print(json.dumps(said))
    return said


def _approved(package: str, moment: datetime) -> list[ModelVersion]:
    """The approved versions; the time of an approval is first recorded with the version that the event names."""
    sagemaker, group = boto3.client("sagemaker"), os.environ["MODEL_PACKAGE_GROUP"]
    versions = packages.versions(sagemaker, group, APPROVED)
    told = next((version for version in versions if version.arn == package), None)
    if told is None or not promotion.is_newer(moment, told):
        return versions
    sagemaker.update_model_package(
        ModelPackageArn=package, CustomerMetadataProperties=with_approval_time(told.metadata, moment)
    )
    return packages.versions(sagemaker, group, APPROVED)


def _live() -> dict[str, str]:
    """ARN of the package that is live, by environment."""
    names = {os.environ[f"LIVE_{environment.upper()}"]: environment for environment in ENVIRONMENTS}
    parameters = boto3.client("ssm").get_parameters(Names=list(names))["Parameters"]
    return {names[parameter["Name"]]: parameter["Value"] for parameter in parameters}


def _last_asked() -> str | None:
    """ARN of the package of the newest execution under way; what is being stopped is none."""
    codepipeline, pipeline = boto3.client("codepipeline"), os.environ["PIPELINE"]
    executions = codepipeline.list_pipeline_executions(pipelineName=pipeline)["pipelineExecutionSummaries"]
    under_way = [execution for execution in executions if execution["status"] == "InProgress"]
    if not under_way:
        return None
    newest = max(under_way, key=lambda execution: execution["startTime"])
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


def _tell(reason: str) -> None:
    boto3.client("sns").publish(
        TopicArn=os.environ["TOPIC_ARN"], Subject=f"{os.environ['PIPELINE']}: nothing to deploy", Message=reason
    )
