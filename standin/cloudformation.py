"""CloudFormation for the stand-in account: moto's engine, with the kinds of resource of `kinds`.

moto skips what it does not know and says CREATE_COMPLETE, ignores names, and changes little in place. Here every kind
is made, changed and deleted by the calls that AWS would get, whose parameters are checked against botocore's model;
what is not in the table is refused.
"""

import functools
import io
import json
import uuid
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jmespath
import pytest
import yaml
from botocore import xform_name
from botocore.exceptions import ClientError, ParamValidationError
from jmespath.functions import Functions, signature
from moto.cloudformation import parsing
from moto.cloudformation.exceptions import ValidationError
from moto.cloudformation.models import ChangeSet, CloudFormationBackend, Stack, cloudformation_backends
from moto.cloudformation.responses import CloudFormationResponse

from standin.account import Cloud, StandInAccount
from standin.gateway import CUSTOM_RESOURCES
from standin.kinds import KINDS, Kind
from standin.principals import CALLER
from standin.schemas import create_only
from standin.template import cidr, parse, unsatisfied


class _Split(Functions):  # type: ignore[misc]
    """What JMESPath lacks for `ScalingTargetId`."""

    @signature({"types": ["string"]}, {"types": ["string"]})  # type: ignore[untyped-decorator]
    def _func_split(self, text: str, separator: str) -> list[str]:
        return text.split(separator)


_OPTIONS = jmespath.Options(custom_functions=_Split())


def _search(expression: str, record: Mapping[str, Any]) -> Any:
    return jmespath.search(expression, record, _OPTIONS)


def _structure(value: Any, shape: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{where} is {value!r}, not an object")
    members = {name.lower(): name for name in shape.members}
    converted = {}
    for key, item in value.items():
        # CloudFormation spells tags of every service alike, KMS has TagKey and TagValue.
        name = members.get(key.lower()) or members.get(f"tag{key.lower()}")
        if item is not None:
            if name is None:
                raise ValueError(f"{where} takes no {key}")
            converted[name] = _converted(item, shape.members[name], f"{where}.{name}")
    return converted


def _list(value: Any, shape: Any, where: str) -> list[Any]:
    if isinstance(value, dict):  # tags that CloudFormation writes as a map
        value = [{"Key": key, "Value": item} for key, item in value.items()]
    return [_converted(item, shape.member, f"{where}[{index}]") for index, item in enumerate(value)]


def _map(value: Any, shape: Any, where: str) -> dict[str, Any]:
    if isinstance(value, list):  # tags that CloudFormation writes as a list
        value = {tag["Key"]: tag["Value"] for tag in value}
    return {key: _converted(item, shape.value, f"{where}.{key}") for key, item in value.items() if item is not None}


def _blob(value: Any, _shape: Any, _where: str) -> bytes:
    """The code of a function, which CloudFormation zips."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as files:
        files.writestr("index.py", value)
    return archive.getvalue()


def _text(value: Any, shape: Any, where: str) -> str:
    if isinstance(value, bool):
        value = str(value).lower()
    text = json.dumps(value) if isinstance(value, dict | list) else str(value)
    if shape.enum and text not in shape.enum:
        raise ValueError(f"{where} is {text!r}, not one of {', '.join(shape.enum)}")
    return text


_CONVERSIONS: Mapping[str, Callable[[Any, Any, str], Any]] = {
    "structure": _structure,
    "list": _list,
    "map": _map,
    "blob": _blob,
    "string": _text,
    "boolean": lambda value, _shape, _where: value if isinstance(value, bool) else value == "true",
    **dict.fromkeys(("integer", "long"), lambda value, _shape, _where: int(value)),
    **dict.fromkeys(("float", "double"), lambda value, _shape, _where: float(value)),
}


def _converted(value: Any, shape: Any, where: str) -> Any:
    """A value of CloudFormation as the API takes it.

    Raises:
        ValueError: The API does not take it.
    """
    convert = _CONVERSIONS.get(shape.type_name)
    return convert(value, shape, where) if convert else value


@contextmanager
def _said_of(logical_id: str) -> Iterator[None]:
    """Say of which resource of the template an error of a call is."""
    try:
        yield
    except (ClientError, ParamValidationError, ValueError) as error:
        raise ValidationError(message=f"{logical_id}: {error}") from error


def _shape(client: Any, operation: str) -> Any:
    return client.meta.service_model.operation_model(operation).input_shape


def _takes(client: Any, *operations: str) -> set[str]:
    """The members, in lower case, that some operations take."""
    return {member.lower() for operation in operations if operation for member in _shape(client, operation).members}


def _call(client: Any, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """Call an operation with what it takes of a request."""
    parameters = _structure(_only(_takes(client, operation), request), _shape(client, operation), operation)
    answer: dict[str, Any] = getattr(client, xform_name(operation))(**parameters)
    return answer


def _identity(kind: Kind, record: Mapping[str, Any]) -> dict[str, Any]:
    return {member: _search(expression, record) for member, expression in kind.identity.items()}


def read(account: StandInAccount, type_: str, record: Mapping[str, Any]) -> Any:
    """What AWS says of a resource of a kind in the table; None when it is not there.

    Args:
        account: Where it is.
        type_: Its type.
        record: What is known of it; see `kinds`.
    """
    kind = KINDS[type_]
    try:
        return _search(kind.exists, _call(account.client(kind.service), kind.read, _identity(kind, record)))
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 404):
            return None
        raise


def adopt(
    account: StandInAccount, written: Mapping[str, Any], identifier: Mapping[str, str], names: Mapping[str, str]
) -> "Resource | None":
    """A resource that exists, as a stack holds it that takes it over; None when it does not exist.

    Args:
        account: Where it is.
        written: What the template says of it.
        identifier: The primary identifier of its type, with its value.
        names: The id of the stack and the logical id in it.
    """
    model = _KindModel(account, written["Type"])
    record = model.adopt(written.get("Properties", {}), identifier, names)
    return None if record is None else Resource(model, record, written)


class Resource:
    """A resource of a stack, with the attributes that moto's engine reads."""

    def __init__(
        self,
        model: "_Model",
        record: dict[str, Any],
        policies: Mapping[str, str],
        replaced: Sequence[dict[str, Any]] = (),
    ) -> None:
        self._model = model
        self.record = record
        self.policies = policies
        self.replaced = list(replaced)
        self.type = self.cf_resource_type = model.type
        self.logical_resource_id = ""

    @property
    def physical_resource_id(self) -> str:
        """What Ref returns."""
        return str(self.record["id"])

    def is_created(self) -> bool:
        """Whether it was made: always, once it is here."""
        return True

    def get_cfn_attribute(self, name: str) -> Any:
        """What Fn::GetAtt returns."""
        return self._model.attribute(self.record, name)

    def clean_up(self) -> None:
        """Take away what it has replaced, unless that is to be retained."""
        while self.replaced:
            old = self.replaced.pop()
            if not self.policies.get("UpdateReplacePolicy", "").startswith("Retain"):
                with _said_of(self.logical_resource_id):
                    self._model.delete(old)

    def delete(self, *_: str) -> None:
        """Take it away, unless it is to be retained."""
        if not self.policies.get("DeletionPolicy", "").startswith("Retain"):
            with _said_of(self.logical_resource_id):
                self._model.delete(self.record)


class _Model(ABC):
    """A kind of resource in an account: how one is made, changed and taken away."""

    def __init__(self, account: StandInAccount, type_: str) -> None:
        self.type = type_
        self.account = account

    def __deepcopy__(self, _: Any) -> "_Model":
        return self  # it holds nothing of what is in the account

    def replace(self, resource: Resource, name: str, properties: Mapping[str, Any]) -> dict[str, Any]:
        """Bring a resource up to other properties, by another one if need be; what is known of it then."""
        old = resource.record
        if not _replaces(self.type, old["given"], properties):
            return self.update(old, properties)
        resource.replaced.append(old)
        return self.create(name, properties, old["names"])

    @abstractmethod
    def create(self, name: str, properties: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
        """Make one; what is known of it then."""

    @abstractmethod
    def update(self, old: dict[str, Any], properties: Mapping[str, Any]) -> dict[str, Any]:
        """Bring one up to other properties; what is known of it then."""

    @abstractmethod
    def delete(self, record: dict[str, Any]) -> None:
        """Take one away."""

    @abstractmethod
    def attribute(self, record: dict[str, Any], name: str) -> Any:
        """What Fn::GetAtt returns."""

    def _record(self, name: str, properties: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
        return {
            "name": name,
            "names": names,
            "given": properties,
            "properties": properties,
            "answer": {},
            "region": self.account.region,
            "account": self.account.id,
        }


def _replaces(type_: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether a change replaces the resource, as its schema says."""
    ways = [".".join(way).replace(".*", "[]") for way in create_only(type_)] if type_ in KINDS else []
    return any(_search(way, old) != _search(way, new) for way in ways)


class _KindModel(_Model):
    """A kind of the table."""

    def __init__(self, account: StandInAccount, type_: str, role: str = "") -> None:
        super().__init__(account, type_)
        self.kind: Kind = KINDS[type_]
        self._client = account.client(self.kind.service, role)

    def create(self, name: str, properties: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
        named = {self.kind.name: name, **properties} if self.kind.name else properties
        record = {**self._record(name, properties, names), "properties": named}
        if self.kind.name and self._is_there(record):
            raise ValueError(f"{named[self.kind.name]} already exists")
        if self.kind.create:
            record["answer"] = _call(self._client, self.kind.create, self._request(record))
        record["id"] = _search(self.kind.ref, record)
        for property_ in self.kind.puts:
            if property_.lower() not in _takes(self._client, self.kind.create):
                self._put(property_, {}, record)
        return record

    def adopt(
        self, properties: Mapping[str, Any], identifier: Mapping[str, str], names: Mapping[str, str]
    ) -> dict[str, Any] | None:
        """What is known of one that exists already; None when there is none."""
        (id_,) = identifier.values()
        record = {**self._record("", properties, names), "id": id_}
        if not read(self.account, self.type, record):
            return None
        answer = _call(self._client, self.kind.read, _identity(self.kind, record))
        record["answer"] = _search(self.kind.described, answer)
        record["id"] = _search(self.kind.ref, record)
        return record

    def update(self, old: dict[str, Any], properties: Mapping[str, Any]) -> dict[str, Any]:
        record = {**old, "given": properties, "properties": {**self._generated(old), **properties}}
        if self.kind.create:
            before, after = self._request(old), self._request(record)
            changed = {name.lower() for name in {*before, *after} if before.get(name) != after.get(name)} - {"tags"}
            carried = _takes(self._client, self.kind.update)
            put = {name.lower() for property_, one in self.kind.puts.items() for name in (property_, one.member)}
            if changed - carried - put:
                self.delete(old)
                return self.create(old["name"], properties, old["names"])
            if changed & carried:
                answer = _call(self._client, self.kind.update, {**after, **_identity(self.kind, record)})
                record["answer"] = {**old["answer"], **answer}
        for property_ in self.kind.puts:
            self._put(property_, old, record)
        return record

    def delete(self, record: dict[str, Any]) -> None:
        for property_ in self.kind.puts:
            self._put(property_, record, {})
        if self.kind.delete:
            _call(self._client, self.kind.delete, _identity(self.kind, record))

    def attribute(self, record: dict[str, Any], name: str) -> Any:
        if name not in self.kind.attributes:
            raise ValidationError(message=f"{self.type} has no attribute {name} here")
        return _search(self.kind.attributes[name], record)

    def _is_there(self, record: Mapping[str, Any]) -> bool:
        """Whether one of this name exists; a kind that is known by an id alone has none before it is made."""
        try:
            return bool(read(self.account, self.type, record))
        except ParamValidationError:
            return False

    def _generated(self, record: Mapping[str, Any]) -> dict[str, Any]:
        return {self.kind.name: record["properties"][self.kind.name]} if self.kind.name else {}

    def _request(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """What the properties become in the creating and the changing call.

        Raises:
            ValueError: A property, or what becomes of one, is carried out by nothing.
        """
        kind = self.kind
        request = {name: value for name, value in _search(kind.request, record).items() if value is not None}
        elsewhere = {name.lower() for name in (*kind.puts, *kind.identity, "Tags")}
        taken = _takes(self._client, kind.create, kind.update) | elsewhere
        lost = [name for name in request if name.lower() not in taken]
        if kind.request != "properties" and "merge(properties," not in kind.request:
            lost += [name for name in record["given"] if name not in kind.request and name not in kind.puts]
        if lost:
            raise ValueError(f"{kind.create} takes no {', '.join(lost)}")
        return request

    def _puts(self, property_: str, record: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The requests by which a property of a resource is put."""
        value = record.get("properties", {}).get(property_)
        if value is None:
            return []
        expression = self.kind.puts[property_].request
        items = value if isinstance(value, list) and "item" in expression else [value]
        known = {**record, "value": value}
        if "described" in expression:
            known["described"] = read(self.account, self.type, record)
        requests = [_search(expression, {**known, "item": item}) for item in items]
        return [request for request in requests if request is not None]

    def _put(self, property_: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        put = self.kind.puts[property_]
        before, after = self._puts(property_, old), self._puts(property_, new)
        for request in after:
            if request not in before:
                _call(self._client, put.operation, request)
        if put.undo:
            members = _takes(self._client, put.undo)
            kept = [_only(members, request) for request in after]
            for request in before:
                if _only(members, request) not in kept:
                    _call(self._client, put.undo, request)


def _only(members: set[str], request: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in request.items() if name.lower() in members}


class _CustomModel(_Model):
    """A custom resource: its function is asked, and must answer, Create, Update and Delete."""

    def create(self, name: str, properties: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
        record = self._record(name, properties, names)
        return self._ask("Create", record)

    def update(self, old: dict[str, Any], properties: Mapping[str, Any]) -> dict[str, Any]:
        record = {**old, "given": properties, "properties": properties}
        return self._ask("Update", record, OldResourceProperties=old["properties"])

    def delete(self, record: dict[str, Any]) -> None:
        self._ask("Delete", record)

    def attribute(self, record: dict[str, Any], name: str) -> Any:
        return record["answer"]["Data"][name]

    def _ask(self, verb: str, record: dict[str, Any], **more: Any) -> dict[str, Any]:
        request = str(uuid.uuid4())
        known = {"PhysicalResourceId": record["id"]} if "id" in record else {}
        event = {
            "RequestType": verb,
            "RequestId": request,
            "ResponseURL": f"{self.account.endpoint}{CUSTOM_RESOURCES}{request}",
            "StackId": record["names"]["StackId"],
            "LogicalResourceId": record["names"]["LogicalId"],
            "ResourceType": self.type,
            "ResourceProperties": record["properties"],
            **known,
            **more,
        }
        function = record["properties"]["ServiceToken"]
        said = self.account.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event))
        answer = self.account.cloud.gaps.answers.pop(request, None)
        if answer is None:
            raise ValueError(f"{function} did not answer {verb}: {said['Payload'].read().decode()[-500:]}")
        if answer["Status"] != "SUCCESS":
            raise ValueError(f"{function} answered {verb} with {answer['Status']}: {answer.get('Reason')}")
        return {**record, "id": answer["PhysicalResourceId"], "answer": answer}


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
        model = _model(self.cloud.account(account_id, region_name), self.name, names["StackId"])
        with _said_of(names["LogicalId"]):
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
        model = _model(self.cloud.account(account_id, region_name), self.name, stack)
        with _said_of(original_resource.logical_resource_id):
            record = model.replace(original_resource, new_resource_name, cloudformation_json["Properties"])
        return Resource(model, record, cloudformation_json, original_resource.replaced)

    def has_cfn_attr(self, _name: str) -> bool:
        return True


def _model(account: StandInAccount, type_: str, stack: str) -> _Model:
    return _CustomModel(account, type_) if _is_custom(type_) else _KindModel(account, type_, _role(account, stack))


def _role(account: StandInAccount, stack: str) -> str:
    """ARN of the role that a stack is deployed with: its own, or that of who deploys it; none for an administrator."""
    found = cloudformation_backends[account.id][account.region].stacks.get(stack)
    caller = CALLER.get()
    return (found and found.role_arn) or (caller if ":role/" in caller else "")


def _is_custom(type_: str) -> bool:
    return type_.startswith("Custom::") or type_ == "AWS::CloudFormation::CustomResource"


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
        if name not in KINDS and not _is_custom(name):
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
