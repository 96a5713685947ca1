"""Statistics and constraints of a table, as SageMaker Model Monitor writes them.

The formats are those documented for custom containers ("Schema for Statistics" and "Schema for Constraints"), so that
tools for Model Monitor's baselines can read these.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modelkit.summaries import SKETCH_SIZE, NumberSummary, Sketch, StringSummary

BUCKETS = 10
"""The number of buckets, of equal width, in the distribution of a number."""

SKETCH_SHAPE = 0.64
"""The parameter c of the sketch, which Model Monitor's format requires."""

LARGEST_DOMAIN = 20
"""The maximum number of distinct values of a text column that become a constraint."""

LISTED_VALUES = 100
"""The number of most frequent values of a text column that are listed."""

_BATCH = 65_536

MONITORING_CONFIG: dict[str, Any] = {
    "evaluate_constraints": "Enabled",
    "emit_metrics": "Enabled",
    "datatype_check_threshold": 1.0,
    "domain_content_threshold": 1.0,
    "distribution_constraints": {
        "perform_comparison": "Enabled",
        "comparison_threshold": 0.1,
        "comparison_method": "Robust",
        "categorical_comparison_threshold": 0.1,
        "categorical_drift_method": "LInfinity",
    },
}


class Accumulator:
    """The statistics of a table that arrives in parts, of which only summaries are kept.

    Args:
        schema: The Arrow schema of the parts.
    """

    def __init__(self, schema: Any) -> None:
        self.rows = 0
        self._pending: list[Any] = []
        self._pending_rows = 0
        self._columns = {field.name: _Column(field.type) for field in schema}

    def add(self, table: Any) -> None:
        """Add the rows of a part; small parts are collected and summarized together."""
        self.rows += table.num_rows
        self._pending.append(table)
        self._pending_rows += table.num_rows
        if self._pending_rows >= _BATCH:
            self._summarize()

    def statistics(self) -> dict[str, Any]:
        """Return the statistics of the rows so far."""
        self._summarize()
        features = [column.statistics(name) for name, column in self._columns.items()]
        return {"version": 0.0, "dataset": {"item_count": self.rows}, "features": features}

    def _summarize(self) -> None:
        if self._pending_rows:
            table = pa.concat_tables(self._pending)
            for name, column in self._columns.items():
                column.add(table[name])
        self._pending, self._pending_rows = [], 0


def statistics(table: Any) -> dict[str, Any]:
    """Return the statistics of an Arrow table: the number and the distribution of the values of each column.

    Whole numbers and booleans are `Integral`, other numbers `Fractional`, the rest `String`; a column without values
    is `Unknown`. NaN counts as missing.
    """
    accumulator = Accumulator(table.schema)
    accumulator.add(table)
    return accumulator.statistics()


def constraints(found: dict[str, Any]) -> dict[str, Any]:
    """Return the constraints that follow from statistics: type, completeness, sign and known strings."""
    return {
        "version": 0.0,
        "features": [_constraint(feature) for feature in found["features"]],
        "monitoring_config": MONITORING_CONFIG,
    }


class _Column:
    """The summary of a column of a type."""

    def __init__(self, kind: Any) -> None:
        self._rows = 0
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
        if numeric or pa.types.is_decimal(kind):
            self._summary: NumberSummary | StringSummary = NumberSummary.of(np.empty(0))
        else:
            self._summary = StringSummary.of({})

    def add(self, column: Any) -> None:
        self._rows += len(column)
        if pa.types.is_dictionary(column.type):
            column = pc.cast(column, column.type.value_type)
        if isinstance(self._summary, NumberSummary):
            self._summary.merge(NumberSummary.of(_numbers(column)))
        else:
            self._summary.merge(StringSummary.of(_counts(column)))

    def statistics(self, name: str) -> dict[str, Any]:
        summary = self._summary
        common = {"num_present": summary.count, "num_missing": self._rows - summary.count}
        if isinstance(summary, NumberSummary) and summary.count:
            kind = "Integral" if summary.whole else "Fractional"
            return {"name": name, "inferred_type": kind, "numerical_statistics": _numerical(summary, common)}
        text = summary if isinstance(summary, StringSummary) else StringSummary.of({})
        kind = "String" if summary.count else "Unknown"
        return {"name": name, "inferred_type": kind, "string_statistics": _text(text, common)}


def _numbers(column: Any) -> Any:
    """Return the values of a numeric column that are present."""
    if pa.types.is_decimal(column.type):
        column = pc.cast(column, pa.float64())
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
    return pc.cast(pc.drop_null(column), pa.float64(), safe=False).to_numpy()


def _counts(column: Any) -> dict[str, int]:
    """Return the number of occurrences of each value of another column, as text."""
    counted = pc.value_counts(pc.cast(pc.drop_null(column), pa.string()))
    return dict(zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True))


def _numerical(summary: NumberSummary, common: dict[str, int]) -> dict[str, Any]:
    lowest, highest = summary.lowest, summary.highest
    edges = np.linspace(lowest, highest, BUCKETS + 1) if lowest < highest else np.array([lowest, highest])
    buckets = [
        {"lower_bound": lower, "upper_bound": upper, "count": count}
        for lower, upper, count in zip(
            edges[:-1].tolist(), edges[1:].tolist(), _bucket_counts(summary.sketch, edges), strict=True
        )
    ]
    data = [level.tolist() for level in summary.sketch.levels]
    kll = {"buckets": buckets, "sketch": {"parameters": {"c": SKETCH_SHAPE, "k": float(SKETCH_SIZE)}, "data": data}}
    return {
        "common": common,
        "mean": summary.mean,
        "sum": summary.total,
        "std_dev": float(np.sqrt(summary.squares / summary.count)),
        "min": lowest,
        "max": highest,
        "distribution": {"kll": kll},
    }


def _bucket_counts(sketch: Sketch, edges: Any) -> list[int]:
    """Return the number of values in each bucket, up to the error of the sketch."""
    counts = np.zeros(len(edges) - 1, dtype=np.int64)
    for height, level in enumerate(sketch.levels):
        counts += np.histogram(level, bins=edges)[0] * 2**height
    return [int(count) for count in counts]


def _text(summary: StringSummary, common: dict[str, int]) -> dict[str, Any]:
    counted = sorted(summary.counts.items(), key=lambda entry: (-entry[1], entry[0]))
    buckets = [{"value": value, "count": count} for value, count in counted[:LISTED_VALUES]]
    return {"common": common, "distinct_count": summary.distinct, "distribution": {"categorical": {"buckets": buckets}}}


def _constraint(feature: dict[str, Any]) -> dict[str, Any]:
    figures = feature.get("numerical_statistics") or feature["string_statistics"]
    present, missing = figures["common"]["num_present"], figures["common"]["num_missing"]
    constraint: dict[str, Any] = {
        "name": feature["name"],
        "inferred_type": feature["inferred_type"],
        "completeness": present / (present + missing) if present + missing else 0.0,
    }
    if "numerical_statistics" in feature:
        constraint["num_constraints"] = {"is_non_negative": figures["min"] >= 0}
    elif feature["inferred_type"] == "String" and figures["distinct_count"] <= LARGEST_DOMAIN:
        buckets = figures["distribution"]["categorical"]["buckets"]
        constraint["string_constraints"] = {"domains": [bucket["value"] for bucket in buckets]}
    return constraint
