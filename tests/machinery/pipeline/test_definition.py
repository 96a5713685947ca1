import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops.base.errors import MlopsError
from mlops.pipeline.definition import Definition, Scope, decide, evaluate, look_up, path_parts, references
from mlops.pipeline.validation import problems
from tests.machinery.pipeline.definitions import compare, condition, definition, get, processing

DOCUMENT = {"metrics": {"auc": {"value": 0.61}}, "gain": -0.02}


def scope(**parameters: object) -> Scope:
    properties = {
        "Train": {"ModelArtifacts": {"S3ModelArtifacts": "s3://b/m"}, "Metrics": [{"Value": 3}]},
        "Check": {"ProcessingOutputConfig": {"Outputs": {"out": {"S3Output": {"S3Uri": "s3://b/out/"}}}}},
    }
    step = processing("Check", "", PropertyFiles=[{"PropertyFileName": "F", "OutputName": "out", "FilePath": "f.json"}])
    steps = definition(step).steps
    documents = {"s3://b/out/f.json": DOCUMENT}
    return Scope(parameters, {"PipelineExecutionId": "abc"}, properties, documents.__getitem__, steps)


def json_get(path: str) -> dict[str, object]:
    return {"Std:JsonGet": {"PropertyFile": get("Steps.Check.PropertyFiles.F"), "Path": path}}


def test_expressions_are_replaced_by_their_values_wherever_they_stand() -> None:
    value = {
        "Uri": get("Steps.Train.ModelArtifacts.S3ModelArtifacts"),
        "List": [get("Parameters.Depth"), {"Std:Join": {"On": "-", "Values": ["a", get("Parameters.On"), 0.5]}}],
        "Figure": json_get("metrics.auc.value"),
        "Index": get("Steps.Train.Metrics[0].Value"),
        "Plain": {"Get": "x", "Other": 1},
    }
    assert evaluate(value, scope(Depth=3, On=True)) == {
        "Uri": "s3://b/m",
        "List": [3, "a-true-0.5"],
        "Figure": 0.61,
        "Index": 3,
        "Plain": {"Get": "x", "Other": 1},
    }


@pytest.mark.parametrize(
    "expression",
    [get("Parameters.None"), get("Steps.Train.Nothing"), get("Execution.Nothing"), json_get("metrics.f1.value")],
)
def test_an_expression_that_leads_nowhere_says_which_part_is_missing(expression: dict[str, object]) -> None:
    with pytest.raises(MlopsError, match=r"None|Nothing|f1"):
        evaluate(expression, scope())


@pytest.mark.parametrize(
    ("operator", "left", "right", "holds"),
    [
        ("Equals", 1, 1, True),
        ("NotEquals", 1, 1, False),
        ("GreaterThan", 2, 1, True),
        ("GreaterThan", 1, 1, False),
        ("GreaterThanOrEqualTo", 1, 1, True),
        ("LessThan", 1, 2, True),
        ("LessThan", 2, 2, False),
        ("LessThanOrEqualTo", 2, 2, True),
    ],
)
def test_comparisons_decide_as_their_names_say(operator: str, left: int, right: int, holds: bool) -> None:
    assert decide(compare(left, operator, right), scope())[0] is holds


def test_conditions_combine() -> None:
    true, false = compare(1, "Equals", 1), compare(1, "Equals", 2)
    assert decide({"Type": "And", "Conditions": [true, false]}, scope())[0] is False
    assert decide({"Type": "Or", "Conditions": [true, false]}, scope())[0] is True
    assert decide({"Type": "Not", "Condition": false}, scope())[0] is True
    assert decide({"Type": "In", "QueryValue": "a", "Values": ["a", "b"]}, scope())[0] is True
    assert decide({"Type": "In", "QueryValue": "c", "Values": ["a", "b"]}, scope())[0] is False


def test_a_comparison_names_the_figure_and_the_threshold() -> None:
    holds, comparisons = decide(
        compare(json_get("metrics.auc.value"), "GreaterThanOrEqualTo", get("Parameters.MinAuc")), scope(MinAuc=0.7)
    )
    assert not holds
    assert [str(comparison) for comparison in comparisons] == ["auc 0.61 >= MinAuc 0.7"]


def test_a_comparison_that_is_denied_holds_where_the_condition_does() -> None:
    holds, [comparison] = decide({"Type": "Not", "Condition": compare("manual", "Equals", "dry")}, scope())
    assert (holds, comparison.holds, comparison.operator) == (True, True, "not ==")


def test_values_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(MlopsError, match="Cannot compare 'a' > 1"):
        decide(compare("a", "GreaterThan", 1), scope())


PARAMETERS: list[dict[str, Any]] = [
    {"Name": "Depth", "Type": "Integer", "DefaultValue": 3},
    {"Name": "Rate", "Type": "Float", "DefaultValue": 0.1},
    {"Name": "Spot", "Type": "Boolean", "DefaultValue": False},
    {"Name": "Status", "Type": "String", "DefaultValue": "Pending", "EnumValues": ["Pending", "Approved"]},
    {"Name": "Version", "Type": "String"},
]


def test_parameters_take_text_of_their_type() -> None:
    given = {"Depth": "5", "Rate": "1e-2", "Spot": "TRUE", "Status": "Approved", "Version": "7"}
    values = definition(parameters=PARAMETERS).values(given)
    assert values == {"Depth": 5, "Rate": 0.01, "Spot": True, "Status": "Approved", "Version": "7"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Depth", "five"),
        ("Depth", "5.5"),
        ("Depth", ""),
        ("Rate", "fast"),
        ("Rate", "nan"),
        ("Rate", "inf"),
        ("Spot", "yes"),
        ("Status", "approved"),
        ("Unknown", "1"),
    ],
)
def test_a_parameter_of_another_type_or_name_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(MlopsError, match=name) as refusal:
        definition(parameters=PARAMETERS).values({"Version": "1", name: value})
    assert refusal.value.exit_code == 2


def test_a_parameter_without_a_value_is_asked_for() -> None:
    with pytest.raises(MlopsError, match="No value for parameter Version"):
        definition(parameters=PARAMETERS).values({})


def test_dependencies_are_those_listed_referred_to_and_stood_under() -> None:
    inner = processing("Inner", "", inputs={"a": get("Steps.First.X")}, DependsOn=["Second"])
    pipeline = definition(
        processing("First", ""), processing("Second", ""), condition("Gate", [compare(1, "Equals", 1)], [inner])
    )
    assert pipeline.steps["Inner"].dependencies == {"First", "Second", "Gate"}
    assert pipeline.steps["Gate"].dependencies == frozenset()
    assert pipeline.steps["Inner"].branch == ("Gate", True)


def test_steps_come_in_an_order_in_which_they_can_run() -> None:
    pipeline = definition(processing("A", "", DependsOn=["B"]), processing("B", ""))
    assert [step.name for step in pipeline.in_order()] == ["B", "A"]


@pytest.mark.parametrize("waits_for", ["B", "Nowhere"])
def test_steps_that_wait_for_each_other_or_for_no_step_are_refused(waits_for: str) -> None:
    pipeline = definition(processing("A", "", DependsOn=[waits_for]), processing("B", "", DependsOn=["A"]))
    with pytest.raises(MlopsError, match="cyclic or missing dependencies: A, B"):
        pipeline.in_order()


def test_references_name_kind_step_and_path() -> None:
    assert [tuple(reference) for reference in references([get("Steps.A.B['c'].D"), get("Parameters.P")])] == [
        ("Steps", "A", "B['c'].D"),
        ("Parameters", "P", ""),
    ]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"Version": "2019-01-01", "Steps": []}'])
def test_what_is_no_definition_is_refused(text: str) -> None:
    with pytest.raises(MlopsError):
        Definition.from_text(text)


@given(st.lists(st.one_of(st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,8}", fullmatch=True), st.integers(0, 9)), min_size=1))
def test_a_path_leads_to_the_value_it_was_made_for(parts: list[str | int]) -> None:
    value: object = "found"
    for part in reversed(parts):
        value = {part: value} if isinstance(part, str) else [None] * part + [value]
    path = "".join(f"['{part}']" if isinstance(part, str) else f"[{part}]" for part in parts)
    assert path_parts(path) == parts
    assert look_up(value, path) == "found"


def test_every_condition_of_the_sdk_is_read_as_the_sdk_writes_it() -> None:
    from sagemaker.core.workflow import conditions as sdk  # takes a second

    equal = sdk.ConditionEquals("a", "b")
    written: list[tuple[Any, bool]] = [
        (sdk.ConditionEquals("a", "a"), True),
        (sdk.ConditionGreaterThan(1, 2), False),
        (sdk.ConditionGreaterThanOrEqualTo(2, 2), True),
        (sdk.ConditionLessThan(1, 2), True),
        (sdk.ConditionLessThanOrEqualTo(3, 2), False),
        (sdk.ConditionIn("a", ["a", "b"]), True),
        (sdk.ConditionNot(equal), True),
        (sdk.ConditionNot(sdk.ConditionOr([equal, sdk.ConditionNot(equal)])), False),
        (sdk.ConditionOr([equal, sdk.ConditionLessThan(1, 2)]), True),
    ]
    assert {type(each) for each, _ in written} == {
        one for one in vars(sdk).values() if isinstance(one, type) and issubclass(one, sdk.Condition)
    } - {sdk.Condition, sdk.ConditionComparison}
    for each, holds in written:
        request = json.loads(json.dumps(each.to_request()))
        assert decide(request, scope())[0] is holds, request
        assert problems(definition(condition("Gate", [request])).content) == [], request
