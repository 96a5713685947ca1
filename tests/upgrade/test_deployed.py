"""What release 0.4.0 has deployed is brought up to this one: the roles first, then the environments."""

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from standin.account import StandInAccount
from standin.kinds import KINDS
from tests.answers import label, rest_at_night
from tests.infra.rendered import SLUG, configure
from tests.journeys.test_whole_account import FILLED_IN, outcomes, register
from tests.machinery.deployment.deploying import entered
from tests.projects import ROOT, Bake, rendered
from tests.upgrade.test_upgrade import git, releases

pytestmark = pytest.mark.slow

ANSWERS: list[dict[str, str]] = [
    {},
    {"inference": "serverless"},
    {"inference": "batch", "git_provider": "codecommit", "training_image": "custom"},
]
ENVIRONMENTS = ("staging", "production")
PARAMETER = "AWS::SSM::Parameter"


def filled(project: Path) -> Path:
    keys = re.findall(r"^ *(\w+): null$", (project / "config/dev.yaml").read_text(), re.MULTILINE)
    configure(project, **{key: FILLED_IN[key] for key in keys if key in FILLED_IN})
    return project


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template as 0.4.0 has it."""
    folder = tmp_path_factory.mktemp("release")
    git(ROOT, "archive", f"--output={folder}/template.zip", releases(ROOT)["0.4.0"])
    shutil.unpack_archive(folder / "template.zip", folder)
    machinery = folder / "<<cookiecutter.project_slug>>/mlops/aws/stacks.py"
    # What exists already was imported in a way that the stand-in does not answer; in an empty account nothing does.
    machinery.write_text(machinery.read_text().replace("bool(template.retained())", "False"))
    return folder


def deploy(account: StandInAccount, project: Path) -> None:
    """Deploy a project of that release, with its own verbs, and its first version to both environments."""

    def verb(*arguments: str) -> None:
        environment = {**account.environment(), "PYTHONPATH": str(project)}
        command = [sys.executable, "-m", "mlops", *arguments]
        result = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout + result.stderr

    verb("deploy", "--environment", "dev", "--yes")
    register(account, SLUG)
    verb("approve", "1", "--environment", "dev")
    for name in ENVIRONMENTS:
        verb("deploy", "--environment", name, "--yes")


@pytest.mark.usefixtures("grown")
@pytest.mark.parametrize("answers", rest_at_night(ANSWERS), ids=label)
def test_a_deployed_project_is_brought_up_to_this_release(
    release: Path,
    bake: Bake,
    tmp_path: Path,
    account: StandInAccount,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    answers: dict[str, str],
) -> None:
    answers = {"project_slug": SLUG, **answers}
    deploy(account, filled(rendered(release, tmp_path, **answers)))
    run = entered(account, filled(bake(**answers)), capsys, monkeypatch)

    def live() -> list[str]:
        (version,) = run.json("models", "--environment", "dev")
        return list(version["live"])

    # Its roles may delete what says which version is live, which no stack holds any more.
    assert run("deploy", "--environment", "staging", "--yes") == 1
    assert "Deploy that stack first: .venv/bin/python -m mlops deploy --environment dev" in run.error
    assert live() == list(ENVIRONMENTS)
    brought = outcomes(run.json("deploy", "--environment", "dev", "--yes"))
    for name in ("monitoring", "people", "retraining"):  # 0.4.0 did not have these
        assert brought.pop(f"{SLUG}-{name}") == "created"
    assert set(brought.values()) <= {"updated", "unchanged"}
    with monkeypatch.context() as patch:
        # The role may not delete it now. CloudFormation goes on, and lets it be, as with all that it fails to delete at
        # the end of an update: https://repost.aws/knowledge-center/cloudformation-stack-cleanup-stuck
        patch.setitem(KINDS, PARAMETER, replace(KINDS[PARAMETER], delete=""))
        for name in ENVIRONMENTS:
            assert "updated" in outcomes(run.json("deploy", "--environment", name, "--yes")).values()
            assert live() == list(ENVIRONMENTS)
    for name in ("dev", *ENVIRONMENTS):
        assert set(outcomes(run.json("deploy", "--environment", name, "--yes")).values()) == {"unchanged"}
    for name in reversed(("dev", *ENVIRONMENTS)):
        assert run.json("destroy", "--environment", name, "--yes")["leftovers"] == []
    assert run.stacks() == []
    assert account.client("ssm").describe_parameters()["Parameters"] == []
