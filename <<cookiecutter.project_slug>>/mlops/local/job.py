"""Run one job of a pipeline as a child process, the way SageMaker runs it in a container.

A job sees its files below `/opt/ml`. Here that is a folder of its own: the prefix is rewritten in its command and its
environment, and in the driver scripts that the SDK sends along. Scripts therefore take every path as an argument or
from a variable, which is also what makes them runnable by hand.
"""

import json
import math
import os
import re
import shlex
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlops.archives import pack, unpack
from mlops.definition import as_text
from mlops.files import unwritable
from mlops.local.store import LocalStore

CONTAINER_ROOT = "/opt/ml"
HOST = "algo-1"
SIGNAL_GRACE_SECONDS = 5.0
FAILURE_REASON_LENGTH = 1024

_FATAL_SIGNALS = {
    number.value: number.name for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGBUS)
}
_POLL_SECONDS = 0.02
_DRIVERS = "input/data/sm_drivers"
_NO_INSTALL = "Local run: packages come from the environment of the project, none is installed here."


class JobError(Exception):
    """A job that did not succeed.

    Args:
        kind: The exception type that retry policies name (`SageMaker.JOB_INTERNAL_ERROR`), or AlgorithmError.
        reason: Why, as SageMaker's FailureReason would say it.
    """

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason


class StoppedError(Exception):
    """The run is being stopped: no further job starts."""


@dataclass
class Processes:
    """The child processes of a run, so that stopping the run ends all of them."""

    stopping: threading.Event = field(default_factory=threading.Event)
    _running: set["subprocess.Popen[bytes]"] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(
        self, command: list[str], *, folder: Path, environment: Mapping[str, str], log: Path, limit: float | None
    ) -> int:
        """Run a command in a process group of its own and return its exit status, negative for a signal.

        Args:
            command: The program and its arguments.
            folder: Its working folder.
            environment: All of its environment.
            log: The file its output is appended to.
            limit: Seconds after which it is ended; None for no limit.

        Raises:
            StoppedError: The run was stopped before the command started.
            subprocess.TimeoutExpired: It ran longer than `limit`; it has been ended.
            OSError: It could not be started.
        """
        with log.open("ab") as output:
            with self._lock:
                if self.stopping.is_set():
                    raise StoppedError
                process = subprocess.Popen(
                    command, cwd=folder, env=dict(environment), stdin=subprocess.DEVNULL, stdout=output,
                    stderr=subprocess.STDOUT, start_new_session=True,
                )  # fmt: skip
                self._running.add(process)
            try:
                return process.wait(limit)
            except subprocess.TimeoutExpired:
                _end([process])
                raise
            finally:
                if not self.stopping.is_set():  # `stop` gives the group its grace
                    _signal(process, signal.SIGKILL)  # what the job left behind
                with self._lock:
                    self._running.discard(process)

    def stop(self) -> None:
        """End every running job: SIGTERM to its group, SIGKILL after a grace period. No further job starts."""
        with self._lock:
            self.stopping.set()
            running = list(self._running)
        _end(running)


def _end(processes: list["subprocess.Popen[bytes]"]) -> None:
    """End whole process groups: the leader may be a shell that dies before the job it started."""
    deadline = time.monotonic() + SIGNAL_GRACE_SECONDS
    try:
        for process in processes:
            _signal(process, signal.SIGTERM)
        while time.monotonic() < deadline and any(_has_members(process) for process in processes):
            time.sleep(_POLL_SECONDS)
    finally:
        for process in processes:
            _signal(process, signal.SIGKILL)


def _has_members(process: "subprocess.Popen[bytes]") -> bool:
    process.poll()  # a leader that has ended but was not waited for would count as a member
    try:
        os.killpg(process.pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _signal(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def end_orphans(folder: Path) -> None:
    """End the jobs of a run that outlived its process: those with a path of the run's folder in their command."""
    if shutil.which("ps") is None:
        return
    listing = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=", "-o", "command="], capture_output=True, text=True, check=False
    )
    for line in listing.stdout.splitlines():
        number, _, command = line.strip().partition(" ")
        if f"/{folder.name}/" in command and CONTAINER_ROOT in command and number.isdigit():
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(os.getpgid(int(number)), signal.SIGKILL)


@dataclass(frozen=True)
class JobRunner:
    """Runs the jobs of one pipeline run.

    Attributes:
        root: The folder of the project.
        store: The object store that inputs come from and outputs go to.
        python: The interpreter of the project's runtime environment.
        region: The AWS Region the job believes it runs in.
        processes: Where its child processes are kept.
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
            What DescribeProcessingJob says, with inputs and outputs by name as pipeline properties address them.

        Raises:
            JobError: The job failed.
        """
        sandbox = Sandbox(folder)
        inputs = arguments.get("ProcessingInputs", [])
        outputs = arguments.get("ProcessingOutputConfig", {}).get("Outputs", [])
        for entry in inputs:
            self.store.download(entry["S3Input"]["S3Uri"], sandbox.path(entry["S3Input"]["LocalPath"]))
        for entry in outputs:
            sandbox.path(entry["S3Output"]["LocalPath"]).mkdir(parents=True, exist_ok=True)
        cluster = arguments["ProcessingResources"]["ClusterConfig"]
        sandbox.write("config/resourceconfig.json", _resources(cluster["InstanceType"]))
        sandbox.write("config/processingjobconfig.json", arguments)
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
            What DescribeTrainingJob says: ModelArtifacts and FinalMetricDataList among it.

        Raises:
            JobError: The job failed.
        """
        sandbox = Sandbox(folder)
        channels = arguments.get("InputDataConfig", [])
        for channel in channels:
            uri = channel["DataSource"]["S3DataSource"]["S3Uri"]
            self.store.download(uri, sandbox.path(f"/opt/ml/input/data/{channel['ChannelName']}"))
        for part in ("model", "output/data", "checkpoints"):
            sandbox.path(f"/opt/ml/{part}").mkdir(parents=True, exist_ok=True)
        parameters = {key: as_text(value) for key, value in arguments.get("HyperParameters", {}).items()}
        sandbox.write("input/config/hyperparameters.json", parameters)
        sandbox.write("input/config/resourceconfig.json", _resources(arguments["ResourceConfig"]["InstanceType"]))
        sandbox.write("input/config/inputdataconfig.json", {c["ChannelName"]: _channel(c) for c in channels})
        sandbox.adapt_drivers()
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
            "FinalMetricDataList": _metrics(algorithm.get("MetricDefinitions", []), sandbox.log),
        }

    def transform(
        self, name: str, arguments: dict[str, Any], folder: Path, container: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Run a batch transform job.

        Args:
            name: The job's name.
            arguments: The request of CreateTransformJob, resolved.
            folder: The job's own folder, empty.
            container: The container of the model it uses: an image and the S3 URI of a model archive.

        Returns:
            What DescribeTransformJob says.

        Raises:
            JobError: The job failed.
        """
        sandbox = Sandbox(folder)
        source, target = arguments["TransformInput"], arguments["TransformOutput"]
        downloaded, model = sandbox.path("/opt/ml/archive"), sandbox.path("/opt/ml/model")
        output = sandbox.path("/opt/ml/output/data")
        self.store.download(source["DataSource"]["S3DataSource"]["S3Uri"], sandbox.path("/opt/ml/input/data"))
        self.store.download(container["ModelDataUrl"], downloaded)
        unpack(next(downloaded.iterdir()), model)
        output.mkdir(parents=True)
        content_type = source.get("ContentType", "text/csv")
        command = [
            *("python3", "-m", "mlops.local.transform", "--model", "/opt/ml/model"),
            *("--input", "/opt/ml/input/data", "--output", "/opt/ml/output/data"),
            *("--content-type", content_type, "--accept", target.get("Accept", content_type)),
            *("--split", source.get("SplitType", "None"), "--strategy", arguments.get("BatchStrategy", "MultiRecord")),
            *("--max-payload", str(arguments.get("MaxPayloadInMB", 6))),
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
        self.store.upload(output, target["S3OutputPath"])
        return {**arguments, "TransformJobName": name, "TransformJobStatus": "Completed"}

    def function(self, name: str, event: dict[str, Any], folder: Path, target: str) -> Any:
        """Call the local function that stands in for a Lambda function and return what it answers.

        Args:
            name: The name of the call.
            event: What the function is called with.
            folder: A folder of its own, empty.
            target: `module:function`, importable from the project's folder.

        Raises:
            JobError: The function failed.
        """
        sandbox = Sandbox(folder)
        sandbox.write("event.json", event)
        command = ["python3", "-m", "mlops.local.function", target, "/opt/ml/event.json", "/opt/ml/answer.json"]
        environment = {"Environment": {"PYTHONPATH": str(self.root)}}
        self._run(name, command, environment, sandbox, target, sandbox.path("/opt/ml/output/failure"))
        return json.loads(sandbox.path("/opt/ml/answer.json").read_text(encoding="utf-8"))

    def _run(
        self, name: str, command: list[str], arguments: dict[str, Any], sandbox: "Sandbox", image: str, message: Path
    ) -> None:
        """Run a job's command in its sandbox; `message` is the file it may leave a failure reason in."""
        if not command:
            raise JobError("AlgorithmError", f"{image} brings its own program: it cannot run without the image.")
        message.parent.mkdir(parents=True, exist_ok=True)
        command = [sandbox.rewrite(as_text(part)) for part in command]
        environment = self._environment(name, arguments.get("Environment", {}), sandbox)
        sandbox.write_command(command, environment)
        limit = arguments.get("StoppingCondition", {}).get("MaxRuntimeInSeconds")
        try:
            status = self.processes.run(
                command, folder=sandbox.folder, environment=environment, log=sandbox.log, limit=limit
            )
        except subprocess.TimeoutExpired:
            raise JobError("MaxRuntimeExceeded", f"The job ran longer than {limit} s and was ended.") from None
        except FileNotFoundError as error:
            raise JobError("AlgorithmError", f"Cannot start the job: {error}.") from None
        except OSError as error:
            raise JobError("SageMaker.CAPACITY_ERROR", f"Cannot start the job: {error}.") from None
        killed_by = -status if status < 0 else status - 128  # a shell between reports 128 + the signal
        if killed_by in _FATAL_SIGNALS:
            raise JobError("SageMaker.JOB_INTERNAL_ERROR", f"The job was killed by {_FATAL_SIGNALS[killed_by]}.")
        if status:
            reason = message.read_text(errors="replace").strip() if message.is_file() else ""
            said = f": {reason[:FAILURE_REASON_LENGTH]}" if reason else ""
            raise JobError("AlgorithmError", f"exit code {status}{said}")

    def _environment(self, name: str, declared: Mapping[str, Any], sandbox: "Sandbox") -> dict[str, str]:
        # The SDK's training driver does not quote the interpreter's path, and looks for a pip before it starts.
        sandbox.write_program("python3", f'exec {shlex.quote(str(self.python))} "$@"')
        sandbox.write_program("pip3", f"echo {shlex.quote(_NO_INSTALL)}")
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
            "TRAINING_JOB_NAME": name,
            **{key: sandbox.rewrite(as_text(value)) for key, value in declared.items()},
        }


@dataclass(frozen=True)
class Sandbox:
    """The folder of one job.

    Attributes:
        folder: The folder; `/opt/ml` of the job is `<folder>/opt/ml`. Its path has no character that a shell minds.
    """

    folder: Path

    @property
    def root(self) -> str:
        """What `/opt/ml` becomes."""
        return f"{self.folder}{CONTAINER_ROOT}"

    @property
    def log(self) -> Path:
        """The file that keeps the job's output."""
        return self.folder / "job.log"

    @property
    def temporary(self) -> Path:
        """The job's folder for temporary files."""
        folder = self.folder / "tmp"
        folder.mkdir(exist_ok=True)
        return folder

    @property
    def programs(self) -> Path:
        """The folder that the job finds its programs in first."""
        return self.folder / "bin"

    def write_program(self, name: str, line: str) -> None:
        """Put a one-line shell program where the job finds it."""
        self.programs.mkdir(exist_ok=True)
        program = self.programs / name
        program.write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
        program.chmod(0o755)

    def path(self, container_path: str) -> Path:
        """Where a path of the container stands."""
        return self.folder / container_path.lstrip("/")

    def rewrite(self, text: str) -> str:
        """`text` with every path below `/opt/ml` leading into this folder."""
        return re.sub(rf"(?<![\w.-]){CONTAINER_ROOT}(?=/|\b)", lambda _: self.root, text)

    def clear(self) -> None:
        """Remove the files of a job that has succeeded: its results are in the store. Its log and command stay."""
        for folder in (self.folder / CONTAINER_ROOT.split("/")[1], self.temporary, self.programs):
            shutil.rmtree(folder, ignore_errors=True)

    def write(self, name: str, value: object) -> None:
        """Write a JSON file below `/opt/ml`."""
        path = self.path(f"{CONTAINER_ROOT}/{name}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(value), encoding="utf-8")
        except OSError as error:
            raise unwritable(path, error) from error

    def adapt_drivers(self) -> None:
        """Rewrite the paths in the driver scripts that the SDK's ModelTrainer sends as a channel."""
        drivers = self.path(f"{CONTAINER_ROOT}/{_DRIVERS}")
        for path in drivers.rglob("*"):
            if path.suffix in (".py", ".sh", ".json") and path.is_file():
                installs = path.name == "install_requirements.py"
                path.write_text(f"print({_NO_INSTALL!r})\n" if installs else self.rewrite(path.read_text()))

    def write_command(self, command: list[str], environment: Mapping[str, str]) -> None:
        """Leave a script that runs the job's command again, alone, on the same inputs."""
        lines = [f"export {key}={shlex.quote(value)}" for key, value in environment.items()]
        link, target = self.folder.parent, self.folder.parent.resolve()
        if link != target:
            lines.insert(0, f"mkdir -p {link.parent} && ln -sfn {shlex.quote(str(target))} {link}")
        script = ["#!/bin/sh", *lines, f"cd {shlex.quote(str(self.folder))}", f"exec {shlex.join(command)}", ""]
        (self.folder / "command.sh").write_text("\n".join(script), encoding="utf-8")


def _resources(instance_type: str) -> dict[str, Any]:
    return {
        "current_host": HOST,
        "hosts": [HOST],
        "current_instance_type": instance_type,
        "network_interface_name": "lo",
    }


def _channel(channel: dict[str, Any]) -> dict[str, str]:
    return {
        "TrainingInputMode": channel.get("InputMode", "File"),
        "S3DistributionType": channel["DataSource"]["S3DataSource"].get("S3DataDistributionType", "FullyReplicated"),
        "RecordWrapperType": "None",
        **({"ContentType": channel["ContentType"]} if "ContentType" in channel else {}),
    }


def _metrics(definitions: list[dict[str, str]], log: Path) -> list[dict[str, Any]]:
    """The last finite number that each metric's expression finds in the log."""
    expressions = {definition["Name"]: re.compile(definition["Regex"]) for definition in definitions}
    last: dict[str, float] = {}
    with log.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            for name, expression in expressions.items():
                for match in expression.finditer(line):
                    with suppress(ValueError, IndexError, TypeError):
                        value = float(match.group(1))
                        if math.isfinite(value):
                            last[name] = value
    return [{"MetricName": name, "Value": value} for name, value in last.items()]
