"""The workflows of GitHub Actions: the template's own, and those of the projects that it renders.

Tags and branches of actions can be moved to other code, so actions are named by commit; see GitHub's page "Security
hardening for GitHub Actions" for this and the other rules.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.answers import each_set_of_answers
from tests.projects import ROOT, Bake

COMMIT = re.compile(r"[^@\s]+@[0-9a-f]{40}")
DIGEST = re.compile(r"docker://[^@\s]+@sha256:[0-9a-f]{64}")
VERSION = re.compile(r"# v\d+\.\d+\.\d+")
PERMISSIONS: tuple[dict[str, str], ...] = ({}, {"contents": "read"})
TRIGGERS = {"push", "pull_request", "schedule", "workflow_dispatch"}
"""Not pull_request_target and workflow_run, which run with secrets on what a stranger sent."""

GOOD = f"""
on:
  pull_request:
permissions:
  contents: read
jobs:
  test:
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@{"0" * 40} # v5.1.0
        with:
          persist-credentials: false
      - uses: docker://debian@sha256:{"0" * 64} # v12.0.0
      - uses: ./.github/actions/set-up
      - run: make "$TARGET"
        env:
          TARGET: ${{{{ github.head_ref }}}}
"""


def files(folder: Path) -> list[Path]:
    """What GitHub runs from a repository: its workflows, and actions of its own."""
    workflows = (folder / ".github").rglob("*.y*ml") if (folder / ".github").is_dir() else ()
    actions = [
        path
        for name in ("action.yml", "action.yaml")
        for place in (name, f"[!.]*/**/{name}")
        for path in folder.glob(place)
    ]
    return sorted([*workflows, *actions])


def faults(text: str) -> list[str]:
    """What is unsafe in a workflow or an action."""
    written: dict[Any, Any] = yaml.safe_load(text)
    return [*_unpinned(text, written), *_unsafe_steps(written), *_unsafe_workflow(written)]


def _mappings(node: Any) -> Iterator[dict[Any, Any]]:
    """Each mapping of a document, at any depth."""
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _mappings(child)


def _unpinned(text: str, written: dict[Any, Any]) -> Iterator[str]:
    for used in (str(mapping["uses"]) for mapping in _mappings(written) if "uses" in mapping):
        if used.startswith("./"):
            continue
        if not COMMIT.fullmatch(used) and not DIGEST.fullmatch(used):
            yield f"{used} is not pinned"
        elif not re.search(rf"{re.escape(used)}['\"]? {VERSION.pattern}\s", text):
            yield f"{used} has no comment with its version"


def _unsafe_steps(written: dict[Any, Any]) -> Iterator[str]:
    for step in _mappings(written):
        script = step.get("run") or (step.get("with") or {}).get("script")
        if isinstance(script, str) and "${{" in script:
            yield f"an expression becomes part of the script {script!r}"
        is_checkout = str(step.get("uses")).startswith("actions/checkout@")
        if is_checkout and (step.get("with") or {}).get("persist-credentials") is not False:
            yield "checkout leaves its credentials in the working folder"


def _unsafe_workflow(written: dict[Any, Any]) -> Iterator[str]:
    if "jobs" not in written:
        return
    if written.get("permissions") not in PERMISSIONS:
        yield "the workflow's permissions are not the least"
    yield from (
        f"the permissions of {name} are not the least"
        for name, job in written["jobs"].items()
        if "permissions" in job and job["permissions"] not in PERMISSIONS
    )
    triggers = written[True]  # YAML's `on`
    for name in {triggers} if isinstance(triggers, str) else set(triggers):
        if name not in TRIGGERS:
            yield f"{name} is no safe trigger"


def test_the_template_s_workflows_are_pinned_and_safe() -> None:
    checked = files(ROOT)
    assert ROOT / ".github/workflows/ci.yml" in checked
    assert [(path.name, fault) for path in checked for fault in faults(path.read_text(encoding="utf-8"))] == []


@each_set_of_answers
def test_the_workflows_of_a_project_are_pinned_and_safe(rendering: Bake, answers: dict[str, str]) -> None:
    for path in files(rendering(**answers)):
        assert faults(path.read_text(encoding="utf-8")) == [], path


def test_a_safe_workflow_is_accepted() -> None:
    assert faults(GOOD) == []


@pytest.mark.parametrize(
    ("safe", "unsafe", "fault"),
    [
        (f"checkout@{'0' * 40} # v5.1.0", "checkout@v5", "is not pinned"),
        (f"checkout@{'0' * 40} # v5.1.0", "checkout@main", "is not pinned"),
        (f"checkout@{'0' * 40} # v5.1.0", "checkout # v5.1.0", "is not pinned"),
        (f"checkout@{'0' * 40} # v5.1.0", f"checkout@{'0' * 12} # v5.1.0", "is not pinned"),
        (f"checkout@{'0' * 40} # v5.1.0", f"checkout@{'0' * 40}", "no comment with its version"),
        (f"checkout@{'0' * 40} # v5.1.0", f"checkout@{'0' * 40} # v5", "no comment with its version"),
        (f"debian@sha256:{'0' * 64}", "debian:12", "is not pinned"),
        ("    runs-on: ubuntu-24.04", "    uses: org/repo/.github/workflows/a.yml@main", "is not pinned"),
        ("          persist-credentials: false", "          fetch-depth: 0", "leaves its credentials"),
        ("persist-credentials: false", "persist-credentials: true", "leaves its credentials"),
        ("permissions:\n  contents: read\n", "", "permissions"),
        ("permissions:\n  contents: read\n", "permissions: write-all\n", "permissions"),
        ("    steps:", "    permissions:\n      contents: write\n    steps:", "permissions of test"),
        ('make "$TARGET"', "make ${{ github.head_ref }}", "part of the script"),
        ("  pull_request:\n", "  pull_request_target:\n", "no safe trigger"),
        ("on:\n  pull_request:\n", "on: workflow_run\n", "no safe trigger"),
    ],
)
def test_an_unsafe_workflow_is_refused(safe: str, unsafe: str, fault: str) -> None:
    assert safe in GOOD
    (found,) = faults(GOOD.replace(safe, unsafe))
    assert fault in found


def test_workflows_and_actions_are_found_wherever_github_looks(tmp_path: Path) -> None:
    expected = [".github/actions/a/action.yaml", ".github/workflows/b.yml", "action.yml", "tools/c/action.yml"]
    for name in expected:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [path.relative_to(tmp_path).as_posix() for path in files(tmp_path)] == expected
