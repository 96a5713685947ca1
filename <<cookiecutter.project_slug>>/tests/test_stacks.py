"""The stacks in infra/: their templates can be read, and config/ says of them what they take."""

from pathlib import Path

import pytest

from mlops.base.environments import ENVIRONMENTS, SHARED
from mlops.deployment import templates
from mlops.project import stacks
from mlops.project.project import Project
from mlops.project.stacks import SHADOW_MINUTES, Stack

PROJECT = Project(Path(__file__).resolve().parents[1])
DEPLOYED = [
    (environment, stack)
    for environment in (SHARED, *ENVIRONMENTS)
    if (PROJECT.root / f"config/{environment}.yaml").is_file()
    for stack in stacks.present(PROJECT.root, environment)
]

each_stack = pytest.mark.parametrize(
    ("environment", "stack"), DEPLOYED, ids=[f"{environment}-{stack.name}" for environment, stack in DEPLOYED]
)


@each_stack
def test_every_setting_is_a_parameter_of_the_template(environment: str, stack: Stack) -> None:
    settings = PROJECT.environment(environment).stack(stack.name)
    assert {templates.parameter_of(key) for key in settings if key != SHADOW_MINUTES} <= set(
        templates.read(PROJECT.root, stack).parameters
    )


@each_stack
def test_every_resource_that_holds_data_says_what_becomes_of_it(environment: str, stack: Stack) -> None:
    template = templates.read(PROJECT.root, stack)
    for type_ in ("AWS::S3::Bucket", "AWS::KMS::Key", "AWS::Logs::LogGroup"):
        for name in template.of_type(type_):
            assert "DeletionPolicy" in template.resources[name], name
