"""Whether the actions of a CodePipeline exist, are configured with keys they know, and use what came before.

Sources: the action structure reference of the CodePipeline user guide, November 2026.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import yaml

from standin.finding import Finding
from standin.template import Place, Template

LONGEST_VALUE = 1000
LONGEST_BUILD = 480
"""Minutes that CodePipeline waits for a build, as its page of quotas said up to 2025; it no longer names a figure.

https://docs.aws.amazon.com/codepipeline/latest/userguide/limits.html
"""
V2_ONLY = {"Variables", "Triggers"}


@dataclass(frozen=True)
class Action:
    """What an action takes and gives.

    Attributes:
        required: Configuration keys that it needs.
        optional: Those that it also knows.
        inputs: The fewest and most input artifacts.
        outputs: The fewest and most output artifacts.
        variables: What it exports; None: what its build or its function exports.
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

_VARIABLE = re.compile(r"#\{([\w@-]+)\.([\w@-]+)\}")
"""A namespace and what it holds."""


def findings(resolved: Template, buildspecs: Mapping[str, str] | None = None) -> list[Finding]:
    """What CodePipeline would refuse, or never resolve, in the pipelines of a resolved template.

    Args:
        resolved: The template.
        buildspecs: The texts of the buildspecs that its projects name, by path. What they export is not looked at when
            there are none.
    """
    exported = _exported(resolved, buildspecs or {})
    of_pipelines = [
        resolved.finding(what, name, "Properties", *place)
        for name, properties in resolved.properties("AWS::CodePipeline::Pipeline")
        for place, what in _pipeline_faults(properties, exported)
    ]
    too_long = [
        resolved.finding(f"CodePipeline waits for {LONGEST_BUILD} minutes", name, "Properties", "TimeoutInMinutes")
        for name, properties in resolved.properties("AWS::CodeBuild::Project")
        if properties["Source"]["Type"] == "CODEPIPELINE" and properties.get("TimeoutInMinutes", 60) > LONGEST_BUILD
    ]
    return of_pipelines + too_long


def filled(text: str, values: Mapping[str, str]) -> str:
    """A value of an action's configuration as its execution gets it.

    Args:
        text: As it is declared.
        values: Of variables, by namespace and name: `source.CommitId`.

    Raises:
        KeyError: A variable has no value.
    """
    return _VARIABLE.sub(lambda found: values[f"{found[1]}.{found[2]}"], text)


def _exported(resolved: Template, buildspecs: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """What the builds of a template's own projects export, by the reference to the project."""
    written = {
        f"{{{{{name}}}}}": properties["Source"].get("BuildSpec", "")
        for name, properties in resolved.properties("AWS::CodeBuild::Project")
    }
    texts = {project: text if "\n" in text else buildspecs.get(text) for project, text in written.items()}
    return {
        project: frozenset(yaml.safe_load(text).get("env", {}).get("exported-variables", []))
        for project, text in texts.items()
        if text is not None
    }


def _pipeline_faults(pipeline: dict[str, Any], exported: Mapping[str, frozenset[str]]) -> Iterator[tuple[Place, str]]:
    if pipeline.get("PipelineType") != "V2":
        newer = [key for key in V2_ONLY if key in pipeline]
        if newer or pipeline.get("ExecutionMode", "SUPERSEDED") != "SUPERSEDED":
            yield ("PipelineType",), f"{', '.join(newer) or pipeline['ExecutionMode']} needs a pipeline of type V2"
    known: dict[str, frozenset[str] | None] = {
        "codepipeline": _keys("PipelineExecutionId"),
        "variables": frozenset(variable["Name"] for variable in pipeline.get("Variables", [])),
    }
    for stage_index, stage in enumerate(pipeline["Stages"]):
        actions = sorted(enumerate(stage["Actions"]), key=_run_order)
        for _, together in groupby(actions, key=_run_order):
            shown: dict[str, frozenset[str] | None] = {}
            for index, declared in together:
                for inner, what in _action_faults(declared, known):
                    yield ("Stages", stage_index, "Actions", index, *inner), what
                if "Namespace" in declared:
                    shown[declared["Namespace"]] = _variables(declared, exported)
            known |= shown


def _run_order(action: tuple[int, dict[str, Any]]) -> int:
    """When an action runs in its stage; those of the same number run at the same time."""
    return int(action[1].get("RunOrder", 1))


def _kind(declared: dict[str, Any]) -> Action | None:
    kind = declared["ActionTypeId"]
    of_aws = kind["Owner"] == "AWS" and kind["Version"] == "1"
    return ACTIONS.get((kind["Category"], kind["Provider"])) if of_aws else None


def _variables(declared: dict[str, Any], exported: Mapping[str, frozenset[str]]) -> frozenset[str] | None:
    """What an action shows to those after it; None if that is not known here."""
    action = _kind(declared)
    if action is _CODEBUILD:
        return exported.get(declared["Configuration"].get("ProjectName", ""))
    return action.variables if action else None


def _action_faults(declared: dict[str, Any], known: Mapping[str, frozenset[str] | None]) -> Iterator[tuple[Place, str]]:
    action = _kind(declared)
    if action is None:
        yield ("ActionTypeId",), f"there is no action {'/'.join(map(str, declared['ActionTypeId'].values()))}"
    else:
        yield from _configuration_faults(declared, action)
        yield from _variable_faults(declared, known)


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
        for namespace, name in _VARIABLE.findall(str(value)):
            if namespace not in known:
                yield ("Configuration", key), f"no action before it has the namespace {namespace}"
            elif (names := known[namespace]) is not None and name not in names:
                yield ("Configuration", key), f"{namespace} holds no {name}"
