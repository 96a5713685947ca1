"""The figures of a version's evaluation report."""

from mlops.base.errors import DamagedError, MlopsError
from mlops.registry.port import Registry
from mlops.registry.versions import ModelVersion

_METRICS = "binary_classification_metrics"


def metrics(source: Registry, version: ModelVersion) -> dict[str, float]:
    """Return the metrics of a version's evaluation by name; empty if its report is missing, or is another document.

    Raises:
        DamagedError: The report is not JSON.
    """
    try:
        entries = source.evaluation(version)[_METRICS].items()
    except DamagedError:
        raise
    except (MlopsError, AttributeError, KeyError, TypeError):
        return {}
    values = {name: entry["value"] for name, entry in entries if isinstance(entry, dict) and "value" in entry}
    return {name: value for name, value in values.items() if isinstance(value, int | float)}
