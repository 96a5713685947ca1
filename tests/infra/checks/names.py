"""How long names may be and of what characters, and whether those of a template fit."""

import re
from dataclasses import dataclass

from standin.finding import Finding
from standin.schemas import create_only
from standin.template import Template, is_known
from tests.answers import QUESTIONS

LONGEST = {"ProjectName": "a" * QUESTIONS["_rules"]["project_slug"]["longest"], "ProjectId": "p-" + "0" * 12}
"""Parameters that make names longest; the id is as SageMaker Projects make it."""


@dataclass(frozen=True)
class NameRule:
    """What a service accepts as a name.

    Attributes:
        property: The property that holds it.
        longest: Characters.
        pattern: What it consists of.
    """

    property: str
    longest: int
    pattern: str


_WORDS = r"[\w-]+"
_DOTTED = r"[\w.-]+"
_HYPHENS = r"[a-zA-Z0-9](-*[a-zA-Z0-9])*"
NAMES = {
    "AWS::ApiGatewayV2::Api": NameRule("Name", 128, r".+"),
    "AWS::ApiGatewayV2::Stage": NameRule("StageName", 128, r"\$default|[\w-]+"),
    "AWS::ApplicationAutoScaling::ScalingPolicy": NameRule("PolicyName", 256, r".+"),
    "AWS::CloudTrail::Trail": NameRule("TrailName", 128, r"[a-zA-Z0-9]([._-]?[a-zA-Z0-9])+"),
    "AWS::CloudWatch::Alarm": NameRule("AlarmName", 255, r".+"),
    "AWS::CloudWatch::CompositeAlarm": NameRule("AlarmName", 255, r".+"),
    "AWS::CloudWatch::Dashboard": NameRule("DashboardName", 255, _WORDS),
    "AWS::CodeBuild::Project": NameRule("Name", 150, r"[A-Za-z0-9][\w-]+"),
    "AWS::CodeBuild::ReportGroup": NameRule("Name", 128, r"[\w-]{2,}"),
    "AWS::CodeCommit::Repository": NameRule("RepositoryName", 100, _DOTTED),
    "AWS::CodeConnections::Connection": NameRule("ConnectionName", 32, r"[\w.@:/-]+"),
    "AWS::CodePipeline::Pipeline": NameRule("Name", 100, r"[\w.@-]+"),
    "AWS::DynamoDB::Table": NameRule("TableName", 255, r"[\w.-]{3,}"),
    "AWS::EC2::VPCEndpoint": NameRule("ServiceName", 128, r"(com\.amazonaws|aws\.sagemaker)(\.[a-z0-9-]+)+"),
    "AWS::ECR::Repository": NameRule("RepositoryName", 256, r"[a-z0-9]+([._/-][a-z0-9]+)*"),
    "AWS::Events::EventBus": NameRule("Name", 256, r"[\w./-]+"),
    "AWS::Events::EventBusPolicy": NameRule("StatementId", 64, _WORDS),
    "AWS::Events::Rule": NameRule("Name", 64, _DOTTED),
    "AWS::IAM::ManagedPolicy": NameRule("ManagedPolicyName", 128, r"[\w+=,.@-]+"),
    "AWS::IAM::Role": NameRule("RoleName", 64, r"[\w+=,.@-]+"),
    "AWS::KMS::Alias": NameRule("AliasName", 256, r"alias/[\w/-]+"),
    "AWS::KinesisFirehose::DeliveryStream": NameRule("DeliveryStreamName", 64, _DOTTED),
    "AWS::Lambda::Function": NameRule("FunctionName", 64, _WORDS),
    "AWS::Logs::LogGroup": NameRule("LogGroupName", 512, r"[\w./#-]+"),
    "AWS::S3::Bucket": NameRule("BucketName", 63, r"[a-z0-9][a-z0-9-]+[a-z0-9]"),
    "AWS::SNS::Topic": NameRule("TopicName", 256, _WORDS),
    "AWS::SQS::Queue": NameRule("QueueName", 80, _WORDS),
    "AWS::SSM::Parameter": NameRule("Name", 1011, r"[\w./-]+"),
    "AWS::SageMaker::Domain": NameRule("DomainName", 63, _HYPHENS),
    "AWS::SageMaker::Endpoint": NameRule("EndpointName", 63, _HYPHENS),
    "AWS::SageMaker::FeatureGroup": NameRule("FeatureGroupName", 64, _HYPHENS),
    "AWS::SageMaker::ModelPackageGroup": NameRule("ModelPackageGroupName", 63, _HYPHENS),
    "AWS::SageMaker::MonitoringSchedule": NameRule("MonitoringScheduleName", 63, _HYPHENS),
    "AWS::SageMaker::NotebookInstance": NameRule("NotebookInstanceName", 63, _HYPHENS),
    "AWS::SageMaker::NotebookInstanceLifecycleConfig": NameRule("NotebookInstanceLifecycleConfigName", 63, _HYPHENS),
    "AWS::SageMaker::Pipeline": NameRule("PipelineName", 256, _HYPHENS),
    "AWS::SageMaker::Space": NameRule("SpaceName", 63, _HYPHENS),
    "AWS::SageMaker::UserProfile": NameRule("UserProfileName", 63, _HYPHENS),
    "AWS::Scheduler::Schedule": NameRule("Name", 64, _DOTTED),
    "AWS::Scheduler::ScheduleGroup": NameRule("Name", 64, _DOTTED),
    "AWS::SecretsManager::Secret": NameRule("Name", 512, r"[\w/+=.@-]+"),
}
"""By resource type: quotas and API references of the services, as of November 2026."""


def physical_name(resolved: Template, logical_id: str) -> str | None:
    """The name that a resource is given; None when CloudFormation makes one up."""
    resource = resolved.resources[logical_id]
    rule = NAMES.get(resource["Type"])
    name = resource.get("Properties", {}).get(rule.property) if rule else None
    if name is None:
        return None
    # A name within the name: /aws/lambda/{{Handler}}
    return re.sub(r"\{\{(\w+)(\.\w*Name)?\}\}", lambda inner: physical_name(resolved, inner[1]) or inner[0], name)


def findings(resolved: Template) -> list[Finding]:
    """Names that a service would refuse, and named resources whose service's rule is not in the table.

    Args:
        resolved: A template resolved with the longest values of its parameters.
    """
    found = []
    for logical_id, resource in resolved.resources.items():
        properties, rule = resource.get("Properties", {}), NAMES.get(resource["Type"])
        if rule is None:
            for unknown, *_ in create_only(resource["Type"]):
                if unknown.endswith("Name") and is_known(properties.get(unknown, "{{}}")):
                    found.append(resolved.finding(f"how long may a {unknown} be?", logical_id, "Properties", unknown))
        elif (name := physical_name(resolved, logical_id)) is not None:
            place = (logical_id, "Properties", rule.property)
            if len(name) > rule.longest:
                found.append(resolved.finding(f"{name} has {len(name)} characters, {rule.longest} are allowed", *place))
            if not re.fullmatch(rule.pattern, name, re.ASCII):
                found.append(resolved.finding(f"{name} does not match {rule.pattern}", *place))
    return found
