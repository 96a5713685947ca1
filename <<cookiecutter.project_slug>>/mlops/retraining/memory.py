"""The state of the retraining policy between events: plain values that are stored as one JSON document."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from typing import Any, TypedDict

from mlops.base.commands import MLOPS
from mlops.base.documents import conform
from mlops.base.environments import LOCAL
from mlops.registry.versions import as_value

MANUAL, SCHEDULED, DATA, DRIFT = "manual", "scheduled", "data", "drift"
"""The kinds of triggers: a user, a schedule, new objects in the data bucket, the monitoring job."""

RESUME = "resume"
"""The kind of a decision without a trigger: a user lets retraining continue."""

STARTED, COALESCED, REFUSED, RESUMED = "started", "coalesced", "refused", "resumed"
"""The outcomes of a decision."""

_OUTCOMES = {
    STARTED: "Retraining started",
    COALESCED: "Retraining is pending",
    REFUSED: "No retraining",
    RESUMED: "Retraining continues",
}


@dataclass(frozen=True)
class Trigger:
    """A request for a retraining.

    Attributes:
        id: The id of its cause: repeated deliveries of one event have the same id.
        kind: manual, scheduled, data or drift.
        reason: The reason, as free text; may be empty.
        time: When it arrived.
        data: The location of the data to train on.
        data_version: The version of that data at that time.
        objects: The number of new objects in its events, if any.
        force: Whether to train even if the newest version was trained on the same data.
    """

    id: str
    kind: str
    reason: str
    time: datetime
    data: str
    data_version: str
    objects: int = 0
    force: bool = False


def new_objects(count: int) -> str:
    """Return a number of new objects as text."""
    return f"{count:,} new object{'' if count == 1 else 's'}".replace(",", " ")


@dataclass(frozen=True)
class Request:
    """A retraining requested by one or more triggers; it trains on the data of the newest one.

    Attributes:
        triggers: The triggers, oldest first; at least one.
    """

    triggers: tuple[Trigger, ...]

    @property
    def token(self) -> str:
        """Its id: 64 hexadecimal digits, the same for the same request."""
        return sha256(self.triggers[0].id.encode(errors="surrogateescape")).hexdigest()

    @property
    def reason(self) -> str:
        """The reason of the run, as a value of a model package's metadata."""
        arrived = [f"{DATA}: {new_objects(self.objects)}"] if self.objects else []
        others = (f"{each.kind}: {each.reason}".removesuffix(": ") for each in self.triggers if not each.objects)
        return as_value(" / ".join(dict.fromkeys([*arrived, *others])))

    @property
    def data(self) -> str:
        """The location of the data to train on."""
        return self.triggers[-1].data

    @property
    def data_version(self) -> str:
        """The version of that data, as last seen."""
        return self.triggers[-1].data_version

    @property
    def objects(self) -> int:
        """The number of new objects in the events of its triggers."""
        return sum(trigger.objects for trigger in self.triggers)

    @property
    def is_by_hand(self) -> bool:
        """Whether a user triggered it."""
        return any(trigger.kind == MANUAL for trigger in self.triggers)

    @property
    def is_forced(self) -> bool:
        """Whether it trains even without new data."""
        return any(trigger.force for trigger in self.triggers)


@dataclass(frozen=True)
class Run:
    """A retraining that was started.

    Attributes:
        request: Its request.
        started: When it was started.
        leased_until: Until when it is assumed to be executing, without a look at its status.
        execution: The id of the pipeline execution; empty until it is known.
        parameters: The values of the pipeline parameters that it is started with, where its caller records them.
    """

    request: Request
    started: datetime
    leased_until: datetime
    execution: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def token(self) -> str:
        """The ClientRequestToken of its start: 64 hexadecimal digits, the same for the same run."""
        return sha256(f"{self.request.token} {self.started.isoformat()}".encode()).hexdigest()


@dataclass(frozen=True)
class Decision:
    """The decision on a trigger.

    Attributes:
        trigger: The trigger's id.
        kind: Its kind.
        cause: Its reason.
        time: When it was decided.
        outcome: started, coalesced or refused.
        reason: The reason of the outcome, as a clause.
        run: The pipeline execution that it started, if any.
    """

    trigger: str
    kind: str
    cause: str
    time: datetime
    outcome: str
    reason: str
    run: str = ""

    def document(self) -> dict[str, Any]:
        """Return the decision as a JSON document."""
        return asdict(self) | {"time": self.time.isoformat()}

    def text(self, environment: str = LOCAL) -> str:
        """Return the decision as text, with the command that shows more of a pending request."""
        text = f"{_OUTCOMES[self.outcome]}: {self.reason}."
        if self.outcome != COALESCED:
            return text
        where = "" if environment == LOCAL else f" --environment {environment}"
        return f"{text}\n  status:  {MLOPS} retrain{where} --status"


@dataclass(frozen=True)
class State:
    """The state of the policy.

    Attributes:
        running: The run that executes.
        pending: The pending request.
        starts: When runs were started, in the last 24 hours.
        last_end: When the last run ended.
        failed_gates: The number of runs in a row that failed the quality gate.
        failed_data: The version of the data that the last of these was trained on.
        last_data: The version of the data of the last run that has ended.
        reported: Whether it has been reported that failed gates suspend retraining.
        decisions: The decisions on triggers by id, oldest first.
    """

    running: Run | None = None
    pending: Request | None = None
    starts: tuple[datetime, ...] = ()
    last_end: datetime | None = None
    failed_gates: int = 0
    failed_data: str = ""
    last_data: str = ""
    reported: bool = False
    decisions: Mapping[str, Decision] = field(default_factory=dict)

    @property
    def latest(self) -> datetime | None:
        """The latest time at which something happened; None if nothing did."""
        decided = (decision.time for decision in self.decisions.values())
        arrived = (trigger.time for trigger in (self.pending.triggers if self.pending else ()))
        started = [self.running.started] if self.running else []
        ended = [self.last_end] if self.last_end else []
        return max([*self.starts, *decided, *arrived, *started, *ended], default=None)


def to_document(state: State) -> dict[str, Any]:
    """Convert the state to a JSON document."""
    plain: dict[str, Any] = _plain(asdict(state) | {"decisions": [asdict(one) for one in state.decisions.values()]})
    return plain


class _RequestDocument(TypedDict):
    triggers: list[dict[str, Any]]


class _RunDocument(TypedDict):
    request: _RequestDocument


class _Document(TypedDict):
    running: _RunDocument | None
    pending: _RequestDocument | None
    decisions: list[Decision]


def from_document(document: Any) -> State:
    """Restore the state from its JSON document.

    Raises:
        ValueError: The document has another structure.
    """
    found: dict[str, Any] = {**conform(document, _Document)}
    _convert_0_4_0(found)
    decisions = {decision.trigger: decision for decision in found.pop("decisions")}
    state: State = conform(found, State)
    for request in (state.pending, state.running.request if state.running else None):
        if request and not request.triggers:
            raise ValueError("a request has no triggers")
    if unknown := {decision.outcome for decision in decisions.values()} - set(_OUTCOMES):
        raise ValueError(f"a decision has the unknown outcome {min(unknown)!r:.50}")
    return replace(state, decisions=decisions)


def _convert_0_4_0(document: dict[str, Any]) -> None:
    """Convert a document of release 0.4.0, which listed objects instead of counting them."""
    document.pop("untrained", None)
    running, pending = document["running"], document["pending"]
    if running:
        running.pop("objects", None)
    for request in filter(None, (pending, running and running["request"])):
        for trigger in request["triggers"]:
            if isinstance(trigger.get("objects"), list):
                trigger["objects"] = len(trigger["objects"])


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {name: _plain(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(member) for member in value]
    return value
