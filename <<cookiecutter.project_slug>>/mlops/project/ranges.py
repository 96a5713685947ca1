"""The numbers of the configuration, and what each may be.

Where the SageMaker API limits a number, the range is within that of the shape in botocore's service model; tests of the
template compare them. They are not read from there, because that takes a tenth of a second in every verb.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Range(NamedTuple):
    """What a number may be.

    Attributes:
        least: The smallest value.
        most: The largest value.
        whole: Whether it is a whole number.
    """

    least: float
    most: float
    whole: bool = False

    def __str__(self) -> str:
        return f"{self.least:.15g} to {self.most:.15g}"


_SHARE = Range(0, 1)
_DAY, _HOUR = 86_400, 3600
_DISK = Range(1, 16_384, whole=True)  # 16 TiB, the largest EBS volume

RANGES: Mapping[str, Range] = {
    "processing.instance_count": Range(1, 100, whole=True),
    "processing.volume_size_gb": _DISK,
    "processing.max_runtime_seconds": Range(1, 9 * _DAY, whole=True),
    "training.instance_count": Range(1, 1000, whole=True),
    "training.volume_size_gb": _DISK,
    # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_StoppingCondition.html
    "training.max_runtime_seconds": Range(1, 28 * _DAY, whole=True),
    "training.max_wait_seconds": Range(1, 28 * _DAY, whole=True),
    "validation.max_null_fraction": _SHARE,
    "split.train_fraction": _SHARE,
    "split.validation_fraction": _SHARE,
    "gate.min_auc": _SHARE,
    "gate.min_auc_gain": Range(-1, 1),
    "monitoring.max_distance": _SHARE,
    "monitoring.max_drifted_share": _SHARE,
    "monitoring.max_missing_increase": _SHARE,
    "monitoring.max_auc_loss": _SHARE,
    "monitoring.label_delay_hours": Range(0, 24 * 366),
    "monitoring.min_rows": Range(1, 10**9, whole=True),
    "retraining.cooldown_minutes": Range(0, 525_600, whole=True),
    "retraining.runs_per_day": Range(1, 1000, whole=True),
    "retraining.failed_gates": Range(1, 1000, whole=True),
    "serving.max_payload_mb": Range(0.001, 10**6),  # each kind of endpoint has a lower limit: base.payloads
    "serving.read_timeout_seconds": Range(0.1, _HOUR),
    "serving.write_timeout_seconds": Range(0.1, _HOUR),
    "serving.load_timeout_seconds": Range(0.1, _HOUR),
    "serving.workers": Range(1, 1000, whole=True),
    "smoke.max_p99_ms": Range(0, _HOUR * 1000),
    "smoke.max_error_share": _SHARE,
    "capture.percentage": Range(0, 100),
}
"""The range of each number, by its dotted key."""

PARAMETERS: Mapping[str, str] = {
    "ProcessingInstanceCount": "processing.instance_count",
    "TrainingInstanceCount": "training.instance_count",
    "MaxNullFraction": "validation.max_null_fraction",
    "TrainFraction": "split.train_fraction",
    "ValidationFraction": "split.validation_fraction",
    "MinAuc": "gate.min_auc",
    "MinAucGain": "gate.min_auc_gain",
    "MinRows": "monitoring.min_rows",
    "MaxDistance": "monitoring.max_distance",
    "MaxDriftedShare": "monitoring.max_drifted_share",
    "MaxMissingIncrease": "monitoring.max_missing_increase",
    "MaxAucLoss": "monitoring.max_auc_loss",
    "LabelDelayHours": "monitoring.label_delay_hours",
}
"""The pipeline parameters whose defaults these are."""
