"""What boto3 was asked in the processes of a proof: which calls, by which role, with which roles handed on."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import boto3

_READING = ("Get", "List", "Describe", "Head")
HOOK = Path(__file__).parent / "hook"


@dataclass(frozen=True)
class Call:
    """One call of AWS.

    Attributes:
        role: ARN of the role that made it; empty when none was said.
        service: The prefix of the service's IAM actions.
        operation: As AWS names it.
        parameters: What was sent; what is not JSON is text.
        region: Where to.
        passed: ARNs of the roles that are in the parameters.
        error: What was answered instead of a result.
    """

    role: str
    service: str
    operation: str
    parameters: Mapping[str, Any]
    region: str
    passed: tuple[str, ...] = ()
    error: str | None = None


class CallRecord:
    """The calls that processes with its environment make.

    Args:
        file: Where they are kept, one a line.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def environment(self, role: str) -> dict[str, str]:
        """What makes a Python process record, as a role.

        Args:
            role: Its ARN.
        """
        return {"PYTHONPATH": str(HOOK), "PROOF_CALLS": str(self._file), "PROOF_ROLE": role}

    def add(self, call: Call) -> None:
        """Record a call that a service makes with a role."""
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(call), default=str) + "\n")

    def calls(self) -> list[Call]:
        """Those that were recorded, in order."""
        if not self._file.exists():
            return []
        lines = map(json.loads, self._file.read_text(encoding="utf-8").splitlines())
        return [Call(**{**line, "passed": tuple(line["passed"])}) for line in lines]


class CallLog:
    """The names of the operations called within a `with` block.

    Args:
        callers: Clients, or sessions whose clients are made within the block.
    """

    def __init__(self, *callers: Any) -> None:
        self.emitters = [_emitter(caller) for caller in callers]
        self.operations: list[str] = []

    def __enter__(self) -> "CallLog":
        for emitter in self.emitters:
            emitter.register("before-call", self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for emitter in self.emitters:
            emitter.unregister("before-call", self._note)

    def _note(self, model: Any, **_: Any) -> None:
        self.operations.append(model.name)

    @property
    def changing(self) -> list[str]:
        """Those that may change something."""
        return [name for name in self.operations if not name.startswith(_READING)]

    def clear(self) -> None:
        """Forget what was called."""
        self.operations.clear()


def _emitter(caller: Any) -> Any:
    return caller.events if isinstance(caller, boto3.Session) else caller.meta.events
