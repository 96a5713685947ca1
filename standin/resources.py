"""Resources of stacks: each is made, changed and deleted by the calls that AWS would get."""

import json
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import ClientError, ParamValidationError
from moto.cloudformation.exceptions import ValidationError
from moto.cloudformation.models import cloudformation_backends

from standin.account import StandInAccount
from standin.gateway import CUSTOM_RESOURCES
from standin.kinds import KINDS
from standin.kinds.kind import Kind
from standin.principals import CALLER
from standin.requests import call, only, search, takes
from standin.schemas import create_only


@contextmanager
def said_of(logical_id: str) -> Iterator[None]:
    """Say of which resource of the template an error of a call is."""
    try:
        yield
    except (ClientError, ParamValidationError, ValueError) as error:
        raise ValidationError(message=f"{logical_id}: {error}") from error


def _identity(kind: Kind, record: Mapping[str, Any]) -> dict[str, Any]:
    return {member: search(expression, record) for member, expression in kind.identity.items()}


def read(account: StandInAccount, type_: str, record: Mapping[str, Any]) -> Any:
    """What AWS says of a resource of a kind in the table; None when it is not there.

    Args:
        account: Where it is.
        type_: Its type.
        record: What is known of it; see `kinds`.
    """
    kind = KINDS[type_]
    try:
        return search(kind.exists, call(account.client(kind.service), kind.read, _identity(kind, record)))
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
                with said_of(self.logical_resource_id):
                    self._model.delete(old)

    def delete(self, *_: str) -> None:
        """Take it away, unless it is to be retained."""
        if not self.policies.get("DeletionPolicy", "").startswith("Retain"):
            with said_of(self.logical_resource_id):
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
    return any(search(way, old) != search(way, new) for way in ways)


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
            record["answer"] = call(self._client, self.kind.create, self._request(record))
        record["id"] = search(self.kind.ref, record)
        for property_ in self.kind.puts:
            if property_.lower() not in takes(self._client, self.kind.create):
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
        answer = call(self._client, self.kind.read, _identity(self.kind, record))
        record["answer"] = search(self.kind.described, answer)
        record["id"] = search(self.kind.ref, record)
        return record

    def update(self, old: dict[str, Any], properties: Mapping[str, Any]) -> dict[str, Any]:
        record = {**old, "given": properties, "properties": {**self._generated(old), **properties}}
        if self.kind.create:
            before, after = self._request(old), self._request(record)
            changed = {name.lower() for name in {*before, *after} if before.get(name) != after.get(name)} - {"tags"}
            carried = takes(self._client, self.kind.update)
            put = {name.lower() for property_, one in self.kind.puts.items() for name in (property_, one.member)}
            if changed - carried - put:
                self.delete(old)
                return self.create(old["name"], properties, old["names"])
            if changed & carried:
                answer = call(self._client, self.kind.update, {**after, **_identity(self.kind, record)})
                record["answer"] = {**old["answer"], **answer}
        for property_ in self.kind.puts:
            self._put(property_, old, record)
        return record

    def delete(self, record: dict[str, Any]) -> None:
        for property_ in self.kind.puts:
            self._put(property_, record, {})
        if self.kind.delete:
            call(self._client, self.kind.delete, _identity(self.kind, record))

    def attribute(self, record: dict[str, Any], name: str) -> Any:
        if name not in self.kind.attributes:
            raise ValidationError(message=f"{self.type} has no attribute {name} here")
        return search(self.kind.attributes[name], record)

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
        request = {name: value for name, value in search(kind.request, record).items() if value is not None}
        elsewhere = {name.lower() for name in (*kind.puts, *kind.identity, "Tags")}
        taken = takes(self._client, kind.create, kind.update) | elsewhere
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
        requests = [search(expression, {**known, "item": item}) for item in items]
        return [request for request in requests if request is not None]

    def _put(self, property_: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        put = self.kind.puts[property_]
        before, after = self._puts(property_, old), self._puts(property_, new)
        for request in after:
            if request not in before:
                call(self._client, put.operation, request)
        if put.undo:
            members = takes(self._client, put.undo)
            kept = [only(members, request) for request in after]
            for request in before:
                if only(members, request) not in kept:
                    call(self._client, put.undo, request)


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


def model_of(account: StandInAccount, type_: str, stack: str) -> _Model:
    """What makes, changes and deletes the resources of a type that a stack holds.

    Args:
        account: Where they are.
        type_: The type.
        stack: The id of the stack, whose role makes the calls.
    """
    return _CustomModel(account, type_) if is_custom(type_) else _KindModel(account, type_, _role(account, stack))


def _role(account: StandInAccount, stack: str) -> str:
    """ARN of the role that a stack is deployed with: its own, or that of who deploys it; none for an administrator."""
    found = cloudformation_backends[account.id][account.region].stacks.get(stack)
    caller = CALLER.get()
    return (found and found.role_arn) or (caller if ":role/" in caller else "")


def is_custom(type_: str) -> bool:
    """Whether resources of a type are made by a function of the template."""
    return type_.startswith("Custom::") or type_ == "AWS::CloudFormation::CustomResource"
