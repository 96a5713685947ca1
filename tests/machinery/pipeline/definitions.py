"""Small pipeline definitions for tests: steps that run a few lines of Python."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlops.pipeline.definition import Definition
from mlops.registry.local import LocalRegistry
from mlops.run.cache import StepCache
from mlops.run.runner import LocalRun
from mlops.run.state import EXECUTING, RunFolder, RunState, StepState, new_run_id, now
from mlops.store.local import LocalStore
from tests.places import ROLE
from tests.projects import SOURCES

OUTPUT = "/opt/ml/processing/output"
INPUT = "/opt/ml/processing/input"
JOINED = "import sys; exec(''.join(sys.argv[1:]))"
"""Runs the arguments of a job as one program."""

LONGEST_ARGUMENT = 256
"""https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_AppSpecification.html."""


def get(target: str) -> dict[str, str]:
    return {"Get": target}


def output_of(step: str, name: str = "out") -> dict[str, str]:
    return get(f"Steps.{step}.ProcessingOutputConfig.Outputs['{name}'].S3Output.S3Uri")


def processing(name: str, code: str, *, inputs: Mapping[str, Any] | None = None, **step: Any) -> dict[str, Any]:
    """A processing step that runs `code`; `out` is the folder of its output, `inputs[name]` that of an input."""
    prelude = f"from pathlib import Path; import json, os, sys; out = Path('{OUTPUT}'); inputs = Path('{INPUT}')\n"
    uri = {"Std:Join": {"On": "/", "Values": ["s3://bucket/runs", get("Execution.PipelineExecutionId"), name]}}
    return {
        "Name": name,
        "Type": "Processing",
        "Arguments": {
            "ProcessingResources": {
                "ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
            },
            "AppSpecification": {
                "ImageUri": "image",
                "ContainerEntrypoint": ["python3", "-c", JOINED],
                "ContainerArguments": pieces(prelude + code),
            },
            "ProcessingInputs": [
                {
                    "InputName": key,
                    "S3Input": {"S3Uri": value, "LocalPath": f"{INPUT}/{key}", "S3DataType": "S3Prefix"},
                }
                for key, value in (inputs or {}).items()
            ],
            "ProcessingOutputConfig": {
                "Outputs": [
                    {
                        "OutputName": "out",
                        "S3Output": {"S3Uri": uri, "LocalPath": OUTPUT, "S3UploadMode": "EndOfJob"},
                    }
                ]
            },
            "RoleArn": ROLE,
        },
        **step,
    }


def pieces(code: str) -> list[str]:
    """Code as arguments of a job, each of whole lines and of 256 characters at most."""
    pieces = [""]
    for line in code.splitlines(keepends=True):
        if len(pieces[-1] + line) > LONGEST_ARGUMENT:
            pieces.append("")
        pieces[-1] += line
    return pieces


def condition(
    name: str, conditions: Sequence[Any], if_steps: Sequence[Any] = (), else_steps: Sequence[Any] = ()
) -> dict[str, Any]:
    arguments = {"Conditions": list(conditions), "IfSteps": list(if_steps), "ElseSteps": list(else_steps)}
    return {"Name": name, "Type": "Condition", "Arguments": arguments}


def compare(left: Any, operator: str, right: Any) -> dict[str, Any]:
    return {"Type": operator, "LeftValue": left, "RightValue": right}


def definition(*steps: dict[str, Any], parameters: Sequence[dict[str, Any]] = ()) -> Definition:
    return Definition.from_text(
        json.dumps({"Version": "2020-12-01", "Parameters": list(parameters), "Steps": list(steps)})
    )


def local_run(folder: Path, pipeline: Definition, **overrides: Any) -> LocalRun:
    """A new run of a definition in a folder, told to nobody."""
    store = LocalStore(folder / "s3")
    run_folder = RunFolder(folder / "runs" / new_run_id())
    state = RunState(
        id=run_folder.path.name,
        pipeline="pipeline",
        environment="local",
        definition_sha256="0" * 64,
        status=EXECUTING,
        started=now(),
        ended="",
        parameters=pipeline.values(overrides.pop("parameters", {})),
        steps={name: StepState() for name in pipeline.steps},
    )
    settings: dict[str, Any] = {
        "definition": pipeline,
        "folder": run_folder,
        "state": state,
        "root": SOURCES,
        "store": store,
        "registry": lambda group: LocalRegistry(folder / "registry" / group, store),
        "cache": StepCache(folder / "cache", store),
        "python": Path(sys.executable),
        "region": "eu-west-1",
        "account": "000000000000",
        "functions": {},
        "use_cache": True,
        "listener": lambda state, name: None,
    }
    return LocalRun(**{**settings, **overrides})
