"""A rendered project in an empty account, by its own verbs: deployed, in service, replaced, taken away again."""

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from standin.account import StandInAccount
from standin.calls import HOOK
from standin.quotas import ALL_ENDPOINTS, FRESH
from tests.answers import label, rest_at_night
from tests.infra.rendered import SLUG, configured
from tests.machinery.deployment.deploying import Shell, entered
from tests.machinery.deployment.small_project import ACCOUNT, REGION
from tests.projects import Bake

pytestmark = pytest.mark.alone

ANSWERS: list[dict[str, str]] = [
    {},
    {
        "inference": "async",
        "git_provider": "codecommit",
        "training_image": "custom",
        "monitoring": "off",
        "retraining_strategy": "event-driven",
    },
    {"inference": "serverless", "git_provider": "gitlab", "framework": "sklearn", "retraining_strategy": "manual"},
    {"inference": "batch", "git_provider": "bitbucket", "framework": "pytorch", "retraining_strategy": "all"},
    {"deployment_strategy": "shadow", "http_api": "no", "retraining_strategy": "metric-based"},
    {"project_scope": "build-train", "training_image": "custom"},
    {"project_scope": "deploy", "git_provider": "codecommit"},
    {"project_scope": "deploy", "training_image": "custom", "inference": "batch"},
]
TRAINER = "trainer"
FILLED_IN = {
    "account": ACCOUNT,
    "repository": f"organization/{SLUG}",
    "model_package_group": TRAINER,
    "model_bucket": f"{TRAINER}-models",
    "model_key_arn": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/01234567-89ab-cdef-0123-456789abcdef",
    "image_repository": TRAINER,
    "baseline_bucket": f"{TRAINER}-data",
    "baseline_key_arn": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/11234567-89ab-cdef-0123-456789abcdef",
}
KEPT = {"AWS::CodeCommit::Repository", "AWS::ECR::Repository", "AWS::KMS::Key", "AWS::S3::Bucket"}


@pytest.fixture
def project(rendering: Bake, tmp_path: Path, answers: dict[str, str]) -> Path:
    """A project of which is filled in what is asked for: its account, and what it has elsewhere."""
    rendered = rendering(project_slug=SLUG, **answers)
    open_keys = re.findall(r"^ *(\w+): null$", (rendered / "config/dev.yaml").read_text(), re.MULTILINE)
    folder = configured(rendered, tmp_path, **{key: FILLED_IN[key] for key in open_keys if key in FILLED_IN})
    for path in (folder / "config").glob("*.yaml"):
        path.write_text(re.sub(r"shadow_minutes: \d+", "shadow_minutes: 0", path.read_text()))
    return folder


def outcomes(report: dict[str, Any]) -> dict[str, str]:
    return {stack["stack"]: stack["outcome"] for stack in report["stacks"]}


def register(account: StandInAccount, group: str) -> None:
    account.client("sagemaker").create_model_package(
        ModelPackageGroupName=group,
        ModelApprovalStatus="PendingManualApproval",
        InferenceSpecification={
            "Containers": [{"Image": "image", "ModelDataUrl": "s3://models/model.tar.gz"}],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
        },
    )


def keys(account: StandInAccount) -> dict[str, str]:
    """The key of each bucket."""
    s3 = account.client("s3")
    encryption = {
        bucket["Name"]: s3.get_bucket_encryption(Bucket=bucket["Name"])["ServerSideEncryptionConfiguration"]["Rules"][0]
        for bucket in s3.list_buckets()["Buckets"]
    }
    rules = {name: rule["ApplyServerSideEncryptionByDefault"] for name, rule in encryption.items()}
    return {
        name: rule["KMSMasterKeyID"] for name, rule in rules.items() if "KMSMasterKeyID" in rule and "cicd" not in name
    }


def captured_by_api(account: StandInAccount) -> set[str]:
    """The folders that the streams of the APIs write to."""
    firehose = account.client("firehose")
    names = firehose.list_delivery_streams()["DeliveryStreamNames"]
    described = [firehose.describe_delivery_stream(DeliveryStreamName=name) for name in names]
    streams = [one["DeliveryStreamDescription"]["Destinations"][0] for one in described]
    return {one["ExtendedS3DestinationDescription"]["Prefix"].partition(f"{SLUG}-")[0] for one in streams}


def codes(answers: dict[str, str]) -> set[str]:
    """The codes of the quotas that a fresh account has too little of."""
    scope, inference = answers.get("project_scope"), answers.get("inference", "realtime")
    served = {"batch": "transform job", "serverless": ""}.get(inference, "endpoint") if scope != "build-train" else ""
    monitored = answers.get("monitoring", "on") == "on"
    kinds = [*(["training job"] if scope != "deploy" else []), served]
    kinds += ["processing job"] if scope != "deploy" or monitored else []
    names = {f"ml.m5.large for {kind} usage" for kind in kinds}
    if served == "endpoint":
        names.add(ALL_ENDPOINTS)
    return {code for (_, code), (name, _) in FRESH.items() if name in names}


def ask_for_quotas(run: Shell, wanted: set[str]) -> None:
    """Do as a person does whom `deploy` tells what the account lacks: ask for all of it, and wait."""
    assert run("deploy", "--environment", "dev", typed="n\n") == 1
    commands = re.findall(r"^ *(aws service-quotas request-service-quota-increase .*)$", run.error, re.MULTILINE)
    assert {code for command in commands for code in re.findall(r"L-[0-9A-F]{8}", command)} == wanted
    assert run.stacks() == []
    for command in commands:
        aws = [*run.account.cloud.python.command, str(HOOK / "aws_cli.py")]
        subprocess.run([*aws, *shlex.split(command)[1:]], env=run.account.environment(), check=True)
    assert run("deploy", "--environment", "dev", typed="n\n") == 1
    assert run.error.count("is requested and pending") == len(wanted)
    run.account.cloud.quotas.approve()


@pytest.mark.parametrize("answers", rest_at_night(ANSWERS, 3), ids=label)
def test_a_project_goes_into_an_account_and_out_of_it_again(
    project: Path,
    account: StandInAccount,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    answers: dict[str, str],
) -> None:
    run = entered(account, project, capsys, monkeypatch)
    environments = [name for name in ("staging", "production") if (project / f"config/{name}.yaml").is_file()]
    written = {path.stem for path in (project / "infra").glob("*.yaml")}
    group = SLUG if "registry" in written else TRAINER
    if group == TRAINER:
        account.client("sagemaker").create_model_package_group(ModelPackageGroupName=TRAINER)
    ask_for_quotas(run, codes(answers))
    shared = outcomes(run.json("deploy", "--environment", "dev", "--yes"))
    assert set(shared.values()) == {"created"}
    assert set(outcomes(run.json("deploy", "--environment", "dev", "--yes")).values()) == {"unchanged"}
    for version in (1, 2):
        register(account, group)
        assert run("approve", str(version), "--environment", "dev") == 0, run.error
        for name in environments:
            report = run.json("deploy", "--environment", name, "--yes")
            assert report["version"] == version
            assert "unchanged" not in list(outcomes(report).values())[:1]
            assert set(outcomes(run.json("deploy", "--environment", name, "--yes")).values()) == {"unchanged"}
    deployed = {stack.removeprefix(f"{SLUG}-") for stack in run.stacks()}
    of_environments = written & {"endpoint", "transform", "api", "observability"}
    assert deployed == written - of_environments | {
        f"{name}-{stack}" for name in environments for stack in of_environments
    }
    assert captured_by_api(account) == ({f"{SLUG}/capture/2/"} if answers.get("inference") == "serverless" else set())
    live = {version["version"]: version["live"] for version in run.json("models", "--environment", "dev")}
    assert live == {1: [], 2: environments}
    for name in reversed(["dev", *environments]):
        removed = run.json("destroy", "--environment", name, "--yes")
        assert {one["type"] for one in removed["retained"]} <= KEPT | {"AWS::SageMaker::ModelPackageGroup"}
        assert removed["leftovers"] == []
    assert run.stacks() == []
    assert account.client("codebuild").list_report_groups()["reportGroups"] == []
    kept = keys(account)
    assert set(outcomes(run.json("deploy", "--environment", "dev", "--yes")).values()) == {"created"}
    assert set(outcomes(run.json("deploy", "--environment", "dev", "--yes")).values()) == {"unchanged"}
    assert keys(account) == kept
    assert [version["version"] for version in run.json("models", "--environment", "dev")] == [1, 2]
