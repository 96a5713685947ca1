"""The scheduler of a local run: start every step whose dependencies have ended, in parallel."""

import queue
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from mlops.base.errors import MlopsError, UsageError
from mlops.pipeline.definition import CONDITIONS, Definition, Scope, Step, condition_types, decide, evaluate
from mlops.pipeline.durations import lifetime
from mlops.pipeline.validation import require_sendable
from mlops.registry.local import LocalRegistry
from mlops.run.cache import StepCache, outputs_exist
from mlops.run.job import JobError, JobRunner
from mlops.run.processes import Processes, RunStoppedError, stop_orphans
from mlops.run.sandbox import Sandbox
from mlops.run.state import (
    EXECUTING,
    FAILED,
    NOT_STARTED,
    SKIPPED,
    STOPPED,
    SUCCEEDED,
    RunFolder,
    RunState,
    StepState,
    now,
)
from mlops.store.local import LocalStore

SUPPORTED = frozenset({"Processing", "Training", "Transform", "Model", "RegisterModel", "Lambda", "Condition", "Fail"})
LONGEST_RETRY_WAIT = 1.0

_SHELL_SAFE = re.compile(r"[\w@%+=:,./-]+")

LocalFunction = Callable[[Mapping[str, Any]], dict[str, str]]
"""What replaces a Lambda function of the template: it takes the event and returns the outputs."""

Listener = Callable[[RunState, str], None]
"""Called with the state and a step's name when that step changes."""


def check_runnable(definition: Definition, functions: Mapping[str, object]) -> None:
    """Refuse, before any step starts, a definition that this interpreter cannot run.

    Args:
        definition: The definition.
        functions: The local callables that replace Lambda functions, by function name.

    Raises:
        MlopsError: A step is not supported; the message names it.
    """
    for step in definition.all_steps:
        if step.type not in SUPPORTED:
            raise UsageError(
                f"Step {step.name} is of type {step.type}, which the local run does not support.",
                f"Supported: {', '.join(sorted(SUPPORTED))}. Other steps run in SageMaker only.",
            )
        if step.type == "Lambda" and function_name(step) not in functions:
            raise UsageError(
                f"Step {step.name} calls the Lambda function {function_name(step)}, which has no local callable.",
                f"Name one in config/local.yaml: `functions: {{{function_name(step)}: module:function}}`.",
            )
        if step.type == "Transform" and "DataProcessing" in step.arguments:
            raise UsageError(f"Step {step.name} uses DataProcessing, which the local run does not support.")
        if step.type == "Condition":
            unknown = {kind for condition in step.arguments["Conditions"] for kind in condition_types(condition)}
            unknown -= CONDITIONS
            if unknown:
                raise UsageError(f"Step {step.name} has a condition of unknown type {', '.join(unknown)}.")
        expire_after = step.request.get("CacheConfig", {}).get("ExpireAfter")
        if expire_after:
            lifetime(expire_after)


def function_name(step: Step) -> str:
    """Return the name of the function that a Lambda step calls."""
    return str(step.request["FunctionArn"]).rsplit(":function:", 1)[-1].split(":")[0]


class StepResult(NamedTuple):
    """How a step ended; `error` is set if the interpreter itself failed."""

    step: Step
    status: str
    failure: str
    seconds: float
    error: BaseException | None


@dataclass
class LocalRun:
    """One execution of a definition, new or resumed.

    Attributes:
        definition: The pipeline definition.
        folder: The folder of the run's state and jobs.
        state: The state so far; steps that succeeded are not run again.
        root: The folder of the project.
        store: The object store.
        registry: Returns the registry of a model package group by name.
        cache: The results of earlier runs.
        python: The interpreter of the runtime environment.
        region: The AWS Region, for ARNs and jobs.
        account: The AWS account id, for ARNs.
        functions: What replaces Lambda functions, by function name: a function of the event that is called in this
            process, or `module:function`, called in its own.
        use_cache: False to run every step again.
        listener: Called on every change.
    """

    definition: Definition
    folder: RunFolder
    state: RunState
    root: Path
    store: LocalStore
    registry: Callable[[str], LocalRegistry]
    cache: StepCache
    python: Path
    region: str
    account: str
    functions: Mapping[str, LocalFunction | str]
    use_cache: bool
    listener: Listener

    def execute(self) -> RunState:
        """Run every step that has not succeeded yet and return the final state.

        Raises:
            MlopsError: The state cannot be written (a full disk).
            KeyboardInterrupt: The run was interrupted; its jobs are stopped, and it can be resumed.
        """
        processes = Processes()
        self._reset_incomplete_steps()
        if self.state.status != NOT_STARTED:
            stop_orphans(self.folder.path)
        self.state.status, self.state.ended, self.state.failure = EXECUTING, "", ""
        with _plain_path(self.folder.path) as jobs:
            runner = JobRunner(self.root, self.store, self.python, self.region, processes)
            try:
                self._schedule(runner, jobs)
            except BaseException as error:
                try:
                    processes.stop()
                finally:
                    if isinstance(error, KeyboardInterrupt):
                        self._stop()
                raise
        failed = [(name, step) for name, step in self.state.steps.items() if step.status == FAILED]
        self.state.status = FAILED if failed else SUCCEEDED
        self.state.failure = "; ".join(f"{name}: {step.failure}" for name, step in failed)
        self.state.ended = now()
        self.folder.save(self.state)
        return self.state

    def _reset_incomplete_steps(self) -> None:
        """Reset the steps that have not succeeded or whose outputs are missing, and their dependents."""
        incomplete = {
            name
            for name, step in self.state.steps.items()
            if step.status != SUCCEEDED or not outputs_exist(step.properties, self.store)
        }
        for step in self.definition.in_order():
            if step.name in incomplete or step.dependencies & incomplete:
                incomplete.add(step.name)
                before = self.state.steps[step.name]
                self.state.steps[step.name] = StepState(seconds=before.seconds, attempts=before.attempts)

    def _stop(self) -> None:
        for step in self.state.steps.values():
            if step.status == EXECUTING:
                step.status = STOPPED
        self.state.status, self.state.ended = STOPPED, now()
        self.folder.save(self.state)

    def _schedule(self, runner: JobRunner, jobs: Path) -> None:
        """Start ready steps and wait for results until none executes; only this thread changes statuses."""
        ended: queue.SimpleQueue[StepResult] = queue.SimpleQueue()
        changed: list[Step] = []
        executing = 0
        while True:
            changed += self._skip_branches_not_taken()
            ready = self._ready()
            for step in ready:
                self.state.steps[step.name].status = EXECUTING
            self.folder.save(self.state)
            for step in [*changed, *ready]:
                self.listener(self.state, step.name)
            for step in ready:
                threading.Thread(
                    target=lambda step=step: ended.put(self._run_step(step, runner, jobs)), daemon=True
                ).start()
                executing += 1
            if not executing:
                return
            result = ended.get()
            executing -= 1
            if result.error is not None:
                raise result.error
            state = self.state.steps[result.step.name]
            state.failure = result.failure
            state.seconds += result.seconds
            state.status = result.status
            changed = [result.step]

    def _ready(self) -> list[Step]:
        """Return the steps that can start now."""
        steps = self.state.steps
        if any(step.status == FAILED for step in steps.values()):
            return []
        return [
            step
            for step in self.definition.steps.values()
            if steps[step.name].status == NOT_STARTED
            and all(steps[name].status == SUCCEEDED for name in step.dependencies)
        ]

    def _skip_branches_not_taken(self) -> list[Step]:
        """Mark the steps of branches not taken, and their dependents, as skipped, and return them."""
        skipped = []
        for step in self.definition.in_order():
            if self.state.steps[step.name].status == NOT_STARTED and self._is_skipped(step):
                self.state.steps[step.name].status = SKIPPED
                skipped.append(step)
        return skipped

    def _is_skipped(self, step: Step) -> bool:
        steps = self.state.steps
        other_branch = step.branch is not None and steps[step.branch[0]].outcome not in (None, step.branch[1])
        return other_branch or any(steps[name].status == SKIPPED for name in step.dependencies)

    def _run_step(self, step: Step, runner: JobRunner, jobs: Path) -> "StepResult":
        """Run one step to its end, in its own thread."""
        started = time.monotonic()
        status, reason, error = SUCCEEDED, "", None
        try:
            self._attempt(step, self.state.steps[step.name], runner, jobs)
        except JobError as failure:
            # Stopping the run kills its jobs, which is not a failure.
            status = STOPPED if runner.processes.stopping.is_set() else FAILED
            reason = f"{failure.kind}: {failure.reason}"
        except MlopsError as failure:
            status, reason = FAILED, str(failure)
        except OSError as failure:
            status, reason = FAILED, f"{failure.strerror or failure}: {failure.filename or 'the local store'}"
        except RunStoppedError:
            status = STOPPED
        except BaseException as failure:
            error = failure
        return StepResult(step, status, reason, time.monotonic() - started, error)

    def _attempt(self, step: Step, state: StepState, runner: JobRunner, jobs: Path) -> None:
        scope = self._scope()
        if step.type == "Condition":
            results = [decide(condition, scope) for condition in step.arguments["Conditions"]]
            state.outcome = all(holds for holds, _ in results)
            comparisons = [comparison for _, found in results for comparison in found]
            state.figures = [f"{comparison}{'' if comparison.holds else ' (missed)'}" for comparison in comparisons]
            return
        arguments = evaluate(step.arguments, scope)
        if step.type == "Fail":
            raise JobError("Fail", self._fail_reason(step, arguments["ErrorMessage"]))
        if step.type in ("RegisterModel", "Model"):
            require_sendable(step, arguments)
        if step.type == "RegisterModel":
            state.properties = self._register(step, arguments)
            return
        if step.type == "Model":
            state.properties = {**arguments, "ModelName": f"pipelines-{self.state.id}-{step.name}"}
            return
        key = self.cache.key(self.state.pipeline, step, arguments)
        kept = self.cache.get(key, step) if key and self.use_cache else None
        state.cached = kept is not None
        if kept is not None:
            state.properties = kept
            return
        require_sendable(step, arguments)
        state.properties = self._run_job(step, arguments, runner, jobs)
        if key:
            self.cache.put(key, state.properties)

    def _fail_reason(self, step: Step, message: str) -> str:
        """Return the message of a Fail step, with the comparisons that led to it."""
        figures = self.state.steps[step.branch[0]].figures if step.branch else []
        missed = [figure for figure in figures if figure.endswith("(missed)")]
        return f"{message} [{'; '.join(missed)}]" if missed else message

    def _register(self, step: Step, arguments: dict[str, Any]) -> dict[str, Any]:
        group = arguments["ModelPackageGroupName"]
        prefix = f"arn:aws:sagemaker:{self.region}:{self.account}:model-package/{group}"
        return self.registry(group).register(arguments, prefix, f"{self.state.id}/{step.name}")

    def _run_job(self, step: Step, arguments: dict[str, Any], runner: JobRunner, jobs: Path) -> dict[str, Any]:
        state, started = self.state.steps[step.name], time.monotonic()
        policies = {
            kind: policy for policy in step.request.get("RetryPolicies", []) for kind in policy["ExceptionType"]
        }
        failures: dict[str, int] = {}
        while True:
            job = self._new_folder(state, step, jobs)
            try:
                properties = self._job(step, arguments, runner, f"pipelines-{self.state.id}-{state.folder}", job)
            except JobError as failure:
                policy = policies.get(failure.kind)
                failures[failure.kind] = failures.get(failure.kind, 0) + 1
                stopping = runner.processes.stopping
                if policy is None or stopping.is_set() or not _may_retry(policy, failures[failure.kind], started):
                    raise
                stopping.wait(min(policy.get("IntervalSeconds", 1), LONGEST_RETRY_WAIT))
            else:
                Sandbox(job).clear()
                return properties

    @staticmethod
    def _new_folder(state: StepState, step: Step, jobs: Path) -> Path:
        """Create a folder that no attempt has used, not even one that was lost in a crash."""
        while True:
            state.attempts += 1
            state.folder = f"{step.name}-{state.attempts}"
            with suppress(FileExistsError):
                (jobs / state.folder).mkdir()
                return jobs / state.folder

    def _job(self, step: Step, arguments: dict[str, Any], runner: JobRunner, name: str, job: Path) -> dict[str, Any]:
        if step.type == "Processing":
            return runner.processing(name, arguments, job)
        if step.type == "Training":
            return runner.training(name, arguments, job)
        if step.type == "Transform":
            return runner.transform(name, arguments, job, self._container(arguments["ModelName"]))
        function = self.functions[function_name(step)]
        if callable(function):
            result: Any = function(arguments)
        else:
            result = runner.function(name, arguments, job, function)
        outputs = [output["OutputName"] for output in step.request.get("OutputParameters", [])]
        if not isinstance(result, dict) or not set(outputs) <= set(result):
            raise JobError(
                "Lambda.SERVICE_EXCEPTION", f"the function returned {result!r}, without {', '.join(outputs)}"
            )
        return {"OutputParameters": {output: result[output] for output in outputs}}

    def _container(self, model: str) -> dict[str, Any]:
        """Return the container of the model that a Model step of this run created."""
        for step in self.state.steps.values():
            if step.properties.get("ModelName") == model and "TransformJobName" not in step.properties:
                containers = step.properties.get("Containers") or [step.properties["PrimaryContainer"]]
                return dict(containers[0])
        raise JobError("AlgorithmError", f"Model {model} does not exist: a Model step of this pipeline must create it.")

    def _scope(self) -> Scope:
        pipeline = f"arn:aws:sagemaker:{self.region}:{self.account}:pipeline/{self.state.pipeline}"
        execution = {
            "PipelineExecutionId": self.state.id,
            "PipelineExecutionArn": f"{pipeline}/execution/{self.state.id}",
            "PipelineName": self.state.pipeline,
            "PipelineArn": pipeline,
            "StartDateTime": self.state.started,
            "CurrentDateTime": now(),
        }
        properties = {name: step.properties for name, step in self.state.steps.items()}
        return Scope(self.state.parameters, execution, properties, self.store.read_json, self.definition.steps)


def _may_retry(policy: Mapping[str, Any], failures: int, started: float) -> bool:
    """Return whether a retry policy, by attempts or by minutes, allows another attempt."""
    if "MaxAttempts" in policy:
        return failures <= int(policy["MaxAttempts"])
    return time.monotonic() - started < 60 * float(policy["ExpireAfterMin"])


@contextmanager
def _plain_path(folder: Path) -> Iterator[Path]:
    """Provide a path to a folder without spaces or quotes: its own, or a symbolic link for the `with` block.

    The SDK's training command is a shell command that does not quote its paths.
    """
    if _SHELL_SAFE.fullmatch(str(folder)):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="mlops-") as temporary:
        link = Path(temporary) / folder.name
        link.symlink_to(folder, target_is_directory=True)
        yield link
