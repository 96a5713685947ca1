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
        needs: Names of capabilities; one of several is enough if they are joined, as in `trains|monitors`.
    """
    for alternatives in needs:
        lacking = [CAPABILITIES[name] for name in alternatives.split("|")]
        if not any(answers.get(capability.question) in capability.answers for capability in lacking):
            what = " and ".join(capability.lacking for capability in lacking)
            given = ", ".join(f"{capability.question}: {answers.get(capability.question)}" for capability in lacking)
            return f"This project {what}: it was generated with {given}."
    return ""
