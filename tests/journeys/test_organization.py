"""A project each of whose parts has an account of its own: deployed from one machine, in service, taken away."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops.project.stacks import placed
from standin.account import Cloud, StandInAccount
from standin.calls import CallRecord
from standin.lambdas import real_handlers
from tests.answers import label, rest_at_night
from tests.infra.organization import LAYOUT, filled_in, opened
from tests.infra.rendered import SLUG
from tests.infra.several_accounts import Part
from tests.journeys.test_several_accounts import ENVIRONMENTS, into_service, live, set_up, stacks, taken_away
from tests.journeys.test_whole_account import outcomes, register
from tests.machinery.deployment.deploying import Shell, entered
from tests.projects import Bake

pytestmark = pytest.mark.alone

ANSWERS: list[dict[str, str]] = [
    {"team_size": "large"},
    {"account_layout": LAYOUT, "inference": "batch", "framework": "pytorch", "monitoring": "off"},
    {"account_layout": LAYOUT, "inference": "serverless", "framework": "sklearn", "git_provider": "codecommit"},
]


@pytest.fixture
def accounts(cloud: Cloud, record: CallRecord) -> Iterator[dict[str, StandInAccount]]:
    """The accounts, whose functions run."""
    found = opened(cloud)
    with real_handlers(cloud, record):
        yield found


@pytest.fixture
def project(rendering: Bake, tmp_path: Path, answers: dict[str, str]) -> Path:
    return filled_in(rendering(project_slug=SLUG, **answers), tmp_path)


@pytest.fixture
def run(
    accounts: dict[str, StandInAccount],
    project: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Shell:
    """A shell in the project, with credentials of the operations account."""
    return entered(accounts["operations"], project, capsys, monkeypatch)


def expected(project: Path, account: str) -> set[str]:
    """The names of the stacks of an account, as the table says."""
    shared = {one.stack.name for one in placed(project, "dev", LAYOUT) if one.account == account}
    if account not in ENVIRONMENTS:
        return shared
    return shared | {f"{account}-{one.stack.name}" for one in placed(project, account, LAYOUT)}


def experiment(account: StandInAccount) -> str:
    """Leave the pipeline of experiments, as `upsert` tags it; its ARN."""
    part = Part.of(account, SLUG)
    arn: str = account.client("sagemaker").create_pipeline(
        PipelineName=f"{SLUG}-training",
        PipelineDefinition='{"Version": "2020-12-01", "Steps": []}',
        ClientRequestToken="0" * 32,
        RoleArn=part.role("pipe"),
        Tags=[{"Key": key, "Value": value} for key, value in part.names.tags("experimentation").items()],
    )["PipelineArn"]
    return arn


@pytest.mark.parametrize("answers", rest_at_night(ANSWERS), ids=label)
def test_a_project_goes_into_all_accounts_and_out_of_them_again(
    project: Path, accounts: dict[str, StandInAccount], run: Shell, answers: dict[str, str]
) -> None:
    set_up(run)
    for version in (1, 2):
        register(accounts["artifacts"], SLUG)
        assert run("approve", str(version), "--environment", "dev") == 0, run.error
        into_service(run, version)
    assert {name: stacks(account) for name, account in accounts.items()} == {
        name: expected(project, name) for name in accounts
    }
    assert live(run) == {1: [], 2: list(ENVIRONMENTS)}
    assert "registry-policy" not in {finding["check"] for finding in run.json("doctor")["findings"]}
    taken_away(run, experiment(accounts["experimentation"]))
    assert [stacks(account) for account in accounts.values()] == [set()] * len(accounts)
    assert set(outcomes(run.json("deploy", "--environment", "dev", "--yes")).values()) == {"created"}


@pytest.mark.parametrize("answers", ANSWERS[:1], ids=label)
def test_each_account_s_part_is_deployed_by_whoever_has_rights_there(
    project: Path,
    accounts: dict[str, StandInAccount],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    answers: dict[str, str],
) -> None:
    for path in (project / "config").glob("*.yaml"):
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        path.write_text("".join(line for line in lines if "assume_role:" not in line), encoding="utf-8")
    for name in reversed(accounts):  # in any order: no policy names a role that may not be there yet
        run = entered(accounts[name], project, capsys, monkeypatch)
        report = run.json("deploy", "--environment", "dev", "--account", name, "--yes")
        assert set(outcomes(report).values()) == {"created"}, name
        assert stacks(accounts[name]) == {
            one.stack.name for one in placed(project, "dev", LAYOUT) if one.account == name
        }
    run = entered(accounts["cicd"], project, capsys, monkeypatch)
    assert run("deploy", "--environment", "dev", "--yes") == 2
    assert "Your credentials are for account 777777777777" in run.error
    assert run("deploy", "--environment", "dev", "--account", "lake", "--yes") == 2
    assert "Accounts: data-lake, artifacts, operations, cicd, experimentation, staging, production." in run.error
