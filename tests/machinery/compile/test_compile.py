import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import boto3
import pytest

from mlops.base.errors import MlopsError
from mlops.compile.compiler import image_uri
from mlops.compile.content import ContentStore, settle
from mlops.compile.mistakes import explain
from mlops.compile.offline import OfflineAws
from mlops.pipeline.bundle import Bundle, current
from mlops.pipeline.definition import Definition
from mlops.project import pipelines
from mlops.project.project import Project
from mlops.project.target import Target
from model.hyperparameters import HYPERPARAMETERS
from standin.shapes import definition_faults
from tests.environments import give
from tests.projects import SOURCES, Bake, mlops

GOLDEN = Path(__file__).parent / "golden"
REFRESH = "REFRESH_GOLDEN"
LINEAGE = ("CodeDigest", "DefinitionInputs", "PackagesLock")


@pytest.fixture(scope="module")
def bundle(compiled_project: Path) -> Bundle:
    return current(Target(Project(compiled_project), "local"))


def masked(bundle: Bundle) -> str:
    """The text of a definition without what changes with every line of our own sources."""
    text = bundle.definition_text
    packages: dict[str, set[str]] = {}
    for entry in bundle.manifest["objects"]:
        _, _, below, digest, package = [*entry["path"].split("/"), "", ""][:5]
        if below == "code":
            packages.setdefault(digest, set()).add(package)
    for digest, names in packages.items():
        text = text.replace(digest, f"{'+'.join(sorted(names)):-^16}")
    return re.sub(rf'"({"|".join(LINEAGE)})": "\w+"', r'"\1": "-"', text)


@pytest.mark.parametrize("pipeline", pipelines.TABLE)
def test_the_definition_is_the_one_that_was_reviewed(compiled_project: Path, pipeline: str) -> None:
    text, golden = (
        masked(current(Target(Project(compiled_project), "local"), pipeline)),
        GOLDEN / f"{pipeline}-local.json",
    )
    if os.environ.get(REFRESH):
        golden.write_text(text, encoding="utf-8")
    expected = golden.read_text(encoding="utf-8")
    how = f"If the change is meant, run `{REFRESH}=1 pytest {Path(__file__).name}` and review the difference."
    assert json.loads(text) == json.loads(expected), how
    if sys.version_info[:2] == (3, 11):
        assert text == expected, how


@pytest.mark.parametrize("pipeline", pipelines.TABLE)
def test_the_service_takes_the_definition(compiled_project: Path, pipeline: str) -> None:
    compiled = current(Target(Project(compiled_project), "local"), pipeline)
    assert list(definition_faults(compiled.definition)) == []


def compile_into(project: Path, output: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Compile in a process that starts anew, as a user's does; `python` would start warm (see `environments`)."""
    return subprocess.run(
        [str(project / ".venv-dev/bin/python3"), "-m", "mlops.compile", "--output", str(output)],
        cwd=project, env={**os.environ, **variables}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_bundle_is_the_same_to_the_byte_in_another_folder_shell_and_hour(
    bundle: Bundle, project: Path, tmp_path: Path
) -> None:
    elsewhere = shutil.copytree(project, tmp_path / "a folder" / "with spaces", symlinks=True)
    for path in elsewhere.rglob("*.py"):
        os.utime(path, (0, 0))
    (elsewhere / "src/model/.DS_Store").write_bytes(b"Finder was here")
    (elsewhere / "src/model/__pycache__").mkdir(exist_ok=True)
    (elsewhere / "src/model/__pycache__/left.pyc").write_bytes(b"cache")
    result = compile_into(
        elsewhere, tmp_path / "out", PYTHONHASHSEED="7", TZ="Asia/Tokyo", AWS_PROFILE="nobody", AWS_REGION="us-east-1"
    )
    assert result.returncode == 0, result.stderr
    assert contents(tmp_path / "out") == contents(bundle.path)


def test_only_what_a_job_imports_goes_along(bundle: Bundle) -> None:
    sent = {entry["path"] for entry in bundle.manifest["objects"]}
    assert any(path.endswith("/model/algorithm.py") for path in sent)
    assert any(path.endswith("/modelkit/jobs/train.py") for path in sent)
    assert not [path for path in sent if path.endswith((".pyc", ".yaml", ".csv", ".gz")) or "/mlops/" in path]


@pytest.mark.parametrize("name", ["ValidateData", "Preprocess", "Train", "Baseline", "Evaluate"])
def test_a_job_finds_all_that_it_imports(bundle: Bundle, tmp_path: Path, name: str) -> None:
    arguments = next(step for step in bundle.definition["Steps"] if step["Name"] == name)["Arguments"]
    if name == "Train":
        channels = {channel["ChannelName"]: channel for channel in arguments["InputDataConfig"]}
        code, module = channels["code"]["DataSource"]["S3DataSource"]["S3Uri"], "modelkit.jobs.train"
    else:
        code = arguments["ProcessingInputs"][0]["S3Input"]["S3Uri"]
        *_, module = arguments["AppSpecification"]["ContainerEntrypoint"]
    result = subprocess.run(
        [sys.executable, "-m", module, "--help"],
        cwd=tmp_path, env={"PYTHONPATH": str(bundle.objects / code.removeprefix("s3://")), "PATH": os.environ["PATH"]},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr


def test_every_object_the_definition_names_is_in_the_bundle(bundle: Bundle) -> None:
    sent = {entry["path"] for entry in bundle.manifest["objects"]}
    prefix = f"s3://{bundle.manifest['objects'][0]['path'].partition('/')[0]}/doctor-visits"
    named = {
        text for text in _texts(bundle.definition) if text.startswith((f"{prefix}/code/", f"{prefix}/no-champion/"))
    }
    assert len(named) == 4
    for uri in named:
        assert any(path.startswith(uri.removeprefix("s3://")) for path in sent), uri


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    nested = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for entry in nested for text in _texts(entry)]


@pytest.mark.slow
def test_a_wrong_argument_is_shown_with_file_and_line_and_without_a_traceback(project: Path) -> None:
    source = project / "pipelines/training.py"
    text = source.read_text(encoding="utf-8").replace("instance_type=parameters.processing_type", "instance_typ=1")
    source.write_text(text, encoding="utf-8")
    line = next(number for number, entry in enumerate(text.splitlines(), 1) if "return Processor(" in entry)
    result = mlops(project, "compile", check=False)
    assert result.returncode == 1
    assert f"pipelines/training.py, line {line}: TypeError" in result.stderr
    assert "instance_typ" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_a_definition_with_problems_is_not_written(project: Path) -> None:
    source = project / "pipelines/training.py"
    text = source.read_text(encoding="utf-8").replace("{name: value.to_string() for", "{name: value for")
    source.write_text(text, encoding="utf-8")
    before = contents(project / ".mlops/bundles/local/training")
    result = mlops(project, "compile", check=False)
    assert result.returncode == 1
    assert "step Train" in result.stderr
    assert "max_depth" in result.stderr
    assert contents(project / ".mlops/bundles/local/training") == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("subsample: 7", "Parameter Subsample cannot be 7.0.\n  Give a value of at least 0.001 and at most 1."),
        ("subsampel: 0.8", "config/base.yaml sets unknown hyperparameters: subsampel.\n  Did you mean `subsample`? "),
        ("# subsample: 0.8", "config/base.yaml has no value for `hyperparameters.subsample`."),
    ],
)
def test_a_hyperparameter_that_training_would_refuse_is_refused_when_compiling(
    project: Path, written: str, said: str
) -> None:
    path = project / "config/base.yaml"
    path.write_text(path.read_text().replace("subsample: 0.8", written))
    result = mlops(project, "compile", check=False)
    assert result.returncode == 2
    assert said in result.stderr


@pytest.mark.slow
def test_a_default_that_a_step_would_be_refused_for_is_refused_when_compiling(project: Path) -> None:
    source = project / "pipelines/training.py"
    source.write_text(source.read_text().replace('default_value="manual"', 'default_value="by hand; once"'))
    result = mlops(project, "compile", check=False)
    assert result.returncode == 2
    assert "Parameter RunReason cannot be 'by hand; once'." in result.stderr


def test_every_hyperparameter_is_a_parameter_and_is_kept_with_the_model(bundle: Bundle) -> None:
    (training,) = [step["Arguments"] for step in bundle.definition["Steps"] if step["Name"] == "Train"]
    known = {each.name: each.parameter for each in HYPERPARAMETERS}
    given = {name: value for name, value in training["HyperParameters"].items() if not name.startswith("sagemaker_")}
    assert {name: value["Std:Join"]["Values"][0]["Get"] for name, value in given.items()} == {
        name: f"Parameters.{parameter}" for name, parameter in known.items()
    }
    declared = {parameter["Name"]: parameter["Type"] for parameter in bundle.definition["Parameters"]}
    for each in HYPERPARAMETERS:
        assert declared[each.parameter] == ("Integer" if each.kind is int else "Float")
    registering = [step for step in Definition(bundle.definition).steps.values() if step.type == "RegisterModel"]
    for register in registering:
        assert set(known.values()) <= set(register.arguments["CustomerMetadataProperties"])


def test_a_version_that_was_not_compared_waits_for_approval_whatever_the_parameter_says(bundle: Bundle) -> None:
    steps = Definition(bundle.definition).steps
    approval = {name: steps[name].arguments["ModelApprovalStatus"] for name in ("RegisterModel", "RegisterForReview")}
    assert approval == {
        "RegisterModel": {"Get": "Parameters.ModelApprovalStatus"},
        "RegisterForReview": "PendingManualApproval",
    }
    assert "Note" not in steps["RegisterModel"].arguments["CustomerMetadataProperties"]
    note = steps["RegisterForReview"].arguments["CustomerMetadataProperties"]["Note"]
    assert note.startswith("not comparable with the champion")


@pytest.mark.parametrize("framework", ["xgboost", "sklearn", "pytorch"])
def test_each_framework_has_an_image_to_train_in_and_one_to_serve_in(framework: str) -> None:
    training, inference = (image_uri(Elsewhere(SOURCES), framework, scope) for scope in ("training", "inference"))
    assert "dkr.ecr.eu-west-1.amazonaws.com" in training
    assert "-gpu-" not in training + inference
    if framework == "pytorch":
        assert "/pytorch-training:" in training
        assert "/pytorch-inference:" in inference
    else:
        assert inference == training


@pytest.mark.slow
def test_a_model_is_trained_and_registered_with_the_images_of_its_framework(bake: Bake, tmp_path: Path) -> None:
    project = give(bake(framework="pytorch"))
    result = compile_into(project, tmp_path / "bundle")
    assert result.returncode == 0, result.stderr
    steps = Definition(Bundle(tmp_path / "bundle").definition).steps
    training = steps["Train"].arguments["AlgorithmSpecification"]
    assert "/pytorch-training:" in training["TrainingImage"]
    assert [metric["Name"] for metric in training["MetricDefinitions"]] == ["train:auc", "validation:auc"]
    for register in (steps["RegisterModel"], steps["RegisterForReview"]):
        (container,) = register.arguments["InferenceSpecification"]["Containers"]
        assert "/pytorch-inference:" in container["Image"]


class Elsewhere(Project):
    """The template's own files, whose project.yaml is not rendered."""

    @property
    def region(self) -> str:
        return "eu-west-1"


def test_an_image_named_by_its_digest_is_named_so(project: Path) -> None:
    path = project / "config/images/xgboost.yaml"
    path.write_text(path.read_text().replace("digest: null", f"digest: sha256:{'a' * 64}"))
    assert image_uri(Project(project), "xgboost", "inference").endswith(f"/sagemaker-xgboost@sha256:{'a' * 64}")


def raised_by(path: Path, text: str) -> Exception:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    try:
        exec(compile(text, str(path), "exec"))
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def test_a_syntax_error_is_placed(tmp_path: Path) -> None:
    message = explain(raised_by(tmp_path / "pipelines/training.py", "x = 1\ny = (\n"), tmp_path)
    assert "pipelines/training.py, line 2: SyntaxError" in str(message)


def test_a_mistake_is_placed_in_the_pipeline_and_shown(tmp_path: Path) -> None:
    message = explain(raised_by(tmp_path / "pipelines/training.py", "x = 1\ny = x.name\n"), tmp_path)
    assert "pipelines/training.py, line 2: AttributeError" in str(message)
    assert "\n    y = x.name" in str(message)


def test_a_fault_of_the_machinery_is_not_blamed_on_the_pipeline(tmp_path: Path) -> None:
    assert explain(raised_by(tmp_path / "mlops/compile/compiler.py", "x = 1\ny = x.name\n"), tmp_path) is None


@pytest.fixture
def offline() -> tuple[OfflineAws, boto3.Session]:
    aws, session = OfflineAws("000000000000"), boto3.Session("offline", "offline", region_name="eu-west-1")
    aws.answer_calls_of(session)
    return aws, session


def test_uploads_are_kept_in_memory(offline: tuple[OfflineAws, boto3.Session]) -> None:
    aws, session = offline
    session.client("s3").put_object(Bucket="bucket", Key="text", Body="text")
    session.client("s3").put_object(Bucket="bucket", Key="bytes", Body=io.BytesIO(b"bytes"))
    session.resource("s3").Object("bucket", "file").upload_file(__file__)
    assert aws.objects["bucket", "text"] == b"text"
    assert aws.objects["bucket", "bytes"] == b"bytes"
    assert aws.objects["bucket", "file"] == Path(__file__).read_bytes()


def test_a_call_that_needs_aws_is_refused_by_name(offline: tuple[OfflineAws, boto3.Session]) -> None:
    with pytest.raises(MlopsError, match="calls sagemaker:ListModels, but pipelines are compiled offline"):
        offline[1].client("sagemaker").list_models()


def test_the_caller_is_the_configured_account(offline: tuple[OfflineAws, boto3.Session]) -> None:
    assert offline[1].client("sts").get_caller_identity()["Account"] == "000000000000"


def tarball(mtime: float, name: str = "a.py") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.size, member.mtime, member.uname = 1, mtime, "me"
        tar.addfile(member, io.BytesIO(b"1"))
    return packed.getvalue()


def test_archives_of_the_same_content_are_the_same_object(tmp_path: Path) -> None:
    store = ContentStore(tmp_path, "bucket", "prefix")
    first = store.add({"sourcedir.tar.gz": tarball(1.0)})
    assert store.add({"sourcedir.tar.gz": tarball(time.time())}) == first
    assert store.add({"sourcedir.tar.gz": tarball(1.0, "b.py")}) != first


def test_uploads_get_names_that_depend_on_their_content_alone(tmp_path: Path) -> None:
    store = ContentStore(tmp_path, "bucket", "prefix")
    uris = [
        settle(f"s3://bucket/staging/{stamp}/code", {("bucket", f"staging/{stamp}/code/a.py"): b"1"}, store, "staging")
        for stamp in ("2026-01-01", "2026-01-02")
    ]
    assert uris[0] == uris[1]
    assert (tmp_path / uris[0].removeprefix("s3://") / "a.py").read_bytes() == b"1"


def test_a_single_uploaded_file_keeps_its_name(tmp_path: Path) -> None:
    store = ContentStore(tmp_path, "bucket", "prefix")
    uploaded = {("bucket", "staging/x/run.sh"): b"#!/bin/sh"}
    uri = settle({"S3Uri": "s3://bucket/staging/x/run.sh"}, uploaded, store, "staging")["S3Uri"]
    assert uri.endswith("/run.sh")
    assert (tmp_path / uri.removeprefix("s3://")).read_bytes() == b"#!/bin/sh"


def test_a_place_the_sdk_chose_and_never_filled_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MlopsError, match="to which nothing was uploaded"):
        settle("s3://bucket/staging/job-2026/output", {}, ContentStore(tmp_path, "bucket", "prefix"), "staging")
