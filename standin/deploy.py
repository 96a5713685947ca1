"""The proof's fourth rung: stacks are deployed, updated and deleted in a stand-in account."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError
from moto.cloudformation.models import cloudformation_backends

from standin.account import StandInAccount
from standin.finding import Finding
from standin.kinds import KINDS
from standin.resources import Resource, read
from standin.template import Template


@dataclass(frozen=True)
class Stack:
    """A stack to deploy.

    Attributes:
        name: Its name.
        template: As it was parsed.
        parameters: Those without a default, at least.
    """

    name: str
    template: Template
    parameters: Mapping[str, str] = field(default_factory=dict)


def findings(account: StandInAccount, stacks: Sequence[Stack], updates: Sequence[Stack] = ()) -> list[Finding]:
    """What goes wrong when stacks are created in order, updated and deleted in the reverse order.

    Every resource must exist, under the name that was asked for; deploying again must change nothing; deletion must
    leave nothing but what is retained, and the keys that it is encrypted with.

    Args:
        account: An account whose CloudFormation knows the kinds of the table.
        stacks: In the order of deployment.
        updates: Later renderings of some of them.
    """
    found: list[Finding] = []
    try:
        for stack in (*stacks, *updates):
            put(account, stack)
            found += [*_missing(account, stack), *_not_idempotent(account, stack)]
        made = {stack.name: _resources(account, stack.name) for stack in stacks}
        for stack in reversed(stacks):
            delete(account, stack.name)
        return [*found, *_left_behind(account, made)]
    except ClientError as error:
        where, _, what = error.response["Error"]["Message"].partition(": ")
        return [*found, Finding(where, what or error.operation_name)]


def put(account: StandInAccount, stack: Stack) -> None:
    """Create or update a stack.

    Raises:
        ClientError: A resource could not be made or changed; the message starts with its logical id.
    """
    client = account.client("cloudformation")
    names = [found["StackName"] for found in client.describe_stacks()["Stacks"]]
    change = client.update_stack if stack.name in names else client.create_stack
    change(**_request(stack))


def delete(account: StandInAccount, name: str) -> None:
    """Delete a stack.

    Raises:
        ClientError: A resource could not be deleted; the message starts with its logical id.
    """
    account.client("cloudformation").delete_stack(StackName=name)


def physical_ids(account: StandInAccount, name: str) -> dict[str, str]:
    """What Ref returns for each resource of a stack."""
    return {logical: resource.record["id"] for logical, resource in _resources(account, name).items()}


def outputs(account: StandInAccount, name: str) -> dict[str, str]:
    """The outputs of a stack."""
    described = account.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}


def _request(stack: Stack) -> dict[str, Any]:
    return {
        "StackName": stack.name,
        "TemplateBody": json.dumps(stack.template.data),
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in stack.parameters.items()],
        "Capabilities": ["CAPABILITY_NAMED_IAM"],
    }


def _resources(account: StandInAccount, name: str) -> dict[str, Resource]:
    """The resources of a stack, by logical id."""
    made = cloudformation_backends[account.id][account.region].get_stack(name).resource_map._parsed_resources
    return {logical: resource for logical, resource in made.items() if isinstance(resource, Resource)}


def _missing(account: StandInAccount, stack: Stack) -> Iterator[Finding]:
    for logical, resource in _resources(account, stack.name).items():
        if resource.type not in KINDS:
            continue  # a custom resource: its function answered
        there = read(account, resource.type, resource.record)
        name = resource.record["given"].get(KINDS[resource.type].name)
        if not there:
            yield Finding(logical, f"{resource.type} does not exist after the deployment of {stack.name}")
        elif name and name not in json.dumps([there, resource.record["id"]], default=str):
            yield Finding(logical, f"it is not named {name}, which was asked for")


def _not_idempotent(account: StandInAccount, stack: Stack) -> Iterator[Finding]:
    before = _state(account, stack.name)
    client = account.client("cloudformation")
    again = client.create_change_set(ChangeSetName="again", ChangeSetType="UPDATE", **_request(stack))
    changes = client.describe_change_set(ChangeSetName=again["Id"])
    client.delete_change_set(ChangeSetName=again["Id"])
    if changes["Status"] != "FAILED":
        yield Finding(stack.name, "deploying it again has changes")
    put(account, stack)
    after = _state(account, stack.name)
    for logical in before:
        if before[logical] != after[logical]:
            yield Finding(logical, f"deploying {stack.name} again changes it")


def _state(account: StandInAccount, name: str) -> dict[str, Any]:
    return {
        logical: _lasting([resource.record["id"], read(account, resource.type, resource.record)])
        for logical, resource in _resources(account, name).items()
        if resource.type in KINDS
    }


def _lasting(value: Any) -> Any:
    """A description without the times and request ids in it."""
    if isinstance(value, dict):
        return {
            key: _lasting(item)
            for key, item in value.items()
            if key != "ResponseMetadata" and not isinstance(item, datetime)
        }
    return [_lasting(item) for item in value] if isinstance(value, list) else value


def _left_behind(account: StandInAccount, made: Mapping[str, Mapping[str, Resource]]) -> Iterator[Finding]:
    resources = [(logical, resource) for stack in made.values() for logical, resource in stack.items()]
    deleted_keys: dict[str, str] = {}
    for logical, resource in resources:
        if resource.type not in KINDS:
            continue
        there = read(account, resource.type, resource.record)
        retained = resource.policies.get("DeletionPolicy", "").startswith("Retain")
        if there and not retained:
            yield Finding(logical, "it is still there after the stack was deleted")
        if not there and retained:
            yield Finding(logical, "it is gone, though it is to be retained")
        if not there and resource.type == "AWS::KMS::Key":
            deleted_keys[resource.record["id"]] = logical
    for logical, resource in resources:
        if resource.policies.get("DeletionPolicy", "").startswith("Retain"):
            text = json.dumps(resource.record["given"])
            for key, key_logical in deleted_keys.items():
                if key in text:
                    yield Finding(
                        logical, f"it is retained, but the key that it is encrypted with, {key_logical}, is not"
                    )
