"""Verbs that talk to AWS, against a stand-in account in this process."""

import importlib
import json
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import boto3
import pytest

from mlops.cli import verbs
from mlops.cli.main import main
from standin.account import ACCOUNT, REGION, StandInAccount
from tests.places import BUCKET, PLACE
from tests.projects import SOURCES


@pytest.fixture
def dev(project: Path, monkeypatch: pytest.MonkeyPatch, with_bucket: StandInAccount) -> Path:
    """A project whose `dev` environment is filled in, as the working folder, beside an AWS account with data."""
    path = project / "config/dev.yaml"
    text = path.read_text()
    for key, value in (("account", f'"{ACCOUNT}"'), *PLACE.items()):
        assert f"{key}: null" in text
        text = text.replace(f"{key}: null", f"{key}: {value}")
    path.write_text(text)
    monkeypatch.chdir(project)
    with_bucket.client("s3").put_object(Bucket=BUCKET, Key="doctor-visits/data/visits.csv", Body=b"a\n1\n")
    return project


def test_upsert_says_that_the_account_is_missing(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)
    assert main(["upsert", "--environment", "dev"]) == 2
    error = capsys.readouterr().err
    assert "config/dev.yaml has no value for `account`." in error


def test_nothing_is_trained_where_versions_are_only_deployed(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)
    for verb in ("compile", "run"):
        assert main([verb, "--environment", "staging"]) == 2
        error = capsys.readouterr().err
        assert "No pipeline runs in staging" in error
        assert "mlops deploy --environment staging" in error


@pytest.mark.slow
def test_upsert_creates_the_pipeline_that_runs_here_and_a_second_one_changes_nothing(
    dev: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["upsert", "--environment", "dev", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert first["outcome"] == "created"
    assert first["uploaded"]
    assert main(["upsert", "--environment", "dev", "--json"]) == 0
    second = json.loads(capsys.readouterr().out)
    assert (second["outcome"], second["uploaded"]) == ("unchanged", [])
    assert main(["run", "--environment", "dev", "--json"]) == 0
    ran = json.loads(capsys.readouterr().out)
    assert ran["definition_sha256"] == second["definition_sha256"]
    described = boto3.client("sagemaker", REGION).describe_pipeline(PipelineName="doctor-visits-training")
    local = (dev / ".mlops/runs" / ran["run"] / "definition.json").read_text()
    assert json.loads(described["PipelineDefinition"]) == json.loads(local)


@pytest.mark.slow
def test_upsert_starts_an_execution_with_the_values_given_and_no_others(
    dev: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["upsert", "--environment", "dev", "--start", "-p", "MaxDepth=5", "--json"]) == 0
    arn = json.loads(capsys.readouterr().out)["execution_arn"]
    client = boto3.client("sagemaker", REGION)
    parameters = {
        entry["Name"]: entry["Value"]
        for entry in client.list_pipeline_parameters_for_execution(PipelineExecutionArn=arn)["PipelineParameters"]
    }
    assert parameters == {"MaxDepth": "5"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-p", "MaxDepth=5"], "--start"),
        (["--start", "-p", "X=1"], "X"),
        (["--start", "-p", "MaxDepth=0"], "at least 1"),
        (["--start", "-p", "RunReason=drift in age, income"], "Parameter RunReason cannot be 'drift in age, income'."),
    ],
)
def test_upsert_refuses_parameters_it_cannot_use(
    dev: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["upsert", "--environment", "dev", *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("arguments", ["models", "--help"])
def test_a_broken_pipe_is_no_traceback(compiled_project: Path, arguments: str) -> None:
    command = f"cd '{compiled_project}' && .venv/bin/python -m mlops {arguments} 2>&1 >&- | cat"
    with os.popen(command) as output:
        assert "Traceback" not in output.read()


def overview(folder: Path) -> list[str]:
    """What `--help` prints in a folder, and in the last line the modules that were imported."""
    program = "import sys; from mlops.cli.main import main; main(['--help']); print(*sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(SOURCES)}
    return subprocess.run(
        [sys.executable, "-c", program], cwd=folder, env=environment, capture_output=True, text=True, check=True
    ).stdout.splitlines()


def test_the_overview_describes_each_verb_and_imports_none(tmp_path: Path) -> None:
    *listed, modules = overview(tmp_path)
    assert not [name for name in modules.split() if name.startswith(("mlops.cli.verbs", "yaml", "boto"))]
    for module in pkgutil.iter_modules(verbs.__path__):
        documented = importlib.import_module(f"mlops.cli.verbs.{module.name}").__doc__
        assert documented is not None
        assert f"  {module.name:<10}{documented.splitlines()[0]}" in listed


@pytest.mark.parametrize(
    ("answers", "lacking", "reason"),
    [
        (
            {"inference": "batch"},
            {"serve", "traffic"},
            "This project serves no endpoint: it was generated with inference: batch.",
        ),
        ({"inference": "async"}, {"batch"}, "makes no batch predictions: it was generated with inference: async."),
        ({"monitoring": "off"}, {"monitor"}, "is not monitored: it was generated with monitoring: off."),
        ({"project_scope": "build-train"}, {"publish", "smoke"}, "deploys no model: it was generated with"),
        (
            {"project_scope": "deploy"},
            {"data", "retrain", "run", "runs", "traffic", "validate"},
            "trains no model: it was generated with project_scope: deploy.",
        ),
        (
            {"project_scope": "deploy", "monitoring": "off"},
            {"compile", "data", "monitor", "retrain", "run", "runs", "traffic", "upsert", "validate"},
            "it was generated with ",
        ),
    ],
)
def test_a_verb_that_the_answers_leave_out_explains_itself_and_is_not_in_the_overview(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answers: dict[str, str],
    lacking: set[str],
    reason: str,
) -> None:
    given = {"project_scope": "build-train-deploy", "inference": "realtime", "monitoring": "on", **answers}
    (tmp_path / "project.yaml").write_text("".join(f'{name}: "{answer}"\n' for name, answer in given.items()))
    listed = {line.split()[0] for line in overview(tmp_path)[:-1] if line.startswith("  ")}
    every = {module.name for module in pkgutil.iter_modules(verbs.__path__)}
    assert every - listed == lacking | ({"batch"} if given["inference"] == "realtime" else set())
    monkeypatch.chdir(tmp_path)
    for verb in lacking:
        assert main([verb]) == 2
        assert reason in capsys.readouterr().err


def test_monitor_of_a_project_that_trains_nothing_does_not_retrain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "project.yaml").write_text("project_scope: deploy\ninference: realtime\nmonitoring: 'on'\n")
    monkeypatch.chdir(tmp_path)
    assert main(["monitor", "--retrain"]) == 2
    assert "This project trains no model" in capsys.readouterr().err


def test_an_unknown_verb_is_refused_with_the_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["modles"]) == 2
    assert "Unknown verb 'modles'. Did you mean `models`?" in capsys.readouterr().err
    assert main(["xyzzy"]) == 2
    assert "Unknown verb 'xyzzy'.\n" in capsys.readouterr().err
