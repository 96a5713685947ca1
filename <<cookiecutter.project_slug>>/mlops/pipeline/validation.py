"""Validate a pipeline definition before SageMaker does: API shapes, references and the graph."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any, NamedTuple

from mlops.base.errors import MlopsError, UsageError
from mlops.pipeline import training_metrics
from mlops.pipeline.definition import (
    CONDITIONS,
    GET,
    JOIN,
    JSON_GET,
    Definition,
    Reference,
    Scope,
    Step,
    as_text,
    evaluate,
    path_parts,
    references,
)
from mlops.pipeline.durations import lifetime
from mlops.pipeline.shapes import check, computed, input_shape, output_shape, service_model, type_at
from mlops.project.instances import NO_KEY, has_own_disks


class Problem(NamedTuple):
    """A problem of a definition.

    Attributes:
        step: The name of the step; empty for the pipeline itself.
        path: The path in the step (`Arguments.ProcessingInputs[0]`), or the name of the parameter.
        message: What is wrong.
    """

    step: str
    path: str
    message: str

    def __str__(self) -> str:
        place = f"step {self.step}" if self.step else "pipeline"
        return f"{place}: {self.path}: {self.message}" if self.path else f"{place}: {self.message}"


class _Api(NamedTuple):
    """The API calls of a step type, and the required members that the pipeline service sets."""

    create: str
    describe: str
    filled_in: frozenset[str]


_PROCESSING = _Api("CreateProcessingJob", "DescribeProcessingJob", frozenset({"ProcessingJobName"}))
_APIS = {
    "Processing": _PROCESSING,
    "QualityCheck": _PROCESSING,
    "ClarifyCheck": _PROCESSING,
    "Training": _Api("CreateTrainingJob", "DescribeTrainingJob", frozenset({"TrainingJobName"})),
    "Transform": _Api("CreateTransformJob", "DescribeTransformJob", frozenset({"TransformJobName"})),
    "Tuning": _Api(
        "CreateHyperParameterTuningJob",
        "DescribeHyperParameterTuningJob",
        frozenset({"HyperParameterTuningJobName"}),
    ),
    "Model": _Api("CreateModel", "DescribeModel", frozenset({"ModelName"})),
    "RegisterModel": _Api("CreateModelPackage", "DescribeModelPackage", frozenset()),
    "EndpointConfig": _Api("CreateEndpointConfig", "DescribeEndpointConfig", frozenset({"EndpointConfigName"})),
    "Endpoint": _Api("CreateEndpoint", "DescribeEndpoint", frozenset({"EndpointName"})),
}
# Steps whose arguments only their own code can validate.
_FREE_ARGUMENTS = frozenset({"Lambda", "Callback"})
STEP_TYPES = frozenset({*_APIS, *_FREE_ARGUMENTS, "Condition", "Fail"})

_BASELINES = frozenset(
    {
        "CalculatedBaselineConstraints",
        "CalculatedBaselineStatistics",
        "BaselineUsedForDriftCheckConstraints",
        "BaselineUsedForDriftCheckStatistics",
    }
)
_CHECK_MEMBERS = frozenset(
    {
        "CheckType",
        "SkipCheck",
        "FailOnViolation",
        "RegisterNewBaseline",
        "SuppliedBaselineStatistics",
        "SuppliedBaselineConstraints",
        "ModelPackageGroupName",
    }
)
_MEMBERS = frozenset(
    {"Name", "Type", "Arguments", "DisplayName", "Description", "DependsOn", "RetryPolicies", "CacheConfig"}
)
_MEMBERS_OF_TYPE = {
    "Processing": frozenset({"PropertyFiles"}),
    "QualityCheck": _CHECK_MEMBERS,
    "ClarifyCheck": _CHECK_MEMBERS,
    "Lambda": frozenset({"FunctionArn", "OutputParameters"}),
    "Callback": frozenset({"SqsQueueUrl", "OutputParameters"}),
}
_CACHEABLE = frozenset(
    {"Processing", "Training", "Tuning", "Transform", "QualityCheck", "ClarifyCheck", "Lambda", "Callback"}
)
_RETRIED_STEP = frozenset({"Step.SERVICE_FAULT", "Step.THROTTLING"})
_RETRIED_JOB = frozenset({"SageMaker.JOB_INTERNAL_ERROR", "SageMaker.CAPACITY_ERROR", "SageMaker.RESOURCE_LIMIT"})
_WITHOUT_JOB = frozenset({"Model", "RegisterModel", "EndpointConfig", "Endpoint", "Lambda", "Callback"})
_PIPELINE_ARN = "arn:aws:sagemaker:eu-west-1:000000000000:pipeline/name"
# Execution variables with an example value.
_EXECUTION_VARIABLES = {
    "PipelineName": "name",
    "PipelineArn": _PIPELINE_ARN,
    "PipelineExecutionId": "0123456789ab",
    "PipelineExecutionArn": f"{_PIPELINE_ARN}/execution/0123456789ab",
    "StartDateTime": "2026-01-01T00:00:00.000Z",
    "CurrentDateTime": "2026-01-01T00:00:00.000Z",
}
_MAX_ATTEMPTS = 20
_SHOWN = 3
_PARAMETER_TYPES: dict[str, tuple[type, ...]] = {
    "String": (str,),
    "Integer": (int,),
    "Float": (int, float),
    "Boolean": (bool,),
}


def problems(content: dict[str, Any]) -> list[Problem]:
    """Return all problems of a definition, in its order."""
    malformed = list(_malformed(content))
    if malformed:
        return malformed
    checker = _Checker(Definition(content))
    found = [*_parameter_problems(checker.definition), *_graph_problems(checker.definition)]
    for step in checker.definition.all_steps:
        found.extend(checker.step_problems(step))
    return found


def require_valid(content: dict[str, Any]) -> None:
    """Make sure that a definition is valid.

    Raises:
        MlopsError: It has problems; the message lists all of them.
    """
    found = problems(content)
    if found:
        lines = "\n".join(f"  {problem}" for problem in found)
        count = "a problem" if len(found) == 1 else f"{len(found)} problems"
        raise MlopsError(f"The pipeline definition has {count}:\n{lines}", "Correct pipelines/ or config/.")


def require_usable(definition: Definition, given: Mapping[str, object]) -> None:
    """Refuse parameter values that AWS would refuse at the start of an execution, or in one of its steps.

    A definition declares only types and choices. Length and characters are limited by the API calls that a value is
    used in, some of which are made late in an execution.

    Args:
        definition: A valid definition.
        given: The values to check, by parameter. Other parameters have their defaults.

    Raises:
        MlopsError: A value is not allowed; the message names the parameter, where it is used, and what is allowed.
    """
    known = {name: each.default for name, each in definition.parameters.items() if each.default is not None}
    checked = {
        name: definition.parameters[name].value(value) for name, value in given.items() if name in definition.parameters
    }
    scope = Scope({**known, **checked}, _EXECUTION_VARIABLES, {}, str, {})  # no step has run, no document is read
    for name, value in checked.items():
        sent = input_shape("StartPipelineExecution").members["PipelineParameters"].member.members["Value"]
        _require_fitting(name, as_text(value), sent, "It is sent to StartPipelineExecution")
    for step in definition.all_steps:
        if step.type not in _APIS or not _parameters(step.arguments) & checked.keys():
            continue
        for path, expression, shape in computed(step.arguments, input_shape(_APIS[step.type].create)):
            names = sorted(_parameters(expression) & checked.keys())
            if names and _is_known(expression, scope):
                use = f"It becomes {path} of step {step.name}"
                _require_fitting(", ".join(names), evaluate(expression, scope), shape, use)
    for step in definition.all_steps:
        for type_, named_by in _keyed_disks(step, scope.parameters):
            if chosen := named_by & checked.keys():
                raise UsageError(
                    f"Parameter {', '.join(chosen)} cannot be {type_!r}: it {NO_KEY}.",
                    "Set the type in the configuration instead: the pipeline is then compiled without a key.",
                )


def require_sendable(step: Step, arguments: Mapping[str, Any]) -> None:
    """Refuse resolved arguments that the API call of a step would refuse.

    Args:
        step: The step; nothing is known of the arguments of functions.
        arguments: Its arguments, without expressions.

    Raises:
        MlopsError: The service would refuse the call; the message says which and why.
    """
    if step.type in _APIS:
        api = _APIS[step.type]
        found = [
            f"{finding.path}: {finding.message}"
            for finding in check(arguments, input_shape(api.create), lambda _: None, optional=api.filled_in)
        ]
        if found:
            more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
            raise MlopsError(f"SageMaker would refuse {api.create}: {'; '.join(found[:_SHOWN])}{more}")


def _keyed_disks(step: Step, values: Mapping[str, Any]) -> Iterator[tuple[str, set[str]]]:
    """Yield the instance types that take no disk key but are given one, and the parameters that set them."""
    for cluster in _holding(step.own_part, "VolumeKmsKeyId"):
        names = _parameters(cluster.get("InstanceType"))
        for type_ in [values.get(name) for name in names] or [cluster.get("InstanceType")]:
            if has_own_disks(str(type_)):
                yield str(type_), names


def _parameters(value: Any) -> set[str]:
    return {reference.name for reference in references(value) if reference.kind == "Parameters"}


def _is_known(expression: Any, scope: Scope) -> bool:
    """Return whether an expression has a value before any step has run."""
    known = {"Parameters": scope.parameters, "Execution": scope.execution}
    is_set = all(reference.name in known.get(reference.kind, ()) for reference in references(expression))
    return is_set and not any(_holding(expression, JSON_GET))


def _require_fitting(names: str, value: Any, shape: Any, use: str) -> None:
    for finding in check(value, shape, lambda _: None):
        raise UsageError(f"Parameter {names} cannot be {value!r:.80}.", f"{use}: {finding.message}.")


def _malformed(content: dict[str, Any]) -> Iterator[Problem]:
    """Yield deviations from the basic structure that all other rules rely on."""
    if content.get("Version") != "2020-12-01":
        yield Problem("", "Version", f"{content.get('Version')!r} is not the supported version, '2020-12-01'")
    for index, parameter in enumerate(content.get("Parameters", [])):
        if not isinstance(parameter, dict) or "Name" not in parameter or parameter.get("Type") not in _PARAMETER_TYPES:
            known = ", ".join(_PARAMETER_TYPES)
            yield Problem("", f"Parameters[{index}]", f"a parameter needs a Name, and a Type that is one of {known}")
    yield from _malformed_steps(content.get("Steps"), "Steps")


def _malformed_steps(steps: Any, path: str) -> Iterator[Problem]:
    if not isinstance(steps, list) or (path == "Steps" and not steps):
        yield Problem("", path, "this must be a list of steps")
        return
    for index, step in enumerate(steps):
        place = f"{path}[{index}]"
        if not isinstance(step, dict) or not isinstance(step.get("Name"), str) or not isinstance(step.get("Type"), str):
            yield Problem("", place, "a step needs a Name and a Type")
        elif not isinstance(step.get("Arguments", {}), dict):
            yield Problem(step["Name"], "Arguments", "this must be a mapping")
        elif step["Type"] == "Condition":
            for branch in ("IfSteps", "ElseSteps"):
                yield from _malformed_steps(step.get("Arguments", {}).get(branch, []), f"{place}.{branch}")


def _parameter_problems(definition: Definition) -> Iterator[Problem]:
    declared = definition.content.get("Parameters", [])
    names = Counter(parameter["Name"] for parameter in declared)
    yield from (Problem("", name, "this parameter is declared twice") for name, count in names.items() if count > 1)
    name_shape = service_model().shape_for("PipelineParameterName")
    for parameter in declared:
        name, kind = parameter["Name"], parameter["Type"]
        for finding in check(name, name_shape, lambda _: None):
            yield Problem("", name, finding.message)
        choices = parameter.get("EnumValues")
        for value in [*([parameter["DefaultValue"]] if "DefaultValue" in parameter else []), *(choices or [])]:
            if not isinstance(value, _PARAMETER_TYPES[kind]) or (isinstance(value, bool) and kind != "Boolean"):
                yield Problem("", name, f"{value!r} is not of the parameter's type, {kind}")
        if choices and parameter.get("DefaultValue", choices[0]) not in choices:
            yield Problem("", name, f"the default {parameter['DefaultValue']!r} is not one of its choices")
    used = _parameters(definition.content["Steps"])
    for name in names:
        if name not in used:
            yield Problem("", name, "this parameter is declared, but no step uses it")


def _graph_problems(definition: Definition) -> Iterator[Problem]:
    names = Counter(step.name for step in definition.all_steps)
    yield from (Problem(name, "Name", "several steps have this name") for name, count in names.items() if count > 1)
    graph = {step.name: step.dependencies & names.keys() for step in definition.all_steps}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        yield Problem(error.args[1][0], "", f"cyclic dependencies: {' -> '.join(reversed(error.args[1]))}")


@dataclass(frozen=True)
class _Checker:
    """Checks the steps of one definition."""

    definition: Definition

    def step_problems(self, step: Step) -> Iterator[Problem]:
        """Yield the problems of one step, without its nested steps."""
        if step.type not in STEP_TYPES:
            yield Problem(step.name, "Type", f"unknown step type {step.type!r}")
            return
        for finding in check(step.name, service_model().shape_for("StepName"), lambda _: None):
            yield Problem(step.name, "Name", finding.message)
        for member in step.request.keys() - _MEMBERS - _MEMBERS_OF_TYPE.get(step.type, frozenset()):
            yield Problem(step.name, member, f"a {step.type} step has no member of this name")
        yield from self._argument_problems(step)
        yield from self._disk_problems(step)
        yield from self._reference_problems(step)
        yield from self._dependency_problems(step)
        yield from _property_file_problems(step)
        yield from _cache_problems(step)
        yield from _retry_problems(step)

    def _argument_problems(self, step: Step) -> Iterator[Problem]:
        if step.type in _APIS:
            api = _APIS[step.type]
            for finding in check(step.arguments, input_shape(api.create), self._type_of, optional=api.filled_in):
                yield Problem(step.name, f"Arguments.{finding.path}", finding.message)
            yield from _metric_problems(step)
        elif step.type == "Fail":
            message = step.arguments.get("ErrorMessage", "")
            if not (isinstance(message, str) or self._type_of(message) == "String"):
                yield Problem(step.name, "Arguments.ErrorMessage", "this must be a string or a string expression")
        elif step.type == "Condition":
            conditions = step.arguments.get("Conditions", [])
            if not conditions:
                yield Problem(step.name, "Arguments.Conditions", "a condition step needs a condition")
            yield from _condition_problems(step, conditions, "Arguments.Conditions")

    def _disk_problems(self, step: Step) -> Iterator[Problem]:
        defaults = {name: parameter.default for name, parameter in self.definition.parameters.items()}
        for type_, _ in _keyed_disks(step, defaults):
            yield Problem(step.name, "VolumeKmsKeyId", f"{type_} {NO_KEY}")

    def _type_of(self, expression: Any) -> str | None:
        if isinstance(expression, dict) and JOIN in expression:
            return "String"
        reference = next(references(expression), None) if GET in expression else None
        if reference is None:
            return None
        if reference.kind == "Execution":
            return "String"
        if reference.kind == "Parameters":
            parameter = self.definition.parameters.get(reference.name)
            return parameter.type if parameter else None
        return self._property_type(reference)

    def _property_type(self, reference: Reference) -> str | None:
        """Return the type of a step's property; None if it is unknown or does not exist."""
        step = self.definition.steps.get(reference.name)
        if step is None:
            return None
        if step.type in _APIS:
            if step.type in ("QualityCheck", "ClarifyCheck") and reference.path in _BASELINES:
                return "String"
            return type_at(output_shape(_APIS[step.type].describe), reference.path)
        return "String" if step.type == "Condition" and reference.path == "Outcome" else None

    def _reference_problems(self, step: Step) -> Iterator[Problem]:
        for reference in references(step.own_part):
            text = f"{reference.kind}.{reference.name}"
            if reference.kind == "Parameters" and reference.name not in self.definition.parameters:
                yield Problem(step.name, text, "the pipeline declares no parameter of this name")
            elif reference.kind == "Execution" and reference.name not in _EXECUTION_VARIABLES:
                yield Problem(step.name, text, "SageMaker has no execution variable of this name")
            elif reference.kind == "Steps":
                yield from self._property_problems(step, reference)
            elif reference.kind not in ("Parameters", "Execution"):
                yield Problem(step.name, text, "a reference must start with Parameters, Execution or Steps")

    def _property_problems(self, step: Step, reference: Reference) -> Iterator[Problem]:
        text = f"Steps.{reference.name}.{reference.path}"
        target = self.definition.steps.get(reference.name)
        if target is None:
            yield Problem(step.name, text, "the pipeline has no step of this name")
        elif reference.path.startswith("PropertyFiles."):
            name = reference.path.partition(".")[2]
            if name not in {file.get("PropertyFileName") for file in target.request.get("PropertyFiles", [])}:
                yield Problem(step.name, text, f"step {target.name} declares no property file of this name")
        elif target.type in _FREE_ARGUMENTS:
            declared = {output.get("OutputName") for output in target.request.get("OutputParameters", [])}
            if not _names(reference.path, "OutputParameters", declared):
                yield Problem(step.name, text, f"step {target.name} declares no output of this name")
        elif target.type in STEP_TYPES and self._property_type(reference) is None:
            yield Problem(step.name, text, f"a {target.type} step has no such property")
        elif "Outputs[" in reference.path and not _names(reference.path, "Outputs", _outputs(target)):
            yield Problem(step.name, text, f"step {target.name} has no output of this name")

    def _dependency_problems(self, step: Step) -> Iterator[Problem]:
        for entry in step.request.get("DependsOn", []):
            name = entry if isinstance(entry, str) else entry.get("Step")
            target = self.definition.steps.get(name)
            if target is None:
                yield Problem(step.name, "DependsOn", f"the pipeline has no step {name!r}")
            elif target.type == "Fail":
                yield Problem(step.name, "DependsOn", f"step {name} ends the execution: no step can depend on it")


def _metric_problems(step: Step) -> Iterator[Problem]:
    algorithm = step.arguments.get("AlgorithmSpecification", {}) if step.type == "Training" else {}
    if "MetricDefinitions" in algorithm and training_metrics.built_in(str(algorithm.get("TrainingImage"))):
        yield Problem(
            step.name,
            "Arguments.AlgorithmSpecification.MetricDefinitions",
            "SageMaker has built-in definitions for this image, and refuses others",
        )


def _outputs(step: Step) -> set[str]:
    outputs = step.arguments.get("ProcessingOutputConfig", {}).get("Outputs", [])
    return {output.get("OutputName") for output in outputs}


def _names(path: str, member: str, known: Iterable[str | None]) -> bool:
    """Return whether a property path addresses an entry of `member` by a known name or an index."""
    parts = path_parts(path)
    if member not in parts or parts.index(member) + 1 == len(parts):
        return False
    entry = parts[parts.index(member) + 1]
    return isinstance(entry, int) or entry in known


def _condition_problems(step: Step, conditions: list[dict[str, Any]], path: str) -> Iterator[Problem]:
    for index, condition in enumerate(conditions):
        place, kind = f"{path}[{index}]", condition.get("Type")
        if kind not in CONDITIONS:
            yield Problem(step.name, place, f"unknown condition type {kind!r}")
        elif kind in ("And", "Or"):
            yield from _condition_problems(step, condition.get("Conditions", []), f"{place}.Conditions")
        elif kind == "Not":
            yield from _condition_problems(step, [condition.get("Condition", {})], f"{place}.Condition")
        else:
            for member in ("QueryValue", "Values") if kind == "In" else ("LeftValue", "RightValue"):
                if member not in condition:
                    yield Problem(step.name, f"{place}.{member}", "this is missing")


def _property_file_problems(step: Step) -> Iterator[Problem]:
    files = step.request.get("PropertyFiles", [])
    names = Counter(file.get("PropertyFileName") for file in files)
    for name, count in names.items():
        if count > 1:
            yield Problem(step.name, f"PropertyFiles.{name}", "several property files have this name")
    for file in files:
        place = f"PropertyFiles.{file.get('PropertyFileName')}"
        if file.get("OutputName") not in _outputs(step):
            yield Problem(step.name, place, f"the step has no output {file.get('OutputName')!r}")
        if not file.get("FilePath"):
            yield Problem(step.name, place, "this needs a FilePath")
    for expression in (holder[JSON_GET] for holder in _holding(step.own_part, JSON_GET)):
        if ("PropertyFile" in expression) == ("S3Uri" in expression) or not expression.get("Path"):
            yield Problem(step.name, JSON_GET, "this needs a Path, and either a PropertyFile or an S3Uri")


def _holding(value: Any, key: str) -> Iterator[dict[str, Any]]:
    """Yield the mappings that contain a key, including nested ones."""
    if isinstance(value, dict):
        if key in value:
            yield value
        for nested in value.values():
            yield from _holding(nested, key)
    elif isinstance(value, list):
        for nested in value:
            yield from _holding(nested, key)


def _cache_problems(step: Step) -> Iterator[Problem]:
    cache = step.request.get("CacheConfig")
    if not cache or not cache.get("Enabled"):
        return
    if step.type not in _CACHEABLE:
        yield Problem(step.name, "CacheConfig", f"the result of a {step.type} step cannot be cached")
    if "ExpireAfter" in cache:
        try:
            lifetime(cache["ExpireAfter"])
        except MlopsError as error:
            yield Problem(step.name, "CacheConfig.ExpireAfter", error.message)


def _retry_problems(step: Step) -> Iterator[Problem]:
    allowed = _RETRIED_STEP if step.type in _WITHOUT_JOB else _RETRIED_STEP | _RETRIED_JOB
    for index, policy in enumerate(step.request.get("RetryPolicies", [])):
        place = f"RetryPolicies[{index}]"
        if step.type in ("Condition", "Fail"):
            yield Problem(step.name, place, f"a {step.type} step cannot be retried")
            continue
        for kind in policy.get("ExceptionType", []):
            if kind not in allowed:
                yield Problem(step.name, place, f"a {step.type} step cannot be retried for {kind!r}")
        if ("MaxAttempts" in policy) == ("ExpireAfterMin" in policy):
            yield Problem(step.name, place, "this needs either MaxAttempts or ExpireAfterMin")
        elif not 1 <= policy.get("MaxAttempts", 1) <= _MAX_ATTEMPTS:
            yield Problem(step.name, place, f"MaxAttempts must be between 1 and {_MAX_ATTEMPTS}")
