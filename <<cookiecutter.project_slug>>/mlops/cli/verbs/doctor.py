"""Check what a deployment needs: settings, credentials, quotas, connection, stacks, keys. Changes nothing.

Prints what is missing in which account, the consequence of ignoring it, and the command that fixes it. Without AWS
credentials, it checks what it can on this machine. Permissions of the credentials are not checked. Returns 1 if
something blocks a deployment.
"""

import json
import textwrap
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator
from datetime import date
from itertools import groupby
from operator import attrgetter

from mlops.cli.console import report
from mlops.deployment.checks.finding import Finding, Level
from mlops.deployment.doctor import Diagnosis, Place, Result, examine
from mlops.project.target import Target

_LABELS = {Level.BLOCKS: "BLOCKS", Level.WARNING: "warning", Level.PENDING: "not yet"}
_INDENT = " " * 11
_WIDTH = 110


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options of `doctor`."""
    parser.add_argument("--environment", dest="only", metavar="NAME", help="check only this environment (default: all)")
    parser.add_argument(
        "--strict", action="store_true", help="return 1 also for warnings, and for checks that could not be made"
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON on standard output")


def run(target: Target, options: Namespace) -> int:
    """Make the checks and print what they find; return 1 if something blocks a deployment."""
    diagnosis = examine(target, options.only, date.today(), report)
    if options.json:
        print(json.dumps(diagnosis.document(), indent=2))
    else:
        print("\n".join(_lines(diagnosis)))
    failing = (Level.BLOCKS, Level.WARNING, Level.NOT_CHECKED) if options.strict else (Level.BLOCKS,)
    return int(bool(diagnosis.at(*failing)))


def _lines(diagnosis: Diagnosis) -> Iterator[str]:
    found = diagnosis.at(Level.BLOCKS, Level.WARNING, Level.PENDING)
    for place, results in groupby(found, key=attrgetter("place")):
        yield _heading(place)
        cost = ""
        for result in results:
            yield from _finding(result.finding, cost)
            cost = result.finding.cost
        yield ""
    yield from _not_checked(diagnosis.at(Level.NOT_CHECKED))
    yield _summary(diagnosis)


def _heading(place: Place) -> str:
    if place == Place():
        return "This project"
    account = f"account {place.account}" if place.account else "account not known"
    return f"{place.environment} ({account})" if place.environment else account.capitalize()


def _finding(found: Finding, cost: str) -> Iterator[str]:
    """Format a finding; the cost is left out if the finding above has the same."""
    yield from _wrapped(found.what, f"  {_LABELS[found.level]:<9}")
    if found.level is not Level.PENDING and found.cost != cost:
        yield from _wrapped(found.cost, _INDENT)
    yield f"{_INDENT}Fix: {found.remedy}"  # on one line, to be copied


def _wrapped(text: str, first: str, indent: str = _INDENT) -> list[str]:
    wrapper = textwrap.TextWrapper(_WIDTH, first, indent, break_on_hyphens=False, break_long_words=False)
    return wrapper.wrap(text)


def _not_checked(results: list[Result]) -> Iterator[str]:
    """Group the checks that were not made by their reason, and reasons by the checks that they prevent."""
    reasons: dict[str, list[Result]] = {}
    for result in results:
        reasons.setdefault(result.finding.what, []).append(result)
    alike: dict[str, list[Result]] = {}
    for its in reasons.values():
        alike.setdefault(_listed(one.check.subject for one in its), []).extend(its)
    for checks, its in alike.items():
        why = " ".join(dict.fromkeys(one.finding.what for one in its))
        yield from _wrapped(f"Not checked: {checks} ({_listed(map(_where, its))}): {why}", "", "  ")
    if results:
        yield ""


def _where(result: Result) -> str:
    return result.place.environment or f"account {result.place.account}"


def _listed(words: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(words))


def _summary(diagnosis: Diagnosis) -> str:
    blocking, warnings = len(diagnosis.at(Level.BLOCKS)), len(diagnosis.at(Level.WARNING))
    skipped = len({result.check.id for result in diagnosis.at(Level.NOT_CHECKED)})
    parts = [
        _counted(blocking, "thing blocks", "things block") + " a deployment"
        if blocking
        else "Nothing blocks a deployment",
        _counted(warnings, "warning", "warnings"),
        *([_counted(skipped, "kind of check was not made", "kinds of checks were not made")] if skipped else ()),
    ]
    return f"{', '.join(parts)}; nothing was changed."


def _counted(count: int, one: str, several: str) -> str:
    return f"{count} {one if count == 1 else several}"
