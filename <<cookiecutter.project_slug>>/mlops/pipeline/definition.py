"""A compiled pipeline definition: its parameters, steps and references, and the values of its expressions.

The format is that of SageMaker Pipelines, version "2020-12-01". This module reads no files and makes no calls.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from mlops.base.documents import parse_document
from mlops.base.errors import MlopsError, UsageError, did_you_mean

GET, JOIN, JSON_GET = "Get", "Std:Join", "Std:JsonGet"
EXPRESSIONS = frozenset({GET, JOIN, JSON_GET})

_PATH_PART = re.compile(r"""\.?([^.\[\]]+)|\['([^']*)'\]|\["([^"]*)"\]|\[(\d+)\]""")


class Reference(NamedTuple):
    """The target of an expression: `Steps.Train.ModelArtifacts.S3ModelArtifacts` is (Steps, Train, the rest)."""

    kind: str
    name: str
    path: str


@dataclass(frozen=True)
class Parameter:
    """A pipeline parameter as declared.

    Attributes:
        name: The parameter's name.
        type: String, Integer, Float or Boolean.
        default: The declared default; None if a value is required.
        choices: The allowed values; empty if all values of the type are allowed.
    """

    name: str
    type: str
    default: str | int | float | bool | None
    choices: tuple[str, ...]

    def value(self, given: object) -> str | int | float | bool:
        """Convert `given` (text from the command line, or a JSON value) to a value of this parameter.

        Raises:
            MlopsError: It is not of the parameter's type, or not one of its choices.
        """
        try:
            value = _CONVERSIONS[self.type](given)
        except (ValueError, KeyError):
            raise UsageError(f"Parameter {self.name} takes a value of type {self.type}, not {given!r}.") from None
        if self.choices and value not in self.choices:
            raise UsageError(f"Parameter {self.name} cannot be {given!r}.", f"Choices: {', '.join(self.choices)}.")
        return value


def _integer(given: object) -> int:
    if isinstance(given, bool | float):
        raise ValueError(given)
    value = int(str(given))
    if not -(2**63) <= value < 2**63:
        raise ValueError(given)
    return value


def _float(given: object) -> float:
    if isinstance(given, bool):
        raise ValueError(given)
    value = float(str(given))
    if value != value or value in (float("inf"), float("-inf")):
        raise ValueError(given)
    return value


def _string(given: object) -> str:
    if not isinstance(given, str):
        raise ValueError(given)
    return given


_CONVERSIONS: dict[str, Callable[[object], str | int | float | bool]] = {
    "String": _string,
    "Integer": _integer,
    "Float": _float,
    "Boolean": lambda given: {"true": True, "false": False}[str(given).lower()],
}


@dataclass(frozen=True)
class Step:
    """One step of the graph.

    Attributes:
        name: The step's name, unique in the definition.
        type: Processing, Training, RegisterModel, Condition, Fail, ...
        request: The step in the definition.
        branch: The condition step that contains this one and the outcome that starts it; None at the top level.
    """

    name: str
    type: str
    request: dict[str, Any]
    branch: tuple[str, bool] | None

    @property
    def arguments(self) -> dict[str, Any]:
        """The request of the step's API call, with expressions unresolved."""
        arguments: dict[str, Any] = self.request.get("Arguments", {})
        return arguments

    @property
    def own_part(self) -> dict[str, Any]:
        """The request without the steps nested in it."""
        if self.type != "Condition":
            return self.request
        arguments = {key: value for key, value in self.arguments.items() if key not in ("IfSteps", "ElseSteps")}
        return {**self.request, "Arguments": arguments}

    @cached_property
    def dependencies(self) -> frozenset[str]:
        """The names of the steps that must end before this one starts."""
        listed = {entry if isinstance(entry, str) else entry["Step"] for entry in self.request.get("DependsOn", [])}
        referred = {reference.name for reference in references(self.own_part) if reference.kind == "Steps"}
        return frozenset(listed | referred | ({self.branch[0]} if self.branch else set()))


@dataclass(frozen=True)
class Definition:
    """A pipeline definition.

    Attributes:
        content: The definition as JSON data.
    """

    content: dict[str, Any]

    @classmethod
    def from_text(cls, text: str) -> "Definition":
        """Parse a definition.

        Raises:
            MlopsError: It is not JSON, or of an unsupported version.
        """
        damaged = "The pipeline definition is not valid JSON"
        content = parse_document(text, dict[str, Any], damaged, "Compile it again.")
        version = content.get("Version")
        if version != "2020-12-01":
            raise MlopsError(f"The pipeline definition has version {version!r}; only '2020-12-01' is supported.")
        return cls(content)

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        """The declared parameters by name."""
        return {
            entry["Name"]: Parameter(
                entry["Name"], entry["Type"], entry.get("DefaultValue"), tuple(entry.get("EnumValues", ()))
            )
            for entry in self.content.get("Parameters", [])
        }

    @cached_property
    def all_steps(self) -> tuple[Step, ...]:
        """All steps in the order of the definition, including nested and duplicate ones."""
        return tuple(_walk(self.content["Steps"], None))

    @cached_property
    def steps(self) -> dict[str, Step]:
        """The steps by name, in the order of the definition."""
        return {step.name: step for step in self.all_steps}

    def in_order(self) -> list[Step]:
        """Return the steps in topological order.

        Raises:
            MlopsError: Dependencies are cyclic, or a step depends on one that does not exist.
        """
        ordered: list[Step] = []
        waiting = dict(self.steps)
        while waiting:
            done = {step.name for step in ordered}
            ready = [step for step in waiting.values() if step.dependencies <= done]
            if not ready:
                raise UsageError(f"These steps have cyclic or missing dependencies: {', '.join(waiting)}.")
            ordered += ready
            for step in ready:
                del waiting[step.name]
        return ordered

    def values(self, overrides: Mapping[str, object]) -> dict[str, str | int | float | bool]:
        """Return the value of every parameter: `overrides`, else the defaults.

        Raises:
            MlopsError: A parameter is unknown or has no value, or a value has the wrong type or is not a choice.
        """
        unknown = sorted(set(overrides) - set(self.parameters))
        if unknown:
            raise UsageError(
                f"The pipeline has no parameter {', '.join(unknown)}.",
                f"{did_you_mean(unknown[0], self.parameters)}Parameters: {', '.join(self.parameters)}.",
            )
        given = {name: overrides.get(name, parameter.default) for name, parameter in self.parameters.items()}
        missing = [name for name, value in given.items() if value is None]
        if missing:
            raise UsageError(
                f"No value for parameter {', '.join(missing)}.",
                f"Give one: {' '.join(f'-p {name}=…' for name in missing)}",
            )
        return {name: self.parameters[name].value(value) for name, value in given.items()}


def assignments(texts: Iterable[str]) -> dict[str, str]:
    """Parse values of parameters from a command line, `NAME=VALUE` each.

    Raises:
        MlopsError: One has no `=`, or a name is given twice.
    """
    given: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"{text!r} is not of the form NAME=VALUE.")
        if name in given:
            raise UsageError(f"Parameter {name} is given twice.")
        given[name] = value
    return given


def _walk(steps: list[dict[str, Any]], branch: tuple[str, bool] | None) -> Iterator[Step]:
    for request in steps:
        yield Step(request["Name"], request["Type"], request, branch)
        if request["Type"] == "Condition":
            yield from _walk(request["Arguments"].get("IfSteps", []), (request["Name"], True))
            yield from _walk(request["Arguments"].get("ElseSteps", []), (request["Name"], False))


def is_expression(value: object) -> bool:
    """Return whether a JSON value is a pipeline expression (Get, Std:Join or Std:JsonGet)."""
    return isinstance(value, dict) and len(value) == 1 and next(iter(value)) in EXPRESSIONS


def references(value: object) -> Iterator[Reference]:
    """Yield every reference to a parameter, a step or the execution in a JSON value, including nested ones."""
    if isinstance(value, dict):
        target = value.get(GET)
        if is_expression(value) and isinstance(target, str):
            kind, _, rest = target.partition(".")
            name, path = _split_name(rest)
            yield Reference(kind, name, path)
            return
        for nested in value.values():
            yield from references(nested)
    elif isinstance(value, list):
        for nested in value:
            yield from references(nested)


def _split_name(text: str) -> tuple[str, str]:
    match = re.match(r"[^.\[]+", text)
    name = match.group() if match else ""
    return name, text[len(name) :].removeprefix(".")


def path_parts(path: str) -> list[str | int]:
    """Split a property or JSON path into keys and indexes: `Outputs['train'].S3Output` is Outputs, train, S3Output."""
    parts: list[str | int] = []
    for plain, single, double, index in _PATH_PART.findall(path):
        parts.append(int(index) if index else plain or single or double)
    return parts


def look_up(value: Any, path: str) -> Any:
    """Return the value at a property or JSON path.

    Raises:
        KeyError: The path does not exist; the message names the missing part.
    """
    for part in path_parts(path):
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            raise KeyError(f"{part} of {path}") from None
    return value


class Scope(NamedTuple):
    """The values that expressions are evaluated with while a pipeline runs.

    Attributes:
        parameters: Values of the parameters.
        execution: Values of the execution variables (PipelineExecutionId, StartDateTime, ...).
        properties: The response of the Describe call of each step that has ended.
        read_json: Reads a JSON document by S3 URI.
        steps: The steps, for their property files.
    """

    parameters: Mapping[str, Any]
    execution: Mapping[str, Any]
    properties: Mapping[str, Any]
    read_json: Callable[[str], Any]
    steps: Mapping[str, Step]


def evaluate(value: Any, scope: Scope) -> Any:
    """Replace every expression in a JSON value by its value.

    Raises:
        MlopsError: An expression refers to something that does not exist.
    """
    if isinstance(value, list):
        return [evaluate(nested, scope) for nested in value]
    if not isinstance(value, dict):
        return value
    if not is_expression(value):
        return {key: evaluate(nested, scope) for key, nested in value.items()}
    if GET in value:
        return _get(value[GET], scope)
    if JOIN in value:
        return value[JOIN]["On"].join(as_text(evaluate(part, scope)) for part in value[JOIN]["Values"])
    return _json_get(value[JSON_GET], scope)


def as_text(value: object) -> str:
    """Format a value like SageMaker does in a string: `true`, not `True`."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _get(target: str, scope: Scope) -> Any:
    reference = next(references({GET: target}))
    try:
        if reference.kind == "Parameters":
            return scope.parameters[reference.name]
        if reference.kind == "Execution":
            return scope.execution[reference.name]
        return look_up(scope.properties[reference.name], reference.path)
    except KeyError as error:
        raise MlopsError(f"No value at {target}: {error.args[0]} is missing.") from None


def _json_get(expression: dict[str, Any], scope: Scope) -> Any:
    if "PropertyFile" in expression:
        uri = property_file_uri(expression["PropertyFile"], scope)
    else:
        uri = evaluate(expression["S3Uri"], scope)
    try:
        return look_up(scope.read_json(uri), expression["Path"])
    except KeyError as error:
        raise MlopsError(f"{uri} has no {error.args[0]}.") from None


def property_file_uri(target: Any, scope: Scope) -> str:
    """Return the S3 URI of the property file that `{"Get": "Steps.<step>.PropertyFiles.<name>"}` refers to."""
    reference = next(references(target))
    name = reference.path.partition(".")[2]
    declared = scope.steps[reference.name].request.get("PropertyFiles", [])
    file = next((entry for entry in declared if entry["PropertyFileName"] == name), None)
    if file is None:
        raise MlopsError(f"Step {reference.name} declares no property file {name!r}.")
    outputs = scope.properties[reference.name]["ProcessingOutputConfig"]["Outputs"]
    folder: str = outputs[file["OutputName"]]["S3Output"]["S3Uri"]
    return f"{folder.rstrip('/')}/{file['FilePath']}"


class Comparison(NamedTuple):
    """One comparison of a condition, with its values."""

    figure: str
    left: Any
    operator: str
    threshold: str
    right: Any
    holds: bool

    def __str__(self) -> str:
        threshold = f"{self.threshold} " if self.threshold else ""
        return f"{self.figure} {_short(self.left)} {self.operator} {threshold}{_short(self.right)}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else as_text(value)


_OPERATORS: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "Equals": ("==", lambda left, right: left == right),
    "NotEquals": ("!=", lambda left, right: left != right),
    "GreaterThan": (">", lambda left, right: left > right),
    "GreaterThanOrEqualTo": (">=", lambda left, right: left >= right),
    "LessThan": ("<", lambda left, right: left < right),
    "LessThanOrEqualTo": ("<=", lambda left, right: left <= right),
}
CONDITIONS = frozenset({*_OPERATORS, "And", "Or", "Not", "In"})


def condition_types(condition: dict[str, Any]) -> Iterator[str]:
    """Yield the types of a condition and of its nested conditions."""
    yield condition["Type"]
    for nested in [*condition.get("Conditions", []), *([condition["Condition"]] if "Condition" in condition else [])]:
        yield from condition_types(nested)


def decide(condition: dict[str, Any], scope: Scope) -> tuple[bool, list[Comparison]]:
    """Return whether a condition holds, and its comparisons.

    Raises:
        MlopsError: A value is missing, or two values cannot be compared.
    """
    kind = condition["Type"]
    if kind in ("And", "Or"):
        results = [decide(nested, scope) for nested in condition["Conditions"]]
        holds = (all if kind == "And" else any)(result for result, _ in results)
        return holds, [comparison for _, comparisons in results for comparison in comparisons]
    if kind == "Not":
        holds, comparisons = decide(condition["Condition"], scope)
        return not holds, [
            comparison._replace(operator=f"not {comparison.operator}", holds=not comparison.holds)
            for comparison in comparisons
        ]
    if kind == "In":
        left, right = evaluate(condition["QueryValue"], scope), evaluate(condition["Values"], scope)
        holds = left in right
        return holds, [Comparison(_label(condition["QueryValue"]), left, "in", "", right, holds)]
    symbol, compare = _OPERATORS[kind]
    left, right = evaluate(condition["LeftValue"], scope), evaluate(condition["RightValue"], scope)
    try:
        holds = compare(left, right)
    except TypeError:
        raise MlopsError(f"Cannot compare {left!r} {symbol} {right!r}.") from None
    labels = _label(condition["LeftValue"]), _label(condition["RightValue"])
    return holds, [Comparison(labels[0], left, symbol, labels[1], right, holds)]


def _label(value: Any) -> str:
    """Return a readable name of a value: the last meaningful part of its path, or the parameter's name."""
    if not is_expression(value):
        return ""
    if JSON_GET in value:
        parts = [str(part) for part in path_parts(value[JSON_GET]["Path"])]
        return parts[-2] if parts[-1] == "value" and len(parts) > 1 else parts[-1]
    return next((reference.name for reference in references(value)), "")
