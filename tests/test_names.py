"""The longest AWS names that a project can have fit what the services allow."""

import re

import botocore.session
import pytest

from test_render import RULES

LONGEST_SLUG = "a" * RULES["project_slug"]["longest"]
PROJECT_ID = "p-" + "0" * 12

SERVICE = botocore.session.get_session().get_service_model("sagemaker")


@pytest.mark.parametrize(
    ("operation", "member", "name"),
    [
        ("CreatePipeline", "PipelineName", f"{LONGEST_SLUG}-training"),
        ("CreateModelPackageGroup", "ModelPackageGroupName", LONGEST_SLUG),
        ("CreateModelPackageGroup", "ModelPackageGroupName", f"sagemaker-{LONGEST_SLUG}-{PROJECT_ID}-pkg"),
        ("CreateTrainingJob", "TrainingJobName", "pipelines-" + "0" * 12 + "-RegisterModel-3"),
    ],
)
def test_the_longest_name_fits(operation: str, member: str, name: str) -> None:
    shape = SERVICE.operation_model(operation).input_shape.members[member]
    limit = shape.metadata.get("max", 256)
    assert len(name) <= limit
    if "pattern" in shape.metadata:
        assert re.fullmatch(shape.metadata["pattern"], name)
