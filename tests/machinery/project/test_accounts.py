"""Accounts of environments: which stacks are in which, what is refused, and how another account is entered."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from mlops.base.errors import MlopsError
from mlops.deployment import across
from mlops.deployment.deploy import Deployment, DeployRequest
from mlops.project import keys
from mlops.project.account import Account
from mlops.project.names import Names, project_id
from mlops.project.project import Project
from mlops.project.stacks import ACCOUNTS, TABLE, placed, selected
from mlops.project.target import Target
from standin.account import REGION, Cloud
from tests.answers import QUESTIONS
from tests.machinery.deployment.small_project import SLUG, small_project
from tests.standin.several_accounts import DEV, PRODUCTION, STAGING, accounts, allow, role, root

LAKE, ARTIFACTS_ACCOUNT, CICD_ACCOUNT = "555555555555", "666666666666", "777777777777"
EXPERIMENTATION_ACCOUNT = "888888888888"
NUMBERS = {"dev": DEV, "staging": STAGING, "production": PRODUCTION}


def several(folder: Path, **overlays: dict[str, Any]) -> Project:
    """A small project whose environments have accounts of their own."""
    project = small_project(folder)
    answers = json.loads((folder / "project.yaml").read_text())
    (folder / "project.yaml").write_text(json.dumps({**answers, "account_layout": "multi"}))
    for name, number in NUMBERS.items():
        stacks = {"endpoint": {"instance_type": "ml.m5.large"}} if name != "dev" else {"workload": {"record_days": 7}}
        own = {"account": number, "stacks": stacks, **({"copy_captured_data": False} if name != "dev" else {})}
        content = {**own, **overlays.get(name, {})}
        (folder / f"config/{name}.yaml").write_text(json.dumps(content))
    return project


def organization(folder: Path, **overlays: dict[str, Any]) -> Project:
    """A small project each of whose parts has an account of its own."""
    further = {
        "data-lake": {"account": LAKE, "assume_role": "administrator"},
        "artifacts": {"account": ARTIFACTS_ACCOUNT},
        "cicd": {"account": CICD_ACCOUNT},
        "experimentation": {"account": EXPERIMENTATION_ACCOUNT},
    }
    project = several(folder, **{**overlays, "dev": {"accounts": further, **overlays.get("dev", {})}})
    answers = json.loads((folder / "project.yaml").read_text())
    (folder / "project.yaml").write_text(json.dumps({**answers, "account_layout": "organization"}))
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
    assert all(stack.accounts("single") == ("dev",) for stack in TABLE if not stack.beside)


def test_templates_and_machinery_have_the_same_accounts() -> None:
    assert {layout: dict(accounts) for layout, accounts in ACCOUNTS.items()} == QUESTIONS["_accounts"]


def test_each_part_of_a_project_of_an_organization_is_in_an_account_of_its_own(tmp_path: Path) -> None:
    root_ = organization(tmp_path).root
    (root_ / "infra/registry.yaml").write_text((root_ / "infra/data.yaml").read_text())
    assert [(one.stack.name, one.account) for one in placed(root_, "dev", "organization")] == [
        ("data", "data-lake"),
        *(("data", "artifacts"), ("registry", "artifacts")),
        *(("data", "operations"), ("data", "cicd"), ("data", "experimentation")),
        *(("data", "staging"), ("workload", "staging")),
        *(("data", "production"), ("workload", "production")),
    ]  # fmt: skip
    for stack in TABLE:
        accounts_ = stack.accounts("organization")
        assert len(set(accounts_)) == len(accounts_) >= len(stack.accounts("multi"))


def test_what_trains_is_in_operations_its_data_in_the_lake_and_its_models_in_artifacts(
    tmp_path: Path,
) -> None:
    dev = Target(organization(tmp_path), "dev")
    lake, artifacts, operations = (
        Names(SLUG, project_id(number, REGION, SLUG)) for number in (LAKE, ARTIFACTS_ACCOUNT, DEV)
    )
    assert (dev.account.id, dev.account.bucket, dev.account.data_lake) == (DEV, lake.data_bucket, LAKE)
    assert dev.settings["model_bucket"] == artifacts.model_bucket
    assert dev.account.role == f"arn:aws:iam::{DEV}:role/{operations.pipeline_role}"
    assert dev.registration == f"arn:aws:sagemaker:{REGION}:{ARTIFACTS_ACCOUNT}:model-package-group/{SLUG}"
    assert keys.alias(dev, "data_key") == f"arn:aws:kms:{REGION}:{LAKE}:alias/{SLUG}-data"
    assert keys.alias(dev, "model_key") == f"arn:aws:kms:{REGION}:{ARTIFACTS_ACCOUNT}:alias/{SLUG}-model"
    for place in dev.places:  # what is deployed to an account uses the bucket there
        assert place.account.bucket == place.names.data_bucket
        assert place.account.data_lake == place.account.id
    assert [place.account_name for place in dev.places] == [
        *("data-lake", "artifacts", "operations", "cicd", "experimentation")
    ]
    production = Target(dev.project, "production")
    assert (production.registry.account.id, production.registry.account_name) == (ARTIFACTS_ACCOUNT, "artifacts")


def test_experiments_have_an_account_of_their_own_and_register_nothing(tmp_path: Path) -> None:
    project = organization(tmp_path)
    (tmp_path / "config/experimentation.yaml").write_text("own: {}\n")
    target = Target(project, "experimentation")
    own = Names(SLUG, project_id(EXPERIMENTATION_ACCOUNT, REGION, SLUG))
    assert (target.account.id, target.account.bucket) == (EXPERIMENTATION_ACCOUNT, own.data_bucket)
    assert target.settings["model_bucket"] == own.data_bucket
    assert target.experiments
    assert keys.alias(target, "model_key") == own.key_alias("data")
    assert target.registry.account.id == ARTIFACTS_ACCOUNT
    assert not Target(several(tmp_path / "other"), "experimentation").experiments
    others = {"data-lake": LAKE, "artifacts": ARTIFACTS_ACCOUNT, "cicd": CICD_ACCOUNT}
    project = organization(tmp_path, dev={"accounts": {name: {"account": one} for name, one in others.items()}})
    with pytest.raises(MlopsError, match=r"config/dev.yaml has no value for `accounts.experimentation.account`"):
        _ = Target(project, "experimentation").account


def test_an_account_of_an_organization_is_entered_as_its_own_role(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Target(organization(tmp_path), "dev").in_account("data-lake")
    assert lake.account.assumes == f"arn:aws:iam::{LAKE}:role/administrator"
    monkeypatch.setenv("MLOPS_ROLE_DATA_LAKE", f"arn:aws:iam::{LAKE}:role/ship")
    assert Target(lake.project, "dev", "data-lake").account.assumes == f"arn:aws:iam::{LAKE}:role/ship"


def test_all_accounts_that_an_organization_lacks_are_named_at_once(tmp_path: Path) -> None:
    project = organization(tmp_path, staging={"account": None}, dev={"accounts": {"cicd": {"account": DEV}}})
    with pytest.raises(MlopsError, match=r"`account` in .*dev.yaml and `accounts.cicd.account` in .* are the same"):
        project.environment("dev")
    project = organization(tmp_path, staging={"account": None}, dev={"accounts": {"cicd": {"account": "444444444444"}}})
    with pytest.raises(MlopsError) as caught:
        Deployment(Target(project, "dev"), DeployRequest(), lambda _: None, lambda _: None)
    for file, key in (
        ("dev", "accounts.data-lake.account"), ("dev", "accounts.artifacts.account"), ("staging", "account"),
    ):  # fmt: skip
        assert re.search(rf"config/{file}.yaml has no value for [^\n]*`{key}`", str(caught.value)), key


@pytest.mark.parametrize(
    ("accounts_", "said"),
    [
        ({"lake": {"account": LAKE}}, "`accounts.lake` in config/dev.yaml has no effect"),
        ({"cicd": {"acount": LAKE}}, "`accounts.cicd.acount` in config/dev.yaml has no effect"),
        ({"cicd": LAKE}, "is not a section"),
        ({"cicd": {"account": 12}}, "invalid value: `accounts.cicd.account: 12`"),
    ],
)
def test_a_wrong_account_is_refused_with_its_key(tmp_path: Path, accounts_: dict[str, Any], said: str) -> None:
    project = organization(tmp_path, dev={"accounts": accounts_})
    with pytest.raises(MlopsError, match=re.escape(said)):
        project.environment("dev")


def test_shared_stacks_are_set_in_dev_and_an_environment_may_differ(tmp_path: Path) -> None:
    own = {"stacks": {"workload": {"record_days": 30}, "endpoint": {"instance_type": "ml.m5.large"}}}
    project = several(tmp_path, production=own)
    assert project.environment("staging").stack("workload") == {"record_days": 7}
    assert project.environment("production").stack("workload") == {"record_days": 30}
    assert str(project.environment("staging").file("stacks.workload.record_days")) == "config/dev.yaml"


@pytest.mark.parametrize(("name", "other"), [("staging", "dev"), ("production", "staging")])
def test_environments_do_not_share_an_account(tmp_path: Path, name: str, other: str) -> None:
    several(tmp_path, **{name: {"account": NUMBERS[other]}})
    with pytest.raises(
        MlopsError, match=rf"`account` in config/{name}\.yaml and `account` in config/{other}\.yaml are the same"
    ):
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


@pytest.mark.parametrize("layout", ["multi", "organization"])
def test_the_names_of_what_is_in_other_accounts_are_known_before_those_accounts_are(
    tmp_path: Path, layout: str
) -> None:
    of = several(tmp_path) if layout == "multi" else organization(tmp_path)
    for account in dict.fromkeys(ACCOUNTS[layout].values()):
        target = Target(of, "dev").in_account(account)
        assert set(across.parameters(target, account)) == across.values(target, account).keys(), account


@pytest.mark.parametrize("given", [None, DEV])
def test_an_environment_without_all_its_accounts_says_so_alike_in_each_of_them(
    tmp_path: Path, given: str | None
) -> None:
    further = {"data-lake": {"account": LAKE}, "artifacts": {"account": None}, "cicd": {}, "experimentation": {}}
    of = organization(tmp_path, dev={"account": given, "accounts": further})
    missing = [*([] if given else ["account"]), *(f"accounts.{one}.account" for one in list(further)[1:])]
    said = f"config/dev.yaml has no value for {', '.join(f'`{key}`' for key in missing)}."
    for target in (Target(of, "dev"), *Target(of, "dev").places, Target(of, "experimentation")):
        with pytest.raises(MlopsError) as caught:
            target.account  # noqa: B018
        assert caught.value.message == said
    assert Target(of, "staging").account.id == STAGING


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
