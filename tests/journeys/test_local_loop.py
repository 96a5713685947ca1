"""The loop of a data scientist in a rendered project: run, look, approve, ask; and what happens to bad input."""

import gzip
import json
import os
import shutil
import signal
import subprocess
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from tests.projects import mlops, mlops_json

pytestmark = pytest.mark.alone


def rows(project: Path) -> list[str]:
    return gzip.decompress((project / "data/raw/visits.csv.gz").read_bytes()).decode().splitlines()


def write_data(project: Path, content: bytes, name: str = "visits.csv") -> None:
    shutil.rmtree(project / "data/raw")
    (project / "data/raw").mkdir()
    (project / "data/raw" / name).write_bytes(content)


def test_the_loop_trains_registers_approves_and_predicts(after_run: Path) -> None:
    (version,) = mlops_json(after_run, "models")
    assert version["status"] == "PendingManualApproval"
    assert 0.72 < version["metrics"]["auc"] < 0.77
    refused = mlops(after_run, "invoke", "data/request.csv", check=False)
    assert refused.returncode == 1
    assert "No version is approved" in refused.stderr
    mlops(after_run, "approve", "latest", "--comment", "looks right")
    answer = mlops(after_run, "invoke", "data/request.csv").stdout.split()
    requests = (after_run / "data/request.csv").read_text().splitlines()[1:]
    assert len(answer) == len(requests)
    assert all(0 < float(probability) < 1 for probability in answer)


def test_csv_json_and_json_lines_requests_get_the_same_answer(after_run: Path) -> None:
    header, *lines = (after_run / "data/request.csv").read_text().splitlines()
    records: list[dict[str, Any]] = [dict(zip(header.split(","), line.split(","), strict=True)) for line in lines]
    for record in records:
        for name, value in record.items():
            number = value.replace(".", "").isdigit()
            record[name] = json.loads(value) if number else value or None
    (after_run / "r.json").write_text(json.dumps({"instances": records}))
    (after_run / "r.jsonl").write_text("\n".join(json.dumps(record) for record in records))
    answers = [
        mlops(after_run, "invoke", name, "--version", "1", "--accept", "text/csv").stdout
        for name in ("data/request.csv", "r.json", "r.jsonl")
    ]
    assert answers[0].strip()
    assert answers[1:] == answers[:1] * 2


def test_a_bad_request_is_refused_with_its_reason(after_run: Path) -> None:
    (after_run / "bad.csv").write_text("1,2,three\n")
    result = mlops(after_run, "invoke", "bad.csv", "--version", "1", check=False)
    assert result.returncode == 2
    assert result.stderr.startswith("error: Invalid request: ")
    assert "Traceback" not in result.stderr
    assert "data/raw is a folder." in mlops(after_run, "invoke", "data/raw", check=False).stderr


def test_a_second_run_takes_every_job_from_the_cache(after_run: Path) -> None:
    result = mlops_json(after_run, "run")
    jobs = {name: step for name, step in result["steps"].items() if name in CACHED_STEPS}
    assert set(jobs) == CACHED_STEPS
    assert all(step["cached"] for step in jobs.values())


CACHED_STEPS = {"ValidateData", "Preprocess", "Train", "Baseline", "Evaluate"}


def test_other_data_at_the_same_place_is_never_answered_from_the_cache(after_run: Path) -> None:
    header, *lines = rows(after_run)
    write_data(after_run, "\n".join([header, *lines[::2]]).encode())
    result = mlops_json(after_run, "run")
    assert not any(step["cached"] for step in result["steps"].values())
    first, second = mlops_json(after_run, "models")
    assert first["metadata"]["DataVersion"] != second["metadata"]["DataVersion"]


def test_a_changed_champion_scores_the_new_model_again(after_run: Path) -> None:
    mlops(after_run, "approve", "1")
    result = mlops_json(after_run, "run")
    assert result["steps"]["Train"]["cached"]
    assert not result["steps"]["Evaluate"]["cached"]
    version = mlops_json(after_run, "models", "2")[0]
    assert version["metadata"]["ChampionArn"].endswith("/1")


def test_two_versions_are_compared_side_by_side(after_run: Path) -> None:
    mlops(after_run, "run", "-p", "MaxDepth=2")
    text = mlops(after_run, "models", "1", "2").stdout
    lines = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.strip()}
    one, two, difference = (float(figure) for figure in lines["auc"])
    assert two - one == pytest.approx(difference, abs=2e-4)
    assert lines["MaxDepth"] == ["4", "2"]
    assert "DataVersion" in text.splitlines()[-1]


def test_a_trial_of_another_environment_is_no_champion_of_this_one(after_run: Path) -> None:
    path = after_run / "config/dev.yaml"
    path.write_text((after_run / "config/local.yaml").read_text())
    assert (
        "on this machine only"
        in mlops(after_run, "run", "--environment", "dev", "-p", "ModelApprovalStatus=Approved").stdout
    )
    assert [version["status"] for version in mlops_json(after_run, "models")] == ["PendingManualApproval"]
    mlops(after_run, "run")
    assert mlops_json(after_run, "models", "2")[0]["metadata"]["ChampionArn"] == "none"


def test_a_version_says_where_it_comes_from(after_run: Path) -> None:
    (version,) = mlops_json(after_run, "models")
    lineage = version["metadata"]
    assert lineage["GitCommit"] == "none"
    for name in (
        "DataVersion",
        "CodeDigest",
        "PackagesLock",
        "TrainingImage",
        "TemplateVersion",
        "RunReason",
        "MaxDepth",
    ):
        assert lineage[name], name
    (run,) = mlops_json(after_run, "runs")
    manifest = json.loads((after_run / ".mlops/runs" / run["id"] / "manifest.json").read_text())
    assert manifest["bundle"]["git_commit"] is None
    assert manifest["steps"]["RegisterModel"]["outputs"]["model_package"] == version["arn"]
    assert len(manifest["steps"]["Preprocess"]["outputs"]["train"]) == 1
    assert manifest["inputs"]


def test_data_of_another_version_than_the_given_one_fail_the_run(after_run: Path) -> None:
    result = mlops(after_run, "run", "-p", "DataVersion=0123456789abcdef", check=False)
    assert result.returncode == 1
    assert "ResolveData failed: The data are version " in result.stdout
    assert ", not 0123456789abcdef: an object below s3://" in result.stdout


@pytest.mark.slow
def test_data_that_change_while_they_are_read_fail_the_run_before_it_trains(after_run: Path) -> None:
    [data] = (after_run / ".mlops/s3/local-bucket/doctor-visits/data").iterdir()
    preprocess = after_run / "src/model/preprocess.py"
    late = f"\nfrom pathlib import Path\nPath({str(data / 'late.csv')!r}).write_text('more')\n"
    preprocess.write_text(preprocess.read_text() + late)
    result = mlops(after_run, "run", "--no-cache", check=False)
    assert result.returncode == 1
    assert "ConfirmData failed: The data changed while it was read" in result.stdout
    [last, *_] = mlops_json(after_run, "runs")
    steps = mlops_json(after_run, "runs", last["id"])["steps"]
    assert steps["Train"]["status"] == "NotStarted"
    assert len(mlops_json(after_run, "models")) == 1


def test_the_data_of_a_version_are_listed_and_restored(after_run: Path) -> None:
    listed = mlops_json(after_run, "data", "latest")
    (version,) = mlops_json(after_run, "models")
    assert listed["data_version"] == version["metadata"]["DataVersion"]
    [visits] = listed["objects"]
    assert visits["readable"]
    prefix = "s3://local-bucket/doctor-visits/restored"
    assert "Copied 1 objects" in mlops(after_run, "data", "1", "--restore", prefix).stdout
    assert (
        f"There are objects below {prefix}/" in mlops(after_run, "data", "1", "--restore", prefix, check=False).stderr
    )
    ran = mlops_json(after_run, "run", "-p", f"InputDataUri={prefix}/")
    assert ran["parameters"]["DataVersion"] == listed["data_version"]
    (after_run / ".mlops/s3/local-bucket" / visits["key"]).write_bytes(b"")
    again = mlops(after_run, "data", "1", "--restore", f"{prefix}-again", check=False)
    assert again.returncode == 1
    assert "1 of 1 objects can no longer be read, so none was copied:" in again.stderr


@pytest.mark.slow
def test_a_failing_gate_says_which_figure_missed_which_threshold_and_registers_nothing(project: Path) -> None:
    result = mlops(project, "run", "-p", "MinAuc=0.99", check=False)
    assert result.returncode == 1
    assert (result.stdout + result.stderr).count("The model is not registered") == 1
    assert "auc 0.74" in result.stdout
    assert ">= MinAuc 0.99 (missed)" in result.stdout
    assert "auc_gain" not in result.stdout.split("[")[1].split("]")[0]
    assert mlops_json(project, "models") == []


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("MaxDepht=3", "no parameter MaxDepht"),
        ("MaxDepth=deep", "MaxDepth takes a value of type Integer"),
        ("LearningRate=nan", "LearningRate takes a value of type Float"),
        ("MaxDepth=21", "MaxDepth cannot be 21.\n  Give a value of at least 1 and at most 20"),
        ("RunReason=drift in age, income", "RunReason cannot be 'drift in age, income'"),
        ("ModelApprovalStatus=Yes", "ModelApprovalStatus cannot be 'Yes'"),
        ("MaxDepth", "not of the form NAME=VALUE"),
    ],
)
def test_a_wrong_parameter_is_refused_before_the_first_step(project: Path, assignment: str, message: str) -> None:
    result = mlops(project, "run", "-p", assignment, check=False)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not (project / ".mlops/runs").exists()


def spoil(header: list[str], lines: list[list[str]], kind: str) -> bytes:
    age, site = header.index("age"), header.index("site")
    if kind == "missing column":
        header = [name for name in header if name != "age"]
        lines = [line[:age] + line[age + 1 :] for line in lines]
    elif kind == "wrong type":
        for line in lines[:7]:
            line[age] = "old"
    elif kind == "all nulls":
        for line in lines:
            line[age] = ""
    elif kind == "unknown category":
        for line in lines[:3]:
            line[site] = "site-99"
    elif kind == "zero rows":
        lines = []
    elif kind == "not UTF-8":
        lines[0][site] = "\udcff"
    elif kind == "0 bytes":
        return b""
    return "\n".join(",".join(line) for line in [header, *lines]).encode("utf-8", "surrogateescape")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing column", ["age", "missing"]),
        ("wrong type", ["age", "7"]),
        ("all nulls", ["age", "20190"]),
        ("unknown category", ["site", "3", "site-99"]),
        ("zero rows", ["row"]),
        ("not UTF-8", ["UTF-8"]),
        ("0 bytes", ["visits.csv", "0 bytes"]),
    ],
)
def test_bad_data_fails_the_validation_step_with_column_rule_and_rows(
    project: Path, kind: str, words: list[str]
) -> None:
    header, *lines = rows(project)
    write_data(project, spoil(header.split(","), [line.split(",") for line in lines], kind))
    result = mlops_json(project, "run", check=False)
    steps = result["steps"]
    assert steps["ValidateData"]["status"] == "Failed"
    assert steps["Preprocess"]["status"] == "NotStarted"
    failure = steps["ValidateData"]["failure"].replace(",", "").replace("\u202f", "")
    assert all(word in failure for word in words), failure
    assert "Traceback" not in failure
    assert mlops_json(project, "models") == []


def test_no_data_at_all_is_said_before_a_run_starts(project: Path) -> None:
    shutil.rmtree(project / "data/raw")
    result = mlops(project, "run", check=False)
    assert result.returncode == 2
    assert "No data in" in result.stderr


def start(project: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [str(project / ".venv/bin/python"), "-m", "mlops", "run", *arguments],
        cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def wait_until_executing(project: Path, step: str) -> Path:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for path in project.glob(".mlops/runs/*/run.json"):
            if json.loads(path.read_text())["steps"][step]["status"] == "Executing":
                return path.parent
        time.sleep(0.005)
    raise AssertionError(f"{step} did not start")


@pytest.mark.slow
def test_every_job_of_a_run_can_be_run_again_alone(project: Path) -> None:
    mlops(project, "run")
    commands = sorted(project.glob(".mlops/runs/*/*/command.sh"))
    assert {path.parent.name for path in commands} >= {"Preprocess-1", "Baseline-1", "Train-1", "Evaluate-1"}
    for path in commands:
        for _ in range(2):
            result = subprocess.run(["sh", str(path)], capture_output=True, text=True, cwd="/", check=False)
            assert result.returncode == 0, result.stderr
    (trained,) = project.glob(".mlops/runs/*/Train-1")
    assert any((trained / "opt/ml/model").iterdir())
    for name in ("Preprocess", "Train"):
        shutil.rmtree(next(project.glob(f".mlops/runs/*/{name}-1/opt")))
    shutil.rmtree(project / ".mlops/s3")
    refused = subprocess.run(["sh", str(trained / "command.sh")], capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert refused.stderr.startswith("Cannot repeat the job: ")
    assert not (trained / "opt").exists()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, "Stopped"), (signal.SIGTERM, "Stopped")])
def test_an_interrupted_run_is_resumed(project: Path, number: signal.Signals, status: str) -> None:
    process = start(project)
    folder = wait_until_executing(project, "Train")
    os.kill(process.pid, number)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"run --resume {folder.name}" in error
    assert mlops_json(project, "runs")[0]["status"] == status
    result = mlops_json(project, "run", "--resume")
    assert (result["run"], result["status"]) == (folder.name, "Succeeded")
    assert len(mlops_json(project, "models")) == 1


@pytest.mark.slow
def test_a_run_whose_process_was_killed_is_resumed(project: Path) -> None:
    process = start(project)
    folder = wait_until_executing(project, "Train")
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert mlops_json(project, "runs")[0]["status"] == "Interrupted"
    result = mlops_json(project, "run", "--resume", folder.name)
    assert result["status"] == "Succeeded"
    assert result["steps"]["Preprocess"]["status"] == "Succeeded"
    assert len(mlops_json(project, "models")) == 1


@pytest.mark.slow
def test_a_job_that_is_killed_fails_its_run_clearly_or_is_retried(project: Path) -> None:
    process = start(project, "-p", "NumRound=100000", "-p", "EarlyStoppingRounds=100000")
    folder = wait_until_executing(project, "Train")
    killed = 0
    while process.poll() is None and killed < 10:
        for job in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                command = job.read_bytes().split(b"\0")
                environment = (job.parent / "environ").read_bytes()
            except OSError:
                continue
            if b"modelkit.jobs.train" in command and str(folder).encode() in environment:
                os.kill(int(job.parent.name), signal.SIGKILL)
                killed += 1
        time.sleep(0.05)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "killed by SIGKILL" in output
    assert "command.sh" in output
    assert mlops_json(project, "models") == []
    assert mlops_json(project, "runs", folder.name)["steps"]["Train"]["attempts"] > 1


def test_a_run_that_lost_its_report_gets_it_again(after_run: Path) -> None:
    (report,) = after_run.glob(".mlops/runs/*/report.html")
    manifest = report.with_name("manifest.json")
    before = json.loads(manifest.read_text())
    report.unlink()
    manifest.unlink()
    mlops(after_run, "run", "--resume", report.parent.name)
    assert "ROC curve" in report.read_text()
    assert json.loads(manifest.read_text()) == before
    assert len(mlops_json(after_run, "models")) == 1


@pytest.mark.parametrize("value", ["null", "[]", '{"binary_classification_metrics": {"auc": {"value": null}}}'])
def test_an_evaluation_of_another_form_is_no_reason_to_lose_the_result(after_run: Path, value: str) -> None:
    for report in after_run.glob(".mlops/s3/**/evaluation.json"):
        report.write_text(value)
    (run,) = mlops_json(after_run, "runs")
    result = mlops(after_run, "run", "--resume", run["id"])
    assert "succeeded" in result.stdout
    assert "1" in mlops(after_run, "models").stdout


@pytest.mark.slow
def test_a_configuration_of_the_wrong_type_is_named_with_its_file_and_key(project: Path) -> None:
    path = project / "config/base.yaml"
    text = path.read_text()
    path.write_text(text.replace("learning_rate: ", "learning_rate: fast # "))
    result = mlops(project, "run", check=False)
    assert result.returncode == 2
    assert 'config/base.yaml has an invalid value: `hyperparameters.learning_rate: "fast"`' in result.stderr
    path.write_text(text.replace("min_auc_gain: -0.005", "min_auc_gain: -1"))
    mlops(project, "compile")


def test_why_a_step_failed_is_said_once_with_the_place_of_its_whole_log(project: Path) -> None:
    (project / "bad.csv").write_text("age\n")
    result = mlops(project, "run", "--data", "bad.csv", check=False)
    said = result.stdout + result.stderr
    assert result.returncode == 1
    assert said.count("the data violates") == said.count("missing from bad.csv") == 1
    assert "full log:" in said


@pytest.mark.slow
def test_a_hyperparameter_of_the_configuration_reaches_the_training(project: Path) -> None:
    path = project / "config/base.yaml"
    path.write_text(path.read_text().replace("subsample: 0.8", "subsample: 0.5"))
    mlops(project, "run")
    (archive,) = project.glob(".mlops/s3/**/model.tar.gz")
    with tarfile.open(archive) as tar:
        record = json.load(tar.extractfile("training.json"))  # type: ignore[arg-type]  # it is a file
    assert record["hyperparameters"]["subsample"] == 0.5


@pytest.mark.parametrize("arguments", [["run", "-p", "RunReason=\udcff"], ["approve", "1", "--comment", "\udcff"]])
def test_an_argument_that_is_no_text_is_refused(after_run: Path, arguments: list[str]) -> None:
    result = mlops(after_run, *arguments, check=False)
    assert result.returncode == 2
    assert "is not UTF-8 text" in result.stderr


def test_two_names_for_the_data_are_refused(after_run: Path) -> None:
    result = mlops(after_run, "run", "--data", "data/raw", "-p", "InputDataUri=s3://local-bucket/x/", check=False)
    assert result.returncode == 2
    assert "exclude each other" in result.stderr


@pytest.mark.slow
def test_two_runs_at_once_do_not_disturb_each_other(project: Path) -> None:
    processes = [start(project, "--no-cache", "-p", f"MaxDepth={depth}") for depth in (2, 3)]
    for process in processes:
        output, error = process.communicate(timeout=120)
        assert process.returncode == 0, output + error
    versions = mlops_json(project, "models")
    assert {version["metadata"]["MaxDepth"] for version in versions} == {"2", "3"}
    assert {version["version"] for version in versions} == {1, 2}


def test_a_torn_state_is_named_and_the_other_runs_stay_readable(after_run: Path) -> None:
    mlops(after_run, "run")
    newest = sorted(after_run.glob(".mlops/runs/*/run.json"))[-1]
    newest.write_text(newest.read_text()[:100])
    listing = mlops(after_run, "runs", check=False)
    assert listing.returncode == 1
    assert "Succeeded" in listing.stdout
    assert f"{newest.parent.name} is damaged" in listing.stderr
    resumed = mlops(after_run, "run", "--resume", newest.parent.name, check=False)
    assert resumed.returncode == 1
    assert "Remove the run" in resumed.stderr


def test_a_deleted_artifact_is_said_and_the_next_run_makes_it_again(after_run: Path) -> None:
    mlops(after_run, "approve", "1")
    for archive in after_run.glob(".mlops/s3/**/model.tar.gz"):
        archive.unlink()
    shutil.rmtree(after_run / ".mlops/models", ignore_errors=True)
    asked = mlops(after_run, "invoke", "data/request.csv", check=False)
    assert asked.returncode == 1
    assert "model archive of version 1 is missing" in asked.stderr
    failed = mlops(after_run, "run", check=False)
    assert failed.returncode == 1
    assert "compared with the champion. The model archive of version 1 is missing" in failed.stdout
    assert "approve 1 --reject" in failed.stdout
    mlops(after_run, "approve", "1", "--reject")
    assert mlops_json(after_run, "run")["status"] == "Succeeded"
    mlops(after_run, "approve", "latest")
    assert mlops(after_run, "invoke", "data/request.csv").stdout


@pytest.mark.slow
def test_a_broken_pipeline_is_refused_with_its_place(project: Path) -> None:
    path = project / "pipelines/training.py"
    path.write_text(path.read_text().replace("def build(context", "def build(context context", 1))
    result = mlops(project, "run", check=False)
    assert result.returncode in (1, 2)
    assert "pipelines/training.py" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (project / ".mlops/runs").exists()


def test_the_report_is_a_page_of_its_own(after_run: Path) -> None:
    (page,) = after_run.glob(".mlops/runs/*/report.html")
    text = page.read_text()
    assert "ROC curve" in text
    assert "Quality gate" in text
    assert "<script" not in text
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert "https://" not in text


@pytest.mark.parametrize("arguments", [[], ["--help"], ["fly"], ["run", "--help"]])
def test_the_command_line_explains_itself(compiled_project: Path, arguments: list[str]) -> None:
    result = mlops(compiled_project, *arguments, check=False)
    assert "usage: python -m mlops" in result.stdout + result.stderr
    assert "Traceback" not in result.stderr


def test_outside_a_project_the_verbs_say_so(compiled_project: Path, tmp_path: Path) -> None:
    result = subprocess.run(
        [compiled_project / ".venv/bin/python", "-m", "mlops", "runs"],
        cwd=tmp_path, env={"PYTHONPATH": str(compiled_project)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 2
    assert "No project.yaml" in result.stderr
