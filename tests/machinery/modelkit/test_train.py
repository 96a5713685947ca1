import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest
import xgboost

from mlops.base import contents
from mlops.base.files import files_below
from mlops.pipeline.training_metrics import built_in
from model import algorithm
from model.derive import DERIVED, FEATURE_NAMES
from model.hyperparameters import HYPERPARAMETERS
from model.schema import SCHEMA
from modelkit import inference, owner, signature
from modelkit.dataset import read_typed, write_parquet
from modelkit.job import JobError
from modelkit.jobs import train
from modelkit.learning import Hyperparameter, Trained
from tests.projects import SOURCES

QUICK = ["--num-round", "5"]
LEAN = "import sys; sys.modules.update(sklearn=None)"  # xgboost loads it when it is there


def paths(splits: Path, model: Path) -> list[str]:
    return ["--train", str(splits / "train"), "--validation", str(splits / "validation"), "--model-dir", str(model)]


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for variable in ("SM_HPS", "SM_HOSTS", "SM_CURRENT_HOST", "SM_MODEL_DIR", "SM_OUTPUT_DATA_DIR"):
        monkeypatch.delenv(variable, raising=False)


def root_weight(booster: xgboost.Booster) -> float:
    """The weight of all rows that the first tree was grown from: half the rows would weigh half as much."""
    tree = json.loads(booster.get_dump(with_stats=True, dump_format="json")[0])
    return float(tree["cover"])


def test_the_model_carries_its_schema_and_the_names_of_its_features(model_folder: Path) -> None:
    booster = xgboost.Booster(model_file=model_folder / "model.ubj")
    assert tuple(booster.feature_names or ()) == FEATURE_NAMES
    assert signature.read(model_folder / "schema.json") == (SCHEMA, tuple(DERIVED))


def test_the_record_says_how_the_model_was_made(model_folder: Path) -> None:
    record = json.loads((model_folder / "training.json").read_text())
    booster = xgboost.Booster(model_file=model_folder / "model.ubj")
    assert booster.num_boosted_rounds() == record["best_iteration"] + 1
    assert record["rows"]["train"] > record["rows"]["validation"] > 0
    assert record["versions"]["xgboost"] == xgboost.__version__
    assert record["auc"]["validation"] > 0.7
    assert record["hyperparameters"] == train.hyperparameters_from(HYPERPARAMETERS, {})


def test_the_archive_serves_without_the_project(model_folder: Path, tmp_path: Path) -> None:
    code = model_folder / "code"
    expected_files = dict(contents.job_files(SOURCES))
    expected_files |= {Path(name).name: path for name, path in contents.listed(SOURCES, contents.HANDLERS)}
    assert {name: path.read_bytes() for name, path in files_below(code)} == {
        name: path.read_bytes() for name, path in expected_files.items()
    }
    request = (SOURCES / "data/request.csv").read_bytes()
    program = (
        f"{LEAN}\nimport hosting, inference, model.schema, modelkit\n"
        "assert model.schema.__file__.startswith(sys.argv[1]), model.schema.__file__\n"
        "assert modelkit.__file__.startswith(sys.argv[1]), modelkit.__file__\n"
        "booster = hosting.model_fn(sys.argv[1])\n"
        "rows = inference.input_fn(sys.stdin.buffer.read(), 'text/csv')\n"
        "print(inference.output_fn(inference.predict_fn(rows, booster), 'text/csv'), end='')\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program, str(model_folder)],
        input=request,
        capture_output=True,
        check=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(code), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    probabilities = [float(line) for line in answer.stdout.split()]
    expected = inference.predict_fn(inference.input_fn(request, "text/csv"), inference.model_fn(str(model_folder)))
    assert probabilities == expected.tolist()
    assert len(probabilities) == 3


def test_training_again_gives_the_same_model(model_folder: Path, splits: Path, tmp_path: Path) -> None:
    assert train.main(paths(splits, tmp_path)) == 0
    assert (tmp_path / "model.ubj").read_bytes() == (model_folder / "model.ubj").read_bytes()


def test_a_line_every_ten_rounds_shows_both_metrics(
    splits: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert train.main([*paths(splits, tmp_path), "--num-round", "11", "--early-stopping-rounds", "11"]) == 0
    lines = [line for line in capfd.readouterr().out.splitlines() if "train-auc:" in line]
    assert len(lines) == 3  # the last one repeats the best round
    assert all("validation-auc:0." in line for line in lines)


def test_the_figures_that_sagemaker_keeps_are_those_of_the_best_round(
    splits: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert train.main([*paths(splits, tmp_path), "--num-round", "60", "--early-stopping-rounds", "15"]) == 0
    kept, log = json.loads((tmp_path / "training.json").read_text()), capfd.readouterr().out.replace("\t", "#011")
    metrics = {metric["Name"]: metric["Regex"] for metric in built_in("1.dkr.ecr/sagemaker-xgboost:3.2-0")}
    for split, figure in kept["auc"].items():
        found = re.findall(metrics[f"{split}:auc"], log)
        assert float(found[-1]) == pytest.approx(figure, abs=1e-5)
        assert figure != pytest.approx(float(found[-2]), abs=1e-5), "the last round printed is the best by chance"


def test_paths_and_hyperparameters_come_from_the_environment_and_arguments_win(
    splits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in (
        ("SM_CHANNEL_TRAIN", splits / "train"),
        ("SM_CHANNEL_VALIDATION", splits / "validation"),
        ("SM_MODEL_DIR", tmp_path / "model"),
        ("SM_OUTPUT_DATA_DIR", tmp_path / "output"),
    ):
        monkeypatch.setenv(variable, str(value))
    monkeypatch.setenv("SM_HPS", json.dumps({"max_depth": 2, "num_round": "4", "sagemaker_program": "train.py"}))
    assert train.main(["--num_round", "3"]) == 0
    used = json.loads((tmp_path / "model" / "training.json").read_text())["hyperparameters"]
    assert (used["max_depth"], used["num_round"]) == (2, 3)
    curve = json.loads((tmp_path / "output" / "learning-curve.json").read_text())
    assert len(curve["validation"]["auc"]) == 3


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"depth": 3}, "unknown hyperparameter 'depth'; known: num_round"),
        (
            {"max_depth": "deep"},
            r"max_depth \(the parameter MaxDepth\) is 'deep'; .* a whole number, at least 1 and at most 20",
        ),
        ({"max_depth": 2.5}, "MaxDepth.* is '2.5'"),
        ({"learning_rate": float("nan")}, "LearningRate.* is 'nan'; it must be a number"),
        ({"subsample": 0}, "Subsample.* is '0'"),
        ({"num_round": None}, "NumRound.* is 'None'"),
    ],
)
def test_a_hyperparameter_that_cannot_be_used_is_named(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(JobError, match=reason):
        train.hyperparameters_from(HYPERPARAMETERS, given)


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("SM_HPS", "{", "$SM_HPS is not JSON"),
        ("SM_HPS", "[1]", "$SM_HPS must be a JSON object"),
        ("SM_HPS", '{"depth": 1}', "unknown hyperparameter 'depth'"),
        ("SM_HOSTS", '["a", "b"]', "this host, 'algo-1', is not one of the hosts: a, b"),
    ],
)
def test_a_bad_environment_is_explained_and_leaves_no_model(
    splits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, reason: str
) -> None:
    monkeypatch.setenv(variable, value)
    failure = tmp_path / "failure"
    assert train.main([*paths(splits, tmp_path / "model"), *QUICK, "--failure-file", str(failure)]) == 1
    assert reason in failure.read_text()
    assert not (tmp_path / "model").exists()


def test_a_missing_channel_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main(paths(tmp_path, tmp_path / "model")) == 1
    assert "no such file or folder" in capsys.readouterr().err


@pytest.mark.parametrize(("text", "threads"), [("3", 3), ("0", os.cpu_count()), ("many", os.cpu_count())])
def test_threads_follow_the_environment(monkeypatch: pytest.MonkeyPatch, text: str, threads: int) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert train.available_threads() == threads


def test_two_instances_grow_the_trees_of_all_rows_and_the_first_writes_them(splits: Path, tmp_path: Path) -> None:
    whole = train.read_rows(splits / "train")
    table = read_typed(splits / "train", SCHEMA)
    half = table.num_rows // 2
    hosts = {"127.0.0.1": table.slice(0, half), "localhost": table.slice(half)}
    for host, share in hosts.items():
        write_parquet(share, tmp_path / host / "train" / "part.parquet")
        write_parquet(read_typed(splits / "validation", SCHEMA), tmp_path / host / "validation" / "part.parquet")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    given = {"subsample": 1, "colsample_bytree": 1, "num_round": 5, "max_depth": 2, "learning_rate": 0.2}
    workers = {}
    for host in hosts:
        environment = {
            "PYTHONPATH": f"{SOURCES / 'src'}{os.pathsep}{SOURCES}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1",
            "SM_HOSTS": json.dumps(sorted(hosts, reverse=True)),
            "SM_CURRENT_HOST": host,
        }
        program = (
            f"{LEAN}; from modelkit import distributed; from modelkit.jobs import train; distributed.PORT = {port}\n"
            "sys.exit(train.main())"
        )
        command = [sys.executable, "-c", program, *paths(tmp_path / host, tmp_path / host / "model")]
        sampling = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
        workers[host] = subprocess.Popen([*command, *sampling], env=environment, stderr=subprocess.PIPE)
    try:
        errors = {host: worker.communicate(timeout=60)[1].decode() for host, worker in workers.items()}
    finally:
        for worker in workers.values():
            worker.kill()
            worker.communicate()
    assert {host: worker.returncode for host, worker in workers.items()} == dict.fromkeys(hosts, 0), errors
    assert not (tmp_path / "localhost" / "model").exists()
    booster = inference.model_fn(str(tmp_path / "127.0.0.1" / "model"))
    alone = algorithm.fit(
        whole,
        train.read_rows(splits / "validation"),
        train.hyperparameters_from(HYPERPARAMETERS, given),
        threads=1,
    )
    assert root_weight(booster) == pytest.approx(root_weight(alone.model), rel=0.01)
    together = inference.predict_fn(whole.features, booster)
    assert np.corrcoef(together, inference.predict_fn(whole.features, alone.model))[0, 1] > 0.98


def test_several_instances_are_refused_where_the_algorithm_does_not_join_them(
    splits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delattr(algorithm, "together")
    monkeypatch.setenv("SM_HOSTS", '["algo-1", "algo-2"]')
    monkeypatch.setenv("SM_CURRENT_HOST", "algo-2")
    assert train.main([*paths(splits, tmp_path / "model"), *QUICK]) == 1
    assert "algo-2 is one of 2: set training.instance_count" in capsys.readouterr().err
    monkeypatch.setenv("SM_HOSTS", '["algo-2"]')
    assert train.main([*paths(splits, tmp_path / "model"), *QUICK]) == 0


def test_a_model_without_rounds_is_trained_and_says_so_once(
    splits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    fit = algorithm.fit
    monkeypatch.setattr(algorithm, "fit", lambda *given: Trained(fit(*given).model))
    output = tmp_path / "output"
    assert train.main([*paths(splits, tmp_path / "model"), *QUICK, "--output-data-dir", str(output)]) == 0
    assert capfd.readouterr().out.count("no learning curve") == 1
    record = json.loads((tmp_path / "model/training.json").read_text())
    assert (record["best_iteration"], record["auc"]) == (None, {})
    assert not output.exists()
    inference.model_fn(str(tmp_path / "model"))


def test_a_hyperparameter_needs_no_range() -> None:
    declared = [Hyperparameter("penalty", float, 1.0), Hyperparameter("depth", int, 3, minimum=1)]
    assert train.hyperparameters_from(declared, {"penalty": -1e9}) == {"penalty": -1e9, "depth": 3}
    for name, value, expected in (("penalty", "nan", "a number$"), ("depth", 0, "a whole number, at least 1$")):
        with pytest.raises(JobError, match=f"it must be {expected}"):
            train.hyperparameters_from(declared, {name: value})


@pytest.mark.parametrize(
    ("module", "name"),
    [("algorithm", "fit"), ("algorithm", "save"), ("hyperparameters", "HYPERPARAMETERS"), ("derive", "DERIVED")],
)
def test_a_name_that_the_owner_s_code_lacks_is_said(
    splits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, name: str
) -> None:
    monkeypatch.delattr(f"model.{module}.{name}")
    failure = tmp_path / "failure"
    assert train.main([*paths(splits, tmp_path / "model"), *QUICK, "--failure-file", str(failure)]) == 1
    assert failure.read_text() == f"model/{module}.py does not define `{name}`\n"


def test_a_module_that_the_owner_s_code_lacks_is_said_and_another_s_fault_is_not_mistaken_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(JobError, match=r"there is no model/judge\.py, which must define `evaluate`"):
        owner.load("judge", "evaluate")
    monkeypatch.setattr("model.__path__", [str(tmp_path)])
    (tmp_path / "judge.py").write_text("import a_package_that_is_missing")
    with pytest.raises(ModuleNotFoundError, match="a_package_that_is_missing"):
        owner.load("judge", "evaluate")


@pytest.mark.parametrize(("split", "value"), [("train", 1), ("validation", 1), ("validation", 0)])
def test_a_split_with_one_class_says_which_and_how_many_there_are(
    splits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], split: str, value: int
) -> None:
    parts = {name: read_typed(splits / name, SCHEMA) for name in ("train", "validation")}
    keep = pc.not_equal(parts[split][SCHEMA.target], bool(value))
    left = {**parts, split: parts[split].filter(keep)}
    for name, part in left.items():
        write_parquet(part, tmp_path / name / "part.parquet")
    assert train.main([*paths(tmp_path, tmp_path / "model"), *QUICK]) == 1
    said = capsys.readouterr().err
    place = {"train": "training", "validation": "validation"}[split]
    count = sum(pc.sum(pc.equal(part[SCHEMA.target], bool(value))).as_py() for part in left.values())
    assert f"no {place} row has 'visited' {value}: there are {count} such rows in training and validation" in said
    assert "Seed" in said
    assert not (tmp_path / "model/model.ubj").exists()
