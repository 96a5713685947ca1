"""Run one job of a pipeline as a child process, the way SageMaker runs it in a container.

A job finds its files below `/opt/ml`. Here that is a folder of its own: the prefix is rewritten in its command, its
environment, and the driver scripts that the SDK uploads. Scripts therefore take every path as an argument or from a
variable, which also makes them runnable by hand.
"""

import math
import os
import re
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops.base.archives import pack
from mlops.base.documents import read_document
from mlops.base.errors import MlopsError
from mlops.base.payloads import TRANSFORM_DEFAULT, TRANSFORM_LARGEST
from mlops.pipeline import training_metrics
from mlops.pipeline.definition import as_text
from mlops.project.instances import NO_KEY, has_own_disks
from mlops.run.processes import JOB_NAME, Processes
from mlops.run.sandbox import Sandbox
from mlops.run.staging import stage
from mlops.store.local import LocalStore

FAILURE_REASON_LENGTH = 1024

_FATAL_SIGNALS = {
    number.value: number.name for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGBUS)
}


class JobError(Exception):
    """A job failed.

    Args:
        kind: The exception type that retry policies name (`SageMaker.JOB_INTERNAL_ERROR`), or AlgorithmError.
        reason: The reason, as in SageMaker's FailureReason.
    """

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason


@dataclass(frozen=True)
class JobRunner:
    """Runs the jobs of one pipeline run.

    Attributes:
        root: The folder of the project.
        store: The object store that inputs come from and outputs go to.
        python: The interpreter of the project's runtime environment.
        region: The AWS Region in the job's environment.
        processes: The child processes of the run.
    """

    root: Path
    store: LocalStore
    python: Path
    region: str
    processes: Processes

    def processing(self, name: str, arguments: dict[str, Any], folder: Path) -> dict[str, Any]:
        """Run a processing job.

        Args:
            name: The job's name.
            arguments: The request of CreateProcessingJob, resolved.
            folder: The job's own folder, empty.

        Returns:
            The response of DescribeProcessingJob, with inputs and outputs by name as pipeline properties address them.

        Raises:
            JobError: The job failed.
        """
        _require_encryptable_disks(arguments["ProcessingResources"]["ClusterConfig"])
        sandbox = self._staged("processing", arguments, folder)
        inputs = arguments.get("ProcessingInputs", [])
        outputs = arguments.get("ProcessingOutputConfig", {}).get("Outputs", [])
        application = arguments["AppSpecification"]
        command = [*application.get("ContainerEntrypoint", []), *application.get("ContainerArguments", [])]
        self._run(name, command, arguments, sandbox, application["ImageUri"], sandbox.path("/opt/ml/output/message"))
        for entry in outputs:
            self.store.upload(sandbox.path(entry["S3Output"]["LocalPath"]), entry["S3Output"]["S3Uri"])
        return {
            **arguments,
            "ProcessingJobName": name,
            "ProcessingJobStatus": "Completed",
            "ProcessingInputs": {entry["InputName"]: entry for entry in inputs},
            "ProcessingOutputConfig": {"Outputs": {entry["OutputName"]: entry for entry in outputs}},
        }

    def training(self, name: str, arguments: dict[str, Any], folder: Path) -> dict[str, Any]:
        """Run a training job.

        Args:
            name: The job's name.
            arguments: The request of CreateTrainingJob, resolved.
            folder: The job's own folder, empty.

        Returns:
            The response of DescribeTrainingJob, with ModelArtifacts and FinalMetricDataList.

        Raises:
            JobError: The job failed.
        """
        _require_encryptable_disks(arguments["ResourceConfig"])
        sandbox = self._staged("training", arguments, folder)
        algorithm = arguments["AlgorithmSpecification"]
        command = [*algorithm.get("ContainerEntrypoint", []), *algorithm.get("ContainerArguments", [])]
        image = algorithm.get("TrainingImage", algorithm.get("AlgorithmName", "the image"))
        self._run(name, command, arguments, sandbox, image, sandbox.path("/opt/ml/output/failure"))
        folder_uri = f"{arguments['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{name}/output"
        for part, archive in (("model", "model.tar.gz"), ("output/data", "output.tar.gz")):
            source = sandbox.path(f"/opt/ml/{part}")
            if any(source.iterdir()):
                pack(source, folder / archive)
                self.store.upload(folder / archive, f"{folder_uri}/{archive}")
        return {
            **arguments,
            "TrainingJobName": name,
            "TrainingJobStatus": "Completed",
            "ModelArtifacts": {"S3ModelArtifacts": f"{folder_uri}/model.tar.gz"},
            "FinalMetricDataList": _metrics(
                training_metrics.built_in(image) or algorithm.get("MetricDefinitions", []), sandbox.log
            ),
        }

    def transform(
        self, name: str, arguments: dict[str, Any], folder: Path, container: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Run a batch transform job.

        Args:
            name: The job's name.
            arguments: The request of CreateTransformJob, resolved.
            folder: The job's own folder, empty.
            container: The container of the model: an image and the S3 URI of a model archive.

        Returns:
            The response of DescribeTransformJob.

        Raises:
            JobError: The job failed.
        """
        _require_encryptable_disks(arguments.get("TransformResources", {}))
        sandbox = self._staged("transform", {**arguments, "Container": dict(container)}, folder)
        source, target = arguments["TransformInput"], arguments["TransformOutput"]
        content_type = source.get("ContentType", "text/csv")
        command = [
            *("python3", "-m", "mlops.run.transform", "--model", "/opt/ml/model"),
            *("--input", "/opt/ml/input/data", "--output", "/opt/ml/output/data"),
            *("--content-type", content_type, "--accept", target.get("Accept", content_type)),
            *("--split", source.get("SplitType", "None"), "--strategy", arguments.get("BatchStrategy", "MultiRecord")),
            *("--max-payload", str(_max_payload_mb(arguments))),
        ]
        environment = {**container.get("Environment", {}), "PYTHONPATH": str(self.root)}
        self._run(
            name,
            command,
            {"Environment": environment},
            sandbox,
            container["Image"],
            sandbox.path("/opt/ml/output/failure"),
        )
        self.store.upload(sandbox.path("/opt/ml/output/data"), target["S3OutputPath"])
        return {**arguments, "TransformJobName": name, "TransformJobStatus": "Completed"}

    def function(self, name: str, event: dict[str, Any], folder: Path, target: str) -> Any:
        """Call the local function that replaces a Lambda function, and return its result.

        Args:
            name: The name of the call.
            event: The event of the function.
            folder: The call's own folder, empty.
            target: `module:function`, importable from the project's folder.

        Raises:
            JobError: The function failed.
        """
        sandbox = self._staged("function", event, folder)
        files = ("/opt/ml/event.json", "/opt/ml/answer.json", "/opt/ml/output/failure")
        command = ["python3", "-m", "mlops.run.function", target, *files]
        environment = {"Environment": {"PYTHONPATH": str(self.root)}}
        self._run(name, command, environment, sandbox, target, sandbox.path("/opt/ml/output/failure"))
        answer = sandbox.path("/opt/ml/answer.json")
        try:
            return read_document(answer, object, f"What {target} returned", "Correct the function.")
        except MlopsError as error:
            raise JobError("Lambda.SERVICE_EXCEPTION", error.message) from None

    def _staged(self, kind: str, arguments: Mapping[str, Any], folder: Path) -> Sandbox:
        sandbox = Sandbox(folder)
        stage(kind, arguments, sandbox, self.store, self.python)
        return sandbox

    def _run(
        self, name: str, command: list[str], arguments: dict[str, Any], sandbox: Sandbox, image: str, message: Path
    ) -> None:
        """Run a job's command in its sandbox; `message` is the file for its failure reason, if any."""
        if not command:
            raise JobError("AlgorithmError", f"{image} has its own entry point: it cannot run without the image.")
        command = [sandbox.rewrite(as_text(part)) for part in command]
        environment = self._environment(name, arguments.get("Environment", {}), sandbox)
        restage = [str(self.python), "-m", "mlops.run.staging"]
        restage += [str(sandbox.folder), str(self.store.root.resolve()), str(self.python)]
        sandbox.write_command(command, environment, restage, self.root.resolve())
        limit = arguments.get("StoppingCondition", {}).get("MaxRuntimeInSeconds")
        try:
            status = self.processes.run(
                command, folder=sandbox.folder, environment=environment, log=sandbox.log, limit=limit
            )
        except subprocess.TimeoutExpired:
            raise JobError("MaxRuntimeExceeded", f"The job ran longer than {limit} s and was stopped.") from None
        except FileNotFoundError as error:
            raise JobError("AlgorithmError", f"Cannot start the job: {error}.") from None
        except OSError as error:
            raise JobError("SageMaker.CAPACITY_ERROR", f"Cannot start the job: {error}.") from None
        killed_by = -status if status < 0 else status - 128  # a shell in between reports 128 + the signal
        if killed_by in _FATAL_SIGNALS:
            raise JobError("SageMaker.JOB_INTERNAL_ERROR", f"The job was killed by {_FATAL_SIGNALS[killed_by]}.")
        if status:
            reason = message.read_text(errors="replace").strip() if message.is_file() else ""
            detail = f": {reason[:FAILURE_REASON_LENGTH]}" if reason else ""
            raise JobError("AlgorithmError", f"exit code {status}{detail}")

    def _environment(self, name: str, declared: Mapping[str, Any], sandbox: Sandbox) -> dict[str, str]:
        threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, (os.cpu_count() or 1) // 2))
        return {
            "PATH": os.pathsep.join([str(sandbox.programs), "/usr/local/bin", "/usr/bin", "/bin"]),
            "HOME": str(sandbox.folder),
            "TMPDIR": str(sandbox.temporary),
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "OMP_NUM_THREADS": threads,
            "AWS_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            JOB_NAME: name,
            **{key: sandbox.rewrite(as_text(value)) for key, value in declared.items()},
        }


def _max_payload_mb(arguments: Mapping[str, Any]) -> int:
    """Return the limit of the requests of a transform job in megabytes; refuse what SageMaker refuses."""
    megabytes = int(arguments.get("MaxPayloadInMB", TRANSFORM_DEFAULT))
    concurrent = int(arguments.get("MaxConcurrentTransforms", 1))
    if megabytes * max(1, concurrent) > TRANSFORM_LARGEST:  # 0: SageMaker chooses
        raise JobError(
            "ValidationException",
            f"MaxPayloadInMB {megabytes} with MaxConcurrentTransforms {concurrent}: their product may be at most "
            f"{TRANSFORM_LARGEST}.",
        )
    return megabytes


def _require_encryptable_disks(cluster: Mapping[str, Any]) -> None:
    """Refuse what SageMaker refuses: the key is in the definition, but the type may be a parameter of the run."""
    type_ = str(cluster.get("InstanceType"))
    if "VolumeKmsKeyId" in cluster and has_own_disks(type_):
        raise JobError("ValidationException", f"{type_} {NO_KEY}.")


def _metrics(definitions: list[dict[str, str]], log: Path) -> list[dict[str, Any]]:
    """Return the last finite value of each metric in the log, in which SageMaker writes a tab as `#011`."""
    expressions = {definition["Name"]: re.compile(definition["Regex"]) for definition in definitions}
    last: dict[str, float] = {}
    with log.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            logged = line.replace("\t", "#011")
            for name, expression in expressions.items():
                for match in expression.finditer(logged):
                    with suppress(ValueError, IndexError, TypeError):
                        value = float(match.group(1))
                        if math.isfinite(value):
                            last[name] = value
    return [{"MetricName": name, "Value": value} for name, value in last.items()]
