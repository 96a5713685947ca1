"""Leave out what belongs to choices that were not made, give what was chosen its name, and record the machinery.

Which files and folders these are is data in cookiecutter.json (`_belongs_to`, `_renames`, `_machinery`). Cookiecutter
renders this file, so that the answers enter it as JSON text; it runs with the Python that runs cookiecutter: standard
library only.
"""

import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

ANSWERS = r"""<< cookiecutter | tojson >>"""


def arrange(project: Path, answers: dict[str, Any]) -> None:
    """Remove and rename in a rendered project what its answers ask for.

    Raises:
        OSError: The folder cannot be changed.
    """
    for name in left_out(answers):
        remove(project / name)
    for name, new_name in answers["_renames"].items():
        path = project / name
        if path.exists():
            path.rename(project / new_name)
            if not any(path.parent.iterdir()):
                path.parent.rmdir()


def left_out(answers: dict[str, Any]) -> set[str]:
    """The files and folders that belong to other answers: they stand in rows of the table, none of which applies."""
    stays: set[str] = set()
    goes: set[str] = set()
    for row in answers["_belongs_to"]:
        applies = all(answers[question] in choices for question, choices in row["when"].items())
        (stays if applies else goes).update(row["files"])
    return goes - stays


def record_machinery(project: Path, folders: list[str]) -> None:
    """Write digest and name of each file of the machinery to locks/machinery.txt, and its digest to project.yaml.

    The digest is that of `find <folders> -type f | LC_ALL=C sort | xargs sha256sum`.

    Raises:
        OSError: A file cannot be read or written.
    """
    paths = [path for folder in folders for path in (project / folder).rglob("*") if path.is_file()]
    names = {path.relative_to(project).as_posix(): path for path in paths}
    lines = [f"{hashlib.sha256(names[name].read_bytes()).hexdigest()}  {name}\n" for name in sorted(names)]
    manifest = "".join(lines).encode()
    (project / "locks" / "machinery.txt").write_bytes(manifest)
    with (project / "project.yaml").open("a", encoding="utf-8", newline="\n") as answers:
        answers.write("# SHA-256 of locks/machinery.txt, which `python -m mlops --version` checks.\n")
        answers.write(f'machinery_sha256: "{hashlib.sha256(manifest).hexdigest()}"\n')


def remove(path: Path) -> None:
    """Remove a file, or a folder and all that is in it, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def main() -> int:
    """Arrange the project in the working folder and say how to go on."""
    answers = json.loads(ANSWERS)
    arrange(Path.cwd(), answers)
    record_machinery(Path.cwd(), answers["_machinery"])
    slug = answers["project_slug"]
    print(f"{slug}/ is ready. Next: cd {slug} && make setup; its README.md explains the rest.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
