"""Environments of rendered projects: one for each framework, made by a project's own `make setup`, kept and shared.

They lie in `.environments`, in projects that were set up from nothing, and are made anew when what they are made from
has changed: the locks, the Makefile, the interpreter. `python -m tests.environments` makes them all.
"""

import ast
import atexit
import functools
import hashlib
import shlex
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from filelock import FileLock

from standin.forkserver import ForkServer, forkserver
from tests.projects import ROOT, SOURCES, copy_template, of_user, rendered

FRAMEWORKS = ("xgboost", "sklearn", "pytorch")
REGION = "eu-west-1"
KEPT = ROOT / ".environments"
NAMES = (".tools", ".venv", ".venv-dev")
_MADE_FROM = ("Makefile", "locks")


@functools.cache
def environments(framework: str) -> Path:
    """A project of a framework that was set up from nothing, in a folder with a blank in its name. Do not change it."""
    folder = KEPT / f"{framework} project"
    with FileLock(KEPT / f"{framework}.lock"), tempfile.TemporaryDirectory() as temporary:
        # Rendered as it is now, so that what was made from anything else is noticed.
        project = rendered(copy_template(Path(temporary, "template")), Path(temporary), framework=framework)
        key, made_with = _key(project), folder / "key"
        if not made_with.is_file() or made_with.read_text() != key:
            shutil.rmtree(folder, ignore_errors=True)
            shutil.move(project, folder)
            _set_up(folder)
            made_with.write_text(key)
    return folder


def _key(project: Path) -> str:
    """What tells apart environments that are not the same."""
    digest = hashlib.sha256(f"{sys.version} {sys.base_prefix} {KEPT}".encode())
    for name in _MADE_FROM:
        path = project / name
        for file in [path] if path.is_file() else sorted(path.rglob("*.txt")):
            digest.update(f"{file.relative_to(project)}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def _set_up(folder: Path) -> None:
    result = subprocess.run(
        ["make", "setup", f"PYTHON={sys.base_prefix}/bin/python3"],
        cwd=folder, env=of_user(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if result.returncode:
        raise RuntimeError(f"make setup failed in {folder}:\n{result.stdout}{result.stderr}")


def give(project: Path, framework: str = "xgboost", *, warm: bool = True) -> Path:
    """Let a project have the environments of its framework, as if it had been set up.

    They hold links, so that what the project does to its own leaves others' alone.

    Args:
        project: The project.
        framework: Its framework.
        warm: Whether its compiler is forked from a process that has imported the SageMaker SDK already.
    """
    source = environments(framework)
    for name in NAMES:
        shutil.rmtree(project / name, ignore_errors=True)
        _link(source / name, project / name)
        (project / name / ".complete").unlink()
        (project / name / ".complete").touch()  # newer than the project's locks
    if warm:
        programs = project / ".venv-dev/bin"
        programs.unlink()
        _link(source / ".venv-dev/bin", programs)
        _warm(programs / "python")
    return project


def _link(source: Path, folder: Path) -> None:
    folder.mkdir()
    for entry in source.iterdir():
        (folder / entry.name).symlink_to(entry)


def _warm(python: Path) -> None:
    """Let an interpreter hand compiling to a process that is warm, and do all else itself."""
    real = python.readlink()
    compiler = shlex.join(_compiler(real).command)
    python.unlink()
    python.write_text(
        "#!/bin/sh\n"
        f'if [ "$1 $2" = "-m mlops.compile" ]; then exec {compiler} "$@"; fi\n'
        f'exec {shlex.quote(str(real))} "$@"\n'
    )
    python.chmod(0o755)


@functools.cache
def _compiler(python: Path) -> ForkServer:
    """A process that has imported of the SageMaker SDK what pipelines and their compiler import."""
    modules: set[str] = set()
    for path in (*SOURCES.glob("pipelines/*.py"), *SOURCES.glob("mlops/compile/*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("sagemaker."):
                modules.add(str(node.module))
    started = forkserver(sorted(modules), python, AWS_DEFAULT_REGION=REGION, PYTHONWARNINGS="ignore")
    ended = ExitStack()
    atexit.register(ended.close)
    return ended.enter_context(started)


if __name__ == "__main__":
    with ProcessPoolExecutor(2) as pool:
        for made in pool.map(environments, FRAMEWORKS):
            print(made.relative_to(ROOT))
