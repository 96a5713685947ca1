"""Who may enter which role and touch which resource, over all accounts."""

from typing import Any

import pytest

from standin.account import REGION, Cloud
from standin.attached import resource_policies
from standin.reach import Opening, Walk, strangers
from standin.resource_policies import ResourcePolicies
from tests.standin.several_accounts import (
    BUCKET,
    DEV,
    PRODUCTION,
    STAGING,
    accounts,
    allow,
    put_registry,
    role,
    root,
)

SCIENTIST, BUILD = (f"arn:aws:iam::{DEV}:role/visits-{name}" for name in ("scientist", "build"))
FIRST, LAST = f"arn:aws:iam::{STAGING}:role/first", f"arn:aws:iam::{PRODUCTION}:role/last"
LETTERS = f"arn:aws:sqs:{REGION}:{PRODUCTION}:letters"
SERVICE = {"Statement": [allow({"Service": "codebuild.amazonaws.com"}, "sts:AssumeRole")]}


def only(account: str, pattern: str) -> dict[str, object]:
    condition = {"ArnLike": {"aws:PrincipalArn": pattern}, "StringEquals": {"sts:ExternalId": "unknown"}}
    return allow(root(account), "sts:AssumeRole", Condition=condition)


def walk(**changed: Any) -> Walk:
    """A chain from a build in dev through staging to production, where a queue is open to the last role."""
    documents = {
        SCIENTIST: {"Statement": [allow({"Service": "sagemaker.amazonaws.com"}, "sts:AssumeRole")]},
        BUILD: SERVICE,
        FIRST: {"Statement": [only(DEV, "arn:aws:iam::*:role/visits-build")]},
        LAST: {"Statement": [only(STAGING, FIRST)]},
        LETTERS: {"Statement": [allow({"AWS": LAST}, "sqs:SendMessage", Resource="*")]},
    }
    return Walk(ResourcePolicies({**documents, **{globals()[name]: value for name, value in changed.items()}}))


def test_roles_are_entered_one_through_the_other() -> None:
    assert walk().entered(BUILD) == {FIRST: (), LAST: (FIRST,)}
    assert walk().entered("codebuild.amazonaws.com") == {BUILD: (), FIRST: (BUILD,), LAST: (BUILD, FIRST)}
    assert Opening(PRODUCTION, LETTERS, ("sqs:SendMessage",), (FIRST, LAST)) in walk().reached(BUILD)
    assert walk().reached(SCIENTIST) == []
    assert walk().principals(DEV, "*-scientist") == [SCIENTIST]


@pytest.mark.parametrize(
    ("name", "statement"),
    [
        ("FIRST", only(DEV, "arn:aws:iam::*:role/visits-*")),
        ("FIRST", allow(root(DEV), "sts:*")),
        ("FIRST", allow({"AWS": DEV}, "sts:AssumeRole")),
        ("FIRST", allow("*", "sts:AssumeRole", Condition={"StringEquals": {"aws:PrincipalAccount": DEV}})),
        ("BUILD", allow(root(DEV), "sts:AssumeRole")),
        ("LETTERS", allow("*", "sqs:SendMessage", Resource="*")),
        ("LETTERS", allow({"AWS": SCIENTIST}, "sqs:SendMessage", Resource="*")),
    ],
)
def test_each_way_that_a_policy_opens_is_found(name: str, statement: object) -> None:
    reached = walk(**{name: {"Statement": [statement]}}).reached(SCIENTIST)
    assert {opening.account for opening in reached} & {STAGING, PRODUCTION}


@pytest.mark.parametrize(
    ("deny", "closed"),
    [
        ({"Action": "sqs:*", "Resource": "*"}, True),
        ({"Action": "sqs:*", "Resource": "*", "Condition": {"ArnNotLike": {"aws:PrincipalArn": LAST}}}, True),
        ({"Action": "sqs:*", "Resource": "*", "Condition": {"ArnLike": {"aws:PrincipalArn": LAST}}}, False),
        ({"Action": "sqs:*", "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}, False),
        ({"Action": "sqs:ReceiveMessage", "Resource": "*"}, False),
        ({"Action": "sqs:*", "Resource": f"{LETTERS}-old"}, False),
    ],
)
def test_a_deny_closes_what_it_takes_in_for_certain(deny: dict[str, object], closed: bool) -> None:
    opened = allow("*", "sqs:SendMessage", Resource="*")
    document = {"Statement": [opened, {"Effect": "Deny", "Principal": "*", **deny}]}
    assert (walk(LETTERS=document).openings(SCIENTIST) == []) is closed


def test_what_is_deployed_is_walked(cloud: Cloud) -> None:
    dev, staging, production = accounts(cloud)
    scientist = role(dev, "visits-scientist", allow(root(DEV), "sts:AssumeRole"))
    build = role(dev, "visits-build", allow({"Service": "codebuild.amazonaws.com"}, "sts:AssumeRole"))
    deploy = role(staging, "visits-deploy", only(DEV, build))
    role(production, "visits-deploy", only(DEV, build))
    put_registry(dev)
    walked = Walk(resource_policies())
    assert {opening.account for opening in walked.reached(scientist)} == {DEV}
    assert {opening.account for opening in walked.reached(build)} == {DEV, STAGING, PRODUCTION}
    bucket = f"arn:aws:s3:::{BUCKET}"
    assert Opening(DEV, bucket, ("s3:GetObject",), (deploy,)) in walked.reached(build)
    assert set(strangers(walked, DEV)) == {deploy}
    assert set(strangers(walked, STAGING)) == {build}


def test_an_account_that_is_let_in_whole_is_a_stranger(cloud: Cloud) -> None:
    _, staging, _ = accounts(cloud)
    role(staging, "open", allow(root(DEV), "sts:AssumeRole"))
    assert list(strangers(Walk(resource_policies()), STAGING)) == [f"arn:aws:iam::{DEV}:root"]
