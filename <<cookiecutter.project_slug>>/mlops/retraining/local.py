"""Retraining on this machine: what the policy remembers is a file, what it starts runs in this process.

Two locks keep processes apart. `lock` is held while the file is read and written. `executing` is held by the process
that executes the run the file speaks of, and is taken and given back only under `lock`: whoever gets it knows that
nobody executes, and looks at what became of a run that the file still calls running.
"""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from mlops.base.commands import MLOPS
from mlops.base.errors import MlopsError, UsageError
from mlops.base.files import is_locked, locked, read_json, write_json
from mlops.pipeline.bundle import current
from mlops.pipeline.definition import Definition
from mlops.project.environment import Environment
from mlops.project.lineage import data_version
from mlops.project.project import Project
from mlops.project.target import Target
from mlops.registry.local import LocalRegistry
from mlops.retraining.memory import (
    COALESCED,
    REFUSED,
    STARTED,
    Decision,
    Run,
    State,
    Trigger,
    from_document,
    to_document,
)
from mlops.retraining.policy import Newest, Policy, Status
from mlops.run.attend import attend, result, summary
from mlops.run.start import new_run
from mlops.run.state import EXECUTING, FAILED, SUCCEEDED, RunFolder, RunState, find_run

_OUTCOMES = {STARTED: "Retraining was started", COALESCED: "Retraining waits", REFUSED: "No retraining"}


@dataclass(frozen=True)
class Outcome:
    """What became of a trigger, and the runs that this process has executed.

    Attributes:
        decision: What the policy decided; None when there was no trigger.
        runs: The runs, oldest first: what the trigger started, and what was pending and became due.
    """

    decision: Decision | None
    runs: tuple[tuple[RunFolder, RunState], ...]

    @property
    def exit_code(self) -> int:
        """1 when a run did not succeed, else 0."""
        return int(any(state.status != SUCCEEDED for _, state in self.runs))

    def text(self, project: Project) -> str:
        """The decision and the end of every run, for people."""
        lines = []
        if self.decision:
            lines.append(f"{_OUTCOMES[self.decision.outcome]}: {self.decision.reason}.")
            if self.decision.outcome == COALESCED:
                lines.append(f"  how it stands:  {MLOPS} retrain --status")
        return "\n".join([*lines, *(summary(project, folder, state) for folder, state in self.runs)])

    def document(self) -> dict[str, Any]:
        """The same as a JSON document."""
        decision = asdict(self.decision) | {"time": self.decision.time.isoformat()} if self.decision else None
        return {"decision": decision, "runs": [result(folder, state) for folder, state in self.runs]}


def retrain(
    target: Target, kind: str, trigger_id: str, reason: str, data: Path | None, *, force: bool = False
) -> Outcome:
    """Bring a trigger before the policy; execute the run it starts, and the pending one that becomes due after it.

    Args:
        target: The environment.
        kind: What triggers: manual, scheduled, data or drift.
        trigger_id: What identifies the cause: the same a second time starts nothing.
        reason: Why, in a person's words; becomes part of the pipeline parameter RunReason.
        data: The file or folder to train on; None for the one that the configuration names.
        force: Whether to train even if the newest version was made from the same data.

    Raises:
        MlopsError: The configuration, the data, the pipeline or the policy's file cannot be used.
        KeyboardInterrupt: The run was interrupted; the policy has been told.
    """
    guard = Guard.of(target)
    current(target)  # a pipeline that does not compile is nobody's turn
    source = (data or target.project.root / str(target.settings["data_folder"])).absolute()
    return guard.serve(Trigger(trigger_id, kind, reason, _now(), str(source), data_version(source), force=force))


@dataclass(frozen=True)
class Guard:
    """The policy of one project, with its file.

    Attributes:
        target: The environment.
        policy: The rules.
    """

    target: Target
    policy: Policy

    @classmethod
    def of(cls, target: Target) -> "Guard":
        """The guard of an environment, with the limits of its configuration.

        Raises:
            MlopsError: A limit is missing or impossible.
        """
        environment = target.settings
        policy = Policy(
            cooldown=timedelta(minutes=_at_least(0, environment, "cooldown_minutes", environment.number)),
            runs_per_day=int(_at_least(1, environment, "runs_per_day", environment.integer)),
            failed_gates=int(_at_least(1, environment, "failed_gates", environment.integer)),
            gathering=timedelta(0),  # no object announces itself here
            lease=timedelta(0),  # looking at a run costs nothing here
        )
        return cls(target, policy)

    def serve(self, trigger: Trigger | None) -> Outcome:
        """Decide on a trigger, or just let time pass, and execute what is started, one run after the other.

        Raises:
            MlopsError: The file cannot be read or written, or a run could not be prepared.
            KeyboardInterrupt: The run was interrupted; the policy has been told.
        """
        runs = []
        with ExitStack() as executing:
            with locked(self._lock):
                alone = executing.enter_context(locked(self._executing, patience=0))
                before = self.read()
                state = self._advance(before, self._status if alone else _is_executing)
                decision = None
                if trigger:
                    state, decision = self.policy.receive(state, trigger, self.newest())
                self._keep(before, state)
                run = self._turn(state, executing) if alone else None
            while run:
                runs.append(self._execute(run, executing))
                run = self._go_on(executing)
        if decision:
            decision = self.read().decisions.get(decision.trigger, decision)  # by now it may have led to a run
        return Outcome(decision, tuple(runs))

    def read(self) -> State:
        """What the policy remembers.

        Raises:
            MlopsError: The file is damaged.
        """
        if not self._path.exists():
            return State()
        what = "The memory of retraining"
        remedy = f"Move it away: `mv {self._path} {self._path}.damaged`. It forgets cool-down, budget and what waits."
        content = read_json(self._path, what, remedy)
        try:
            return from_document(content)
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise MlopsError(f"{what} is damaged: {self._path} ({error!r}).", remedy) from None

    def newest(self) -> Newest | None:
        """The newest registered version; None before the first.

        Raises:
            MlopsError: The registry cannot be read.
        """
        versions = LocalRegistry.of(self.target).versions()
        return Newest(versions[-1].version, versions[-1].metadata.get("DataVersion", "")) if versions else None

    def standing(self) -> dict[str, Any]:
        """How everything stands, as a JSON document; nothing is changed.

        Raises:
            MlopsError: The file or the registry cannot be read.
        """
        state, newest, now = self.read(), self.newest(), _now()
        document = to_document(state)
        if state.running:
            status = Status.EXECUTING if is_locked(self._executing) else self._status(state.running)
            document["running"] |= {"status": status.value, "reason": state.running.request.reason}
            if status is not Status.EXECUTING:  # what waits no longer waits for it
                state = self.policy.end(state, state.running.request.token, status, now)
        if state.pending:
            waits_for = self.policy.wait(state, state.pending, now)
            document["pending"] |= {"waits_for": waits_for, "reason": state.pending.reason}
        return document | {
            "circuit_is_open": self.policy.is_open(state),
            "failed_gates_allowed": self.policy.failed_gates,
            "runs_left": self.policy.starts_left(state, now),
            "runs_per_day": self.policy.runs_per_day,
            "newest": asdict(newest) if newest else None,
        }

    def _advance(self, state: State, describe: Callable[[Run], Status]) -> State:
        version = ""
        if state.pending:
            try:
                version = data_version(Path(state.pending.data))
            except MlopsError as error:
                print(f"Of the data that a retraining waits to train on: {error}", file=sys.stderr)
        return self.policy.advance(state, _now(), self.newest(), describe, version)

    def _keep(self, before: State, after: State) -> None:
        """Write what the policy remembers; say it when the circuit has opened."""
        write_json(self._path, to_document(after))
        if self.policy.has_opened(before, after):
            print(
                f"Retraining is stopped: {after.failed_gates} runs in a row failed the quality gate. Other data, or a "
                f"person's `{MLOPS} retrain`, starts it again.",
                file=sys.stderr,
            )

    @staticmethod
    def _turn(state: State, executing: ExitStack) -> Run | None:
        """The run that this process has to execute; when there is none, it lets others execute."""
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
            version = str(folder.load().parameters.get("DataVersion", request.data_version))
            with locked(self._lock):
                state = self.policy.confirm(self.read(), request.token, folder.path.name, version)
                write_json(self._path, to_document(state))
            return folder, attend(self.target, folder, use_cache=True)
        except BaseException:
            self._end(executing)
            raise

    def _go_on(self, executing: ExitStack) -> Run | None:
        """Tell the policy that the run has ended, and what it starts next."""
        with locked(self._lock):
            before = self.read()
            after = self._advance(before, self._status)
            self._keep(before, after)
            return self._turn(after, executing)

    def _end(self, executing: ExitStack) -> None:
        """Tell the policy that the run has ended and that this process starts nothing more."""
        with locked(self._lock):
            before = self.read()
            if before.running:
                status = self._status(before.running)
                after = self.policy.end(before, before.running.request.token, status, _now())
                self._keep(before, after)
            executing.close()

    def _status(self, run: Run) -> Status:
        """How a run stands that no process executes as a retraining; it may have been resumed as a plain run."""
        try:
            folder = find_run(self.target.project, run.execution)
            state = folder.load()
            kinds = {step.name: step.type for step in Definition.from_text(folder.read_definition()).all_steps}
        except MlopsError:  # it was never prepared, or it was removed
            return Status.FAILED
        if state.status in (EXECUTING, SUCCEEDED):
            return Status.EXECUTING if state.status == EXECUTING else Status.REGISTERED
        refused = any(step.status == FAILED and kinds.get(name) == "Fail" for name, step in state.steps.items())
        return Status.GATE_FAILED if refused else Status.FAILED

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


def _at_least(least: int, environment: Environment, name: str, read: Callable[[str], float]) -> float:
    key = f"retraining.{name}"
    value = read(key)
    if value < least:
        raise UsageError(f"{environment.file(key)} says `{key}: {value}`.", f"It takes at least {least}.")
    return value


def _now() -> datetime:
    return datetime.now(UTC)
