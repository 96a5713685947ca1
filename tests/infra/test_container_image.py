import ast
import functools
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mlops.base import contents
from mlops.base.handlers import load_unpacked
from mlops.base.payloads import ENDPOINTS, REALTIME, SERVERLESS
from mlops.project.project import Project
from mlops.project.target import Target
from mlops.registry.local import LocalRegistry
from mlops.serving.container import TOOLS
from mlops.serving.settings import Settings
from modelkit.archives import unpack
from tests.infra.dockerfile import Image, NotAllowedError, build
from tests.infra.rendered import OWN_IMAGE, text_of
from tests.projects import Bake

TORCH = "torch==2.13.0"
PYTHON = "3.13"
PATIENCE = 60.0


@pytest.fixture(scope="session")
def custom(rendering: Bake) -> Bake:
    """A function that gives the project with an image of its own for a framework. Do not change it."""
    return functools.partial(rendering, **OWN_IMAGE)


def built(project: Path, root: Path) -> Image:
    return build(project, project / "container/Dockerfile", root, TORCH=TORCH)


@pytest.fixture
def image(custom: Bake, tmp_path: Path) -> Image:
    """The image of the default framework, compiled as its RUN says."""
    image = built(custom(framework="xgboost"), tmp_path / "image")
    compiling = image.commands[-1].replace("/opt/", f"{image.root}/opt/").split()
    subprocess.run([sys.executable, *compiling[1:]], check=True)
    return image


def environment(image: Image, **more: str) -> dict[str, str]:
    """The environment of a process of the image: FROM's interpreter is the one that runs these tests."""
    paths = {
        "PYTHONPATH": f"{image.root}{image.environment['PYTHONPATH']}",
        "SAGEMAKER_BASE_DIR": f"{image.root}/opt/ml",
    }
    return {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        **image.environment,
        **paths,
        **more,
    }


def run(image: Image, *arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *image.entrypoint[1:], *arguments],
        cwd=image.root, env=environment(image, **more), capture_output=True, text=True, check=False,
    )  # fmt: skip


@contextmanager
def serving(image: Image) -> Iterator[int]:
    """The port at which the image, started as SageMaker starts it, serves the model in its /opt/ml/model."""
    log = image.root / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, *image.entrypoint[1:], "serve"],
            cwd=image.root, env=environment(image, SAGEMAKER_BIND_TO_PORT="0", SAGEMAKER_MODEL_SERVER_WORKERS="1"),
            stdout=stream, stderr=stream,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + PATIENCE
        while not (said := re.search(r":(\d+) is InService", log.read_text())):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield int(said[1])
    finally:
        process.terminate()
        assert process.wait(PATIENCE) == 0, log.read_text()


def ask(port: int, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def test_the_image_serves_a_trained_model_as_its_handlers_answer(ran: Path, image: Image, tmp_path: Path) -> None:
    registry = LocalRegistry.of(Target(Project(ran), "local"))
    archive = registry.download_model(registry.versions()[-1], tmp_path)
    unpack(archive, image.root / "opt/ml/model")
    held = sorted(path.name for path in (image.root / "opt/ml/model").iterdir())
    request = (ran / "data/request.csv").read_bytes()
    with serving(image) as port:
        assert ask(port, "GET", "/ping")[0] == 200
        status, answer = ask(port, "POST", "/invocations", request, Content_Type="text/csv", Accept="text/csv")
        refused, reason = ask(port, "POST", "/invocations", b"1,2", Content_Type="text/csv")
    assert (status, refused) == (200, 400), (answer, reason)
    expected = native(image.root / "opt/ml/model", request)
    assert [float(line) for line in answer.splitlines()] == pytest.approx(expected, abs=1e-5)
    assert len(expected) == len(request.splitlines()) - 1
    # SageMaker mounts the model for reading only: what the server adds to it stands elsewhere.
    assert sorted(path.name for path in (image.root / "opt/ml/model").iterdir()) == held


def native(model: Path, request: bytes) -> list[float]:
    """What the handlers of a model answer, in this process."""
    answer = load_unpacked(model, "The model").invoke(request, "text/csv", "text/csv")
    return [float(line) for line in answer.splitlines()]


def test_it_starts_from_one_image_that_a_digest_names(custom: Bake, tmp_path: Path) -> None:
    for framework in ("xgboost", "sklearn", "pytorch"):
        image = built(custom(framework=framework), tmp_path / framework)
        assert re.fullmatch(rf"public\.ecr\.aws/docker/library/python:{PYTHON}-slim@sha256:[0-9a-f]{{64}}", image.base)
        text = (custom(framework=framework) / "container/Dockerfile").read_text()
        assert text.count("sha256:") == text.count("\nFROM ") == text.count("ARG PYTHON=") == 1


@pytest.mark.parametrize("framework", ["xgboost", "sklearn", "pytorch"])
def test_everything_is_installed_from_the_lock_by_its_hashes(custom: Bake, framework: str, tmp_path: Path) -> None:
    project = custom(framework=framework)
    image = built(project, tmp_path / "image")
    quiet = "pip install --no-cache-dir --disable-pip-version-check"
    torch = [f'PIP_INDEX_URL="" {quiet} "{TORCH}"'] if framework == "pytorch" else []
    assert image.commands == [
        f"{quiet} --require-hashes --requirement /opt/project/runtime.txt",
        *torch,
        "python3 -m compileall -q /opt/project/mlops",
    ]
    lock = (image.root / "opt/project/runtime.txt").read_text()
    assert lock == (project / "locks/runtime.txt").read_text()
    sources = {
        *(image.root / "opt/project").rglob("*.py"),
        *(path for _, path in contents.job_files(project) if path.suffix == ".py"),
    }
    wanted = {canonicalize_name(name) for name in distributions(sources)}
    assert {"uvicorn", "onnxruntime", "numpy"} <= wanted
    assert wanted - {"torch"} <= locked(lock)
    assert ("torch" in wanted) == (framework == "pytorch")


def distributions(sources: Iterable[Path]) -> set[str]:
    """The distributions that modules import from, as far as they are no part of Python or of the project."""
    providers = packages_distributions()
    names = {name.partition(".")[0] for source in sources for name in imported(source)}
    own = {"mlops", "model", "modelkit", *sys.stdlib_module_names}
    # xgboost comes as xgboost-cpu, and both may be said to provide it.
    return {"xgboost-cpu" if name == "xgboost" else providers[name][0] for name in names - own}


def imported(source: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def locked(lock: str) -> set[str]:
    """The names that a lock installs on the image's Python; each has a hash."""
    names = set[str]()
    for entry in re.split(r"\n(?=\S)", lock.replace("\\\n", "")):
        if entry.startswith("#") or not entry.strip():
            continue
        assert "--hash=sha256:" in entry, entry
        requirement = Requirement(entry.partition("--hash")[0].strip())
        here = {"python_version": PYTHON, "python_full_version": f"{PYTHON}.0", "sys_platform": "linux"}
        if requirement.marker is None or requirement.marker.evaluate(here):
            names.add(canonicalize_name(requirement.name))
    return names


def test_of_the_machinery_the_server_comes_along_and_nothing_else(image: Image) -> None:
    root = image.root / "opt/project"
    modules = {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path
        for path in root.rglob("*.py")
    }
    reached, todo = set(), ["mlops", "mlops.serving.container"]
    while todo:
        if (name := todo.pop()) in modules and name not in reached:
            reached.add(name)
            todo += [*imported(modules[name]), name.rpartition(".")[0]]
            # Started as processes of their own.
            todo += re.findall(r'"(mlops\.serving\.\w+)"', modules[name].read_text())
    assert reached == modules.keys()
    assert list(root.rglob("*.pyc")), "nothing is compiled"


@pytest.mark.slow
def test_whatever_the_jobs_import_is_tried_when_the_image_is_built(image: Image, custom: Bake, tmp_path: Path) -> None:
    source = tmp_path / "code"
    for name, path in contents.job_files(custom(framework="xgboost")):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, source / name)
    assert run(image, "check", str(source)).stderr == ""
    (source / "model/extra.py").write_text("import a_package_that_is_in_no_lock\n")
    failed = run(image, "check", str(source))
    assert failed.returncode == 1
    assert "cannot import model.extra: ModuleNotFoundError" in failed.stderr


def test_an_image_without_what_the_training_driver_calls_is_refused(image: Image, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    for tool in set(TOOLS) - {"pip3"}:
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool) or sys.executable)
    failed = run(image, "check", "/nowhere", PATH=str(tmp_path / "bin"))
    assert failed.returncode == 1
    assert "pip3 is missing; no package `model` in /nowhere; no package `modelkit` in /nowhere" in failed.stderr


def test_the_tools_are_those_that_the_training_step_calls(compiled_project: Path) -> None:
    bundle = next((compiled_project / ".mlops/bundles/local/training").glob("*/definition.json")).parent
    driver = next(bundle.rglob("sm_train.sh")).read_text()
    steps = json.loads((bundle / "definition.json").read_text())["Steps"]
    job = next(step for step in steps if step["Name"] == "Train")["Arguments"]["AlgorithmSpecification"]
    started = {Path(job["ContainerEntrypoint"][0]).name, job["ContainerArguments"][-1].split()[0]}
    assert started | set(re.findall(r"command -v (\w+3)", driver)) == set(TOOLS)


def test_train_becomes_the_driver_that_the_job_brings(image: Image) -> None:
    driver = image.root / "opt/ml/input/data/sm_drivers/sm_train.sh"
    driver.parent.mkdir(parents=True)
    driver.write_text("echo training as $1$$; exit 7\n")
    done = run(image, "train")
    assert (done.returncode, done.stdout.startswith("training as ")) == (7, True)


def test_a_job_without_training_code_is_told_why_it_failed(image: Image) -> None:
    failed = run(image, "train")
    assert failed.returncode == 1
    told = (image.root / "opt/ml/output/failure").read_text()
    assert "The job has no training code" in told
    assert told.strip() in failed.stderr


@pytest.mark.parametrize(
    "instruction",
    [
        "WORKDIR /opt", "CMD serve", "ADD mlops /opt", "EXPOSE 8080", "RUN pip install one", "SHELL bash",
        "COPY --from=other /bin/sh /bin/sh", "HEALTHCHECK NONE", "VOLUME /opt/ml",
    ],
)  # fmt: skip
def test_other_instructions_and_a_second_run_are_refused(custom: Bake, instruction: str, tmp_path: Path) -> None:
    project = Path(shutil.copytree(custom(framework="xgboost"), tmp_path / "project"))
    with (project / "container/Dockerfile").open("a") as file:
        file.write(f"{instruction}\n")
    with pytest.raises(NotAllowedError, match=re.escape(instruction)):
        built(project, tmp_path / "image")


def test_it_runs_as_root_which_sagemaker_asks_for(image: Image) -> None:
    assert image.user == "root"
    assert image.entrypoint == ["python3", "-m", "mlops.serving.container"]


@pytest.mark.parametrize("inference", ENDPOINTS)
def test_the_server_takes_what_sagemaker_lets_through(inference: str) -> None:
    answers = {"training_image": "custom", "inference": inference}
    dockerfile = text_of("container/Dockerfile", answers)
    said = re.findall(r"^ENV SAGEMAKER_MAX_PAYLOAD_IN_MB=(\d+)$", dockerfile, re.MULTILINE)
    # An image of a serverless endpoint leaves the limit to SageMaker: the server's own default is higher.
    assert said == ([] if inference == "serverless" else [str(ENDPOINTS[inference].request)])
    assert SERVERLESS.request < REALTIME.request == Settings().max_payload_mb
