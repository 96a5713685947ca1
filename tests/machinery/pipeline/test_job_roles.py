import json
from pathlib import Path

import pytest

from mlops.base.errors import MlopsError
from mlops.pipeline.definition import Definition
from mlops.pipeline.job_roles import require_passable
from mlops.project.pipelines import MONITORING, TRAINING
from mlops.project.project import Project
from mlops.project.target import Target
from tests.machinery.compile.test_compile import GOLDEN
from tests.projects import Bake

OTHER = "arn:aws:iam::111122223333:role/evaluation"


def check(project: Path, pipeline: str = TRAINING) -> None:
    """Check the definition of a pipeline in which one step runs as another role."""
    content = json.loads((GOLDEN / f"{pipeline}-local.json").read_text(encoding="utf-8"))
    steps = [step for step in Definition(content).all_steps if step.type == "Processing"]
    own, steps[-1].arguments["RoleArn"] = steps[-1].arguments["RoleArn"], OTHER
    require_passable(Definition(content), Target(Project(project), "local"), pipeline, own)


def listing(project: Path) -> Path:
    path = project / "config/dev.yaml"
    text = path.read_text(encoding="utf-8")
    assert text.count("\n  execution:\n") == 1
    path.write_text(text.replace("\n  execution:\n", f"\n  execution:\n    job_role_arns: [{OTHER}]\n"))
    return project


def test_a_step_runs_as_another_role_if_the_pipeline_may_pass_it(bake: Bake) -> None:
    project = bake()
    with pytest.raises(MlopsError, match=f"Step Evaluate runs as {OTHER}, which the pipeline's role may not") as caught:
        check(project)
    assert "list the role under `stacks.execution.job_role_arns` in config/dev.yaml" in caught.value.remedy
    check(listing(project))


def test_the_monitoring_pipeline_passes_its_own_role_only(bake: Bake) -> None:
    with pytest.raises(MlopsError, match=OTHER) as caught:
        check(listing(bake()), MONITORING)
    assert caught.value.remedy == "Use `role=context.role` in pipelines/monitoring.py."
