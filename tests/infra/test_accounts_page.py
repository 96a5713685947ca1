"""The project's page of its accounts: what it says is in which account is what is deployed there."""

import re
from pathlib import Path

import pytest

from mlops.base.environments import ENVIRONMENTS
from mlops.project.stacks import ACCOUNTS, placed
from tests.answers import COVERING, label, meant
from tests.projects import Bake

SEVERAL = [answers for answers in COVERING if meant(answers)["__account_layout"] != "single"]
DEPLOYING, TRAINING = (
    [one for one in SEVERAL if bool(meant(one)["__deploys"]) is deploys] for deploys in (True, False)
)
each_project = pytest.mark.parametrize("answers", DEPLOYING, ids=label)


def rows(project: Path) -> dict[str, list[str]]:
    """The stacks of each account, as the page lists them."""
    page = (project / "docs/accounts.md").read_text(encoding="utf-8")
    table = page.partition("## Which account holds what\n\n")[2].partition("\n\n")[0]
    cells = dict(re.findall(r"^\| ([\w, -]+) \| (.+?) \| ", table, re.MULTILINE))
    del cells["account"]
    listed = {name: re.findall(r"`(\w+)`", cell) for name, cell in cells.items()}
    return {name: listed["staging"] if cells[name] == "the same as staging" else listed[name] for name in cells}


@each_project
def test_the_page_lists_the_stacks_of_each_account(rendering: Bake, answers: dict[str, str]) -> None:
    project, layout = rendering(**answers), meant(answers)["__account_layout"]
    expected: dict[str, list[str]] = {name: [] for name in dict.fromkeys(ACCOUNTS[layout].values())}
    for environment in ("dev", *ENVIRONMENTS):
        for one in placed(project, environment, layout):
            expected[one.account].append(one.stack.name)
    listed = rows(project)
    assert list(listed) == list(expected)
    assert {name: sorted(stacks) for name, stacks in listed.items()} == {
        name: sorted(stacks) for name, stacks in expected.items()
    }


@pytest.mark.parametrize("answers", TRAINING, ids=label)
def test_the_page_of_a_project_that_trains_for_another_one_lists_the_stacks_of_its_account(
    rendering: Bake, answers: dict[str, str]
) -> None:
    project = rendering(**answers)
    expected = [one.stack.name for one in placed(project, "dev", "single")]
    assert {name: sorted(stacks) for name, stacks in rows(project).items()} == {
        "dev": sorted(expected),
        "staging, production": [],
    }


@each_project
def test_the_diagram_has_the_accounts(rendering: Bake, answers: dict[str, str]) -> None:
    page = (rendering(**answers) / "docs/accounts.md").read_text(encoding="utf-8")
    drawn = re.findall(r"^  subgraph ([\w-]+) \[[\w-]+ account\]$", page, re.MULTILINE)
    assert drawn == list(dict.fromkeys(ACCOUNTS[meant(answers)["__account_layout"]].values()))
