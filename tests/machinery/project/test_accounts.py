"""Accounts of environments: which stacks are in which, what is refused, and how another account is entered."""

import json
from pathlib import Path
from typing import Any

import pytest

from mlops.base.errors import MlopsError
from mlops.deployment import across
from mlops.deployment.deploy import Deployment, DeployRequest
from mlops.project.account import Account
from mlops.project.names import Names, project_id
from mlops.project.project import Project
from mlops.project.stacks import TABLE, placed, selected
from mlops.project.target import Target
from standin.account import REGION, Cloud
from tests.machinery.deployment.small_project import SLUG, small_project
from tests.standin.several_accounts import DEV, PRODUCTION, STAGING, accounts, allow, role, root

NUMBERS = {"dev": DEV, "staging": STAGING, "production": PRODUCTION}


def several(folder: Path, **overlays: dict[str, Any]) -> Project:
    """A small project whose environments have accounts of their own."""
    project = small_project(folder)
    answers = json.loads((folder / "project.yaml").read_text())
    (folder / "project.yaml").write_text(json.dumps({**answers, "account_layout": "multi"}))
    for name, number in NUMBERS.items():
        stacks = {"endpoint": {"instance_type": "ml.m5.large"}} if name != "dev" else {"workload": {"record_days": 7}}
        content = {"account": number, "stacks": stacks, **overlays.get(name, {})}
        (folder / f"config/{name}.yaml").write_text(json.dumps(content))
    return project


def test_each_stack_is_in_one_account_or_in_one_for_each_environment(tmp_path: Path) -> None:
    root_ = several(tmp_path).root
    assert [(one.stack.name, one.account) for one in placed(root_, "dev", "single")] == [
        ("data", "dev"), ("workload", "dev"),
    ]  # fmt: skip
    assert [(one.stack.name, one.account) for one in placed(root_, "dev", "multi")] == [
        ("data", "dev"),
        *(("data", "staging"), ("workload", "staging")),
        *(("data", "production"), ("workload", "production")),
    ]  # fmt: skip
    assert {one.account for one in placed(root_, "staging", "multi")} == {"staging"}
    found = placed(root_, "dev", "multi")
    assert [one.stack.name for one in selected(found, [], "staging")] == ["data", "workload"]
    with pytest.raises(MlopsError, match=r"no stack 'workload' here.\n  Stacks: data\."):
        selected(found, ["workload"], "dev")
    assert all(stack.accounts("single") == ("dev",) for stack in TABLE)


def test_shared_stacks_are_set_in_dev_and_an_environment_may_differ(tmp_path: Path) -> None:
    own = {"stacks": {"workload": {"record_days": 30}, "endpoint": {"instance_type": "ml.m5.large"}}}
    project = several(tmp_path, production=own)
    assert project.environment("staging").stack("workload") == {"record_days": 7}
    assert project.environment("production").stack("workload") == {"record_days": 30}
    assert str(project.environment("staging").file("stacks.workload.record_days")) == "config/dev.yaml"


@pytest.mark.parametrize(("name", "other"), [("staging", "dev"), ("production", "staging")])
def test_environments_do_not_share_an_account(tmp_path: Path, name: str, other: str) -> None:
    several(tmp_path, **{name: {"account": NUMBERS[other]}})
    with pytest.raises(MlopsError, match=rf"config/{name}\.yaml and config/{other}\.yaml have the same `account"):
        Project(tmp_path).environment(name)


def test_an_account_that_is_missing_is_asked_for_in_its_own_file(tmp_path: Path) -> None:
    several(tmp_path, staging={"account": None})
    with pytest.raises(
        MlopsError, match=r"config/staging.yaml has no value for `account`.\n  Set it in config/staging"
    ):
        across.values(Target(Project(tmp_path), "dev"), "production")


def test_a_deployment_names_all_accounts_that_are_missing(tmp_path: Path) -> None:
    project = several(tmp_path, staging={"account": None}, production={"account": None})
    with pytest.raises(MlopsError) as caught:
        Deployment(Target(project, "dev"), DeployRequest(), lambda _: None, lambda _: None)
    for name in ("staging", "production"):
        assert str(caught.value).count(f"config/{name}.yaml has no value for `account`.") == 1


def test_names_of_another_account_follow_from_the_configuration(tmp_path: Path) -> None:
    known = across.values(Target(several(tmp_path), "dev"), "staging")
    staging, dev = (Names(SLUG, project_id(number, REGION, SLUG)) for number in (STAGING, DEV))
    assert known["StagingReleaseRoleArn"] == f"arn:aws:iam::{STAGING}:role/{staging.of('ship')}"
    assert (known["ModelBucket"], known["RegistryAccount"], known["AccountHolds"]) == (
        dev.model_bucket, DEV, "workload",
    )  # fmt: skip
    assert set(across.values(Target(Project(tmp_path), "dev"), "dev")) == set(
        across.parameters(Target(Project(tmp_path), "dev"), "dev")
    )
    assert across.values(Target(small_project(tmp_path / "one"), "dev"), "dev") == {}


def trains(folder: Path, deployed_by: Any) -> Target:
    """A small project that trains what another deploys."""
    several(folder)
    answers = json.loads((folder / "project.yaml").read_text())
    (folder / "project.yaml").write_text(json.dumps({**answers, "project_scope": "build-train"}))
    for name in ("staging", "production"):
        (folder / f"config/{name}.yaml").unlink()
    (folder / "infra/endpoint.yaml").unlink()
    (folder / "config/dev.yaml").write_text(json.dumps({"account": DEV, "deployed_by": deployed_by}))
    return Target(Project(folder), "dev")


@pytest.mark.parametrize("deployer", ["deployer", "visits-*", "*"])
def test_a_project_that_trains_is_in_one_account_and_knows_who_deploys_where(tmp_path: Path, deployer: str) -> None:
    target = trains(tmp_path, {"project": deployer, "staging": STAGING, "production": PRODUCTION})
    assert {one.account for one in target.stacks} == {"dev"}
    assert across.values(target, "dev") == {
        "DeployingProject": deployer, "StagingAccount": STAGING, "ProductionAccount": PRODUCTION,
    }  # fmt: skip
    assert set(across.parameters(target, "dev")) == across.values(target, "dev").keys()


@pytest.mark.parametrize(
    ("deployed_by", "said"),
    [
        (None, "no value for `deployed_by.project`, `deployed_by.staging`, `deployed_by.production`.\n  Set the short"),
        ({"project": "deployer", "staging": STAGING}, "no value for `deployed_by.production`."),
        ({"project": "Deployer", "staging": STAGING, "production": PRODUCTION}, '`deployed_by.project: "Deployer"`.'),
        ({"project": "deployer", "staging": 2, "production": PRODUCTION}, "`deployed_by.staging: 2`.\n  Use twelve"),
        ({"project": "deployer", "staging": DEV, "production": PRODUCTION}, f"an account twice: {DEV}, {DEV}, "),
        ({"project": "deployer", "staging": STAGING, "production": STAGING}, f": {DEV}, {STAGING}, {STAGING}."),
    ],
)
def test_who_deploys_where_has_to_be_said(tmp_path: Path, deployed_by: Any, said: str) -> None:
    with pytest.raises(MlopsError) as refused:
        across.values(trains(tmp_path, deployed_by), "dev")
    assert str(refused.value).startswith("config/dev.yaml has ")
    assert said in str(refused.value)


def test_only_a_project_that_trains_says_who_deploys(tmp_path: Path) -> None:
    several(tmp_path, dev={"deployed_by": {"project": "deployer"}})
    with pytest.raises(MlopsError, match=r"`deployed_by` in config/dev.yaml has no effect"):
        Project(tmp_path).environment("dev")


def test_a_project_that_deploys_is_told_what_is_registered_by_its_configuration(tmp_path: Path) -> None:
    several(tmp_path)
    answers = json.loads((tmp_path / "project.yaml").read_text())
    (tmp_path / "project.yaml").write_text(json.dumps({**answers, "project_scope": "deploy"}))
    known = across.values(Target(Project(tmp_path), "dev"), "staging")
    assert known["RegistryAccount"] == DEV
    assert not {"ModelBucket", "BaselineBucket", "ModelPackageGroup"} & known.keys()


def test_another_account_is_entered_as_the_configured_role_and_as_that_of_a_build(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dev, staging, _ = accounts(cloud)
    for name in ("administrator", "ship"):
        role(staging, name, allow(root(DEV), "sts:AssumeRole"))
    target = Target(several(tmp_path, staging={"assume_role": "administrator"}), "staging")
    dev.enter(monkeypatch)
    target.account.verify()
    assert f":{STAGING}:assumed-role/administrator/" in target.account.caller
    target.account.ssm.put_parameter(Name="/there", Value="1", Type="String")
    assert staging.client("ssm").get_parameter(Name="/there")["Parameter"]["Value"] == "1"
    monkeypatch.setenv("MLOPS_ROLE_STAGING", f"arn:aws:iam::{STAGING}:role/ship")
    assert Account.of(target.settings).assumes == f"arn:aws:iam::{STAGING}:role/ship"
    staging.enter(monkeypatch)  # whoever is there already assumes nothing
    monkeypatch.delenv("MLOPS_ROLE_STAGING")
    assert f":{STAGING}:user/" in Account.of(target.settings).caller


def test_a_role_that_may_not_be_assumed_is_named(cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dev, _, _ = accounts(cloud)
    dev.enter(monkeypatch)
    target = Target(several(tmp_path, staging={"assume_role": "missing"}), "staging")
    with pytest.raises(MlopsError, match=r"AccessDenied.*role/missing") as refused:
        target.account.verify()
    assert refused.value.exit_code == 1
