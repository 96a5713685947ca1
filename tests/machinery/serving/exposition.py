"""A parser of Prometheus' text format 0.0.4 that is as strict as its page, and stricter where promtool warns.

https://prometheus.io/docs/instrumenting/exposition_formats/#text-format-details and
https://prometheus.io/docs/practices/naming/.
"""

import math
import re
from dataclasses import dataclass, field

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"'
SAMPLE = re.compile(rf"({NAME})(?:\{{((?:{LABEL})(?:,{LABEL})*)\}})? (\S+)")
HEAD = re.compile(rf"# (HELP|TYPE) ({NAME}) (.+)")
KINDS = ("counter", "gauge", "histogram")
PARTS = ("_bucket", "_sum", "_count")

Labels = tuple[tuple[str, str], ...]


@dataclass
class Family:
    """A metric.

    Attributes:
        kind: counter, gauge or histogram.
        samples: Its values by name and labels, in the order in which they are written.
    """

    kind: str = ""
    samples: dict[tuple[str, Labels], float] = field(default_factory=dict)


class Exposition:
    """A parsed response."""

    def __init__(self, text: str) -> None:
        """Parse a response.

        Raises:
            AssertionError: It breaks a rule of the format.
        """
        self.families: dict[str, Family] = {}
        assert text.endswith("\n"), "the last line has no line end"
        current = ""
        for line in text.removesuffix("\n").split("\n"):
            if head := HEAD.fullmatch(line):
                keyword, name, rest = head.groups()
                if keyword == "HELP":
                    assert name not in self.families, f"{name} is written twice"
                    self.families[name], current = Family(), name
                else:
                    assert (name, self.families[name].kind, self.families[name].samples) == (current, "", {}), line
                    assert rest in KINDS, line
                    self.families[name].kind = rest
                continue
            sample = SAMPLE.fullmatch(line)
            assert sample, f"not a sample: {line!r}"
            name, labels, value = sample.group(1), tuple(re.findall(LABEL, sample.group(2) or "")), sample.groups()[-1]
            parts = PARTS if self.families[current].kind == "histogram" else ("",)
            assert name in [current + part for part in parts], f"{line!r} is not a sample of {current}"
            assert len(dict(labels)) == len(labels), f"a label is repeated: {line!r}"
            assert (name, labels) not in self.families[current].samples, f"repeated: {line!r}"
            self.families[current].samples[name, labels] = float(value)
        for name, family in self.families.items():
            _check(name, family)

    def __getitem__(self, sample: str) -> float:
        """The value of a sample as it is written: `mlops_requests_total{code="200"}`."""
        matched = SAMPLE.fullmatch(f"{sample} 0")
        assert matched
        name, labels = matched.group(1), tuple(re.findall(LABEL, matched.group(2) or ""))
        (value,) = (
            family.samples[name, labels] for family in self.families.values() if (name, labels) in family.samples
        )
        return value

    @property
    def counters(self) -> dict[tuple[str, Labels], float]:
        """Every sample that must never decrease."""
        families = [family for family in self.families.values() if family.kind != "gauge"]
        return {sample: value for family in families for sample, value in family.samples.items()}


def _check(name: str, family: Family) -> None:
    """What the format and the conventions ask of one metric."""
    assert family.kind, f"{name} has no type"
    assert name.endswith("_total") == (family.kind == "counter"), f"{name} is a {family.kind}"
    assert all(value >= 0 and value < math.inf for value in family.samples.values())
    if family.kind == "histogram":
        buckets = [
            (float(dict(labels)["le"]), value) for (part, labels), value in family.samples.items() if "bucket" in part
        ]
        assert buckets == sorted(buckets), "buckets ascend, and so do their counts"
        assert len({limit for limit, _ in buckets}) == len(buckets)
        assert buckets[-1] == (math.inf, family.samples[f"{name}_count", ()])
        assert f"{name}_sum" in {part for part, _ in family.samples}
