"""What the retraining policy remembers between two events: plain values that can be kept as one JSON document."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any

MANUAL, SCHEDULED, DATA, DRIFT = "manual", "scheduled", "data", "drift"
"""The kinds of triggers: a person, the clock, new objects in the data bucket, the monitoring job."""

STARTED, COALESCED, REFUSED = "started", "coalesced", "refused"
"""What can become of a trigger."""

REASON_LENGTH = 256
_REASON_MARKS = frozenset(" _.:/=+-@")


@dataclass(frozen=True)
class Trigger:
    """Something that asks for a retraining.

    Attributes:
        id: What identifies its cause: the same cause told twice has the same id.
        kind: manual, scheduled, data or drift.
        reason: Why, in a person's words; may be empty.
        time: When it arrived.
        data: Where the data to train on stands.
        data_version: The version of that data at that time.
        objects: The new objects that it announces; empty when it announces none.
        force: Whether to train even if the newest model was made from the same data.
    """

    id: str
    kind: str
    reason: str
    time: datetime
    data: str
    data_version: str
    objects: tuple[str, ...] = ()
    force: bool = False


@dataclass(frozen=True)
class Request:
    """A retraining asked for by one or more triggers; it trains on what the newest of them names.

    Attributes:
        triggers: The triggers, oldest first; at least one.
    """

    triggers: tuple[Trigger, ...]

    @property
    def token(self) -> str:
        """The ClientRequestToken of its start: 64 hexadecimal digits, always the same ones for the same request."""
        return sha256(self.triggers[0].id.encode(errors="surrogateescape")).hexdigest()

    @property
    def reason(self) -> str:
        """Why the run is made, as the value of a model package's CustomerMetadataProperties takes it.

        That is at most 256 characters out of letters, digits, blanks and `_.:/=+-@`; others become blanks.
        """
        causes = dict.fromkeys(f"{trigger.kind}: {trigger.reason}".removesuffix(": ") for trigger in self.triggers)
        text = "".join(mark if mark.isalnum() or mark in _REASON_MARKS else " " for mark in " / ".join(causes))
        return " ".join(text.split())[:REASON_LENGTH].rstrip()

    @property
    def data(self) -> str:
        """Where the data to train on stands."""
        return self.triggers[-1].data

    @property
    def data_version(self) -> str:
        """The version of that data, as last seen."""
        return self.triggers[-1].data_version

    @property
    def objects(self) -> tuple[str, ...]:
        """The new objects that the triggers announce."""
        return tuple(name for trigger in self.triggers for name in trigger.objects)

    @property
    def is_by_hand(self) -> bool:
        """Whether a person is among those who ask."""
        return any(trigger.kind == MANUAL for trigger in self.triggers)

    @property
    def is_forced(self) -> bool:
        """Whether a person asks for a run on whatever data there is."""
        return any(trigger.force for trigger in self.triggers)


@dataclass(frozen=True)
class Run:
    """A retraining that was started.

    Attributes:
        request: What it was asked for.
        objects: Its manifest: every object that no registered version had been made from when it was started.
        started: When.
        leased_until: Until when it is taken to be executing without being looked at.
        execution: The id of the pipeline execution; empty until it is known.
    """

    request: Request
    objects: tuple[str, ...]
    started: datetime
    leased_until: datetime
    execution: str = ""


@dataclass(frozen=True)
class Decision:
    """What became of a trigger.

    Attributes:
        trigger: The trigger's id.
        kind: Its kind.
        cause: Its reason.
        time: When this was decided.
        outcome: started, coalesced or refused.
        reason: Why that, as a clause.
        run: The pipeline execution it led to; empty as long as there is none.
    """

    trigger: str
    kind: str
    cause: str
    time: datetime
    outcome: str
    reason: str
    run: str = ""


@dataclass(frozen=True)
class State:
    """Everything the policy remembers.

    Attributes:
        running: The run that executes.
        pending: The request that waits.
        starts: When runs were started, in the last 24 hours.
        last_end: When the last run ended.
        failed_gates: How many runs in a row have failed the quality gate.
        failed_data: The version of the data the last of these was trained on.
        untrained: Objects that runs were to train on and that no registered version has been made from yet.
        decisions: What became of the triggers, by their ids, oldest first.
    """

    running: Run | None = None
    pending: Request | None = None
    starts: tuple[datetime, ...] = ()
    last_end: datetime | None = None
    failed_gates: int = 0
    failed_data: str = ""
    untrained: tuple[str, ...] = ()
    decisions: Mapping[str, Decision] = field(default_factory=dict)


def to_document(state: State) -> dict[str, Any]:
    """The state as a JSON document."""
    plain: dict[str, Any] = _plain(asdict(state) | {"decisions": [asdict(one) for one in state.decisions.values()]})
    return plain


def from_document(document: Mapping[str, Any]) -> State:
    """The state that a document was made from.

    Raises:
        TypeError, KeyError, ValueError, AttributeError: It is no such document.
    """
    running, last_end = document["running"], document["last_end"]
    decisions = [Decision(**entry | {"time": _time(entry["time"])}) for entry in document["decisions"]]
    return State(
        running=_run(running) if running else None,
        pending=_request(document["pending"]) if document["pending"] else None,
        starts=tuple(map(_time, document["starts"])),
        last_end=_time(last_end) if last_end else None,
        failed_gates=int(document["failed_gates"]),
        failed_data=str(document["failed_data"]),
        untrained=tuple(document["untrained"]),
        decisions={decision.trigger: decision for decision in decisions},
    )


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {name: _plain(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(member) for member in value]
    return value


def _run(entry: Mapping[str, Any]) -> Run:
    times = {name: _time(entry[name]) for name in ("started", "leased_until")}
    return Run(**{**entry, **times, "request": _request(entry["request"]), "objects": tuple(entry["objects"])})


def _request(entry: Mapping[str, Any]) -> Request:
    triggers = tuple(
        Trigger(**{**trigger, "time": _time(trigger["time"]), "objects": tuple(trigger["objects"])})
        for trigger in entry["triggers"]
    )
    return Request(triggers)


_time = datetime.fromisoformat
