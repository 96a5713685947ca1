import json
import shutil
from pathlib import Path

import boto3
import pytest

from mlops.base.errors import MlopsError
from mlops.pipeline import bundle, submission
from mlops.project.account import Account
from mlops.project.project import Project
from mlops.project.target import Target
from standin.account import ACCOUNT, REGION
from standin.calls import CallLog
from tests.places import BUCKET, PLACE, ROLE

PIPELINE = "doctor-visits-training"


pytestmark = pytest.mark.usefixtures("with_bucket")


@pytest.fixture(scope="module")
def dev(compiled_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Target:
    """The default project with its account filled in, and compiled for it."""
    root = Path(shutil.copytree(compiled_project, tmp_path_factory.mktemp("dev") / "project", symlinks=True))
    path = root / "config/dev.yaml"
    text = path.read_text(encoding="utf-8")
    for key, value in (("account", f"'{ACCOUNT}'"), *PLACE.items()):
        text = text.replace(f"{key}: null", f"{key}: {value}")
    path.write_text(text, encoding="utf-8")
    project = Project(root)
    target = Target(project, "dev")
    bundle.current(target)
    return target


@pytest.fixture
def account(dev: Target) -> Account:
    return dev.account


@pytest.mark.slow
def test_the_second_upsert_changes_nothing(dev: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    session = boto3.Session(region_name=REGION)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", session)
    with CallLog(session) as calls:
        first = submission.submit(dev)
        assert first.outcome == "created"
        objects = len(bundle.current(dev).manifest["objects"])
        manifests = [uri for uri in first.uploaded if "/manifests/" in uri]
        assert (len(first.uploaded), len(manifests)) == (objects + 1, 1)
        assert calls.changing == ["PutObject"] * (objects + 2) + ["CreatePipeline"]  # the definition too
        calls.clear()
        second = submission.submit(dev)
        assert (second.outcome, second.uploaded) == ("unchanged", [])
        assert calls.operations
        assert calls.changing == []
    assert first.pipeline_arn == second.pipeline_arn


@pytest.mark.slow
def test_what_is_upserted_is_the_bundle_to_the_byte(dev: Target, account: Account) -> None:
    result = submission.submit(dev)
    compiled = bundle.current(dev)
    assert result.definition_sha256 == compiled.definition_sha256
    described = account.sagemaker.describe_pipeline(PipelineName=PIPELINE)
    assert described["PipelineDefinition"] == compiled.definition_text
    assert described["RoleArn"] == ROLE
    for entry in compiled.manifest["objects"]:
        bucket, _, key = entry["path"].partition("/")
        body = account.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        assert body == (compiled.objects / entry["path"]).read_bytes()


@pytest.mark.parametrize("given", [{}, {"RunReason": "new data"}], ids=str)
def test_a_run_is_started_with_nothing_that_is_not_given(dev: Target, account: Account, given: dict[str, str]) -> None:
    submission.submit(dev)
    arn = submission.start(dev, PIPELINE, given)
    listed = account.sagemaker.list_pipeline_parameters_for_execution(PipelineExecutionArn=arn)
    assert {entry["Name"]: entry["Value"] for entry in listed["PipelineParameters"]} == given


@pytest.mark.parametrize("reason", ["drift in age, income", "", "x" * 257])
def test_a_run_whose_model_could_not_be_registered_is_not_started(
    dev: Target, account: Account, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    submission.submit(dev)
    account.s3.put_object(Bucket=BUCKET, Key="doctor-visits/data/visits.csv", Body=b"1")
    session = boto3.Session(region_name=REGION)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", session)
    with CallLog(session) as calls:
        with pytest.raises(MlopsError, match="Parameter RunReason cannot be") as caught:
            submission.start(Target(dev.project, "dev"), PIPELINE, {"RunReason": reason})  # whose calls are logged
        assert caught.value.exit_code == 2
        assert calls.operations
        assert calls.changing == []


def test_an_account_that_is_not_filled_in_is_refused_before_any_call(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/base.yaml").touch()
    (tmp_path / "config/dev.yaml").write_text("bucket: null\n", encoding="utf-8")
    (tmp_path / "project.yaml").write_text(
        json.dumps(
            {"project_slug": "x", "aws_region": REGION, "account_layout": "single", "project_scope": "build-train"}
        ),
        encoding="utf-8",
    )
    with pytest.raises(MlopsError, match="has no value for `account`"):
        submission.submit(Target(Project(tmp_path), "dev"))


def test_the_local_environment_cannot_be_upserted(dev: Target) -> None:
    with pytest.raises(MlopsError, match="is this machine"):
        submission.submit(dev.at("local"))
