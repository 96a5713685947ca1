import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from mlops.base.errors import MlopsError
from mlops.base.outcomes import CREATED, UNCHANGED, UPDATED
from mlops.pipeline.sagemaker import PipelineService
from mlops.project.account import Account, aws_errors
from mlops.registry.sagemaker import AwsRegistry
from mlops.store.objects import data_version, newest_versions, split_uri
from mlops.store.s3 import S3Store
from standin.account import ACCOUNT, REGION
from standin.calls import CallLog
from tests.machinery.pipeline.definitions import definition, processing
from tests.places import BUCKET, ROLE

TAGS = {"sagemaker:project-name": "visits"}


pytestmark = pytest.mark.usefixtures("with_bucket")


@pytest.fixture
def account() -> Account:
    return Account(id=ACCOUNT, region=REGION, bucket=BUCKET, role=ROLE)


@pytest.fixture
def service(account: Account) -> PipelineService:
    return PipelineService(account, S3Store(account))


def put(service: PipelineService, text: str, key: str = "visits/definitions/1.json", role: str = ROLE) -> str:
    return service.put("visits-training", text, role=role, key=key, description="Visits.", tags=TAGS)[1]


def with_parameters(*parameters: dict[str, Any]) -> str:
    return json.dumps(definition(processing("First", ""), parameters=parameters).content)


PARAMETERS = (
    {"Name": "DataVersion", "Type": "String"},
    {"Name": "Rounds", "Type": "Integer", "DefaultValue": 3},
    {"Name": "Status", "Type": "String", "DefaultValue": "on", "EnumValues": ["on", "off"]},
)


def test_credentials_of_another_account_are_refused_with_both_account_numbers(account: Account) -> None:
    with pytest.raises(MlopsError, match=f"for account {ACCOUNT} .* has 999999999999"):
        replace(account, id="999999999999").verify()


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        ("ExpiredToken", "expired. Sign in"),
        ("InvalidClientTokenId", "rejected these credentials"),
        ("AccessDeniedException", "permission for CreatePipeline"),
        ("NoSuchBucket", "Create the bucket"),
        ("ThrottlingException", "Try again in a minute"),
    ],
)
def test_an_error_of_aws_says_what_failed_and_what_to_do(code: str, remedy: str) -> None:
    error = ClientError({"Error": {"Code": code, "Message": "No."}}, "CreatePipeline")
    with pytest.raises(MlopsError) as caught, aws_errors("put the pipeline"):
        raise error
    assert caught.value.message == f"Cannot put the pipeline: CreatePipeline failed with {code}: No."
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (NoCredentialsError(), "no usable AWS credentials"),
        (EndpointConnectionError(endpoint_url="https://sts"), "cannot be reached"),
    ],
)
def test_missing_credentials_and_a_missing_network_are_told_apart(error: Exception, said: str) -> None:
    with pytest.raises(MlopsError, match=said), aws_errors("look"):
        raise error


def test_a_bucket_that_is_missing_is_named(account: Account) -> None:
    with pytest.raises(MlopsError, match="Bucket elsewhere does not exist"):
        S3Store(replace(account, bucket="elsewhere")).require_bucket()


def test_objects_that_are_there_already_are_not_uploaded_again(account: Account, tmp_path: Path) -> None:
    (tmp_path / BUCKET / "visits/code").mkdir(parents=True)
    (tmp_path / BUCKET / "visits/code/a.py").write_text("a")
    store = S3Store(account)
    assert store.upload_missing(tmp_path) == [f"s3://{BUCKET}/visits/code/a.py"]
    (tmp_path / BUCKET / "visits/code/b.py").write_text("b")
    assert store.upload_missing(tmp_path) == [f"s3://{BUCKET}/visits/code/b.py"]
    assert account.s3.get_object(Bucket=BUCKET, Key="visits/code/a.py")["Body"].read() == b"a"


def version_of_data(account: Account) -> str:
    return data_version(newest_versions(account.s3, BUCKET, "data/"))


def test_the_data_version_changes_with_content_names_and_number_of_objects(account: Account) -> None:
    versions = []
    for key, body in (("data/a.csv", b"1"), ("data/a.csv", b"2"), ("data/b.csv", b"1"), ("elsewhere/c.csv", b"1")):
        account.s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        versions.append(version_of_data(account))
    assert len(set(versions[:3])) == 3
    assert versions[3] == versions[2]
    account.s3.delete_object(Bucket=BUCKET, Key="data/b.csv")
    assert version_of_data(account) == versions[1]


def test_the_data_version_of_a_versioned_bucket_tells_a_rewritten_object_from_the_first(account: Account) -> None:
    account.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    account.s3.put_object(Bucket=BUCKET, Key="data/a.csv", Body=b"1")
    first = version_of_data(account)
    assert version_of_data(account) == first
    account.s3.put_object(Bucket=BUCKET, Key="data/a.csv", Body=b"1")
    assert version_of_data(account) != first


def test_a_missing_object_leaves_no_file_behind(account: Account, tmp_path: Path) -> None:
    with pytest.raises(MlopsError, match="Cannot download"):
        S3Store(account).download(f"s3://{BUCKET}/model.tar.gz", tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []


@pytest.mark.parametrize("uri", ["https://bucket/key", "s3://", "bucket/key"])
def test_what_is_no_s3_uri_is_refused(uri: str) -> None:
    with pytest.raises(MlopsError, match="is not an S3 URI"):
        split_uri(uri)


def test_a_pipeline_is_created_then_left_alone_then_updated(service: PipelineService) -> None:
    first, second = with_parameters(*PARAMETERS), with_parameters(*PARAMETERS[:2])
    with CallLog(service.account.sagemaker, service.account.s3) as calls:
        assert put(service, first) == CREATED
        assert calls.changing == ["PutObject", "CreatePipeline"]
        calls.clear()
        assert put(service, first) == UNCHANGED
        assert calls.changing == []
        assert put(service, second, "visits/definitions/2.json") == UPDATED
        assert calls.changing == ["PutObject", "UpdatePipeline"]
    assert service.definition("visits-training").content == json.loads(second)
    arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:pipeline/visits-training"
    tags = service.account.sagemaker.list_tags(ResourceArn=arn)["Tags"]
    assert tags == [{"Key": "sagemaker:project-name", "Value": "visits"}]


def test_another_role_is_a_reason_to_update(service: PipelineService) -> None:
    text = with_parameters(*PARAMETERS)
    assert put(service, text) == CREATED
    assert put(service, text, role=f"arn:aws:iam::{ACCOUNT}:role/other") == UPDATED


def test_a_run_is_started_with_the_values_given(service: PipelineService) -> None:
    put(service, with_parameters(*PARAMETERS))
    arn = service.start("visits-training", {"DataVersion": "abc", "Rounds": "5"})
    given = service.account.sagemaker.list_pipeline_parameters_for_execution(PipelineExecutionArn=arn)
    assert given["PipelineParameters"] == [
        {"Name": "DataVersion", "Value": "abc"},
        {"Name": "Rounds", "Value": "5"},
    ]


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({}, "No value for parameter DataVersion"),
        ({"DataVersion": "a", "Round": "5"}, "has no parameter Round.\n  Did you mean `Rounds`. Parameters: "),
        ({"DataVersion": "a", "Rounds": "five"}, "Rounds takes a value of type Integer"),
        ({"DataVersion": "a", "Status": "maybe"}, "Status cannot be 'maybe'"),
    ],
)
def test_a_run_with_wrong_parameters_is_not_started(
    service: PipelineService, overrides: dict[str, str], said: str
) -> None:
    put(service, with_parameters(*PARAMETERS))
    with CallLog(service.account.sagemaker) as calls, pytest.raises(MlopsError, match=said):
        service.start("visits-training", overrides)
    assert calls.changing == []


def test_starting_a_pipeline_that_is_not_there_says_to_upsert_it(service: PipelineService) -> None:
    with pytest.raises(MlopsError) as caught:
        service.start("visits-training", {})
    assert "upsert" in caught.value.remedy


def test_a_registry_that_cannot_be_read_is_an_error_and_not_an_empty_one(account: Account) -> None:
    def deny(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "DescribeModelPackageGroup")

    account.sagemaker.meta.events.register("before-call.sagemaker.DescribeModelPackageGroup", deny)
    with pytest.raises(MlopsError, match="AccessDenied"):
        AwsRegistry(account, S3Store(account), "visits").versions()
