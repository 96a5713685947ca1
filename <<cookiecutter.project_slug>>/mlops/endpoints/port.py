"""The interface of an endpoint."""

from dataclasses import dataclass
from typing import Protocol

from mlops.registry.versions import ModelVersion


@dataclass(frozen=True)
class Deployment:
    """What an endpoint serves.

    Attributes:
        version: The version of the model.
        url: The URL that takes requests.
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
        """Describe what is served; None without an endpoint."""

    def advice(self, best: ModelVersion | None) -> str:
        """Return one line on how to make the endpoint serve the champion, if any; empty without an endpoint."""

    def invoke(self, body: bytes, content_type: str, accept: str, inference_id: str = "") -> str:
        """Send a request and return the response.

        Args:
            body: The body of the request.
            content_type: The media type of the request.
            accept: The media type of the response.
            inference_id: The id of the request in captured records; empty for none.

        Raises:
            MlopsError: There is no endpoint, or it rejects the request; the message is the endpoint's.
        """
