"""What a rung of the proof says about a template."""

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Finding:
    """One fault.

    Attributes:
        where: The resource, property, file or role that is at fault.
        what: What is wrong with it, in a sentence.
    """

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"
