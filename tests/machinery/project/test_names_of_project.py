import hashlib
import json
from pathlib import Path

import pytest

from mlops.base.errors import MlopsError
from mlops.project.names import Names, project_id
from mlops.project.project import Project
from mlops.project.target import Target
from standin.template import parse, resolve
from tests.infra.checks.names import LONGEST, physical_name
from tests.infra.rendered import texts
from tests.infra.samples import sample
from tests.machinery.deployment.small_project import ACCOUNT, NAMES, REGION, SLUG, small_project


def write(root: Path, environment: str, **settings: object) -> Project:
    (root / f"config/{environment}.yaml").write_text(json.dumps(settings))
    return Project(root)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return small_project(tmp_path).root


def test_an_id_is_made_of_account_region_and_name() -> None:
    digest = hashlib.sha256(f"{ACCOUNT}/{REGION}/{SLUG}".encode()).hexdigest()
    assert project_id(ACCOUNT, REGION, SLUG) == f"p-{digest[:12]}"
    assert len({project_id(*place) for place in ((ACCOUNT, REGION, SLUG), ("9" * 12, REGION, SLUG))}) == 2


def test_the_longest_bucket_and_role_fit() -> None:
    names = Names("a" * 32, project_id(ACCOUNT, REGION, SLUG))
    assert len(names.data_bucket) <= 63
    assert len(names.of("deploy")) <= 64


def test_stacks_of_all_environments_name_none() -> None:
    assert NAMES.stack("data", "dev") == "visits-data"
    assert NAMES.stack("endpoint", "staging") == "visits-staging-endpoint"
    assert NAMES.live_parameter("production") == "/visits/live/production"


def made(**answers: str) -> set[str | None]:
    """What the stacks of a project with some answers name what they make, at the longest slug."""
    stacks = [resolve(template, {**sample(template), **LONGEST}) for template in map(parse, texts(answers).values())]
    return {physical_name(stack, logical) for stack in stacks for logical in stack.resources}


def test_the_stacks_name_what_they_make_as_verbs_do() -> None:
    names = Names(*LONGEST.values())
    shared = {names.data_bucket, names.model_bucket, names.capture_bucket, names.artifact_bucket, names.pipeline_role}
    shared |= {names.validate_data_function}
    assert {*shared, names.endpoint("production")} <= made(inference="realtime")
    assert {*shared, names.schedule_group("production"), names.schedule("production")} <= made(inference="batch")
    assert {*shared, names.image_parameter, names.image_pipeline} <= made(training_image="custom")


def test_the_account_is_all_that_a_person_fills_in(root: Path) -> None:
    environment = write(root, "dev", account=ACCOUNT, bucket=None).environment("dev")
    assert environment["bucket"] == NAMES.data_bucket
    assert environment["pipeline_role"] == f"arn:aws:iam::{ACCOUNT}:role/{NAMES.pipeline_role}"
    assert environment["project_id"] == NAMES.id


def test_what_the_configuration_says_goes_before(root: Path) -> None:
    project = write(root, "dev", account=ACCOUNT, bucket="mine", project_id="p-0123456789ab")
    target = Target(project, "dev")
    account = target.account
    assert account.bucket == "mine"
    assert account.role.endswith("role/sagemaker-visits-p-0123456789ab-pipe")
    assert target.names.id == "p-0123456789ab"


def test_staging_and_production_are_where_dev_is(root: Path) -> None:
    project = write(root, "dev", account=ACCOUNT, project_id="p-0123456789ab", bucket="mine")
    write(root, "staging", account=None, stacks={"endpoint": {}})
    for name in ("staging", "production"):
        environment = project.environment(name)
        assert (environment["account"], environment["bucket"]) == (ACCOUNT, "mine")
        assert Target(project, name).names == Target(project, "dev").names


def test_another_account_has_names_of_its_own(root: Path) -> None:
    project = write(root, "staging", account="210987654321")
    assert (
        Target(project, "staging").names.id
        == project_id("210987654321", REGION, SLUG)
        != Target(project, "dev").names.id
    )


@pytest.mark.parametrize("account", [123456789012, "12345678901", "1234-5678-9012", ""])
def test_an_account_that_is_none_is_refused_with_an_example(root: Path, account: object) -> None:
    project = write(root, "dev", account=account)
    for name in ("dev", "staging"):
        with pytest.raises(MlopsError, match=r"config/dev.yaml has an invalid value: `account: ") as caught:
            project.environment(name)
        assert 'in quotes: "123456789012"' in caught.value.remedy


def test_this_machine_keeps_its_explicit_stand_ins(root: Path) -> None:
    environment = write(root, "local", account="000000000000").environment("local")
    with pytest.raises(MlopsError, match=r"config/local.yaml has no value for `bucket`"):
        environment["bucket"]


def test_without_an_account_nothing_is_named(root: Path) -> None:
    environment = write(root, "dev", account=None).environment("dev")
    assert environment.missing("account", "bucket", "project_id") == ["account", "bucket", "project_id"]
