"""AWS's own code starts our archives: sagemaker-containers and TorchServe, as the images do, without a network.

Left out is what no package index has or what does not run here: nginx, and the packages of the framework containers,
for which `aws_images/framework_container.py` stands in. Python and the framework are those of projects' environments.
"""

import csv
import functools
import json
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.utils import canonicalize_name

from tests.environments import FRAMEWORKS, environments
from tests.infra.aws_images import LOCKS, Answer, Request, registered, start
from tests.isolation import can_contain
from tests.projects import SOURCES, Bake

CSV, JSON, JSON_LINES = "text/csv", "application/json", "application/jsonlines"
TEXT = (SOURCES / "data/request.csv").read_text(encoding="utf-8")
ROWS = [
    [value if re.search("[a-z]", value) else json.loads(value or "null") for value in row]
    for row in list(csv.reader(TEXT.splitlines()))[1:]
]
REPEATED = 70_000
TORCHSERVE_LIMIT = 6_553_500
ANSWERED = {
    "csv": Request(TEXT, CSV, CSV),
    "json": Request(json.dumps({"instances": ROWS}), JSON, JSON),
    "json lines": Request("".join(f"{json.dumps(row)}\n" for row in ROWS), JSON_LINES, JSON_LINES),
}
READ: Mapping[str, Callable[[str], Any]] = {
    "csv": lambda body: [float(line) for line in body.splitlines()],
    "json": lambda body: json.loads(body)["predictions"],
    "json lines": lambda body: [json.loads(line)["prediction"] for line in body.splitlines()],
}
REFUSED = {
    "bad row": (Request("nonsense\n", CSV, CSV), "row 1 has 1 values"),
    "bad json": (Request("{", JSON, JSON), "not valid JSON"),
    "bad json lines": (Request("[]\n", JSON_LINES, JSON_LINES), "row 1 has 0 values"),
    "bad content type": (Request(TEXT, "image/png", CSV), "content type 'image/png' is not supported"),
    "bad accept": (Request(TEXT, CSV, "image/png"), "response type 'image/png' is not supported"),
}
TRIED = {"pip", "sagemaker-containers", "sagemaker-pytorch-inference", "torchserve"}
LARGE = Request("".join(TEXT.splitlines(keepends=True)[1:]) * REPEATED, CSV, JSON_LINES)
NOT_UTF_8 = Request("\udcff", CSV, CSV)
REQUESTS = {
    **ANSWERED,
    **{name: request for name, (request, _) in REFUSED.items()},
    "large": LARGE,
    "not utf-8": NOT_UTF_8,
}
FEW_ROUNDS = {"xgboost": "--num-round=3", "sklearn": "--max-iter=3", "pytorch": "--epochs=3"}
TRAIN = """
import json, sys
from pathlib import Path
from modelkit import inference
from modelkit.jobs import preprocess, train
splits, model, few = sys.argv[1:]
assert preprocess.main(["--data", "data/raw", "--output", splits]) == 0
channels = ["--train", f"{splits}/train", "--validation", f"{splits}/validation"]
assert train.main([*channels, "--model-dir", model, few]) == 0
data = inference.input_fn(Path("data/request.csv").read_bytes(), inference.CSV)
print(json.dumps(inference.predict_fn(data, inference.model_fn(model)).tolist()))
"""

Answers = Mapping[str, Answer]
needs_container = pytest.mark.skipif(
    not can_contain(), reason="this kernel lets us make no namespaces: AWS's code would reach the network"
)


@dataclass(frozen=True)
class Model:
    """A trained model: the folder that SageMaker makes the archive of, and what it predicts for data/request.csv."""

    folder: Path
    predictions: list[float]


@pytest.fixture(scope="module")
def trained(rendering: Bake, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Model]:
    """A function that gives a model of a framework, trained in the environment of its project."""

    @functools.cache
    def train(framework: str) -> Model:
        folder, project = tmp_path_factory.mktemp(framework), rendering(framework=framework)
        result = subprocess.run(
            [environments(framework) / ".venv/bin/python", "-c", TRAIN,
             folder / "splits", folder / "model", FEW_ROUNDS[framework]],
            cwd=project, env={"PYTHONPATH": f"{project}/src:{project}", "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert result.returncode == 0, result.stderr
        return Model(folder / "model", json.loads(result.stdout.splitlines()[-1]))

    return train


@pytest.fixture(scope="module", params=FRAMEWORKS)
def framework(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def answers(framework: str, trained: Callable[[str], Model], tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """What a framework's image, started with the environment that is registered, answers every request."""
    folder = tmp_path_factory.mktemp("image")
    started = start(framework, trained(framework).folder, list(REQUESTS.values()), folder, registered())
    assert started.healthy, started.log
    assert started.ended is None, started.log
    return dict(zip(REQUESTS, started.answers, strict=True))


@pytest.mark.slow
@needs_container
def test_the_image_answers_every_format_as_the_model_predicts(
    framework: str, answers: Answers, trained: Callable[[str], Model]
) -> None:
    for name, request in ANSWERED.items():
        answer = answers[name]
        assert (answer.status, answer.media_type) == (200, request.accept), (name, answer)
        assert READ[name](answer.body) == pytest.approx(trained(framework).predictions, abs=1e-6)


@pytest.mark.slow
@needs_container
def test_the_image_answers_400_and_why_to_what_the_handlers_refuse(answers: Answers) -> None:
    for name, (_, reason) in REFUSED.items():
        answer = answers[name]
        assert (answer.status, answer.media_type) == (400, JSON), (name, answer)
        assert reason in json.loads(answer.body)["error"]


@pytest.mark.slow
@needs_container
def test_text_that_is_not_utf_8_is_the_client_s_fault_except_to_pytorch(framework: str, answers: Answers) -> None:
    assert answers["not utf-8"].status == (500 if framework == "pytorch" else 400)


@pytest.mark.slow
@needs_container
def test_the_image_takes_and_gives_as_much_as_asynchronous_endpoints_and_transform_jobs_may(answers: Answers) -> None:
    answer = answers["large"]
    assert answer.status == 200, answer.body
    assert answer.body.count("\n") == REPEATED * len(ROWS)
    assert min(len(LARGE.body), len(answer.body)) > TORCHSERVE_LIMIT


def test_the_servers_give_the_model_as_long_as_an_asynchronous_endpoint_may() -> None:
    # https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference-invoke-endpoint.html: InvocationTimeoutSeconds
    assert int(registered()["SAGEMAKER_MODEL_SERVER_TIMEOUT"]) == 3600


@pytest.mark.slow
@needs_container
@pytest.mark.parametrize("name", ["xgboost", "sklearn"])
def test_without_what_is_registered_for_pip_the_image_would_not_start(
    name: str, trained: Callable[[str], Model], tmp_path: Path
) -> None:
    environment = {key: value for key, value in registered().items() if not key.startswith("PIP_")}
    started = start(name, trained(name).folder, [], tmp_path, {**environment, "PIP_RETRIES": "0"})
    assert started.ended, started.log
    assert "setuptools" in started.log


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_it_is_tried_with_what_the_images_list_and_the_trial_is_recorded(name: str) -> None:
    content = yaml.safe_load((SOURCES / f"config/images/{name}.yaml").read_text(encoding="utf-8"))
    image = content.get("inference", content)
    tools = {tool: image[tool] for tool in ("pip", "setuptools") if tool in image}
    listed = {canonicalize_name(package): version for package, version in (image["packages"] | tools).items()}
    locked = dict(re.findall(r"^([\w-]+)==(\S+)", (LOCKS / f"aws-images-{name}.txt").read_text(), re.MULTILINE))
    pinned = {package: version for package, version in listed.items() if version}
    assert {package: version for package, version in locked.items() if pinned.get(package, version) != version} == {}
    recorded = {(trial["package"], trial["version"]) for trial in image["tried"]}
    recorded |= {("pip", trial["pip"]) for trial in image["tried"] if "pip" in trial}
    assert {package for package, _ in recorded} == TRIED & locked.keys()
    assert recorded <= locked.items() & listed.items()
