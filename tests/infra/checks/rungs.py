"""The static rungs that every template climbs; `codepipeline`, which also reads buildspecs, comes on top."""

from collections.abc import Callable, Mapping

from standin import patterns, shapes
from standin.finding import Finding
from standin.template import Template
from tests.infra.checks import buildspec_schema, exclusions, metrics, names, principals, tags, targets

Rung = Callable[[Template], list[Finding]]

RUNGS: Mapping[str, Rung] = {
    module.__name__.rpartition(".")[2]: module.findings
    for module in (buildspec_schema, exclusions, metrics, names, patterns, principals, shapes, tags, targets)
}
"""What each finds in a resolved template, by name."""


def findings(resolved: Template) -> list[Finding]:
    """What all of them find."""
    return [finding for rung in RUNGS.values() for finding in rung(resolved)]
