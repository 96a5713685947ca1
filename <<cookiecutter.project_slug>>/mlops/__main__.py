"""`python -m mlops VERB`: everything a project can do."""

import importlib
import pkgutil
import signal
import sys
from argparse import ArgumentParser
from difflib import get_close_matches
from types import FrameType, ModuleType
from typing import NoReturn

from mlops import verbs
from mlops.errors import MlopsError
from mlops.project import Project

INTERRUPTED = 130


def main(arguments: list[str]) -> int:
    """Run one verb and return its exit status: 0 success, 1 failure, 2 bad arguments, 130 interrupted."""
    names = sorted(module.name for module in pkgutil.iter_modules(verbs.__path__))
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_overview(names))
        return 0 if arguments else 2
    name, *rest = arguments
    if name not in names:
        meant = "".join(f" Did you mean {near!r}?" for near in get_close_matches(name, names, 1))
        print(f"There is no verb {name!r}.{meant}\n\n{_overview(names)}", file=sys.stderr)
        return 2
    verb = _load(name)
    description = (verb.__doc__ or "").strip()
    parser = ArgumentParser(prog=f"python -m mlops {name}", description=description)
    verb.add_arguments(parser)
    options = parser.parse_args(rest)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup leaves it
            signal.signal(number, _interrupt)
    try:
        _refuse_undecodable(rest)
        status: int = verb.run(Project.here(), options)
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
    return status


def _refuse_undecodable(arguments: list[str]) -> None:
    for argument in arguments:
        if not argument.isascii() and argument != argument.encode(errors="replace").decode():
            raise MlopsError(f"The argument {argument!r} is not UTF-8 text.", exit_code=2)


def _load(name: str) -> ModuleType:
    return importlib.import_module(f"mlops.verbs.{name}")


def _overview(names: list[str]) -> str:
    lines = [f"  {name:<10}{(_load(name).__doc__ or '').strip().splitlines()[0]}" for name in names]
    return "\n".join(
        ["usage: python -m mlops VERB [options]", "", *lines, "", "`python -m mlops VERB --help` says more."]
    )


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
