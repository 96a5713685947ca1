"""The calls that make a resource: a template's properties as the API takes them, checked against botocore's model."""

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import jmespath
from botocore import xform_name
from jmespath.functions import Functions, signature


class _Split(Functions):  # type: ignore[misc]
    """What JMESPath lacks for `ScalingTargetId`."""

    @signature({"types": ["string"]}, {"types": ["string"]})  # type: ignore[untyped-decorator]
    def _func_split(self, text: str, separator: str) -> list[str]:
        return text.split(separator)


_OPTIONS = jmespath.Options(custom_functions=_Split())


def search(expression: str, record: Mapping[str, Any]) -> Any:
    """What an expression finds in what is known of a resource."""
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


def _shape(client: Any, operation: str) -> Any:
    return client.meta.service_model.operation_model(operation).input_shape


def takes(client: Any, *operations: str) -> set[str]:
    """The members, in lower case, that some operations take."""
    return {member.lower() for operation in operations if operation for member in _shape(client, operation).members}


def call(client: Any, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """Call an operation with what it takes of a request."""
    parameters = _structure(only(takes(client, operation), request), _shape(client, operation), operation)
    answer: dict[str, Any] = getattr(client, xform_name(operation))(**parameters)
    return answer


def only(members: set[str], request: Mapping[str, Any]) -> dict[str, Any]:
    """The members of a request that have one of these names, which are in lower case."""
    return {name: value for name, value in request.items() if name.lower() in members}
