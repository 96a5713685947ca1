"""The proof's fifth rung: events reach the real handlers, each run in a process of its own."""

import io
import json
import os
import subprocess
import tempfile
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from moto.awslambda.models import LambdaFunction
from moto.sqs.models import Queue

from standin import buses
from standin.account import Cloud, StandInAccount
from standin.calls import CallRecord
from standin.patterns import matches
from standin.principals import account_of

_RECORDS: list[CallRecord] = []
"""What takes the calls of services, within `real_handlers`."""
RUNTIME = Path(__file__).parent / "hook" / "lambda_runtime.py"


@dataclass(frozen=True)
class Delivery:
    """What a rule did with an event.

    Attributes:
        rule: Its name.
        target: ARN of the target.
        role: ARN of the role that delivers; empty for a function, which its own policy opens.
        input: What was delivered.
        answer: What the handler returned; None for targets that are no functions.
        error: What the handler raised, with its traceback, or why an event is not on the bus of the target; empty when
            it ended well.
        account: Number of the account of the rule.
    """

    rule: str
    target: str
    role: str
    input: Any
    answer: Any = None
    error: str = ""
    account: str = ""


@contextmanager
def real_handlers(cloud: Cloud, record: CallRecord) -> Iterator[None]:
    """Let functions run, within a `with` block; boto3's `invoke` and custom resources reach them too.

    Args:
        cloud: Where the functions are.
        record: Takes the calls that they make, each as its own role.
    """

    def invoke(function: LambdaFunction, event: Any = None) -> tuple[str, bool, str]:
        return _run(cloud.account(function.account_id, function.region), record, function, event)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LambdaFunction, "_invoke_lambda", invoke)
        # moto delivers messages and events of S3 by itself; here they are delivered when a test says so.
        patch.setattr("moto.s3.notifications._send_event_bridge_message", lambda *_: None)
        patch.setattr(Queue, "lambda_event_source_mappings", property(lambda _: {}, lambda *_: None), raising=False)
        _RECORDS.append(record)
        try:
            yield
        finally:
            _RECORDS.remove(record)


def deliver(account: StandInAccount, event: Mapping[str, Any], bus: str = "default") -> list[Delivery]:
    """Hand an event to the rules of a bus, as EventBridge does, and run the functions that they name.

    Args:
        account: Within `real_handlers`.
        event: As it is documented; `account`, `region`, `id` and `time` are filled in.
        bus: Name of the bus.

    Returns:
        Deliveries in the order of the rules; none when no rule wants the event. A delivery to an event bus is followed
        by those of the rules there.
    """
    whole = {
        "version": "0",
        "id": str(uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(event, sort_keys=True))),  # the same one for the same event
        "account": account.id,
        "region": account.region,
        "time": "2026-11-20T12:00:00Z",
        "resources": [],
        **event,
    }
    return _deliver(account, whole, bus, forwarded=False)


def _deliver(account: StandInAccount, event: Mapping[str, Any], bus: str, forwarded: bool) -> list[Delivery]:
    client, delivered = account.client("events"), list[Delivery]()
    for rule in client.list_rules(EventBusName=bus)["Rules"]:
        if rule["State"] == "ENABLED" and "EventPattern" in rule and matches(json.loads(rule["EventPattern"]), event):
            for target in client.list_targets_by_rule(Rule=rule["Name"], EventBusName=bus)["Targets"]:
                deliver_to = _forward if ":event-bus/" in target["Arn"] else _hand_over
                delivered += deliver_to(account, rule, target, event, forwarded)
    return delivered


def invoke(account: StandInAccount, function: str, event: Any) -> tuple[Any, str]:
    """Run a function with an event.

    Returns:
        What it answered, and what it raised: one of the two is empty.
    """
    answer = account.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event))
    text = answer["Payload"].read().decode()
    return (None, text) if "FunctionError" in answer else (json.loads(text), "")


def _hand_over(
    account: StandInAccount, rule: Mapping[str, Any], target: Mapping[str, Any], event: Mapping[str, Any], _: bool
) -> list[Delivery]:
    """Deliver an event to a target of the account that is no event bus."""
    name, arn, content = rule["Name"], target["Arn"], json.loads(target["Input"]) if "Input" in target else event
    if "InputTransformer" in target or "InputPath" in target:
        raise NotImplementedError(
            f"{name} changes its events; only whole events and constant inputs are delivered here"
        )
    if account_of(arn) != account.id:
        raise NotImplementedError(f"{name} delivers to {arn}; only event buses of other accounts are targets here")
    answer, error = invoke(account, arn, content) if ":lambda:" in arn else (None, "")
    if ":sqs:" in arn:
        _send(account, rule["Arn"], arn, content)
    return [Delivery(name, arn, target.get("RoleArn", ""), content, answer, error, account.id)]


def _forward(
    account: StandInAccount,
    rule: Mapping[str, Any],
    target: Mapping[str, Any],
    event: Mapping[str, Any],
    forwarded: bool,
) -> list[Delivery]:
    """Put an event on the bus that a target is, and hand it to the rules there.

    What has come from another bus goes to no third one, whosever it is:
    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-cross-account.html. It keeps its account and Region.
    """
    arn, role = target["Arn"], target.get("RoleArn", "")
    if {"Input", "InputPath", "InputTransformer"} & target.keys():
        raise NotImplementedError(f"{rule['Name']} changes its events; only whole events are forwarded here")
    if forwarded or event["account"] != account.id:
        reason = "an event that came from another bus is not forwarded"
        return [Delivery(rule["Name"], arn, role, event, None, reason, account.id)]
    if role:
        for record in _RECORDS:
            record.add(buses.put_call(role, arn, event, account.region))
    reason = buses.obstacle(account, rule["Arn"], target, event)
    if reason and (queue := target.get("DeadLetterConfig", {}).get("Arn")):
        _send(account, rule["Arn"], queue, event)
    delivery = Delivery(rule["Name"], arn, role, event, None, reason, account.id)
    if reason:
        return [delivery]
    receiver = account.cloud.account(account_of(arn), arn.split(":")[3])
    return [delivery, *_deliver(receiver, event, arn.rpartition("/")[2], forwarded=True)]


def _send(account: StandInAccount, rule: str, queue: str, content: Any) -> None:
    """Send a message to a queue whose policy lets EventBridge do so for a rule.

    Raises:
        PermissionError: It does not; EventBridge would drop the event.
    """
    if reason := buses.letter_obstacle(rule, queue):
        raise PermissionError(reason)
    sqs = account.client("sqs")
    url = sqs.get_queue_url(QueueName=queue.rpartition(":")[2])["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=json.dumps(content))


def _run(account: StandInAccount, record: CallRecord, function: LambdaFunction, event: Any) -> tuple[str, bool, str]:
    """What moto wants of a function: its answer, whether it failed, its log."""
    with tempfile.TemporaryDirectory() as folder:
        zipfile.ZipFile(io.BytesIO(function.code_bytes)).extractall(folder)
        recording = record.environment(function.role)
        environment = {
            **account.environment(function.role),
            **function.environment_vars,
            **recording,
            "PYTHONPATH": os.pathsep.join([recording["PYTHONPATH"], folder]),
            "AWS_LAMBDA_FUNCTION_NAME": function.function_name,
            "LAMBDA_TASK_ROOT": folder,
        }
        command = [
            *account.cloud.python.command,
            "-P",
            str(RUNTIME),
            str(function.handler),
            function.function_arn,
            str(function.timeout),
        ]
        try:
            ended = subprocess.run(
                command,
                cwd=folder,
                env=environment,
                input=event if isinstance(event, str) else json.dumps(event),
                capture_output=True,
                text=True,
                timeout=function.timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"Task timed out after {function.timeout} seconds", True, ""
    if ended.returncode:
        return ended.stderr, True, ended.stderr
    *log, answer = ended.stdout.splitlines()
    return answer, False, "\n".join(log)
