"""The CloudFormation templates of a project, and the values of their parameters."""

import difflib
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mlops.base.commands import MLOPS
from mlops.base.environments import SHARED
from mlops.base.errors import MlopsError, UsageError, require_none
from mlops.deployment import intrinsics
from mlops.project.configuration import STACKS
from mlops.project.environment import Environment
from mlops.project.stacks import REGISTRY, SHADOW_MINUTES, Stack, template_file


@dataclass(frozen=True)
class Template:
    """A CloudFormation template.

    Attributes:
        text: The text that is sent.
        content: The parsed content; intrinsic functions in their long form, `{"Ref": "Bucket"}`.
    """

    text: str
    content: Mapping[str, Any]

    @classmethod
    def parse(cls, text: str) -> "Template":
        """Parse a template in YAML or JSON.

        Raises:
            MlopsError: The text is neither, or has no resources.
        """
        try:
            content = yaml.load(text, Loader=_Loader)
            dict(content["Resources"])
        except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
            raise UsageError(f"Not a CloudFormation template: {error}.") from None
        return cls(text, content)

    @property
    def parameters(self) -> Mapping[str, Mapping[str, Any]]:
        """The declarations of its parameters, by name."""
        return self.content.get("Parameters") or {}

    @property
    def outputs(self) -> frozenset[str]:
        """The names of its outputs."""
        return frozenset(self.content.get("Outputs") or ())

    @property
    def resources(self) -> Mapping[str, Mapping[str, Any]]:
        """Its resources, by logical id."""
        return dict(self.content["Resources"])

    def retained(self) -> list[str]:
        """Return the logical ids of resources that outlive the stack."""
        return [name for name, one in self.resources.items() if str(one.get("DeletionPolicy")).startswith("Retain")]

    def with_defaults(self, values: Mapping[str, str]) -> dict[str, str]:
        """Return the values of all parameters that have one: the given value, else the default."""
        defaults = {name: str(one["Default"]) for name, one in self.parameters.items() if "Default" in one}
        return defaults | dict(values)

    def guards(self) -> set[str]:
        """Return the logical ids of the alarms that roll an endpoint back."""
        endpoints = self.of_type("AWS::SageMaker::Endpoint")
        return {alarm["Ref"] for endpoint in endpoints for alarm in values_at("AlarmName", self.resources[endpoint])}

    def of_type(self, type_: str) -> list[str]:
        """Return the logical ids of the resources of a type."""
        return [name for name, resource in self.resources.items() if resource.get("Type") == type_]


# libyaml's loader takes a tenth of the time; builds of PyYAML without it are rare.
class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Parses intrinsic functions."""


def _intrinsic(loader: yaml.SafeLoader, name: str, node: yaml.Node) -> dict[str, Any]:
    argument: Any = node.value
    if isinstance(node, yaml.MappingNode):
        argument = loader.construct_mapping(node, deep=True)
    elif isinstance(node, yaml.SequenceNode):
        argument = loader.construct_sequence(node, deep=True)
    elif name == "GetAtt":
        argument = node.value.split(".", 1)
    return {name if name in ("Ref", "Condition") else f"Fn::{name}": argument}


_Loader.add_multi_constructor("!", _intrinsic)


def values_at(key: str, content: Any) -> Iterator[Any]:
    """Yield the values of a key anywhere in a part of a template."""
    if isinstance(content, dict):
        if key in content:
            yield content[key]
        content = list(content.values())
    if isinstance(content, list):
        for item in content:
            yield from values_at(key, item)


def outputs_of_others(root: Path, shared: Environment) -> dict[str, str]:
    """Return the outputs of another project's stack: outputs of `registry` in a project that has no such stack.

    Args:
        root: The project's folder.
        shared: The environment that all environments share.

    Raises:
        MlopsError: The configuration leaves values empty; the message lists all of them.
    """
    if template_file(root, REGISTRY).is_file():
        return {}
    section = {key: (_place(shared, REGISTRY, key), value) for key, value in shared.stack(REGISTRY.name).items()}
    require_none(
        UsageError(f"No value for {setting}.", "Copy it from the project that trains.")
        for setting, value in section.values()
        if value is None
    )
    return {parameter_of(key): _text(value, setting) for key, (setting, value) in section.items()}


def read(root: Path, stack: Stack) -> Template:
    """Read the template of a stack.

    Raises:
        MlopsError: The file cannot be read, or is not a template.
    """
    path = template_file(root, stack)
    try:
        return Template.parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"Cannot read {path}: {error}.") from None
    except MlopsError as error:
        raise UsageError(f"{path}: {error.message}", "Correct the file.") from None


def parameters(
    template: Template, known: Mapping[str, str], stack: Stack, environment: Environment, origin: Mapping[str, Stack]
) -> dict[str, str]:
    """Return the values of a template's parameters, without those that take their default.

    Args:
        template: The template.
        known: The values that the deployment itself and the preceding stacks set, by parameter.
        stack: The stack.
        environment: The environment, with the settings of the stack.
        origin: By parameter, the preceding stack whose output sets it.

    Raises:
        MlopsError: The configuration has an unknown key or an invalid value, or parameters have no value; the message
            lists all of them.
    """
    section = environment.stack(stack.name)
    values = {name: value for name, value in known.items() if name in template.parameters}
    errors: list[MlopsError] = []
    for key in section:
        name, setting = parameter_of(key), _place(environment, stack, key)
        if key == SHADOW_MINUTES:
            continue
        try:
            _require_open(name, setting, template, known)
            if section[key] is not None:
                values[name] = _text(section[key], setting)
                _require_allowed(values[name], template.parameters[name], setting)
        except MlopsError as error:
            errors.append(error)
            # So that the parameter that was meant is not reported once more, as one without a value.
            values.setdefault(name if name in template.parameters else _nearest(name, template, known) or name, "")
    errors += [
        _without_value(name, declared, _place(environment, stack, _key(name)), origin)
        for name, declared in template.parameters.items()
        if name not in values and "Default" not in declared
    ]
    errors += [
        UsageError(f"Invalid settings `{STACKS}.{stack.name}` of {environment.name}: {broken}.", "Correct them.")
        for broken in _broken_rules(template, values, known)
    ]
    require_none(errors)
    return values


def _require_allowed(value: str, declared: Mapping[str, Any], setting: str) -> None:
    """Refuse a value that CloudFormation would refuse, after the preceding stacks were deployed."""
    allowed, pattern, type_ = (declared.get(name) for name in ("AllowedValues", "AllowedPattern", "Type"))
    hint = ""
    if allowed and value not in map(str, allowed):
        hint = f"Use one of: {', '.join(map(str, allowed))}."
    elif type_ == "Number":
        hint = _out_of_range(value, declared)
    elif pattern and type_ == "String" and not re.fullmatch(pattern, value):
        hint = f"{declared.get('Description', '')} Pattern: {pattern}".lstrip()
    if hint:
        raise UsageError(f"Invalid value of {setting}: {value!r}.", hint)


def _out_of_range(value: str, declared: Mapping[str, Any]) -> str:
    """Return a hint if a value is not a number within the limits of a parameter; else an empty string."""
    least, most = (float(declared.get(name, limit)) for name, limit in (("MinValue", "-inf"), ("MaxValue", "inf")))
    try:
        fits = least <= float(value) <= most
    except ValueError:
        return "Use a number."
    limits = [f"at least {least:g}"] * (least > -math.inf) + [f"at most {most:g}"] * (most < math.inf)
    return "" if fits else f"Use {' and '.join(limits)}."


def _broken_rules(template: Template, values: Mapping[str, str], known: Mapping[str, str]) -> Iterator[str]:
    """Yield the descriptions of the assertions that do not hold; what a deployment sets is left to CloudFormation."""
    given = {name: value for name, value in template.with_defaults(values).items() if name not in known}
    for rule in (template.content.get("Rules") or {}).values():
        with suppress(LookupError):
            if "RuleCondition" not in rule or intrinsics.holds(rule["RuleCondition"], {}, given):
                for assertion in rule["Assertions"]:
                    if not intrinsics.holds(assertion["Assert"], {}, given):
                        yield str(assertion["AssertDescription"]).rstrip(".")


def _require_open(name: str, setting: str, template: Template, known: Mapping[str, str]) -> None:
    """Refuse a setting that is not a parameter, or that the deployment sets."""
    if name not in template.parameters:
        nearest = _nearest(name, template, known)
        remedy = f"Did you mean `{_key(nearest)}`?" if nearest else "Remove it: this stack has no settings."
        raise UsageError(f"Unknown setting {setting}.", remedy)
    if name in known:
        raise UsageError(f"Setting {setting} is not allowed: the deployment sets it.", "Remove it.")


def _nearest(name: str, template: Template, known: Mapping[str, str]) -> str | None:
    """Return the parameter whose name is most similar to a name, among those that the configuration may set."""
    keys = {_key(parameter): parameter for parameter in template.parameters if parameter not in known}
    return next((keys[key] for key in difflib.get_close_matches(_key(name), keys, n=1, cutoff=0)), None)


def _without_value(name: str, declared: Mapping[str, Any], setting: str, origin: Mapping[str, Stack]) -> MlopsError:
    if name not in origin:
        meaning = f" ({str(declared['Description']).rstrip('.')})" if "Description" in declared else ""
        return UsageError(f"No value for {name}{meaning}.", f"Set {setting}.")
    stack = origin[name]
    remedy = f"--environment {SHARED}" if stack.shared else f"--stack {stack.name} of the same environment"
    return MlopsError(
        f"No value for {name} yet: it is an output of the stack {stack.name}, which is not deployed.",
        f"Deploy that stack first: {MLOPS} deploy {remedy}",
    )


def _place(environment: Environment, stack: Stack, key: str) -> str:
    """Return a setting of a stack and its file, for messages."""
    name = f"{STACKS}.{stack.name}.{key}"
    return f"`{name}` in {environment.file(name)}"


def _text(value: Any, setting: str) -> str:
    """Convert a value of the configuration to a CloudFormation parameter value."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(_text(item, setting) for item in value)
    if isinstance(value, str | int | float):
        return str(value)
    raise UsageError(f"Invalid value of {setting}: {value!r}.", "Set a string, a number, or a list of these.")


def parameter_of(key: object) -> str:
    """Return the parameter that a key of the configuration sets: `instance_type` sets `InstanceType`."""
    return "".join(part[:1].upper() + part[1:] for part in str(key).split("_"))


def _key(parameter: str) -> str:
    return re.sub(r"(?<=.)(?=[A-Z])", "_", parameter).lower()
