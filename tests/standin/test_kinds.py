"""Policies of resources as stacks make, change, read and delete them."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from standin import deploy
from standin.account import ACCOUNT, REGION, StandInAccount
from standin.attached import resource_policies
from standin.deploy import Stack, put
from standin.template import parse

FIRST, SECOND = "222222222222", "333333333333"
GROUP = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model-package-group/visits"
REPOSITORY = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/visits"
BUS = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/visits"
TEMPLATE: dict[str, Any] = {
    "Resources": {
        "Group": {
            "Type": "AWS::SageMaker::ModelPackageGroup",
            "Properties": {"ModelPackageGroupName": "visits", "ModelPackageGroupPolicy": "sagemaker:CreateModel"},
        },
        "Repository": {
            "Type": "AWS::ECR::Repository",
            "Properties": {"RepositoryName": "visits", "RepositoryPolicyText": "ecr:BatchGetImage"},
        },
        "Bus": {"Type": "AWS::Events::EventBus", "Properties": {"Name": "visits"}},
        "BusPolicy": {
            "Type": "AWS::Events::EventBusPolicy",
            "Properties": {
                "EventBusName": {"Ref": "Bus"},
                "StatementId": "sender",
                "Statement": "events:PutEvents",
            },
        },
    }
}
PROPERTIES = {"Group": "ModelPackageGroupPolicy", "Repository": "RepositoryPolicyText", "BusPolicy": "Statement"}


def stack(principal: str) -> Stack:
    """A stack whose policies name a principal, or that has none when it is empty."""
    template = json.loads(json.dumps(TEMPLATE))
    for logical, property_ in PROPERTIES.items():
        properties = template["Resources"][logical]["Properties"]
        statement = {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": properties.pop(property_)}
        if logical != "Repository":
            statement["Resource"] = "*"
        if principal:
            document = {"Version": "2012-10-17", "Statement": [statement]}
            properties[property_] = statement if logical == "BusPolicy" else document
    if not principal:
        del template["Resources"]["BusPolicy"]
    return Stack("policies", parse(json.dumps(template)))


def named(account: StandInAccount) -> dict[str, list[str]]:
    """The principals that each of the three policies names."""
    documents = resource_policies().documents
    return {
        arn: [statement["Principal"]["AWS"] for statement in documents[arn]["Statement"]]
        for arn in (GROUP, REPOSITORY, BUS)
        if arn in documents
    }


def test_policies_are_made_changed_taken_away_and_made_again(account: StandInAccount) -> None:
    for principal in (FIRST, SECOND, "", FIRST):
        put(account, stack(principal))
        expected = {arn: [principal] for arn in (GROUP, REPOSITORY, BUS)} if principal else {}
        assert named(account) == expected
    ecr, sagemaker = account.client("ecr"), account.client("sagemaker")
    assert FIRST in ecr.get_repository_policy(repositoryName="visits")["policyText"]
    read = sagemaker.get_model_package_group_policy(ModelPackageGroupName="visits")["ResourcePolicy"]
    assert FIRST in read
    deploy.delete(account, "policies")
    assert named(account) == {}


def test_a_stack_with_policies_of_resources_has_no_findings(account: StandInAccount) -> None:
    assert deploy.findings(account, [stack(FIRST)], [stack(SECOND)]) == []


@pytest.mark.parametrize("logical", PROPERTIES)
def test_a_stack_whose_policy_names_a_missing_role_is_refused(account: StandInAccount, logical: str) -> None:
    written = stack(f"arn:aws:iam::{FIRST}:role/missing")
    kept = {name: each for name, each in written.template.data["Resources"].items() if name in (logical, "Bus")}
    with pytest.raises(ClientError, match=logical):
        put(account, Stack("policies", parse(json.dumps({"Resources": kept}))))
