"""What services do with the roles that a project hands them, which no call of the project's own shows.

Entered 2026-11-21. Each row names the page of AWS's documentation that says it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from needs import Need

_DOCS = "https://docs.aws.amazon.com"


@dataclass(frozen=True)
class ServiceUse:
    """What a service does as a role, for one feature.

    Attributes:
        source: Where AWS says so.
        needs: Actions and the resources that each is used on, with `{names}` of what the project calls them.
    """

    source: str
    needs: tuple[tuple[str, str], ...]


_LOGS = tuple(
    (action, "arn:aws:logs:{region}:{account}:log-group:{log_group}:log-stream:one")
    for action in ("logs:CreateLogStream", "logs:PutLogEvents")
)
_PULL = tuple(
    (f"ecr:{action}", "arn:aws:ecr:{region}:{account}:repository/{repository}")
    for action in ("BatchCheckLayerAvailability", "BatchGetImage", "GetDownloadUrlForLayer")
)

SERVICE_SIDE: Mapping[str, ServiceUse] = {
    "codebuild artifacts": ServiceUse(
        f"{_DOCS}/codebuild/latest/userguide/setting-up-service-role.html",
        tuple(
            (f"s3:{action}", "arn:aws:s3:::{bucket}/{prefix}one")
            for action in ("GetObject", "GetObjectVersion", "PutObject")
        ),
    ),
    "codebuild logs": ServiceUse(f"{_DOCS}/codebuild/latest/userguide/setting-up-service-role.html", _LOGS),
    "codepipeline artifacts": ServiceUse(
        f"{_DOCS}/codepipeline/latest/userguide/how-to-custom-role.html",
        tuple(
            (f"s3:{action}", "arn:aws:s3:::{bucket}/{prefix}one")
            for action in ("GetObject", "GetObjectVersion", "PutObject")
        ),
    ),
    "codepipeline build": ServiceUse(
        f"{_DOCS}/codepipeline/latest/userguide/action-reference-CodeBuild.html",
        tuple(
            (f"codebuild:{action}", "arn:aws:codebuild:{region}:{account}:project/{project}")
            for action in ("BatchGetBuilds", "StartBuild")
        ),
    ),
    "codepipeline connection": ServiceUse(
        f"{_DOCS}/codepipeline/latest/userguide/action-reference-CodestarConnectionSource.html",
        (("codeconnections:UseConnection", "{connection}"), ("codestar-connections:UseConnection", "{connection}")),
    ),
    "hosting": ServiceUse(
        f"{_DOCS}/sagemaker/latest/dg/sagemaker-roles.html",
        (("s3:GetObject", "arn:aws:s3:::{bucket}/{model}"), ("cloudwatch:PutMetricData", "*"), *_LOGS),
    ),
    "hosting own image": ServiceUse(
        f"{_DOCS}/sagemaker/latest/dg/sagemaker-roles.html", (("ecr:GetAuthorizationToken", "*"), *_PULL)
    ),
    "lambda logs": ServiceUse(f"{_DOCS}/lambda/latest/dg/lambda-intro-execution-role.html", _LOGS),
    "start codepipeline": ServiceUse(
        f"{_DOCS}/codepipeline/latest/userguide/create-cwe-ecr-source-cfn.html",
        (("codepipeline:StartPipelineExecution", "arn:aws:codepipeline:{region}:{account}:{pipeline}"),),
    ),
    "start sagemaker pipeline": ServiceUse(
        f"{_DOCS}/sagemaker/latest/dg/pipeline-eventbridge.html",
        (("sagemaker:StartPipelineExecution", "arn:aws:sagemaker:{region}:{account}:pipeline/{pipeline}"),),
    ),
}


def service_needs(feature: str, **names: str) -> list[Need]:
    """What a role needs for a feature.

    Args:
        feature: A row of SERVICE_SIDE.
        names: What stands for the `{names}` of the row.

    Raises:
        KeyError: The row needs another name.
    """
    return [Need(action, resource.format(**names), feature) for action, resource in SERVICE_SIDE[feature].needs]
