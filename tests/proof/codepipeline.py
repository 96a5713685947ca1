"""Whether the actions of a CodePipeline exist, are configured with keys they know, and use what came before.

Sources: the action structure reference of the CodePipeline user guide, November 2026.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from finding import Finding
from template import Place, Template

LONGEST_VALUE = 1000
V2_ONLY = {"Variables", "Triggers"}


@dataclass(frozen=True)
class Action:
    """What an action takes and gives.

    Attributes:
        required: Configuration keys that it needs.
        optional: Those that it also knows.
        inputs: The fewest and most input artifacts.
        outputs: The fewest and most output artifacts.
        variables: What it exports; None: what its build exports.
    """

    required: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    inputs: tuple[int, int] = (0, 0)
    outputs: tuple[int, int] = (0, 0)
    variables: frozenset[str] | None = frozenset()


def _keys(text: str) -> frozenset[str]:
    return frozenset(text.split())


_CODEBUILD = Action(
    _keys("ProjectName"),
    _keys("PrimarySource BatchEnabled BuildspecOverride CombineArtifacts EnvironmentVariables"),
    (1, 5),
    (0, 5),
    None,
)
ACTIONS: Mapping[tuple[str, str], Action] = {
    ("Approval", "Manual"): Action(optional=_keys("NotificationArn CustomData ExternalEntityLink")),
    ("Build", "CodeBuild"): _CODEBUILD,
    ("Test", "CodeBuild"): _CODEBUILD,
    ("Deploy", "CloudFormation"): Action(
        _keys("ActionMode StackName"),
        _keys(
            "Capabilities ChangeSetName OutputFileName ParameterOverrides RoleArn TemplateConfiguration TemplatePath"
        ),
        (0, 10),
        (0, 1),
        None,
    ),
    ("Invoke", "CodePipeline"): Action(_keys("PipelineName"), _keys("SourceRevisions Variables")),
    ("Invoke", "Lambda"): Action(_keys("FunctionName"), _keys("UserParameters"), (0, 5), (0, 5), None),
    ("Source", "CodeCommit"): Action(
        _keys("RepositoryName BranchName"),
        _keys("PollForSourceChanges OutputArtifactFormat"),
        outputs=(1, 1),
        variables=_keys("AuthorDate BranchName CommitId CommitMessage CommitterDate RepositoryName"),
    ),
    ("Source", "CodeStarSourceConnection"): Action(
        _keys("ConnectionArn FullRepositoryId BranchName"),
        _keys("OutputArtifactFormat DetectChanges"),
        outputs=(1, 1),
        variables=_keys(
            "AuthorDate AuthorDisplayName AuthorEmail AuthorId BranchName CommitId CommitMessage ConnectionArn"
            " FullRepositoryName ProviderType"
        ),
    ),
    ("Source", "ECR"): Action(
        _keys("RepositoryName"),
        _keys("ImageTag"),
        outputs=(1, 1),
        variables=_keys("RegistryId RepositoryName ImageTag ImageDigest ImageURI"),
    ),
    ("Source", "S3"): Action(
        _keys("S3Bucket S3ObjectKey"),
        _keys("PollForSourceChanges AllowOverrideForS3ObjectKey"),
        outputs=(1, 1),
        variables=_keys("BucketName ETag ObjectKey VersionId"),
    ),
}
"""By category and provider; all are owned by AWS and have version 1."""

VALUES: Mapping[str, frozenset[str]] = {
    "ActionMode": _keys("CHANGE_SET_EXECUTE CHANGE_SET_REPLACE CREATE_UPDATE DELETE_ONLY REPLACE_ON_FAILURE"),
    "BatchEnabled": _keys("true false"),
    "CombineArtifacts": _keys("true false"),
    "DetectChanges": _keys("true false"),
    "OutputArtifactFormat": _keys("CODE_ZIP CODEBUILD_CLONE_REF"),
    "PollForSourceChanges": _keys("true false"),
}


def findings(resolved: Template) -> list[Finding]:
    """What CodePipeline would refuse, or never resolve, in the pipelines of a resolved template."""
    return [
        resolved.finding(what, name, "Properties", *place)
        for name, properties in resolved.properties("AWS::CodePipeline::Pipeline")
        for place, what in _pipeline_faults(properties)
    ]


def _pipeline_faults(pipeline: dict[str, Any]) -> Iterator[tuple[Place, str]]:
    if pipeline.get("PipelineType") != "V2":
        newer = [key for key in V2_ONLY if key in pipeline]
        if newer or pipeline.get("ExecutionMode", "SUPERSEDED") != "SUPERSEDED":
            yield ("PipelineType",), f"{', '.join(newer) or pipeline['ExecutionMode']} needs a pipeline of type V2"
    known: dict[str, frozenset[str] | None] = {
        "codepipeline": _keys("PipelineExecutionId"),
        "variables": frozenset(variable["Name"] for variable in pipeline.get("Variables", [])),
    }
    for stage_index, stage in enumerate(pipeline["Stages"]):
        actions = sorted(enumerate(stage["Actions"]), key=lambda item: int(item[1].get("RunOrder", 1)))
        for index, declared in actions:
            place = ("Stages", stage_index, "Actions", index)
            kind = declared["ActionTypeId"]
            action = ACTIONS.get((kind["Category"], kind["Provider"]))
            if action is None or kind["Owner"] != "AWS" or kind["Version"] != "1":
                yield (*place, "ActionTypeId"), f"there is no action {'/'.join(map(str, kind.values()))}"
                continue
            for inner, what in (*_configuration_faults(declared, action), *_variable_faults(declared, known)):
                yield (*place, *inner), what
            if "Namespace" in declared:
                known[declared["Namespace"]] = action.variables


def _configuration_faults(declared: dict[str, Any], action: Action) -> Iterator[tuple[Place, str]]:
    configuration = declared.get("Configuration", {})
    if missing := action.required - configuration.keys():
        yield ("Configuration",), f"it lacks {', '.join(sorted(missing))}"
    for key, value in configuration.items():
        if key not in action.required | action.optional:
            yield ("Configuration", key), f"the action knows no {key}"
        if key in VALUES and str(value).lower() not in VALUES[key] and value not in VALUES[key]:
            yield ("Configuration", key), f"{value} is none of {', '.join(sorted(VALUES[key]))}"
        if len(str(value)) > LONGEST_VALUE:
            yield ("Configuration", key), f"it is longer than {LONGEST_VALUE} characters"
    if "EnvironmentVariables" in configuration and not _are_variables(configuration["EnvironmentVariables"]):
        yield ("Configuration", "EnvironmentVariables"), "it is not a JSON list of {name, value, type}"
    artifacts = {"InputArtifacts": action.inputs, "OutputArtifacts": action.outputs}
    for key, (fewest, most) in artifacts.items():
        if not fewest <= len(declared.get(key, [])) <= most:
            yield (key,), f"it takes {fewest} to {most}"
    sources = [artifact["Name"] for artifact in declared.get("InputArtifacts", [])]
    if action is _CODEBUILD and len(sources) > 1 and configuration.get("PrimarySource") not in sources:
        yield ("Configuration", "PrimarySource"), f"it is none of {', '.join(sources)}"


def _are_variables(text: str) -> bool:
    try:
        variables = json.loads(text)
    except ValueError:
        return False
    return isinstance(variables, list) and all(
        isinstance(variable, dict) and {"name", "value"} <= variable.keys() <= {"name", "value", "type"}
        and variable.get("type", "PLAINTEXT") in ("PLAINTEXT", "PARAMETER_STORE", "SECRETS_MANAGER")
        for variable in variables
    )  # fmt: skip


def _variable_faults(
    declared: dict[str, Any], known: Mapping[str, frozenset[str] | None]
) -> Iterator[tuple[Place, str]]:
    for key, value in declared.get("Configuration", {}).items():
        for namespace, name in re.findall(r"#\{([\w@-]+)\.([\w@-]+)\}", str(value)):
            if namespace not in known:
                yield ("Configuration", key), f"no action before it has the namespace {namespace}"
            elif (names := known[namespace]) is not None and name not in names:
                yield ("Configuration", key), f"{namespace} holds no {name}"
