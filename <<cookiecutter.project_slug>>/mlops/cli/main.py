"""Dispatch a command line to its verb, and turn errors into messages and exit codes."""

import ast
import importlib
import re
import signal
import sys
from argparse import ArgumentParser
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

from mlops.base.commands import MLOPS
from mlops.base.environments import LOCAL
from mlops.base.errors import MlopsError, UsageError, did_you_mean
from mlops.project.capabilities import lack

INTERRUPTED = 130

_OWN_PACKAGES = ("mlops", "modelkit", "model")

_VERBS = Path(__file__).with_name("verbs")
_ANSWER = re.compile(r'^(\w+): "([^"]*)"$', re.MULTILINE)


def main(arguments: list[str]) -> int:
    """Run one verb and return its exit status: 0 success, 1 failure, 2 bad arguments, 130 interrupted."""
    try:
        return _run(arguments)
    except MlopsError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] in _OWN_PACKAGES:
            raise
        print(f"error: {_not_installed(error)}", file=sys.stderr)
        return UsageError.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # the pipe is closed: keep Python from failing once more at exit
        return 1
    except OSError as error:
        file = f": {error.filename}" if error.filename else ""
        print(f"error: {error.strerror or error}{file}", file=sys.stderr)
        return 1


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_overview())
        return 0 if arguments else 2
    if arguments[0] == "--version":
        return _version()
    name, *rest = arguments
    path = _VERBS / f"{name}.py"
    if name.startswith("_") or not path.is_file():
        known = [path.stem for path in _VERBS.glob("[!_]*.py")]
        print(f"Unknown verb {name!r}. {did_you_mean(name, known)}".rstrip() + f"\n\n{_overview()}", file=sys.stderr)
        return 2
    from mlops.project.project import Project  # the overview needs none of these
    from mlops.project.target import Target

    if not {"-h", "--help"} & set(rest) and (reason := lack(Project.here().answers, _Verb.read(path).needs)):
        raise UsageError(reason, f"`{name}` does not apply to this project; `{MLOPS} --help` lists the verbs that do.")
    verb = importlib.import_module(f"mlops.cli.verbs.{name}")
    parser = ArgumentParser(prog=f"python -m mlops {name}", description=(verb.__doc__ or "").strip())
    verb.add_arguments(parser)
    options = parser.parse_args(rest)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup ignores SIGHUP
            signal.signal(number, _interrupt)
    _refuse_undecodable(rest)
    target = Target(Project.here(), getattr(options, "environment", LOCAL))
    status: int = verb.run(target, options)
    return status


def _version() -> int:
    """Print the release and the changes made to its machinery; return 1 if there are any."""
    from mlops.project import machinery
    from mlops.project.project import Project

    project = Project.here()
    differences = machinery.compare(project)
    state = "differs from the release:" if differences else "matches the release."
    print(f"release {project.answer('template_version')}, machinery sha256 {project.answer(machinery.DIGEST)}")
    print(f"The machinery ({', '.join(machinery.FOLDERS)}) {state}")
    if differences:
        print(differences)
    return int(bool(differences))


def _not_installed(error: ModuleNotFoundError) -> UsageError:
    """Return the error for a verb that runs in an environment other than the project's."""
    return UsageError(
        f"{sys.executable} does not have the package {error.name}.",
        f"Run `make setup`, then use the Python of the project: {MLOPS} VERB",
    )


def _refuse_undecodable(arguments: list[str]) -> None:
    for argument in arguments:
        if not argument.isascii() and argument != argument.encode(errors="replace").decode():
            raise UsageError(f"The argument {argument!r} is not UTF-8 text.")


def verbs_of(answers: Mapping[str, str]) -> dict[str, str]:
    """Return the summaries of the verbs that apply to a project, by name.

    Args:
        answers: The answers that the project was generated with; empty for all verbs.
    """
    verbs = {path.stem: _Verb.read(path) for path in sorted(_VERBS.glob("[!_]*.py"))}
    return {name: verb.summary for name, verb in verbs.items() if not answers or not lack(answers, verb.needs)}


def _overview() -> str:
    verbs = verbs_of(_answers(Path("project.yaml")))
    return "\n".join(
        [
            "usage: python -m mlops VERB [options]",
            "",
            *(f"  {name:<10}{summary}" for name, summary in verbs.items()),
            "",
            "`python -m mlops VERB --help` describes a verb, `python -m mlops --version` the release.",
        ]
    )


@dataclass(frozen=True)
class _Verb:
    """A verb's summary and needs, parsed from its module: importing some modules takes a second."""

    summary: str
    needs: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> "_Verb":
        summary, needs = "", ()
        for statement in ast.parse(path.read_text(encoding="utf-8")).body:
            match statement:
                case ast.Expr(ast.Constant(str(text))):
                    summary = text.strip().partition("\n")[0]
                case ast.Assign([ast.Name("NEEDS")], value):
                    needs = ast.literal_eval(value)
        return cls(summary, needs)


def _answers(path: Path) -> dict[str, str]:
    """Read the answers in `project.yaml`, one per line: importing a YAML parser would double the overview's time."""
    return dict(_ANSWER.findall(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
