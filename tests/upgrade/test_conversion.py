"""`convert` takes the values and comments of release 0.4.0's configuration into the files of this release."""

import functools
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from cookiecutter.environment import StrictEnvironment

from mlops.base.errors import MlopsError, UsageError
from mlops.cli.main import main
from mlops.project.configuration import merged
from mlops.project.conversion import Conversion, convert
from mlops.project.project import Project
from mlops.project.stacks import TABLE
from tests.answers import QUESTIONS, completed, label, meant, rest_at_night
from tests.projects import ROOT, Bake
from tests.upgrade.test_upgrade import git, releases

ANSWERS: list[dict[str, str]] = [
    {},
    {"inference": "batch", "framework": "sklearn", "monitoring": "off", "git_provider": "codecommit"},
    {"inference": "async", "training_image": "custom", "framework": "pytorch"},
    {"inference": "serverless"},
    {"deployment_strategy": "shadow"},
    {"project_scope": "build-train", "training_image": "custom"},
    {"project_scope": "deploy", "training_image": "custom"},
    {"project_scope": "deploy", "inference": "batch", "monitoring": "off"},
]
STACKS = {stack.name for stack in TABLE} - {"retraining", "monitoring", "people", "observability"}  # of 0.4.0
EDITS = [
    (r"min_auc: .*", "min_auc: 0.81  # agreed with the clinic"),
    (r"(\n +)seed: 42", r"\1# the year of the study\1seed: 1974"),
    (r"account: null", 'account: "123456789012"'),
    (r"repository: null", "repository: clinic/visits"),
    (r"trained_in: null", "trained_in: ../visits"),
    (r"model_package_group: null", "model_package_group: visits"),
    (r"image_digest: newest", f"image_digest: sha256:{'1' * 64}"),
    (r"  # workers: 2", "  workers: 3"),
    (r"    ?min_rows: .*", "  min_rows: 500"),
    (r"instance_count: 1", "instance_count: 3"),
    (r"max_error_share: 0.05", "max_error_share: 0.01"),
    (r"bake_seconds: 600", "bake_seconds: 900  # a quarter of an hour"),
    (r"log_days: 365", "log_days: 90"),
    (r"inference_instances: .*", "inference_instances:\n    - ml.m5.large  # the smallest\n    - ml.c5.large"),
]
"""What an owner changes, wherever a file has it: a pattern and what takes its place."""

OWN = """
# Of the clinic.
own:
  holidays: [2026-12-25, 2027-01-01]
  wards:
    north: {beds: 12}
    # closed in summer
    south: null
  note: |
    Two lines,
    # and no comment.
"""


@functools.cache
def _source(name: str) -> str:
    return git(ROOT, "show", f"{releases(ROOT)['0.4.0']}:<<cookiecutter.project_slug>>/config/{name}.yaml") + "\n"


def released(answers: Mapping[str, str]) -> dict[str, str]:
    """The configuration of a project of release 0.4.0, by environment."""
    context: dict[str, Any] = {"cookiecutter": completed(**answers)}
    environment = StrictEnvironment(
        context={"cookiecutter": {}}, keep_trailing_newline=True, **QUESTIONS["_jinja2_env_vars"]
    )
    deployed = () if meant(answers)["project_scope"] == "build-train" else ("staging", "production")
    return {name: environment.from_string(_source(name)).render(**context) for name in ("local", "dev", *deployed)}


def edited(files: Mapping[str, str], answers: Mapping[str, str]) -> dict[str, str]:
    """The files as their owner has changed them."""
    changed = {}
    for name, text in files.items():
        for pattern, new in EDITS:
            text = re.sub(pattern, new, text)
        changed[name] = text
    if meant(answers)["project_scope"] != "deploy":
        changed |= {name: changed[name] + OWN for name in ("local", "dev")}
    return changed


def generated(project: Path) -> dict[str, str]:
    return {path.stem: path.read_text() for path in (project / "config").glob("*.yaml")}


def leaves(settings: Mapping[str, Any], parents: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from leaves(value, (*parents, str(key)))
        else:
            yield (*parents, str(key)), value


def before(text: str) -> dict[tuple[str, ...], Any]:
    """The settings of a file of release 0.4.0, under this release's names."""
    return {("stacks", *keys) if keys[0] in STACKS else keys: value for keys, value in leaves(yaml.safe_load(text))}


def after(texts: Mapping[str, str], name: str) -> dict[tuple[str, ...], Any]:
    """The settings of an environment of this release."""
    return dict(leaves(merged(yaml.safe_load(texts["base"]), yaml.safe_load(texts[name]))))


def converted(rendering: Bake, answers: dict[str, str], files: Mapping[str, str]) -> Conversion:
    project = Project(rendering(**answers))
    return convert(files, released(answers), generated(project.root), project.readers)


@pytest.mark.parametrize("answers", ANSWERS, ids=label)
@pytest.mark.parametrize("changed", [False, True], ids=["as-generated", "edited"])
def test_every_environment_keeps_its_settings(rendering: Bake, answers: dict[str, str], changed: bool) -> None:
    files = edited(released(answers), answers) if changed else released(answers)
    done = converted(rendering, answers, files)
    for name, text in files.items():
        settings = after(done.texts, name)
        lost = {keys: value for keys, value in before(text).items() if settings.get(keys) != value}
        assert lost == {}, name
    again = convert(files, released(answers), done.texts, Project(rendering(**answers)).readers)
    assert again.texts == done.texts
    assert not any(again.placed.values())


@pytest.mark.parametrize("answers", ANSWERS, ids=label)
def test_what_was_not_edited_stays_as_this_release_generates_it(rendering: Bake, answers: dict[str, str]) -> None:
    done = converted(rendering, answers, released(answers))
    # Defaults of real-time and serverless endpoints differ; `deploy` names a setting of asynchronous ones that is gone.
    differing = {
        "realtime": {"serving.max_payload_mb"},
        "serverless": {"stacks.endpoint.max_concurrency"},
        "async": {"stacks.endpoint.capture_percent"},
    }
    inference = answers.get("inference", "realtime")
    assert {key for keys in done.placed.values() for key in keys} == differing.get(inference, set())


@pytest.mark.parametrize("answers", rest_at_night(ANSWERS, 3), ids=label)
def test_comments_of_the_owner_survive_and_those_of_the_release_do_not(
    rendering: Bake, answers: dict[str, str]
) -> None:
    files = edited(released(answers), answers)
    done = converted(rendering, answers, files)
    comments = {
        comment
        for text in files.values()
        for comment in re.findall(r"# .*", text)
        if comment not in "\n".join(released(answers).values())
    }
    written = "\n".join(done.texts.values())
    assert [comment for comment in comments if written.count(comment) != 1] == []
    new = "\n".join(generated(rendering(**answers)).values())
    old_only = {line.strip() for text in files.values() for line in text.splitlines() if line.strip().startswith("#")}
    old_only -= {*new.splitlines(), *comments, *(line.strip() for line in new.splitlines())}
    assert [line for line in old_only if line in written] == []


def test_what_training_environments_share_goes_to_the_base_and_what_differs_stays(rendering: Bake) -> None:
    files = edited(released({}), {})
    files["dev"] = files["dev"].replace("max_depth: 4", "max_depth: 6").replace("num_round: 300", "num_round: 900")
    files["local"] += "functions: {check: ours:check}\n"
    files["dev"] = files["dev"].replace("hyperparameters:", "hyperparameters:\n  max_bin: 64")
    files["local"] = files["local"].replace("hyperparameters:", "hyperparameters:\n  max_bin: 64")
    texts = {name: yaml.safe_load(text) for name, text in converted(rendering, {}, files).texts.items()}
    assert texts["base"]["gate"]["min_auc"] == 0.81
    assert texts["base"]["own"]["wards"] == {"north": {"beds": 12}, "south": None}
    assert texts["base"]["own"]["note"] == "Two lines,\n# and no comment.\n"
    assert texts["base"]["hyperparameters"]["max_bin"] == 64
    assert texts["base"]["hyperparameters"]["max_depth"] == 4
    assert texts["dev"]["hyperparameters"] == {"max_depth": 6, "num_round": 900}
    assert "hyperparameters" not in texts["local"]
    assert texts["local"]["functions"] == {"check": "ours:check"}
    assert texts["base"]["serving"]["workers"] == 3
    assert texts["production"]["stacks"]["endpoint"]["bake_seconds"] == 900
    assert texts["dev"]["stacks"]["data"]["log_days"] == 90


def test_a_parameter_that_was_left_out_keeps_its_default(rendering: Bake) -> None:
    files = released({})
    files["staging"] = re.sub(r".*(max_error_share: 0.05|deployment_strategy: .*)\n", "", files["staging"])
    texts = {name: yaml.safe_load(text) for name, text in converted(rendering, {}, files).texts.items()}
    endpoint = texts["staging"]["stacks"]["endpoint"]
    assert (endpoint["max_error_share"], endpoint["deployment_strategy"]) == (None, None)
    assert texts["base"]["stacks"]["endpoint"]["max_error_share"] == 0.05


def test_an_environment_of_the_owners_own_keeps_what_differs(rendering: Bake, tmp_path: Path) -> None:
    project = Project(Path(shutil.copytree(rendering(), tmp_path / "project")))
    (project.root / "config/trial.yaml").touch()
    files = released({})
    for stack in STACKS:
        files["trial"] = re.sub(rf"(?m)^{stack}:\n(  .*\n)+", "", files.get("trial", files["dev"]))
    files["trial"] = files["trial"].replace("max_depth: 4", "max_depth: 9")
    done = convert(files, released({}), generated(project.root), project.readers)
    settings = after(done.texts, "trial")
    assert {keys: value for keys, value in before(files["trial"]).items() if settings[keys] != value} == {}
    assert yaml.safe_load(done.texts["trial"])["hyperparameters"] == {"max_depth": 9}


@pytest.mark.parametrize(
    ("name", "before", "after", "said"),
    [
        ("dev", "percentage: 100", "percentage: 50", "`capture.percentage: 50` in config/dev.yaml"),
        ("production", "smoke:", "gate: {min_auc: 0.9}\nsmoke:", "`gate.min_auc: 0.9` in config/production.yaml"),
        ("local", "smoke:", "promotion: {log_days: 9}\nsmoke:", "`stacks.promotion.log_days: 9` in config/local.yaml"),
        ("local", "gate:", "gates: {min_auc: 1}\ngate:", "`gates.min_auc: 1` in config/local.yaml"),
        ("local", "gate:", "gate:\n  min_acu: 1", "`gate.min_acu` in config/"),
        ("local", "gate:", "own: &x {a: 1}\nown2: {<<: *x}\ngate:", "config/local.yaml sets own2.a in a way that"),
        ("local", "gate:", "own:\n  a: &x 1\n  b: *x\ngate:", "config/local.yaml sets own.b in a way that cannot be"),
        ("local", "gate:", "gate: {", "Cannot read config/local.yaml"),
    ],
)
def test_what_has_no_place_is_refused(rendering: Bake, name: str, before: str, after: str, said: str) -> None:
    files = released({})
    assert before in files[name]
    files[name] = files[name].replace(before, after, 1)
    with pytest.raises(MlopsError) as refused:
        converted(rendering, {}, files)
    assert said in refused.value.message


@pytest.mark.parametrize(
    "written",
    ["gate: {min_auc: 0.81, min_auc_gain: -0.01}", 'gate:\n    "min_auc": 0.81\n    min_auc_gain:\n      -0.01'],
)
def test_a_section_may_be_written_in_another_way(rendering: Bake, written: str) -> None:
    files = {name: re.sub(r"(?m)^gate:\n(  .*\n)+", f"{written}\n", text) for name, text in released({}).items()}
    done = converted(rendering, {}, files)
    assert yaml.safe_load(done.texts["base"])["gate"] == {"min_auc": 0.81, "min_auc_gain": -0.01}


def commit(project: Path, files: Mapping[str, str]) -> None:
    """Commit a configuration that has these files only."""
    for path in (project / "config").glob("*.yaml"):
        path.unlink()
    for name, text in files.items():
        (project / f"config/{name}.yaml").write_text(text)
    git(project, "add", "--all")
    git(project, "commit", "--allow-empty", "--quiet", "--message", "next")


@pytest.fixture
def upgraded(rendering: Bake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of this release, with the owner's files of release 0.4.0 in its history, as the working folder."""
    project = Path(shutil.copytree(rendering(), tmp_path / "project"))
    new = generated(project)
    git(project, "init", "--quiet")
    for files in (edited(released({}), {}), released({}), new):
        commit(project, files)
    monkeypatch.chdir(project)
    return project


def test_the_verb_reads_the_old_files_from_git_and_says_what_it_did(
    upgraded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", "HEAD~1"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"^config/base.yaml: .*gate.min_auc", printed, re.M)
    assert re.search(r"^config/dev.yaml: account, ", printed, re.M)
    texts = generated(upgraded)
    assert Project(upgraded).environment("dev").number("gate.min_auc") == 0.81
    assert main(["convert", "HEAD~1"]) == 0
    assert generated(upgraded) == texts
    assert re.search(r"^config/base.yaml: as generated$", capsys.readouterr().out, re.M)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("HEAD", "HEAD^ holds no configuration of release 0.4.0."),
        ("HEAD~9", "git cannot read"),
    ],
)
def test_a_commit_without_old_files_is_refused(
    upgraded: Path, capsys: pytest.CaptureFixture[str], name: str, said: str
) -> None:
    commit(upgraded, new := generated(upgraded))
    assert main(["convert", name]) == UsageError.exit_code
    assert said in capsys.readouterr().err
    assert generated(upgraded) == new


@pytest.mark.parametrize(
    ("added", "said"), [("training: {spot: true}\n", "duplicate key"), ("gates: {min_auc: 1}\n", "gates.min_auc")]
)
def test_nothing_is_written_when_a_value_has_no_place(
    upgraded: Path, capsys: pytest.CaptureFixture[str], added: str, said: str
) -> None:
    new, old = generated(upgraded), edited(released({}), {})
    for files in ({**old, "local": old["local"] + added}, released({}), new):
        commit(upgraded, files)
    assert main(["convert", "HEAD~1"]) == UsageError.exit_code
    assert said in capsys.readouterr().err
    assert generated(upgraded) == new
