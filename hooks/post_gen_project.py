"""Remove the files of options that were not chosen, rename those of chosen ones, and record the machinery's digest.

The files and folders are listed in cookiecutter.json (`_belongs_to`, `_renames`, `_machinery`). Cookiecutter renders
this file, so that the answers enter it as JSON text; it runs with cookiecutter's Python: import only the standard
library, and only modules that load fast.
"""

import sys

if __name__ == "__main__":
    # This file runs in the folder of temporary files, which others may write to: import nothing from there.
    del sys.path[0]

import hashlib
import json
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ANSWERS = r"""<< cookiecutter | tojson >>"""


def arrange(answers: "dict[str, Any]") -> None:
    """Remove and rename files of the rendered project, the working folder, according to its answers.

    Raises:
        OSError: The folder cannot be changed.
    """
    for name in left_out(answers):
        remove(name)
    for name, new_name in answers["_renames"].items():
        if os.path.exists(name):
            os.rename(name, new_name)
            if not os.listdir(os.path.dirname(name) or "."):
                os.rmdir(os.path.dirname(name))


def left_out(answers: "dict[str, Any]") -> set[str]:
    """Return the files and folders that belong only to other answers: no row of the table that lists them applies."""
    stays: set[str] = set()
    goes: set[str] = set()
    for row in answers["_belongs_to"]:
        applies = all(answers[question] in choices for question, choices in row["when"].items())
        (stays if applies else goes).update(row["files"])
    return goes - stays


def record_machinery(folders: list[str]) -> None:
    """Write the digests of the machinery's files to locks/machinery.txt, and the digest of that file to project.yaml.

    The digest is that of `find <folders> -type f | LC_ALL=C sort | xargs sha256sum`.

    Raises:
        OSError: A file cannot be read or written.
    """
    names = sorted(
        f"{path}/{name}".replace(os.sep, "/")
        for folder in folders
        for path, _, files in os.walk(folder)
        for name in files
    )
    manifest = "".join(f"{sha256_of_file(name)}  {name}\n" for name in names).encode()
    with open("locks/machinery.txt", "wb") as file:
        file.write(manifest)
    with open("project.yaml", "a", encoding="utf-8", newline="\n") as answers:
        answers.write("# SHA-256 of locks/machinery.txt, which `python -m mlops --version` checks.\n")
        answers.write(f'machinery_sha256: "{hashlib.sha256(manifest).hexdigest()}"\n')


def sha256_of_file(name: str) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with open(name, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def remove(name: str) -> None:
    """Remove a file, or a folder with its contents, if it exists."""
    if os.path.isdir(name) and not os.path.islink(name):
        for entry in os.listdir(name):
            remove(f"{name}/{entry}")
        os.rmdir(name)
    elif os.path.exists(name):
        os.remove(name)


def main() -> int:
    """Arrange the project in the working folder and print the next step."""
    answers = json.loads(ANSWERS)
    arrange(answers)
    record_machinery(answers["_machinery"])
    slug = answers["project_slug"]
    print(f"{slug}/ is ready. Next: cd {slug} && make setup; its README.md explains the rest.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
