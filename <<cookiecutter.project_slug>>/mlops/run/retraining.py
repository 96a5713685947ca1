"""Retraining on this machine: the state of the policy is a file, and runs execute in this process.

Two locks coordinate processes. `lock` is held while the file is read and written. `executing` is held by the process
that executes the run in the file, and is acquired and released only under `lock`: a process that acquires it knows
that none is executing, and looks up the result of a run that the file still records as running.
"""

import shlex
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from mlops.base.clocks import require_past
from mlops.base.commands import MLOPS
from mlops.base.documents import read_document
from mlops.base.errors import MlopsError
from mlops.base.files import is_locked, locked, write_json
from mlops.pipeline.bundle import current
from mlops.pipeline.definition import Definition
from mlops.project.lineage import data_version
from mlops.project.project import Project
from mlops.project.target import Target
from mlops.registry.local import LocalRegistry
from mlops.retraining.limits import policy
from mlops.retraining.memory import (
    Decision,
    Run,
    State,
    Trigger,
    from_document,
    to_document,
)
from mlops.retraining.policy import Newest, Policy, Status, newest_of
from mlops.retraining.status import status
from mlops.run.attend import attend, result, summary
from mlops.run.start import new_run
from mlops.run.state import EXECUTING, FAILED, SUCCEEDED, RunFolder, RunState, find_run


@dataclass(frozen=True)
class Outcome:
    """The decision on a trigger, and the runs that this process has executed.

    Attributes:
        decision: The decision of the policy; None without a trigger.
        runs: The runs, oldest first: the one the trigger started, and pending ones that became due.
    """

    decision: Decision | None
    runs: tuple[tuple[RunFolder, RunState], ...]

    @property
    def exit_code(self) -> int:
        """1 if a run did not succeed, else 0."""
        return int(any(state.status != SUCCEEDED for _, state in self.runs))

    def text(self, project: Project) -> str:
        """Return the decision and the result of every run, as text."""
        decided = [self.decision.text()] if self.decision else []
        return "\n".join([*decided, *(summary(project, folder, state) for folder, state in self.runs)])

    def document(self) -> dict[str, Any]:
        """Return the decision and the runs as a JSON document."""
        decision = self.decision.document() if self.decision else None
        return {"decision": decision, "runs": [result(folder, state) for folder, state in self.runs]}


def retrain(
    target: Target, kind: str, trigger_id: str, reason: str, data: Path | None, *, force: bool = False
) -> Outcome:
    """Submit a trigger to the policy; execute the run that it starts, and the pending one that becomes due after it.

    Args:
        target: The environment.
        kind: The kind of trigger: manual, scheduled, data or drift.
        trigger_id: The id of the cause: a repeated id starts nothing.
        reason: The reason, as free text; becomes part of the pipeline parameter RunReason.
        data: The file or folder to train on; None for the configured one.
        force: Whether to train even if the newest version was trained on the same data.

    Raises:
        MlopsError: The configuration, the data, the pipeline or the policy's file cannot be used.
        KeyboardInterrupt: The run was interrupted, which is recorded.
    """
    guard = Guard.of(target)
    current(target)  # fail on a pipeline that does not compile before a trigger is recorded
    source = (data or target.project.root / str(target.settings["data_folder"])).absolute()
    return guard.serve(Trigger(trigger_id, kind, reason, _now(), str(source), data_version(source), force=force))


@dataclass(frozen=True)
class Guard:
    """The policy of one project, with its state file.

    Attributes:
        target: The environment.
        policy: The rules.
    """

    target: Target
    policy: Policy

    @classmethod
    def of(cls, target: Target) -> "Guard":
        """Return the guard of an environment, with the limits of its configuration.

        Raises:
            MlopsError: A limit is missing or too low.
        """
        # There are no object events on this machine, and the status of a run is cheap to read.
        return cls(target, policy(target.settings, gathering=timedelta(0), lease=timedelta(0)))

    def serve(self, trigger: Trigger | None) -> Outcome:
        """Decide on a trigger, or without one advance the clock, and execute the runs that start, one after another.

        Raises:
            MlopsError: The file cannot be read or written, or a run could not be prepared.
            KeyboardInterrupt: The run was interrupted, which is recorded.
        """
        runs = []
        with ExitStack() as executing:
            with locked(self._lock):
                acquired = executing.enter_context(locked(self._executing, patience=0))
                state = self._advance(self.read(), self._status_of if acquired else _is_executing)
                decision = None
                if trigger:
                    state, decision = self.policy.receive(state, trigger, self.newest())
                self._save(state)
                run = self._claim(state, executing) if acquired else None
            while run:
                runs.append(self._execute(run, executing))
                run = self._next(executing)
        if decision:
            decision = self.read().decisions.get(decision.trigger, decision)  # it may have started a run since
        return Outcome(decision, tuple(runs))

    def read(self) -> State:
        """Read the state of the policy.

        Raises:
            MlopsError: The file is damaged, or has times in the future: cool-down and budget would count from these.
        """
        if not self._path.exists():
            return State()
        what = "The state of retraining"
        path = shlex.quote(str(self._path))
        remedy = f"Move it away: mv {path} {path}.damaged; this resets cool-down, budget and pending runs."
        content = read_document(self._path, dict[str, Any], what, remedy)
        try:
            state = from_document(content)
        except ValueError as error:
            raise MlopsError(f"{what} is damaged: {self._path} ({error}).", remedy) from None
        if state.latest:
            require_past(state.latest, f"The latest time in {self._path}", remedy)
        return state

    def newest(self) -> Newest | None:
        """Return the newest registered version; None if there is none.

        Raises:
            MlopsError: The registry cannot be read.
        """
        return newest_of(LocalRegistry.of(self.target).versions())

    def status(self) -> dict[str, Any]:
        """Return the status of retraining as a JSON document, without changing it.

        Raises:
            MlopsError: The file or the registry cannot be read.
        """
        state, run = self.read(), None
        if state.running:
            run = Status.EXECUTING if is_locked(self._executing) else self._status_of(state.running)
        return status(self.policy, state, self.newest(), _now(), run)

    def resume(self, id_: str, reason: str) -> Decision:
        """Let retraining continue after repeated failures of the quality gate.

        Args:
            id_: The id of the decision.
            reason: The reason, as free text.

        Raises:
            MlopsError: The file cannot be read or written.
        """
        with locked(self._lock):
            state, decision = self.policy.resume(self.read(), id_, reason, _now())
            self._save(state)
        return decision

    def _advance(self, state: State, describe: Callable[[Run], Status]) -> State:
        version = ""
        if state.pending:
            try:
                version = data_version(Path(state.pending.data))
            except MlopsError as error:
                print(f"Warning: data of the pending retraining: {error}", file=sys.stderr)
        return self.policy.advance(state, _now(), self.newest(), describe, version)

    def _save(self, after: State) -> None:
        """Write the state; print a warning if the circuit has opened, once."""
        must_report = self.policy.must_report(after)
        write_json(self._path, to_document(replace(after, reported=after.reported or must_report)))
        if must_report:
            print(
                f"Retraining is suspended: {after.failed_gates} runs in a row failed the quality gate. It continues "
                f"with different data, or by hand: {MLOPS} retrain",
                file=sys.stderr,
            )

    @staticmethod
    def _claim(state: State, executing: ExitStack) -> Run | None:
        """Return the run that this process must execute; without one, release the lock."""
        if state.running and not state.running.execution:
            return state.running
        executing.close()
        return None

    def _execute(self, run: Run, executing: ExitStack) -> tuple[RunFolder, RunState]:
        request = run.request
        print(f"Retraining ({request.reason}).", file=sys.stderr)
        try:
            bundle = current(self.target)
            parameters = {"RunReason": request.reason}
            folder = new_run(self.target, bundle, Path(request.data), parameters)
            with locked(self._lock):
                state = self.policy.confirm(self.read(), request.token, folder.path.name)
                write_json(self._path, to_document(state))
            return folder, attend(self.target, folder, use_cache=True)
        except BaseException:
            self._end(executing)
            raise

    def _next(self, executing: ExitStack) -> Run | None:
        """Record that the run has ended, and return the next one to execute."""
        with locked(self._lock):
            after = self._advance(self.read(), self._status_of)
            self._save(after)
            return self._claim(after, executing)

    def _end(self, executing: ExitStack) -> None:
        """Record that the run has ended, and release the lock: this process starts no more runs."""
        with locked(self._lock):
            before = self.read()
            if before.running:
                status = self._status_of(before.running)
                after = self.policy.end(before, before.running.request.token, status, _now())
                self._save(after)
            executing.close()

    def _status_of(self, run: Run) -> Status:
        """Return the status of a run that no retraining executes; it may have been resumed with `run --resume`."""
        try:
            folder = find_run(self.target.project, run.execution)
            state = folder.load()
            kinds = {step.name: step.type for step in Definition.from_text(folder.read_definition(state)).all_steps}
        except MlopsError:  # it was never prepared, or was removed
            return Status.FAILED
        if state.status in (EXECUTING, SUCCEEDED):
            return Status.EXECUTING if state.status == EXECUTING else Status.REGISTERED
        gate_failed = any(step.status == FAILED and kinds.get(name) == "Fail" for name, step in state.steps.items())
        return Status.GATE_FAILED if gate_failed else Status.FAILED

    @property
    def _path(self) -> Path:
        return self.target.project.state / "retraining.json"

    @property
    def _lock(self) -> Path:
        return self.target.project.state / ".retraining.lock"

    @property
    def _executing(self) -> Path:
        return self.target.project.state / ".retraining.executing"


def _is_executing(run: Run) -> Status:
    return Status.EXECUTING


def _now() -> datetime:
    return datetime.now(UTC)
