"""Each check says what is missing, how serious that is, and what mends it."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from mlops.base.errors import MlopsError
from mlops.deployment import templates
from mlops.deployment.checks import (
    connection,
    images,
    installation,
    model,
    service_roles,
    settings,
    stack_states,
    storage,
)
from mlops.deployment.checks.check import Check, Scope, Subject
from mlops.deployment.checks.finding import Level
from mlops.deployment.cloudformation import StackService
from mlops.project.project import Project
from mlops.project.target import Target
from standin.account import StandInAccount
from standin.scripted import Refusal
from tests.infra.rendered import texts
from tests.machinery.deployment.checks.subjects import TODAY, answers, found, subject
from tests.machinery.deployment.small_project import ACCOUNT, NAMES, REGION, SLUG, register, small_project
from tests.machinery.project.test_accounts import ARTIFACTS_ACCOUNT, organization, several
from tests.standin.several_accounts import DEV, STAGING

DIGEST = f"sha256:{'0' * 64}"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/01234567-0123-4567-89ab-0123456789ab"
MISSING = Refusal("404", "Not Found")


def answered(root: Path, **more: str) -> None:
    """Write a small project with other answers."""
    small_project(root)
    path = root / "project.yaml"
    path.write_text(json.dumps(json.loads(path.read_text()) | more))


def test_who_may_not_ask_and_what_is_configured_wrong_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = subject(tmp_path, monkeypatch)
    answers(of, "sagemaker", "sagemaker", ListModelPackages=Refusal("AccessDeniedException", "no"))
    check = Check("version", "the registry", "It shows later.", Scope.ACCOUNT, model.version_approved)
    [finding] = check.run(Subject(of.target, {"staging": ["endpoint"]}, of.today))
    assert (finding.level, finding.cost) == (Level.NOT_CHECKED, "It shows later.")
    assert "ListModelPackages failed with AccessDeniedException" in finding.what
    assert "permission for ListModelPackages" in finding.remedy


@pytest.mark.parametrize(
    ("status", "level", "what", "remedy"),
    [
        ("ROLLBACK_COMPLETE", "warning", "its first deployment failed", "mlops deploy --environment dev"),
        ("UPDATE_ROLLBACK_COMPLETE", "warning", "last change failed", "mlops deploy --environment dev"),
        ("IMPORT_ROLLBACK_COMPLETE", "warning", "last change failed", "mlops deploy --environment dev"),
        ("UPDATE_ROLLBACK_FAILED", "blocks", "its rollback failed", "continue-update-rollback --stack-name visits-"),
        ("ROLLBACK_FAILED", "blocks", "its creation failed", "delete-stack --stack-name visits-data"),
        ("DELETE_FAILED", "blocks", "could be deleted", "describe-stack-events --stack-name visits-data"),
        ("UPDATE_IN_PROGRESS", "pending", "is UPDATE_IN_PROGRESS", "describe-stack-events --stack-name visits-data"),
    ],
)
def test_a_stack_in_each_state_has_its_next_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: str, level: str, what: str, remedy: str
) -> None:
    of = subject(tmp_path, monkeypatch, stacks={"data": status, "workload": "CREATE_COMPLETE"})
    [(its_level, its_what, its_remedy)] = found(stack_states.settled, of)
    assert its_level == level
    assert "The stack visits-data is" in its_what
    assert what in its_what
    assert remedy in its_remedy


def test_stacks_that_are_not_there_or_were_never_started_are_not_deployed_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = subject(tmp_path, monkeypatch, stacks={"data": "REVIEW_IN_PROGRESS"})
    [(level, what, remedy)] = found(stack_states.settled, of)
    assert (level, what) == ("pending", "Stacks that are not deployed yet: data, workload.")
    assert remedy.endswith("mlops deploy --environment dev")
    complete = dict.fromkeys(("data", "workload"), "UPDATE_COMPLETE")
    assert found(stack_states.settled, subject(tmp_path, monkeypatch, stacks=complete)) == []


def test_buckets_and_keys_that_are_not_there_are_normal_before_the_first_deployment_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_project(tmp_path)
    alias = '  Alias:\n    Type: AWS::KMS::Alias\n    Properties: {AliasName: !Sub "alias/${ProjectName}-data"}\n'
    path = tmp_path / "infra/data.yaml"
    path.write_text(path.read_text().replace("Resources:\n", f"Resources:\n{alias}", 1))

    def both(**stacks: str) -> list[tuple[str, str, str]]:
        # This project registers its models in a bucket of its owner.
        of = subject(tmp_path, monkeypatch, stacks=stacks, model_bucket="models", model_key=KEY)
        answers(of, "s3", "s3", HeadBucket=MISSING)
        answers(of, "kms", "kms", DescribeKey=Refusal("NotFoundException", "no"))
        return [*found(storage.buckets, of), *found(storage.encryption_keys, of)]

    own, buckets, own_key, keys = both()
    assert own[:2] == ("blocks", "The bucket models, `model_bucket` in config/dev.yaml, does not exist.")
    assert own_key[:2] == ("blocks", f"The key {KEY}, `model_key` in config/dev.yaml, does not exist.")
    logs = NAMES.of("logs")
    assert buckets[:2] == ("pending", f"Buckets that do not exist yet: {NAMES.data_bucket}, {logs}.")
    assert keys[:2] == ("pending", "Keys that do not exist yet: alias/visits-data.")
    assert "mlops deploy --environment dev" in keys[2]
    lost = {what: remedy for level, what, remedy in both(data="CREATE_COMPLETE") if level == "blocks"}
    remedy = lost[f"The bucket {NAMES.data_bucket} of the stack visits-data does not exist any more."]
    assert "mlops destroy --environment dev --stack data && " in remedy
    assert "The key alias/visits-data of the stack visits-data does not exist any more." in lost


def encrypted(algorithm: str, **more: str) -> dict[str, Any]:
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": algorithm, **more}}
    return {"ServerSideEncryptionConfiguration": {"Rules": [rule]}}


def key(state: str) -> dict[str, Any]:
    return {"KeyMetadata": {"KeyId": "one", "Arn": KEY, "KeyState": state}}


def test_a_bucket_of_another_account_is_a_warning_with_the_command_that_shows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = subject(tmp_path, monkeypatch, bucket="ours", model_bucket="ours")
    answers(of, "s3", "s3", HeadBucket=Refusal("403", "Forbidden"))
    level, what, remedy = found(storage.buckets, of)[-1]
    assert (level, what) == ("warning", f"S3 denies access to the bucket ours as a bucket of account {ACCOUNT}.")
    assert f"aws s3api head-bucket --bucket ours --expected-bucket-owner {ACCOUNT}" in remedy


def test_a_bucket_without_a_key_of_kms_is_a_warning_unless_its_template_wants_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = subject(tmp_path, monkeypatch, stacks={"data": "CREATE_COMPLETE"}, model_bucket=NAMES.data_bucket)
    answers(of, "s3", "s3", HeadBucket={}, GetBucketEncryption=encrypted("AES256"))
    [(level, what, _)] = found(storage.buckets, of)  # and none for the bucket of access logs
    assert (level, what) == (
        "warning", f"The bucket {NAMES.data_bucket} is encrypted with AES256, not with aws:kms.",
    )  # fmt: skip
    answers(of, "s3", "s3", HeadBucket={}, GetBucketEncryption=encrypted("aws:kms"))
    assert found(storage.buckets, of) == []


@pytest.mark.parametrize(
    ("state", "remedy"),
    [
        ("Disabled", "aws kms enable-key --key-id one"),
        ("PendingDeletion", "aws kms cancel-key-deletion --key-id one && aws kms enable-key --key-id one"),
    ],
)
def test_a_key_that_cannot_be_used_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, remedy: str
) -> None:
    of = subject(tmp_path, monkeypatch, data_key=KEY, model_key=KEY)
    answers(of, "kms", "kms", DescribeKey=key(state))
    assert set(found(storage.encryption_keys, of)) == {("blocks", f"The key {KEY} is {state}.", remedy)}
    # Also the key of a bucket that an earlier stack retained.
    answers(of, "s3", "s3", HeadBucket={}, GetBucketEncryption=encrypted("aws:kms", KMSMasterKeyID="old"))
    assert ("blocks", f"The key old is {state}.", remedy) in found(storage.buckets, of)
    answers(of, "kms", "kms", DescribeKey=key("Enabled"))
    assert [*found(storage.encryption_keys, of), *found(storage.buckets, of)] == []


def test_staging_and_a_further_environment_use_the_storage_of_dev(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = subject(tmp_path, monkeypatch, "staging")
    assert [*found(storage.buckets, of), *found(storage.encryption_keys, of)] == []  # without any call
    (tmp_path / "config/experiment.yaml").write_text("{}")
    other = Subject(Target(Project(tmp_path), "experiment"), {"experiment": []}, of.today)
    assert [*found(storage.buckets, other), *found(storage.encryption_keys, other)] == []
    (tmp_path / "config/experiment.yaml").write_text(json.dumps({"account": ACCOUNT, "bucket": "ours"}))
    own = Subject(Target(Project(tmp_path), "experiment"), {"experiment": []}, of.today)
    answers(own, "s3", "s3", HeadBucket=MISSING)
    assert "The bucket ours, `bucket` in config/experiment.yaml, does not exist." in found(storage.buckets, own)[0][1]


@pytest.mark.parametrize(
    ("stacks", "value", "expected"),
    [
        ({}, "none", ("pending", "The stack image creates the pipeline visits-image")),
        ({"image": "CREATE_COMPLETE"}, "none", ("warning", "start-pipeline-execution --name visits-image")),
        ({"image": "CREATE_COMPLETE"}, DIGEST, ("warning", "the pipeline visits-image, which builds one")),
    ],
)
def test_the_image_of_a_project_has_to_be_built_and_in_ecr(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stacks: dict[str, str], value: str, expected: tuple[str, str]
) -> None:
    answered(tmp_path, training_image="custom")
    of = subject(tmp_path, monkeypatch, stacks=stacks, image_digest="newest")
    answers(of, "ssm", "ssm", GetParameters={"Parameters": [{"Name": "/visits/image", "Value": value}]})
    answers(of, "ecr", "ecr", DescribeImages=Refusal("ImageNotFoundException", "no"))
    [(level, _, remedy)] = found(images.built, of)
    assert level == expected[0]
    assert expected[1] in remedy


def test_an_image_that_is_there_and_projects_and_environments_without_one_are_fine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered(tmp_path, training_image="custom")
    of = subject(tmp_path, monkeypatch, image_digest=DIGEST)
    answers(of, "ecr", "ecr", DescribeImages=Refusal("RepositoryNotFoundException", "no"))
    [(level, what, remedy)] = found(images.built, of)
    assert (level, what) == ("warning", f"The image {DIGEST} is not in the ECR repository visits.")
    assert "Correct `image_digest` in config/dev.yaml" in remedy
    answers(of, "ecr", "ecr", DescribeImages={"imageDetails": [{"imageDigest": DIGEST}]})
    assert found(images.built, of) == []
    assert found(images.built, subject(tmp_path, monkeypatch, "staging", image_digest=DIGEST)) == []
    answered(tmp_path, training_image="aws")
    assert found(images.built, subject(tmp_path, monkeypatch)) == []


def test_pipelines_that_were_not_submitted_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_project(tmp_path)
    (tmp_path / "pipelines").mkdir()
    for name in ("training", "monitoring"):
        (tmp_path / f"pipelines/{name}.py").touch()
    of = subject(tmp_path, monkeypatch)
    answers(of, "sagemaker", "sagemaker", DescribePipeline=Refusal("ResourceNotFound", "no"))
    [(level, what, remedy)] = found(model.pipelines_submitted, of)
    assert (level, what) == ("pending", "Pipelines that are not in SageMaker yet: visits-training, visits-monitoring.")
    assert "mlops upsert --environment dev" in remedy
    answers(of, "sagemaker", "sagemaker", DescribePipeline={"PipelineName": "visits-training"})
    assert found(model.pipelines_submitted, of) == []
    assert found(model.pipelines_submitted, subject(tmp_path, monkeypatch, "staging")) == []


def test_a_version_has_to_be_approved_before_it_is_deployed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, here: StandInAccount
) -> None:
    staging = subject(tmp_path, monkeypatch, "staging")
    expected = [("pending", "No approved version to deploy.")]
    assert [finding[:2] for finding in found(model.version_approved, staging)] == expected
    register(here, "PendingManualApproval")
    [(_, _, remedy)] = found(model.version_approved, staging)
    assert "mlops upsert --environment dev --start, and approve it: " in remedy
    assert found(model.version_approved, subject(tmp_path, monkeypatch)) == []  # dev deploys none
    register(here, "Approved")
    assert found(model.version_approved, staging) == []
    answered(tmp_path, project_scope="deploy")
    of = subject(tmp_path, monkeypatch, "staging")
    registry = {"stacks": {"registry": {"model_package_group": "others"}}}
    (tmp_path / "config/dev.yaml").write_text(json.dumps({"account": ACCOUNT, **registry}))
    [(_, _, remedy)] = found(model.version_approved, of)
    assert "Train a version in the project that trains, and approve it" in remedy


def opened_to(roles: str | list[str], account: str = STAGING) -> dict[str, Any]:
    """The policy of a group that is open to roles of an account."""
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": [f"arn:aws:iam::{account}:root"]},
        "Action": "sagemaker:CreateModel",
        "Condition": {"ArnLike": {"aws:PrincipalArn": roles}},
    }
    return {"ResourcePolicy": json.dumps({"Statement": [statement]})}


NO_POLICY = Refusal("ValidationException", "Cannot find resource policy for: arn")
FITTING = f"arn:aws:iam::*:role/sagemaker-{SLUG}-p-????????????-deploy"


@pytest.mark.parametrize(
    ("policy", "is_open"),
    [
        (NO_POLICY, False),
        (opened_to("arn:aws:iam::*:role/sagemaker-other-p-????????????-deploy"), False),
        (opened_to(FITTING, DEV), False),
        (opened_to(["arn:aws:iam::*:role/another", FITTING]), True),
        (opened_to("arn:aws:iam::*:role/sagemaker-v*-p-????????????-deploy"), True),
    ],
    ids=["no policy", "another project", "another account", "one of several", "a pattern"],
)
@pytest.mark.parametrize("scope", ["build-train-deploy", "deploy"])
def test_a_registry_in_another_account_has_to_name_the_role_that_deploys(
    tmp_path: Path, scope: str, policy: dict[str, Any] | Refusal, is_open: bool
) -> None:
    of = elsewhere(tmp_path, scope)
    registry = Subject(of.target.registry, {}, TODAY)
    assert found(model.registry_opened, registry) == []
    groups = {"DescribeModelPackageGroup": {"ModelPackageGroupName": "group"}, "GetModelPackageGroupPolicy": policy}
    answers(registry, "sagemaker", "sagemaker", **groups)
    if is_open:
        assert found(model.registry_opened, of) == []
        return
    [(level, what, remedy)] = found(model.registry_opened, of)
    assert (level, f"in account {DEV} does not name" in what) == ("warning", True)
    assert "deploy --environment dev --stack data --stack registry" in remedy
    assert (f'`staging: "{STAGING}"` under `deployed_by`' in remedy) == (scope == "deploy")


def test_in_an_organization_the_registry_is_opened_in_its_account_and_only_to_those_that_deploy(tmp_path: Path) -> None:
    project = organization(tmp_path)
    for place in Target(project, "dev").places:
        assert found(model.registry_opened, Subject(place, {}, TODAY)) == []
    of = Subject(Target(project, "staging"), {}, TODAY)
    registry = Subject(of.target.registry, {}, TODAY)
    group = {"ModelPackageGroupName": SLUG}
    answers(registry, "sagemaker", "sagemaker", DescribeModelPackageGroup=group, GetModelPackageGroupPolicy=NO_POLICY)
    [(_, what, remedy)] = found(model.registry_opened, of)
    assert f"in account {ARTIFACTS_ACCOUNT} does not name" in what
    assert remedy.endswith("--stack data --stack registry --account artifacts")


def test_a_registry_that_is_not_there_or_may_not_be_read_is_no_warning(tmp_path: Path) -> None:
    of = elsewhere(tmp_path, "deploy")
    registry = Subject(of.target.registry, {}, TODAY)
    answers(registry, "sagemaker", "sagemaker", DescribeModelPackageGroup=Refusal("ValidationException", "Cannot find"))
    assert found(model.registry_opened, of) == []
    answers(registry, "sagemaker", "sagemaker", DescribeModelPackageGroup=Refusal("AccessDeniedException", "no"))
    check = Check("registry-policy", "the policy", "It shows later.", Scope.ENVIRONMENT, model.registry_opened)
    assert [finding.level for finding in check.run(of)] == [Level.NOT_CHECKED]


def elsewhere(root: Path, scope: str) -> Subject:
    """The environment staging of a project whose registry is in another account."""
    several(root, dev={"stacks": {"registry": {"model_package_group": "group"}}})
    path = root / "project.yaml"
    path.write_text(json.dumps({**json.loads(path.read_text()), "project_scope": scope}))
    return Subject(Target(Project(root), "staging"), {}, TODAY)


def test_environments_are_missing_old_or_current(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of = subject(tmp_path, monkeypatch)
    (tmp_path / "locks").mkdir()
    for name, lock in ((".tools", "setup"), (".venv", "runtime"), (".venv-dev", "dev")):
        (tmp_path / f"locks/{lock}.txt").touch()
        (tmp_path / name).mkdir()
    for name in (".tools", ".venv"):
        (tmp_path / name / ".complete").touch()
    os.utime(tmp_path / ".venv/.complete", (0, 0))
    assert found(installation.set_up, of) == [
        ("warning", "Missing or incomplete: .venv-dev.", "make setup"),
        ("warning", "Older than the locked versions in locks/: .venv.", "make setup"),
    ]
    for name in (".venv", ".venv-dev"):
        (tmp_path / name / ".complete").touch()
    assert found(installation.set_up, of) == []


def test_files_of_the_machinery_that_differ_are_named_with_the_command_that_restores_them(project: Path) -> None:
    of = Subject(Target(Project(project), "local"), {}, TODAY)
    assert [*found(installation.unchanged, of), *found(installation.set_up, of)] == []
    (project / "mlops/base/files.py").write_text("other")
    (project / "mlops/cli/main.py").unlink()
    (project / "mlops/a.py").touch()
    (project / "mlops/b.py").touch()
    [(level, what, remedy)] = found(installation.unchanged, of)
    assert (level, what) == (
        "warning",
        "The machinery differs from the release: mlops/base/files.py, mlops/cli/main.py, mlops/a.py and 1 more.",
    )
    assert "git checkout $(git log -1 --format=%H -- locks/machinery.txt) -- mlops/base/files.py" in remedy
    assert remedy.endswith("&& rm mlops/a.py mlops/b.py")
    (project / "locks/machinery.txt").unlink()
    [(level, what, _)] = found(installation.unchanged, of)
    assert level == "warning"
    assert "locks/machinery.txt is missing or was changed" in what


def test_service_linked_roles_are_looked_up_where_a_boundary_may_forbid_to_create_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_project(tmp_path)
    (tmp_path / "infra/api.yaml").write_text("Resources: {Api: {Type: 'AWS::ApiGatewayV2::Api'}}")
    assert found(service_roles.creatable, subject(tmp_path, monkeypatch, "staging")) == []
    workload = {"workload": {"permissions_boundary_arn": f"arn:aws:iam::{ACCOUNT}:policy/boundary"}}
    (tmp_path / "config/base.yaml").write_text(json.dumps({"stacks": workload}))
    of = subject(tmp_path, monkeypatch, "staging")
    answers(of, "iam", "iam", GetRole=Refusal("NoSuchEntity", "no"))
    [(level, what, remedy)] = found(service_roles.creatable, of)
    assert level == "warning"
    assert "The role AWSServiceRoleForAPIGateway does not exist" in what
    assert "aws iam create-service-linked-role --aws-service-name ops.apigateway.amazonaws.com" in remedy
    answers(of, "iam", "iam", GetRole={"Role": {"RoleName": "AWSServiceRoleForAPIGateway"}})
    assert found(service_roles.creatable, of) == []


def test_the_configured_connection_is_examined_or_else_the_one_that_was_created(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_project(tmp_path)
    (tmp_path / "infra/cicd.yaml").write_text("Resources: {Topic: {Type: 'AWS::SNS::Topic'}}")
    arn = f"arn:aws:codeconnections:{REGION}:{ACCOUNT}:connection/01234567-0123-4567-89ab-0123456789ab"
    pending = {"Connection": {"ConnectionArn": arn, "ConnectionStatus": "PENDING"}}
    of = subject(tmp_path, monkeypatch)
    outputs = {"Outputs": [{"OutputKey": "SourceArn", "OutputValue": arn}]}
    monkeypatch.setattr(StackService, "describe", lambda _, name: outputs if name == "visits-cicd" else None)
    answers(of, "connections", "codeconnections", GetConnection=pending)
    assert [finding[:2] for finding in found(connection.usable, of)] == [
        ("warning", f"The connection {arn} is PENDING.")
    ]
    (tmp_path / "config/dev.yaml").write_text(
        json.dumps({"account": ACCOUNT, "stacks": {"cicd": {"connection_arn": arn}}})
    )
    of = Subject(Target(Project(tmp_path), "dev"), of.chosen, TODAY)
    answers(of, "connections", "codeconnections", GetConnection=pending)
    assert [finding[:2] for finding in found(connection.usable, of)] == [
        ("blocks", f"The connection {arn} is PENDING.")
    ]
    assert list(connection.usable(subject(tmp_path, monkeypatch, "staging"))) == []


@pytest.fixture
def real(tmp_path: Path) -> Path:
    """A small project with the real templates."""
    small_project(tmp_path)
    for name, text in texts({}).items():
        (tmp_path / f"infra/{name}.yaml").write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"api": {"jwt_issuer": "https://example.com"}}, "`stacks.api` of staging: JwtIssuer requires JwtAudience"),
        ({"endpoint": {"min_instance_count": "some"}}, "'some'.\n  Use a number."),
        ({"endpoint": {"step_percent": 60}}, "'60'.\n  Use at least 10 and at most 50."),
        ({"endpoint": {"deployment_strategy": "brave"}}, "Use one of: "),
        ({"api": {"jwt_issuer": "example"}}, "Pattern: "),
    ],
)
def test_what_cloudformation_would_refuse_is_refused_before_anything_is_deployed(
    real: Path, monkeypatch: pytest.MonkeyPatch, section: dict[str, Any], said: str
) -> None:
    (real / "config/staging.yaml").write_text(json.dumps({"stacks": section}))
    wrong = [f"{what}\n  {remedy}" for _, what, remedy in found(settings.valid, subject(real, monkeypatch, "staging"))]
    assert [each for each in wrong if said in each], wrong


def test_all_settings_that_are_missing_or_wrong_are_listed(real: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stacks = {"cicd": {"repositori": "a/b"}, "data": {"log_days": "x"}}
    of = subject(real, monkeypatch, security={"network_isolation": True})
    path = real / "config/dev.yaml"
    path.write_text(json.dumps({**json.loads(path.read_text()), "stacks": stacks}))
    wrong = " ".join(what for _, what, _ in found(settings.valid, of))
    for part in (
        "Unknown setting `stacks.cicd.repositori`", "Invalid value of `stacks.data.log_days`",
        "`security.encrypt_inter_container_traffic`",
    ):  # fmt: skip
        assert part in wrong


def test_all_numbers_that_cannot_be_meant_are_listed(real: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits: dict[str, Any] = {"retraining": {"cooldown_minutes": -1, "runs_per_day": 5, "failed_gates": "x"}}
    of = subject(real, monkeypatch, **limits)
    with pytest.raises(MlopsError) as refused:
        found(settings.valid, of)
    for part in ("`retraining.cooldown_minutes: -1`", "`retraining.failed_gates"):
        assert part in str(refused.value)


def test_each_value_of_another_project_s_registry_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answered(tmp_path, project_scope="deploy")
    of = subject(tmp_path, monkeypatch, "staging")
    path = tmp_path / "config/dev.yaml"
    registry = {"model_package_group": None, "model_bucket": "models", "model_key_arn": None}
    path.write_text(json.dumps({"account": ACCOUNT, "stacks": {"registry": registry}}))
    with pytest.raises(MlopsError) as caught:
        templates.outputs_of_others(tmp_path, of.shared)
    for name in ("model_package_group", "model_key_arn"):
        assert f"No value for `stacks.registry.{name}` in config/dev.yaml." in caught.value.message
    assert found(settings.valid, of) == [
        (
            "blocks",
            f"No value for `stacks.registry.{name}` in config/dev.yaml.",
            "Copy it from the project that trains.",
        )
        for name in ("model_package_group", "model_key_arn")
    ]
    # Settings are reported once: the registry is only not checked.
    version = Check("version", "the registry", "It shows later.", Scope.ACCOUNT, model.version_approved)
    assert [finding.level for finding in version.run(of)] == [Level.NOT_CHECKED]
