"""The roles that a pipeline may run its jobs as: its own, and those that its role is allowed to pass."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlops.base.errors import UsageError
from mlops.pipeline.definition import Definition
from mlops.project.pipelines import TRAINING
from mlops.project.stacks import EXECUTION
from mlops.project.target import Target

SETTING = "job_role_arns"
"""The setting of the stack `execution` that lists them."""

_MEMBERS = ("RoleArn", "ExecutionRoleArn")


def require_passable(definition: Definition, target: Target, pipeline: str, own: str) -> None:
    """Refuse a step whose job would run as a role that the pipeline's role may not pass.

    Args:
        definition: The pipeline definition.
        target: The environment that it is for.
        pipeline: The name of the pipeline's module.
        own: The ARN of the pipeline's role.

    Raises:
        MlopsError: There is such a step.
    """
    settings = target.shared.settings
    may_pass = pipeline == TRAINING and not target.experiments
    others: Sequence[str] = (settings.stack(EXECUTION.name).get(SETTING) or ()) if may_pass else ()
    for step in definition.all_steps:
        for role in _roles(step.own_part):
            if role != own and role not in others:
                key = f"stacks.{EXECUTION.name}.{SETTING}"
                raise UsageError(
                    f"Step {step.name} runs as {role}, which the pipeline's role may not pass to SageMaker.",
                    f"Use `role=context.role` in pipelines/{pipeline}.py"
                    + (
                        f", or list the role under `{key}` in {settings.file(key)} and deploy the stack: "
                        f"it must trust sagemaker.amazonaws.com and have the job's permissions."
                        if may_pass
                        else "."
                    ),
                )


def _roles(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for name, nested in value.items():
            if name in _MEMBERS:
                yield nested
            else:
                yield from _roles(nested)
    elif isinstance(value, list):
        for nested in value:
            yield from _roles(nested)
