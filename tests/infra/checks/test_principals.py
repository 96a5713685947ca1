from typing import Any

from standin.template import Template
from tests.infra.checks.principals import reachable, trespasses

SCIENTIST = "arn:aws:iam::111111111111:role/scientist"
DEVELOPMENT, STAGING = "111111111111", "222222222222"


def role(name: str, principal: str, **condition: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole", "Condition": condition}
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {"RoleName": name, "AssumeRolePolicyDocument": {"Statement": [statement]}},
    }


def stack(**resources: dict[str, Any]) -> Template:
    return Template({"Resources": resources})


def entered(staging: Template, development: Template | None = None) -> list[str]:
    stacks = {f"{DEVELOPMENT}/data": development or stack(), f"{STAGING}/workload": staging}
    return [str(finding) for finding in trespasses(stacks, [SCIENTIST], [STAGING])]


def arn_like(pattern: str) -> dict[str, Any]:
    return {"ArnLike": {"aws:PrincipalArn": pattern}}


def test_a_role_that_names_a_scientist_lets_them_in() -> None:
    (finding,) = entered(stack(Deploy=role("deploy", SCIENTIST)))
    assert "Deploy" in finding
    assert SCIENTIST in finding


def test_an_account_is_let_in_unless_a_condition_narrows_it() -> None:
    root = f"arn:aws:iam::{DEVELOPMENT}:root"
    assert entered(stack(Deploy=role("deploy", root)))
    assert entered(stack(Deploy=role("deploy", DEVELOPMENT)))
    assert entered(stack(Deploy=role("deploy", root, **arn_like(f"arn:aws:iam::{DEVELOPMENT}:role/*"))))
    assert not entered(stack(Deploy=role("deploy", root, **arn_like(f"arn:aws:iam::{DEVELOPMENT}:role/deployer-*"))))
    assert not entered(stack(Deploy=role("deploy", "arn:aws:iam::333333333333:root")))


def test_a_condition_on_something_else_does_not_keep_them_out() -> None:
    assert entered(stack(Deploy=role("deploy", "*", StringEquals={"aws:PrincipalOrgID": "o-1"})))


def test_a_resource_policy_lets_them_in_as_a_role_does() -> None:
    statement = {"Effect": "Allow", "Principal": {"AWS": [SCIENTIST]}, "Action": "s3:GetObject", "Resource": "*"}
    bucket = {"Type": "AWS::S3::BucketPolicy", "Properties": {"PolicyDocument": {"Statement": [statement]}}}
    assert entered(stack(Policy=bucket))
    assert not entered(
        stack(Policy={**bucket, "Properties": {"PolicyDocument": {"Statement": [{**statement, "Effect": "Deny"}]}}})
    )


def test_a_role_that_they_can_become_counts_as_they_do() -> None:
    builder, tester = (f"arn:aws:iam::{DEVELOPMENT}:role/{name}" for name in ("builder", "tester"))
    development = stack(
        Builder=role("builder", SCIENTIST),
        Tester=role("tester", builder),
        Other=role("other", f"arn:aws:iam::{DEVELOPMENT}:root"),
    )
    assert reachable({DEVELOPMENT: development}, [SCIENTIST]) == {builder: SCIENTIST, tester: builder}
    (finding,) = entered(stack(Deploy=role("deploy", tester)), development)
    assert tester in finding
    assert not entered(stack(Deploy=role("deploy", "arn:aws:iam::111111111111:role/other")), development)
