"""CloudFormation templates as plain data with line numbers, and what they say for given parameters.

Short forms become long ones (`!Ref X` is `{"Ref": "X"}`). What is only known after deployment, an attribute of a
resource for example, resolves to a stand-in: `{{Bucket.Arn}}`.
"""

import base64
import ipaddress
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from standin.finding import Finding

Place = tuple[str | int, ...]
"""The way to a value: ("Resources", "Bucket", "Properties", "Tags", 0)."""

NO_VALUE = object()
PSEUDO_PARAMETERS: Mapping[str, Any] = {
    "AWS::AccountId": "123456789012",
    "AWS::NoValue": NO_VALUE,
    "AWS::NotificationARNs": [],
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::StackId": "arn:aws:cloudformation:us-east-1:123456789012:stack/stack/00000000-0000-4000-8000-000000000000",
    "AWS::StackName": "stack",
    "AWS::URLSuffix": "amazonaws.com",
}


@dataclass(frozen=True)
class Template:
    """A template, as written or resolved.

    Attributes:
        data: The whole template.
        lines: The line of each key and item, from 1.
    """

    data: dict[str, Any]
    lines: Mapping[Place, int] = field(default_factory=dict)

    @property
    def resources(self) -> dict[str, dict[str, Any]]:
        """The resources by logical id."""
        resources: dict[str, dict[str, Any]] = self.data.get("Resources", {})
        return resources

    def properties(self, *types: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Logical id and properties of the resources of some types."""
        for name, resource in self.resources.items():
            if resource["Type"] in types:
                yield name, resource.get("Properties", {})

    def finding(self, what: str, *place: str | int) -> Finding:
        """A finding at a place below Resources, with the line of the closest value that was written down."""
        whole: Place = ("Resources", *place)
        line = next((self.lines[whole[:n]] for n in range(len(whole), 0, -1) if whole[:n] in self.lines), 0)
        return Finding("/".join(map(str, place)) + f" (line {line})", what)


class _Loader(yaml.CSafeLoader):
    """Reads dates as CloudFormation does: as text."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - the base class declares it
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
    }


def parse(text: str) -> Template:
    """Read a template, in YAML or JSON, as CloudFormation does, which takes neither aliases nor merges of mappings.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-formats.html

    Raises:
        ValueError: It is not a mapping, repeats a key, or has an alias or a merge.
        yaml.YAMLError: It is not YAML.
    """
    loader = _Loader(text)
    lines: dict[Place, int] = {}
    seen: set[int] = set()

    def plain(node: yaml.Node, place: Place) -> Any:
        if id(node) in seen:
            raise ValueError(f"line {node.start_mark.line + 1}: what is written there is repeated by an alias")
        seen.add(id(node))
        if node.tag.startswith("!"):
            name = node.tag[1:] if node.tag in ("!Ref", "!Condition") else f"Fn::{node.tag[1:]}"
            value = untagged(node, (*place, name), node.value)
            return {name: value.split(".", 1) if name == "Fn::GetAtt" and isinstance(value, str) else value}
        return untagged(node, place, None)

    def untagged(node: yaml.Node, place: Place, scalar: Any) -> Any:
        lines.setdefault(place, node.start_mark.line + 1)
        if isinstance(node, yaml.SequenceNode):
            return [plain(item, (*place, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            mapping: dict[Any, Any] = {}
            for key_node, value in node.value:
                if key_node.tag == "tag:yaml.org,2002:merge":
                    raise ValueError(f"line {key_node.start_mark.line + 1}: a mapping is merged into another")
                key = loader.construct_object(key_node)
                if key in mapping:
                    raise ValueError(f"line {key_node.start_mark.line + 1}: {key} is written twice")
                lines[(*place, key)] = key_node.start_mark.line + 1
                mapping[key] = plain(value, (*place, key))
            return mapping
        return loader.construct_object(node) if scalar is None else scalar

    root = loader.get_single_node()
    data = plain(root, ()) if root else None
    if not isinstance(data, dict):
        raise ValueError("a template is a mapping")
    return Template(data, lines)


def load(path: Path) -> Template:
    """Read a template from a file; see `parse`."""
    return parse(path.read_text(encoding="utf-8"))


def is_known(value: Any) -> bool:
    """Whether a resolved value holds no stand-in for what is only known after deployment."""
    return "{{" not in json.dumps(value)


def resolve(template: Template, parameters: Mapping[str, Any] | None = None) -> Template:
    """What a template says for some parameters: no intrinsic functions, nothing whose condition is false.

    Args:
        template: As it was parsed.
        parameters: Values of parameters and pseudo parameters; lists as text with commas. Others have their defaults.

    Raises:
        ValueError: A reference leads nowhere, or to what a condition leaves out; a parameter has no value.
    """
    return Template(_Resolver(template.data, parameters or {}).resolved(), template.lines)


def unsatisfied(name: str, declared: Mapping[str, Any], value: str) -> str | None:
    """Why CloudFormation takes no such value for a parameter; None when it does.

    A number may have a fraction: CloudFormation knows no whole ones.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html

    Args:
        name: The name of the parameter.
        declared: What the template says of it.
        value: The value; a list as text with commas.
    """
    kind = declared["Type"]
    for item in value.split(",") if kind == "CommaDelimitedList" or "List<" in kind else [value]:
        if (reason := _unsatisfied(declared, kind, item)) is not None:
            return f"Parameter {name} failed to satisfy constraint: {declared.get('ConstraintDescription', reason)}"
    return None


def _unsatisfied(declared: Mapping[str, Any], kind: str, value: str) -> str | None:
    if kind == "Number" and not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", value):
        return "must be a number"
    if "AllowedValues" in declared and value not in map(str, declared["AllowedValues"]):
        return f"must be one of {declared['AllowedValues']}"
    if "AllowedPattern" in declared and not re.fullmatch(str(declared["AllowedPattern"]), value):
        return f"must match pattern {declared['AllowedPattern']}"
    size, least, most = (
        (float(value), "MinValue", "MaxValue") if kind == "Number" else (len(value), "MinLength", "MaxLength")
    )
    if not float(declared.get(least, size)) <= size <= float(declared.get(most, size)):
        return f"is outside {least} and {most}"
    return None


def cidr(block: str, count: int | str, bits: int | str) -> list[str]:
    """The first blocks of addresses, of two to the power of `bits` each, that an IPv4 block is divided into."""
    blocks = ipaddress.ip_network(block).subnets(new_prefix=32 - int(bits))
    return [str(found) for found, _ in zip(blocks, range(int(count)), strict=False)]


class _Resolver:
    def __init__(self, data: dict[str, Any], parameters: Mapping[str, Any]) -> None:
        self._data = data
        self._values = {**PSEUDO_PARAMETERS, **self._parameters(parameters)}
        self._functions: dict[str, Callable[[Any], Any]] = {
            "Ref": self._ref,
            "Condition": self._condition,
            "Fn::And": lambda items: all(self._value(item) for item in items),
            "Fn::Base64": lambda value: base64.b64encode(self._text(value).encode()).decode(),
            "Fn::Cidr": self._cidr,
            "Fn::Equals": lambda pair: self._text(pair[0]) == self._text(pair[1]),
            "Fn::FindInMap": self._find_in_map,
            "Fn::GetAZs": lambda region: [
                f"{self._value(region) or self._values['AWS::Region']}{zone}" for zone in "abc"
            ],
            "Fn::GetAtt": self._get_att,
            "Fn::If": lambda branches: self._value(branches[1 if self._condition(branches[0]) else 2]),
            "Fn::ImportValue": lambda name: f"{{{{import:{self._value(name)}}}}}",
            "Fn::Join": lambda pair: str(pair[0]).join(map(self._text, self._value(pair[1]))),
            "Fn::Not": lambda items: not self._value(items[0]),
            "Fn::Or": lambda items: any(self._value(item) for item in items),
            "Fn::Select": lambda pair: self._value(pair[1])[int(self._value(pair[0]))],
            "Fn::Split": lambda pair: self._text(pair[1]).split(pair[0]),
            "Fn::Sub": self._sub,
        }

    def resolved(self) -> dict[str, Any]:
        sections = {
            name: {key: value for key, value in section.items() if self._exists(value)}
            for name, section in self._data.items()
            if name in ("Resources", "Outputs")
        }
        self._present = set(sections.get("Resources", {}))
        others = {
            name: section for name, section in self._data.items() if name not in ("Mappings", "Conditions", *sections)
        }
        resolved = {name: self._value(section) for name, section in sections.items()}
        return {**others, **resolved}

    def _parameters(self, given: Mapping[str, Any]) -> dict[str, Any]:
        declared = self._data.get("Parameters", {})
        if unknown := [name for name in given if name not in declared and name not in PSEUDO_PARAMETERS]:
            raise ValueError(f"no such parameter: {', '.join(unknown)}")
        values = {**{name: parameter.get("Default") for name, parameter in declared.items()}, **given}
        for name, parameter in declared.items():
            value, kind = values[name], parameter["Type"]
            if value is None:
                raise ValueError(f"parameter {name} has no value")
            if kind.startswith("AWS::SSM::Parameter::Value") and name not in given:
                value = f"{{{{resolve:ssm:{value}}}}}"  # the default is the name of what holds the value
            values[name] = str(value).split(",") if kind == "CommaDelimitedList" or "List<" in kind else str(value)
        return values

    def _exists(self, part: Mapping[str, Any]) -> bool:
        return "Condition" not in part or self._condition(part["Condition"])

    def _condition(self, name: str) -> bool:
        if name not in self._data.get("Conditions", {}):
            raise ValueError(f"there is no condition {name}")
        return bool(self._value(self._data["Conditions"][name]))

    def _value(self, value: Any) -> Any:
        if isinstance(value, list):
            return [item for item in map(self._value, value) if item is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1 and (function := self._functions.get(name := next(iter(value)))):
            # The condition of an IAM statement has the name of a reference to a condition.
            if name != "Condition" or isinstance(value[name], str):
                return function(value[name])
        elif unknown := [key for key in value if isinstance(key, str) and key.startswith("Fn::")]:
            raise ValueError(f"{unknown[0]} is not a function that is known here")
        resolved = {key: self._value(item) for key, item in value.items()}
        return {key: item for key, item in resolved.items() if item is not NO_VALUE}

    def _text(self, value: Any) -> str:
        resolved = self._value(value)
        return str(resolved).lower() if isinstance(resolved, bool) else str(resolved)

    def _reference(self, name: str, stand_in: str) -> str:
        if name not in self._data["Resources"]:
            raise ValueError(f"nothing is called {name}")
        if name not in self._present:
            raise ValueError(f"{stand_in} refers to a resource that a condition leaves out")
        return f"{{{{{stand_in}}}}}"

    def _ref(self, name: str) -> Any:
        return self._values[name] if name in self._values else self._reference(name, name)

    def _get_att(self, parts: list[str] | str) -> str:
        name, _, attribute = (parts if isinstance(parts, str) else ".".join(map(self._text, parts))).partition(".")
        return self._reference(name, f"{name}.{attribute}")

    def _sub(self, argument: Any) -> str:
        pattern, local = (argument, {}) if isinstance(argument, str) else argument

        def filled(match: re.Match[str]) -> str:
            name = match[1]
            if name.startswith("!"):
                return f"${{{name[1:]}}}"
            if name in local:
                return self._text(local[name])
            return self._get_att(name) if "." in name else self._text({"Ref": name})

        return re.sub(r"\$\{([^}]+)\}", filled, pattern)

    def _find_in_map(self, keys: list[Any]) -> Any:
        found: Any = self._data.get("Mappings", {})
        for key in map(self._text, keys[:3]):
            if key not in found:
                raise ValueError(f"no mapping leads to {key}")
            found = found[key]
        return found

    def _cidr(self, arguments: list[Any]) -> list[str]:
        return cidr(*(self._value(argument) for argument in arguments))
