"""What a kind of resource is: the calls of AWS that make, change, read and delete one.

Values are JMESPath expressions over what is known of a resource:
{"properties", "answer" (of the creating call), "id" (what Ref returns), "name", "account", "region"}.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Put:
    """A call that carries out one property which the creating call does not take.

    Attributes:
        operation: As AWS names it.
        request: What is sent. One that speaks of `item` is sent for each item of the property, else `value` is all of
            it. `described` is what the answer of reading holds. What yields null is not sent.
        undo: The operation that takes back an item; it takes some members of the request.
        member: The member of the creating request that holds it, if that is called otherwise.
    """

    operation: str
    request: str
    undo: str = ""
    member: str = ""


@dataclass(frozen=True)
class Kind:
    """One kind of resource.

    Attributes:
        service: As boto3 calls it.
        read: The operation that describes one.
        identity: Members by which reading, changing and deleting know it; each operation gets those that it takes.
        exists: What the answer of reading holds when the resource is there.
        described: What of the answer of reading is what the creating call answers.
        create: The creating operation. Empty: its puts make it.
        ref: What Ref returns.
        name: The property that names it.
        request: What is sent to create or change it.
        attributes: What GetAtt returns.
        update: The changing operation. A change that it and the puts cannot carry out replaces the resource.
        delete: The deleting operation.
        puts: By property.
    """

    service: str
    read: str
    identity: Mapping[str, str]
    exists: str = "@"
    described: str = "@"
    create: str = ""
    ref: str = ""
    name: str = ""
    request: str = "properties"
    attributes: Mapping[str, str] = field(default_factory=dict)
    update: str = ""
    delete: str = ""
    puts: Mapping[str, Put] = field(default_factory=dict)


def arn_of(service: str, rest: str, region: str = "region", account: str = "account") -> str:
    """What makes an ARN, of expressions."""
    return f"join(':', ['arn:aws:{service}', {region}, {account}, {rest}])"


def from_answer(*names: str) -> dict[str, str]:
    """Values that the answer of the creating call holds under these names."""
    return {name: f"answer.{name}" for name in names}


def from_properties(*names: str) -> dict[str, str]:
    """Values that the properties hold under these names."""
    return {name: f"properties.{name}" for name in names}
