"""Statistics and constraints of a table, as SageMaker Model Monitor writes them.

The formats are those documented for custom containers ("Schema for Statistics" and "Schema for Constraints"), so that
tools for Model Monitor's baselines can read these.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

BUCKETS = 10
"""The number of buckets, of equal width, in the distribution of a number."""

SKETCH_SIZE = 2048
"""The parameter k of the sketch: columns with up to this many values are stored completely."""

SKETCH_SHAPE = 0.64
"""The parameter c of the sketch, which Model Monitor's format requires."""

LARGEST_DOMAIN = 20
"""The maximum number of distinct values of a text column that become a constraint."""

LISTED_VALUES = 100
"""The number of most frequent values of a text column that are listed."""

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

Numbers = npt.NDArray[np.float64]


def statistics(table: Any) -> dict[str, Any]:
    """Return the statistics of an Arrow table: the number and the distribution of the values of each column.

    Whole numbers and booleans are `Integral`, other numbers `Fractional`, the rest `String`; a column without values
    is `Unknown`. NaN counts as missing.
    """
    features = [_feature(name, table[name]) for name in table.column_names]
    return {"version": 0.0, "dataset": {"item_count": table.num_rows}, "features": features}


def constraints(found: dict[str, Any]) -> dict[str, Any]:
    """Return the constraints that follow from statistics: type, completeness, sign and known strings."""
    return {
        "version": 0.0,
        "features": [_constraint(feature) for feature in found["features"]],
        "monitoring_config": MONITORING_CONFIG,
    }


def sketch(ordered: Numbers, size: int = SKETCH_SIZE) -> list[list[float]]:
    """Compress n ascending values into the levels of a KLL sketch; a value at level h represents 2**h values.

    The total weight of the levels is n. As in Karnin, Lang and Liberty, "Optimal Quantile Approximation in Streams"
    (FOCS 2016), a level that is too long passes on every second value; here alternately the odd and the even ones, so
    that the result is deterministic and the errors of the levels cancel.

    Args:
        ordered: n ascending values.
        size: The maximum length of a level.
    """
    levels: list[list[float]] = []
    while len(ordered) > size:
        paired = len(ordered) - len(ordered) % 2
        levels.append(ordered[paired:].tolist())
        ordered = ordered[len(levels) % 2 : paired : 2]
    return [*levels, ordered.tolist()]


def _feature(name: str, column: Any) -> dict[str, Any]:
    if pa.types.is_dictionary(column.type):
        column = pc.cast(column, column.type.value_type)
    if pa.types.is_decimal(column.type):
        column = pc.cast(column, pa.float64())
    numeric = pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_boolean(column.type)
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
    present = pc.drop_null(column)
    common = {"num_present": len(present), "num_missing": len(column) - len(present)}
    if len(present) == 0:
        return {"name": name, "inferred_type": "Unknown", "string_statistics": _text(present, common)}
    if not numeric:
        return {"name": name, "inferred_type": "String", "string_statistics": _text(present, common)}
    values = np.sort(pc.cast(present, pa.float64(), safe=False).to_numpy())
    kind = "Integral" if bool((values == np.floor(values)).all()) else "Fractional"
    return {"name": name, "inferred_type": kind, "numerical_statistics": _numerical(values, common)}


def _numerical(ordered: Numbers, common: dict[str, int]) -> dict[str, Any]:
    lowest, highest = float(ordered[0]), float(ordered[-1])
    edges = np.linspace(lowest, highest, BUCKETS + 1) if lowest < highest else np.array([lowest, highest])
    counts, _ = np.histogram(ordered, bins=edges)
    buckets = [
        {"lower_bound": lower, "upper_bound": upper, "count": count}
        for lower, upper, count in zip(edges[:-1].tolist(), edges[1:].tolist(), counts.tolist(), strict=True)
    ]
    data = sketch(ordered)
    kll = {"buckets": buckets, "sketch": {"parameters": {"c": SKETCH_SHAPE, "k": float(SKETCH_SIZE)}, "data": data}}
    return {
        "common": common,
        "mean": float(ordered.mean()),
        "sum": float(ordered.sum()),
        "std_dev": float(ordered.std()),
        "min": lowest,
        "max": highest,
        "distribution": {"kll": kll},
    }


def _text(present: Any, common: dict[str, int]) -> dict[str, Any]:
    counted = pc.value_counts(pc.cast(present, pa.string())).to_pylist()
    counted.sort(key=lambda entry: (-entry["counts"], entry["values"]))
    buckets = [{"value": entry["values"], "count": entry["counts"]} for entry in counted[:LISTED_VALUES]]
    return {"common": common, "distinct_count": len(counted), "distribution": {"categorical": {"buckets": buckets}}}


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
