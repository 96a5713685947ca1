"""The capabilities of a project, by its answers; every project contains the complete machinery."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Capability:
    """Something that only some projects do.

    Attributes:
        question: The question that decides.
        answers: The answers with which a project does it.
        lacking: The message for other projects, to complete "This project ...".
    """

    question: str
    answers: frozenset[str]
    lacking: str


CAPABILITIES = {
    "trains": Capability("project_scope", frozenset({"build-train-deploy", "build-train"}), "trains no model"),
    "deploys": Capability("project_scope", frozenset({"build-train-deploy", "deploy"}), "deploys no model"),
    "serves": Capability("inference", frozenset({"realtime", "serverless", "async"}), "serves no endpoint"),
    "batches": Capability("inference", frozenset({"batch"}), "makes no batch predictions"),
    "monitors": Capability("monitoring", frozenset({"on"}), "is not monitored"),
}


def lack(answers: Mapping[str, str], needs: tuple[str, ...]) -> str:
    """Return which capability a project lacks, as a sentence; empty if it has all.

    Args:
        answers: The answers that the project was generated with.
        needs: Names of capabilities.
    """
    for capability in map(CAPABILITIES.__getitem__, needs):
        answer = answers.get(capability.question)
        if answer not in capability.answers:
            return f"This project {capability.lacking}: it was generated with {capability.question}: {answer}."
    return ""
