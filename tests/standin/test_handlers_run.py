import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from standin import deploy
from standin.account import StandInAccount
from standin.calls import CallRecord
from standin.deploy import Stack
from standin.lambdas import Delivery, deliver, invoke
from tests.infra.checks.mutants import PARAMETERS, changed

pytestmark = pytest.mark.usefixtures("grown")

NAME = "sagemaker-doctor-visits-p-0123456789ab"
ROLE = f"arn:aws:iam::123456789012:role/{NAME}-wants"
PACKAGE = f"arn:aws:sagemaker:eu-west-1:123456789012:model-package/{NAME}/1"
STARTS = """
import os
import boto3

def handler(event, context):
    variables = [{"name": "ModelPackageArn", "value": event["detail"]["ModelPackageArn"]}]
    answer = boto3.client("codepipeline").start_pipeline_execution(name=os.environ["PIPELINE"], variables=variables)
    print("started", context.function_name)
    return answer["pipelineExecutionId"]
"""


def approval(**detail: Any) -> dict[str, Any]:
    return {
        "source": "aws.sagemaker",
        "detail-type": "SageMaker Model Package State Change",
        "detail": {
            "ModelPackageGroupName": NAME,
            "ModelPackageArn": PACKAGE,
            "ModelApprovalStatus": "Approved",
            "UpdatedModelPackageFields": ["ModelApprovalStatus"],
            **detail,
        },
    }


def deliveries(account: StandInAccount, event: dict[str, Any], **handler: Any) -> list[Delivery]:
    changes = {f"Handler/Properties/{name}": value for name, value in handler.items() if name != "code"}
    changes["Handler/Properties/Code/ZipFile"] = handler.get("code", STARTS)
    deploy.put(account, Stack("sound", changed(changes), PARAMETERS))
    return deliver(account, event)


def executions(account: StandInAccount) -> list[dict[str, Any]]:
    client = account.client("codepipeline")
    found: list[dict[str, Any]] = client.list_pipeline_executions(pipelineName=f"{NAME}-deploy")[
        "pipelineExecutionSummaries"
    ]
    return found


def test_an_approval_reaches_the_handler_which_starts_the_deployment(
    account: StandInAccount, record: CallRecord
) -> None:
    [delivery] = deliveries(account, approval())
    assert delivery.error == ""
    assert [execution["pipelineExecutionId"] for execution in executions(account)] == [delivery.answer]
    [call] = record.calls()
    assert (call.role, call.service, call.operation) == (ROLE, "codepipeline", "StartPipelineExecution")
    assert call.parameters["variables"] == [{"name": "ModelPackageArn", "value": PACKAGE}]


@pytest.mark.parametrize(
    "detail",
    [
        {"UpdatedModelPackageFields": ["CustomerMetadataProperties"]},
        {"ModelApprovalStatus": "PendingManualApproval"},
        {"ModelPackageGroupName": "another"},
    ],
)
def test_an_event_that_the_rule_does_not_want_reaches_nobody(account: StandInAccount, detail: dict[str, Any]) -> None:
    assert deliveries(account, approval(**detail)) == []


def test_an_event_for_a_target_that_is_no_function_comes_with_its_role(account: StandInAccount) -> None:
    event = {
        "source": "aws.ecr",
        "detail-type": "ECR Image Action",
        "detail": {"action-type": "PUSH", "result": "SUCCESS", "repository-name": NAME},
    }
    [delivery] = deliveries(account, event)
    assert delivery.target.endswith(f"{NAME}-deploy")
    assert delivery.role.endswith(f"{NAME}-start")
    assert delivery.answer is None


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("def handler(event, context): return event['none']", "KeyError: 'none'"),
        ("import numpy\ndef handler(event, context): return 1", "Lambda's Python has no numpy"),
        ("def handler(event): return 1", "TypeError"),
        ("import time\ndef handler(event, context): time.sleep(60)", "Task timed out after 1 seconds"),
        (
            "import urllib.request as r\ndef handler(event, context): r.urlopen('http://192.0.2.1')",
            "no network in tests",
        ),
    ],
)
def test_what_fails_in_lambda_fails_here(account: StandInAccount, code: str, error: str) -> None:
    timeout = 1 if "sleep" in code else 30
    [delivery] = deliveries(account, approval(), code=code, Timeout=timeout)
    assert error in delivery.error


def test_a_handler_sees_its_own_variables_and_nothing_of_ours(
    account: StandInAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OURS", "1")
    code = "import os\ndef handler(event, context): return [os.environ['PIPELINE'], os.environ.get('OURS')]"
    deliveries(account, approval(), code=code)
    assert invoke(account, f"{NAME}-wanted", {}) == ([f"{NAME}-deploy", None], "")


def test_calls_are_recorded_with_the_roles_that_they_pass_and_their_errors(
    account: StandInAccount, record: CallRecord
) -> None:
    code = """
import boto3
sagemaker = boto3.client("sagemaker")
sagemaker.create_model(ModelName="one", ExecutionRoleArn="arn:aws:iam::123456789012:role/serve",
                       PrimaryContainer={"Image": "image"})
other = "arn:aws:iam::123456789012:role/other"
credentials = boto3.client("sts").assume_role(RoleArn=other, RoleSessionName="one")["Credentials"]
other = boto3.Session(credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"])
try:
    other.client("sagemaker").describe_model(ModelName="two")
except sagemaker.exceptions.ClientError:
    pass
"""
    trust = {"Effect": "Allow", "Principal": {"AWS": account.id}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    account.client("iam").create_role(RoleName="other", AssumeRolePolicyDocument=document)
    environment = {**account.environment(), **record.environment("arn:aws:iam::123456789012:role/build")}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    create, assume, describe = record.calls()
    assert create.passed == ("arn:aws:iam::123456789012:role/serve",)
    assert create.error is None
    assert (assume.operation, assume.role) == ("AssumeRole", "arn:aws:iam::123456789012:role/build")
    assert describe.role == "arn:aws:iam::123456789012:role/other"
    assert "Could not find model" in (describe.error or "")


def test_a_process_that_needs_no_aws_does_not_load_it_to_be_recorded(record: CallRecord) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONDONTWRITEBYTECODE": "1",
        **record.environment("arn:aws:iam::123456789012:role/build"),
    }
    code = "import sys; sys.exit('botocore' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, cwd=Path(__file__).parent)
    assert record.calls() == []
