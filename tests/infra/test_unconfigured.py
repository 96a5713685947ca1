"""A project that nobody has configured yet: what `doctor` and `deploy` ask for."""

import json
import re
from pathlib import Path

import pytest
import yaml

from mlops.cli.main import main
from tests.answers import label
from tests.projects import Bake

ANSWERS: list[dict[str, str]] = [
    {},
    {"team_size": "medium"},
    {"account_layout": "multi", "project_scope": "build-train", "git_provider": "codecommit"},
    {"team_size": "medium", "project_scope": "deploy"},
    {"project_scope": "deploy", "inference": "batch", "training_image": "custom"},
    {"team_size": "large"},
    {"account_layout": "organization", "inference": "batch", "monitoring": "off", "git_provider": "codecommit"},
]


def asked(text: str) -> list[tuple[str, str]]:
    """The settings that messages about a file ask for, each with the file."""
    found = re.findall(r"(config/\w+\.yaml) has no value for ((?:`[\w.-]+`(?:, )?)+)", text)
    settings = [(file, key) for file, keys in found for key in re.findall("`([^`]+)`", keys)]
    return settings + [(file, key) for key, file in re.findall(r"(?:Set|for) `([\w.-]+)` in (config/\w+\.yaml)", text)]


def is_open(project: Path, file: str, key: str) -> bool:
    """Whether a file has a setting, without a value."""
    value = yaml.safe_load((project / file).read_text(encoding="utf-8"))
    for part in key.split("."):
        if part not in value:
            return False
        value = value[part]
    return value is None


@pytest.mark.parametrize("answers", ANSWERS, ids=label)
def test_each_setting_without_a_value_is_asked_for_once(
    rendering: Bake, answers: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = rendering(**answers)
    monkeypatch.chdir(project)
    assert main(["doctor", "--json"]) == 1
    findings = json.loads(capsys.readouterr().out)["findings"]
    blocking = [one for one in findings if one["check"] == "settings" and one["blocks"]]
    wanted = asked("\n".join(f"{one['what']}\n{one['remedy']}" for one in blocking))
    assert ("config/dev.yaml", "account") in wanted
    assert len(wanted) >= len(blocking)
    assert sorted(set(wanted)) == sorted(wanted)
    assert [one for one in wanted if not is_open(project, *one)] == []
    assert main(["deploy", "--environment", "dev"]) == 2
    of_deploy = asked(capsys.readouterr().err)
    assert sorted(set(of_deploy)) == sorted(of_deploy)
    assert set(of_deploy) <= set(wanted)
    assert main(["doctor"]) == 1
    skipped = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Not checked:")]
    assert len(skipped) == 1
