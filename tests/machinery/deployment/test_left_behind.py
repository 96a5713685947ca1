"""What deleted stacks have left behind on purpose belongs to the stacks of a later deployment, and can be read."""

from pathlib import Path
from typing import Any

import pytest

from mlops.base.errors import MlopsError
from mlops.deployment.left_behind import left_behind
from mlops.deployment.templates import Template
from mlops.project.account import Account
from standin.account import StandInAccount
from tests.machinery.deployment.deploying import Shell, shell
from tests.machinery.deployment.small_project import NAMES

BUCKET = NAMES.data_bucket
DEPLOY = ("deploy", "--environment", "dev", "--stack", "data")
REPOSITORY = """
  Images:
    Type: AWS::ECR::Repository
    DeletionPolicy: RetainExceptOnCreate
    UpdateReplacePolicy: Retain
    Properties:
      RepositoryName: !Ref ProjectName
      EncryptionConfiguration: {EncryptionType: KMS, KmsKey: !GetAtt Key.Arn}
"""


@pytest.fixture
def run(
    account: StandInAccount, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Shell:
    """A project that was deployed once and whose stacks are gone; its bucket holds data."""
    run = shell(account, tmp_path / "project", capsys, monkeypatch)

    def leave() -> None:
        assert run(*DEPLOY, "--yes") == 0, run.error
        account.client("s3").put_object(Bucket=BUCKET, Key="row", Body=b"1")
        assert run("destroy", "--environment", "dev", "--yes") == 0, run.error

    account.cloud.once("a small project that was there", leave)
    return run


def key_of(run: Shell, bucket: str = BUCKET) -> str:
    """The key that a bucket's content is encrypted with."""
    encryption = run.account.client("s3").get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]
    return str(encryption["Rules"][0]["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"])


def held(run: Shell) -> dict[str, str]:
    """What the stack holds, by logical id."""
    stack = run.account.client("cloudformation").list_stack_resources(StackName="visits-data")
    return {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in stack["StackResourceSummaries"]}


def add(run: Shell, resource: str) -> None:
    """Write a resource into the template."""
    path = Path("infra/data.yaml")
    path.write_text(path.read_text().replace("Resources:\n", f"Resources:{resource}", 1))


def test_data_and_its_key_belong_to_the_new_stack(run: Shell) -> None:
    key = key_of(run)
    report = run.json(*DEPLOY, "--yes")
    assert report["stacks"][0]["outcome"] == "created"
    assert "import, it exists  Bucket (AWS::S3::Bucket)" in run.error
    assert "import, it exists  Key (AWS::KMS::Key)" in run.error
    assert (held(run)["Bucket"], held(run)["Key"]) == (BUCKET, key.rpartition("/")[2])
    assert key_of(run) == key
    assert run.account.client("s3").get_object(Bucket=BUCKET, Key="row")["Body"].read() == b"1"
    assert run.json(*DEPLOY, "--yes")["stacks"][0]["outcome"] == "unchanged"


def test_what_was_left_is_brought_up_to_the_template(run: Shell) -> None:
    kms = run.account.client("kms")
    path = Path("infra/data.yaml")
    path.write_text(path.read_text().replace("Description: Data}", "Description: Newer data}"))
    assert run(*DEPLOY, "--yes") == 0, run.error
    assert kms.describe_key(KeyId=key_of(run))["KeyMetadata"]["Description"] == "Newer data"


def test_nothing_is_taken_over_before_a_person_agrees(run: Shell) -> None:
    assert run(*DEPLOY, typed="n\n") == 1
    assert run.stacks() == []
    assert run(*DEPLOY, typed="y\nn\n") == 1
    assert set(held(run)) == {"Bucket", "Key"}
    assert run(*DEPLOY, typed="y\n") == 0, run.error
    assert set(held(run)) == {"Bucket", "Key", "Logs"}


def test_what_a_stack_left_behind_while_it_stood_is_taken_over_too(run: Shell) -> None:
    assert run(*DEPLOY, "--yes") == 0, run.error
    without = Path("infra/data.yaml").read_text()
    add(run, REPOSITORY)
    assert run(*DEPLOY, "--yes") == 0, run.error
    (before,) = run.account.client("ecr").describe_repositories()["repositories"]
    Path("infra/data.yaml").write_text(without)
    assert run(*DEPLOY, "--yes") == 0, run.error
    assert "Images" not in held(run)
    add(run, REPOSITORY)
    assert run(*DEPLOY, "--yes") == 0, run.error
    assert "import, it exists  Images (AWS::ECR::Repository)" in run.error
    assert held(run)["Images"] == "visits"
    assert run.account.client("ecr").describe_repositories()["repositories"] == [before]


@pytest.mark.parametrize(
    ("spoil", "said", "command"),
    [
        ("schedule_key_deletion", "which is PendingDeletion", "aws kms cancel-key-deletion --key-id"),
        ("disable_key", "which is Disabled", "aws kms enable-key --key-id"),
    ],
)
def test_a_key_that_cannot_be_used_any_more_is_refused(run: Shell, spoil: str, said: str, command: str) -> None:
    getattr(run.account.client("kms"), spoil)(KeyId=key_of(run).rpartition("/")[2])
    assert run(*DEPLOY, "--yes") == 1
    assert f"{BUCKET} is encrypted with the key" in run.error
    assert said in run.error
    assert command in run.error
    assert run.stacks() == []


def test_a_key_of_aws_is_left_to_aws(run: Shell) -> None:
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "alias/aws/s3"}}
    run.account.client("s3").put_bucket_encryption(Bucket=BUCKET, ServerSideEncryptionConfiguration={"Rules": [rule]})
    assert run(*DEPLOY, "--yes") == 0, run.error
    assert held(run)["Key"] in key_of(run)


def look(here: StandInAccount, text: str, **parameters: str) -> dict[str, Any]:
    account = Account(id=here.id, region=here.region, bucket="", role="")
    return dict(left_behind(account, Template.parse(text), parameters, ()))


SOURCES = """
Parameters: {{ProjectName: {{Type: String}}, RepositoryArn: {{Type: String, Default: ""}}}}
Conditions:
  IsNone: !Equals [!Ref RepositoryArn, ""]
  Makes: !And [!Condition IsNone, !Not [!Equals [a, b]], !Or [!Equals [a, b], !Equals [a, a]]]
Resources:
  Repository:
    Type: AWS::CodeCommit::Repository
    Condition: Makes
    DeletionPolicy: Retain
    Properties: {{RepositoryName: {name}}}
"""


def test_what_the_template_would_not_make_is_not_looked_for(here: StandInAccount) -> None:
    made = here.client("codecommit").create_repository(repositoryName="visits")["repositoryMetadata"]
    sources = SOURCES.format(name="!Ref ProjectName")
    found = look(here, sources, ProjectName="visits")["Repository"]
    assert found.identifier == {"RepositoryId": made["repositoryId"]}
    assert look(here, sources, ProjectName="visits", RepositoryArn=made["Arn"]) == {}
    assert look(here, sources, ProjectName="other") == {}


def test_a_name_that_nobody_can_tell_yet_is_refused(here: StandInAccount) -> None:
    with pytest.raises(MlopsError, match="The RepositoryName of Repository, a retained resource, cannot be resolved"):
        look(here, SOURCES.format(name='!Join ["-", [a, b]]'), ProjectName="visits")
