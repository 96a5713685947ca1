import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlops.base.errors import MlopsError
from mlops.pipeline.definition import Definition
from mlops.pipeline.shapes import translated
from mlops.pipeline.validation import problems, require_usable, require_valid

GOLDEN = Path(__file__).parent.parent / "compile/golden/training-local.json"
METRICS = [{"Name": "auc", "Regex": "auc:(.*)"}]
Content = dict[str, Any]
Mutation = Callable[[Content], object]


@pytest.fixture(scope="module")
def good() -> Content:
    content: Content = json.loads(GOLDEN.read_text(encoding="utf-8"))
    return content


def step(content: Content, name: str) -> Any:
    return Definition(content).steps[name].request


def arguments(content: Content, name: str) -> Any:
    return step(content, name)["Arguments"]


def parameter(content: Content, name: str) -> Any:
    return next(entry for entry in content["Parameters"] if entry["Name"] == name)


def get(target: str) -> dict[str, str]:
    return {"Get": target}


def output_uri(of: str, name: str) -> dict[str, str]:
    return {"Get": f"Steps.{of}.ProcessingOutputConfig.Outputs['{name}'].S3Output.S3Uri"}


def set_at(value: Any, *path: Any) -> None:
    *parents, last, new = path
    for part in parents:
        value = value[part]
    value[last] = new


def test_the_definition_of_the_template_has_no_problem(good: Content) -> None:
    assert problems(good) == []


MUTATIONS: dict[str, tuple[Mutation, str, str]] = {
    # name: how the definition is spoilt, the step that must be named, what must be said
    "unknown member": (
        lambda c: set_at(arguments(c, "Train"), "HyperParameter", {}), "Train", "no member of this name"),
    "unknown nested member": (
        lambda c: set_at(arguments(c, "Baseline"), "ProcessingInputs", 0, "S3Input", "Uri", "s3://b/k"),
        "Baseline", "ProcessingInputs[0].S3Input.Uri"),
    "missing member": (
        lambda c: arguments(c, "Train").pop("RoleArn"), "Train", "Arguments.RoleArn: this required member is missing"),
    "wrong type": (
        lambda c: set_at(arguments(c, "Train"), "ResourceConfig", "VolumeSizeInGB", "30"), "Train",
        "expects type integer"),
    "boolean for a number": (
        lambda c: set_at(arguments(c, "Train"), "ResourceConfig", "VolumeSizeInGB", True), "Train",
        "expects type integer"),
    "not a choice": (
        lambda c: set_at(arguments(c, "Train"), "AlgorithmSpecification", "TrainingInputMode", "Files"),
        "Train", "not one of the API's choices: Pipe, File"),
    "metrics that SageMaker has of its own": (
        lambda c: set_at(arguments(c, "Train"), "AlgorithmSpecification", "MetricDefinitions", METRICS),
        "Train", "MetricDefinitions: SageMaker has built-in definitions for this image"),
    "empty argument": (
        lambda c: set_at(arguments(c, "Baseline"), "AppSpecification", "ContainerArguments", 1, ""),
        "Baseline", "ContainerArguments[1]: an empty string"),
    "pattern": (
        lambda c: set_at(arguments(c, "Train"), "RoleArn", "arn:aws:role"), "Train", "not match the API's pattern"),
    "too long": (
        lambda c: set_at(arguments(c, "RegisterModel"), "CustomerMetadataProperties", "GitCommit", "a" * 257),
        "RegisterModel", "257 characters where the API expects 1 to 256"),
    "character that lineage cannot hold": (
        lambda c: set_at(arguments(c, "RegisterModel"), "CustomerMetadataProperties", "GitCommit", "a;b"),
        "RegisterModel", "CustomerMetadataProperties.GitCommit"),
    "out of range": (
        lambda c: set_at(arguments(c, "Evaluate"), "ProcessingResources", "ClusterConfig", "InstanceCount", 0),
        "Evaluate", "0 where the API expects 1 to 100"),
    "number for a string": (
        lambda c: set_at(arguments(c, "Train"), "HyperParameters", "max_depth", {"Get": "Parameters.MaxDepth"}),
        "Train", "type Integer where the API expects type string (use .to_string())"),
    "string for a number": (
        lambda c: set_at(arguments(c, "Train"), "ResourceConfig", "InstanceCount", {"Get": "Parameters.RunReason"}),
        "Train", "type String where the API expects type integer"),
    "joined text for a number": (
        lambda c: set_at(arguments(c, "Train"), "ResourceConfig", "InstanceCount",
                         {"Std:Join": {"On": "", "Values": ["1"]}}),
        "Train", "type String where the API expects type integer"),
    "undeclared parameter": (
        lambda c: c["Parameters"].remove(parameter(c, "Seed")), "Preprocess", "declares no parameter of this name"),
    "unused parameter": (
        lambda c: c["Parameters"].append({"Name": "Left", "Type": "String"}), "", "Left: this parameter is declared"),
    "parameter declared twice": (
        lambda c: c["Parameters"].append(dict(parameter(c, "Seed"))), "", "Seed: this parameter is declared twice"),
    "parameter of an unknown type": (
        lambda c: set_at(parameter(c, "Seed"), "Type", "Int"), "", "a Type that is one of String, Integer"),
    "default of another type": (
        lambda c: set_at(parameter(c, "Seed"), "DefaultValue", "42"), "", "'42' is not of the parameter's type"),
    "default that is no choice": (
        lambda c: set_at(parameter(c, "ModelApprovalStatus"), "DefaultValue", "Maybe"), "", "not one of its choices"),
    "unknown execution variable": (
        lambda c: set_at(arguments(c, "Train"), "OutputDataConfig", "S3OutputPath", {"Get": "Execution.RunId"}),
        "Train", "no execution variable"),
    "unknown step": (
        lambda c: set_at(arguments(c, "Evaluate"), "ProcessingInputs", 1, "S3Input", "S3Uri", output_uri("Fit", "m")),
        "Evaluate", "Steps.Fit.ProcessingOutputConfig"),
    "unknown output": (
        lambda c: set_at(arguments(c, "Evaluate"), "ProcessingInputs", 2, "S3Input", "S3Uri",
                         output_uri("Preprocess", "tests")),
        "Evaluate", "step Preprocess has no output of this name"),
    "unknown property": (
        lambda c: set_at(arguments(c, "Evaluate"), "ProcessingInputs", 1, "S3Input", "S3Uri",
                         {"Get": "Steps.Train.ModelArtifacts.Uri"}),
        "Evaluate", "a Training step has no such property"),
    "property of another type": (
        lambda c: set_at(arguments(c, "Evaluate"), "ProcessingInputs", 1, "S3Input", "S3Uri",
                         {"Get": "Steps.Train.ModelArtifacts"}),
        "Evaluate", "type structure where the API expects type string"),
    "two steps of one name": (
        lambda c: set_at(step(c, "GateFailed"), "Name", "Baseline"), "Baseline", "several steps have this name"),
    "name with a space": (
        lambda c: set_at(step(c, "GateFailed"), "Name", "Gate failed"), "Gate failed", "does not match"),
    "steps that wait for each other": (
        lambda c: set_at(step(c, "ValidateData"), "DependsOn", ["Preprocess"]), "", "cyclic dependencies:"),
    "step that waits for itself": (
        lambda c: set_at(step(c, "Baseline"), "DependsOn", ["Baseline"]), "Baseline", "Baseline -> Baseline"),
    "waits for an unknown step": (
        lambda c: set_at(step(c, "Preprocess"), "DependsOn", ["Validate"]), "Preprocess", "has no step 'Validate'"),
    "waits for a failure": (
        lambda c: set_at(step(c, "RegisterModel"), "DependsOn", ["GateFailed"]), "RegisterModel", "ends the execution"),
    "unknown step type": (
        lambda c: set_at(step(c, "Baseline"), "Type", "Procesing"), "Baseline", "unknown step type 'Procesing'"),
    "unknown member of a step": (
        lambda c: set_at(step(c, "Preprocess"), "DependOn", []), "Preprocess", "DependOn"),
    "property file of no output": (
        lambda c: set_at(step(c, "Evaluate"), "PropertyFiles", 0, "OutputName", "report"),
        "Evaluate", "the step has no output 'report'"),
    "property file that is not declared": (
        lambda c: step(c, "Evaluate").pop("PropertyFiles"), "QualityGate", "declares no property file"),
    "property file declared twice": (
        lambda c: step(c, "Evaluate")["PropertyFiles"].append(dict(step(c, "Evaluate")["PropertyFiles"][0])),
        "Evaluate", "several property files"),
    "json_get without a path": (
        lambda c: arguments(c, "QualityGate")["Conditions"][0]["LeftValue"]["Std:JsonGet"].pop("Path"),
        "QualityGate", "this needs a Path"),
    "unknown condition": (
        lambda c: set_at(arguments(c, "QualityGate"), "Conditions", 0, "Type", "AtLeast"),
        "QualityGate", "unknown condition type 'AtLeast'"),
    "condition without a side": (
        lambda c: arguments(c, "QualityGate")["Conditions"][0].pop("RightValue"),
        "QualityGate", "Conditions[0].RightValue: this is missing"),
    "no condition": (
        lambda c: set_at(arguments(c, "QualityGate"), "Conditions", []), "QualityGate", "needs a condition"),
    "failure without words": (
        lambda c: set_at(arguments(c, "GateFailed"), "ErrorMessage", {"Get": "Parameters.MinAuc"}),
        "GateFailed", "must be a string"),
    "cache of what cannot be cached": (
        lambda c: set_at(step(c, "RegisterModel"), "CacheConfig", {"Enabled": True, "ExpireAfter": "P1D"}),
        "RegisterModel", "cannot be cached"),
    "cache for no duration": (
        lambda c: set_at(step(c, "Train"), "CacheConfig", "ExpireAfter", "a month"), "Train", "not a duration"),
    "job repeated that is none": (
        lambda c: set_at(step(c, "RegisterModel"), "RetryPolicies", 0, "ExceptionType", ["SageMaker.CAPACITY_ERROR"]),
        "RegisterModel", "cannot be retried for 'SageMaker.CAPACITY_ERROR'"),
    "repeated without end": (
        lambda c: step(c, "Train")["RetryPolicies"][0].pop("MaxAttempts"), "Train", "either MaxAttempts or"),
    "repeated too often": (
        lambda c: set_at(step(c, "Train"), "RetryPolicies", 0, "MaxAttempts", 21), "Train", "between 1 and 20"),
    "key for disks that hardware encrypts": (
        lambda c: set_at(parameter(c, "TrainingInstanceType"), "DefaultValue", "ml.g5.xlarge"),
        "Train", "VolumeKmsKeyId: ml.g5.xlarge has local NVMe disks"),
    "subnets without security groups": (
        lambda c: set_at(arguments(c, "Train"), "VpcConfig", {"Subnets": ["subnet-0123456789abcdef0"]}),
        "Train", "VpcConfig.SecurityGroupIds: this required member is missing"),
    "too many subnets": (
        lambda c: set_at(arguments(c, "Baseline"), "NetworkConfig", "VpcConfig",
                         {"Subnets": ["subnet-0123456789abcdef0"] * 17, "SecurityGroupIds": ["sg-0123456789abcdef0"]}),
        "Baseline", "17 entries where the API expects 1 to 16"),
    "too many security groups": (
        lambda c: set_at(arguments(c, "Train"), "VpcConfig",
                         {"Subnets": ["subnet-0123456789abcdef0"], "SecurityGroupIds": ["sg-0123456789abcdef0"] * 6}),
        "Train", "6 entries where the API expects 1 to 5"),
    "no steps": (lambda c: set_at(c, "Steps", []), "", "must be a list of steps"),
    "step without a type": (lambda c: step(c, "Train").pop("Type"), "", "Steps[4]: a step needs a Name and a Type"),
    "unknown version": (lambda c: set_at(c, "Version", "2021-01-01"), "", "not the supported version"),
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "named", "said"), MUTATIONS.values(), ids=MUTATIONS.keys())
def test_a_spoilt_definition_is_caught_and_its_fault_named(
    good: Content, spoil: Mutation, named: str, said: str
) -> None:
    content = copy.deepcopy(good)
    spoil(content)
    found = problems(content)
    assert any((not named or problem.step == named) and said in str(problem) for problem in found), found


def test_all_problems_are_told_at_once(good: Content) -> None:
    content = copy.deepcopy(good)
    arguments(content, "Train").pop("RoleArn")
    set_at(step(content, "Preprocess"), "DependsOn", ["Validate"])
    with pytest.raises(MlopsError) as caught:
        require_valid(content)
    assert caught.value.message.splitlines() == [
        "The pipeline definition has 2 problems:",
        "  step Preprocess: DependsOn: the pipeline has no step 'Validate'",
        "  step Train: Arguments.RoleArn: this required member is missing",
    ]


def test_an_image_of_ones_own_takes_metrics(good: Content) -> None:
    content = copy.deepcopy(good)
    algorithm = arguments(content, "Train")["AlgorithmSpecification"]
    algorithm |= {"TrainingImage": "1.dkr.ecr.eu-west-1.amazonaws.com/visits:1", "MetricDefinitions": METRICS}
    assert problems(content) == []


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("RunReason", "drift in age, income", "CustomerMetadataProperties.RunReason of step RegisterModel"),
        ("RunReason", "", "0 characters where the API expects 1 to 256"),
        ("RunReason", "x" * 257, "257 characters where the API expects 1 to 256"),
        ("InputDataUri", "s3://bucket/a(1)/", "CustomerMetadataProperties.InputDataUri of step RegisterModel"),
        ("InputDataUri", f"s3://bucket/{'x' * 250}/", "263 characters where the API expects 1 to 256"),
        ("InputDataUri", "data/", "ProcessingInputs[1].S3Input.S3Uri of step ValidateData"),
        ("TrainingInstanceType", "ml.m5.larg", "ResourceConfig.InstanceType of step Train"),
        ("ProcessingInstanceCount", "0", "0 where the API expects 1 to 100"),
        ("MaxDepth", "deep", "MaxDepth takes a value of type Integer"),
        ("RunReason", "a, b", "the API does not allow ',' in it"),
        ("TrainingInstanceType", "ml.g5.xlarge", "SageMaker accepts no key for them"),
        ("ProcessingInstanceType", "ml.g4dn.xlarge", "Set the type in the configuration instead"),
    ],
)
def test_a_value_that_a_call_would_refuse_cannot_be_used(good: Content, name: str, value: str, said: str) -> None:
    with pytest.raises(MlopsError) as caught:
        require_usable(Definition(good), {name: value})
    assert caught.value.exit_code == 2
    assert f"Parameter {name} " in caught.value.message
    assert said in str(caught.value)


@pytest.mark.parametrize("said", [get("Parameters.RunReason"), get("Execution.PipelineExecutionId")])
def test_a_value_inside_a_joined_text_is_looked_at(good: Content, said: dict[str, str]) -> None:
    content = copy.deepcopy(good)
    joined = {"Std:Join": {"On": " ", "Values": ["because", get("Parameters.RunReason"), said]}}
    set_at(arguments(content, "RegisterModel"), "CustomerMetadataProperties", "RunReason", joined)
    require_usable(Definition(content), {"RunReason": "of drift"})
    with pytest.raises(MlopsError, match="Parameter RunReason cannot be 'because of; drift"):
        require_usable(Definition(content), {"RunReason": "of; drift"})


def test_what_only_a_run_can_compute_is_left_to_it(good: Content) -> None:
    content = copy.deepcopy(good)
    document = {"Std:JsonGet": {"S3Uri": get("Parameters.InputDataUri"), "Path": "a"}}
    set_at(arguments(content, "RegisterModel"), "CustomerMetadataProperties", "InputDataUri", document)
    joined = {"Std:Join": {"On": ";", "Values": [get("Parameters.RunReason"), output_uri("Evaluate", "evaluation")]}}
    set_at(arguments(content, "RegisterModel"), "CustomerMetadataProperties", "RunReason", joined)
    require_usable(Definition(content), {"InputDataUri": "s3://b/a/", "RunReason": "a"})


def test_a_lambda_step_is_taken_with_the_outputs_it_declares(good: Content) -> None:
    content = copy.deepcopy(good)
    function = "arn:aws:lambda:eu-west-1:000000000000:function:notify"
    outputs = [{"OutputName": "ticket", "OutputType": "String"}]
    notify = {"Name": "Notify", "Type": "Lambda", "FunctionArn": function, "Arguments": {}, "OutputParameters": outputs}
    content["Steps"].insert(0, notify)
    reason = {"Get": "Steps.Notify.OutputParameters['ticket']"}
    set_at(arguments(content, "RegisterModel"), "CustomerMetadataProperties", "Ticket", reason)
    assert problems(content) == []
    reason["Get"] = "Steps.Notify.OutputParameters['tickets']"
    assert [problem.message for problem in problems(content)] == ["step Notify declares no output of this name"]


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        (r"([\p{L}\p{Z}\p{N}_.:\/=+\-@]*)${1,256}", "Größe 1 s3://b/k", "a;b"),
        (r"[\p{L}\p{M}\p{Z}\p{S}\p{N}\p{P}]*", "Who sees a doctor? €5 😀", "line\nbreak"),
        (r"[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\t]*", "tab\t😀", "\x00"),
        (r"arn:[\p{Alnum}\-]+:lambda", "arn:aws-cn:lambda", "arn:aws_cn:lambda"),
    ],
)
def test_patterns_of_the_service_model_are_read_as_the_service_reads_them(
    pattern: str, matching: str, other: str
) -> None:
    assert translated(pattern).fullmatch(matching)
    assert not translated(pattern).fullmatch(other)
