"""`doctor` makes the checks of `deploy` and more, in each account, and changes nothing."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore.client
import pytest

from mlops.base.errors import MlopsError, UsageError
from mlops.deployment import doctor, readiness
from mlops.deployment.checks import settings
from mlops.project.account import Account, aws_errors, fail_fast
from standin.account import StandInAccount
from standin.scripted import Clock, Refusal, Script
from tests.machinery.deployment.deploying import Shell, entered
from tests.machinery.deployment.small_project import ACCOUNT, register, small_project

OTHER = "210987654321"
Found = dict[str, Any]


@pytest.fixture
def run(
    account: StandInAccount, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Shell:
    """A small project that was not deployed, in a fresh account."""
    small_project(tmp_path / "project")
    return entered(account, tmp_path / "project", capsys, monkeypatch)


@pytest.fixture
def without_credentials(run: Shell, monkeypatch: pytest.MonkeyPatch) -> Shell:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, "/nowhere")
    return run


def diagnosis(run: Shell, *arguments: str, status: int | None = None) -> Any:
    """What it prints as JSON."""
    ended = run("doctor", *arguments, "--json")
    assert status is None or ended == status, run.output + run.error
    return json.loads(run.output)


def blocking(found: Any) -> list[Found]:
    return [each for each in found["findings"] if each["blocks"]]


def of_check(found: Any, check: str) -> list[Found]:
    return [each for each in found["findings"] if each["check"] == check]


def skipped(found: Any, environment: str | None) -> set[str]:
    return {each["check"] for each in found["not_checked"] if each["environment"] == environment}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The calls that this process makes, with their parameters."""
    calls: list[str] = []
    make = botocore.client.BaseClient._make_api_call

    def noted(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
        calls.append(f"{operation} {json.dumps(parameters, sort_keys=True, default=str)}")
        return make(client, operation, parameters)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", noted)
    return iter([calls])


def test_without_an_account_it_says_so_once_and_checks_what_it_can_here(run: Shell, asked: Iterator[list[str]]) -> None:
    Path("config/dev.yaml").write_text("account: null")
    found = diagnosis(run, status=1)
    [finding] = blocking(found)
    assert (finding["account"], finding["environment"], finding["check"]) == (None, "dev", "settings")
    assert finding["what"] == "config/dev.yaml has no value for `account`."
    assert of_check(found, "notification-address")
    online = {check.id for check in doctor.CHECKS if check.scope.name in ("ACCOUNT", "ENVIRONMENT")}
    for environment in ("dev", "staging", "production"):
        assert skipped(found, environment) == online
    assert {each["reason"] for each in found["not_checked"]} == {finding["what"]}
    assert next(asked) == []
    assert diagnosis(run, "--environment", "staging", status=1)["findings"][-1]["environment"] == "staging"


def test_without_credentials_it_says_what_was_not_checked_and_why(without_credentials: Shell) -> None:
    found = diagnosis(without_credentials, status=1)
    [finding] = blocking(found)
    assert (finding["account"], finding["check"]) == (ACCOUNT, "credentials")
    assert "no usable AWS credentials" in finding["what"]
    assert "aws sso login" in finding["remedy"]
    assert of_check(found, "notification-address")
    assert {"quotas", "stacks", "keys"} <= skipped(found, None)
    assert without_credentials("doctor") == 1
    assert f"(account {ACCOUNT}): Cannot verify the AWS credentials:" in " ".join(without_credentials.output.split())
    assert "1 thing blocks a deployment, 3 warnings, 11 kinds of checks were not made; nothing was changed." in (
        without_credentials.output
    )


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Refusal("ExpiredToken", "old"), "Your session has expired."),
        (Refusal("InvalidClientTokenId", "unknown"), "AWS rejected these credentials."),
    ],
)
def test_credentials_that_are_of_no_use_block(
    run: Shell, monkeypatch: pytest.MonkeyPatch, error: Refusal, said: str
) -> None:
    script = Script(Clock(), {"GetCallerIdentity": [(0.0, error)]})
    monkeypatch.setattr(Account, "_client", lambda _, service: script.client(service))
    [finding] = blocking(diagnosis(run, status=1))
    assert said in finding["remedy"]


def test_credentials_of_another_account_block(run: Shell) -> None:
    Path("config/dev.yaml").write_text('account: "999999999999"')
    [finding] = blocking(diagnosis(run, status=1))
    assert finding["check"] == "credentials"
    assert f"Your credentials are for account {ACCOUNT}" in finding["what"]
    assert "but the configuration has 999999999999" in finding["what"]


def test_what_answers_in_place_of_aws_is_no_traceback() -> None:
    from botocore.parsers import ResponseParserError

    with pytest.raises(MlopsError, match="AWS cannot be reached"), aws_errors("look"):
        raise ResponseParserError("<html>")


def test_it_waits_seconds_for_a_network_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    fail_fast()
    client = Account(id=ACCOUNT, region="eu-west-1", bucket="data", role="role").s3
    assert client.meta.config.connect_timeout <= 5


def test_in_a_fresh_account_quotas_block_and_what_is_to_come_does_not(run: Shell) -> None:
    found = diagnosis(run, status=1)
    [finding] = blocking(found)
    assert (finding["account"], finding["environment"], finding["check"]) == (ACCOUNT, None, "quotas")
    assert "Quota L-614B09FD ('ml.m5.large for endpoint usage') is 0" in finding["what"]
    run.account.grow()
    found = diagnosis(run, status=0)
    assert {each["check"] for each in found["findings"] if each["level"] == "pending"} >= {"stacks", "buckets"}
    assert diagnosis(run, "--strict", status=1)["findings"]
    assert run("doctor") == 0
    assert run.output.endswith("Nothing blocks a deployment, 3 warnings; nothing was changed.\n")


def test_each_finding_says_where_it_is_from_and_what_mends_it(run: Shell) -> None:
    found = diagnosis(run)
    keys = {"account", "environment", "check", "level", "blocks", "what", "cost", "remedy"}
    assert set(found) == {"findings", "not_checked"}
    for each in found["findings"]:
        assert set(each) == keys
        assert each["what"]
        assert each["cost"]
        assert each["remedy"]
    Path("config/dev.yaml").write_text("account: null")
    for each in diagnosis(run)["not_checked"]:
        assert set(each) == {"account", "environment", "check", "reason", "cost", "remedy"}


def test_a_deployed_project_lacks_nothing_and_nothing_is_changed_or_asked_twice(
    run: Shell, asked: Iterator[list[str]]
) -> None:
    run.account.grow()
    dev: dict[str, Any] = {"account": ACCOUNT, "stacks": {"workload": {"record_days": 7}}}
    Path("config/dev.yaml").write_text(json.dumps(dev))
    assert run("deploy", "--environment", "dev", "--yes") == 0, run.error
    register(run.account, "Approved")
    for name in ("staging", "production"):
        assert run("deploy", "--environment", name, "--yes") == 0, run.error
    stacks = run.account.client("cloudformation").describe_stacks(StackName="visits-data")["Stacks"][0]["Outputs"]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stacks}
    Path("config/dev.yaml").write_text(json.dumps({**dev, "data_key": outputs["DataKeyArn"]}))
    calls = next(asked)
    calls.clear()
    found = diagnosis(run, status=0)
    assert {each["check"] for each in found["findings"]} == {"machinery", "installation", "notification-address"}
    assert found["not_checked"] == []
    assert [call for call in calls if not call.startswith(("Get", "List", "Describe", "Head"))] == []
    twice = {call for call, count in Counter(calls).items() if count > 1}
    assert twice == set()


def test_the_checks_of_deploy_are_these(run: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    of_deploy = {*readiness.BEFORE, *readiness.BEFORE_SHARED, *readiness.AFTER_SHARED}
    connection = {check for check in of_deploy if check.id == "connection"}
    assert of_deploy - connection <= set(doctor.CHECKS)
    assert connection == {readiness.CONFIGURED, readiness.CREATED}
    assert "connection" in {check.id for check in doctor.CHECKS}
    assert doctor.SETTINGS.find is settings.valid

    error = UsageError("The moon is full.", "Wait.")
    monkeypatch.setattr(settings, "errors", lambda *_: iter([error]))
    assert run("deploy", "--environment", "dev", "--yes") == 2
    assert str(error) in run.error
    [finding, *_] = of_check(diagnosis(run, status=1), "settings")
    assert (finding["what"], finding["remedy"]) == (error.message, error.remedy)


def test_deploy_refuses_what_doctor_says_blocks(run: Shell) -> None:
    assert run("deploy", "--environment", "dev", "--yes") == 0, run.error
    register(run.account, "Approved")
    [finding] = blocking(diagnosis(run, status=1))
    assert run("deploy", "--environment", "staging", "--yes") == 1
    for part in ("what", "cost", "remedy"):
        assert finding[part] in run.error


def test_all_missing_settings_are_listed_by_both(run: Shell) -> None:
    path = Path("infra/workload.yaml")
    declared = "Parameters:\n  Repository: {Type: String}\n  Owner: {Type: String}\n"
    path.write_text(path.read_text().replace("Parameters:\n", declared, 1))
    whats = [finding["what"] for finding in blocking(diagnosis(run, status=1)) if finding["check"] == "settings"]
    assert run("deploy", "--environment", "dev", "--yes") == 2
    for name in ("Repository", "Owner"):
        assert f"No value for {name}." in whats  # each is a finding of its own
        assert f"No value for {name}." in run.error


def test_each_account_is_examined_with_its_environments(run: Shell) -> None:
    Path("config/production.yaml").write_text(
        json.dumps({"account": OTHER, "stacks": {"endpoint": {"instance_type": "ml.m5.large"}}})
    )
    run.account.grow()
    found = diagnosis(run, status=1)
    [finding] = blocking(found)
    assert (finding["account"], finding["environment"], finding["check"]) == (OTHER, None, "credentials")
    assert {each["account"] for each in found["not_checked"]} == {OTHER}
    assert {each["environment"] for each in of_check(found, "stacks")} == {"dev", "staging"}
    places = [(each["account"], each["environment"]) for each in found["findings"]]
    assert list(dict.fromkeys(places)) == [
        (None, None), (ACCOUNT, None), (ACCOUNT, "dev"), (ACCOUNT, "staging"), (OTHER, None),
    ]  # fmt: skip
    assert run("doctor") == 1
    assert f"Account {OTHER}\n  BLOCKS   Your credentials are for account {ACCOUNT}" in run.output
    assert f"staging (account {ACCOUNT})" in run.output


def test_one_environment_can_be_named(run: Shell) -> None:
    run.account.grow()
    found = diagnosis(run, "--environment", "staging", status=0)
    assert {each["environment"] for each in found["findings"]} == {None, "staging"}
    for name in ("mars", "local"):
        assert run("doctor", "--environment", name) == 2
        assert f"There is no environment {name!r} in AWS." in run.error


def test_an_environment_that_a_project_adds_is_examined_without_stacks(run: Shell) -> None:
    run.account.grow()
    Path("config/experiment.yaml").write_text("{}")
    found = diagnosis(run, "--environment", "experiment", status=0)
    assert of_check(found, "stacks") == []
    assert diagnosis(run, status=0)


def test_a_file_that_cannot_be_used_is_said_once_and_the_others_are_checked(run: Shell) -> None:
    run.account.grow()
    Path("config/staging.yaml").write_text("nonsense: 1")
    found = diagnosis(run, status=1)
    [finding] = blocking(found)
    assert (finding["environment"], finding["check"]) == ("staging", "settings")
    assert "`nonsense` in config/staging.yaml has no effect" in finding["what"]
    assert {"dev", "production"} <= {each["environment"] for each in of_check(found, "stacks")}
    assert "stacks" in skipped(found, "staging")
    assert "quotas" in skipped(found, None)  # of which staging may need some
    Path("config/base.yaml").write_text("nonsense: 1")
    assert len(blocking(diagnosis(run, status=1))) == 1


def test_a_permission_that_is_missing_is_no_reason_to_stop(run: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    run.account.grow()
    script = Script(Clock(), {"ListAWSDefaultServiceQuotas": [(0.0, Refusal("AccessDeniedException", "no"))]})
    monkeypatch.setattr(Account, "quotas", property(lambda _: script.client("service-quotas")))
    found = diagnosis(run, status=0)
    [one] = found["not_checked"]
    assert (one["check"], "ListAWSDefaultServiceQuotas failed with AccessDenied" in one["reason"]) == ("quotas", True)
    assert of_check(found, "stacks")
    assert run("doctor") == 0
    assert "Not checked: the service quotas (account" in run.output
    assert "1 kind of check was not made" in run.output


def test_a_package_that_is_not_installed_is_no_traceback(run: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise ModuleNotFoundError("No module named 'boto3'", name="boto3")

    monkeypatch.setattr("mlops.cli.verbs.doctor.run", fail)
    assert run("doctor") == 2
    assert "does not have the package boto3." in run.error
    assert "Run `make setup`" in run.error
