"""What the configuration takes of quotas: how many instances, requests at a time and builds, and why."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mlops.base.errors import MlopsError
from mlops.deployment import capacity
from mlops.deployment.capacity import ALL_ENDPOINTS, ALL_SERVERLESS, Amount, Use, total
from mlops.project.project import Project
from mlops.project.target import Target
from tests.infra.rendered import texts
from tests.machinery.deployment.small_project import ACCOUNT, small_project

ENDPOINT, TRANSFORM = "ml.m5.large for endpoint usage", "ml.m5.large for transform job usage"
JOBS = {
    "processing": {"instance_type": "ml.m5.large", "instance_count": 1},
    "training": {"instance_type": "ml.c5.xlarge", "instance_count": 1, "spot": False},
}


def project(root: Path, answers: Mapping[str, str], stack: str = "", **settings: Mapping[str, Any]) -> Project:
    """A project with one of the real templates, and settings of it by environment."""
    made = small_project(root)
    for path in (root / "infra").glob("*.yaml"):
        path.unlink()
    for name in [stack] if stack else ["execution"]:
        (root / f"infra/{name}.yaml").write_text(texts(answers)[name])
    for name in ("staging", "production"):
        section = {"stacks": {stack: settings.get(name, {})}} if stack in ("endpoint", "transform") else {}
        (root / f"config/{name}.yaml").write_text(json.dumps(section))
    (root / "config/dev.yaml").write_text(json.dumps({"account": ACCOUNT}))
    (root / "infra/data.yaml").write_text("Resources: {Key: {Type: 'AWS::KMS::Key'}}")
    (root / "infra/api.yaml").write_text("Resources: {Api: {Type: 'AWS::ApiGatewayV2::Api'}}")
    return made


def taken(made: Project) -> dict[str, tuple[int, int]]:
    """What all environments of the account take together of each quota: to be deployed, and under load."""
    by_quota: dict[str, list[Use]] = {}
    for use in capacity.uses(Target(made, "dev"), ACCOUNT):
        by_quota.setdefault(use.quota, []).append(use)
    return {
        quota: (total(use.least for use in uses), total(use.most for use in uses)) for quota, uses in by_quota.items()
    }


@pytest.mark.parametrize(
    ("answers", "staging", "production", "least", "most"),
    [
        ({}, {"min": 1}, {"min": 2}, 5, 5),
        ({}, {"min": 1}, {"min": 2, "max": 4}, 5, 9),
        ({}, {"min": 1}, {"min": 2, "max": None}, 5, 5),
        ({"deployment_strategy": "rolling"}, {"min": 1}, {"min": 4, "step": 25}, 6, 6),
        ({"deployment_strategy": "rolling"}, {"min": 1}, {"min": 1}, 3, 3),
        ({"deployment_strategy": "shadow", "http_api": "no"}, {"min": 1}, {"min": 2}, 7, 7),
        ({"inference": "async", "http_api": "no"}, {"min": 0, "max": 3}, {"min": 0, "max": 4}, 3, 11),
    ],
)
def test_an_endpoint_takes_its_instances_and_new_ones_while_one_environment_is_updated(
    tmp_path: Path, answers: dict[str, str], staging: dict[str, Any], production: dict[str, Any], least: int, most: int
) -> None:
    names = {"min": "min_instance_count", "max": "max_instance_count", "step": "step_percent"}
    settings = {
        environment: {names[key]: value for key, value in given.items()}
        for environment, given in (("staging", staging), ("production", production))
    }
    assert taken(project(tmp_path, answers, "endpoint", **settings)) == {
        ENDPOINT: (least, most),
        ALL_ENDPOINTS: (least, most),
    }


def test_a_serverless_endpoint_takes_requests_at_a_time(tmp_path: Path) -> None:
    made = project(
        tmp_path, {"inference": "serverless"}, "endpoint",
        staging={"max_concurrency": 2}, production={"max_concurrency": 4},
    )  # fmt: skip
    assert taken(made) == {ALL_SERVERLESS: (10, 10)}


def test_batch_jobs_take_instances_of_their_own(tmp_path: Path) -> None:
    made = project(tmp_path, {"inference": "batch", "http_api": "no"}, "transform", production={"instance_count": 3})
    assert taken(made) == {TRANSFORM: (4, 4), "Number of instances across all transform jobs": (4, 4)}


@pytest.mark.parametrize(("spot", "kind"), [(False, "training job"), (True, "spot training job")])
def test_a_run_takes_two_instances_for_processing_at_the_least_and_its_own_kind_for_training(
    tmp_path: Path, spot: bool, kind: str
) -> None:
    made = project(tmp_path, {})
    jobs = {**JOBS, "training": {**JOBS["training"], "spot": spot}}
    (tmp_path / "config/dev.yaml").write_text(json.dumps({"account": ACCOUNT, **jobs}))
    assert taken(made) == {
        "ml.m5.large for processing job usage": (2, 2),
        "Number of instances across all processing jobs": (2, 2),
        f"ml.c5.xlarge for {kind} usage": (1, 1),
        f"Number of instances across all {kind}s": (1, 1),
    }


def test_builds_take_one_of_their_size(tmp_path: Path) -> None:
    made = project(tmp_path, {}, "build")
    assert taken(made) == {"Concurrently running builds for Linux/Medium environment": (1, 1)}


def test_environments_of_other_accounts_take_nothing_here(tmp_path: Path) -> None:
    made = project(tmp_path, {}, "endpoint")
    (tmp_path / "config/production.yaml").write_text(json.dumps({"account": "210987654321"}))
    assert [use.environment for use in capacity.uses(Target(made, "dev"), ACCOUNT)] == ["staging", "staging"]
    [one, _] = capacity.uses(Target(made, "dev"), "210987654321")
    assert (one.environment, one.least) == ("production", Amount(1, 1))


def test_a_figure_that_is_none_is_refused_with_its_file(tmp_path: Path) -> None:
    made = project(tmp_path, {}, "endpoint", production={"min_instance_count": "some"})
    with pytest.raises(
        MlopsError, match=r"config/base.yaml or config/production.yaml has an invalid number: .*'some'"
    ) as caught:
        list(capacity.uses(Target(made, "dev"), ACCOUNT))
    assert caught.value.exit_code == 2
