"""The sections of config/<environment>.yaml that are named like stacks say what their templates take."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from answers import COVERING, label, meant
from mlops.stacks import SHADOW_MINUTES, TABLE
from rendered import text_of, texts
from template import parse

STACKS = {stack.name: stack for stack in TABLE}
LEFT_TO_FILL_IN = {("cicd", "repository")}
REGISTERED_ELSEWHERE = {"model_package_group", "model_bucket", "model_key_arn"}

each_set_of_answers = pytest.mark.parametrize("answers", COVERING, ids=label)


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
    return all(
        (item in map(str, parameter.get("AllowedValues", [item])))
        and re.fullmatch(parameter.get("AllowedPattern", ".*"), item) is not None
        and ("MinValue" not in parameter or float(item) >= parameter["MinValue"])
        and ("MaxValue" not in parameter or float(item) <= parameter["MaxValue"])
        for item in said
    )


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
