"""Which version is live in which environment, and was when."""

import json
from pathlib import Path

import pytest

from mlops.cli.main import main
from mlops.project.target import Target
from mlops.registry import live
from standin.account import StandInAccount
from tests.machinery.deployment.small_project import GROUP, NAMES, small_project


@pytest.fixture
def target(tmp_path: Path, here: StandInAccount) -> Target:
    return Target(small_project(tmp_path), "dev")


def test_the_periods_follow_each_other_and_the_last_one_has_no_end(target: Target) -> None:
    assert live.periods(target.account, NAMES, ["staging", "production"]) == []
    for package in (1, 1, 2, 1):
        live.record(target.at("production"), f"{GROUP}/{package}")
    live.record(target.at("staging"), f"{GROUP}/2")
    found = live.periods(target.account, NAMES, ["staging", "production"])
    production = [period for period in found if period.environment == "production"]
    assert [live.version_of(period.package) for period in production] == [1, 2, 1]
    assert [period.end for period in production] == [*(period.start for period in production[1:]), None]
    [staging] = [period for period in found if period.environment == "staging"]
    assert (live.version_of(staging.package), staging.end) == (2, None)


def test_models_says_when_a_version_was_live(
    target: Target, here: StandInAccount, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(target.project.root)
    sagemaker = here.client("sagemaker")
    sagemaker.create_model_package_group(ModelPackageGroupName=NAMES.slug)
    for _ in range(2):
        sagemaker.create_model_package(
            ModelPackageGroupName=NAMES.slug,
            ModelApprovalStatus="PendingManualApproval",
            InferenceSpecification={
                "Containers": [{"Image": "image", "ModelDataUrl": "s3://models/model.tar.gz"}],
                "SupportedContentTypes": ["text/csv"],
                "SupportedResponseMIMETypes": ["text/csv"],
            },
        )
    assert main(["approve", "1", "--environment", "dev", "--comment", "good"]) == 0
    for package in (1, 2):
        live.record(target.at("production"), f"{GROUP}/{package}")
    capsys.readouterr()
    assert main(["models", "1", "2", "--environment", "dev"]) == 0
    shown = capsys.readouterr().out
    assert f"approved_by  {target.account.caller}" in shown
    first, second = [line for line in shown.splitlines() if "was live in" in line]
    assert first.startswith("version 1 was live in production from ")
    assert " to " in first
    assert second.endswith(" until now")
    assert main(["models", "--environment", "dev", "--json"]) == 0
    one, two = json.loads(capsys.readouterr().out)
    assert (one["live"], two["live"]) == ([], ["production"])
    [period] = one["was_live"]
    assert period["to"] == two["was_live"][0]["from"]
    assert two["was_live"][0]["to"] is None
