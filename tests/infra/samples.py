"""Sound values for the parameters that a template leaves open: what other stacks and a user would give."""

import re

from standin.template import PSEUDO_PARAMETERS, Template
from tests.infra.checks.names import LONGEST

ACCOUNT, REGION = PSEUDO_PARAMETERS["AWS::AccountId"], PSEUDO_PARAMETERS["AWS::Region"]
NAME, ID = LONGEST.values()
OWN = f"sagemaker-{NAME}-{ID}"

VALUES = {
    "AccountHolds": "artifacts",
    "ApiId": "a1b2c3d4e5",
    "Attempt": "1",
    "BranchName": "main",
    "BuildImage": "aws/codebuild/amazonlinux-x86_64-standard:5.0",
    "CicdAccount": "777777777777",
    "CooldownMinutes": "10",
    "Copies": "sent",
    "DeployingProject": "deployer",
    "DataLakeAccount": "555555555555",
    "EndpointName": f"{NAME}-production",
    "EnvironmentName": "production",
    "ExperimentationAccount": "888888888888",
    "FailedGates": "3",
    "FunctionsKey": f"{NAME}/functions/0123456789abcdef.zip",
    "ImageRepository": NAME,
    "LabelDelayHours": "24",
    "MaxAucLoss": "0.05",
    "MaxDistance": "0.1",
    "MaxDriftedShare": "0.3",
    "MaxMissingIncrease": "0.02",
    "MinRows": "100",
    "ModelPackageArn": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model-package/{NAME}/7",
    "ModelPackageGroup": NAME,
    "ModelVersion": "7",
    "ProjectId": ID,
    "ProjectName": NAME,
    "OperationsAccount": "444444444444",
    "ProductionAccount": "333333333333",
    "RegistryAccount": "111111111111",
    "Repository": "organization/repository",
    "RunsPerDay": "20",
    "ShadowModelPackageArn": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model-package/{NAME}/8",
    "StagingAccount": "222222222222",
    "TopicArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:{NAME}-notifications",
}
SOURCES = (
    f"arn:aws:codeconnections:{REGION}:{ACCOUNT}:connection/01234567-0123-4567-89ab-0123456789ab",
    f"arn:aws:codecommit:{REGION}:{ACCOUNT}:{NAME}",
)
PATTERNS = {
    r"(\w+)Bucket": f"{OWN}-data",
    r"(\w+)KeyArn": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/01234567-0123-4567-89ab-0123456789ab",
    r"(\w+)RoleArn": f"arn:aws:iam::{ACCOUNT}:role/{OWN}-deploy",
}


def sample(template: Template) -> dict[str, str]:
    """A value for each parameter of a template that has no default.

    Raises:
        ValueError: A parameter is not known here, or takes none of the values that are.
    """
    return {
        name: _fitting(name, parameter)
        for name, parameter in template.data.get("Parameters", {}).items()
        if "Default" not in parameter
    }


def _fitting(name: str, parameter: dict[str, str]) -> str:
    known = [VALUES[name]] if name in VALUES else [value for row, value in PATTERNS.items() if re.fullmatch(row, name)]
    for value in known or (SOURCES if name == "SourceArn" else ()):
        if re.fullmatch(parameter.get("AllowedPattern", ".*"), value):
            return value
    raise ValueError(f"no value for the parameter {name} of a template is known here")
