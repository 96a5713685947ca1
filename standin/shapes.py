"""Whether values fit what the API of their service takes, where CloudFormation's own schemas say nothing of them."""

import json
import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import botocore.session

from standin.finding import Finding
from standin.kinds import KINDS
from standin.template import Place, Template, is_known

Fault = tuple[Place, str]

STEPS = {
    "Model": "CreateModel",
    "Processing": "CreateProcessingJob",
    "RegisterModel": "CreateModelPackage",
    "Training": "CreateTrainingJob",
    "Transform": "CreateTransformJob",
    "Tuning": "CreateHyperParameterTuningJob",
}
"""The call that a step of a SageMaker pipeline makes with its arguments."""

METRICS_OF_THEIR_OWN = re.compile(r"(?:.*/)?sagemaker-xgboost[:@].*")
"""Images of algorithms: "You can't override the metric definitions for Amazon SageMaker algorithms", CreateTrainingJob
says, whatever runs in them. https://docs.aws.amazon.com/sagemaker/latest/dg/automatic-model-tuning-define-metrics-variables.html
says that their metrics are defined, https://github.com/awslabs/mlspace (training_job/lambda_functions.py) quotes it."""

WRAPPED = {"AWS::CodePipeline::Pipeline": "pipeline"}
"""Where the properties stand in a request that does not have them at its top."""

WIDGETS = {"alarm", "explorer", "log", "metric", "text"}
COLUMNS = 24


@cache
def input_shape(service: str, operation: str) -> Any:
    """The model that botocore has of what an operation takes."""
    return botocore.session.get_session().get_service_model(service).operation_model(operation).input_shape


def findings(resolved: Template) -> list[Finding]:
    """Values of a resolved template that the service refuses; inline JSON that is none or says what is unknown."""
    found = []
    for name, resource in resolved.resources.items():
        properties = resource.get("Properties", {})
        for place, what in (
            *_request_faults(resource["Type"], properties),
            *_json_faults(properties),
        ):
            found.append(resolved.finding(what, name, "Properties", *place))
    return found


def definition_faults(definition: dict[str, Any]) -> Iterator[Fault]:
    """What is wrong with the steps of a SageMaker pipeline, which CloudFormation takes as text."""
    if definition.get("Version") != "2020-12-01":
        yield ("Version",), "the version of pipeline definitions is 2020-12-01"
    yield from _steps_faults(definition.get("Steps"), ("Steps",))


def dashboard_faults(body: dict[str, Any]) -> Iterator[Fault]:
    """What is wrong with the widgets of a dashboard; CloudWatch draws what it understands and leaves out the rest."""
    for index, widget in enumerate(body.get("widgets", [])):
        place: Place = ("widgets", index)
        if widget.get("type") not in WIDGETS:
            yield (*place, "type"), f"{widget.get('type')} is none of {', '.join(sorted(WIDGETS))}"
        if widget.get("x", 0) + widget.get("width", 6) > COLUMNS:
            yield (*place, "width"), f"it ends beyond column {COLUMNS}"
        properties = widget.get("properties", {})
        if widget.get("type") == "metric" and not {"region", "metrics"} <= properties.keys():
            yield (*place, "properties"), "a metric widget has a region and metrics"


def faults(value: Any, shape: Any, place: Place = (), *, strict: bool = False) -> Iterator[Fault]:
    """How a value differs from a shape of botocore.

    Args:
        value: Plain data; member names in any case; numbers and booleans may be text.
        shape: The shape.
        place: Where the value stands.
        strict: Refuse members that the shape does not have, and miss those that it requires.
    """
    if value is None or _is_computed(value):
        return
    kind = shape.type_name
    if kind in ("structure", "map"):
        if not isinstance(value, dict):
            yield place, f"{json.dumps(value)} is no {kind}"
        elif kind == "structure":
            yield from _structure_faults(value, shape, place, strict)
        else:
            yield from _items_faults(value.items(), shape.value, shape, place, strict)
    elif kind == "list":
        if isinstance(value, list):
            yield from _items_faults(enumerate(value), shape.member, shape, place, strict)
        else:
            yield place, f"{json.dumps(value)} is no list"
    elif is_known(value):
        yield from _scalar_faults(value, shape, place)


def _items_faults(
    items: Iterable[tuple[Any, Any]], member: Any, shape: Any, place: Place, strict: bool
) -> Iterator[Fault]:
    listed = list(items)
    yield from _range_faults(len(listed), shape, place, " items")
    for key, item in listed:
        yield from faults(item, member, (*place, key), strict=strict)


def _structure_faults(value: dict[str, Any], shape: Any, place: Place, strict: bool) -> Iterator[Fault]:
    members = {member.lower(): member for member in shape.members}
    for key, item in value.items():
        if member := members.get(key.lower()):
            yield from faults(item, shape.members[member], (*place, key), strict=strict)
        elif strict:
            yield (*place, key), f"{shape.name} has no {key}"
    if strict and (missing := [member for member in shape.required_members if member not in value]):
        yield place, f"{shape.name} lacks {', '.join(missing)}"


def _scalar_faults(value: Any, shape: Any, place: Place) -> Iterator[Fault]:
    kind = shape.type_name
    if kind in ("integer", "long", "float", "double"):
        try:
            yield from _range_faults(float(value), shape, place)
        except (TypeError, ValueError):
            yield place, f"{json.dumps(value)} is no number"
    elif kind == "boolean" and str(value).lower() not in ("true", "false"):
        yield place, f"{json.dumps(value)} is neither true nor false"
    elif kind == "string" and isinstance(value, str):  # what is not text is sent as JSON text
        yield from _string_faults(value, shape, place)


def _string_faults(value: str, shape: Any, place: Place) -> Iterator[Fault]:
    if shape.enum and value not in shape.enum:
        yield place, f"{value} is none of {', '.join(shape.enum)}"
    yield from _range_faults(len(value), shape, place, " characters")
    try:
        matches = re.fullmatch(shape.metadata.get("pattern", "(?s).*"), value)
    except re.error:  # patterns are written for Java
        return
    if not matches:
        yield place, f"{value} does not match {shape.metadata['pattern']}"


def _range_faults(number: float, shape: Any, place: Place, unit: str = "") -> Iterator[Fault]:
    low, high = (float(shape.metadata.get(bound, default)) for bound, default in (("min", "-inf"), ("max", "inf")))
    if not low <= number <= high:
        yield place, f"{number:g}{unit} is not between {low:g} and {high:g}"


def _is_computed(value: Any) -> bool:
    """Whether a pipeline computes a value when it runs."""
    return isinstance(value, dict) and len(value) == 1 and next(iter(value)) in ("Get", "Std:Join", "Std:JsonGet")


def _request_faults(kind: str, properties: dict[str, Any]) -> Iterator[Fault]:
    call = KINDS.get(kind)
    if call and call.create:
        shape = input_shape(call.service, call.create)
        if wrapper := WRAPPED.get(kind):
            shape = shape.members[wrapper]
        # Tags are lists here and maps there.
        yield from faults({name: value for name, value in properties.items() if name != "Tags"}, shape)


def _json_faults(properties: Any, place: Place = ()) -> Iterator[Fault]:
    items = properties.items() if isinstance(properties, dict) else enumerate(properties)
    for key, value in items:
        if isinstance(value, dict | list):
            yield from _json_faults(value, (*place, key))
        elif isinstance(value, str) and value.startswith("{") and not value.startswith("{{"):
            try:
                document = json.loads(value)
            except ValueError as error:
                yield (*place, key), f"it is not JSON: {error}"
                continue
            check = DOCUMENTS.get(str(key))
            for inner, what in check(document) if check else ():
                yield (*place, key, *inner), what


def _steps_faults(steps: Any, place: Place) -> Iterator[Fault]:
    if not isinstance(steps, list):
        yield place, "there is no list of steps"
        return
    for index, step in enumerate(steps):
        where, arguments = (*place, index, "Arguments"), step.get("Arguments", {})
        if step.get("Type") == "Condition":
            for branch in ("IfSteps", "ElseSteps"):
                yield from _steps_faults(arguments.get(branch, []), (*where, branch))
        elif operation := STEPS.get(step.get("Type")):
            shape = input_shape("sagemaker", operation)
            # The service names what a step makes.
            named = {name: {"Get": "name"} for name in shape.required_members if name.endswith("Name")}
            yield from faults({**named, **arguments}, shape, where, strict=True)
            algorithm = arguments.get("AlgorithmSpecification", {})
            if "MetricDefinitions" in algorithm and METRICS_OF_THEIR_OWN.fullmatch(str(algorithm.get("TrainingImage"))):
                yield (*where, "AlgorithmSpecification", "MetricDefinitions"), "this image takes no metric definitions"


DOCUMENTS = {"PipelineDefinitionBody": definition_faults, "DashboardBody": dashboard_faults}
"""What looks at the JSON text of a property, by its name."""
