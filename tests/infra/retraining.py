"""Retraining in a stand-in account: the stacks that it needs, a training pipeline, and what triggers it."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from moto.sagemaker.models import sagemaker_backends

from mlops.registry.versions import APPROVED, PENDING
from mlops.retraining.memory import Run, State, from_document, to_document
from mlops.retraining.table import Table
from mlops.store.objects import data_version, newest_versions
from standin.account import StandInAccount
from standin.gaps import end_sagemaker_pipeline
from standin.lambdas import deliver
from standin.queues import drain, waiting
from tests.infra.deployed import NAMES, Deployed
from tests.infra.rendered import SLUG

STACKS = ("data", "registry", "execution", "retraining")
LIMITS = {"CooldownMinutes": "0", "RunsPerDay": "3", "FailedGates": "2"}
QUEUE = NAMES.retraining
PIPELINE = f"{SLUG}-training"
GATE_FAILED: list[dict[str, Any]] = [
    {"StepName": "GateFailed", "StepStatus": "Failed", "Metadata": {"Fail": {"ErrorMessage": "not good enough"}}}
]
BROKEN: list[dict[str, Any]] = [{"StepName": "Train", "StepStatus": "Failed", "Metadata": {"TrainingJob": {}}}]
PARAMETERS = [
    {"Name": "DataVersion", "Type": "String", "DefaultValue": "auto"},
    {"Name": "RunReason", "Type": "String", "DefaultValue": "manual"},
]


class Retraining(Deployed):
    """Retraining and what it needs, in an account."""

    def upsert(self, without: str = "", more: str = "") -> None:
        """Create the training pipeline, without one of its parameters, or with one more that has no default."""
        parameters = [each for each in PARAMETERS if each["Name"] != without]
        parameters += [{"Name": more, "Type": "String"}] if more else []
        definition = {"Version": "2020-12-01", "Parameters": parameters, "Steps": []}
        self.account.client("sagemaker").create_pipeline(
            PipelineName=PIPELINE,
            PipelineDefinition=json.dumps(definition),
            RoleArn=self.values["PipelineRoleArn"],
            ClientRequestToken="0" * 32,
        )

    def upload(self, *names: str, content: bytes = b"a\n1\n") -> list[dict[str, Any]]:
        """Put objects into the data, and return the events of them, which are not delivered yet."""
        return [self._uploaded(f"{SLUG}/data/{name}", content) for name in names]

    def _uploaded(self, key: str, content: bytes) -> dict[str, Any]:
        s3 = self.account.client("s3")
        version = s3.put_object(Bucket=self.values["DataBucket"], Key=key, Body=content)["VersionId"]
        return created(self.values["DataBucket"], key, version)

    def announce(self, *events: Mapping[str, Any]) -> int:
        """Hand events to the rules, and return how many messages came of them."""
        return sum(len(deliver(self.account, event)) for event in events)

    def send(self, kind: str, **fields: Any) -> None:
        """Send a message, as schedules and `mlops retrain` do."""
        sqs = self.account.client("sqs")
        url = sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"]
        sqs.send_message(QueueUrl=url, MessageBody=json.dumps({"kind": kind, **fields}))

    def send_event(self, event: Mapping[str, Any]) -> None:
        """Send an event to the queue, as EventBridge does."""
        sqs = self.account.client("sqs")
        sqs.send_message(QueueUrl=sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"], MessageBody=json.dumps(event))

    def decide(self) -> None:
        """Deliver what is in the queue; the function must not fail."""
        for answer, error in drain(self.account, QUEUE):
            assert (error, answer) == ("", {"batchItemFailures": []})

    def table(self) -> Table:
        """The table with the state."""
        return Table(self.account.client("dynamodb"), NAMES.retraining)

    def state(self) -> State:
        """The state in the table."""
        return self.table().read()

    @property
    def running(self) -> Run:
        """The run that executes."""
        running = self.state().running
        assert running
        return running

    def decisions(self) -> list[tuple[str, str, str]]:
        """Kind, outcome and reason of each decision, oldest first."""
        return [(each.kind, each.outcome, each.reason) for each in self.state().decisions.values()]

    def executions(self) -> dict[str, dict[str, str]]:
        """The parameters of each execution of the pipeline, the oldest first, by ARN."""
        pipeline = sagemaker_backends[self.account.id][self.account.region].pipelines[PIPELINE]
        return {
            arn: {each["Name"]: each["Value"] for each in execution.pipeline_parameters}
            for arn, execution in pipeline.pipeline_executions.items()
        }

    def end(self, status: str, steps: list[dict[str, Any]] | None = None, data: str = "") -> dict[str, Any]:
        """End the newest execution, and return the event of it; one that succeeds registers an approved version.

        Args:
            status: The status that it ends with.
            steps: Its steps.
            data: The version of the data that it was trained on; that of the data now if it is empty.
        """
        arn = list(self.executions())[-1]
        if status == "Succeeded":
            version = data or self.data_version()
            steps = [resolved(version), registered(self.register(version))]
        end_sagemaker_pipeline(self.account.id, self.account.region, arn, status, steps or [])
        return ended(self.account, arn, status)

    def register(self, data_version: str, status: str = APPROVED) -> str:
        """Register a version that was trained on some data, and return its ARN."""
        arn: str = self.account.client("sagemaker").create_model_package(
            ModelPackageGroupName=SLUG,
            ModelApprovalStatus=PENDING,
            CustomerMetadataProperties={"DataVersion": data_version},
            InferenceSpecification={
                "Containers": [{"Image": "image", "ModelDataUrl": "s3://models/model.tar.gz"}],
                "SupportedContentTypes": ["text/csv"],
                "SupportedResponseMIMETypes": ["text/csv"],
            },
        )["ModelPackageArn"]
        self.account.client("sagemaker").update_model_package(ModelPackageArn=arn, ModelApprovalStatus=status)
        return arn

    def record(self, execution: str) -> Any:
        """The record of an execution that the function left."""
        return self._document(f"run-records/{execution.rpartition('/')[2]}")

    def manifest(self, data_version: str) -> Any:
        """The manifest of a version of the data that the first step of a run left."""
        return self._document(f"data-versions/{data_version}")

    def data_version(self) -> str:
        """The version of the data now."""
        found = newest_versions(self.account.client("s3"), self.values["DataBucket"], f"{SLUG}/data/")
        return data_version(found)

    def _document(self, name: str) -> Any:
        key = f"{SLUG}/{name}.json"
        return json.load(self.account.client("s3").get_object(Bucket=self.values["DataBucket"], Key=key)["Body"])

    def undelivered(self) -> list[str]:
        """The bodies of the messages in the dead-letter queue."""
        return waiting(self.account, f"{QUEUE}-undelivered")

    def let_time_pass(self, duration: timedelta) -> None:
        """Let the state be older by a duration, as if it had been written so long ago."""
        self.table().change(lambda state: from_document(_earlier(to_document(state), duration)))


def _earlier(value: Any, duration: timedelta) -> Any:
    if isinstance(value, dict):
        return {name: _earlier(member, duration) for name, member in value.items()}
    if isinstance(value, list):
        return [_earlier(member, duration) for member in value]
    try:
        return (datetime.fromisoformat(value) - duration).isoformat()
    except (TypeError, ValueError):
        return value


def retraining(account: StandInAccount, strategy: str = "recommended", **given: str) -> Retraining:
    """Deploy retraining and what it needs, with a pipeline.

    Args:
        account: Where.
        strategy: The answer to `retraining_strategy`.
        given: Values of parameters that are not the defaults of the tests.
    """
    return Retraining.into(account, {"retraining_strategy": strategy}, STACKS, **(LIMITS | given))


def resolved(data_version: str) -> dict[str, Any]:
    """What ListPipelineExecutionSteps says of the step that found the data.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_LambdaStepMetadata.html
    """
    function = f"arn:aws:lambda:eu-west-1:123456789012:function:{SLUG}-resolve-data"
    return {
        "StepName": "ResolveData",
        "StepStatus": "Succeeded",
        "StartTime": "2026-11-20T11:50:00Z",
        "EndTime": "2026-11-20T11:50:01Z",
        "Metadata": {"Lambda": {"Arn": function, "OutputParameters": [{"Name": "DataVersion", "Value": data_version}]}},
    }


def registered(package: str) -> dict[str, Any]:
    """What ListPipelineExecutionSteps says of the step that registered a version."""
    return {
        "StepName": "RegisterModel",
        "StepStatus": "Succeeded",
        "StartTime": "2026-11-20T11:58:00Z",
        "EndTime": "2026-11-20T11:59:00Z",
        "Metadata": {"RegisterModel": {"Arn": package}},
    }


def created(bucket: str, key: str, version: str) -> dict[str, Any]:
    """The event of a new object.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
    """
    return {
        "source": "aws.s3",
        "detail-type": "Object Created",
        "resources": [f"arn:aws:s3:::{bucket}"],
        "detail": {
            "version": "0",
            "bucket": {"name": bucket},
            "object": {"key": key, "size": 4, "etag": "0" * 32, "version-id": version, "sequencer": "0" * 16},
            "request-id": "C3D13FE58DE4C810",
            "requester": "123456789012",
            "source-ip-address": "127.0.0.1",
            "reason": "PutObject",
        },
    }


def ended(account: StandInAccount, execution: str, status: str) -> dict[str, Any]:
    """The event of the end of an execution.

    https://docs.aws.amazon.com/sagemaker/latest/dg/automating-sagemaker-with-eventbridge.html
    """
    pipeline = f"arn:aws:sagemaker:{account.region}:{account.id}:pipeline/{PIPELINE}"
    return {
        "source": "aws.sagemaker",
        "detail-type": "SageMaker Model Building Pipeline Execution Status Change",
        "resources": [pipeline, execution],
        "detail": {
            "pipelineExecutionDisplayName": "execution-1",
            "currentPipelineExecutionStatus": status,
            "previousPipelineExecutionStatus": "Executing",
            "executionStartTime": "2026-11-20T11:00:00Z",
            "executionEndTime": "2026-11-20T12:00:00Z",
            "pipelineArn": pipeline,
            "pipelineExecutionArn": execution,
        },
    }
