"""What is rendered, answer by answer, and what is refused."""

import ast
import itertools
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cookiecutter.exceptions import FailedHookException

from hooks.pre_gen_project import refusals
from mlops.cli.main import verbs_of
from mlops.project.capabilities import CAPABILITIES
from standin.template import parse
from tests.answers import (
    CHOICES,
    COVERING,
    QUESTIONS,
    REGIONS,
    completed,
    each_set_of_answers,
    label,
    left_out,
    meant,
    pairs,
    refusal,
)
from tests.infra.rendered import text_of
from tests.projects import ROOT, SOURCES, Bake, anchors

RULES = QUESTIONS["_rules"]
COMBINATIONS = [dict(zip(CHOICES, chosen, strict=True)) for chosen in itertools.product(*CHOICES.values())]
PACKAGES = ("mlops", "model")

FREE_TEXT = ("project_name", "project_description")
HOSTILE = {
    "double quotes": 'He said "go"',
    "single quotes": "it's 'quoted'",
    "backslashes": r"C:\new\table \" \\",
    "braces": "{{ cookiecutter }} {% raw %} {# note #} ${{ secrets.X }}",
    "our own closing mark": "a >> b >> c",
    "markup": "<script>alert('x')</script> & <b>",
    "yaml": "- key: [a, *b] # !!python/object",
    "shell": "$(rm -rf /) `id` ; | && $HOME",
    "unicode": "Größe 模型 🚀 ñ",
    "200 characters": "x" * 200,
    "triple quotes": "'''\"\"\"",
    "looks like a number": "1e3",
    "looks like a truth": "yes",
}


def files(project: Path) -> set[str]:
    return {path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file()}


def tracked() -> set[str]:
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "."],
        cwd=SOURCES, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return {name for name in listing.stdout.split("\0") if name and (SOURCES / name).is_file()}


def expected(answers: dict[str, str]) -> set[str]:
    """The template's files but for those of choices not made, under the names that the project gives them."""
    absent = left_out(answers)
    kept = {name for name in tracked() if not absent & {name, *map(str, Path(name).parents)}}
    return {"locks/machinery.txt", *(QUESTIONS["_renames"].get(name, name) for name in kept)}


def modules(project: Path) -> set[str]:
    """The project's own modules and packages, as they are imported."""
    files = [(root, path) for root in (project, project / "src") for path in root.rglob("*.py")]
    return {".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__") for root, path in files}


def own_imports(tree: ast.AST) -> Iterator[str]:
    """The modules of the project's own that a file imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [str(node.module)]
            if node.module in PACKAGES:  # a package offers modules, not names
                names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name for name in names if name.partition(".")[0] in ("mlops", "model", "pipelines"))


def check_valid(project: Path) -> None:
    """Every rendered file is what its name says, and nothing of the template's is left in it."""
    for path in sorted(project.rglob("*")):
        if not path.is_file() or path.suffix == ".gz":
            continue
        text = path.read_text(encoding="utf-8")
        assert "cookiecutter." not in text, path
        if path.suffix == ".toml":
            tomllib.loads(text)
        elif path.parent.name == "infra":
            parse(text)
        elif path.suffix in (".yaml", ".yml"):
            yaml.safe_load(text)
        elif path.suffix == ".json":
            json.loads(text)
        elif path.suffix == ".py":
            compile(text, str(path), "exec")


@each_set_of_answers
def test_the_rendered_files_are_exactly_those_that_the_answers_ask_for(
    rendering: Bake, answers: dict[str, str]
) -> None:
    project = rendering(**answers)
    assert files(project) == expected(answers)
    assert not [path for path in project.rglob("*") if path.is_dir() and not any(path.iterdir())]
    written = yaml.safe_load((project / "project.yaml").read_text())
    assert {name: written[name] for name in answers} == answers
    check_valid(project)


@each_set_of_answers
def test_nothing_that_stays_needs_what_was_left_out(rendering: Bake, answers: dict[str, str]) -> None:
    project = rendering(**answers)
    known = modules(project)
    if meant(answers)["project_scope"] == "deploy":  # each version brings the code that it was trained with
        known |= {name for name in modules(SOURCES) if name.startswith("model")}
    for script in project.rglob("*.py"):
        text = script.read_text(encoding="utf-8")
        missing = set(own_imports(ast.parse(text))) - known
        assert not missing, script.relative_to(project)
    for page in project.rglob("*.md"):
        for link, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", page.read_text(encoding="utf-8")):
            target = page.parent / link if link else page
            assert target.exists(), (page.relative_to(project), link)
            known_anchors = anchors(target.read_text(encoding="utf-8")) if anchor else {anchor}
            assert anchor in known_anchors, (page.relative_to(project), link, anchor)


@each_set_of_answers
def test_the_project_s_documents_name_only_verbs_that_apply_to_it(rendering: Bake, answers: dict[str, str]) -> None:
    project = rendering(**answers)
    verbs = verbs_of(yaml.safe_load((project / "project.yaml").read_text()))
    owners = [path for folder in ("pipelines", "src", "tests") for path in (project / folder).rglob("*.py")]
    for page in [*project.rglob("*.md"), *owners, project / "Makefile"]:
        for verb in re.findall(r"(?:-m|`)\s?mlops ([a-z]+)\b", page.read_text(encoding="utf-8")):
            assert verb in verbs, (page.relative_to(project), verb)


def test_versions_that_are_locked_change_only_by_request(rendering: Bake) -> None:
    project = rendering()
    for target, upgrades in (("lock", False), ("upgrade-locks", True)):
        planned = ["make", "--dry-run", target]
        printed = subprocess.run(planned, cwd=project, capture_output=True, text=True, check=True).stdout
        compiled = [line for line in printed.splitlines() if "uv pip compile" in line]
        assert [" --upgrade " in line for line in compiled] == [upgrades] * 3


def test_every_pair_of_answers_that_is_not_refused_is_among_those_that_are_rendered() -> None:
    possible = set().union(*(pairs(answers) for answers in COMBINATIONS if not refusal(answers)))
    assert set().union(*(pairs(answers) for answers in COVERING)) == possible


@each_set_of_answers
def test_what_recommended_means_stands_in_the_project(rendering: Bake, answers: dict[str, str]) -> None:
    written = yaml.safe_load((rendering(**answers) / "project.yaml").read_text())
    assert {f"__{question}": answer for question, answer in written["recommended"].items()}.items() <= meant(
        answers
    ).items()


REFUSED_TOGETHER = [
    dict(zip(row["when"], chosen, strict=True))
    for row in QUESTIONS["_refused"]
    for chosen in itertools.product(*row["when"].values())
]


@pytest.mark.parametrize("answers", REFUSED_TOGETHER, ids=label)
def test_answers_that_do_not_go_together_are_refused_with_reason_and_remedy(answers: dict[str, str]) -> None:
    row = refusal(answers)
    assert row
    (said,) = (said for said in refusals(completed(**answers)) if row["why"] in said)
    first, *rest = said.splitlines()
    assert ": cannot be combined with " in first
    assert [line.strip() for line in rest] == [row["why"], row["remedy"]]


SERVERLESS = {"inference": "serverless", "http_api": "no"}


@pytest.mark.parametrize(
    ("answers", "refused"),
    [
        (SERVERLESS, True),
        ({**SERVERLESS, "project_scope": "deploy"}, True),
        ({**SERVERLESS, "project_scope": "build-train"}, False),
        ({**SERVERLESS, "monitoring": "off"}, False),
        ({**SERVERLESS, "http_api": "recommended"}, False),
        ({**SERVERLESS, "inference": "realtime"}, False),
    ],
    ids=lambda value: label(value) if isinstance(value, dict) else str(value),
)
def test_a_serverless_endpoint_is_monitored_behind_an_api_only(answers: dict[str, str], refused: bool) -> None:
    assert bool(list(refusals(completed(**answers)))) == refused


@pytest.mark.parametrize("row", QUESTIONS["_refused"], ids=lambda row: label({k: v[0] for k, v in row["when"].items()}))
def test_a_project_of_answers_that_do_not_go_together_is_not_begun(
    bake: Bake, tmp_path: Path, capfd: pytest.CaptureFixture[str], row: dict[str, Any]
) -> None:
    answers = {question: choices[0] for question, choices in row["when"].items()}
    with pytest.raises(FailedHookException):
        bake(**answers)
    said = capfd.readouterr().err
    assert "cannot be combined with" in said
    assert f"\n  {row['why']}\n  {row['remedy']}\n" in said
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("question", [*QUESTIONS["_recommended"], *QUESTIONS["_derived"]])
def test_what_follows_from_an_answer_cannot_be_given_itself(
    bake: Bake, capfd: pytest.CaptureFixture[str], question: str
) -> None:
    with pytest.raises(FailedHookException):
        bake(**{f"__{question}": "anything"})
    source = question if question in QUESTIONS["_recommended"] else QUESTIONS["_derived"][question]["by"][0]
    assert f"is derived from {source} and cannot be set." in capfd.readouterr().err


def test_every_file_of_an_answer_exists_and_every_row_leaves_something_out() -> None:
    tracked_or_folder = {*tracked(), *(str(parent) for name in tracked() for parent in Path(name).parents)}
    named: list[str] = []
    for row in QUESTIONS["_belongs_to"]:
        named += row["files"]
        for question, choices in row["when"].items():
            name = question.removeprefix("__")
            derived = QUESTIONS["_derived"].get(name)
            assert bool(derived or name in QUESTIONS["_recommended"]) == question.startswith("__")
            assert set(choices) < set(derived["answer"].values() if derived else QUESTIONS[name])
    assert [name for name in named if name not in tracked_or_folder] == []
    assert [name for name in QUESTIONS["_renames"] if name not in tracked()] == []


def test_what_follows_from_an_answer_is_what_the_verbs_need() -> None:
    for name, rule in QUESTIONS["_derived"].items():
        assert [CAPABILITIES[name].question] == rule["by"]
        assert {answer for answer, value in rule["answer"].items() if value == "yes"} == CAPABILITIES[name].answers
        assert set(rule["answer"]) == set(QUESTIONS[CAPABILITIES[name].question])


def test_rendering_twice_gives_the_same_bytes(bake: Bake, tmp_path: Path) -> None:
    first = bake(project_slug="one")
    second = bake(project_slug="one2")
    for name in files(first):
        ours = (first / name).read_bytes().replace(b"one2", b"one")
        assert ours == (second / name).read_bytes().replace(b"one2", b"one"), name


@pytest.mark.parametrize("region", REGIONS)
def test_every_region_arrives_in_the_project_unless_it_is_refused(region: str) -> None:
    providers = (
        provider
        for provider in CHOICES["git_provider"]
        if not refusal({"aws_region": region, "git_provider": provider})
    )
    provider = next(providers, None)
    if provider is None:
        assert list(refusals(completed(aws_region=region)))
        return
    answers = {"aws_region": region, "git_provider": provider}
    assert list(refusals(completed(**answers))) == []
    assert yaml.safe_load(text_of("project.yaml", answers))["aws_region"] == region


def test_every_question_but_the_private_ones_is_asked_with_a_label() -> None:
    asked = {name for name in QUESTIONS if not name.startswith("_")}
    assert set(QUESTIONS["__prompts__"]) == asked
    for name, value in QUESTIONS.items():
        if isinstance(value, list) and name in asked:
            assert set(QUESTIONS["__prompts__"][name]) == {"__prompt__", *value}


def test_the_label_of_a_choice_begins_with_its_name_for_who_is_asked_by_numbers() -> None:
    asked = [labels for labels in QUESTIONS["__prompts__"].values() if isinstance(labels, dict)]
    labels = [(name, label) for one in asked for name, label in one.items() if name != "__prompt__"]
    assert [label for name, label in labels if not label.startswith(f"{name}: ")] == []


def test_every_answer_and_the_version_stand_in_the_project_as_data(rendering: Bake) -> None:
    written = yaml.safe_load((rendering() / "project.yaml").read_text())
    asked = {name for name in QUESTIONS if not name.startswith("_")}
    assert set(written) == {*asked, "template_version", "recommended", "machinery_sha256"}
    assert written["template_version"] == QUESTIONS["_template_version"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_text_arrives_unchanged_in_valid_files(bake: Bake, kind: str) -> None:
    texts = {question: HOSTILE[kind][: RULES[question]["longest"]] for question in FREE_TEXT}
    project = bake(**texts, project_slug="hostile")
    check_valid(project)
    written = yaml.safe_load((project / "project.yaml").read_text())
    assert {question: written[question] for question in FREE_TEXT} == texts
    assert "<script>" not in (project / "README.md").read_text()


REFUSED = {
    "project_slug": [
        "",
        "ab",
        "x" * 33,
        "Upper",
        "1digit",
        "a--b",
        "-ab",
        "ab-",
        "a_b",
        "a b",
        "ä-b",
        "abc\n",
        "../abc",
        "aws-model",
        "awsds",
        "ssm-model",
    ],
    "project_name": ["", "   ", "# { note", "two\nlines", "tab\there", "bell\a", "x" * 101, "a\u2028b", "\ud800"],
    "project_description": ["", "two\nlines", "x" * 201, "nul\0"],
    "aws_region": ["", "mars-1", "EU-WEST-1", "eu-west-1 ", "us-east"],
}


@pytest.mark.parametrize(("question", "answer"), [(name, answer) for name, all_ in REFUSED.items() for answer in all_])
def test_a_bad_answer_is_refused_with_reason_and_remedy(question: str, answer: str) -> None:
    (said,) = refusals(completed(**{"project_slug": "fine", question: answer}))
    first, *rest = said.splitlines()
    assert first.startswith(f"{question} {answer!r}: ")
    assert [line.strip() for line in rest] == [RULES[question]["why"], RULES[question]["remedy"]]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("project_slug", "Upper"),
        ("project_slug", "../abc"),
        ("project_name", "two\nlines"),
        ("project_name", "\ud800"),
        ("project_description", "nul\0"),
        ("aws_region", "mars-1"),
    ],
)
def test_a_project_of_a_bad_answer_is_not_begun(
    bake: Bake, tmp_path: Path, capfd: pytest.CaptureFixture[str], question: str, answer: str
) -> None:
    answers = {"project_slug": "fine", question: answer}
    with pytest.raises((FailedHookException, UnicodeEncodeError, OSError, ValueError)) as refusal:
        bake(**answers)
    if refusal.type is FailedHookException:
        first, *rest = capfd.readouterr().err.splitlines()
        assert first.startswith(f"{question} ")
        assert [line.strip() for line in rest[:2]] == [RULES[question]["why"], RULES[question]["remedy"]]
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_an_unknown_choice_is_refused(bake: Bake) -> None:
    with pytest.raises(ValueError, match="fortran"):
        bake(framework="fortran")


def test_every_refusal_is_said_at_once(bake: Bake, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(FailedHookException):
        bake(project_slug="A", aws_region="mars", project_description="a\nb")
    error = capfd.readouterr().err
    assert all(name in error for name in ("project_slug", "aws_region", "project_description"))
    assert "has 1 character, fewer than 3" in error


def test_answers_on_the_command_line_are_templates(bake: Bake) -> None:
    # Cookiecutter renders what a caller passes: that is the caller's own code, and SECURITY.md says so.
    project = bake(project_description="<< 7 * 7 >>")
    assert yaml.safe_load((project / "project.yaml").read_text())["project_description"] == "49"


@pytest.mark.parametrize(("typed", "accepted"), [("2 >> 1, {{ x }}", True), ("<< 7 * 7 >>", False)])
def test_typed_answers_are_text_and_refused_when_they_look_like_a_template(
    template: Path, tmp_path: Path, typed: str, accepted: bool
) -> None:
    answers = ["Typed", "", typed, *[""] * (len(QUESTIONS["__prompts__"]) - 3)]
    result = subprocess.run(
        [sys.executable, "-m", "cookiecutter", str(template), "--output-dir", str(tmp_path)],
        input="\n".join(answers) + "\n", env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (result.returncode == 0) == accepted, result.stderr
    if accepted:
        written = yaml.safe_load((tmp_path / "typed/project.yaml").read_text())
        assert written["project_description"] == typed
    else:
        assert "project_description '<< 7 * 7 >>': contains << or # {." in result.stderr
        assert not (tmp_path / "typed").exists()


def test_a_folder_that_exists_is_left_alone(bake: Bake) -> None:
    from cookiecutter.exceptions import OutputDirExistsException

    project = bake()
    (project / "mine.txt").write_text("mine")
    with pytest.raises(OutputDirExistsException):
        bake()
    assert (project / "mine.txt").read_text() == "mine"


def test_exactly_the_files_without_expressions_are_copied_without_rendering() -> None:
    expression = re.compile(rb"cookiecutter\.|# \{% include ")
    rendered = {name for name in tracked() if expression.search((SOURCES / name).read_bytes())}
    copied = {
        name
        for name in tracked()
        for pattern in QUESTIONS["_copy_without_render"]
        if name == pattern or name.startswith(f"{pattern}/")
    }
    assert set(tracked()) - copied == rendered


def test_no_source_holds_our_opening_mark_but_to_name_an_answer() -> None:
    # `cat <<EOF >> file` would render to something else without a word.
    for name in tracked():
        if name.split("/")[0] in QUESTIONS["_copy_without_render"]:
            continue
        text = (SOURCES / name).read_text(encoding="utf-8")
        bound = re.findall(r"# \{% (?:for|set) ([\w, ]+?) (?:in|=) ", text)  # those of loops and of `set`
        known = "|".join([r"cookiecutter\.\w+", "loop", *{each for names in bound for each in names.split(", ")}])
        for expression in re.findall(r"<<(?!<)(.*)", text):
            assert re.match(rf" [^<>]*\b(?:{known})\b[^<>]* >>", expression), (name, expression)


def test_every_pattern_of_files_copied_without_rendering_matches_something() -> None:
    tracked_or_folder = {*tracked(), *(str(parent) for name in tracked() for parent in Path(name).parents)}
    assert set(QUESTIONS["_copy_without_render"]) <= tracked_or_folder


def test_no_file_names_a_registry_or_a_path_of_one_machine() -> None:
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    registry = re.compile(
        rb"https?://(files\.pythonhosted|pypi)\.org|--(extra-)?index-url|file:///|/(home|root|Users)/\w"
    )
    for name in filter(None, listing.stdout.decode().split("\0")):
        path = ROOT / name
        if path.is_file() and path != Path(__file__):
            assert not registry.search(path.read_bytes()), name


@pytest.mark.parametrize(
    ("framework", "scope"), list(itertools.product(CHOICES["framework"], ["training", "inference"]))
)
def test_every_region_has_the_framework_s_image(framework: str, scope: str) -> None:
    from sagemaker.core import image_uris

    image = yaml.safe_load((SOURCES / f"config/images/{framework}.yaml").read_text())
    version = str(image.get(scope, image)["version"])
    registries = image_uris.config_for_framework(framework)[scope]["versions"][version]["registries"]
    offered = {name for name in registries if not name.startswith(("cn-", "us-gov-", "us-iso", "eusc-"))}
    assert set(REGIONS) <= offered
    if framework == "xgboost":
        assert set(REGIONS) == offered


@pytest.mark.parametrize("version", ["2.5.0", "2.6.0"])
def test_a_cookiecutter_that_is_too_old_is_told_so(template: Path, tmp_path: Path, version: str) -> None:
    # An old cookiecutter kept its version in a file; the hook sees it as its own interpreter's package would be.
    package = tmp_path / "cookiecutter"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "VERSION.txt").write_text(f"{version}\n")
    result = subprocess.run(
        [sys.executable, str(template / "hooks/pre_gen_project.py")],
        cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 1
    assert result.stderr.startswith(f"cookiecutter {version} is too old.\n  Install 2.7 or newer")


def test_the_decoy_for_cruft_is_never_taken_for_the_project(template: Path, tmp_path: Path) -> None:
    decoy = tmp_path / "{{cookiecutter.needs_cookiecutter_2_7}}"
    decoy.mkdir()
    result = subprocess.run(
        [sys.executable, "-S", str(template / "hooks/pre_gen_project.py")],
        cwd=decoy, env={}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 1
    assert "too old" in result.stderr
