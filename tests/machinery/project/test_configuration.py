"""The sections of config/<environment>.yaml that are named like stacks say what their templates take."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlops.base.errors import MlopsError
from mlops.project.configuration import KEYS, OPEN, OWN
from mlops.project.stacks import SHADOW_MINUTES, TABLE
from standin.template import parse, unsatisfied
from tests.answers import COVERING, each_set_of_answers, meant
from tests.infra.rendered import text_of, texts
from tests.machinery.deployment.small_project import small_project
from tests.projects import ROOT

STACKS = {stack.name: stack for stack in TABLE}
LEFT_TO_FILL_IN = {("cicd", "repository")}
REGISTERED_ELSEWHERE = {"model_package_group", "model_bucket", "model_key_arn"}


def configuration(answers: Mapping[str, str], environment: str) -> dict[str, Any]:
    """What a project's file says."""
    written = text_of(f"config/{environment}.yaml", answers)
    content: dict[str, Any] = yaml.safe_load(written)
    assert re.findall(r"^(\w+):", written, re.M) == list(content), "a section stands there twice"
    return content


def settings(answers: Mapping[str, str], environment: str) -> Iterator[tuple[str, str, Any]]:
    """Each setting of a stack that the project has: the stack, the key and the value."""
    stacks = STACKS.keys() - ({"registry"} if meant(answers)["project_scope"] == "deploy" else set())
    for section, values in configuration(answers, environment).items():
        for key, value in values.items() if section in stacks else ():
            yield section, key, value


def environments(answers: Mapping[str, str]) -> tuple[str, ...]:
    return ("dev",) if meant(answers)["project_scope"] == "build-train" else ("dev", "staging", "production")


def takes(parameter: Mapping[str, Any], value: Any) -> bool:
    """Whether a parameter takes a value."""
    items = value if isinstance(value, list) else [value]
    said = [str(item).lower() if isinstance(item, bool) else str(item) for item in items]
    return unsatisfied("it", parameter, ",".join(said)) is None


@each_set_of_answers
def test_each_setting_is_a_parameter_of_its_stack_and_has_a_value_that_it_takes(answers: dict[str, str]) -> None:
    parameters = {stack: parse(written).data["Parameters"] for stack, written in texts(answers).items()}
    for environment in environments(answers):
        for stack, key, value in settings(answers, environment):
            name = "".join(part.capitalize() for part in key.split("_"))
            if key == SHADOW_MINUTES:
                continue  # of the deployment itself
            assert name in parameters[stack], f"{environment}: {stack}.{key}"
            if value is None:
                assert "Default" in parameters[stack][name] or (stack, key) in LEFT_TO_FILL_IN, f"{stack}.{key}"
            else:
                assert takes(parameters[stack][name], value), f"{environment}: {stack}.{key}: {value}"


@each_set_of_answers
def test_stacks_of_an_environment_are_configured_where_they_are_deployed(answers: dict[str, str]) -> None:
    for environment in environments(answers):
        assert {STACKS[stack].shared for stack, _, _ in settings(answers, environment)} == {environment == "dev"}


@each_set_of_answers
def test_only_the_account_and_what_is_made_elsewhere_is_left_to_fill_in(answers: dict[str, str]) -> None:
    content, scope = configuration(answers, "dev"), meant(answers)["project_scope"]
    place = ("account", "project_id", "bucket", *(("model_bucket", "pipeline_role") if scope != "deploy" else ()))
    assert {key: content[key] for key in place} == dict.fromkeys(place)
    if scope == "deploy":
        custom = {"image_repository"} if meant(answers)["__training_image"] == "custom" else set()
        assert content["registry"] == dict.fromkeys(REGISTERED_ELSEWHERE | custom)
    for environment in environments(answers)[1:]:
        assert configuration(answers, environment)["account"] is None


def test_the_known_keys_are_those_that_the_files_say() -> None:
    said: dict[str, set[str]] = {}
    for answers in COVERING:
        for environment in ("local", *environments(answers)):
            written = text_of(f"config/{environment}.yaml", answers)
            left_out_too = re.sub(r"^(  )# (\w+: \S+)$", r"\1\2", written, flags=re.M)
            for section, values in yaml.safe_load(left_out_too).items():
                said.setdefault(section, set()).update(values if isinstance(values, dict) else ())
    assert {name: set(keys) for name, keys in KEYS.items()} == {name: said[name] for name in said.keys() - OPEN}
    assert OPEN - said.keys() == {OWN, "functions"}


def test_the_known_keys_are_those_that_the_code_reads() -> None:
    project = ROOT / "<<cookiecutter.project_slug>>"
    files = [path for folder in ("mlops", "modelkit", "pipelines") for path in project.glob(f"{folder}/**/*.py")]
    code = "\n".join(file.read_text() for file in files if file.name != "configuration.py")
    read = re.findall(r'(?:\[|number\(|integer\(|missing\()"(\w+)\.(\w+)"', code)
    assert ("gate", "min_auc") in read
    assert [f"{section}.{key}" for section, key in read if key not in KEYS.get(section, [key])] == []
    names = {name for section, keys in KEYS.items() for name in (keys or [section])}
    assert [name for name in names if not re.search(rf"\b{name}\b", code)] == []


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("serving: {wokers: 2}", "`serving.wokers`", "Did you mean `serving.workers`?"),
        ("smoke: {max_p99_mss: 9}", "`smoke.max_p99_mss`", "Did you mean `smoke.max_p99_ms`?"),
        ("gate: {min_acu: 0.7}", "`gate.min_acu`", "Did you mean `gate.min_auc`?"),
        ("retrianing: {runs_per_day: 2}", "`retrianing`", "Did you mean `retraining`?"),
        ("endpiont: {instance_type: ml.m5.large}", "`endpiont`", "Did you mean `endpoint`?"),
        ("5: x", "`5`", "Remove it."),
    ],
)
def test_a_key_that_nothing_reads_is_refused_with_the_nearest_one(
    tmp_path: Path, text: str, said: str, hint: str
) -> None:
    project = small_project(tmp_path)
    (tmp_path / "config/local.yaml").write_text(text)
    with pytest.raises(MlopsError) as refused:
        project.environment("local")
    assert refused.value.message == f"config/local.yaml says {said}, which nothing reads."
    assert refused.value.remedy.startswith(hint)
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("security: none", 'config/local.yaml says `security: "none"`, but `security` is a section.'),
        ("data: [a]", 'config/local.yaml says `data: ["a"]`, but `data` is a section.'),
        (
            "hyperparameters: true",
            "config/local.yaml says `hyperparameters: true`, but `hyperparameters` is a section.",
        ),
        ("gate: {min_auc: 1}\ngate: {min_auc: 2}", "`gate` is given twice"),
        ("gate: {min_auc: 1, min_auc: 2}", "`min_auc` is given twice"),
        ("gate: {min_auc: 1", 'config/local.yaml", line'),
    ],
)
def test_a_section_that_is_none_and_a_key_that_is_given_twice_are_refused(tmp_path: Path, text: str, said: str) -> None:
    project = small_project(tmp_path)
    (tmp_path / "config/local.yaml").write_text(text)
    with pytest.raises(MlopsError) as refused:
        project.environment("local")
    assert said in refused.value.message
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("bucket", "s3://my-bucket", "It takes the name of a bucket, without s3://."),
        ("pipeline_role", "pipeline", "It takes the ARN of a role: arn:aws:iam::"),
        ("project_id", "p-abc", "It takes p- and twelve lower-case letters or digits."),
    ],
)
def test_a_place_that_cannot_be_one_is_refused(tmp_path: Path, key: str, value: str, said: str) -> None:
    project = small_project(tmp_path)
    (tmp_path / "config/dev.yaml").write_text(f'account: "123456789012"\n{key}: {value}\n')
    with pytest.raises(MlopsError) as refused:
        project.environment("dev")
    assert refused.value.message == f'config/dev.yaml says `{key}: "{value}"`.'
    assert said in refused.value.remedy


def test_settings_of_a_projects_own_and_empty_sections_are_accepted(tmp_path: Path) -> None:
    project = small_project(tmp_path)
    (tmp_path / "config/local.yaml").write_text("own: {rounds: 3}\nfunctions: {f: m:f}\nserving:\napi: {}\n")
    assert project.environment("local").integer("own.rounds") == 3
