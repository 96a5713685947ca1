"""Who may do what is one table, which the template, the project's docs and these tests read."""

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from standin.account import ACCOUNT
from standin.iam import as_list
from standin.needs import catalogue
from standin.template import Template, parse, resolve
from tests.answers import COVERING, each_set_of_answers, meant
from tests.infra.checks import names, principals, rungs
from tests.infra.people import ABILITIES, ANYWHERE, ROLES, TABLE, abilities, policy, present
from tests.infra.rendered import text_of
from tests.infra.samples import sample

LONGEST_POLICY = 6_144
"""A managed policy, without white space: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""
MOST_POLICIES = 10
READING = ("Get", "List", "Describe")
SSO = "arn:aws:iam::*:role/aws-reserved/sso.amazonaws.com/*/AWSReservedSSO_{}_*"
WORKLOAD = {"AccountHolds": "workload"}
PARTS = sorted({ability["part"] for ability in ABILITIES.values()} - {ANYWHERE})


def written(answers: Mapping[str, str]) -> Template:
    return parse(text_of("infra/people.yaml", answers))


def resolved(answers: Mapping[str, str], **more: str) -> Template:
    """The template with all roles and the trail, at the longest names."""
    template = written(answers)
    people = {f"{role}s": SSO.format(role) for role in ROLES}
    given = {**sample(template), **names.LONGEST, **people}
    return resolve(template, {**given, "Trail": "true", **more})


def kinds(answers: Mapping[str, str]) -> Iterator[tuple[Template, set[str], set[str]]]:
    """The template for each kind of account, with the abilities and the roles that are there."""
    everything = set(present(answers))
    if meant(answers)["__account_layout"] != "organization":
        yield resolved(answers), everything, set(ROLES)
        return
    for part in PARTS:
        here = {ability for ability in everything if ABILITIES[ability]["part"] in (part, ANYWHERE)}
        yield resolved(answers, AccountHolds=part), here, {name for name, one in ROLES.items() if part in one["parts"]}


def roles(template: Template) -> dict[str, dict[str, Any]]:
    return {name.removesuffix("Role"): one for name, one in template.properties("AWS::IAM::Role")}


def attached(role: Mapping[str, Any]) -> set[str]:
    """The logical ids of the policies of a role."""
    return set(re.findall(r"\{\{(\w+)\}\}", " ".join(role["ManagedPolicyArns"])))


def statements(answers: Mapping[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The statements of all policies, by policy, of each kind of account."""
    for template, _, _ in kinds(answers):
        yield from _statements(template)


def _statements(template: Template) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, one in template.properties("AWS::IAM::ManagedPolicy"):
        for statement in one["PolicyDocument"]["Statement"]:
            yield name, statement


def test_nobody_has_two_abilities_that_are_to_be_apart() -> None:
    assert TABLE["never_together"]
    for role, person in ROLES.items():
        for first, second in TABLE["never_together"]:
            assert {first, second} <= ABILITIES.keys()
            assert not {first, second} <= set(person["abilities"]), role


def test_each_ability_is_somebody_s_and_each_role_has_abilities_where_it_is() -> None:
    assert {ability for person in ROLES.values() for ability in person["abilities"]} == ABILITIES.keys()
    for role, person in ROLES.items():
        if person["in"] == "development":
            places = {ABILITIES[ability]["in"] for ability in person["abilities"]}
            assert places <= {"development", ANYWHERE}, role


@each_set_of_answers
def test_each_role_has_the_policies_of_its_abilities(answers: dict[str, str]) -> None:
    for template, here, there in kinds(answers):
        policies = {name for name, _ in template.properties("AWS::IAM::ManagedPolicy")}
        assert policies == set(map(policy, here))
        found = roles(template)
        assert found.keys() == there
        for role in there:
            assert attached(found[role]) == set(map(policy, abilities(role, answers) & here))
            assert len(found[role]["ManagedPolicyArns"]) <= MOST_POLICIES
            assert found[role]["RoleName"].endswith(f"-{ROLES[role]['suffix']}")


@each_set_of_answers
def test_in_an_account_with_deployed_models_only_are_operators_and_auditors(answers: dict[str, str]) -> None:
    template = resolved(answers, **WORKLOAD)
    found = roles(template)
    assert found.keys() == {"Operator", "Auditor"}
    here = [ability for ability in present(answers) if ABILITIES[ability]["in"] != "development"]
    assert {name for name, _ in template.properties("AWS::IAM::ManagedPolicy")} == set(map(policy, here))
    for role in found:
        assert attached(found[role]) == set(map(policy, abilities(role, answers) & set(here)))


@each_set_of_answers
def test_in_an_account_without_deployed_models_nobody_deploys(answers: dict[str, str]) -> None:
    if meant(answers)["__account_layout"] == "organization":
        assert all(
            ("deploy" in there) == ("DeployPolicy" in template.resources) for template, there, _ in kinds(answers)
        )
        return
    template = resolved(answers, AccountHolds="development")
    assert roles(template).keys() == ROLES.keys()
    here = [ability for ability in present(answers) if ABILITIES[ability]["in"] != "workload"]
    assert {name for name, _ in template.properties("AWS::IAM::ManagedPolicy")} == set(map(policy, here))


@each_set_of_answers
def test_policies_fit_and_the_static_rungs_find_nothing_when_everything_is_there(answers: dict[str, str]) -> None:
    for template, _, _ in kinds(answers):
        assert rungs.findings(template) == []
        for name, one in template.properties("AWS::IAM::ManagedPolicy"):
            assert len(json.dumps(one["PolicyDocument"], separators=(",", ":"))) <= LONGEST_POLICY, name


@each_set_of_answers
def test_nobody_changes_roles_or_becomes_one_of_the_project_s_own(answers: dict[str, str]) -> None:
    for name, statement in statements(answers):
        for action in as_list(statement["Action"]):
            service, _, operation = action.partition(":")
            assert service not in ("sts", "organizations", "sso"), name
            assert service != "iam" or operation == "PassRole" or operation.startswith(READING), name
            assert service not in ("kms",) or operation in ("Decrypt", "DescribeKey", "GenerateDataKey"), name
            assert not operation.startswith("Delete") or name == "DeployPolicy", name


@each_set_of_answers
def test_what_knows_no_resources_is_allowed_on_all_and_nothing_else_is(answers: dict[str, str]) -> None:
    for name, statement in statements(answers):
        for action in as_list(statement["Action"]):
            knows = any(catalogue()[action.lower()].values())
            reads = action.partition(":")[2].startswith(READING)
            assert knows or statement["Resource"] == "*", (name, action)
            assert not knows or statement["Resource"] != "*" or reads, (name, action)


@each_set_of_answers
def test_roles_are_passed_by_those_who_change_pipelines_and_those_who_deploy(answers: dict[str, str]) -> None:
    passing = {
        name: (as_list(statement["Resource"]), statement["Condition"]["StringEquals"]["iam:PassedToService"])
        for name, statement in statements(answers)
        if "iam:PassRole" in as_list(statement["Action"])
    }
    jobs = dict.fromkeys(("SubmitPolicy", "ExperimentPolicy"), "sagemaker.amazonaws.com")
    expected = {**jobs, "DeployPolicy": "cloudformation.amazonaws.com"}
    here = set(map(policy, present(answers)))
    assert {name: service for name, (_, service) in passing.items()} == {
        name: service for name, service in expected.items() if name in here
    }
    assert all(
        resource.startswith("arn:aws:iam::") and "*" not in resource
        for passed, _ in passing.values()
        for resource in passed
    )


def test_a_role_is_open_to_the_named_roles_of_its_own_account() -> None:
    template = resolved({})
    for role, one in roles(template).items():
        [statement] = one["AssumeRolePolicyDocument"]["Statement"]
        assert statement == {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
            "Action": "sts:AssumeRole",
            "Condition": {"ArnLike": {"aws:PrincipalArn": [SSO.format(role)]}},
        }


def test_a_role_that_nobody_is_named_for_does_not_exist() -> None:
    template = written({})
    bare = resolve(template, {**sample(template), **names.LONGEST})
    assert roles(bare) == {}
    assert list(bare.properties("AWS::CloudTrail::Trail", "AWS::S3::Bucket", "AWS::KMS::Key")) == []
    assert bare.resources  # CloudFormation makes no stack without resources


def test_data_scientists_become_nothing_in_an_account_with_deployed_models() -> None:
    stacks = {"111111111111/people": resolved({}), "222222222222/people": resolved({}, **WORKLOAD)}
    start = [f"arn:aws:iam::111111111111:role/sagemaker-{names.LONGEST['ProjectName']}-{names.LONGEST['ProjectId']}-ds"]
    assert principals.trespasses(stacks, start, ["222222222222"]) == []


PRINCIPALS = {
    "arn:aws:iam::*:role/aws-reserved/sso.amazonaws.com/*/AWSReservedSSO_DataScientist_*": True,
    "arn:aws:iam::123456789012:role/jenkins": True,
    "": True,
    "*": False,
    "arn:aws:iam::*:role/*": False,
    "arn:aws:iam::123456789012:root": False,
    "arn:aws:iam::123456789012:user/ada": False,
}


@pytest.mark.parametrize(("arn", "fits"), PRINCIPALS.items())
def test_only_roles_can_be_named_and_not_all_of_them(arn: str, fits: bool) -> None:
    for role in ROLES:
        pattern = written({}).data["Parameters"][f"{role}s"]["AllowedPattern"]
        assert bool(re.fullmatch(pattern, arn)) == fits


def test_a_project_with_the_default_answers_has_all_abilities_but_what_takes_an_account_of_its_own() -> None:
    assert set(present({"team_size": "large"})) == ABILITIES.keys()
    assert ABILITIES.keys() - set(present({})) == {"experiment"}
    assert any(len(present(answers)) < len(ABILITIES) for answers in COVERING)


def test_suffixes_are_short_enough_and_differ() -> None:
    suffixes = [person["suffix"] for person in ROLES.values()]
    assert len(set(suffixes)) == len(suffixes)
    assert max(map(len, suffixes)) <= 64 - len(f"sagemaker-{'-'.join(names.LONGEST.values())}-")
    assert all(not a.endswith(f"-{b}") for a, b in itertools.permutations(suffixes, 2))
