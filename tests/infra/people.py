"""The table of people: which role has which ability, and what of it a project has."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from standin.needs import Need
from tests.answers import QUESTIONS, meant

TABLE: dict[str, Any] = QUESTIONS["_people"]
ABILITIES: dict[str, dict[str, str]] = TABLE["abilities"]
ROLES: dict[str, dict[str, Any]] = TABLE["roles"]
ANYWHERE = "any"


def submits(full: Mapping[str, str]) -> bool:
    """Whether people of a project with some answers, completed, submit pipelines: those of the development account."""
    return bool(full["__trains"] or (full["__monitors"] and full["__account_layout"] == "single"))


def present(answers: Mapping[str, str]) -> list[str]:
    """The abilities that there are in a project with some answers."""
    full = meant(answers)
    given = {
        "": "yes",
        "trains": full["__trains"],
        "deploys": full["__deploys"],
        "submits": submits(full),
        "experiments": full["__account_layout"] == "organization",
    }
    return [name for name, ability in ABILITIES.items() if given[ability["needs"]]]


def abilities(role: str, answers: Mapping[str, str]) -> set[str]:
    """The abilities that a role has in a project with some answers."""
    return set(ROLES[role]["abilities"]) & set(present(answers))


def policy(ability: str) -> str:
    """The logical id of the policy of an ability."""
    return ability.title().replace("-", "") + "Policy"


@dataclass(frozen=True)
class Page:
    """What people do without a verb: a page of the console, or a command of the AWS CLI.

    Attributes:
        ability: The ability that it is part of.
        why: What it is.
        actions: What it calls, separated by blanks.
        resources: What on, with the names of the values that tests know.
        given: The derived answer that it is there with; empty for always.
    """

    ability: str
    why: str
    actions: str
    resources: tuple[str, ...]
    given: str = ""


_LOGS = "logs:DescribeLogStreams logs:FilterLogEvents logs:GetLogEvents"
_GROUP = "arn:aws:logs:{region}:{account}:log-group:"
_READ = "s3:GetObject s3:GetObjectVersion"
_PIPELINES = (
    "codepipeline:GetPipeline codepipeline:GetPipelineExecution codepipeline:GetPipelineState"
    " codepipeline:ListActionExecutions codepipeline:ListPipelineExecutions"
)
_RUN = (
    "sagemaker:DescribePipelineDefinitionForExecution sagemaker:DescribePipelineExecution"
    " sagemaker:ListPipelineExecutionSteps sagemaker:ListPipelineParametersForExecution"
)
_SAGEMAKER = "arn:aws:sagemaker:{region}:{account}:"
_STACK = "arn:aws:cloudformation:{region}:{account}:stack/{slug}-"
_DEPLOY = "arn:aws:codepipeline:{region}:{account}:{slug}-deploy"
_OWN = "sagemaker-{slug}-{id}-"

PAGES = (
    Page(
        "monitoring",
        "CloudWatch's lists of dashboards, metrics and logs",
        "cloudwatch:GetMetricData cloudwatch:ListDashboards cloudwatch:ListMetrics logs:DescribeLogGroups",
        ("*",),
    ),
    Page(
        "monitoring",
        "a dashboard",
        "cloudwatch:GetDashboard",
        ("arn:aws:cloudwatch::{account}:dashboard/{slug}-owner",),
    ),
    Page(
        "monitoring",
        "the states of alarms on a dashboard",
        "cloudwatch:DescribeAlarmHistory cloudwatch:DescribeAlarms",
        ("arn:aws:cloudwatch:{region}:{account}:alarm:{slug}-one",),
    ),
    Page("monitoring", "logs of builds", _LOGS, (_GROUP + "/aws/codebuild/{slug}-test:log-stream:1",)),
    Page("monitoring", "logs of functions", _LOGS, (_GROUP + "/aws/lambda/{slug}-one:log-stream:1",)),
    Page(
        "monitoring",
        "logs of training",
        _LOGS,
        (_GROUP + "/aws/sagemaker/TrainingJobs:log-stream:pipelines-1",),
        "trains",
    ),
    Page(
        "monitoring",
        "logs of processing",
        _LOGS,
        (_GROUP + "/aws/sagemaker/ProcessingJobs:log-stream:pipelines-1",),
        "submits",
    ),
    Page(
        "monitoring",
        "logs of endpoints",
        _LOGS,
        tuple(_GROUP + f"/aws/sagemaker/Endpoints/{{slug}}-{name}:log-stream:1" for name in ("staging", "production")),
        "answers",
    ),
    Page(
        "monitoring",
        "logs of batch predictions",
        _LOGS,
        (_GROUP + "/aws/sagemaker/TransformJobs:log-stream:{slug}-staging-1",),
        "transforms",
    ),
    Page("monitoring", "CodePipeline's pages", _PIPELINES, ("arn:aws:codepipeline:{region}:{account}:{slug}-build",)),
    Page(
        "monitoring",
        "CodePipeline's pages",
        _PIPELINES,
        ("arn:aws:codepipeline:{region}:{account}:{slug}-image",),
        "builds images",
    ),
    Page("monitoring", "CodePipeline's pages", _PIPELINES, (_DEPLOY,), "deploys"),
    *(
        Page("monitoring", "Studio's pages of pipelines", actions, (_SAGEMAKER + resource,), given)
        for pipeline, given in (("training", "trains"), ("monitoring", "watches"))
        for actions, resource in (
            ("sagemaker:DescribePipeline sagemaker:ListPipelineExecutions", f"pipeline/{{slug}}-{pipeline}"),
            (_RUN, f"pipeline/{{slug}}-{pipeline}/execution/1"),
            ("sagemaker:DescribeProcessingJob", "processing-job/pipelines-1"),
        )
    ),
    Page(
        "monitoring",
        "Studio's pages of pipelines",
        "sagemaker:DescribeTrainingJob",
        (_SAGEMAKER + "training-job/pipelines-1",),
        "trains",
    ),
    Page(
        "monitoring",
        "reports of monitoring, aws s3 cp",
        "s3:GetObject",
        ("arn:aws:s3:::{DataBucket}/{slug}/monitoring/staging/1.json",),
        "watches",
    ),
    Page("read-models", "aws s3 ls", "s3:ListBucket", ("arn:aws:s3:::{ModelBucket}",)),
    Page("read-data", "aws s3 ls, aws s3 cp", "s3:ListBucket s3:ListBucketVersions", ("arn:aws:s3:::{DataBucket}",)),
    Page("read-data", "aws s3 ls, aws s3 cp", _READ, ("arn:aws:s3:::{DataBucket}/{slug}/data/january.csv",)),
    Page(
        "add-data",
        "aws s3 cp",
        "s3:PutObject",
        (
            "arn:aws:s3:::{DataBucket}/{slug}/data/january.csv",
            "arn:aws:s3:::{DataBucket}/{slug}/restored/1/january.csv",
        ),
    ),
    Page(
        "train",
        "Studio's button Stop",
        "sagemaker:StopPipelineExecution",
        (_SAGEMAKER + "pipeline/{slug}-training/execution/1",),
    ),
    Page("release", "CodePipeline's button Review", "codepipeline:PutApprovalResult", (_DEPLOY + "/Approval/Approve",)),
    Page(
        "operate",
        "CodePipeline's buttons",
        "codepipeline:StartPipelineExecution codepipeline:StopPipelineExecution",
        (_DEPLOY,),
    ),
    Page("operate", "CodePipeline's button Retry", "codepipeline:RetryStageExecution", (_DEPLOY + "/Production",)),
    Page(
        "deploy",
        "a stack that has nothing to change, or could not be changed",
        "cloudformation:DeleteChangeSet cloudformation:DescribeStackEvents",
        (_STACK + "staging-observability/1",),
    ),
    Page(
        "deploy",
        "a quota that is too low",
        "servicequotas:ListRequestedServiceQuotaChangeHistoryByQuota",
        ("*",),
    ),
    Page(
        "deploy", "code of functions that is not there", "s3:ListBucket", ("arn:aws:s3:::{DataBucket}",), "has an api"
    ),
    Page("test", "a response that is not there yet", "s3:ListBucket", ("arn:aws:s3:::{CaptureBucket}",), "queues"),
    Page(
        "test",
        "a request that failed",
        "s3:GetObject",
        ("arn:aws:s3:::{CaptureBucket}/{slug}/async/staging/failures/1",),
        "queues",
    ),
    Page(
        "audit",
        "access logs and trail, aws s3 cp",
        "s3:ListBucket s3:ListBucketVersions",
        ("arn:aws:s3:::{LogBucket}",),
    ),
    Page("audit", "access logs and trail, aws s3 cp", _READ, ("arn:aws:s3:::{LogBucket}/data/1",)),
    Page(
        "audit",
        "access logs and trail, aws s3 cp",
        "s3:ListBucket s3:ListBucketVersions",
        (f"arn:aws:s3:::{_OWN}trail",),
    ),
    Page("audit", "access logs and trail, aws s3 cp", _READ, (f"arn:aws:s3:::{_OWN}trail/AWSLogs/1",)),
    Page(
        "audit",
        "requests and responses, aws s3 cp",
        "s3:ListBucket s3:ListBucketVersions",
        ("arn:aws:s3:::{CaptureBucket}",),
        "deploys",
    ),
    Page("audit", "requests and responses, aws s3 cp", _READ, ("arn:aws:s3:::{CaptureBucket}/{slug}/1",), "deploys"),
    Page("audit", "CloudTrail's event history", "cloudtrail:LookupEvents", ("*",)),
    Page("audit", "aws cloudtrail validate-logs", "cloudtrail:ListPublicKeys", ("*",)),
    Page(
        "audit",
        "aws cloudtrail validate-logs",
        "cloudtrail:GetEventSelectors cloudtrail:GetTrail cloudtrail:GetTrailStatus",
        ("arn:aws:cloudtrail:{region}:{account}:trail/{slug}-trail",),
    ),
    Page(
        "audit",
        "IAM's pages",
        "iam:GetRole iam:GetRolePolicy iam:ListAttachedRolePolicies iam:ListRolePolicies",
        (f"arn:aws:iam::{{account}}:role/{_OWN}pipe",),
    ),
    Page(
        "audit",
        "IAM's pages",
        "iam:GetPolicy iam:GetPolicyVersion iam:ListEntitiesForPolicy iam:ListPolicyVersions",
        (f"arn:aws:iam::{{account}}:policy/{_OWN}approve",),
    ),
    Page(
        "audit",
        "CloudFormation's pages",
        "cloudformation:DescribeStackEvents cloudformation:DescribeStacks cloudformation:GetTemplate"
        " cloudformation:ListStackResources",
        (_STACK + "people/1",),
    ),
)
"""As of November 2026, read from the actions in the Service Authorization Reference; no verb makes these calls."""


def pages(role: str, answers: Mapping[str, str], known: Mapping[str, str], keys: Mapping[str, str]) -> Iterator[Need]:
    """What a role needs for pages and commands, the keys of objects included.

    Args:
        role: The role.
        answers: Those of the project.
        known: The values in the resources of `PAGES`.
        keys: The key of each bucket, by ARN.
    """
    full = meant(answers)
    given = {
        "": True,
        "trains": full["__trains"],
        "deploys": full["__deploys"],
        "submits": submits(full),
        "experiments": full["__account_layout"] == "organization",
        "watches": full["__deploys"] and full["__monitors"],
        "answers": full["__deploys"] and full["__serves"],
        "transforms": full["__deploys"] and not full["__serves"],
        "has an api": full["__http_api"] == "yes",
        "queues": full["__deploys"] and full["inference"] == "async",
        "builds images": full["__trains"] and full["__training_image"] == "custom",
    }
    for page in PAGES:
        if page.ability not in abilities(role, answers) or not given[page.given]:
            continue
        for resource in (each.format_map(known) for each in page.resources):
            for action in page.actions.split():
                yield Need(action, resource, page.why)
            bucket = resource.partition("/")[0]
            via = {"kms:ViaService": f"s3.{known['region']}.amazonaws.com"}
            if bucket in keys and "s3:GetObject" in page.actions:
                yield Need("kms:Decrypt", keys[bucket], page.why, via)
            if bucket in keys and "s3:PutObject" in page.actions:
                yield Need("kms:Decrypt", keys[bucket], page.why, via)  # an upload in parts
                yield Need("kms:GenerateDataKey", keys[bucket], page.why, via)
