"""The folder of one job, which takes the place of its container's `/opt/ml`."""

import json
import re
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlops.base.files import below, unwritable

CONTAINER_ROOT = "/opt/ml"

_DRIVERS = "input/data/sm_drivers"
_NO_INSTALL = "Local run: packages come from the project's environment, nothing is installed."


@dataclass(frozen=True)
class Sandbox:
    """The folder of one job.

    Attributes:
        folder: The folder; `/opt/ml` of the job is `<folder>/opt/ml`. Its path needs no quoting.
    """

    folder: Path

    @property
    def root(self) -> str:
        """The path that replaces `/opt/ml`."""
        return f"{self.folder}{CONTAINER_ROOT}"

    @property
    def log(self) -> Path:
        """The file of the job's output."""
        return self.folder / "job.log"

    @property
    def temporary(self) -> Path:
        """The job's folder for temporary files."""
        return self.folder / "tmp"

    @property
    def programs(self) -> Path:
        """The first folder on the job's PATH."""
        return self.folder / "bin"

    def write_programs(self, python: Path) -> None:
        """Put an interpreter, and a pip that installs nothing, first on the job's PATH.

        The SDK's training driver does not quote the path of the interpreter, and requires a pip.
        """
        self.programs.mkdir(exist_ok=True)
        lines = {"python3": f'exec {shlex.quote(str(python))} "$@"', "pip3": f"echo {shlex.quote(_NO_INSTALL)}"}
        for name, line in lines.items():
            program = self.programs / name
            program.write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
            program.chmod(0o755)

    def path(self, container_path: str) -> Path:
        """Return the local path of a path in the container.

        Raises:
            MlopsError: It leads out of the container.
        """
        return below(self.folder, container_path.lstrip("/"))

    def rewrite(self, text: str) -> str:
        """Return `text` with `/opt/ml` replaced by this folder in every path."""
        return re.sub(rf"(?<![\w.-]){CONTAINER_ROOT}(?=/|\b)", lambda _: self.root, text)

    def clear(self) -> None:
        """Remove the files of a job, whose results are in the store if it succeeded; keep log, request and command."""
        for folder in (self.folder / CONTAINER_ROOT.split("/")[1], self.temporary, self.programs):
            shutil.rmtree(folder, ignore_errors=True)

    def write(self, name: str, value: object) -> None:
        """Write a JSON file below `/opt/ml`."""
        path = self.path(f"{CONTAINER_ROOT}/{name}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(value), encoding="utf-8")
        except OSError as error:
            raise unwritable(path, error) from error

    def adapt_drivers(self) -> None:
        """Rewrite the paths in the driver scripts that the SDK's ModelTrainer uploads as a channel."""
        drivers = self.path(f"{CONTAINER_ROOT}/{_DRIVERS}")
        for path in drivers.rglob("*"):
            if path.suffix in (".py", ".sh", ".json") and path.is_file():
                installs = path.name == "install_requirements.py"
                path.write_text(f"print({_NO_INSTALL!r})\n" if installs else self.rewrite(path.read_text()))

    def write_command(
        self, command: list[str], environment: Mapping[str, str], restage: list[str], project: Path
    ) -> None:
        """Write a script that repeats this job alone, on the same inputs.

        Args:
            command: The job's command.
            environment: Its environment.
            restage: The command that puts back the files of a job that succeeded.
            project: The folder of the project, to run that in.
        """
        lines = []
        link, target = self.folder.parent, self.folder.parent.resolve()
        if link != target:
            lines.append(f"mkdir -p {link.parent} && ln -sfn {shlex.quote(str(target))} {link}")
        lines.append(f"[ -e {self.root} ] || (cd {shlex.quote(str(project))} && {shlex.join(restage)}) || exit")
        lines += [f"export {key}={shlex.quote(value)}" for key, value in environment.items()]
        script = ["#!/bin/sh", *lines, f"cd {shlex.quote(str(self.folder))}", f"exec {shlex.join(command)}", ""]
        (self.folder / "command.sh").write_text("\n".join(script), encoding="utf-8")
