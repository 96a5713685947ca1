"""CloudFormation for the stand-in account: moto's engine, with the kinds of resource of `kinds`.

moto skips what it does not know and says CREATE_COMPLETE, ignores names, and changes little in place. Here every kind
is made, changed and deleted by the calls that AWS would get, whose parameters are checked against botocore's model;
what is not in the table is refused.
"""

import functools
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import yaml
from moto.cloudformation import parsing
from moto.cloudformation.exceptions import ValidationError
from moto.cloudformation.models import ChangeSet, CloudFormationBackend, Stack
from moto.cloudformation.responses import CloudFormationResponse

from standin.account import Cloud
from standin.kinds import KINDS
from standin.resources import Resource, is_custom, model_of, said_of
from standin.template import cidr, parse, unsatisfied


@dataclass(frozen=True)
class _Type:
    """What moto's engine takes for the class of a kind of resource."""

    cloud: Cloud
    name: str

    def create_from_cloudformation_json(
        self,
        resource_name: str,
        cloudformation_json: Mapping[str, Any],
        account_id: str,
        region_name: str,
        **names: str,
    ) -> Resource:
        model = model_of(self.cloud.account(account_id, region_name), self.name, names["StackId"])
        with said_of(names["LogicalId"]):
            return Resource(
                model, model.create(resource_name, cloudformation_json["Properties"], names), cloudformation_json
            )

    def update_from_cloudformation_json(
        self,
        original_resource: Resource,
        new_resource_name: str,
        cloudformation_json: Mapping[str, Any],
        account_id: str,
        region_name: str,
    ) -> Resource:
        stack = original_resource.record["names"]["StackId"]
        model = model_of(self.cloud.account(account_id, region_name), self.name, stack)
        with said_of(original_resource.logical_resource_id):
            record = model.replace(original_resource, new_resource_name, cloudformation_json["Properties"])
        return Resource(model, record, cloudformation_json, original_resource.replaced)

    def has_cfn_attr(self, _name: str) -> bool:
        return True


def _delete(resources: parsing.ResourceMap, written: Mapping[str, Any] | None = None) -> None:
    """Delete resources of a stack, all unless some are named, the last made first; moto deletes in no order."""
    written = resources._resource_json_map if written is None else written
    made = resources._parsed_resources
    for name in [name for name in reversed(made) if name in written]:
        resource = made.pop(name)
        if resource is not None and not written[name].get("DeletionPolicy", "").startswith("Retain"):
            resources._delete_resource(resource, written[name])


def _update(resources: parsing.ResourceMap, template: dict[str, Any], parameters: Any = None) -> None:
    """Bring a stack up to a template; moto forgets what refers to a resource that was replaced, and conditions."""
    before = resources._resource_json_map
    resources._template, resources._resource_json_map = template, template["Resources"]
    if parameters:
        resources.input_parameters = parameters
    resources.load_mapping()
    resources.load_parameters()
    resources.load_conditions()
    in_order = resources._ResourceMap__get_resources_in_dependency_order()  # type: ignore[attr-defined]
    conditions = {name: template["Resources"][name].get("Condition") for name in in_order}
    wanted = [
        name for name, condition in conditions.items() if condition is None or resources.lazy_condition_map[condition]
    ]
    changes = [True]
    while any(changes):  # what refers to something that was changed may change in turn
        changes = [_is_changed(resources, name) for name in wanted]
    # Both at the end, the last made first: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-updating-stacks-update-behaviors.html
    for resource in reversed(list(resources._parsed_resources.values())):
        if isinstance(resource, Resource):
            resource.clean_up()
    _delete(resources, {name: written for name, written in before.items() if name not in wanted})


def _is_changed(resources: parsing.ResourceMap, name: str) -> bool:
    """Make a resource that is missing, or bring one up to date; whether that changed it."""
    made, written = resources._parsed_resources, resources._resource_json_map[name]
    if name not in made:
        resources[name]  # makes it
        return True
    resolved = parsing.clean_json(written, resources)
    if resolved.get("Properties", {}) == made[name].record["given"]:
        made[name].policies = resolved
        return False
    made[name] = parsing.parse_and_update_resource(
        name, written, resources, resources._account_id, resources._region_name
    )
    return True


def _apply(change_set: ChangeSet) -> None:
    """Carry out a change set; moto forgets the parameters and the outputs that it brings."""
    stack = change_set.stack
    stack.role_arn = change_set.role_arn or stack.role_arn  # CloudFormation goes on to use the role
    stack.resource_map.update(change_set.template_dict, change_set.parameters)
    stack.template, stack.template_dict = change_set.template, change_set.template_dict
    stack.parameters = change_set.parameters
    stack.output_map = stack._create_output_map()


def _update_stack(stack: Stack, template: str, role_arn: str | None = None, **more: Any) -> None:
    """Update a stack with its role, which moto looks at too late."""
    stack.role_arn = role_arn or stack.role_arn
    _MOTO_UPDATE_STACK(stack, template, role_arn=stack.role_arn, **more)


def _parsed(text: str) -> Any:
    """The content of a template, which the caller may change; moto takes long to read one, and takes what AWS refuses.

    Raises:
        ValidationError: It is not a template.
    """
    try:
        return json.loads(_as_json(text))
    except (ValueError, yaml.YAMLError) as error:
        raise ValidationError(message=f"Template format error: {error}") from None


@functools.cache
def _as_json(text: str) -> str:
    return json.dumps(parse(text).data)


def _parse_of_change_set(change_set: ChangeSet) -> None:
    change_set.template_dict = _parsed(str(change_set.template))


def _create_change_set(
    backend: CloudFormationBackend, *, template: str, parameters: dict[str, str], **more: Any
) -> Any:
    _require_values(_parsed(template), parameters)
    return _MOTO_CREATE_CHANGE_SET(backend, template=template, parameters=parameters, **more)


def _load_parameters(resources: parsing.ResourceMap) -> None:
    _require_values(resources._template, resources.input_parameters)
    _MOTO_LOAD_PARAMETERS(resources)


def _require_values(template: Mapping[str, Any], given: Mapping[str, str]) -> None:
    """Refuse values that the template's parameters do not take; moto takes every one.

    Raises:
        ValidationError: One of these.
    """
    for name, declared in template.get("Parameters", {}).items():
        if name in given and (reason := unsatisfied(name, declared, given[name])) is not None:
            raise ValidationError(message=reason)


def _clean(value: Any, resources: parsing.ResourceMap) -> Any:
    """What a value says; moto knows no Fn::Cidr, leaves gaps in lists and gives the zones of another Region."""
    if isinstance(value, list):
        cleaned = (parsing.clean_json(item, resources) for item in value)
        return [item for item in cleaned if item is not None]  # AWS::NoValue
    if isinstance(value, dict) and "Fn::Cidr" in value:
        return cidr(*(parsing.clean_json(argument, resources) for argument in value["Fn::Cidr"]))
    if value == {"Fn::GetAZs": ""}:
        value = {"Fn::GetAZs": resources._region_name}
    return _MOTO_CLEAN(value, resources)


_MOTO_CLEAN = parsing.clean_json
_MOTO_CREATE_CHANGE_SET = CloudFormationBackend.create_change_set
_MOTO_UPDATE_STACK = Stack.update
_MOTO_LOAD_PARAMETERS = parsing.ResourceMap.load_parameters


@contextmanager
def cloudformation(cloud: Cloud) -> Iterator[None]:
    """Let CloudFormation know the kinds of the table, and refuse others, within a `with` block."""
    moto_name = parsing.resource_name_property_from_type

    def type_(name: str) -> _Type:
        if name not in KINDS and not is_custom(name):
            raise ValidationError(message=f"{name} is not in the table of the kinds that can be deployed here")
        return _Type(cloud, name)

    def name_property(name: str) -> str | None:
        return KINDS[name].name if name in KINDS else moto_name(name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parsing, "clean_json", _clean)
        patch.setattr(parsing, "resource_class_from_type", type_)
        patch.setattr(parsing, "resource_name_property_from_type", name_property)
        patch.setattr(Stack, "update", _update_stack)
        patch.setattr(Stack, "parse_template", staticmethod(_parsed))
        patch.setattr(ChangeSet, "_parse_template", _parse_of_change_set)
        patch.setattr(ChangeSet, "apply", _apply)
        patch.setattr(CloudFormationBackend, "create_change_set", _create_change_set)
        # A change set that has no changes is made, and says so.
        patch.setattr(CloudFormationResponse, "_validate_different_update", lambda *_: None)
        patch.setattr(parsing.ResourceMap, "load_parameters", _load_parameters)
        patch.setattr(parsing.ResourceMap, "delete", _delete)
        patch.setattr(parsing.ResourceMap, "update", _update)
        yield
