"""Monitoring in a stand-in account: its stacks, and its pipeline, executed as SageMaker does."""

import json
import os
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlops.monitoring.place import Layout
from mlops.pipeline.definition import Definition, Scope, as_text, evaluate
from mlops.registry.versions import APPROVED, PENDING
from standin.lambdas import invoke
from tests.infra.deployed import NAMES, Deployed
from tests.infra.rendered import SLUG

STACKS = ("data", "registry", "execution", "retraining", "workload", "monitoring")
LIMITS = {"CooldownMinutes": "0", "RunsPerDay": "3", "FailedGates": "2"}
PIPELINE = f"{SLUG}-monitoring"
_ML = "/opt/ml"


class Monitoring(Deployed):
    """Monitoring and what it needs, in an account."""

    def register(self, project: Path, number: int = 1) -> str:
        """Register, approved, a version that a project on this machine has trained, and return its ARN."""
        record = json.loads((project / f".mlops/registry/local/{SLUG}/{number}.json").read_text())
        text = json.dumps(record).replace("s3://local-bucket/", f"s3://{self.values['DataBucket']}/")
        record = json.loads(text.replace("s3://local-models/", f"s3://{self.values['ModelBucket']}/"))
        for folder, bucket in (("local-bucket", "DataBucket"), ("local-models", "ModelBucket")):
            root = project / ".mlops/s3" / folder
            for path in (root / SLUG / "runs").rglob("*"):
                if path.is_file():
                    self.upload(bucket, path.relative_to(root).as_posix(), path.read_bytes())
        sagemaker = self.account.client("sagemaker")
        members = ("InferenceSpecification", "ModelMetrics", "DriftCheckBaselines", "CustomerMetadataProperties")
        arn: str = sagemaker.create_model_package(
            ModelPackageGroupName=SLUG,
            ModelApprovalStatus=PENDING,
            **{member: record[member] for member in members},
        )["ModelPackageArn"]
        sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus=APPROVED)
        return arn

    def upload(self, bucket: str, key: str, content: bytes) -> None:
        """Put an object into one of the project's buckets, which an output of a stack names."""
        self.account.client("s3").put_object(Bucket=self.values[bucket], Key=key, Body=content)

    def capture(self, project: Path, environment: str = "production") -> None:
        """Let what a server captured on this machine be the traffic of an environment."""
        root = project / ".mlops/s3/local-bucket"
        for path in (root / SLUG / "capture").rglob("*.jsonl"):
            key = path.relative_to(root).as_posix().replace(f"/{SLUG}-local/", f"/{SLUG}-{environment}/")
            self.upload("CaptureBucket", key, path.read_bytes())

    def predict(self, rows: Path, predictions: Path, environment: str = "production") -> None:
        """Leave what a transform job of version 1 leaves: its output, and lists of what it read and wrote.

        The list of its input has one object more, which the job could not predict.
        """
        folder = f"{SLUG}/batch/{environment}/0123456789abcdef"
        self.upload("DataBucket", f"{SLUG}/batch/{rows.name}", rows.read_bytes())
        self.upload("CaptureBucket", f"{folder}/{predictions.name}", predictions.read_bytes())
        lists = Layout(SLUG, SLUG, "").batch_lists(environment, 1)
        for side, bucket, prefix, names in (
            ("input", "DataBucket", f"{SLUG}/batch", (rows.name, "failed.csv")),
            ("output", "CaptureBucket", folder, (predictions.name,)),
        ):
            content = json.dumps([{"prefix": f"s3://{self.values[bucket]}/{prefix}/"}, *names])
            self.upload("CaptureBucket", f"{lists}/{side}/2026/11/20/03/manifest", content.encode())

    def answer(self, project: Path, environment: str = "production") -> list[dict[str, Any]]:
        """Let what a server captured on this machine be what version 1 answered at an asynchronous endpoint.

        Requests and responses become objects. Returns the notices of the responses.
        """
        folder, bucket = f"{SLUG}/async/{environment}", self.values["CaptureBucket"]
        notices: list[dict[str, Any]] = []
        for path in (project / ".mlops/s3/local-bucket" / SLUG / "capture").rglob("*.jsonl"):
            for record in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
                asked, answered = (record["captureData"][side] for side in ("endpointInput", "endpointOutput"))
                inference_id = f"id-{len(notices)}"
                request, response = f"{folder}/requests/{inference_id}", f"{folder}/answers/1/{inference_id}.out"
                self.upload("CaptureBucket", request, asked["data"].encode())
                self.upload("CaptureBucket", response, answered["data"].encode())
                notice = {
                    "eventTime": record["eventMetadata"]["inferenceTime"],
                    "invocationStatus": "Completed",
                    "requestParameters": {
                        "contentType": asked["observedContentType"],
                        "endpointName": f"{SLUG}-{environment}",
                        "inputLocation": f"s3://{bucket}/{request}",
                    },
                    "responseParameters": {
                        "contentType": answered["observedContentType"],
                        "outputLocation": f"s3://{bucket}/{response}",
                    },
                    "inferenceId": inference_id,
                    "eventName": "InferenceResult",
                }
                notices.append(notice)
        return notices

    def announce(self, notices: list[dict[str, Any]], topic: str) -> None:
        """Publish notices on the topic of an endpoint, after the message with which SageMaker tests it."""
        for notice in ({"eventName": "TestNotification"}, *notices):
            self.account.client("sns").publish(TopicArn=topic, Message=json.dumps(notice))

    def go_live(self, package: str, environment: str = "production") -> None:
        """Record which version is live."""
        name = NAMES.live_parameter(environment)
        self.account.client("ssm").put_parameter(Name=name, Value=package, Type="String", Overwrite=True)

    def execute(self, definition: Definition, folder: Path, **parameters: str) -> dict[str, Any]:
        """Execute the pipeline in a new folder and return what its last step returned.

        Raises:
            RuntimeError: A step failed.
        """
        properties: dict[str, Any] = {}
        started = datetime.now(UTC).isoformat(timespec="milliseconds")
        execution = {"PipelineExecutionId": folder.name, "StartDateTime": started}
        values = definition.values(parameters)
        answer: Any = None
        for step in definition.in_order():
            scope = Scope(values, execution, properties, lambda uri: None, definition.steps)
            arguments = evaluate(step.arguments, scope)
            if step.type == "Lambda":
                answer, error = invoke(self.account, step.request["FunctionArn"], arguments)
                if error:
                    raise RuntimeError(error)
                properties[step.name] = {"OutputParameters": answer}
            else:
                outputs = self._process(arguments, folder / step.name)
                properties[step.name] = {"ProcessingOutputConfig": {"Outputs": outputs}}
        return dict(answer)

    def metrics(self, environment: str = "production") -> dict[str, float]:
        """The last value of each metric in the project's namespace."""
        cloudwatch = self.account.client("cloudwatch")
        found = {}
        for metric in cloudwatch.list_metrics(Namespace=SLUG)["Metrics"]:
            [dimension] = metric["Dimensions"]
            if dimension == {"Name": "Environment", "Value": environment}:
                points = cloudwatch.get_metric_statistics(
                    Namespace=SLUG,
                    MetricName=metric["MetricName"],
                    Dimensions=[dimension],
                    StartTime=datetime(2020, 1, 1, tzinfo=UTC),
                    EndTime=datetime(2999, 1, 1, tzinfo=UTC),
                    Period=60,
                    Statistics=["Maximum"],
                )["Datapoints"]
                found[metric["MetricName"]] = max(points, key=lambda point: point["Timestamp"])["Maximum"]
        return found

    def document(self, uri: str) -> Any:
        """The JSON document at a URI."""
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        return json.load(self.account.client("s3").get_object(Bucket=bucket, Key=key)["Body"])

    def _process(self, arguments: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        """Run a processing job in a folder, and return its outputs by name."""
        for entry in arguments["ProcessingInputs"]:
            source = entry["S3Input"]
            self._download(source["S3Uri"], source["S3DataType"], _in(folder, source["LocalPath"]))
        outputs = arguments["ProcessingOutputConfig"]["Outputs"]
        for entry in outputs:
            _in(folder, entry["S3Output"]["LocalPath"]).mkdir(parents=True)
        application = arguments["AppSpecification"]
        command = [*application["ContainerEntrypoint"][1:], *application["ContainerArguments"]]
        variables = {name: _text_in(folder, value) for name, value in arguments["Environment"].items()}
        ended = subprocess.run(
            [*self.account.cloud.python.command, *(_text_in(folder, part) for part in command)],
            env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode:
            raise RuntimeError(ended.stdout + ended.stderr)
        for entry in outputs:
            root = _in(folder, entry["S3Output"]["LocalPath"])
            bucket, _, prefix = entry["S3Output"]["S3Uri"].removeprefix("s3://").partition("/")
            for path in filter(Path.is_file, root.rglob("*")):
                key = f"{prefix.rstrip('/')}/{path.relative_to(root).as_posix()}"
                self.account.client("s3").put_object(Bucket=bucket, Key=key, Body=path.read_bytes())
        return {entry["OutputName"]: entry for entry in outputs}

    def _download(self, uri: str, kind: str, folder: Path) -> None:
        """Copy an input of a job, as SageMaker does; there must be an object."""
        s3 = self.account.client("s3")
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        if kind == "ManifestFile":
            first, *names = self.document(uri)
            bucket, _, prefix = first["prefix"].removeprefix("s3://").partition("/")
        else:
            pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
            names = [entry["Key"].removeprefix(prefix) for page in pages for entry in page.get("Contents", [])]
        assert names, uri
        for name in names:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(s3.get_object(Bucket=bucket, Key=prefix + name)["Body"].read())


def alarm_rings(name: str) -> dict[str, Any]:
    """The event of an alarm that goes from OK to ALARM.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html
    """
    return {
        "version": "0",
        "id": "c4c1c1c9-6542-e61b-6ef0-8c4d36933a92",
        "source": "aws.cloudwatch",
        "detail-type": "CloudWatch Alarm State Change",
        "time": "2026-11-20T06:20:00Z",
        "resources": [f"arn:aws:cloudwatch:eu-west-1:123456789012:alarm:{name}"],
        "detail": {
            "alarmName": name,
            "configuration": {"description": "", "metrics": []},
            "previousState": {"timestamp": "2026-11-20T06:10:00.000+0000", "value": "OK"},
            "state": {
                "reason": "Threshold Crossed: 1 datapoint was greater than the threshold.",
                "timestamp": "2026-11-20T06:20:00.000+0000",
                "value": "ALARM",
            },
        },
    }


def _in(folder: Path, path: str) -> Path:
    return folder / path.removeprefix("/")


def _text_in(folder: Path, value: object) -> str:
    """A value of a job's command or environment, with the paths of the container in a folder."""
    return as_text(value).replace(_ML, f"{folder}{_ML}")
