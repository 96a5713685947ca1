"""Convert the configuration of release 0.4.0, once, while you upgrade: see the changelog of the template.

It reads your files from git and puts your values and comments into the files in config/ that this release generated.
Every environment keeps its settings. If a value has no place, the message names it and nothing is changed.
"""

import subprocess
from argparse import ArgumentParser, Namespace

from mlops.base.errors import UsageError
from mlops.base.files import write_text
from mlops.project.configuration import BASE, FOLDER, file_of
from mlops.project.conversion import convert
from mlops.project.project import Project
from mlops.project.target import Target


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument(
        "commit",
        help="the commit that returned the project to how it was generated; your files are read from its parent",
    )


def run(target: Target, options: Namespace) -> int:
    """Convert the files in config/."""
    project = target.project
    old, generated = _files(project, f"{options.commit}^"), _files(project, options.commit)
    if not old or BASE.stem in old:
        raise UsageError(
            f"{options.commit}^ holds no configuration of release 0.4.0.",
            "Name the commit that returned the project to how it was generated.",
        )
    new = {path.stem: path.read_text(encoding="utf-8") for path in (project.root / FOLDER).glob("*.yaml")}
    if BASE.stem not in new:
        raise UsageError(f"No {BASE} in {project.root}.", "Update the project to this release first.")
    # An environment of the owner's own has no generated file.
    new = {name: "" if text == old.get(name) else text for name, text in new.items()}
    done = convert({name: text for name, text in old.items() if name in new}, generated, new, project.readers)
    for name, text in done.texts.items():
        write_text(project.root / file_of(name), text)
        print(f"{file_of(name)}: {', '.join(done.placed[name]) or 'as generated'}")
    return 0


def _files(project: Project, commit: str) -> dict[str, str]:
    """Return the files in config/ at a commit, by name."""
    names = _git(project, "ls-tree", "--name-only", commit, f"{FOLDER}/").split()
    return {
        name.removeprefix(f"{FOLDER}/").removesuffix(".yaml"): _git(project, "show", f"{commit}:./{name}")
        for name in names
        if name.endswith(".yaml")
    }


def _git(project: Project, *arguments: str) -> str:
    result = subprocess.run(["git", "-C", str(project.root), *arguments], capture_output=True, text=True, check=False)
    if result.returncode:
        raise UsageError(f"git cannot read {arguments[-1]}: {result.stderr.strip()}", "Name a commit of this project.")
    return result.stdout
