"""The functions of the training pipeline in an account: what they find, what they refuse, and what they may do."""

import json
from pathlib import Path
from typing import Any

import pytest
from moto.sagemaker.exceptions import AWSValidationException
from moto.sagemaker.models import SageMakerModelBackend

from mlops.cli.main import main
from standin.account import StandInAccount
from standin.calls import CallRecord
from standin.lambdas import invoke
from standin.needs import keys, needs
from tests.infra.deployed import NAMES
from tests.infra.rendered import SLUG, configured
from tests.infra.retraining import Retraining, retraining
from tests.projects import Bake

RESOLVE, CONFIRM = f"{SLUG}-resolve-data", f"{SLUG}-confirm-data"
DATA = f"s3://{NAMES.data_bucket}/{SLUG}/data/"
NOTHING_GIVEN = {
    "input_data": DATA,
    "data_version": "auto",
    "champion_arn": "auto",
    "champion_model": "auto",
    "no_champion": f"s3://{NAMES.data_bucket}/{SLUG}/no-champion/",
}


@pytest.fixture
def project(account: StandInAccount) -> Retraining:
    """A project with data."""
    deployed = retraining(account, "manual")
    deployed.upload("january.csv", "part/february.csv", "_SUCCESS")
    return deployed


def resolved(project: Retraining, **given: str) -> dict[str, str]:
    """What the first step of a run finds."""
    answer, error = invoke(project.account, RESOLVE, {**NOTHING_GIVEN, **given})
    assert error == ""
    found: dict[str, str] = answer
    return found


def register(project: Retraining, data_version: str) -> str:
    """Register an approved version that says what it was trained on."""
    sagemaker, arn = project.account.client("sagemaker"), project.register(data_version)
    metadata = {"DataVersion": data_version, "InputDataUri": DATA}
    sagemaker.update_model_package(ModelPackageArn=arn, CustomerMetadataProperties=metadata)
    return arn


def test_the_first_step_lists_the_data_and_finds_the_champion(project: Retraining) -> None:
    first = resolved(project)
    assert first == {
        "DataVersion": project.data_version(),
        "ChampionArn": "none",
        "ChampionModelUri": NOTHING_GIVEN["no_champion"],
    }
    listed = project.manifest(first["DataVersion"])
    assert [each["key"] for each in listed] == [f"{SLUG}/data/january.csv", f"{SLUG}/data/part/february.csv"]
    assert all(each["size"] == 4 for each in listed)
    arn = project.register(first["DataVersion"])
    assert resolved(project)["ChampionArn"] == arn
    assert resolved(project)["ChampionModelUri"] == "s3://models/model.tar.gz"


def test_other_data_than_the_given_version_fail_the_run(project: Retraining) -> None:
    before = resolved(project)["DataVersion"]
    assert resolved(project, data_version=before)["DataVersion"] == before
    project.upload("january.csv", content=b"a\n2\n")
    _, error = invoke(project.account, RESOLVE, {**NOTHING_GIVEN, "data_version": before})
    assert f"The data are version {project.data_version()}, not {before}" in error


def test_data_that_changed_while_it_was_read_fail_the_run(project: Retraining) -> None:
    event = {"input_data": DATA, "data_version": resolved(project)["DataVersion"]}
    assert invoke(project.account, CONFIRM, event) == ({}, "")
    project.upload("march.csv")
    _, error = invoke(project.account, CONFIRM, event)
    assert "The data changed while it was read" in error


def test_without_data_a_run_fails_with_the_reason(project: Retraining) -> None:
    _, error = invoke(project.account, RESOLVE, {**NOTHING_GIVEN, "input_data": f"{DATA}nothing/"})
    assert f"No data below {DATA}nothing/" in error


def test_a_registry_that_cannot_be_read_is_not_one_without_a_champion(
    project: Retraining, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(*_: object, **__: object) -> None:
        raise AWSValidationException("the registry cannot be read")

    monkeypatch.setattr(SageMakerModelBackend, "list_model_packages", unreadable)
    answer, error = invoke(project.account, RESOLVE, NOTHING_GIVEN)
    assert answer is None
    assert "the registry cannot be read" in error


def test_the_functions_may_do_what_they_do_and_nothing_more(
    account: StandInAccount, project: Retraining, record: CallRecord
) -> None:
    first = resolved(project)
    project.register(first["DataVersion"])
    resolved(project)
    assert invoke(account, CONFIRM, {"input_data": DATA, "data_version": first["DataVersion"]})[1] == ""
    calls = [call for call in record.calls() if call.role == project.role("pipef")]
    logs = project.logs(f"/aws/lambda/{RESOLVE}", f"/aws/lambda/{CONFIRM}")
    assert project.judged("pipef", [*needs(calls, keys(account)), *logs]) == []


@pytest.fixture
def trained(project: Retraining, rendering: Bake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Retraining:
    """An account with a version, in whose project the test runs; its data have changed since."""
    folder = rendering(project_slug=SLUG, retraining_strategy="manual")
    monkeypatch.chdir(configured(folder, tmp_path, account=project.account.id))
    project.account.enter(monkeypatch)
    register(project, resolved(project)["DataVersion"])
    project.upload("january.csv", content=b"a\n2\n")
    return project


def data(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main(["data", "1", "--environment", "dev", "--json", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_verb_lists_what_a_version_was_trained_on(trained: Retraining, capsys: pytest.CaptureFixture[str]) -> None:
    listed = data(capsys)
    assert [(each["key"], each["size"], each["readable"]) for each in listed["objects"]] == [
        (f"{SLUG}/data/january.csv", 4, True),
        (f"{SLUG}/data/part/february.csv", 4, True),
    ]
    assert main(["data", "latest", "--environment", "dev"]) == 0
    text = capsys.readouterr().out
    assert f"Version 1 was trained on data version {listed['data_version']}, below {DATA}" in text
    assert "all can be read" in text


def test_the_verb_restores_the_versions_that_were_read(trained: Retraining, capsys: pytest.CaptureFixture[str]) -> None:
    prefix = f"s3://{NAMES.data_bucket}/{SLUG}/restored/1/"
    assert data(capsys, "--restore", prefix)["restored"] == prefix
    s3 = trained.account.client("s3")
    january = s3.get_object(Bucket=NAMES.data_bucket, Key=f"{SLUG}/restored/1/january.csv")["Body"].read()
    assert january == b"a\n1\n"
    assert s3.get_object(Bucket=NAMES.data_bucket, Key=f"{SLUG}/restored/1/part/february.csv")["ContentLength"] == 4
    assert main(["data", "1", "--environment", "dev", "--restore", prefix]) == 2
    assert f"There are objects below {prefix}" in capsys.readouterr().err
    assert main(["data", "1", "--environment", "dev", "--restore", f"{DATA}old/"]) == 2
    assert "would read what is below" in capsys.readouterr().err


def test_what_is_gone_is_named_and_nothing_is_restored(trained: Retraining, capsys: pytest.CaptureFixture[str]) -> None:
    january = next(each for each in data(capsys)["objects"] if each["key"].endswith("january.csv"))
    s3 = trained.account.client("s3")
    s3.delete_object(Bucket=NAMES.data_bucket, Key=january["key"], VersionId=january["version"])
    assert [each["readable"] for each in data(capsys)["objects"]] == [False, True]
    prefix = f"{SLUG}/restored/"
    assert main(["data", "1", "--environment", "dev", "--restore", f"s3://{NAMES.data_bucket}/{prefix}"]) == 1
    error = capsys.readouterr().err
    assert "1 of 2 objects can no longer be read, so none was copied:" in error
    assert january["key"] in error
    assert s3.list_objects_v2(Bucket=NAMES.data_bucket, Prefix=prefix)["KeyCount"] == 0


def test_a_version_of_an_older_release_has_no_list(trained: Retraining, capsys: pytest.CaptureFixture[str]) -> None:
    register(trained, "0123456789abcdef")
    assert main(["data", "2", "--environment", "dev"]) == 1
    assert "The objects that version 2 was trained on were not listed" in capsys.readouterr().err
