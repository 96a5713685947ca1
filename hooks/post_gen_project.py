"""Leave out what belongs to choices that were not made, and give what was chosen its name.

Which files and folders these are stands in cookiecutter.json (`_belongs_to`, `_renames`). Cookiecutter renders this
file, so that the answers enter it as JSON text; it runs with whatever Python runs cookiecutter: standard library only.
"""

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
    print(f"{answers['project_slug']}/ is ready. Go on as its README.md says, beginning with make setup.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
