"""Decide on triggers of retraining, and start the training pipeline.

All triggers arrive in one queue: schedules, new objects, alarms, people, the ends of runs, and a clock for what is
pending. The rules are those of `mlops.retraining.policy`. The state is written before a run is started: whoever finds a
run without an execution starts it, and its token makes sure that SageMaker starts it once.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from mlops.base.files import is_data
from mlops.functions.clients import client
from mlops.registry import packages
from mlops.retraining import executions
from mlops.retraining.memory import DATA, DRIFT, MANUAL, RESUME, SCHEDULED, Decision, Run, State, Trigger, new_objects
from mlops.retraining.policy import Newest, Policy, Status, newest_of
from mlops.retraining.table import Table
from mlops.store.objects import ObjectVersion, data_version, newest_versions, split_uri

TICK = "tick"
"""The kind of the clock's messages."""

_LONGEST = 256
"""The maximum length of ids and reasons; longer ones are cut."""

_REFUSED = ("ValidationError", "ValidationException")
_ENDED = "SageMaker Model Building Pipeline Execution Status Change"
_CREATED = "Object Created"
_ALARM = "CloudWatch Alarm State Change"


@dataclass(frozen=True)
class Message:
    """A message of the queue.

    Attributes:
        kind: The kind of a trigger, `RESUME`, `TICK`, or empty for the end of a run.
        id: The id of its cause.
        reason: The reason, as free text.
        force: Whether to train without new data.
        execution: The ARN of an execution that has ended.
    """

    kind: str
    id: str = ""
    reason: str = ""
    force: bool = False
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


def understood(message_id: str, body: Mapping[str, Any]) -> Message:
    """Read the body of a message: an event of EventBridge, or a document of `mlops retrain` or of a schedule.

    Args:
        message_id: The id of the message in the queue, the id of its cause unless the body has one.
        body: Its body, parsed.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: It is neither.
    """
    kind, id_ = body.get("detail-type"), str(body.get("id", message_id))[:_LONGEST]
    if kind == _ENDED:
        return Message("", execution=str(body["detail"]["pipelineExecutionArn"]))
    if kind == _CREATED:
        return Message(DATA if is_data(str(body["detail"]["object"]["key"])) else TICK, id_)
    if kind == _ALARM:
        return Message(DRIFT, id_, f"alarm {body['detail']['alarmName']}"[:_LONGEST])
    if body["kind"] not in (MANUAL, SCHEDULED, TICK, RESUME):
        raise ValueError(f"unknown kind {body['kind']!r}")
    return Message(body["kind"], id_, str(body.get("reason", ""))[:_LONGEST], body.get("force") is True)


@dataclass(frozen=True)
class Facts:
    """What a decision depends on besides the state.

    Attributes:
        now: The time.
        data: The objects of the data.
        newest: The newest version; None if there is none.
        declared: The parameters that the pipeline declares; None if it does not exist.
        hold: The execution that a run has to wait for, as a clause; empty if there is none.
        uri: The S3 URI of the data.
    """

    now: datetime
    data: Sequence[ObjectVersion]
    newest: Newest | None
    declared: frozenset[str] | None
    hold: str
    uri: str

    @property
    def data_version(self) -> str:
        """The version of the data; empty without data."""
        return data_version(self.data) if self.data else ""

    @property
    def obstacle(self) -> str:
        """Why no run can start at all; empty if one can."""
        if not self.data:
            return f"there is no data below {self.uri}"
        return "" if self.declared is not None else "the pipeline does not exist yet; `mlops upsert` creates it"

    def parameters(self, run: Run) -> dict[str, str]:
        """Return the values of the parameters that a run is started with, as far as the pipeline declares them.

        The first step of a run finds its data and the champion.
        """
        values = {"RunReason": run.request.reason}
        return {name: value for name, value in values.items() if name in (self.declared or ())}


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
        return cls(
            table=Table(client("dynamodb"), variables["TABLE"]),
            policy=Policy.of_variables(variables),
            pipeline=variables["PIPELINE"],
            group=variables["MODEL_PACKAGE_GROUP"],
            data=variables["DATA_URI"],
            records=variables["RECORDS_URI"],
            topic=variables["TOPIC_ARN"],
        )

    def handle(self, messages: Sequence[Message]) -> None:
        """Decide on messages, log the decisions, and start the run that is due."""
        ended = {message.execution for message in messages if message.execution}
        if all(message.kind == TICK for message in messages) and not _is_busy(self.table.read()):
            return
        for execution in ended:
            self._keep_record(execution)
        decisions: list[Decision] = []
        facts = None

        def decide(state: State) -> State:
            nonlocal facts
            # Executions before versions, so that a run that ends in between is not taken for one without a version.
            statuses = {each: executions.status(client("sagemaker"), each) for each in ended | _unleased(state)}
            facts = self._facts()
            state, decisions[:] = self._decided(state, messages, statuses, facts)
            return state

        _, after = self.table.change(decide)
        for decision in decisions:
            print(json.dumps(decision.document()))
        if after.running and not after.running.execution and facts:
            self._start(after.running, facts.now)
        if self.policy.must_report(after):
            self._report_suspension(after)

    def _decided(
        self, state: State, messages: Sequence[Message], statuses: Mapping[str, Status], facts: Facts
    ) -> tuple[State, list[Decision]]:
        """Return the state after messages, and the decisions on those that are triggers."""
        decisions = []

        def describe(run: Run) -> Status:
            return statuses.get(run.execution, Status.EXECUTING)  # without an execution it is about to be started

        if state.running and describe(state.running) is not Status.EXECUTING:
            run = state.running
            state = self.policy.end(state, run.request.token, describe(run), facts.now)
        for message in messages:
            if message.kind == RESUME:
                state, decision = self.policy.resume(state, message.id, message.reason, facts.now)
                decisions.append(decision)
        hold = facts.obstacle or facts.hold
        state = self.policy.advance(state, facts.now, facts.newest, describe, facts.data_version, hold)
        for trigger in self._triggers(messages, facts):
            state, decision = self.policy.receive(state, trigger, facts.newest, facts.obstacle, facts.hold)
            decisions.append(decision)
        run_to_start = state.running
        if run_to_start and not run_to_start.execution and not run_to_start.parameters:
            parameters = facts.parameters(run_to_start)
            state = replace(state, running=replace(run_to_start, parameters=parameters))
        return state, decisions

    def _facts(self) -> Facts:
        """Look up what decisions depend on.

        Raises:
            ClientError: The registry, the pipeline or the data cannot be read.
        """
        sagemaker = client("sagemaker")
        declared = executions.declared_parameters(sagemaker, self.pipeline)
        hold = executions.hold(sagemaker, self.pipeline) if declared is not None else ""
        newest = newest_of(packages.newest(sagemaker, self.group))
        data = newest_versions(client("s3"), *split_uri(self.data))
        return Facts(datetime.now(UTC), data, newest, declared, hold, self.data)

    def _triggers(self, messages: Sequence[Message], facts: Facts) -> list[Trigger]:
        """Return the triggers of messages; all new objects together are one."""
        triggers = [
            Trigger(each.id, each.kind, each.reason, facts.now, self.data, facts.data_version, force=each.force)
            for each in messages
            if each.kind in (DRIFT, MANUAL, SCHEDULED)
        ]
        arrived = sorted({message.id for message in messages if message.kind == DATA})
        if arrived:
            count = len(arrived)
            trigger = Trigger(arrived[0], DATA, new_objects(count), facts.now, self.data, facts.data_version, count)
            triggers.append(trigger)
        return triggers

    def _start(self, run: Run, now: datetime) -> None:
        """Start the run in SageMaker, and record its execution; a run that SageMaker refuses has failed."""
        try:
            execution = client("sagemaker").start_pipeline_execution(
                PipelineName=self.pipeline,
                PipelineParameters=[{"Name": name, "Value": value} for name, value in run.parameters.items()],
                ClientRequestToken=run.token,
            )["PipelineExecutionArn"]
        except ClientError as error:
            if error.response["Error"]["Code"] not in _REFUSED:
                raise
            self.table.change(lambda state: self.policy.end(state, run.request.token, Status.FAILED, now))
            self._notify("a run could not be started", f"SageMaker refused to start a run: {error}")
            return
        self.table.change(lambda state: self.policy.confirm(state, run.request.token, execution))
        print(json.dumps({"run": run.request.reason, "execution": execution, "parameters": run.parameters}))

    def _keep_record(self, execution: str) -> None:
        """Write the record of an execution that has ended to S3, however it was started."""
        if record := executions.describe(client("sagemaker"), execution):  # else its pipeline has been deleted
            bucket, prefix = split_uri(self.records)
            key = f"{prefix}{execution.rpartition('/')[2]}.json"
            client("s3").put_object(Bucket=bucket, Key=key, Body=json.dumps(record, indent=2).encode())

    def _report_suspension(self, state: State) -> None:
        """Report that failed gates suspend retraining, once."""
        self._notify(
            "retraining is suspended",
            f"{state.failed_gates} runs in a row failed the quality gate. Serving is not affected. "
            "Retraining continues with different data, with `mlops retrain --environment dev`, or after "
            "`mlops retrain --environment dev --resume`. See docs/retraining.md.",
        )
        self.table.change(lambda latest: replace(latest, reported=self.policy.is_open(latest)))

    def _notify(self, subject: str, text: str) -> None:
        client("sns").publish(TopicArn=self.topic, Subject=f"{self.pipeline}: {subject}", Message=text)


def _is_busy(state: State) -> bool:
    return bool(state.running or state.pending)


def _unleased(state: State) -> set[str]:
    """Return the execution in the state if its status has to be looked up."""
    run = state.running
    return {run.execution} if run and run.execution and datetime.now(UTC) >= run.leased_until else set()
