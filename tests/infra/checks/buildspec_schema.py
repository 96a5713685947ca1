"""Whether a buildspec is one that CodeBuild reads, and whether a project builds with an image and place that exist.

Sources: the build specification and build environment references of the CodeBuild user guide, November 2026.
"""

from collections.abc import Iterator
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from standin.finding import Finding
from standin.template import Template

IMAGES = {
    "aws/codebuild/amazonlinux-aarch64-standard:3.0": "ARM_CONTAINER",
    "aws/codebuild/amazonlinux-x86_64-standard:5.0": "LINUX_CONTAINER",
    "aws/codebuild/standard:7.0": "LINUX_CONTAINER",
}
"""The images of CodeBuild that are supported, and the environment type of each."""


def _object(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT, "minItems": 1}
_VALUES = {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}}
_TEXT_VALUES = {"type": "object", "additionalProperties": _TEXT}
_SWITCH = {"enum": ["yes", "no", True, False]}
_PHASE = _object(
    {
        "commands": _TEXTS,
        "finally": _TEXTS,
        "on-failure": {"type": "string", "pattern": "^(ABORT|CONTINUE|RETRY(-[0-9]+)?)$"},
        "run-as": _TEXT,
        "runtime-versions": _VALUES,
    }
)
_ARTIFACT = {
    "files": _TEXTS,
    "base-directory": _TEXT,
    "discard-paths": _SWITCH,
    "enable-symlinks": _SWITCH,
    "exclude-paths": _TEXT,
    "name": _TEXT,
}
_REPORTS = _object(
    {
        "files": _TEXTS,
        "base-directory": _TEXT,
        "discard-paths": _SWITCH,
        "file-format": {
            "enum": [
                "CUCUMBERJSON", "JUNITXML", "NUNITXML", "NUNIT3XML", "TESTNGXML", "VISUALSTUDIOTRX",
                "CLOVERXML", "COBERTURAXML", "JACOCOXML", "SIMPLECOV",
            ]
        },
    },
    "files",
)  # fmt: skip
SCHEMA = _object(
    {
        "version": {"enum": [0.2, "0.2"]},
        "run-as": _TEXT,
        "env": _object(
            {
                "shell": {"enum": ["bash", "/bin/sh"]},
                "variables": _VALUES,
                "parameter-store": _TEXT_VALUES,
                "secrets-manager": _TEXT_VALUES,
                "exported-variables": _TEXTS,
                "git-credential-helper": _SWITCH,
            }
        ),
        "phases": {
            **_object(dict.fromkeys(("install", "pre_build", "build", "post_build"), _PHASE)),
            "minProperties": 1,
        },
        "reports": {"type": "object", "additionalProperties": _REPORTS},
        "artifacts": _object(
            {
                **_ARTIFACT,
                "s3-prefix": _TEXT,
                "secondary-artifacts": {"type": "object", "additionalProperties": _object(_ARTIFACT, "files")},
            },
            "files",
        ),
        "cache": _object({"key": _TEXT, "fallback-keys": _TEXTS, "action": _TEXT, "paths": _TEXTS}, "paths"),
    },
    "version",
    "phases",
)


def faults(text: str) -> Iterator[str]:
    """What is wrong with the text of a buildspec."""
    try:
        buildspec = yaml.safe_load(text)
    except yaml.YAMLError as error:
        yield f"it is not YAML: {error}"
        return
    for fault in Draft202012Validator(SCHEMA).iter_errors(buildspec):
        yield f"{'.'.join(map(str, fault.absolute_path)) or 'the buildspec'}: {fault.message}"
    if not isinstance(buildspec, dict):
        return
    for phase, content in (buildspec.get("phases") or {}).items():
        if isinstance(content, dict) and "runtime-versions" in content and phase != "install":
            yield f"phases.{phase}: runtime-versions stand in the install phase"


def findings(resolved: Template) -> list[Finding]:
    """Faults of the CodeBuild projects of a resolved template: their images and the buildspecs written in them."""
    found = []
    for name, properties in resolved.properties("AWS::CodeBuild::Project"):
        environment, source = properties["Environment"], properties["Source"]
        image: str = environment["Image"]
        if image.startswith("aws/codebuild/") and IMAGES.get(image) != environment["Type"]:
            what = f"{image} is no supported image of {environment['Type']}: {', '.join(IMAGES)}"
            found.append(resolved.finding(what, name, "Properties", "Environment", "Image"))
        if "\n" in (text := source.get("BuildSpec", "")):
            found += [resolved.finding(what, name, "Properties", "Source", "BuildSpec") for what in faults(text)]
    return found
