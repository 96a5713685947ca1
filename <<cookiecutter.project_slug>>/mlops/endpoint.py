"""The port through which the verbs reach a deployed model, wherever it is served."""

from dataclasses import dataclass
from typing import Protocol

from mlops.registry import ModelVersion


@dataclass(frozen=True)
class Deployment:
    """What an endpoint serves.

    Attributes:
        version: The version of the model.
        url: Where it answers.
        status: As SageMaker calls it: Creating, Updating, InService or Failed.
        started: When the endpoint was started, UTC, ISO 8601.
    """

    version: int
    url: str
    status: str
    started: str


class Endpoint(Protocol):
    """The endpoint of an environment."""

    def describe(self) -> Deployment | None:
        """What is served; None when there is no endpoint."""

    def start(self, version: ModelVersion) -> Deployment:
        """Serve a version, in place of the one that is served, and wait until it answers.

        Raises:
            MlopsError: It does not come up; what was served before is served still.
        """

    def stop(self) -> Deployment | None:
        """End the endpoint once it has answered what it was asked; what it served, or None when there was none.

        Raises:
            MlopsError: It does not end.
        """

    def advice(self, wanted: ModelVersion | None) -> str:
        """How to make the endpoint serve the version to use, if any, in one line; empty without an endpoint."""

    def invoke(self, body: bytes, content_type: str, accept: str) -> str:
        """The answer to a request.

        Raises:
            MlopsError: There is no endpoint, or it refuses the request; the message is its own.
        """
