"""Decide on triggers of retraining, and start the training pipeline.

All triggers arrive in one queue: schedules, new objects, people, the ends of runs, and a clock for what is pending. The
rules are those of `mlops.retraining.policy`. The state is written before a run is started: whoever finds a run without
an execution starts it, and its token makes sure that SageMaker starts it once.
"""

import functools
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3

from mlops.registry import packages
from mlops.registry.versions import ModelVersion, champion
from mlops.retraining import executions
from mlops.retraining.memory import DATA, MANUAL, RESUME, SCHEDULED, Decision, Run, State, Trigger
from mlops.retraining.policy import Newest, Policy, Status, newest_of
from mlops.retraining.table import Table
from mlops.store.objects import ObjectVersion, data_version, is_data, newest_versions, split_uri

TICK = "tick"
"""The kind of the clock's messages."""

NAMED = 5000
"""The maximum number of new objects that a pending or running request names; its reason has their number."""

LEASE = timedelta(minutes=15)

_ENDED = "SageMaker Model Building Pipeline Execution Status Change"
_CREATED = "Object Created"


@dataclass(frozen=True)
class Message:
    """A message of the queue.

    Attributes:
        kind: The kind of a trigger, `TICK`, `RESUME`, or empty for the end of a run.
        id: The id of its cause.
        reason: The reason, as free text.
        force: Whether to train without new data.
        key: The key of a new object.
        execution: The ARN of an execution that has ended.
    """

    kind: str
    id: str = ""
    reason: str = ""
    force: bool = False
    key: str = ""
    execution: str = ""


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Handle a batch of messages; log the decisions.

    Returns:
        The messages that were not understood; SQS delivers them again, and finally keeps them in the dead-letter queue.

    Raises:
        MlopsError, ClientError: State, registry or pipeline cannot be used; SQS delivers the whole batch again.
    """
    messages, failed = [], []
    for record in event["Records"]:
        try:
            messages.append(understood(record["messageId"], json.loads(record["body"])))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            print(json.dumps({"message": record["messageId"], "not understood": repr(error), "body": record["body"]}))
            failed.append({"itemIdentifier": record["messageId"]})
    if messages:
        Retraining.of_environment().handle(messages)
    return {"batchItemFailures": failed}


def understood(id_: str, body: Mapping[str, Any]) -> Message:
    """Read the body of a message: an event of EventBridge, or a document of `mlops retrain` or of a schedule.

    Args:
        id_: The id of the message in the queue.
        body: Its body, parsed.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: It is neither.
    """
    kind, detail = body.get("detail-type"), body.get("detail", {})
    if kind == _ENDED:
        return Message("", execution=str(detail["pipelineExecutionArn"]))
    if kind == _CREATED:
        return Message(DATA, id_, key=str(detail["object"]["key"]))
    if body["kind"] not in (MANUAL, SCHEDULED, TICK, RESUME):
        raise ValueError(f"unknown kind {body['kind']!r}")
    return Message(body["kind"], str(body.get("id", id_)), str(body.get("reason", "")), body.get("force") is True)


@dataclass(frozen=True)
class Facts:
    """What a decision depends on besides the state.

    Attributes:
        now: The time.
        versions: The registered versions.
        newest: The newest of them.
        data_version: The version of the data now.
        obstacle: Why no run can start at all; empty if one can.
        hold: The execution of the pipeline that a run has to wait for, whoever started it; empty if there is none.
    """

    now: datetime
    versions: Sequence[ModelVersion]
    newest: Newest | None
    data_version: str
    obstacle: str
    hold: str


@dataclass(frozen=True)
class Retraining:
    """Retraining of one pipeline.

    Attributes:
        table: The state.
        policy: The rules.
        pipeline: The name of the training pipeline.
        group: The model package group.
        data: The S3 URI of the data.
        records: The S3 prefix of the records of executions.
        topic: The ARN of the notifications' topic.
    """

    table: Table
    policy: Policy
    pipeline: str
    group: str
    data: str
    records: str
    topic: str

    @classmethod
    def of_environment(cls) -> "Retraining":
        """Return what the function's environment variables describe."""
        variables = os.environ
        policy = Policy(
            cooldown=timedelta(minutes=int(variables["COOLDOWN_MINUTES"])),
            runs_per_day=int(variables["RUNS_PER_DAY"]),
            failed_gates=int(variables["FAILED_GATES"]),
            gathering=timedelta(minutes=int(variables.get("GATHERING_MINUTES", "0"))),
            lease=LEASE,
        )
        table = Table(boto3.client("dynamodb"), variables["TABLE"])
        group, data = variables["MODEL_PACKAGE_GROUP"], variables["DATA_URI"]
        records, topic = variables["RECORDS_URI"], variables["TOPIC_ARN"]
        return cls(table, policy, variables["PIPELINE"], group, data, records, topic)

    def handle(self, messages: Sequence[Message]) -> None:
        """Decide on messages, log the decisions, and start the run that is due."""
        if all(message.kind == TICK for message in messages) and not self._is_busy(self.table.read()):
            return
        facts = self._facts()
        triggers = self._triggers(messages, facts)
        ended = {message.execution for message in messages if message.execution}
        for execution in ended:
            self._keep_record(execution)
        statuses = {execution: executions.status(_sagemaker(), execution) for execution in ended}
        resumed = any(message.kind == RESUME for message in messages)

        def decide(state: State) -> State:
            run = state.running
            if run and run.execution in statuses and statuses[run.execution] is not Status.EXECUTING:
                state = self.policy.end(state, run.request.token, statuses[run.execution], facts.now)
            if resumed:
                state = self.policy.close_circuit(state)
            pending = state.pending if facts.obstacle else None  # it waits until no obstacle is left
            state = replace(state, pending=None if pending else state.pending)
            state = self.policy.advance(state, facts.now, facts.newest, self._describe, facts.data_version, facts.hold)
            state = replace(state, pending=pending or state.pending)
            for trigger in triggers:
                trigger = replace(trigger, objects=trigger.objects[: _room(state)])
                state, _ = self.policy.receive(state, trigger, facts.newest, facts.obstacle, facts.hold)
            return state

        before, after = self.table.change(decide)
        _log(after.decisions[trigger.id] for trigger in triggers)
        if self.policy.has_opened(before, after):
            self._notify(after)
        if after.running and not after.running.execution:
            self._start(after.running, facts.versions)

    def _facts(self) -> Facts:
        """Look up what decisions depend on.

        Raises:
            ClientError: The registry, the pipeline or the data cannot be read.
        """
        found = newest_versions(boto3.client("s3"), *split_uri(self.data))
        versions = packages.versions(_sagemaker(), self.group)
        obstacle = self._obstacle(found)
        execution = "" if obstacle else executions.executing(_sagemaker(), self.pipeline)
        hold = f"execution {execution} of the pipeline has not ended" if execution else ""
        return Facts(datetime.now(UTC), versions, newest_of(versions), data_version(found), obstacle, hold)

    def _obstacle(self, data: Sequence[ObjectVersion]) -> str:
        if not data:
            return f"there is no data below {self.data}"
        if not executions.pipeline_exists(_sagemaker(), self.pipeline):
            return f"the pipeline {self.pipeline} does not exist yet; `mlops upsert --environment dev` creates it"
        return ""

    def _triggers(self, messages: Sequence[Message], facts: Facts) -> list[Trigger]:
        """Return the triggers of messages; all new objects together are one."""
        triggers = [
            Trigger(each.id, each.kind, each.reason, facts.now, self.data, facts.data_version, force=each.force)
            for each in messages
            if each.kind in (MANUAL, SCHEDULED)
        ]
        arrived = [each for each in messages if each.kind == DATA and is_data(each.key)]
        if arrived:
            keys = tuple(dict.fromkeys(each.key for each in arrived))
            reason = f"{len(keys)} new object{'' if len(keys) == 1 else 's'}"
            triggers.append(Trigger(arrived[0].id, DATA, reason, facts.now, self.data, facts.data_version, keys))
        return triggers

    @staticmethod
    def _is_busy(state: State) -> bool:
        return bool(state.running or state.pending)

    def _describe(self, run: Run) -> Status:
        """Return the status of a run; one without an execution is about to be started."""
        return executions.status(_sagemaker(), run.execution) if run.execution else Status.EXECUTING

    def _start(self, run: Run, versions: Sequence[ModelVersion]) -> None:
        """Start the run in SageMaker, and record its execution."""
        request, best = run.request, champion(list(versions))
        values = {"DataVersion": request.data_version, "RunReason": request.reason}
        if best:
            values |= {"ChampionArn": best.arn, "ChampionModelUri": best.model_uri}
        execution = _sagemaker().start_pipeline_execution(
            PipelineName=self.pipeline,
            PipelineParameters=[{"Name": name, "Value": value} for name, value in values.items()],
            ClientRequestToken=request.token,
        )["PipelineExecutionArn"]
        self.table.change(lambda state: self.policy.confirm(state, request.token, execution, ""))
        print(json.dumps({"run": request.reason, "execution": execution, "data_version": request.data_version}))

    def _keep_record(self, execution: str) -> None:
        """Write the record of an execution that has ended to S3, whoever started it."""
        record = executions.describe(_sagemaker(), execution)
        if record is None:  # its pipeline has been deleted
            return
        bucket, prefix = split_uri(self.records)
        key = f"{prefix}{execution.rpartition('/')[2]}.json"
        boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=json.dumps(record, indent=2).encode())

    def _notify(self, state: State) -> None:
        boto3.client("sns").publish(
            TopicArn=self.topic,
            Subject=f"{self.pipeline}: retraining is suspended",
            Message=f"{state.failed_gates} runs in a row failed the quality gate. Retraining continues with different "
            "data, with `mlops retrain --environment dev`, or after `mlops retrain --environment dev --resume`. "
            "See docs/retraining.md.",
        )


def _room(state: State) -> int:
    """Return how many more objects the pending request may name."""
    return max(0, NAMED - len(state.untrained) - (len(state.pending.objects) if state.pending else 0))


def _log(decisions: Iterable[Decision]) -> None:
    for decision in decisions:
        print(json.dumps(decision.document()))


@functools.cache
def _sagemaker() -> Any:
    return boto3.client("sagemaker")
