"""Every text that a template comes to, whatever the answers, climbs the static rungs; each text once."""

import itertools
import json
import re
from pathlib import Path

import pytest

from mlops.deployment.left_behind import FOUND
from mlops.deployment.templates import Template
from standin.account import REGION
from standin.template import parse, resolve
from tests.answers import COVERING, REGIONS, beyond_default, label, refusal, rest_at_night
from tests.infra.checks import codepipeline, createonly, names, rungs, validators, whole_numbers
from tests.infra.rendered import SLUG, buildspecs, every_text, texts
from tests.infra.samples import sample
from tests.projects import Bake

LONGEST_POLICIES = 10_240
"""All inline policies of a role, without white space.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
"""
LONGEST_ARN = 95
"""Of what is known after deployment: that of a role."""

each_text = pytest.mark.parametrize(
    ("stack", "text"),
    [
        pytest.param(stack, text, marks=beyond_default(answers), id=f"{stack}-{label(answers)}")
        for (stack, text), answers in every_text().items()
    ],
)


LONGEST = {stack: max((text for name, text in every_text() if name == stack), key=len) for stack, _ in every_text()}
"""The text of each stack that has most in it; what takes long is done with the others at night."""

each_longest = pytest.mark.parametrize(("stack", "text"), LONGEST.items(), ids=LONGEST)


def test_what_is_checked_here_is_what_cookiecutter_renders(rendering: Bake) -> None:
    for answers in (COVERING[0], COVERING[-1]):
        project = rendering(project_slug=SLUG, **answers)
        assert texts(answers) == {path.stem: path.read_text() for path in (project / "infra").glob("*.yaml")}
        written = {f"buildspecs/{path.name}": path.read_text() for path in (project / "buildspecs").glob("*")}
        assert buildspecs(answers) == written


@each_text
def test_aws_s_validator_and_our_rules_find_nothing(stack: str, text: str) -> None:
    assert validators.invalid(text) == []


@each_longest
def test_cfn_lint_finds_nothing(stack: str, text: str) -> None:
    assert validators.unlinted(text, [REGION]) == []


@pytest.mark.nightly
@each_text
def test_cfn_lint_finds_nothing_in_any_region_that_is_offered(stack: str, text: str) -> None:
    answers = every_text()[stack, text]
    regions = [region for region in REGIONS if not refusal({**answers, "aws_region": region})]
    assert validators.unlinted(text, regions) == []


@each_text
def test_the_static_rungs_find_nothing_at_the_longest_names(stack: str, text: str) -> None:
    template = parse(text)
    resolved = resolve(template, {**sample(template), **names.LONGEST})
    assert rungs.findings(resolved) == []


def test_pipelines_use_what_there_is_and_what_earlier_builds_really_export() -> None:
    seen = set()
    for answers in COVERING:
        for text in texts(answers).values():
            specs = {path: spec for path, spec in buildspecs(answers).items() if path in text}
            if not specs or (case := (text, *specs.values())) in seen:
                continue
            seen.add(case)
            template = parse(text)
            resolved = resolve(template, {**sample(template), **names.LONGEST})
            assert codepipeline.findings(resolved, specs) == []
            projects = resolved.properties("AWS::CodeBuild::Project")
            assert {properties["Source"]["BuildSpec"] for _, properties in projects} == specs.keys()
    assert seen


@each_text
def test_a_number_that_is_put_into_a_text_or_read_by_code_has_no_fraction(stack: str, text: str) -> None:
    assert whole_numbers.findings(parse(text)) == []


@each_text
def test_each_parameter_says_what_it_is_and_what_it_takes(stack: str, text: str) -> None:
    for name, parameter in parse(text).data["Parameters"].items():
        assert parameter.get("Description"), name
        narrowed = {"AllowedPattern", "AllowedValues", "MinValue", "MaxValue"} & parameter.keys()
        assert narrowed or parameter["Type"] != "String", name


@each_text
def test_what_is_retained_is_found_again_by_its_name_or_by_what_it_encrypts(stack: str, text: str) -> None:
    template = Template.parse(text)
    retained = {logical: template.resources[logical] for logical in template.retained()}
    assert {one["Type"] for one in retained.values()} <= FOUND
    for key in (logical for logical, one in retained.items() if one["Type"] == "AWS::KMS::Key"):
        assert any(f"'Fn::GetAtt': ['{key}', 'Arn']" in str(one["Properties"]) for one in retained.values()), key


@each_text
def test_the_inline_policies_of_a_role_fit_into_it(stack: str, text: str) -> None:
    template = parse(text)
    resolved = resolve(template, {**sample(template), **names.LONGEST, "AWS::Region": "ap-southeast-1"})
    for name, role in resolved.properties("AWS::IAM::Role"):
        policies = [json.dumps(one["PolicyDocument"], separators=(",", ":")) for one in role.get("Policies", [])]
        written = [re.sub(r"\{\{[^}]+\}\}", "x" * LONGEST_ARN, policy) for policy in policies]
        assert sum(map(len, written)) <= LONGEST_POLICIES, name


@pytest.mark.slow
@pytest.mark.parametrize("checked", rest_at_night([list(LONGEST.items()), list(every_text())]), ids=["longest", "all"])
def test_checkov_finds_little_and_what_is_skipped_says_why(checked: list[tuple[str, str]], tmp_path: Path) -> None:
    for number, (stack, text) in enumerate(checked):
        (tmp_path / f"{stack}-{number}.yaml").write_text(text)
    posture = validators.posture(tmp_path)
    assert posture.unjustified == []
    assert posture.per_hundred <= 5, posture.failures


ANNOUNCED = ("Model", "ShadowModel", "EndpointConfig")
"""Unnamed, made anew for each version that is deployed."""


@pytest.mark.parametrize("stack", sorted({stack for stack, _ in every_text()}))
def test_other_answers_change_a_stack_in_place_or_replace_what_is_announced(stack: str) -> None:
    variants = [parse(text) for name, text in every_text() if name == stack]
    resolved = [resolve(template, {**sample(template), **names.LONGEST}) for template in variants]
    for before, after in itertools.permutations(resolved, 2):
        assert createonly.findings(before, after, ANNOUNCED) == []
