"""Clients that answer what AWS would answer over time, by a script, with a clock that nobody waits for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import boto3
from botocore.awsrequest import AWSResponse
from botocore.model import Shape
from botocore.validate import ParamValidator

from standin.account import REGION


@dataclass
class Clock:
    """Time that passes when somebody sleeps.

    Attributes:
        now: Seconds since the start.
    """

    now: float = 0.0

    def time(self) -> float:
        """Seconds since the start, for what takes a `time.monotonic`."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass, for what takes a `time.sleep`."""
        self.now += seconds


@dataclass(frozen=True)
class Refusal:
    """An answer that is an error.

    Attributes:
        code: As AWS names it: `ExpiredToken`.
        message: What it says.
        details: What else it holds: what the model answered, for instance.
    """

    code: str
    message: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


Timeline = Sequence[tuple[float, Mapping[str, Any] | Refusal]]
"""Answers with the seconds since the start from which each is given; the first from 0."""


@dataclass
class Script:
    """What a service answers, and what it was asked.

    Attributes:
        clock: Says which answer it is time for.
        timelines: By operation, as AWS names it.
        asked: Operations and parameters, in order.
    """

    clock: Clock
    timelines: Mapping[str, Timeline]
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def client(self, service: str) -> Any:
        """A boto3 client of a service that answers by the script.

        Raises:
            ValueError: An answer is none that the service's model allows.
        """
        client = boto3.client(service, REGION, aws_access_key_id="testing", aws_secret_access_key="testing")
        for operation, timeline in self.timelines.items():
            if operation in client.meta.method_to_api_mapping.values():
                shape = client.meta.service_model.operation_model(operation).output_shape
                for _, answer in timeline:
                    if not isinstance(answer, Refusal) and shape is not None:
                        _check(answer, shape, operation)
        client.meta.events.register("provide-client-params", self._asked)
        client.meta.events.register("before-call", self._answer)
        return client

    def _asked(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        self.asked.append((model.name, params))

    def _answer(self, model: Any, **_: Any) -> tuple[AWSResponse, dict[str, Any]]:
        if model.name not in self.timelines:
            raise AssertionError(f"{model.name} was called, which the script does not answer")
        answer = [answer for start, answer in self.timelines[model.name] if start <= self.clock.now][-1]
        status = HTTPStatus.BAD_REQUEST if isinstance(answer, Refusal) else HTTPStatus.OK
        if isinstance(answer, Refusal):
            answer = {"Error": {"Code": answer.code, "Message": answer.message}, **answer.details}
        return AWSResponse("", status, {}, None), {**answer, "ResponseMetadata": {"HTTPStatusCode": status}}


def _check(answer: Any, shape: Shape, operation: str) -> None:
    """Refuse an answer that the service cannot give; what a test does not care for may be left out."""
    errors = ParamValidator().validate(answer, shape)
    if faults := [line for line in errors.generate_report().splitlines() if not line.startswith("Missing")]:
        raise ValueError(f"{operation} cannot answer so: {'; '.join(faults)}")
    _check_enums(answer, shape, operation)


def _check_enums(value: Any, shape: Any, where: str) -> None:
    if shape.type_name == "structure":
        for name, item in value.items():
            _check_enums(item, shape.members[name], f"{where}.{name}")
    elif shape.type_name == "list":
        for item in value:
            _check_enums(item, shape.member, where)
    elif shape.type_name == "string" and shape.enum and value not in shape.enum:
        raise ValueError(f"{where} is never {value!r}; it is one of {', '.join(shape.enum)}")
