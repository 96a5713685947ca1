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
    for question, choices in answers["_belongs_to"].items():
        for choice, names in choices.items():
            if answers[question] != choice:
                for name in names:
                    remove(project / name)
    for name, new_name in answers["_renames"].items():
        path = project / name
        if path.exists():
            path.rename(project / new_name)
            if not any(path.parent.iterdir()):
                path.parent.rmdir()


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
    print(f"{answers['project_slug']}/ is ready. Go on as its README.md says: make setup, make run.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
