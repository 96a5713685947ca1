"""Change sets of type IMPORT, which take over what exists.

CloudFormation checks what is said of it (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/resource-import.html)
and changes nothing else; moto makes everything anew.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from moto.cloudformation import parsing
from moto.cloudformation.exceptions import ValidationError
from moto.cloudformation.models import Change, ChangeSet, Stack, cloudformation_backends
from moto.cloudformation.responses import CloudFormationResponse
from moto.core.responses import ActionResult

from standin.account import Cloud, StandInAccount
from standin.resources import Resource, adopt
from standin.schemas import schema

Identified = Mapping[str, Mapping[str, Any]]
"""By logical id, what a request says of a resource to import."""


def _refusal(message: str) -> ValidationError:
    return ValidationError(message=message)


def _require_nothing_else(before: Mapping[str, Any], after: Mapping[str, Any], identified: Identified) -> None:
    """Refuse an import that also changes something."""
    if before.get("Outputs") != after.get("Outputs"):
        raise _refusal("As part of the import operation, you cannot modify or add [Outputs]")
    old, new = before.get("Resources", {}), after["Resources"]
    others = {name for name in {*old, *new} - set(identified) if old.get(name) != new.get(name)}
    if others:
        raise _refusal(f"An import can change nothing else: {', '.join(sorted(others))}")


def _require_identified(logical: str, written: Mapping[str, Any], said: Mapping[str, Any]) -> None:
    """Refuse a resource that is not identified by its primary identifier, or does not say what its type requires."""
    type_ = said["ResourceType"]
    if written["Type"] != type_:
        raise _refusal(f"{logical} is a {written['Type']}, not a {type_}")
    if "DeletionPolicy" not in written:
        raise _refusal(f"{logical} has no DeletionPolicy, which each resource to import must have")
    rules, properties, identifier = schema(type_), written.get("Properties", {}), said["ResourceIdentifier"]
    primary = {pointer.split("/")[-1] for pointer in rules["primaryIdentifier"]}
    if set(identifier) != primary:
        raise _refusal(f"{logical} is identified by {', '.join(sorted(primary))}, not by {', '.join(identifier)}")
    if lacking := set(rules.get("required", [])) - set(properties):
        raise _refusal(f"{logical} lacks {', '.join(sorted(lacking))}")
    for name, value in identifier.items():
        if f"/properties/{name}" not in rules.get("readOnlyProperties", []) and properties.get(name) != value:
            raise _refusal(f"{logical} says {name}: {properties.get(name)}, and is identified by {value}")


def _taken_over(account: StandInAccount, stack: Stack, template: Mapping[str, Any], identified: Identified) -> Any:
    """The resources to import, by logical id."""
    taken: dict[str, Resource] = {}
    for logical, said in identified.items():
        if logical not in template["Resources"]:
            raise _refusal(f"{logical} is not in the template")
        if logical in stack.resource_map._parsed_resources:
            raise _refusal(f"{logical} is in the stack already")
        written = template["Resources"][logical]
        _require_identified(logical, written, said)
        resource = adopt(
            account, written, said["ResourceIdentifier"], {"StackId": stack.stack_id, "LogicalId": logical}
        )
        if resource is None:
            raise _refusal(f"{logical}: {dict(said['ResourceIdentifier'])} does not exist")
        for other in cloudformation_backends[account.id][account.region].stacks.values():
            for held in other.resource_map._parsed_resources.values():
                if isinstance(held, Resource) and (held.type, held.record["id"]) == (
                    resource.type,
                    resource.record["id"],
                ):
                    raise _refusal(f"{logical} belongs to the stack {other.name}")
        resource.logical_resource_id = logical
        taken[logical] = resource
    return taken


def _create(response: CloudFormationResponse, cloud: Cloud) -> ActionResult:
    """Make a change set of type IMPORT."""
    backend, name = response.cloudformation_backend, response._get_param("StackName")
    account = cloud.account(response.current_account, response.region)
    said: Sequence[Mapping[str, Any]] = response._get_param("ResourcesToImport", [])
    if not said:
        raise _refusal("A change set of type IMPORT names its ResourcesToImport")
    identified = {one["LogicalResourceId"]: one for one in said}
    present = [stack for stack in backend.stacks.values() if stack.name == name]
    text = response._get_stack_from_s3_url(url) if (url := response._get_param("TemplateURL")) else None
    template = text or response._get_param("TemplateBody")
    content = Stack.parse_template(template)
    _require_nothing_else(present[0].template_dict if present else {}, content, identified)
    previous = present[0].parameters if present else {}
    parameters = {
        one["ParameterKey"]: previous[one["ParameterKey"]] if one.get("UsePreviousValue") else one["ParameterValue"]
        for one in response._get_param("Parameters", [])
        if not one.get("UsePreviousValue") or one["ParameterKey"] in previous
    }
    id_, stack_id = backend.create_change_set(
        stack_name=name,
        change_set_name=response._get_param("ChangeSetName"),
        template=template,
        parameters=parameters,
        description=response._get_param("Description"),
        change_set_type="UPDATE" if present else "CREATE",
        role_arn=response._get_param("RoleARN"),
    )
    change_set = backend.change_sets[id_]
    change_set.change_set_type = "IMPORT"
    change_set.status, change_set.execution_status, change_set.status_reason = "CREATE_COMPLETE", "AVAILABLE", None
    change_set.changes = [
        Change(action="Import", logical_resource_id=logical, resource_type=one["ResourceType"])
        for logical, one in identified.items()
    ]
    try:
        vars(change_set)["taken"] = _taken_over(account, change_set.stack, content, identified)
    except ValidationError:
        backend.delete_change_set(id_)
        if not present:
            del backend.stacks[stack_id]
        raise
    return ActionResult({"Id": id_, "StackId": stack_id})


@contextmanager
def imports(cloud: Cloud) -> Iterator[None]:
    """Let CloudFormation import what exists, within a `with` block."""
    create, apply = CloudFormationResponse.create_change_set, ChangeSet.apply

    def create_change_set(response: CloudFormationResponse) -> ActionResult:
        if response._get_param("ImportExistingResources"):
            raise _refusal("ImportExistingResources is not answered here: it finds no name that a template makes up")
        if response._get_param("ChangeSetType") == "IMPORT":
            return _create(response, cloud)
        return create(response)

    def applied(change_set: ChangeSet) -> None:
        resources: parsing.ResourceMap = change_set.stack.resource_map
        resources._parsed_resources.update(vars(change_set).get("taken", {}))
        apply(change_set)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CloudFormationResponse, "create_change_set", create_change_set)
        patch.setattr(ChangeSet, "apply", applied)
        yield
