"""The schedule of batch predictions in an environment: which registered version it predicts with."""

import json

from mlops.base.commands import MLOPS
from mlops.base.errors import MlopsError
from mlops.project.account import aws_errors
from mlops.project.target import Target
from mlops.registry.live import live, version_of


def scheduled_version(target: Target) -> int:
    """Return the version that is live in an environment, with which its schedule predicts.

    Raises:
        MlopsError: No version is live, there is no schedule or no model, or the model is of another version.
    """
    account, names, environment = target.account, target.names, target.environment
    account.verify()
    package = live(account, names, [environment]).get(environment)
    if package is None:
        raise MlopsError(
            f"No version is live in {environment}.",
            f"Deploy: {MLOPS} deploy --environment {environment}",
        )
    with aws_errors(f"look up the schedule of {environment}"):
        schedule = account.scheduler.get_schedule(
            GroupName=names.schedule_group(environment), Name=names.schedule(environment)
        )
        model = json.loads(schedule["Target"]["Input"])["ModelName"]
        container = account.sagemaker.describe_model(ModelName=model)["PrimaryContainer"]
    if container["ModelPackageName"] != package:
        raise MlopsError(
            f"The schedule of {environment} predicts with {container['ModelPackageName']}, but {package} is live.",
            f"Deploy again: {MLOPS} deploy --environment {environment}",
        )
    return version_of(package)
