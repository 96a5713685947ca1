"""The templates of what serves, for every set of answers that changes them, and what the other stacks give them."""

import functools
import itertools
import json
from collections.abc import Mapping

from mlops.deployment import functions
from standin.account import REGION, StandInAccount
from standin.deploy import Stack
from standin.template import Template, parse, resolve
from tests.answers import CHOICES, meant, refusal
from tests.infra.rendered import ID, SLUG, texts
from tests.projects import SOURCES

ARN = f"arn:aws:{{}}:{REGION}:123456789012:{{}}"
GIVEN = {
    "ProjectName": SLUG,
    "ProjectId": ID,
    "EnvironmentName": "production",
    "ModelPackageArn": ARN.format("sagemaker", f"model-package/{SLUG}/7"),
    "ShadowModelPackageArn": "",
    "Attempt": "1",
    "HostRoleArn": f"arn:aws:iam::123456789012:role/sagemaker-{SLUG}-{ID}-host",
    "ScheduleRoleArn": f"arn:aws:iam::123456789012:role/sagemaker-{SLUG}-{ID}-sched",
    "DeliveryRoleArn": f"arn:aws:iam::123456789012:role/sagemaker-{SLUG}-{ID}-fire",
    "NoticeRoleArn": f"arn:aws:iam::123456789012:role/sagemaker-{SLUG}-{ID}-note",
    "ApiRoleArn": f"arn:aws:iam::123456789012:role/sagemaker-{SLUG}-{ID}-api",
    "WorkloadKeyArn": ARN.format("kms", "key/00000000-0000-4000-8000-000000000000"),
    "TopicArn": ARN.format("sns", f"{SLUG}-notifications"),
    "DataBucket": f"sagemaker-{SLUG}-{ID}-data",
    "CaptureBucket": f"sagemaker-{SLUG}-{ID}-capt",
    "FunctionsBucket": f"sagemaker-{SLUG}-{ID}-data",
    "FunctionsKey": f"{SLUG}/functions/0.zip",
    "EndpointName": f"{SLUG}-production",
    "ModelVersion": "7",
}
"""What a deployment, and the stacks before them, say to these templates."""

NEXT = ARN.format("sagemaker", f"model-package/{SLUG}/8")
"""A later version."""


@functools.cache
def written(stack: str, **answers: str) -> Template:
    """The template of a stack, as it is written for some answers."""
    return parse(texts(answers)[stack])


def parameters(template: Template, **given: str) -> dict[str, str]:
    """What a template is given, of what there is to give."""
    return {name: value for name, value in {**GIVEN, **given}.items() if name in template.data["Parameters"]}


def said(stack: str, answers: Mapping[str, str], **given: str) -> Template:
    """A stack's template for some answers, resolved with what it is given."""
    template = written(stack, **answers)
    return resolve(template, {**parameters(template), **given})


def stack(name: str, answers: Mapping[str, str], **given: str) -> Stack:
    """A stack of production, to deploy."""
    template = written(name, **answers)
    return Stack(f"{SLUG}-production-{name}", template, {**parameters(template), **given})


def prepare(account: StandInAccount) -> None:
    """Make what these stacks need of the others: the code of the function behind the API, roles, buckets, the topic."""
    s3 = account.client("s3")
    for bucket in ("FunctionsBucket", "CaptureBucket"):
        s3.create_bucket(Bucket=GIVEN[bucket], CreateBucketConfiguration={"LocationConstraint": account.region})
    s3.put_object(Bucket=GIVEN["FunctionsBucket"], Key=GIVEN["FunctionsKey"], Body=functions.archive(SOURCES))
    for role, service in {"ApiRoleArn": "lambda", "DeliveryRoleArn": "firehose", "NoticeRoleArn": "sns"}.items():
        trust = {"Effect": "Allow", "Principal": {"Service": f"{service}.amazonaws.com"}, "Action": "sts:AssumeRole"}
        account.client("iam").create_role(
            RoleName=GIVEN[role].rpartition("/")[2],
            AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
        )
    account.client("sns").create_topic(Name=f"{SLUG}-notifications")


def _endpoints() -> list[dict[str, str]]:
    """A set of answers for each text that the template of an endpoint comes to."""
    found: dict[str, dict[str, str]] = {}
    questions = ("inference", "deployment_strategy", "monitoring")
    for combination in itertools.product(*(CHOICES[question] for question in questions)):
        answers = dict(zip(questions, combination, strict=True))
        if answers["inference"] != "batch" and refusal(answers) is None:
            found.setdefault(texts(answers)["endpoint"], meant(answers))
    return [{question: answers[question] for question in questions} for answers in found.values()]


ENDPOINTS = _endpoints()
