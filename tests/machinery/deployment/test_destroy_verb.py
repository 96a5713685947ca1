"""`destroy` in a small project, against a stand-in account."""

from pathlib import Path
from typing import Any

import boto3
import pytest

from standin.account import StandInAccount
from tests.machinery.deployment.deploying import Shell, shell
from tests.machinery.deployment.small_project import GROUP, NAMES, register


@pytest.fixture
def run(
    account: StandInAccount, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Shell:
    """A project that is deployed to staging."""
    run = shell(account, tmp_path / "project", capsys, monkeypatch)

    def deploy() -> None:
        assert run("deploy", "--environment", "dev", "--yes") == 0
        register(account, "Approved")
        assert run("deploy", "--environment", "staging", "--yes") == 0, run.error
        account.client("sagemaker").create_model(ModelName="of-others", PrimaryContainer={"Image": "image"})

    account.cloud.once("a small project in staging", deploy)
    return run


def buckets(account: StandInAccount) -> list[str]:
    return [bucket["Name"] for bucket in account.client("s3").list_buckets()["Buckets"]]


def endpoint_config(account: StandInAccount, name: str, tags: dict[str, str]) -> None:
    account.client("sagemaker").create_endpoint_config(
        EndpointConfigName=name,
        ProductionVariants=[
            {"VariantName": "A", "ModelName": "of-others", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
        ],
        Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
    )


def test_the_stacks_of_an_environment_are_removed_in_reverse(run: Shell) -> None:
    removed = run.json("destroy", "--environment", "staging", "--yes")
    assert removed["stacks"] == ["visits-staging-api", "visits-staging-endpoint"]
    assert removed["leftovers"] == removed["retained"] == []
    assert run.stacks() == ["visits-data", "visits-workload"]
    assert run.account.client("sagemaker").list_endpoints()["Endpoints"] == []
    assert run.live("staging") is None
    again = run.json("destroy", "--environment", "staging", "--yes")
    assert again["stacks"] == []


def test_what_all_environments_stand_on_is_removed_last(run: Shell) -> None:
    assert run("destroy", "--environment", "dev", "--yes") == 2
    assert "The stacks of staging depend on the stacks of dev" in run.error
    assert "destroy --environment staging" in run.error
    assert run.stacks() == ["visits-data", "visits-workload", "visits-staging-endpoint", "visits-staging-api"]


def test_data_and_its_key_stay_and_it_is_said_how_to_remove_them(run: Shell) -> None:
    run.account.client("s3").put_object(Bucket=NAMES.of("logs"), Key="a/log", Body=b"line")
    assert run("destroy", "--environment", "staging", "--yes") == 0
    removed = run.json("destroy", "--environment", "dev", "--yes")
    assert removed["stacks"] == ["visits-workload", "visits-data"]
    assert run.stacks() == []
    assert buckets(run.account) == [NAMES.data_bucket]
    bucket = next(one for one in removed["retained"] if one["type"] == "AWS::S3::Bucket")
    assert bucket["id"] == NAMES.data_bucket
    assert f"delete-bucket --bucket {NAMES.data_bucket}" in bucket["remedy"]
    key = next(one for one in removed["retained"] if one["type"] == "AWS::KMS::Key")
    assert f"schedule-key-deletion --key-id {key['id']}" in key["remedy"]
    state = run.account.client("kms").describe_key(KeyId=key["id"])["KeyMetadata"]["KeyState"]
    assert state == "Enabled"


def test_every_version_of_every_object_goes_with_a_bucket_that_is_not_retained(run: Shell) -> None:
    s3, logs = run.account.client("s3"), NAMES.of("logs")
    s3.put_bucket_versioning(Bucket=logs, VersioningConfiguration={"Status": "Enabled"})
    for _ in range(2):
        s3.put_object(Bucket=logs, Key="log", Body=b"line")
    s3.delete_object(Bucket=logs, Key="log")
    assert run("destroy", "--environment", "staging", "--yes") == 0
    assert run("destroy", "--environment", "dev", "--yes") == 0, run.error
    assert logs not in buckets(run.account)


def test_what_a_failed_stack_left_behind_goes_and_what_is_of_others_stays(run: Shell) -> None:
    endpoint_config(run.account, "Left-Behind", NAMES.tags("staging"))
    endpoint_config(run.account, "of-production", NAMES.tags("production"))
    endpoint_config(run.account, "of-another-project", {**NAMES.tags("staging"), "sagemaker:project-name": "other"})
    sagemaker = run.account.client("sagemaker")
    tags = [{"Key": key, "Value": value} for key, value in NAMES.tags("staging").items()]
    sagemaker.create_model(ModelName="half-made", PrimaryContainer={"Image": "image"}, Tags=tags)
    assert run("destroy", "--environment", "staging", "--yes") == 0, run.error
    assert "half-made" in run.error
    assert [one["ModelName"] for one in sagemaker.list_models()["Models"]] == ["of-others"]
    names = {one["EndpointConfigName"] for one in sagemaker.list_endpoint_configs()["EndpointConfigs"]}
    assert names == {"of-production", "of-another-project"}


def test_what_has_gone_since_it_was_listed_is_passed_over(run: Shell) -> None:
    assert run("destroy", "--environment", "staging", "--yes") == 0
    endpoint_config(run.account, "Going", NAMES.tags("staging"))
    endpoint_config(run.account, "Left", NAMES.tags("staging"))
    sagemaker = run.account.client("sagemaker")

    def vanish(**_: Any) -> None:
        sagemaker.delete_endpoint_config(EndpointConfigName="Going")

    once = iter([vanish])
    session = boto3.DEFAULT_SESSION = boto3.Session()
    session.events.register(
        "before-call.sagemaker.ListTags", lambda **asked: next(once, lambda **_: None)(**asked), unique_id="vanish"
    )
    removed = run.json("destroy", "--environment", "staging", "--yes")
    assert [arn.rpartition("/")[2] for arn in removed["leftovers"]] == ["Left"]


def test_a_half_made_endpoint_goes_too(run: Shell) -> None:
    sagemaker = run.account.client("sagemaker")
    assert run("destroy", "--environment", "staging", "--yes") == 0
    tags = [{"Key": key, "Value": value} for key, value in NAMES.tags("staging").items()]
    endpoint_config(run.account, "kept", {})
    sagemaker.create_endpoint(EndpointName="visits-staging", EndpointConfigName="kept", Tags=tags)
    removed = run.json("destroy", "--environment", "staging", "--yes")
    assert [arn.rpartition("/")[2] for arn in removed["leftovers"]] == ["visits-staging"]
    assert sagemaker.list_endpoints()["Endpoints"] == []


def test_one_stack_is_removed_by_name_and_nothing_else(run: Shell) -> None:
    endpoint_config(run.account, "left-behind", NAMES.tags("staging"))
    removed = run.json("destroy", "--environment", "staging", "--stack", "api", "--yes")
    assert (removed["stacks"], removed["leftovers"]) == (["visits-staging-api"], [])
    assert run.live("staging") == f"{GROUP}/1"


def test_the_projects_name_is_to_be_typed(run: Shell) -> None:
    before = run.stacks()
    assert run("destroy", "--environment", "staging") == 2
    assert "Add --yes" in run.error
    assert run("destroy", "--environment", "staging", "--stack", "mars") == 2
    assert "There is no stack 'mars' here." in run.error
    assert run("destroy", "--environment", "staging", typed="y\n") == 1
    assert "Nothing was removed" in run.error
    assert run.stacks() == before
    assert run("destroy", "--environment", "staging", typed="visits\n") == 0
    assert run.stacks() == ["visits-data", "visits-workload"]


def test_staging_is_removed_without_production(run: Shell) -> None:
    assert run("deploy", "--environment", "production", "--yes") == 0, run.error
    assert run("destroy", "--environment", "staging", "--yes") == 0
    assert run.live("production") == f"{GROUP}/1"
    assert run("destroy", "--environment", "dev", "--yes") == 2
    assert "The stacks of production depend" in run.error


def test_a_removal_that_ended_before_it_said_so_is_finished_by_the_next(run: Shell) -> None:
    run.account.client("cloudformation").delete_stack(StackName="visits-staging-endpoint")
    assert run.live("staging") == f"{GROUP}/1"
    assert run("destroy", "--environment", "staging", "--stack", "api", "--yes") == 0, run.error
    assert run.live("staging") == f"{GROUP}/1"
    assert run("destroy", "--environment", "staging", "--yes") == 0, run.error
    assert run.live("staging") is None
