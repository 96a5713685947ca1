"""Batch transform and Lambda steps on this machine."""

import io
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

from mlops.base.errors import MlopsError
from mlops.run.runner import check_runnable
from mlops.run.transform import requests
from tests.machinery.pipeline.definitions import compare, condition, definition, get, local_run, processing
from tests.places import ROLE
from tests.projects import SOURCES

HANDLERS = """
def model_fn(folder): return 10
def input_fn(body, content_type): return [float(line) for line in body.split()]
def predict_fn(data, model): return [model * value for value in data]
def output_fn(prediction, accept): return "".join(f"{value:g} of {len(prediction)}\\n" for value in prediction)
"""
MODEL = {
    "Name": "CreateModel",
    "Type": "Model",
    "Arguments": {
        "ExecutionRoleArn": ROLE,
        "PrimaryContainer": {
            "Image": "image",
            "ModelDataUrl": "s3://bucket/model.tar.gz",
            # A job's environment is its own, and this one imports the machinery from among the template's sources.
            "Environment": {"PYTHONDONTWRITEBYTECODE": "1"},
        },
    },
}


def transform(**changes: Any) -> dict[str, Any]:
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/in/"}}
    return {
        "Name": "Score",
        "Type": "Transform",
        "Arguments": {
            "ModelName": get("Steps.CreateModel.ModelName"),
            "TransformInput": {"DataSource": source, "ContentType": "text/csv", "SplitType": "Line"},
            "TransformOutput": {"S3OutputPath": "s3://bucket/out", "Accept": "text/csv"},
            "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
            **changes,
        },
    }


def write_inputs(folder: Path, rows: str) -> None:
    bucket = folder / "s3/bucket"
    (bucket / "in").mkdir(parents=True)
    (bucket / "in/rows.csv").write_text(rows)
    with tarfile.open(bucket / "model.tar.gz", "w:gz") as tar:
        member = tarfile.TarInfo("code/inference.py")
        member.size = len(HANDLERS.encode())
        tar.addfile(member, io.BytesIO(HANDLERS.encode()))


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [("MultiRecord", "10 of 3\n20 of 3\n30 of 3\n"), ("SingleRecord", "10 of 1\n20 of 1\n30 of 1\n")],
)
def test_a_transform_sends_records_to_the_handlers_of_the_model(tmp_path: Path, strategy: str, expected: str) -> None:
    write_inputs(tmp_path, "1\n2\n3\n")
    run = local_run(tmp_path, definition(MODEL, transform(BatchStrategy=strategy)))
    assert run.execute().failure == ""
    assert (tmp_path / "s3/bucket/out/rows.csv.out").read_text() == expected


@pytest.mark.parametrize(("megabytes", "concurrent"), [(101, 1), (101, 0), (21, 5), (100, 2)])
def test_a_transform_that_sagemaker_refuses_for_its_payload_fails_here_too(
    tmp_path: Path, megabytes: int, concurrent: int
) -> None:
    write_inputs(tmp_path, "1\n")
    asked = transform(MaxPayloadInMB=megabytes, MaxConcurrentTransforms=concurrent)
    step = local_run(tmp_path, definition(MODEL, asked)).execute().steps["Score"]
    assert step.status == "Failed"
    assert "their product may be at most 100" in step.failure


def test_a_record_that_the_model_refuses_fails_the_transform_and_names_the_file(tmp_path: Path) -> None:
    write_inputs(tmp_path, "1\nmany\n")
    run = local_run(tmp_path, definition(MODEL, transform()))
    assert run.execute().steps["Score"].status == "Failed"
    log = (run.folder.path / "Score-1/job.log").read_text()
    assert log.startswith("rows.csv: Invalid request")
    assert not (tmp_path / "s3/bucket/out").exists()


@pytest.mark.parametrize(
    ("by_line", "single", "limit", "expected"),
    [
        (False, False, 100, [b"a\nbb\n\nccc"]),
        (True, False, 100, [b"a\nbb\nccc\n"]),
        (True, False, 5, [b"a\nbb\n", b"ccc\n"]),
        (True, True, 100, [b"a\n", b"bb\n", b"ccc\n"]),
        (True, False, 0, [b"a\nbb\nccc\n"]),
    ],
)
def test_an_object_is_split_into_requests(by_line: bool, single: bool, limit: int, expected: list[bytes]) -> None:
    assert list(requests(b"a\nbb\n\nccc", by_line=by_line, single=single, limit=limit)) == expected


def test_a_record_larger_than_a_request_may_be_is_refused() -> None:
    with pytest.raises(MlopsError, match="MaxPayloadInMB"):
        list(requests(b"aaaa\n", by_line=True, single=False, limit=3))


def test_filters_of_a_transform_are_refused_by_name() -> None:
    with pytest.raises(MlopsError, match="Score uses DataProcessing"):
        check_runnable(definition(MODEL, transform(DataProcessing={"JoinSource": "Input"})), {})


NOTIFY = {
    "Name": "Notify",
    "Type": "Lambda",
    "FunctionArn": "arn:aws:lambda:eu-west-1:000000000000:function:notify",
    "Arguments": {"auc": get("Parameters.Auc"), "run": get("Execution.PipelineExecutionId")},
    "OutputParameters": [{"OutputName": "verdict", "OutputType": "String"}],
}
PARAMETERS = [{"Name": "Auc", "Type": "Float", "DefaultValue": 0.8}]


def with_function(folder: Path, code: str) -> dict[str, Any]:
    (folder / "project").mkdir()
    (folder / "project/functions.py").write_text(code)
    # The function's own folder stands for the project; the machinery is found beside it.
    shutil.copytree(SOURCES / "mlops", folder / "project/mlops")
    return {"root": folder / "project", "functions": {"notify": "functions:notify"}}


def test_a_lambda_step_calls_the_local_function_and_others_use_its_answer(tmp_path: Path) -> None:
    settings = with_function(
        tmp_path, "def notify(event, context): return {'verdict': 'good' if event['auc'] > 0.5 else 'bad'}"
    )
    verdict = get("Steps.Notify.OutputParameters['verdict']")
    gate = condition("Gate", [compare(verdict, "Equals", "good")], [processing("After", "")])
    state = local_run(tmp_path, definition(NOTIFY, gate, parameters=PARAMETERS), **settings).execute()
    assert (state.failure, state.steps["After"].status) == ("", "Succeeded")


@pytest.mark.parametrize(
    "code", ["def notify(event, context): return 7", "def notify(event, context): raise OSError('x')"]
)
def test_a_function_that_fails_or_answers_otherwise_fails_its_step(tmp_path: Path, code: str) -> None:
    settings = with_function(tmp_path, code)
    state = local_run(tmp_path, definition(NOTIFY, parameters=PARAMETERS), **settings).execute()
    assert state.steps["Notify"].status == "Failed"


def test_a_function_without_a_local_callable_is_refused_by_name() -> None:
    with pytest.raises(MlopsError, match="calls the Lambda function notify") as refusal:
        check_runnable(definition(NOTIFY, parameters=PARAMETERS), {})
    assert "config/local.yaml" in refusal.value.remedy
