"""The files in config/: what they set, how they merge, and what is refused."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlops.base.errors import MlopsError
from mlops.project.configuration import ASSUME_ROLE, FURTHER_ACCOUNTS, KEYS, OWN, PLACE, STACKS, dotted, merged
from mlops.project.project import Project
from mlops.project.stacks import SHADOW_MINUTES, TABLE
from standin.template import parse, unsatisfied
from tests.answers import COVERING, each_set_of_answers, meant
from tests.infra.rendered import text_of, texts
from tests.machinery.deployment.small_project import small_project
from tests.projects import ROOT, Bake

BY_NAME = {stack.name: stack for stack in TABLE}
LEFT_TO_FILL_IN = {("cicd", "repository")}
REGISTERED_ELSEWHERE = {"model_package_group", "model_bucket", "model_key_arn"}


def configuration(answers: Mapping[str, str], file: str) -> dict[str, Any]:
    """What a file of a project sets."""
    written = text_of(f"config/{file}.yaml", answers)
    content: dict[str, Any] = yaml.safe_load(written)
    assert re.findall(r"^(\w+):", written, re.M) == list(content), "a section stands there twice"
    return content


def settings(answers: Mapping[str, str], environment: str) -> Iterator[tuple[str, str, Any]]:
    """Each setting of a stack that the project has: the stack, the key and the value."""
    elsewhere = {"registry"} if meant(answers)["project_scope"] == "deploy" else set()
    effective = merged(configuration(answers, "base"), configuration(answers, environment))
    for stack, values in effective[STACKS].items():
        if BY_NAME[stack].shared == (environment == "dev") and stack not in elsewhere:
            for key, value in values.items():
                yield stack, key, value


def environments(answers: Mapping[str, str]) -> tuple[str, ...]:
    return ("dev",) if meant(answers)["project_scope"] == "build-train" else ("dev", "staging", "production")


def takes(parameter: Mapping[str, Any], value: Any) -> bool:
    """Whether a parameter takes a value."""
    items = value if isinstance(value, list) else [value]
    said = [str(item).lower() if isinstance(item, bool) else str(item) for item in items]
    return unsatisfied("it", parameter, ",".join(said)) is None


@each_set_of_answers
def test_each_setting_is_a_parameter_of_its_stack_and_has_a_value_that_it_takes(answers: dict[str, str]) -> None:
    parameters = {stack: parse(written).data["Parameters"] for stack, written in texts(answers).items()}
    for environment in environments(answers):
        for stack, key, value in settings(answers, environment):
            name = "".join(part.capitalize() for part in key.split("_"))
            if key == SHADOW_MINUTES:
                continue  # of the deployment itself
            assert name in parameters[stack], f"{environment}: {stack}.{key}"
            if value is None:
                assert "Default" in parameters[stack][name] or (stack, key) in LEFT_TO_FILL_IN, f"{stack}.{key}"
            else:
                assert takes(parameters[stack][name], value), f"{environment}: {stack}.{key}: {value}"


@each_set_of_answers
def test_each_value_is_set_once(answers: dict[str, str]) -> None:
    base = dict(dotted(configuration(answers, "base")))
    overlays = {name: dict(dotted(configuration(answers, name))) for name in ("local", *environments(answers))}
    for name, overlay in overlays.items():
        leaves = {key: value for key, value in overlay.items() if not isinstance(value, dict)}
        assert [key for key, value in leaves.items() if key in base and base[key] == value] == [], name


@each_set_of_answers
def test_every_file_passes_its_own_check(rendering: Bake, answers: dict[str, str]) -> None:
    project = Project(rendering(**answers))
    for name in ("local", *environments(answers)):
        project.environment(name)


@each_set_of_answers
def test_only_the_account_and_what_is_made_elsewhere_is_left_to_fill_in(answers: dict[str, str]) -> None:
    content, scope = configuration(answers, "dev"), meant(answers)["project_scope"]
    place = ("account", "project_id", "bucket", *(("model_bucket", "pipeline_role") if scope != "deploy" else ()))
    assert {key: content[key] for key in place} == dict.fromkeys(place)
    if scope == "deploy":
        custom = {"image_repository"} if meant(answers)["__training_image"] == "custom" else set()
        baseline = {"baseline_bucket", "baseline_key_arn"} if meant(answers)["monitoring"] == "on" else set()
        assert content[STACKS]["registry"] == dict.fromkeys(REGISTERED_ELSEWHERE | custom | baseline)
    for environment in environments(answers)[1:]:
        assert configuration(answers, environment)["account"] is None


def test_the_known_keys_are_those_that_the_files_set() -> None:
    found: dict[str, set[str]] = {}
    for answers in COVERING:
        for file in ("base", "local", *environments(answers)):
            written = text_of(f"config/{file}.yaml", answers)
            left_out_too = re.sub(r"^(  )# (\w+: \S+)$", r"\1\2", written, flags=re.M)
            for section, values in yaml.safe_load(left_out_too).items():
                found.setdefault(section, set()).update(values if isinstance(values, dict) else ())
    checked = {name: set(key.keys) for name, key in KEYS.items() if key.keys is not None}
    assert checked == {name: found[name] for name in checked}
    assert KEYS.keys() - found.keys() == {OWN, "functions"}


def test_the_known_keys_are_those_that_the_code_reads() -> None:
    project = ROOT / "<<cookiecutter.project_slug>>"
    files = [path for folder in ("mlops", "modelkit", "pipelines") for path in project.glob(f"{folder}/**/*.py")]
    code = "\n".join(file.read_text() for file in files if file.name != "configuration.py")
    read = re.findall(r'(?:\[|number\(|integer\(|missing\()"(\w+)\.(\w+)"', code)
    assert ("gate", "min_auc") in read
    assert [f"{name}.{key}" for name, key in read if name in KEYS and key not in (KEYS[name].keys or (key,))] == []
    names = {name for section, key in KEYS.items() for name in (key.keys or [section])}
    further = KEYS[FURTHER_ACCOUNTS].keys or ()
    assert [
        name for name in names - {*PLACE, STACKS, ASSUME_ROLE, *further} if not re.search(rf"\b{name}\b", code)
    ] == []


def refusal(root: Path, environment: str = "local") -> MlopsError:
    with pytest.raises(MlopsError) as refused:
        Project(root).environment(environment)
    assert refused.value.exit_code == 2
    return refused.value


def refusal_of(root: Path, file: str, text: str) -> MlopsError:
    """The refusal of a project in which one file is replaced."""
    small_project(root)
    (root / f"config/{file}.yaml").write_text(text)
    return refusal(root, "local" if file == "base" else file)


@pytest.mark.parametrize(
    ("text", "key", "hint"),
    [
        ("serving: {wokers: 2}", "serving.wokers", "Did you mean `serving.workers`?"),
        ("smoke: {max_p99_mss: 9}", "smoke.max_p99_mss", "Did you mean `smoke.max_p99_ms`?"),
        ("gate: {min_acu: 0.7}", "gate.min_acu", "Did you mean `gate.min_auc`?"),
        ("retrianing: {runs_per_day: 2}", "retrianing", "Did you mean `retraining`?"),
        ("5: x", "5", "Remove it. Settings that only your own code reads go under `own`."),
        ("stacks: {endpoint: {instance_type: ml.m5.large}}", "stacks", "Remove it. It is valid in: dev, staging, prod"),
        ("data: s3", "data", "Did you mean `data_key` or `data_folder`? Settings of stacks are in `stacks.data`."),
        ("endpoint: {instance_type: ml.m5.large}", "endpoint", "Settings of stacks are in `stacks.endpoint`."),
    ],
)
def test_a_key_without_effect_is_refused_with_the_nearest_one(tmp_path: Path, text: str, key: str, hint: str) -> None:
    refused = refusal_of(tmp_path, "local", text)
    assert refused.message == f"`{key}` in config/local.yaml has no effect: local does not read it."
    assert refused.remedy.startswith(hint)


@pytest.mark.parametrize(
    ("environment", "text", "key", "hint"),
    [
        ("dev", "capture: {percentage: 2}", "capture", "Remove it. It is valid in: local."),
        ("staging", "training: {spot: true}", "training", "Remove it. It is valid in: local, dev."),
        ("production", "smoke: {max_p99_mss: 9}", "smoke.max_p99_mss", "Did you mean `smoke.max_p99_ms`?"),
    ],
)
def test_an_overlay_has_only_what_its_environment_reads(
    tmp_path: Path, environment: str, text: str, key: str, hint: str
) -> None:
    refused = refusal_of(tmp_path, environment, text)
    assert refused.message == f"`{key}` in config/{environment}.yaml has no effect: {environment} does not read it."
    assert refused.remedy.startswith(hint)


@pytest.mark.parametrize(
    ("text", "key", "hint"),
    [
        ("gates: {min_auc: 0.7}", "gates", "Did you mean `gate`?"),
        ("trained_in: ../other", "trained_in", "Remove it."),
        ("image_digest: newest", "image_digest", "Remove it."),
    ],
)
def test_base_has_only_what_an_environment_of_the_project_reads(tmp_path: Path, text: str, key: str, hint: str) -> None:
    refused = refusal_of(tmp_path, "base", text)
    assert refused.message == f"`{key}` in config/base.yaml has no effect: no environment reads it."
    assert refused.remedy.startswith(hint)


@pytest.mark.parametrize(
    ("file", "stack", "who", "hint"),
    [
        ("dev", "endpoint", "dev", "Remove it. Its stacks: data, registry, workload."),
        ("staging", "workload", "staging", "Remove it. Its stacks: endpoint, api."),
        ("staging", "endpiont", "staging", "Did you mean `endpoint`?"),
        ("base", "transform", "this project", "Remove it. Its stacks: data, registry, workload, endpoint, api."),
    ],
)
def test_a_stack_is_set_only_where_it_is_deployed(tmp_path: Path, file: str, stack: str, who: str, hint: str) -> None:
    refused = refusal_of(tmp_path, file, f"stacks: {{{stack}: {{log_days: 1}}}}")
    assert refused.message == f"`stacks.{stack}` in config/{file}.yaml has no effect: {who} has no stack `{stack}`."
    assert refused.remedy.startswith(hint)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("security: none", '`security: "none"` in config/local.yaml is not a section.'),
        ("own: [a]", '`own: ["a"]` in config/local.yaml is not a section.'),
        ("hyperparameters: true", "`hyperparameters: true` in config/local.yaml is not a section."),
        ("gate: {min_auc: 1}\ngate: {min_auc: 2}", "`gate` is a duplicate key"),
        ("own: {code: 0123}", "`0123` means 83 in YAML: write 83, or '0123' in quotes for the text"),
        ("own: {country: no}", "`no` means false in YAML: write false, or 'no' in quotes for the text"),
        ("own: {time: 12:30:15}", "`12:30:15` means 45015 in YAML"),
        ("own: {half: 1:30.5}", "`1:30.5` means 90.5 in YAML"),
        ("own: {many: 1_000}", "`1_000` means 1000 in YAML"),
        ("own: {mask: 0x1F}", "`0x1F` means 31 in YAML"),
        ("own: {limit: .inf}", "`.inf` is not a finite number"),
        ("own: {since: 2026-01-31T10:00:00+02:00}", "means 2026-01-31 10:00:00+02:00 in YAML"),
        ("gate: {min_auc: 1, min_auc: 2}", "`min_auc` is a duplicate key"),
        ("gate: {min_auc: 1", 'config/local.yaml", line'),
        ("[gate]", "config/local.yaml is not a mapping"),
    ],
)
def test_what_is_not_a_section_and_a_key_that_is_given_twice_are_refused(tmp_path: Path, text: str, said: str) -> None:
    assert said in refusal_of(tmp_path, "local", text).message


def test_the_section_of_a_stack_is_a_section(tmp_path: Path) -> None:
    refused = refusal_of(tmp_path, "dev", "stacks: {data: 3}")
    assert refused.message == "`stacks.data: 3` in config/dev.yaml is not a section."


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("bucket", "s3://my-bucket", "Use the name of a bucket, without s3://."),
        ("pipeline_role", "pipeline", "Use the ARN of a role: arn:aws:iam::"),
        ("project_id", "p-abc", "Use p- and twelve lower-case letters or digits."),
    ],
)
def test_a_place_that_cannot_be_one_is_refused_in_its_file(tmp_path: Path, key: str, value: str, said: str) -> None:
    small_project(tmp_path)
    for file in ("dev", "base"):
        (tmp_path / "config/dev.yaml").write_text('account: "123456789012"\n')
        (tmp_path / f"config/{file}.yaml").write_text(f'account: "123456789012"\n{key}: {value}\n')
        refused = refusal(tmp_path, "dev")
        assert refused.message == f'config/{file}.yaml has an invalid value: `{key}: "{value}"`.'
        assert said in refused.remedy
        (tmp_path / "config/dev.yaml").write_text("")


def test_mappings_merge_and_every_other_value_replaces(tmp_path: Path) -> None:
    project = small_project(tmp_path)
    (tmp_path / "config/base.yaml").write_text(
        "training: {spot: true, instance_count: 2}\nregistration: {inference_instances: [a, b]}\n"
        "own: {a: {b: 1, c: 2}, d: 3}\nstacks: {endpoint: {bake_seconds: 300, instance_type: ml.m5.large}}\n"
    )
    (tmp_path / "config/local.yaml").write_text(
        "training: {spot: false}\nregistration: {inference_instances: [c]}\nown: {a: {c: 4}, d: null}\ncache:\n"
    )
    (tmp_path / "config/staging.yaml").write_text("stacks: {endpoint: {bake_seconds: 600}, api: }\n")
    local = project.environment("local")
    assert local.settings["training"] == {"spot": False, "instance_count": 2}
    assert local.settings["registration"] == {"inference_instances": ["c"]}
    assert local.settings["own"] == {"a": {"b": 1, "c": 4}, "d": None}
    assert project.environment("staging").stack("endpoint") == {"bake_seconds": 600, "instance_type": "ml.m5.large"}
    assert project.environment("staging").stack("api") == {}


def test_an_empty_section_replaces_nothing(tmp_path: Path) -> None:
    project = small_project(tmp_path)
    (tmp_path / "config/base.yaml").write_text("gate: {min_auc: 0.7}\n")
    (tmp_path / "config/local.yaml").write_text("gate:\n  # min_auc: 0.8\n")
    assert project.environment("local").number("gate.min_auc") == 0.7


def test_a_message_names_the_file_that_sets_a_value_or_should(tmp_path: Path) -> None:
    project = small_project(tmp_path)
    (tmp_path / "config/base.yaml").write_text("gate: {min_auc: 1}\ntraining: {spot: true}\n")
    (tmp_path / "config/local.yaml").write_text("training: {instance_count: 1}\n")
    environment = project.environment("local")
    keys = "gate.min_auc", "training.instance_count", "gate.min_auc_gain", "bucket"
    files = ["config/base.yaml", "config/local.yaml", "config/base.yaml", "config/local.yaml"]
    assert [str(environment.file(key)) for key in keys] == files
    with pytest.raises(MlopsError, match=r"config/base.yaml has no value for `gate.min_auc_gain`"):
        environment.number("gate.min_auc_gain")
    assert str(project.environment("staging").file("account")) == "config/dev.yaml"
    (tmp_path / "config/base.yaml").write_text("gate: {min_auc: high}\n")
    (tmp_path / "config/local.yaml").write_text("training: {instance_count: many}\n")
    message = str(refusal(tmp_path))
    assert 'config/base.yaml has an invalid value: `gate.min_auc: "high"`' in message
    assert 'config/local.yaml has an invalid value: `training.instance_count: "many"`' in message


def test_base_is_needed_and_is_not_an_environment(tmp_path: Path) -> None:
    small_project(tmp_path)
    refused = refusal(tmp_path, "base")
    assert refused.message == "There is no environment 'base'."
    assert refused.remedy == "Known environments: dev, local, production, staging."
    (tmp_path / "config/base.yaml").unlink()
    assert refusal(tmp_path).message == f"No config/base.yaml in {tmp_path}."


def test_settings_of_a_projects_own_and_empty_sections_are_accepted(tmp_path: Path) -> None:
    project = small_project(tmp_path)
    (tmp_path / "config/local.yaml").write_text("own: {rounds: 3}\nfunctions: {f: m:f}\nserving:\n")
    assert project.environment("local").integer("own.rounds") == 3
