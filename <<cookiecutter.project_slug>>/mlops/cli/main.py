"""The command line: finds a verb, makes its target, and turns errors into messages and exit codes."""

import ast
import importlib
import signal
import sys
from argparse import ArgumentParser
from difflib import get_close_matches
from pathlib import Path
from types import FrameType
from typing import NoReturn

from mlops.base.environments import LOCAL
from mlops.base.errors import MlopsError, UsageError

INTERRUPTED = 130

_VERBS = Path(__file__).with_name("verbs")


def main(arguments: list[str]) -> int:
    """Run one verb and return its exit status: 0 success, 1 failure, 2 bad arguments, 130 interrupted."""
    try:
        return _run(arguments)
    except MlopsError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone: nothing more to say
        return 1
    except OSError as error:
        print(f"error: {error.strerror or error}: {error.filename or 'no file named'}", file=sys.stderr)
        return 1


def _run(arguments: list[str]) -> int:
    names = sorted(path.stem for path in _VERBS.glob("[!_]*.py"))
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_overview(names))
        return 0 if arguments else 2
    name, *rest = arguments
    if name not in names:
        meant = "".join(f" Did you mean {near!r}?" for near in get_close_matches(name, names, 1))
        print(f"There is no verb {name!r}.{meant}\n\n{_overview(names)}", file=sys.stderr)
        return 2
    from mlops.project.project import Project  # the overview does without these
    from mlops.project.target import Target

    verb = importlib.import_module(f"mlops.cli.verbs.{name}")
    parser = ArgumentParser(prog=f"python -m mlops {name}", description=(verb.__doc__ or "").strip())
    verb.add_arguments(parser)
    options = parser.parse_args(rest)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup leaves it
            signal.signal(number, _interrupt)
    _refuse_undecodable(rest)
    target = Target(Project.here(), getattr(options, "environment", LOCAL))
    status: int = verb.run(target, options)
    return status


def _refuse_undecodable(arguments: list[str]) -> None:
    for argument in arguments:
        if not argument.isascii() and argument != argument.encode(errors="replace").decode():
            raise UsageError(f"The argument {argument!r} is not UTF-8 text.")


def _overview(names: list[str]) -> str:
    """What each verb does: the first line of its module, which is not imported, since some take a second."""
    lines = [f"  {name:<10}{_summary(_VERBS / f'{name}.py')}" for name in names]
    return "\n".join(
        ["usage: python -m mlops VERB [options]", "", *lines, "", "`python -m mlops VERB --help` says more."]
    )


def _summary(module: Path) -> str:
    match ast.parse(module.read_text(encoding="utf-8")).body:
        case [ast.Expr(ast.Constant(str(text))), *_]:
            return text.strip().partition("\n")[0]
    return ""


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
