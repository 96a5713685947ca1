"""A project with an account for each environment: deployed from one machine, in service, grown from one, taken away;
and two projects, one of which trains what the other deploys.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from standin.account import Cloud, StandInAccount
from standin.calls import CallRecord
from standin.lambdas import real_handlers
from tests.answers import label, rest_at_night
from tests.infra.rendered import SLUG, configured
from tests.infra.several_accounts import ACCOUNTS, REGISTRY, TRAINER, Part, filled_in, opened, training
from tests.journeys.test_whole_account import outcomes, register
from tests.machinery.deployment.deploying import Shell, entered
from tests.projects import Bake

pytestmark = pytest.mark.alone

ENVIRONMENTS = ("staging", "production")
ANSWERS: list[dict[str, str]] = [
    {"team_size": "medium"},
    {"account_layout": "multi", "inference": "batch", "framework": "pytorch", "retraining_strategy": "all"},
    {"account_layout": "multi", "inference": "async", "training_image": "custom", "monitoring": "off"},
    {"account_layout": "multi", "inference": "serverless", "framework": "sklearn", "git_provider": "codecommit"},
]
OF_TWO_PROJECTS: list[dict[str, str]] = [
    {"team_size": "medium"},
    {"account_layout": "multi", "inference": "batch", "training_image": "custom", "git_provider": "codecommit"},
    {"account_layout": "multi", "inference": "serverless", "framework": "sklearn", "monitoring": "off"},
]
OF_ENVIRONMENT = {"endpoint", "transform", "api", "observability"}
IN_EVERY_ACCOUNT = {"data", "people"}
OF_WORKLOAD = {*IN_EVERY_ACCOUNT, "notifications", "workload", "monitoring", "release", "events"}

Enter = Callable[[Path], Shell]


@pytest.fixture
def accounts(cloud: Cloud, record: CallRecord) -> Iterator[dict[str, StandInAccount]]:
    """The three accounts, whose functions run."""
    found = opened(cloud)
    with real_handlers(cloud, record):
        yield found


@pytest.fixture
def enter(
    accounts: dict[str, StandInAccount], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Enter:
    """Opens a shell in a project, with credentials of the development account."""
    return lambda project: entered(accounts["dev"], project, capsys, monkeypatch)


def stacks(account: StandInAccount, slug: str = SLUG) -> set[str]:
    found = [one["StackName"] for one in account.client("cloudformation").describe_stacks()["Stacks"]]
    return {name.removeprefix(f"{slug}-") for name in found if name.startswith(f"{slug}-")}


def written(project: Path) -> set[str]:
    return {path.stem for path in (project / "infra").glob("*.yaml")}


def expected_stacks(project: Path) -> dict[str, set[str]]:
    """The stacks of a project that deploys, by account."""
    workload, of_environment = written(project) & OF_WORKLOAD, written(project) & OF_ENVIRONMENT
    return {
        "dev": written(project) - (workload - IN_EVERY_ACCOUNT) - of_environment,
        **{name: workload | {f"{name}-{stack}" for stack in of_environment} for name in ENVIRONMENTS},
    }


def set_up(run: Shell) -> None:
    """Deploy what the environments share: to accounts without it, and again."""
    for outcome in ("created", "unchanged"):
        assert {one["outcome"] for one in run.json("deploy", "--environment", "dev", "--yes")["stacks"]} == {outcome}


def into_service(run: Shell, version: int) -> None:
    """Deploy an approved version to each environment, and again."""
    for name in ENVIRONMENTS:
        assert run.json("deploy", "--environment", name, "--yes")["version"] == version
        assert set(outcomes(run.json("deploy", "--environment", name, "--yes")).values()) == {"unchanged"}


def taken_away(run: Shell, *leftovers: str) -> None:
    """Destroy the environments, and what they share, with what belongs to no stack of theirs."""
    found = [
        run.json("destroy", "--environment", name, "--yes")["leftovers"] for name in ("production", "staging", "dev")
    ]
    assert found == [[], [], list(leftovers)]


def live(run: Shell) -> dict[int, list[str]]:
    return {version["version"]: version["live"] for version in run.json("models", "--environment", "dev")}


@pytest.mark.parametrize("answers", rest_at_night(ANSWERS, 2), ids=label)
def test_a_project_goes_into_three_accounts_and_out_of_them_again(
    rendering: Bake, tmp_path: Path, accounts: dict[str, StandInAccount], enter: Enter, answers: dict[str, str]
) -> None:
    project = filled_in(rendering(project_slug=SLUG, **answers), tmp_path)
    run = enter(project)
    set_up(run)
    for version in (1, 2):
        register(accounts["dev"], SLUG)
        assert run("approve", str(version), "--environment", "dev") == 0, run.error
        into_service(run, version)
    assert {name: stacks(account) for name, account in accounts.items()} == expected_stacks(project)
    assert live(run) == {1: [], 2: list(ENVIRONMENTS)}
    taken_away(run)
    assert [stacks(account) for account in accounts.values()] == [set(), set(), set()]
    assert set(outcomes(run.json("deploy", "--environment", "dev", "--yes")).values()) == {"created"}


@pytest.mark.parametrize("answers", rest_at_night(OF_TWO_PROJECTS), ids=label)
def test_one_project_trains_and_another_deploys_to_the_other_accounts_and_both_go_again(
    rendering: Bake, tmp_path: Path, accounts: dict[str, StandInAccount], enter: Enter, answers: dict[str, str]
) -> None:
    dev, trains = accounts["dev"], training(rendering, tmp_path, answers)
    run = enter(trains)
    set_up(run)
    assert [stacks(account, TRAINER) for account in accounts.values()] == [written(trains), set(), set()]
    assert run("destroy", "--environment", "staging", "--yes") == 2  # it has nothing there
    registry = Part.of(dev, TRAINER).values
    deploys = filled_in(rendering(project_slug=SLUG, project_scope="deploy", **answers), tmp_path, registry)
    run = enter(deploys)
    set_up(run)
    for version, project in ((1, trains), (2, deploys)):  # it does not matter where a version is approved
        register(dev, TRAINER)
        run = enter(project)
        assert run("approve", str(version), "--environment", "dev") == 0, run.error
        run = enter(deploys)
        into_service(run, version)
    assert {name: stacks(account) for name, account in accounts.items()} == expected_stacks(deploys)
    assert live(run) == {1: [], 2: list(ENVIRONMENTS)}
    for project in (trains, deploys):
        run = enter(project)
        found = run.json("doctor")
        assert [one["what"] for one in found["findings"] if one["blocks"] or one["check"] == "registry-policy"] == []
        checked = "registry-policy" not in [one["check"] for one in found["not_checked"]]
        assert checked
    taken_away(run)
    run = enter(trains)
    assert run.json("destroy", "--environment", "dev", "--yes")["leftovers"] == []
    assert [stacks(account, slug) for account in accounts.values() for slug in (SLUG, TRAINER)] == [set()] * 6
    for project in (trains, deploys):
        run = enter(project)
        assert set(outcomes(run.json("deploy", "--environment", "dev", "--yes")).values()) == {"created"}


def test_each_account_s_part_is_deployed_by_whoever_has_rights_there(
    rendering: Bake,
    tmp_path: Path,
    accounts: dict[str, StandInAccount],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    project = filled_in(rendering(project_slug=SLUG, team_size="medium"), tmp_path)
    for name in ENVIRONMENTS:
        path = project / f"config/{name}.yaml"
        path.write_text(re.sub("assume_role: .*", "assume_role: null", path.read_text()))
    for name in ("production", "dev", "staging"):  # in any order: no policy names a role that may not be there yet
        run = entered(accounts[name], project, capsys, monkeypatch)
        report = run.json("deploy", "--environment", "dev", "--account", name, "--yes")
        assert set(outcomes(report).values()) == {"created"}
        assert len(report["stacks"]) == len(stacks(accounts[name]))
    run = entered(accounts["staging"], project, capsys, monkeypatch)
    assert run("deploy", "--environment", "dev", "--yes") == 2
    assert "Your credentials are for account 222222222222" in run.error
    assert "assume_role" in run.error
    assert run("deploy", "--environment", "dev", "--account", "sandbox", "--yes") == 2
    assert "Accounts: dev, staging, production." in run.error
    assert run.json("destroy", "--environment", "dev", "--account", "staging", "--yes")["leftovers"] == []
    assert [len(stacks(account)) > 0 for account in accounts.values()] == [True, False, True]


@pytest.mark.parametrize(
    "answers",
    [{"retraining_strategy": "metric-based"}, {"project_scope": "deploy"}],
    ids=["one project", "two projects"],
)
def test_a_project_with_one_account_grows_into_three_and_keeps_its_data_and_versions(
    rendering: Bake, tmp_path: Path, accounts: dict[str, StandInAccount], enter: Enter, answers: dict[str, str]
) -> None:
    given = {"account": ACCOUNTS["dev"], "repository": f"organization/{SLUG}"}
    trained_elsewhere, registry = "project_scope" in answers, {"ModelPackageGroup": SLUG}
    if trained_elsewhere:
        scope = {"project_slug": TRAINER, "project_scope": "build-train"}
        run = enter(configured(rendering(**scope), tmp_path / "single", **given))
        run.json("deploy", "--environment", "dev", "--yes")
        registry = dict(Part.of(accounts["dev"], TRAINER).values)
        given |= {key: registry[output] for key, output in REGISTRY.items() if output in registry}
    single = configured(rendering(project_slug=SLUG, **answers), tmp_path / "single", **given)
    run = enter(single)
    run.json("deploy", "--environment", "dev", "--yes")
    register(accounts["dev"], registry["ModelPackageGroup"])
    assert run("approve", "1", "--environment", "dev") == 0
    for name in ENVIRONMENTS:
        run.json("deploy", "--environment", name, "--yes")
    before = accounts["dev"].client("s3").list_buckets()["Buckets"]
    grown = {**answers, "team_size": "medium"}
    if trained_elsewhere:
        run = enter(training(rendering, tmp_path, grown))
        report = outcomes(run.json("deploy", "--environment", "dev", "--yes"))
        assert {report[f"{TRAINER}-{stack}"] for stack in ("data", "registry")} == {"updated"}
    several = filled_in(rendering(project_slug=SLUG, **grown), tmp_path, registry)
    run = enter(several)
    run.json("deploy", "--environment", "dev", "--yes")
    for name in ENVIRONMENTS:
        assert run.json("deploy", "--environment", name, "--yes")["version"] == 1
        assert f"{name}-endpoint" in stacks(accounts[name])
        assert f"{name}-endpoint" in stacks(accounts["dev"])  # callers move when they are ready
    run = enter(single)
    for name in reversed(ENVIRONMENTS):
        run.json("destroy", "--environment", name, "--yes")
    run.json("destroy", "--environment", "dev", "--stack", "monitoring", "--stack", "workload", "--yes")
    run = enter(several)
    for name in ENVIRONMENTS:  # records again what is live there
        assert set(outcomes(run.json("deploy", "--environment", name, "--yes")).values()) == {"unchanged"}
    assert live(run) == {1: list(ENVIRONMENTS)}
    assert {name: stacks(account) for name, account in accounts.items()} == expected_stacks(several)
    kept = {bucket["Name"] for bucket in accounts["dev"].client("s3").list_buckets()["Buckets"]}
    assert kept == {bucket["Name"] for bucket in before}
