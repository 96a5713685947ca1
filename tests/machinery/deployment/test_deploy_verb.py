"""`deploy` in a small project, against a stand-in account whose CloudFormation makes real resources."""

import io
import itertools
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from mlops.base.contents import FUNCTIONS
from mlops.deployment import functions
from mlops.endpoints.sagemaker import AwsEndpoint
from standin.account import StandInAccount
from tests.machinery.deployment.deploying import Shell, shell
from tests.machinery.deployment.small_project import ACCOUNT, GROUP, NAMES, REGION, register
from tests.projects import SOURCES

DEV = ("deploy", "--environment", "dev", "--yes")
STAGING = ("deploy", "--environment", "staging", "--yes")


@pytest.fixture
def run(
    account: StandInAccount, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Shell:
    return shell(account, tmp_path / "project", capsys, monkeypatch)


@pytest.fixture
def ready(run: Shell) -> Shell:
    """The shared stacks are there, and two approved versions, the second approved last."""

    def prepare() -> None:
        assert run(*DEV) == 0, run.error
        register(run.account, "Approved", "Approved", "PendingManualApproval", "Rejected")

    run.account.cloud.once("a small project and its versions", prepare)
    return run


def outcomes(report: dict[str, Any]) -> dict[str, str]:
    return {stack["stack"]: stack["outcome"] for stack in report["stacks"]}


def ring(account: StandInAccount, name: str) -> None:
    client = account.client("cloudwatch")
    client.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a test")


def test_the_shared_stacks_are_deployed_in_order_and_a_second_time_nothing_is_changed(run: Shell) -> None:
    created = outcomes(run.json(*DEV))
    assert created == {"visits-data": "created", "visits-workload": "created"}
    assert list(created) == ["visits-data", "visits-workload"]
    assert set(outcomes(run.json(*DEV)).values()) == {"unchanged"}


def test_a_stack_gets_outputs_of_those_before_it_and_what_the_configuration_says(run: Shell) -> None:
    assert run(*DEV) == 0
    role = run.account.client("iam").get_role(RoleName=NAMES.of("deploy"))["Role"]
    assert role["Description"] == f"Deploys what reads {NAMES.data_bucket} for 7 days"


def test_the_role_of_the_pipeline_may_do_what_the_section_security_asks_for(run: Shell) -> None:
    template, configuration = Path("infra/workload.yaml"), Path("config/dev.yaml")
    text = template.read_text().replace("Parameters:\n", "Parameters:\n  JobsInVpc: {Type: String}\n", 1)
    text = text.replace("Parameters:\n", "Parameters:\n  VolumeKeyArn: {Type: String}\n", 1)
    template.write_text(text.replace("Deploys what", "VPC ${JobsInVpc}, key ${VolumeKeyArn}: deploys what"))
    written, key = configuration.read_text(), f"arn:aws:kms:{REGION}:{ACCOUNT}:key/disks"
    network = "subnet_ids: [subnet-01234567], security_group_ids: [sg-01234567]"
    switches = "network_isolation: true, encrypt_inter_container_traffic: false"
    configuration.write_text(f"{written}\nsecurity: {{volume_key: '{key}', {switches}, {network}}}\n")
    assert run(*DEV) == 0, run.error
    role = run.account.client("iam").get_role(RoleName=NAMES.of("deploy"))["Role"]
    assert role["Description"].startswith(f"VPC true, key {key}:")
    configuration.write_text(f"{written}\nsecurity: {{{switches}, subnet_ids: [subnet-01234567]}}\n")
    assert run(*DEV) == 2
    assert "`security.subnet_ids` without `security.security_group_ids`" in run.error
    configuration.write_text(f"{written}\nsecurity: {{{switches}}}\n")
    assert run(*DEV) == 0, run.error
    role = run.account.client("iam").get_role(RoleName=NAMES.of("deploy"))["Role"]
    assert role["Description"].startswith("VPC false, key :")


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("subnet_ids: [subnet-01234567]", "`stacks.endpoint.subnet_ids` without `stacks.endpoint.security_group_ids`"),
        ("disk_encryption: key", "`stacks.endpoint.instance_type: ml.g5.xlarge`, which has local NVMe disks"),
    ],
)
def test_what_sagemaker_refuses_of_an_endpoint_is_refused_before_anything_is_deployed(
    ready: Shell, setting: str, said: str
) -> None:
    template, configuration = Path("infra/endpoint.yaml"), Path("config/staging.yaml")
    text = template.read_text()
    template.write_text(text.replace("Parameters:\n", "Parameters:\n  DiskEncryption: {Type: String}\n", 1))
    configuration.write_text(f"stacks: {{endpoint: {{instance_type: ml.g5.xlarge, {setting}}}}}\n")
    before = ready.stacks()
    assert ready(*STAGING) == 2
    assert said in ready.error
    assert ready.stacks() == before


def test_the_wanted_version_is_deployed_and_recorded(ready: Shell) -> None:
    report = ready.json(*STAGING)
    assert (report["version"], report["superseded"]) == (2, False)
    assert outcomes(report) == {"visits-staging-endpoint": "created", "visits-staging-api": "created"}
    assert ready.live("staging") == f"{GROUP}/2"
    assert set(outcomes(ready.json(*STAGING)).values()) == {"unchanged"}
    models = {version["version"]: version["live"] for version in ready.json("models", "--environment", "dev")}
    assert models == {1: [], 2: ["staging"], 3: [], 4: []}
    assert ready("models", "--environment", "dev") == 0
    assert [line.split()[0] for line in ready.output.splitlines() if line.endswith("staging")] == ["2"]


def test_endpoints_are_deployed_with_a_role_that_can_make_none(ready: Shell) -> None:
    assert ready(*STAGING) == 0
    described = ready.account.client("cloudformation").describe_stacks(StackName="visits-staging-endpoint")
    assert described["Stacks"][0]["RoleARN"] == f"arn:aws:iam::{ACCOUNT}:role/{NAMES.of('deploy')}"


def test_a_version_can_be_named_by_number(ready: Shell) -> None:
    assert ready.json(*STAGING, "--version", "1")["version"] == 1
    assert ready.live("staging") == f"{GROUP}/1"


def test_only_some_stacks_are_deployed_when_they_are_named(ready: Shell) -> None:
    assert outcomes(ready.json(*STAGING, "--stack", "endpoint")) == {"visits-staging-endpoint": "created"}
    assert outcomes(ready.json(*STAGING, "--stack", "api")) == {"visits-staging-api": "created"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--version", "3"), "Version 3 is PendingManualApproval: only approved versions can be deployed"),
        (("--model-package", f"{GROUP}/4"), "Version 4 is Rejected: only approved"),
        (("--model-package", f"{GROUP}/9"), "is not in the registry"),
        (("--version", "9"), "Version 9 does not exist"),
        (("--stack", "api", "--version", "1"), "takes a version"),
        (("--stack", "api"), "No value for EndpointName yet: it is an output of the stack endpoint"),
    ],
)
def test_what_must_not_or_cannot_be_deployed_is_refused(ready: Shell, arguments: tuple[str, ...], said: str) -> None:
    assert ready(*STAGING, *arguments) != 0
    assert said in ready.error
    assert "visits-staging-endpoint" not in ready.stacks()


def test_a_pipeline_whose_version_is_no_longer_the_wanted_one_deploys_nothing(ready: Shell) -> None:
    report = ready.json(*STAGING, "--model-package", f"{GROUP}/1")
    assert (report["superseded"], report["stacks"]) == (True, [])
    assert "visits-staging-endpoint" not in ready.stacks()
    assert ready(*STAGING, "--model-package", f"{GROUP}/1") == 0
    assert "another version is the champion now" in ready.output
    assert ready.json(*STAGING, "--model-package", f"{GROUP}/2")["version"] == 2


def test_a_deployment_is_checked_and_nothing_is_changed(ready: Shell) -> None:
    before = ready.stacks()
    assert ready("deploy", "--environment", "staging", "--check") == 0, ready.error
    assert "staging: nothing blocks a deployment." in ready.output
    ready.account.cloud.quotas.values.clear()
    assert ready("deploy", "--environment", "staging", "--check") == 1
    assert "aws service-quotas request-service-quota-increase" in ready.error
    assert (ready.stacks(), ready.live("staging")) == (before, None)


def test_without_an_approved_version_nothing_is_deployed(run: Shell) -> None:
    assert run(*DEV) == 0
    register(run.account, "Rejected")
    assert run(*STAGING) == 1
    assert "No approved version" in run.error


def test_what_stands_on_other_stacks_is_refused_without_them(run: Shell) -> None:
    register(run.account, "Approved")
    assert run(*STAGING) == 1
    assert "an output of the stack workload" in run.error
    assert "mlops deploy --environment dev" in run.error


def test_without_a_terminal_and_without_yes_nothing_is_asked_or_done(run: Shell) -> None:
    assert run("deploy", "--environment", "dev") == 2
    assert "Add --yes" in run.error
    assert run.stacks() == []
    assert run("deploy", "--environment", "mars") == 2
    assert "Add --yes" not in run.error


def test_a_person_is_shown_the_changes_and_asked(run: Shell) -> None:
    assert run("deploy", "--environment", "dev", typed="n\n") == 1
    assert "add" in run.error
    assert "Bucket (AWS::S3::Bucket)" in run.error
    assert "visits-data was not changed" in run.error
    assert run.stacks() == []
    assert run("deploy", "--environment", "dev", typed="y\nyes\n") == 0
    assert run.stacks() == ["visits-data", "visits-workload"]


def test_an_alarm_in_alarm_refuses_the_deployment_with_its_name(ready: Shell) -> None:
    assert ready(*STAGING, "--version", "1") == 0
    ring(ready.account, "visits-staging-errors")
    assert ready(*STAGING) == 1
    assert "Alarm visits-staging-errors is in ALARM. An update of endpoint visits-staging would" in ready.error
    assert ready.live("staging") == f"{GROUP}/1"


def test_an_alarm_that_brings_nothing_back_refuses_nothing(ready: Shell) -> None:
    assert ready(*STAGING, "--version", "1") == 0
    ring(ready.account, "visits-staging-backlog")
    assert ready(*STAGING) == 0, ready.error
    assert ready.live("staging") == f"{GROUP}/2"


def test_a_fix_is_deployed_though_the_alarm_is_in_alarm(ready: Shell) -> None:
    assert ready(*STAGING, "--version", "1") == 0
    ring(ready.account, "visits-staging-errors")
    Path("config/staging.yaml").write_text(
        '{"stacks": {"endpoint": {"instance_type": "ml.m5.large", "rollback_on_alarm": false}}}'
    )
    assert ready(*STAGING) == 0, ready.error
    assert ready.live("staging") == f"{GROUP}/2"


def test_an_endpoint_that_is_not_on_the_wanted_configuration_was_rolled_back(
    ready: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ready(*STAGING, "--version", "1") == 0
    old = ready.account.client("sagemaker").describe_endpoint(EndpointName="visits-staging")
    # The stack says that it is updated, and the endpoint is on what it was on.
    monkeypatch.setattr(AwsEndpoint, "look", lambda _: old)
    assert ready(*STAGING) == 1
    assert "visits-staging was rolled back to its previous configuration" in ready.error
    assert old["EndpointConfigName"] in ready.error


def test_nothing_to_change_succeeds_while_an_alarm_is_in_alarm(ready: Shell) -> None:
    assert ready(*STAGING) == 0
    ring(ready.account, "visits-staging-errors")
    assert ready(*STAGING) == 0, ready.error


def test_the_code_of_functions_is_uploaded_once_under_a_name_made_of_what_it_holds(ready: Shell) -> None:
    key = functions.key(Path(), "visits")
    assert ready(*STAGING) == 0
    content = ready.account.client("s3").get_object(Bucket=NAMES.data_bucket, Key=key)["Body"].read()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.namelist() == list(FUNCTIONS)
    value = ready.account.client("ssm").get_parameter(Name="/visits/staging/code")["Parameter"]["Value"]
    assert value == f"{NAMES.data_bucket}/{key} asks visits-staging"


def test_the_archive_of_functions_changes_with_what_they_import_and_with_nothing_else(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for copy, package in itertools.product((one, two), ("mlops", "modelkit")):
        shutil.copytree(SOURCES / package, copy / package)
    for path in two.rglob("*.py"):
        path.touch()
    (two / "mlops/store/local.py").write_text("other")
    assert functions.archive(one) == functions.archive(two)
    assert functions.key(one, "visits") == functions.key(two, "visits")
    (two / "mlops/registry/promotion.py").write_text("other")
    assert functions.key(one, "visits") != functions.key(two, "visits")


def test_the_region_and_the_account_are_those_of_the_project(run: Shell) -> None:
    assert run.account.region == REGION
    Path("config/dev.yaml").write_text('account: "999999999999"\n')
    assert run(*DEV) == 2
    assert "but the configuration has 999999999999" in run.error


def test_a_setting_that_is_missing_for_the_last_stack_is_said_before_the_first_is_deployed(run: Shell) -> None:
    path = Path("infra/workload.yaml")
    text = path.read_text().replace("Parameters:\n", "Parameters:\n  Repository: {Type: String}\n", 1)
    path.write_text(text + "  Repository: {Value: !Ref Repository}\n")  # for others it is an output of this one
    assert run(*DEV) == 2
    assert "Set `stacks.workload.repository` in config/dev.yaml" in run.error
    assert run.stacks() == []
