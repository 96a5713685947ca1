"""What every framework's algorithm must do, for each of them in place: a project gets one of them as `algorithm.py`."""

import importlib
import math
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
import yaml

from model.derive import DERIVED, FEATURE_NAMES
from model.schema import SCHEMA
from modelkit import inference, metrics, signature
from modelkit.job import JobError
from modelkit.jobs import train
from modelkit.learning import Hyperparameter, Rows, Trained
from modelkit.schema import FLOAT32_MAXIMUM
from tests.infra.rendered import text_of

FRAMEWORKS = {"xgboost": "", "sklearn": "_sklearn", "pytorch": "_pytorch"}
MOST_ROUNDS = {"xgboost": "num_round", "sklearn": "max_iter", "pytorch": "epochs"}
PATIENCE = {"xgboost": "early_stopping_rounds", "sklearn": "n_iter_no_change", "pytorch": "early_stopping_epochs"}


@dataclass(frozen=True)
class Framework:
    name: str
    algorithm: types.ModuleType
    onnx_twin: types.ModuleType
    hyperparameters: tuple[Hyperparameter, ...]

    def fit(self, train: Rows, validation: Rows, **given: float) -> Trained:
        values = {known.name: known.default for known in self.hyperparameters} | given
        trained: Trained = self.algorithm.fit(train, validation, values, threads=1)
        return trained

    def fit_quickly(self, train: Rows, validation: Rows, **given: float) -> Trained:
        return self.fit(train, validation, **{MOST_ROUNDS[self.name]: 3, **given})


def framework_named(name: str) -> Framework:
    algorithm, onnx_twin, listed = (
        importlib.import_module(f"model.{module}{FRAMEWORKS[name]}")
        for module in ("algorithm", "onnx_twin", "hyperparameters")
    )
    return Framework(name, algorithm, onnx_twin, listed.HYPERPARAMETERS)


EVERY_HYPERPARAMETER = [(name, known) for name in FRAMEWORKS for known in framework_named(name).hyperparameters]


@pytest.fixture(scope="session", params=FRAMEWORKS)
def framework(request: pytest.FixtureRequest) -> Framework:
    return framework_named(request.param)


@pytest.fixture(scope="session")
def rows(splits: Path) -> Rows:
    return train.read_rows(splits / "train")


@pytest.fixture(scope="session")
def held_out(splits: Path) -> Rows:
    return train.read_rows(splits / "validation")


@pytest.fixture(scope="session")
def trained(framework: Framework, rows: Rows, held_out: Rows) -> Trained:
    return framework.fit(rows, held_out)


@pytest.fixture
def saved(framework: Framework, trained: Trained, tmp_path: Path) -> Path:
    framework.algorithm.save(trained.model, tmp_path)
    return tmp_path


def unusual(data: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Rows as they are, with values missing here and there or everywhere, and with extreme ones in every column."""
    random = np.random.default_rng(0)
    holes = data.copy()
    holes[random.random(data.shape) < 0.3] = np.nan
    ends = [FLOAT32_MAXIMUM, -FLOAT32_MAXIMUM, 1e-38, -0.0, 1e9, 0.5, -1.0]
    extremes = np.repeat(data[:1], len(ends) * data.shape[1], axis=0)
    for number, (column, end) in enumerate((column, end) for column in range(data.shape[1]) for end in ends):
        extremes[number, column] = end
    constant = np.repeat(np.array([[np.nan], *([end] for end in ends)], dtype=np.float32), data.shape[1], axis=1)
    return np.concatenate([data, holes, extremes, constant])


def test_it_learns_and_keeps_the_best_of_its_rounds(framework: Framework, trained: Trained, held_out: Rows) -> None:
    scores = trained.curve["validation"]["auc"]
    assert trained.best_iteration is not None
    assert scores[trained.best_iteration] == max(scores) > 0.7
    assert len(trained.curve["train"]["auc"]) == len(scores)
    again = framework.algorithm.predict(held_out.features, trained.model)
    # As float32, some of scikit-learn's predictions are equal.
    assert metrics.auc(held_out.labels > 0, again) == pytest.approx(max(scores), abs=1e-5)


def test_it_stops_when_the_validation_rows_say_so(framework: Framework, rows: Rows, held_out: Rows) -> None:
    trained = framework.fit(rows, held_out, **{PATIENCE[framework.name]: 1})
    rounds = len(trained.curve["validation"]["auc"])
    assert trained.best_iteration == rounds - 2
    assert rounds < next(each.default for each in framework.hyperparameters if each.name == MOST_ROUNDS[framework.name])


def test_the_same_seed_makes_the_same_model_and_another_seed_another(
    framework: Framework, rows: Rows, held_out: Rows
) -> None:
    first, same, other = (
        framework.algorithm.predict(held_out.features, framework.fit_quickly(rows, held_out, seed=seed).model)
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)


def test_a_loaded_model_answers_as_the_saved_one_did(
    framework: Framework, trained: Trained, saved: Path, held_out: Rows
) -> None:
    assert len(list(saved.iterdir())) == 1
    loaded = framework.algorithm.load(saved)
    answers = framework.algorithm.predict(held_out.features, loaded)
    assert answers.dtype == np.float32
    assert answers.shape == (len(held_out.labels),)
    assert ((answers > 0) & (answers < 1)).all()
    np.testing.assert_array_equal(answers, framework.algorithm.predict(held_out.features, trained.model))


def test_any_row_gets_a_probability_and_the_same_alone_as_among_others(
    framework: Framework, trained: Trained, held_out: Rows
) -> None:
    data = unusual(held_out.features[:50])
    together = framework.algorithm.predict(data, trained.model)
    assert ((together >= 0) & (together <= 1)).all()
    for position in range(0, len(data), 7):
        alone = framework.algorithm.predict(data[position : position + 1], trained.model)
        assert alone[0] == pytest.approx(together[position], abs=1e-6)


def check_twin(framework: Framework, model: Any, data: npt.NDArray[np.float32]) -> None:
    session = onnxruntime.InferenceSession(framework.onnx_twin.to_onnx(model))
    (given,) = session.get_inputs()
    answer = session.run(None, {given.name: data})[-1][:, -1]
    np.testing.assert_allclose(answer, framework.algorithm.predict(data, model), rtol=0, atol=1e-6)


def test_the_onnx_twin_answers_as_the_model_does(framework: Framework, saved: Path, held_out: Rows) -> None:
    check_twin(framework, framework.algorithm.load(saved), unusual(held_out.features))


def test_making_the_twin_leaves_the_model_as_it_was(
    framework: Framework, saved: Path, held_out: Rows, tmp_path: Path
) -> None:
    model = framework.algorithm.load(saved)
    before = framework.algorithm.predict(held_out.features, model)
    framework.onnx_twin.to_onnx(model)
    framework.algorithm.save(model, tmp_path)
    np.testing.assert_array_equal(framework.algorithm.predict(held_out.features, model), before)
    np.testing.assert_array_equal(
        framework.algorithm.predict(held_out.features, framework.algorithm.load(tmp_path)), before
    )


@pytest.fixture
def archived(framework: Framework, saved: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The model's file; the handlers that load it are those of the framework."""
    (path,) = saved.iterdir()
    monkeypatch.setattr(inference, "algorithm", framework.algorithm)
    signature.write(saved, SCHEMA, DERIVED)
    return path


def test_a_missing_model_is_named(archived: Path) -> None:
    archived.unlink()
    with pytest.raises(ValueError, match=rf"model/algorithm\.py cannot load the model in {archived.parent}"):
        inference.model_fn(str(archived.parent))


@pytest.mark.parametrize("keep", [0, 0.02, 0.5, 0.98])
def test_a_model_cut_short_is_named(archived: Path, keep: float) -> None:
    content = archived.read_bytes()
    archived.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(ValueError, match="cannot load the model"):
        inference.model_fn(str(archived.parent))


@pytest.mark.parametrize(
    "content", [b"{}", b"{}\n", b"[]\nx", b"\x80\x05N.", b"PK\x03\x04", b"\n" * 100, b"\xff" * 1000]
)
def test_a_file_that_is_no_model_is_named(archived: Path, content: bytes) -> None:
    archived.write_bytes(content)
    with pytest.raises(ValueError, match="cannot load the model"):
        inference.model_fn(str(archived.parent))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "known"), EVERY_HYPERPARAMETER, ids=lambda part: getattr(part, "name", part))
def test_training_takes_the_ends_of_each_range(name: str, known: Hyperparameter, rows: Rows, held_out: Rows) -> None:
    few = Rows(rows.features[:300], rows.labels[:300])
    assert known.parse(str(known.kind(known.default))) == known.default
    for end in (known.minimum, known.maximum):
        if math.isfinite(end):
            framework_named(name).fit_quickly(few, held_out, **{known.name: known.kind(end)})


def test_defaults_are_the_values_of_the_configuration(framework: Framework) -> None:
    configured = yaml.safe_load(text_of("config/base.yaml", {"framework": framework.name}))["hyperparameters"]
    assert {known.name: known.default for known in framework.hyperparameters} == configured


def test_every_framework_has_a_seed_and_each_parameter_once(framework: Framework) -> None:
    parameters = [known.parameter for known in framework.hyperparameters]
    assert "Seed" in parameters
    assert len(set(parameters)) == len(parameters)


def changed(rows: Rows, *columns: float) -> Rows:
    """The rows with the same value in all of a column, for the first columns."""
    features = rows.features.copy()
    features[:, : len(columns)] = columns
    return Rows(features, rows.labels)


def rare(rows: Rows, count: int) -> Rows:
    """Some thousand rows of which the first ones are positive."""
    features = np.tile(rows.features, (12_000 // len(rows.labels) + 1, 1))[:12_000]
    return Rows(features, (np.arange(len(features)) < count).astype(np.float32))


@pytest.mark.parametrize("positives", [1, 3])
def test_a_rare_class_is_learned_or_the_curve_is_refused(
    framework: Framework, rows: Rows, held_out: Rows, positives: int
) -> None:
    trained = framework.fit_quickly(rare(rows, positives), held_out)
    if np.isfinite(trained.curve["train"]["auc"]).all():
        train.require_defined(trained)
        assert np.isfinite(framework.algorithm.predict(held_out.features, trained.model)).all()
    else:
        with pytest.raises(JobError, match=r"the auc of the train rows is not defined: .* bring more rows"):
            train.require_defined(trained)


def test_a_curve_that_is_not_a_number_is_refused() -> None:
    for value in (math.nan, math.inf):
        with pytest.raises(JobError, match="the auc of the validation rows is not defined"):
            train.require_defined(Trained(None, 0, {"train": {"auc": [0.5, 0.6]}, "validation": {"auc": [0.5, value]}}))


def test_a_column_of_one_value_can_be_trained_on(framework: Framework, rows: Rows, held_out: Rows) -> None:
    train, validation = (changed(part, 1.0, FLOAT32_MAXIMUM) for part in (rows, held_out))
    model = framework.fit_quickly(train, validation).model
    for data in (validation.features, held_out.features):
        assert np.isfinite(framework.algorithm.predict(data, model)).all()
        check_twin(framework, model, data)


def test_a_column_without_any_value_can_be_trained_on_or_is_named(
    framework: Framework, rows: Rows, held_out: Rows
) -> None:
    train, validation = (changed(part, np.nan) for part in (rows, held_out))
    if framework.name == "sklearn":
        with pytest.raises(JobError, match=f"no training row has a value for {FEATURE_NAMES[0]}: scikit-learn"):
            framework.fit_quickly(train, validation)
    else:
        trained = framework.fit_quickly(train, validation)
        assert np.isfinite(framework.algorithm.predict(validation.features, trained.model)).all()


def test_the_sklearn_twin_takes_the_same_side_at_thresholds_that_are_no_float32() -> None:
    framework, random = framework_named("sklearn"), np.random.default_rng(0)
    values = random.normal(size=200).astype(np.float32)  # few, so that thresholds lie half-way between two of them
    data = random.choice(values, size=(2_000, len(FEATURE_NAMES)))
    noisy = Rows(data, (data[:, 0] + random.normal(size=2_000) > 0).astype(np.float32))
    model = framework.fit(noisy, noisy, max_iter=10).model
    nodes = np.concatenate([predictor.nodes for (predictor,) in model._predictors])
    nodes = nodes[nodes["is_leaf"] == 0]
    nearest = nodes["num_threshold"].astype(np.float32)
    assert (nearest > nodes["num_threshold"]).any()
    around = [nearest, np.nextafter(nearest, np.float32(np.inf)), np.nextafter(nearest, np.float32(-np.inf))]
    probes = data[random.integers(len(data), size=3 * len(nodes))]
    probes[np.arange(len(probes)), np.tile(nodes["feature_idx"], 3)] = np.concatenate(around)
    check_twin(framework, model, probes)


def test_names_of_features_may_have_any_characters(
    framework: Framework, rows: Rows, held_out: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = tuple(f"{name} [USD] <30, {number}" for number, name in enumerate(FEATURE_NAMES))
    if hasattr(framework.algorithm, "FEATURE_NAMES"):
        monkeypatch.setattr(framework.algorithm, "FEATURE_NAMES", odd)
    trained = framework.fit_quickly(rows, held_out)
    assert len(framework.algorithm.predict(held_out.features, trained.model)) == len(held_out.labels)
