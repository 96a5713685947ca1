"""Event buses: who may put events on one of another account, and what becomes of events that cannot be delivered.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-cross-account.html
"""

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from moto.events.models import events_backends

from standin.attached import resource_policies, roles
from standin.calls import Call
from standin.gaps import Message, Records, RefusedError, Where
from standin.iam import role_policies
from standin.needs import Need
from standin.principals import CALLER, account_of
from standin.resource_policies import Verdict, verdict

if TYPE_CHECKING:
    from standin.account import StandInAccount

EVENTS = "events.amazonaws.com"
_OPEN = (Verdict.ACCOUNT, Verdict.PRINCIPAL)
_STRANGER = "000000000000"


def put_call(role: str, bus: str, event: Mapping[str, Any], region: str) -> Call:
    """The call by which EventBridge puts an event on a bus, as the role of a target."""
    entry = {"EventBusName": bus, "Source": event["source"], "DetailType": event["detail-type"]}
    return Call(role, "events", "PutEvents", {"Entries": [entry]}, region)


def obstacle(account: "StandInAccount", rule: str, target: Mapping[str, Any], event: Mapping[str, Any]) -> str:
    """Why a rule cannot put an event on the bus that one of its targets is; empty when it can.

    Args:
        account: Where the rule is.
        rule: ARN of the rule.
        target: The target.
        event: The event.
    """
    role, bus = target.get("RoleArn", ""), target["Arn"]
    if not role:
        return f"the target {bus} has no role"
    source = {"aws:SourceArn": rule, "aws:SourceAccount": account.id}
    if account_of(role) != account.id or role not in roles():
        return f"{role} is not a role of the account {account.id}"
    if verdict(roles()[role], EVENTS, "sts:AssumeRole", role, source) not in _OPEN:
        return f"EventBridge may not assume {role}"
    context = {**_entry_context(event["source"], event["detail-type"]), **source}
    need = Need("events:PutEvents", bus, rule, context)
    resources = resource_policies()
    if not resources.allow(role, role_policies(account.client("iam"), role), need):
        return f"{role} may not put events on {bus}, by its policies and those of the bus"
    if not _exists(bus):
        return f"there is no event bus {bus}"
    return ""


def letter_obstacle(rule: str, queue: str) -> str:
    """Why EventBridge cannot send what a rule delivers to a queue; empty when it can.

    A queue that is open to the rules of every account is taken for closed.

    Args:
        rule: ARN of the rule.
        queue: ARN of the queue.
    """
    document = resource_policies().documents.get(queue, {"Statement": []})

    def says(rule: str) -> Verdict:
        source = {"aws:SourceArn": rule, "aws:SourceAccount": account_of(rule)}
        return verdict(document, EVENTS, "sqs:SendMessage", queue, source)

    stranger = ":".join([*rule.split(":")[:4], _STRANGER, "rule/another"])
    if says(rule) not in _OPEN or says(stranger) in _OPEN:
        return f"The policy of {queue} does not let EventBridge send messages for the rule {rule}, or for any rule."
    return ""


def operations(records: Records) -> dict[tuple[str, str], Any]:
    """What is answered here instead of by moto, which delivers events to everybody at once."""
    return {("events", "PutEvents"): lambda where, request: _put(records, where, request)}


def sent(account: "StandInAccount", bus: str = "default") -> list[dict[str, Any]]:
    """Take the events that PutEvents has put on a bus, in order, to hand each to `lambdas.deliver`."""
    record = account.cloud.gaps.records.pop(_kept(account.id, account.region, bus), {"events": []})
    events: list[dict[str, Any]] = record["events"]
    return events


def _put(records: Records, where: Where, request: Message) -> Message:
    entries = request["Entries"]
    if not 1 <= len(entries) <= 10:
        raise RefusedError("ValidationException", f"{len(entries)} entries: a call takes 1 to 10.")
    for entry in entries:
        if lacking := {"Source", "DetailType", "Detail"} - entry.keys():
            raise RefusedError("ValidationException", f"An entry has no {', '.join(sorted(lacking))}.")
        _require_bus(where, entry)
    answers = []
    for entry in entries:
        owner, region, bus = _place(where, entry)
        event = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": entry["DetailType"],
            "source": entry["Source"],
            "account": where.account,
            "region": where.region,
            "time": str(entry.get("Time", datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))),
            "resources": entry.get("Resources", []),
            "detail": json.loads(entry["Detail"]),
        }
        records.setdefault(_kept(owner, region, bus), {"events": []})["events"].append(event)
        answers.append({"EventId": event["id"]})
    return {"FailedEntryCount": 0, "Entries": answers}


def _require_bus(where: Where, entry: Message) -> None:
    """Refuse an entry for a bus that is not there, or of another account that does not allow it to the caller."""
    owner, region, name = _place(where, entry)
    bus, caller = f"arn:aws:events:{region}:{owner}:event-bus/{name}", CALLER.get()
    need = Need("events:PutEvents", bus, "PutEvents", _entry_context(entry["Source"], entry["DetailType"]))
    if owner != where.account and not resource_policies().open(caller, need):
        raise RefusedError(
            "AccessDeniedException",
            f"User: {caller} is not authorized to perform: events:PutEvents on resource: {bus} because no "
            "resource-based policy allows the events:PutEvents action",
        )
    if not _exists(bus):
        raise RefusedError("ResourceNotFoundException", f"Event bus {name} does not exist.")


def _entry_context(source: str, detail_type: str) -> dict[str, str]:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-conditions.html."""
    return {"events:source": source, "events:detail-type": detail_type}


def _place(where: Where, entry: Message) -> tuple[str, str, str]:
    """Account, Region and name of the bus of an entry."""
    bus = entry.get("EventBusName", "default")
    if not bus.startswith("arn:"):
        return where.account, where.region, bus
    return account_of(bus), bus.split(":")[3], bus.rpartition("/")[2]


def _exists(bus: str) -> bool:
    return bus.rpartition("/")[2] in events_backends[account_of(bus)][bus.split(":")[3]].event_buses


def _kept(account: str, region: str, bus: str) -> tuple[str, ...]:
    return account, region, "events", "sent", bus
