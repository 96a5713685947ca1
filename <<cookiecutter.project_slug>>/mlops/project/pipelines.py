"""The SageMaker pipelines of a project: each is a module in `pipelines/` with a function `build`."""

from pathlib import Path

TRAINING, MONITORING = "training", "monitoring"
TABLE = (TRAINING, MONITORING)
"""All pipelines. One is part of a project if its module, `pipelines/<name>.py`, is."""


def present(root: Path) -> list[str]:
    """Return the pipelines of a project."""
    return [name for name in TABLE if (root / "pipelines" / f"{name}.py").is_file()]


def name(slug: str, pipeline: str) -> str:
    """Return the name of a pipeline, in SageMaker and on this machine."""
    return f"{slug}-{pipeline}"
