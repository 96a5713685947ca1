"""Retraining on this machine, with pipelines that do nothing but pass a gate, register and say why."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mlops.base.errors import MlopsError
from mlops.base.files import sha256_of_file
from mlops.cli.main import main
from mlops.pipeline.bundle import Bundle
from mlops.project.project import Project
from mlops.project.target import Target
from mlops.registry.local import LocalRegistry
from mlops.retraining.memory import COALESCED, DRIFT, MANUAL, REFUSED, SCHEDULED, STARTED, to_document
from mlops.run import retraining as local
from mlops.run.attend import attend
from mlops.run.retraining import Guard, Outcome, retrain
from mlops.run.start import new_run
from mlops.run.state import SUCCEEDED, RunFolder, RunState, find_run
from mlops.store.local import LocalStore
from tests.projects import mlops, mlops_json

MODEL = "s3://local-bucket/model.tar.gz"
PARAMETERS = ("InputDataUri", "RunReason")
RESOLVED = "Steps.ResolveData.OutputParameters['DataVersion']"
RESOLVE = {
    "Name": "ResolveData",
    "Type": "Lambda",
    "FunctionArn": "arn:aws:lambda:eu-west-1:000000000000:function:doctor-visits-resolve-data",
    "Arguments": {
        "input_data": {"Get": "Parameters.InputDataUri"},
        "data_version": "auto",
        "champion_arn": "auto",
        "champion_model": "auto",
        "no_champion": "s3://local-bucket/no-champion/",
    },
    "OutputParameters": [{"OutputName": "DataVersion", "OutputType": "String"}],
}
"""As in the training pipeline, which the other step stands for."""


def bundle(folder: Path, *, good: bool) -> Bundle:
    """A pipeline whose model is good enough, or is not."""
    metadata = {name: {"Get": f"Parameters.{name}"} for name in PARAMETERS} | {"DataVersion": {"Get": RESOLVED}}
    register = {
        "ModelPackageGroupName": "doctor-visits",
        "InferenceSpecification": {"Containers": [{"ModelDataUrl": MODEL}]},
        "ModelApprovalStatus": "PendingManualApproval",
        "CustomerMetadataProperties": metadata,
    }
    gate = {
        "Conditions": [{"Type": "Equals", "LeftValue": 1, "RightValue": 1 if good else 2}],
        "IfSteps": [{"Name": "Register", "Type": "RegisterModel", "Arguments": register}],
        "ElseSteps": [{"Name": "Refuse", "Type": "Fail", "Arguments": {"ErrorMessage": "not good enough"}}],
    }
    definition = {
        "Version": "2020-12-01",
        "Metadata": {},
        "Parameters": [{"Name": name, "Type": "String"} for name in PARAMETERS],
        "Steps": [RESOLVE, {"Name": "Gate", "Type": "Condition", "Arguments": gate}],
    }
    folder.mkdir(exist_ok=True)
    (folder / "definition.json").write_text(json.dumps(definition))
    (folder / "manifest.json").write_text(
        json.dumps(
            {
                "pipeline": "p",
                "environment": "local",
                "definition_sha256": sha256_of_file(folder / "definition.json"),
                "limits": {},
                "images": [],
                "objects": [],
                "inputs_digest": "",
                "git_commit": None,
                "image_digest": None,
                "keys": {},
                "code_digest": "",
                "packages_digest": None,
                "template_version": "",
                "python": "",
                "sagemaker": "",
            }
        )
    )
    return Bundle(folder)


class Desk:
    """A project whose pipeline is one of these; `while_executing` happens during the next run."""

    def __init__(self, project: Path, folder: Path) -> None:
        self.project = Project(project)
        self.target = Target(self.project, "local")
        self.folder = folder
        self.good = True
        self.while_executing: Callable[[], object] = lambda: None
        archive = LocalStore.of(self.target).path(MODEL)
        archive.parent.mkdir(parents=True)
        archive.write_bytes(b"")

    def current(self, target: Target) -> Bundle:
        return bundle(self.folder, good=self.good)

    def attend(self, target: Target, folder: RunFolder, *, use_cache: bool) -> RunState:
        happens, self.while_executing = self.while_executing, lambda: None
        happens()
        return attend(target, folder, use_cache=use_cache)

    def retrain(self, kind: str = DRIFT, name: str = "t1", **options: Any) -> Outcome:
        return retrain(self.target, kind, name, options.pop("reason", ""), options.pop("data", None), **options)

    def new_data(self, text: str) -> None:
        (self.project.root / "data/raw/more.csv").write_text(text)

    def configure(self, name: str, value: object) -> None:
        path = self.project.root / "config/base.yaml"
        lines = [f"  {name}: {value}" if f" {name}:" in line else line for line in path.read_text().splitlines()]
        path.write_text("\n".join(lines))

    @property
    def guard(self) -> Guard:
        return Guard.of(Target(self.project, "local"))

    @property
    def reasons(self) -> list[str]:
        return [version.metadata["RunReason"] for version in LocalRegistry.of(self.target).versions()]


@pytest.fixture
def desk(default_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    project = Path(shutil.copytree(default_project, tmp_path / "project", symlinks=True))
    desk = Desk(project, tmp_path / "bundle")
    monkeypatch.setattr(local, "current", desk.current)
    monkeypatch.setattr(local, "attend", desk.attend)
    monkeypatch.chdir(project)
    return desk


def test_a_version_says_why_it_was_trained(desk: Desk) -> None:
    outcome = desk.retrain(DRIFT, reason="3 of 19 features drifted: age; income")
    assert outcome.decision
    assert (outcome.decision.outcome, outcome.exit_code) == (STARTED, 0)
    assert outcome.decision.run == outcome.runs[0][1].id
    assert desk.reasons == ["drift: 3 of 19 features drifted: age income"]


def test_unchanged_data_is_refused_also_after_a_plain_run_on_it(desk: Desk) -> None:
    folder = new_run(
        desk.target,
        bundle(desk.folder, good=True),
        None,
        {"RunReason": "by hand"},
    )
    assert attend(desk.target, folder, use_cache=True).status == SUCCEEDED
    outcome = desk.retrain()
    assert outcome.decision
    assert (outcome.decision.outcome, outcome.decision.reason) == (REFUSED, "no new data since version 1")
    assert outcome.runs == ()
    assert desk.retrain(MANUAL, "t2", force=True).decision.outcome == STARTED  # type: ignore[union-attr]


def test_a_trigger_during_a_run_waits_and_the_process_that_executes_goes_on_with_it(desk: Desk) -> None:
    during: list[Outcome] = []

    def meanwhile() -> None:
        desk.new_data("more")
        during.append(desk.retrain(MANUAL, "t2", reason="hurry"))

    desk.while_executing = meanwhile
    outcome = desk.retrain(DRIFT, "t1")
    (waiting,) = during
    assert waiting.decision
    assert (waiting.decision.outcome, waiting.runs) == (COALESCED, ())
    assert waiting.decision.reason == f"run {outcome.runs[0][1].id} is executing"
    assert desk.reasons == ["drift", "manual: hurry"]
    assert desk.guard.read().decisions["t2"].run == outcome.runs[1][1].id


def test_a_trigger_while_a_run_is_being_prepared_waits_too(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    during: list[Outcome] = []

    def prepared(*arguments: Any) -> RunFolder:
        if not during:
            during.append(desk.retrain(SCHEDULED, "t2"))
        return new_run(*arguments)

    monkeypatch.setattr(local, "new_run", prepared)
    outcome = desk.retrain(DRIFT, "t1")
    assert during[0].decision
    assert during[0].decision.reason == "a run is starting"
    assert len(outcome.runs) == 1
    assert desk.guard.read().decisions["t2"].outcome == REFUSED  # the run was on the same data


def test_what_waits_survives_the_process_and_is_started_once_when_it_is_due(desk: Desk) -> None:
    desk.retrain(SCHEDULED, "t1")
    desk.new_data("more")
    assert desk.retrain(DRIFT, "t2").decision.outcome == COALESCED  # type: ignore[union-attr]
    assert desk.guard.serve(None).runs == ()
    patient = desk.guard
    hasty = replace(patient, policy=replace(patient.policy, cooldown=timedelta(0)))
    assert len(hasty.serve(None).runs) == 1
    assert hasty.serve(None).runs == ()
    assert desk.reasons == ["scheduled", "drift"]


def test_what_waits_trains_on_the_data_as_it_is_when_it_starts(desk: Desk) -> None:
    desk.configure("cooldown_minutes", 0)

    def meanwhile() -> None:
        desk.retrain(DRIFT, "t2")
        desk.new_data("more")

    desk.while_executing = meanwhile
    assert len(desk.retrain(SCHEDULED, "t1").runs) == 2
    versions = LocalRegistry.of(desk.target).versions()
    assert len({version.metadata["DataVersion"] for version in versions}) == 2


@pytest.mark.parametrize("killed", ["while it prepared", "while it executed", "after the run had ended"])
def test_a_killed_process_leaves_nothing_that_has_to_be_cleaned_up(desk: Desk, killed: str) -> None:
    guard = desk.guard
    written: list[str] = []

    def kill() -> None:
        state = guard.read()
        assert state.running
        if killed == "while it prepared":
            state = replace(state, running=replace(state.running, execution=""))
        written.append(json.dumps(to_document(state)))

    desk.while_executing = kill
    ended = desk.retrain(SCHEDULED, "t1").runs[0][0]
    guard._path.write_text(written[0])
    if killed == "while it executed":
        shutil.rmtree(LocalRegistry.of(desk.target).folder)
        content = json.loads((ended.path / "run.json").read_text())
        (ended.path / "run.json").write_text(json.dumps(content | {"status": "Executing"}))
    if killed == "while it prepared":
        shutil.rmtree(LocalRegistry.of(desk.target).folder)
    outcome = desk.retrain(MANUAL, "t2")
    registered = killed == "after the run had ended"
    assert outcome.decision
    assert outcome.decision.outcome == (REFUSED if registered else STARTED)
    assert guard.read().running is None


def test_the_status_tells_a_lost_run_from_one_that_executes(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    shown: list[str] = []

    def look() -> None:
        desk.retrain(DRIFT, "t2")
        assert main(["retrain", "--status"]) == 0
        shown.append(capsys.readouterr().out)
        shown.append(desk.guard._path.read_text())

    desk.while_executing = look
    folder = desk.retrain(SCHEDULED, "t1").runs[0][0]
    assert f"running   run {folder.path.name} is executing (scheduled)" in shown[0]
    assert f"waits for: run {folder.path.name} is executing" in shown[0]
    desk.guard._path.write_text(shown[1])
    capsys.readouterr()
    assert main(["retrain", "--status"]) == 0
    lost = capsys.readouterr().out
    assert f"running   run {folder.path.name} registered a version" in lost
    assert "waits for: cool-down" in lost
    assert desk.guard._path.read_text() == shown[1]


def test_a_lost_run_that_a_person_has_resumed_still_executes(desk: Desk) -> None:
    folder: list[RunFolder] = []
    written: list[str] = []

    def note() -> None:
        state = desk.guard.read()
        assert state.running
        folder.append(find_run(desk.project, state.running.execution))
        written.append(json.dumps(to_document(state)))

    desk.while_executing = note
    desk.retrain(SCHEDULED, "t1")
    desk.guard._path.write_text(written[0])
    content = json.loads((folder[0].path / "run.json").read_text())
    (folder[0].path / "run.json").write_text(json.dumps(content | {"status": "Executing"}))
    desk.new_data("more")
    with folder[0].hold():
        outcome = desk.retrain(MANUAL, "t2")
    assert outcome.decision
    assert outcome.decision.reason == f"run {folder[0].path.name} is executing"


def test_an_interrupted_run_frees_its_place(desk: Desk) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    desk.while_executing = interrupt
    with pytest.raises(KeyboardInterrupt):
        desk.retrain(MANUAL, "t1")
    assert desk.guard.read().running is None
    assert desk.retrain(MANUAL, "t2").decision.outcome == STARTED  # type: ignore[union-attr]


def test_a_run_that_cannot_be_prepared_frees_its_place(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> RunFolder:
        raise MlopsError("no")

    with monkeypatch.context() as patch:
        patch.setattr(local, "new_run", refuse)
        with pytest.raises(MlopsError, match="no"):
            desk.retrain(MANUAL, "t1")
    assert desk.guard.read().running is None
    assert desk.retrain(MANUAL, "t2").decision.outcome == STARTED  # type: ignore[union-attr]


def test_three_failed_gates_stop_machines_and_say_so_once(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.configure("cooldown_minutes", 0)
    desk.good = False
    outcomes = [desk.retrain(DRIFT, f"t{number}") for number in range(4)]
    assert [outcome.exit_code for outcome in outcomes] == [1, 1, 1, 0]
    assert outcomes[3].decision
    assert outcomes[3].decision.outcome == REFUSED
    assert capsys.readouterr().err.count("3 runs in a row failed the quality gate") == 1
    desk.good = True
    assert desk.retrain(MANUAL, "t9").exit_code == 0
    assert not desk.guard.policy.is_open(desk.guard.read())


def test_a_trigger_told_again_starts_nothing(desk: Desk) -> None:
    first = desk.retrain(DRIFT, "alarm")
    desk.new_data("more")
    again = desk.retrain(DRIFT, "alarm")
    assert (again.decision, again.runs) == (first.decision, ())


@pytest.mark.parametrize("content", ['{"running": ', '{"running": 3}', "[]", '{"running": {"request": 1}}'])
def test_a_damaged_memory_is_named_with_what_to_do(
    desk: Desk, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    path = desk.project.state / "retraining.json"
    path.write_text(content)
    for arguments in (["retrain"], ["retrain", "--status"], ["retrain", "--pending"]):
        assert main(arguments) == 1
        error = capsys.readouterr().err
        assert f"is damaged: {path}" in error
        assert "Move it away: mv" in error
    assert path.read_text() == content


@pytest.mark.parametrize("member", ["starts", "last_end", "decisions", "pending"])
def test_a_time_in_the_future_is_named_instead_of_a_cool_down_that_does_not_end(
    desk: Desk, capsys: pytest.CaptureFixture[str], member: str
) -> None:
    desk.retrain(DRIFT, "t1")
    path = desk.project.state / "retraining.json"
    content = json.loads(path.read_text())
    later = "2999-01-01T00:00:00+00:00"
    if member == "starts":
        content["starts"] = [later]
    elif member == "last_end":
        content["last_end"] = later
    elif member == "decisions":
        content["decisions"][0]["time"] = later
    else:
        trigger = {"id": "a", "kind": DRIFT, "reason": "", "time": later, "data": "", "data_version": ""}
        content["pending"] = {"triggers": [trigger]}
    path.write_text(json.dumps(content))
    for arguments in (["retrain"], ["retrain", "--status"]):
        assert main(arguments) == 1
        error = capsys.readouterr().err
        assert f"The latest time in {path} is in the future: 2999-01-01T00:00:00Z; the clock of this machine" in error
        assert "Move it away: mv" in error


@pytest.mark.parametrize(
    ("name", "value"), [("runs_per_day", 0), ("failed_gates", 0), ("cooldown_minutes", -1), ("runs_per_day", "many")]
)
def test_an_impossible_limit_is_named(desk: Desk, capsys: pytest.CaptureFixture[str], name: str, value: object) -> None:
    desk.configure(name, value)
    assert main(["retrain"]) == 2
    assert f"retraining.{name}: {json.dumps(value)}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--environment", "dev", "--pending"], "a pending run starts by itself"),
        (["--environment", "staging", "--status"], "Models are trained in dev"),
        (["--status", "--force"], "Leave them out"),
        (["--pending", "--reason", "why"], "Leave it out"),
        (["--data", "nowhere"], "does not exist"),
    ],
)
def test_what_the_verb_cannot_do_is_refused(
    desk: Desk, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["retrain", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_the_status_shows_what_waits_for_what_and_what_was_decided(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["retrain", "--status"]) == 0
    assert "no version yet" in capsys.readouterr().out
    assert main(["retrain", "--reason", "first"]) == 0
    assert main(["retrain"]) == 1
    desk.new_data("more")
    desk.retrain(DRIFT, reason="age")
    capsys.readouterr()
    assert main(["retrain", "--status"]) == 0
    shown = capsys.readouterr().out
    for part in (
        "running   nothing",
        "pending   drift: age; triggers: 1; waits for: cool-down until",
        "automatic on (0 of 3 gates failed in a row)",
        "19 of 20 runs left in 24 hours",
        "version 1, data ",
        "refused    no new data since version 1",
        "[first]",
    ):
        assert part in shown
    assert main(["retrain", "--status", "--json"]) == 0
    standing = json.loads(capsys.readouterr().out)
    assert standing["pending"]["waits_for"].startswith("cool-down")
    assert [decision["outcome"] for decision in standing["decisions"]] == [STARTED, REFUSED, COALESCED]


def test_the_verb_prints_json_also_of_a_refusal(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["retrain", "--json"]) == 0
    started = json.loads(capsys.readouterr().out)
    assert started["decision"]["run"] == started["runs"][0]["run"]
    assert started["runs"][0]["parameters"]["RunReason"] == "manual"
    assert main(["retrain", "--json"]) == 1
    refused = json.loads(capsys.readouterr().out)
    assert (refused["decision"]["outcome"], refused["runs"]) == (REFUSED, [])


@pytest.mark.slow
def test_a_retraining_runs_the_whole_pipeline_and_a_second_one_needs_new_data(project: Path) -> None:
    first = mlops_json(project, "retrain", "--reason", "the first")
    assert first["runs"][0]["status"] == "Succeeded"
    (version,) = mlops_json(project, "models")
    assert version["metadata"]["RunReason"] == "manual: the first"
    refused = mlops(project, "retrain", check=False)
    assert refused.returncode == 1
    assert "no new data since version 1" in refused.stderr
    more = project / "more"
    shutil.copytree(project / "data/raw", more)
    (more / "visits.csv.gz").rename(more / "all-visits.csv.gz")
    again = mlops_json(project, "retrain", "--data", str(more))
    assert again["decision"]["outcome"] == STARTED
    assert again["runs"][0]["model_package_arn"].endswith("/2")
