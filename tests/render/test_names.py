"""The longest AWS names that a project can have fit what the services allow."""

import json

import pytest

from tests.environments import give
from tests.projects import Bake, mlops
from tests.render.test_render import RULES

PROJECT_ID = "p-" + "0" * 12
"""As SageMaker Projects make them; the names of later stacks start with sagemaker-<slug>-<id>-."""


@pytest.mark.slow
def test_the_longest_slug_compiles_to_names_that_fit(bake: Bake) -> None:
    slug = "a" * RULES["project_slug"]["longest"]
    project = give(bake(project_slug=slug))
    mlops(project, "compile")  # it checks every name against the pattern and length that SageMaker's API states
    (manifest,) = project.glob(".mlops/bundles/local/training/*/manifest.json")
    pipeline = json.loads(manifest.read_text())["pipeline"]
    assert pipeline.startswith(slug)
    assert len(pipeline) <= 100  # a CodePipeline of the same name
    assert len(f"sagemaker-{slug}-{PROJECT_ID}-") <= 58  # leaves five characters of the 63 of a bucket or endpoint
