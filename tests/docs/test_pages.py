"""What pages list of the infrastructure is all of it."""

import re

from tests.infra.rendered import text_of
from tests.projects import ROOT, SOURCES

INFRA = {path.stem: path.read_text(encoding="utf-8") for path in sorted(SOURCES.glob("infra/*.yaml"))}
INFRA["people"] = text_of("infra/people.yaml", {})  # its roles are made from a table
FRAGMENTS = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "templates/fragments").glob("*.yaml"))]
NAME = r': !Sub "([^"]+)"'


def page(name: str) -> str:
    return (ROOT / f"docs/{name}.md").read_text(encoding="utf-8")


def names(key: str) -> set[str]:
    """The names that resources have under a key, as pages write them: without project and environment."""
    found = {name for text in (*INFRA.values(), *FRAGMENTS) for name in re.findall(key + NAME, text)}
    assert found
    varying = r"\$\{(ProjectName|EnvironmentName|ProjectId)\}|<< \w+ >>"
    return {re.sub(varying, "", name).lstrip("-") for name in found}


def test_each_stack_has_a_row() -> None:
    rows = set(re.findall(r"^\| `(\w+)` \|", page("platform-engineer/answers"), re.MULTILINE))
    assert set(INFRA) <= rows


def test_each_template_of_the_platform_has_a_row() -> None:
    templates = {path.name for path in (ROOT / "templates/cloudformation").glob("*.yaml")}
    assert templates
    for name in ("platform-engineer/answers", "platform-engineer/network"):
        assert templates <= set(re.findall(r"^\| `([\w.-]+)` \|", page(name), re.MULTILINE))


def test_each_alarm_says_what_to_do() -> None:
    rows = "\n".join(re.findall(r"^\| (`.+?) \|", page("operator/alarms"), re.MULTILINE))
    listed = {name.removeprefix("<slug>").lstrip("-") for name in re.findall(r"`([^`]+)`", rows)}
    assert names("AlarmName") == listed


def test_each_dashboard_is_listed() -> None:
    listed = {name.rpartition("-")[2] for name in re.findall(r"`<slug>-([\w<>-]+)` \|", page("operator/alarms"))}
    assert names("DashboardName") <= listed


def test_each_log_group_is_listed() -> None:
    text = page("operator/what-runs")
    assert [name for name in names("LogGroupName") if name.rpartition("/")[2].lstrip("-") not in text] == []


def test_each_role_has_a_row() -> None:
    section = page("platform-engineer/permissions").partition("## Roles")[2].partition("\n## ")[0]
    rows = "\n".join(re.findall(r"^\| (`.+?) \|", section, re.MULTILINE))
    assert {name.rpartition("-")[2] for name in names("RoleName")} == set(re.findall(r"`(\w+)`", rows))
