"""Numbers that cannot be meant are refused with their key and their range, wherever they are given."""

import json
import re
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from mlops.base.errors import MlopsError
from mlops.pipeline.bundle import MANIFEST, Bundle, Manifest
from mlops.pipeline.definition import Definition
from mlops.pipeline.durations import lifetime
from mlops.pipeline.shapes import service_model
from mlops.project.configuration import KEYS
from mlops.project.project import Project
from mlops.project.ranges import PARAMETERS, RANGES
from tests.infra.rendered import text_of
from tests.machinery.deployment.small_project import small_project
from tests.projects import SOURCES

SHAPES = {
    "processing.instance_count": "ProcessingInstanceCount",
    "processing.volume_size_gb": "ProcessingVolumeSizeInGB",
    "processing.max_runtime_seconds": "ProcessingMaxRuntimeInSeconds",
    "training.instance_count": "TrainingInstanceCount",
    "training.volume_size_gb": "VolumeSizeInGB",
    "training.max_runtime_seconds": "MaxRuntimeInSeconds",
    "training.max_wait_seconds": "MaxWaitTimeInSeconds",
}


def configured(folder: Path, key: str, value: str, file: str = "base") -> Project:
    small_project(folder)
    section, _, name = key.partition(".")
    (folder / f"config/{file}.yaml").write_text(f"{section}:\n  {name}: {value}\n")
    return Project(folder)


@pytest.mark.parametrize("key", SHAPES)
def test_the_range_of_what_a_job_gets_is_within_that_of_the_service(key: str) -> None:
    shape = service_model().shape_for(SHAPES[key]).metadata
    assert shape["min"] <= RANGES[key].least
    assert RANGES[key].most <= shape.get("max", float("inf"))
    assert RANGES[key].whole


def test_every_number_of_the_configuration_has_a_range() -> None:
    sections = {name for name, key in KEYS.items() if key.keys}
    written = text_of("config/base.yaml", {}) + text_of("config/local.yaml", {})
    found, section = set(), ""
    for line in written.splitlines():
        if top := re.match(r"(\w+):", line):
            section = top[1]
        elif (number := re.match(r"  (\w+): -?[0-9.]+$", line)) and section in sections:
            found.add(f"{section}.{number[1]}")
    written_out = {"serving.workers", "serving.write_timeout_seconds", "serving.load_timeout_seconds"}
    assert found == set(RANGES) - written_out


def test_each_parameter_with_a_range_is_one_of_a_pipeline() -> None:
    pipelines = "".join(path.read_text() for path in (SOURCES / "pipelines").glob("*.py"))
    for parameter, key in PARAMETERS.items():
        assert re.search(rf'"{parameter}",\s*context\.\w+\("{re.escape(key)}"\)', pipelines), parameter


@pytest.mark.parametrize("key", RANGES)
def test_a_number_beyond_its_range_is_refused_in_every_verb_with_key_file_and_range(tmp_path: Path, key: str) -> None:
    file, allowed = "local" if key == "capture.percentage" else "base", RANGES[key]
    for value in (allowed.least - 1, allowed.most + 1, -(10**20), 10**20, 10**400):
        written = int(value) if allowed.whole else value
        with pytest.raises(MlopsError) as refused:
            _ = configured(tmp_path, key, str(written), file).environment("local")
        assert f"`{key}: {written}` in config/{file}.yaml is too " in refused.value.message
        assert str(allowed) in refused.value.remedy


@pytest.mark.parametrize(
    "value", [".nan", ".inf", "-.inf", "1.0e+400", "-1.0e+400", "1e400", "NaN", "'5'", "true", "[1]"]
)
@pytest.mark.parametrize("key", ["processing.instance_count", "gate.min_auc", "training.max_wait_seconds"])
def test_what_is_not_a_finite_number_is_refused_with_its_key_or_place(tmp_path: Path, key: str, value: str) -> None:
    with pytest.raises(MlopsError, match=rf"{key}|`{re.escape(value)}` is not a finite") as refused:
        _ = configured(tmp_path, key, value).environment("local")
    assert "base.yaml" in refused.value.message


def test_all_of_them_are_listed(tmp_path: Path) -> None:
    small_project(tmp_path)
    (tmp_path / "config/base.yaml").write_text("processing: {instance_count: -1, volume_size_gb: 0}\n")
    with pytest.raises(MlopsError) as refused:
        _ = Project(tmp_path).environment("local")
    assert "`processing.instance_count: -1` in config/base.yaml is too low.\n  Use 1 to 100." in str(refused.value)
    assert "`processing.volume_size_gb: 0` in config/base.yaml is too low.\n  Use 1 to 16384." in str(refused.value)


@pytest.mark.parametrize("value", ["9" * 5000, "2026-13-45", "[" * 3000])
def test_a_value_that_yaml_cannot_make_is_a_message(tmp_path: Path, value: str) -> None:
    with pytest.raises(MlopsError, match=r"Cannot read .*base\.yaml"):
        _ = configured(tmp_path, "processing.instance_count", value).environment("local")


def bundle(folder: Path, kind: str) -> Bundle:
    parameters = [{"Name": name, "Type": kind} for name in PARAMETERS]
    step = {"Name": "Fail", "Type": "Fail", "Arguments": {"ErrorMessage": ""}}
    content = {"Version": "2020-12-01", "Parameters": parameters, "Steps": [step]}
    (folder / "definition.json").write_text(json.dumps(content))
    limits = {name: [RANGES[key].least, RANGES[key].most] for name, key in PARAMETERS.items()}
    manifest: dict[str, Any] = dict.fromkeys(get_type_hints(Manifest), "")
    manifest |= {"git_commit": None, "packages_digest": None, "keys": {}, "images": [], "objects": [], "limits": limits}
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return Bundle(folder)


@pytest.mark.parametrize("name", PARAMETERS)
@pytest.mark.parametrize("value", ["-2", "1e400", "nan", "inf", "100000000000000000000"])
def test_a_parameter_of_a_run_has_the_range_of_its_key(tmp_path: Path, name: str, value: str) -> None:
    kind = "Integer" if RANGES[PARAMETERS[name]].whole else "Float"
    with pytest.raises(MlopsError, match=f"Parameter {name} (cannot be|takes a value of type {kind})"):
        bundle(tmp_path, kind).require_within_limits({name: value})


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 10**400])
def test_a_whole_number_that_the_service_cannot_hold_is_refused(tmp_path: Path, value: int) -> None:
    parameter = Definition(bundle(tmp_path, "Integer").definition).parameters["MinRows"]
    with pytest.raises(MlopsError, match="takes a value of type Integer"):
        parameter.value(str(value))


def test_a_duration_beyond_any_life_is_refused() -> None:
    with pytest.raises(MlopsError, match="longer than 100 years"):
        lifetime("P99999999999D")
