"""What AWS's validator, our Guard rules, cfn-lint and checkov say about a template; whatever they say is a finding."""

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from cfnlint.config import ConfigMixIn
from cfnlint.decode.decode import decode_str
from cfnlint.runner import Runner
from cloudformation_validate import (
    CompositeEngine,
    CompositeEngineConfig,
    Severity,
    TemplateContent,
    ValidateConfig,
    file_to_external_rule_source,
)

from standin.finding import Finding
from standin.needs import UNLISTED
from standin.template import Template, parse
from tests.projects import ROOT

CHECKOV = os.environ.get("CHECKOV", str(ROOT / ".checkov/bin/checkov"))
"""The command, which has an environment of its own."""
RULES = Path(__file__).parent / "rules.guard"
SILENCER = "cfn-lint"
"""The key of metadata that makes cfn-lint say less."""
_DEFAULT_DOES_NOT_FIT = "W1030"
_MAY_BE_MISSING = "W1001"
_UNKNOWN_ACTION = "W3037"


@cache
def _engine() -> CompositeEngine:
    rules = [file_to_external_rule_source(str(RULES))]
    return CompositeEngine(CompositeEngineConfig(guard_rules=rules))


def invalid(text: str) -> list[Finding]:
    """Errors and warnings of AWS's offline validator, and violations of our Guard rules."""
    report = _engine().validate_template(TemplateContent(text), ValidateConfig(severity_level=Severity.WARN))
    template = parse(text)
    return [
        Finding(
            "/".join(filter(None, [said.entity and said.entity.logical_id, said.property_path]))
            + f" (line {said.start_line})",
            f"{said.message} [{said.rule_id}]",
        )
        for said in report.diagnostics
        if not (said.rule_id == _DEFAULT_DOES_NOT_FIT and _is_left_out(said, template))
        and not (said.rule_id == _MAY_BE_MISSING and _is_there(said, template))
    ]


def _is_left_out(said: Any, template: Template) -> bool:
    """Whether a property is there only if the parameter that it refers to is not empty; the validator cannot tell."""
    value: Any = template.resources[said.entity.logical_id]
    for step in said.property_path.split("."):
        value = value[int(step) if isinstance(value, list) else step]
    condition, present, absent = value.get("Fn::If", (None, {}, {}))
    is_set = {"Fn::Not": [{"Fn::Equals": [present, ""]}]}
    conditions = template.data.get("Conditions", {})
    return bool(absent == {"Ref": "AWS::NoValue"} and conditions.get(condition) == is_set)


def _is_there(said: Any, template: Template) -> bool:
    """Whether an output names a resource on the very condition that makes it; the validator cannot tell."""
    value: Any = template.data.get("Outputs", {}).get(said.entity.logical_id, {}).get("Value", {})
    condition, present, _ = value.get("Fn::If", (None, {}, {}))
    name, _ = present.get("Fn::GetAtt", ("", ""))
    return condition is not None and template.resources.get(name, {}).get("Condition") == condition


def unlinted(text: str, regions: Sequence[str]) -> list[Finding]:
    """Errors and warnings of cfn-lint for some Regions, and where it is told to be silent."""
    found = [
        Finding("/".join(map(str, said.path or [])) + f" (line {said.linenumber})", f"{said.message} [{said.rule.id}]")
        for said in _linted(text, tuple(regions))
        if said.rule.severity in ("error", "warning") and not _is_unlisted(said)
    ]
    data = parse(text).data
    resources = data["Resources"].items()
    owners = [("Metadata", data), *((f"{name}/Metadata", resource) for name, resource in resources)]
    return found + [
        Finding(where, "cfn-lint is told to be silent")
        for where, owner in owners
        if SILENCER in owner.get("Metadata", {})
    ]


def _is_unlisted(said: Any) -> bool:
    """Whether it is about an action that IAM has and cfn-lint's catalogue has not."""
    action = str(said.message).partition("'")[2].partition("'")[0]
    return said.rule.id == _UNKNOWN_ACTION and any(known.endswith(f":{action}") for known in UNLISTED)


def _linted(text: str, regions: tuple[str, ...]) -> list[Any]:
    template, unreadable = decode_str(text)
    return unreadable or list(_linter(regions).validate_template(template))


@cache
def _linter(regions: tuple[str, ...]) -> Runner:
    """cfn-lint with its rules loaded, which takes as long as a template does."""
    return Runner(ConfigMixIn(regions=list(regions)))


@dataclass(frozen=True)
class Posture:
    """What checkov says about the templates of a folder.

    Attributes:
        failures: Its failed checks.
        unjustified: Checks that are skipped without a sentence that says why.
        resources: How many resources it looked at.
    """

    failures: list[Finding]
    unjustified: list[Finding]
    resources: int

    @property
    def per_hundred(self) -> float:
        """Failures per 100 resources."""
        return 100 * len(self.failures) / self.resources


def posture(folder: Path) -> Posture:
    """Run checkov over the templates of a folder.

    Args:
        folder: The folder.

    Raises:
        RuntimeError: It looked at nothing, or could not read a template.
    """
    command = [
        CHECKOV,
        "--framework",
        "cloudformation",
        "--directory",
        str(folder),
        "--skip-download",
        "--output",
        "json",
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    said = json.loads(result.stdout or "{}")
    if "results" not in said or said["summary"]["parsing_errors"]:
        raise RuntimeError(f"checkov read no template: {result.stdout}{result.stderr}")
    skipped = said["results"]["skipped_checks"]
    return Posture(
        [_checked(check, check["check_name"]) for check in said["results"]["failed_checks"]],
        [_checked(check, "skipped, and why?") for check in skipped if not _is_reason(check["check_result"])],
        said["summary"]["resource_count"],
    )


def _checked(check: dict[str, Any], what: str) -> Finding:
    where = f"{check['file_path'].lstrip('/')}: {check['resource']} (line {check['file_line_range'][0]})"
    return Finding(where, f"{what} [{check['check_id']}]")


def _is_reason(result: dict[str, Any]) -> bool:
    return len(result.get("suppress_comment", "").split()) >= 4
