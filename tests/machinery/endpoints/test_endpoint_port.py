"""The endpoint of an environment: what holds for the server on this machine and for SageMaker's."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest

from mlops.base.errors import MlopsError
from mlops.endpoints.port import Endpoint
from mlops.registry.versions import ModelVersion
from standin.scripted import Refusal
from tests.machinery.deployment.small_project import GROUP
from tests.machinery.endpoints.registered import endpoint, free_port, register
from tests.machinery.endpoints.test_invoke_deployed import asked, refusal
from tests.projects import mlops

pytestmark = [pytest.mark.slow, pytest.mark.alone]

CSV = ("text/csv", "text/csv")
KINDS = pytest.mark.parametrize("kind", ["local", "sagemaker"])


def version(number: int) -> ModelVersion:
    now = datetime.now(UTC)
    return ModelVersion(number, f"{GROUP}/{number}", "Approved", now, now, "", "", "", (), {})


@pytest.fixture
def idle(kind: str, default_project: Path, tmp_path: Path) -> Endpoint:
    """An endpoint that serves nothing."""
    if kind == "local":
        return endpoint(Path(shutil.copytree(default_project, tmp_path / "doctor-visits", symlinks=True)))
    missing = Refusal("ValidationException", "Could not find endpoint")
    return asked(
        DescribeEndpoint=missing,
        GetParameters={"Parameters": []},
        InvokeEndpoint=Refusal("ValidationError", "Endpoint visits-staging of account 1 not found."),
    )[0]


@pytest.fixture
def serving(kind: str, default_project: Path, tmp_path: Path) -> Iterator[Endpoint]:
    """An endpoint that serves version 1, which multiplies by 2."""
    if kind == "sagemaker":
        yield asked(
            DescribeEndpoint={"EndpointStatus": "InService", "LastModifiedTime": datetime(2026, 1, 2, tzinfo=UTC)},
            GetParameters={"Parameters": [{"Name": "/visits/live/staging", "Value": f"{GROUP}/1"}]},
            InvokeEndpoint=[(0, {"Body": BytesIO(b"42")}), (1, refusal(400))],
        )[0]
        return
    folder = Path(shutil.copytree(default_project, tmp_path / "doctor-visits", symlinks=True))
    register(folder, "2")
    mlops(folder, "serve", "--detach", "--port", free_port(), "--workers", "1")
    yield endpoint(folder)
    mlops(folder, "serve", "--stop")


@KINDS
def test_an_endpoint_that_is_not_there_has_no_deployment_and_names_the_command_that_makes_it(idle: Endpoint) -> None:
    assert idle.describe() is None
    assert idle.advice(version(1)) == idle.advice(None) == ""
    with pytest.raises(MlopsError) as caught:
        idle.invoke(b"21", *CSV)
    assert ".venv/bin/python -m mlops " in caught.value.remedy


@KINDS
def test_an_endpoint_describes_the_version_it_serves_and_answers_with_it(serving: Endpoint) -> None:
    deployment = serving.describe()
    assert deployment is not None
    assert (deployment.version, deployment.status) == (1, "InService")
    assert datetime.fromisoformat(deployment.started).tzinfo
    assert serving.invoke(b"21", *CSV, "a-name").strip() == "42"


@KINDS
def test_another_version_to_serve_comes_with_the_command_that_serves_it(serving: Endpoint) -> None:
    assert ".venv/bin/python -m mlops " in serving.advice(version(2))
    assert ".venv/bin/python -m mlops" not in serving.advice(version(1))
