"""List the registered versions of the model, show one, or compare two."""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mlops.base.environments import LOCAL
from mlops.base.errors import MlopsError, UsageError
from mlops.cli.console import table
from mlops.project.target import Target
from mlops.registry.adapters import live_packages, live_periods, registry_of
from mlops.registry.evaluation import metrics
from mlops.registry.port import Registry
from mlops.registry.versions import LATEST, NOTHING_REGISTERED, TRAIN_ONE, ModelVersion, champion, version_named

if TYPE_CHECKING:
    from mlops.registry.live import Period

_COLUMNS = ("version", "status", "decided", "auc", "accuracy", "data", "commit", "reason")


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options of `models`."""
    parser.add_argument(
        "version", nargs="*", help=f"one version to show, or two to compare: numbers, or `{LATEST}` (default: list all)"
    )
    parser.add_argument("--environment", default=LOCAL, help="environment of the registry (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on standard output")


def run(target: Target, options: Namespace) -> int:
    """Print the selected versions."""
    if len(options.version) > 2:
        raise UsageError("At most two versions can be compared.")
    source = registry_of(target)
    versions = source.versions()
    chosen = [version_named(versions, name) for name in options.version] or versions
    live = live_packages(target)
    periods = live_periods(target) if options.version or options.json else []
    if options.json:
        print(json.dumps([_as_json(source, version, _live_in(version, live), periods) for version in chosen], indent=2))
    elif not chosen:
        print(NOTHING_REGISTERED, TRAIN_ONE)
    elif options.version:
        print("\n".join([_side_by_side(source, chosen), *_was_live(chosen, periods)]))
    else:
        print(_list(source, versions, live))
    return 0


def _live_in(version: ModelVersion, live: Mapping[str, str]) -> list[str]:
    """Return the environments that a version is live in."""
    return [environment for environment, package in live.items() if package == version.arn]


def _was_live(versions: list[ModelVersion], periods: "list[Period]") -> Iterator[str]:
    """Yield when versions were live."""
    for version in versions:
        for period in periods:
            if period.package == version.arn:
                end = f"to {period.end:%Y-%m-%d %H:%M}" if period.end else "until now"
                start = f"{period.start:%Y-%m-%d %H:%M}"
                yield f"version {version.version} was live in {period.environment} from {start} {end}"


def _as_json(source: Registry, version: ModelVersion, live_in: list[str], periods: "list[Period]") -> dict[str, Any]:
    return {
        "version": version.version,
        "arn": version.arn,
        "status": version.status,
        "live": live_in,
        "was_live": [
            {
                "environment": period.environment,
                "from": period.start.isoformat(),
                "to": period.end.isoformat() if period.end else None,
            }
            for period in periods
            if period.package == version.arn
        ],
        "created": version.created.isoformat(),
        "decided": version.decided.isoformat() if version.decided else None,
        "comment": version.comment,
        "model_uri": version.model_uri,
        "metrics": metrics(source, version),
        "metadata": dict(version.metadata),
    }


def _list(source: Registry, versions: list[ModelVersion], live: Mapping[str, str]) -> str:
    best = champion(versions)
    rows: list[tuple[str, ...]] = [(*_COLUMNS, *(["live"] if live else []))]
    for version in reversed(versions):
        figures = metrics(source, version)
        rows.append(
            (
                f"{version.version}{' *' if best and version.version == best.version else ''}",
                version.status,
                f"{version.decided:%Y-%m-%d %H:%M}" if version.decided else "",
                *(f"{figures[name]:.4f}" if name in figures else "?" for name in ("auc", "accuracy")),
                version.metadata.get("DataVersion", ""),
                _short(version.metadata.get("GitCommit", "")),
                version.metadata.get("RunReason", ""),
                ", ".join(_live_in(version, live)),
            )
        )
    note = "\n* is the champion: the version in use, and the one that new versions are compared with." if best else ""
    return table(rows) + note


def _short(commit: str) -> str:
    """Return the abbreviated commit, with its mark of uncommitted changes."""
    digits, *changed = commit.split("-")
    return "-".join((digits[:8], *changed))


def _side_by_side(source: Registry, versions: list[ModelVersion]) -> str:
    titles = tuple(f"version {version.version}" for version in versions)
    figures = [metrics(source, version) for version in versions]
    measured: list[tuple[str, ...]] = [("", *titles, *(["difference"] if len(versions) > 1 else []))]
    for name in figures[0] | figures[-1]:
        row = [name, *(f"{figure[name]:.4f}" if name in figure else "?" for figure in figures)]
        if len(figures) > 1 and "?" not in row:
            row.append(f"{figures[1][name] - figures[0][name]:+.4f}")
        measured.append(tuple(row))
    facts: list[tuple[str, ...]] = [("", *titles)]
    facts += [(name, *(getattr(version, name) for version in versions)) for name in ("status", "comment")]
    same = []
    for name in dict(versions[0].metadata) | dict(versions[-1].metadata):
        values = [version.metadata.get(name, "") for version in versions]
        if len(values) > 1 and len(set(values)) == 1:
            same.append(name)
        else:
            facts.append((name, *values))
    note = f"\n\nsame in both: {', '.join(same)}" if same else ""
    heading = "each on its own test rows:"
    return "\n".join([*_gains(source, versions), "", heading, table(measured), "", table(facts)]) + note


def _gains(source: Registry, versions: list[ModelVersion]) -> Iterator[str]:
    """Yield how each version compares with its reference on the same test rows."""
    for version in versions:
        try:
            evaluation = source.evaluation(version)
            reference, gain = evaluation["reference"], float(evaluation["auc_gain"])
            name, reason = str(reference["name"]), str(reference.get("reason", ""))
        except (MlopsError, LookupError, TypeError, ValueError):
            continue
        other = name.rpartition("/")[2]
        against = f"against version {other}" if other.isdecimal() else f"against a {name}"
        note = f"; its champion was not comparable: {reason}" if reason else ""
        yield f"on the same test rows: auc of version {version.version} {gain:+.4f} {against}{note}"
