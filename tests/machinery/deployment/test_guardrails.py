"""Updates of endpoints that cannot end in the time that they are given."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from mlops.base.errors import MlopsError
from mlops.deployment import guardrails
from mlops.deployment.deploy import Deployment, DeployRequest
from mlops.deployment.templates import Template
from mlops.project.environment import Environment
from mlops.project.target import Target
from standin.template import resolve
from tests.answers import label
from tests.infra.checks import exclusions
from tests.infra.rendered import texts
from tests.infra.serving_stacks import parameters, written
from tests.machinery.deployment.small_project import small_project

STAGING = Environment("staging", {}, Path("config/staging.yaml"), "eu-west-1")
ANSWERS = [{"inference": "realtime"}, {"inference": "realtime", "deployment_strategy": "shadow"}]
RULE = "an update is given the time that it waits"
SECONDS = [("300", "3600"), ("600", "14400"), ("1200", "3600"), ("1800", "3600"), ("1800", "3601"), ("3600", "28800")]


def refused(template: Template, settings: dict[str, str]) -> bool:
    try:
        guardrails.require_time(template, settings, "endpoint", STAGING)
    except MlopsError:
        return True
    return False


@pytest.mark.parametrize("answers", ANSWERS, ids=label)
def test_those_updates_are_refused_that_wait_for_longer_than_they_are_given(answers: dict[str, str]) -> None:
    template, read = written("endpoint", **answers), Template.parse(texts(answers)["endpoint"])
    choices: dict[str, list[str]] = {
        "MinInstanceCount": ["1", "2"],
        "DeploymentStrategy": ["canary", "linear", "rolling", "all-at-once"],
        "StepPercent": ["10", "33", "50"],
    }
    taken = {name: values for name, values in choices.items() if name in template.data["Parameters"]}
    seen = set()
    for (bake, update), values in itertools.product(SECONDS, itertools.product(*taken.values())):
        settings = {"BakeSeconds": bake, "UpdateSeconds": update, **dict(zip(taken, values, strict=True))}
        resolved = resolve(template, {**parameters(template), **settings})
        broken = any(finding.what == RULE for finding in exclusions.findings(resolved))
        assert refused(read, settings) is broken, settings
        seen.add(broken)
    assert seen == {True, False}


@pytest.mark.parametrize("inference", ["serverless", "batch"])
def test_where_no_update_is_given_a_time_nothing_is_refused(inference: str) -> None:
    for text in texts({"inference": inference}).values():
        assert not refused(Template.parse(text), {})


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"step_percent": 10, "bake_seconds": 3600}, "monitor its alarms for 39600 seconds, but times out after 14400"),
        (
            {"bake_seconds": "long"},
            "Invalid value of `stacks.endpoint.bake_seconds` in config/staging.yaml: 'long'.\n  Use a number.",
        ),
        (
            {"step_percent": 0},
            "Invalid value of `stacks.endpoint.step_percent` in config/staging.yaml: '0'.\n  Use at least 10 and",
        ),
    ],
)
def test_deploy_refuses_before_it_asks_aws_for_anything(tmp_path: Path, settings: dict[str, Any], said: str) -> None:
    project = small_project(tmp_path)
    for name, text in texts({}).items():
        (tmp_path / f"infra/{name}.yaml").write_text(text)
    section = {"deployment_strategy": "linear", "min_instance_count": 2, **settings}
    (tmp_path / "config/staging.yaml").write_text(json.dumps({"stacks": {"endpoint": section}}))
    with pytest.raises(MlopsError, match=said) as caught:
        Deployment(Target(project, "staging"), DeployRequest(["endpoint"]), lambda _: None, lambda _: None)
    assert caught.value.exit_code == 2


def test_the_remedy_names_the_settings_and_how_far_they_go() -> None:
    with pytest.raises(MlopsError) as caught:
        guardrails.require_time(Template.parse(texts({})["endpoint"]), {"UpdateSeconds": "600"}, "endpoint", STAGING)
    assert (
        "Lower `stacks.endpoint.bake_seconds` in config/base.yaml or raise `update_seconds` beside it (up to 27000)"
        in caught.value.remedy
    )
