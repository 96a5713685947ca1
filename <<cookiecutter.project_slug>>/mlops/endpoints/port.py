"""The port through which the verbs reach a deployed model, wherever it is served."""

from dataclasses import dataclass
from typing import Protocol

from mlops.registry.versions import ModelVersion


@dataclass(frozen=True)
class Deployment:
    """What an endpoint serves.

    Attributes:
        version: The version of the model.
        url: Where it answers.
        status: As SageMaker calls it: Creating, Updating, InService or Failed.
        started: When the endpoint was started or last changed, UTC, ISO 8601.
    """

    version: int
    url: str
    status: str
    started: str


class Endpoint(Protocol):
    """The endpoint of an environment."""

    def describe(self) -> Deployment | None:
        """What is served; None when there is no endpoint."""

    def advice(self, wanted: ModelVersion | None) -> str:
        """How to make the endpoint serve the version to use, if any, in one line; empty without an endpoint."""

    def invoke(self, body: bytes, content_type: str, accept: str, inference_id: str = "") -> str:
        """The answer to a request.

        Args:
            body: What is sent.
            content_type: What it is written in.
            accept: What the answer is to be written in.
            inference_id: What the request is called where it is captured; empty for no name.

        Raises:
            MlopsError: There is no endpoint, or it refuses the request; the message is its own.
        """
