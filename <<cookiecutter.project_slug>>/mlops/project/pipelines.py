"""The SageMaker pipelines of a project: each is a module in `pipelines/` with a function `build`."""

from pathlib import Path

from mlops.project.capabilities import lack
from mlops.project.stacks import MONITORING as MONITORING_STACK
from mlops.project.stacks import account_of
from mlops.project.target import Target

TRAINING, MONITORING = "training", "monitoring"
TABLE = (TRAINING, MONITORING)
"""All pipelines. One is part of a project if its module, `pipelines/<name>.py`, is."""


def present(root: Path) -> list[str]:
    """Return the pipelines of a project."""
    return [name for name in TABLE if (root / "pipelines" / f"{name}.py").is_file()]


def submitted(target: Target) -> list[str]:
    """Return the pipelines that an environment has in AWS: training, or monitoring where its functions are."""
    project = target.project
    has_functions = target.environment in MONITORING_STACK.accounts(project.layout) and not lack(
        project.answers, ("deploys",)
    )
    trains = not target.is_deployed_to and target.account_name == account_of(project.layout, target.environment)
    here = {TRAINING: trains, MONITORING: has_functions}
    return [name for name in present(project.root) if here[name]]


def name(slug: str, pipeline: str) -> str:
    """Return the name of a pipeline, in SageMaker and on this machine."""
    return f"{slug}-{pipeline}"
