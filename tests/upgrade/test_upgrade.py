"""cruft renders what cookiecutter renders, and projects of former releases come over to this one."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.projects import ROOT, SLUG, Bake

pytestmark = pytest.mark.slow

STEPS = """
git switch --create upgrade
git checkout $(git rev-list --max-parents=0 HEAD) -- .
git commit --allow-empty --message "The project as it was generated"
pipx run cruft update --skip-apply-ask --checkout v0.4.0
git add --all
git commit --allow-empty --amend --no-edit
pipx run cruft update --skip-apply-ask
git add --all
git commit --message "The new release of the template"
git revert --no-commit HEAD~1
git restore --source HEAD --staged --worktree mlops modelkit ':(glob)config/*.yaml'
.venv/bin/python -m mlops convert HEAD~1
git add --all
git commit --allow-empty --message "Our edits"
"""
"""How a project of release 0.4.0 comes over: the steps of the changelog, less `make setup`.

The template is updated below the project as release 0.4.0 generates it, which nothing conflicts with; then git merges
the owner's edits into the result. Machinery and configuration are not merged: `convert` brings the latter's values.
"""

IDENTITY = {
    f"GIT_{role}_{field}": value
    for role in ("AUTHOR", "COMMITTER")
    for field, value in (("NAME", "Test"), ("EMAIL", "test@example.com"))
}


def git(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, **IDENTITY}
    return subprocess.run(
        ["git", *arguments], cwd=folder, env=environment, check=True, capture_output=True, text=True
    ).stdout.strip()


def cruft(folder: Path, *arguments: str) -> str:
    result = subprocess.run(
        [sys.executable, "-m", "cruft", *arguments],
        cwd=folder, env={**os.environ, **IDENTITY, "HOME": str(folder)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def releases(repository: Path) -> dict[str, str]:
    """The commit of each release by version, oldest first: those that change `_template_version`."""
    found: dict[str, str] = {}
    before = "0.0.0"
    for commit in git(repository, "log", "--reverse", "--format=%H", "--", "cookiecutter.json").split():
        content = json.loads(git(repository, "show", f"{commit}:cookiecutter.json"))
        version = content["_template_version"]
        if version != before:
            found[version] = commit
        before = version
    return found


def take_over(project: Path) -> None:
    """Bring a project over to the working tree; the fixture `repository` is what it was made from."""
    environment = {**os.environ, **IDENTITY, "HOME": str(project)}
    environment.pop("PYTHONPATH", None)
    for step in STEPS.strip().splitlines():
        command = step.replace(".venv/bin/python", f"'{sys.executable}'")
        command = command.replace("pipx run cruft", f"'{sys.executable}' -m cruft")
        done = subprocess.run(
            ["bash", "-c", command], cwd=project, env=environment, capture_output=True, text=True, check=False
        )
        # It reports what it cannot merge of machinery and configuration, which the step after it sets right.
        assert done.returncode == 0 or step.startswith("git revert"), step + done.stdout + done.stderr
    assert git(project, "status", "--porcelain") == ""
    assert not list(project.rglob("*.rej"))
    assert git(project, "diff", "--check", git(project, "hash-object", "-t", "tree", os.devnull), "HEAD") == ""


@pytest.fixture
def repository(template: Path, tmp_path: Path) -> Path:
    """A clone with the whole history, releases tagged, and what is not committed yet as its newest commit."""
    assert git(ROOT, "rev-parse", "--is-shallow-repository") == "false", "fetch the history: git fetch --unshallow"
    clone = tmp_path / "template"
    git(tmp_path, "clone", "--quiet", f"{ROOT}/.git", str(clone))
    for version, commit in releases(clone).items():
        git(clone, "tag", "--force", f"v{version}", commit)
    for path in clone.iterdir():
        if path.name != ".git":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copytree(template, clone, dirs_exist_ok=True)
    git(clone, "add", "--all")
    if git(clone, "status", "--porcelain"):
        git(clone, "commit", "--quiet", "-m", "the working tree")
    return clone


def files(project: Path) -> dict[str, bytes]:
    return {
        path.relative_to(project).as_posix(): path.read_bytes()
        for path in project.rglob("*")
        if path.is_file() and path.name != ".cruft.json" and ".git" not in path.relative_to(project).parts
    }


def test_cruft_and_cookiecutter_render_the_same_bytes(rendering: Bake, repository: Path, tmp_path: Path) -> None:
    cruft(tmp_path, "create", str(repository), "--no-input", "--output-dir", str(tmp_path / "cruft"))
    assert files(tmp_path / "cruft" / SLUG) == files(rendering())


def start(repository: Path, folder: Path, version: str) -> Path:
    """A project made from a release, with edits of its owner committed."""
    cruft(folder, "create", str(repository), "--no-input", "--checkout", f"v{version}")
    project = folder / SLUG
    git(project, "init", "--quiet")
    git(project, "add", ".")
    git(project, "commit", "--quiet", "-m", "the untouched output")
    for config in (project / "config").glob("*.yaml"):
        config.write_text(config.read_text().replace("min_auc: 0.70", "min_auc: 0.71"))
    assert git(project, "diff", "--name-only")
    (project / "docs/notes.md").write_text("ours\n")
    git(project, "add", ".")
    git(project, "commit", "--quiet", "-m", "our edits")
    return project


def check_upgraded(project: Path, fresh: dict[str, bytes], *kept: tuple[bytes, bytes]) -> None:
    """The project is what the new release renders, with its owner's edits and the values that it kept."""
    upgraded = files(project)
    assert set(upgraded) == {*fresh, "docs/notes.md"}
    assert {name for name, content in fresh.items() if upgraded[name] != content} == {"config/base.yaml"}
    expected = fresh["config/base.yaml"]
    for generated, value in ((b"min_auc: 0.70", b"min_auc: 0.71"), *kept):
        assert expected.count(generated) == 1
        expected = expected.replace(generated, value)
    assert upgraded["config/base.yaml"] == expected
    assert upgraded["docs/notes.md"] == b"ours\n"
    assert "up to date" in cruft(project, "check")


def test_a_project_of_the_first_release_takes_over_this_one_and_keeps_its_edits(
    rendering: Bake, repository: Path, tmp_path: Path
) -> None:
    project = start(repository, tmp_path, next(iter(releases(repository))))
    cruft(project, "update", "--skip-apply-ask", "--checkout", "v0.4.0")
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "-m", "release 0.4.0")
    take_over(project)
    check_upgraded(project, files(rendering()), (b"max_payload_mb: 25", b"max_payload_mb: 6"))


def test_a_project_of_this_release_takes_over_a_later_one_and_keeps_its_edits(repository: Path, tmp_path: Path) -> None:
    version = list(releases(repository))[-1]
    git(repository, "tag", "--force", f"v{version}")
    project = start(repository, tmp_path, version)
    sources = repository / "<<cookiecutter.project_slug>>"
    questions = repository / "cookiecutter.json"
    questions.write_text(
        questions.read_text().replace(f'"_template_version": "{version}"', '"_template_version": "99.0.0"')
    )
    config = sources / "config/base.yaml"
    config.write_text(config.read_text().replace("max_depth: ", "max_depth: 1"))
    (sources / "mlops/cli/verbs/new.py").write_text('"""A new verb."""\n')
    (sources / "mlops/cli/verbs/runs.py").unlink()
    errors = sources / "mlops/base/errors.py"
    errors.write_text(errors.read_text() + "\n# changed\n")
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "-m", "release 99.0.0")
    cruft(project, "update", "--skip-apply-ask")
    cruft(tmp_path, "create", str(repository), "--no-input", "--output-dir", str(tmp_path / "fresh"))
    fresh = files(tmp_path / "fresh" / SLUG)
    assert b"99.0.0" in fresh["project.yaml"]
    assert "mlops/cli/verbs/new.py" in fresh
    assert "mlops/cli/verbs/runs.py" not in fresh
    assert not list(project.rglob("*.rej"))
    check_upgraded(project, fresh)


def test_a_project_made_with_plain_cookiecutter_can_be_linked_and_upgraded(
    bake: Bake, repository: Path, tmp_path: Path
) -> None:
    version = list(releases(repository))[-1]
    git(repository, "tag", "--force", f"v{version}")
    project = bake()
    git(project, "init", "--quiet")
    git(project, "add", ".")
    git(project, "commit", "--quiet", "-m", "the untouched output")
    cruft(project, "link", str(repository), "--checkout", f"v{version}", "--no-input")
    assert "up to date" in cruft(project, "check")
