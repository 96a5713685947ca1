"""Compare recent requests with the data that the model was trained on.

Without --since the window starts where the last one ended. Windows that span a promotion are split by version: each
version is compared with its own training data.
"""

import json
from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from mlops.base.commands import MLOPS
from mlops.base.environments import LOCAL, SHARED
from mlops.base.errors import UsageError
from mlops.project.capabilities import lack
from mlops.project.project import Project
from mlops.project.target import Target
from mlops.run.monitoring import Window, evaluate
from modelkit.violations import WindowDocument

NEEDS = ("monitors",)

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_LISTED = 8


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options of `monitor`."""
    when = "a time in UTC such as 2026-01-31T06:00:00Z, or how long ago: 90m, 24h, 7d"
    parser.add_argument("--since", metavar="TIME", help=f"start of the window: {when} (default: end of the last one)")
    parser.add_argument("--until", metavar="TIME", help="end of the window (default: now)")
    parser.add_argument("--retrain", action="store_true", help="retrain if the version in use has drifted")
    parser.add_argument("--data", type=Path, help="data to retrain on (default: `data_folder` in config)")
    parser.add_argument(
        "--environment",
        default=LOCAL,
        help="environment whose requests are compared, on this machine (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON on standard output")


def run(target: Target, options: Namespace) -> int:
    """Evaluate a window, print it and write its report; return 0, drift or not, unless a retraining fails."""
    if options.retrain and not target.is_local:
        raise UsageError(
            "--retrain applies to this machine.", f"Leave it out, or: {MLOPS} retrain --environment {SHARED}"
        )
    if options.retrain and (reason := lack(target.project.answers, ("trains",))):
        raise UsageError(reason, "Leave out --retrain, and retrain in the project that trains.")
    if options.data and not options.retrain:
        raise UsageError("--data applies only to a retraining.", "Add --retrain, or leave out --data.")
    if options.data and not options.data.exists():
        raise UsageError(f"{options.data} does not exist.", "Name a file or folder to retrain on.")
    now = datetime.now(UTC)
    since = _moment(options.since, now) if options.since else None
    until = _moment(options.until, now) if options.until else None
    if until and until > now:
        raise UsageError("The end of the window is in the future.", "Leave out --until: the window then ends now.")
    if since and since >= (until or now):
        raise UsageError("The window ends before it starts.")
    window = evaluate(target, since, until)
    document = window.document()
    if not options.json:
        print(_text(target.project, window))
    code = 0
    if options.retrain:
        code, document["retraining"] = _retrain(target, window, options)
    if options.json:
        print(json.dumps(document, indent=2))
    return code


def _moment(text: str, now: datetime) -> datetime:
    try:
        if text[-1:] in _UNITS and text[:-1].isdecimal():
            return now - timedelta(**{_UNITS[text[-1]]: int(text[:-1])})
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        example = "Give a time such as 2026-01-31T06:00:00Z, or how long ago: 90m, 24h, 7d."
        raise UsageError(f"{text!r} is not a time.", example) from None
    return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)


def _retrain(target: Target, window: Window, options: Namespace) -> tuple[int, dict[str, Any] | None]:
    """Retrain if the version in use has drifted; return the exit status and the result."""
    from mlops.run.drift import retrain_if_drifted  # only a retraining needs the runner

    outcome = retrain_if_drifted(target, window, options.data)
    if not options.json:
        print(f"No retraining: {outcome}." if isinstance(outcome, str) else outcome.text(target.project))
    return (0, None) if isinstance(outcome, str) else (outcome.exit_code, outcome.document())


def _text(project: Project, window: Window) -> str:
    lines = [f"From {window.content['start'] or 'the first request'} to {window.end}:"]
    for version, comparison in window.comparisons.items():
        lines += ["", *_version_text(version, comparison, window.min_rows)]
    if not any(comparison["rows"] or comparison["damaged"] for comparison in window.comparisons.values()):
        lines.append("No requests: there is nothing to compare.")
    elif not window.is_closed:
        lines.append("\nToo few rows to evaluate: the next window starts where this one did.")
    lines += _labels_text(window)
    if window.report:
        lines.append(f"\n  report:  {window.report.relative_to(project.root)}")
    return "\n".join(lines)


def _version_text(version: int, comparison: WindowDocument, min_rows: int) -> list[str]:
    lost = [f"{comparison[kind]} {text}" for kind, text in _LOST.items() if comparison[kind]]
    head = f"Version {version}: {_count(comparison['rows'], 'row')} in {_count(comparison['records'], 'request')}"
    mean = comparison["predictions"]["mean"]
    lines = [", ".join([head, *([f"mean prediction {mean:.3f}"] if mean is not None else []), *lost])]
    lines += [f"    {place}" for place in comparison["damaged_at"]]
    if not comparison["rows"]:
        return lines
    lines += _quality_text(comparison)
    if comparison["rows"] < min_rows:
        return [*lines, f"  too few rows to detect drift (monitoring.min_rows is {min_rows})"]
    drifted = comparison["features"][: len(comparison["drifted"])]  # sorted by distance, largest first
    verdict = "DRIFT" if comparison["drift"] else "no drift"
    lines.append(
        f"  {verdict}: {len(drifted)} of {len(comparison['features'])} features are beyond the allowed distance"
    )
    lines += [f"    {feature['name']:<28} {feature['distance']:.3f}" for feature in drifted[:_LISTED]]
    if len(drifted) > _LISTED:
        lines.append(f"    and {len(drifted) - _LISTED} more")
    if comparison["prediction_drift"] and comparison["prediction_drift"]["drifted"]:
        lines.append(f"  the predictions are beyond it too: {comparison['prediction_drift']['distance']:.3f}")
    if comparison["quality"]:
        lines.append("  DATA QUALITY: fix the data before retraining, or the model learns its faults")
        lines += [
            f"    {violation['feature_name']}: {violation['description']}"
            for violation in comparison["violations"]
            if violation["constraint_check_type"] != "baseline_drift_check"
        ]
    return lines


def _labels_text(window: Window) -> list[str]:
    """Return which labels were not used; empty if all were."""
    labels = window.content["labels"] or {}
    unused = [f"{labels[kind]} {text}" for kind, text in _UNUSED.items() if labels.get(kind)]
    if not unused:
        return []
    return ["", f"Labels: {', '.join(unused)}", *(f"    {place}" for place in labels["unreadable_at"])]


def _quality_text(comparison: WindowDocument) -> list[str]:
    """Return what the labels say of the predictions; empty without labels."""
    quality = comparison["model_quality"]
    if not quality:
        return []
    only = "true" if quality["positives"] else "false"
    undefined = f"all labels are {only}, so the AUC is not defined and quality not judged: it takes labels of both; "
    figures = f"AUC {quality['auc']:.3f}, " if quality["auc"] is not None else undefined
    before = f"; on the test set AUC {quality['baseline_auc']:.3f}" if quality["baseline_auc"] is not None else ""
    verdict = "MODEL QUALITY" if quality["degraded"] else "quality"
    rows = _count(quality["rows"], "labelled row")
    return [f"  {verdict}: {figures}accuracy {quality['accuracy']:.3f} of {rows}{before}"]


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


_UNUSED = {
    "unreadable": "unreadable lines or files",
    "without_request": "ids without a captured request",
    "repeated": "ids of several requests",
}
_LOST: dict[Literal["smoke", "torn", "damaged"], str] = {
    "smoke": "requests of `smoke` excluded",
    "torn": "files with an incomplete last record",
    "damaged": "unreadable records",
}
