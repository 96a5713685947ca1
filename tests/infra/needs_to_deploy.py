"""What CloudFormation needs to deploy a template: what the handlers of its types say, resource by resource.

Types come with all that their handlers may ever call. `NEVER_CALLED` lists what they call only for properties that no
template of the project sets.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from standin.needs import Need, catalogue
from standin.schemas import schema
from standin.template import Template
from tests.infra.checks.names import physical_name

ARNS: Mapping[str, tuple[str, ...]] = {
    "AWS::ApiGatewayV2::Api": ("apigateway:{region}::/apis", "apigateway:{region}::/apis/one"),
    "AWS::ApiGatewayV2::Authorizer": ("apigateway:{region}::/apis/one/authorizers/one",),
    "AWS::ApiGatewayV2::Integration": ("apigateway:{region}::/apis/one/integrations/one",),
    "AWS::ApiGatewayV2::Route": ("apigateway:{region}::/apis/one/routes/one",),
    "AWS::ApiGatewayV2::Stage": ("apigateway:{region}::/apis/one/stages/one",),
    "AWS::ApplicationAutoScaling::ScalableTarget": ("application-autoscaling:{region}:{account}:scalable-target/one",),
    "AWS::ApplicationAutoScaling::ScalingPolicy": ("application-autoscaling:{region}:{account}:scalable-target/one",),
    "AWS::CloudWatch::Alarm": ("cloudwatch:{region}:{account}:alarm:{name}",),
    "AWS::CloudWatch::Dashboard": ("cloudwatch::{account}:dashboard/{name}",),
    "AWS::Events::Rule": ("events:{region}:{account}:rule/{name}",),
    "AWS::KinesisFirehose::DeliveryStream": ("firehose:{region}:{account}:deliverystream/{name}",),
    "AWS::Lambda::Function": ("lambda:{region}:{account}:function:{name}",),
    "AWS::Lambda::Permission": ("lambda:{region}:{account}:function:{FunctionName}",),
    "AWS::Logs::LogGroup": ("logs:{region}:{account}:log-group:{name}",),
    # AWS documents that these actions are on the topic, not whether its ARN or that of the subscription is meant.
    "AWS::SNS::Subscription": tuple(f"sns:{{region}}:{{account}}:{{endpoint}}-answered{rest}" for rest in ("", ":one")),
    "AWS::SNS::Topic": ("sns:{region}:{account}:{name}",),
    "AWS::SQS::Queue": ("sqs:{region}:{account}:{name}",),
    "AWS::SageMaker::Endpoint": ("sagemaker:{region}:{account}:endpoint/{name}",),
    "AWS::SageMaker::EndpointConfig": ("sagemaker:{region}:{account}:endpoint-config/{name}",),
    "AWS::SageMaker::Model": ("sagemaker:{region}:{account}:model/{name}",),
    "AWS::Scheduler::Schedule": ("scheduler:{region}:{account}:schedule/{GroupName}/{name}",),
    "AWS::Scheduler::ScheduleGroup": ("scheduler:{region}:{account}:schedule-group/{name}",),
}
"""By type, the resources that its handlers work on."""

_SCALING = "sagemaker.application-autoscaling.amazonaws.com"
ELSEWHERE: Mapping[tuple[str, str], tuple[str, Mapping[str, str]]] = {
    ("AWS::ApplicationAutoScaling::ScalableTarget", "iam:CreateServiceLinkedRole"): (
        f"arn:aws:iam::{{account}}:role/aws-service-role/{_SCALING}/"
        "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint",
        {"iam:AWSServiceName": _SCALING},
    ),
    **{
        ("AWS::ApplicationAutoScaling::ScalableTarget", f"cloudwatch:{action}"): (
            "arn:aws:cloudwatch:{region}:{account}:alarm:TargetTracking-endpoint/{endpoint}/variant/one",
            {},
        )
        for action in ("DeleteAlarms", "DescribeAlarms", "PutMetricAlarm")
    },
    ("AWS::KinesisFirehose::DeliveryStream", "iam:GetRole"): ("{DeliveryRoleArn}", {}),
    ("AWS::KinesisFirehose::DeliveryStream", "iam:PassRole"): (
        "{DeliveryRoleArn}",
        {"iam:PassedToService": "firehose.amazonaws.com"},
    ),
    ("AWS::KinesisFirehose::DeliveryStream", "kms:DescribeKey"): ("{WorkloadKeyArn}", {}),
    # The stream uses the key by a grant: https://docs.aws.amazon.com/firehose/latest/dev/encryption.html
    **{
        ("AWS::KinesisFirehose::DeliveryStream", f"kms:{action}"): (
            "{WorkloadKeyArn}",
            {"kms:GrantIsForAWSResource": "true"},
        )
        for action in ("CreateGrant", "RevokeGrant")
    },
    ("AWS::Lambda::Function", "iam:PassRole"): ("{ApiRoleArn}", {"iam:PassedToService": "lambda.amazonaws.com"}),
    ("AWS::Lambda::Function", "kms:Decrypt"): ("{DataKeyArn}", {"kms:ViaService": "s3.{region}.amazonaws.com"}),
    ("AWS::Lambda::Function", "s3:GetObject"): ("arn:aws:s3:::{Code[S3Bucket]}/{Code[S3Key]}", {}),
    ("AWS::SNS::Subscription", "iam:GetRole"): ("{NoticeRoleArn}", {}),
    ("AWS::SNS::Subscription", "iam:PassRole"): ("{NoticeRoleArn}", {"iam:PassedToService": "sns.amazonaws.com"}),
    ("AWS::SageMaker::EndpointConfig", "kms:DescribeKey"): ("{WorkloadKeyArn}", {}),
    ("AWS::SageMaker::Model", "iam:PassRole"): ("{HostRoleArn}", {"iam:PassedToService": "sagemaker.amazonaws.com"}),
    ("AWS::Scheduler::Schedule", "iam:PassRole"): (
        "{Target[RoleArn]}",
        {"iam:PassedToService": "scheduler.amazonaws.com"},
    ),
}
"""What handlers do to other resources, with the values of condition keys."""

_API_GATEWAY = "ops.apigateway.amazonaws.com"
_TAGGED_APIS = tuple(
    (f"apigateway:{verb}", "arn:aws:apigateway:{region}::/tags/one") for verb in ("DELETE", "POST", "PUT")
)
_LINKED = f"arn:aws:iam::{{account}}:role/aws-service-role/{_API_GATEWAY}/AWSServiceRoleForAPIGateway"
BESIDES: Mapping[str, tuple[tuple[str, str, Mapping[str, str]], ...]] = {
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-tagging-iam-policy.html and
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/using-service-linked-roles.html
    "AWS::ApiGatewayV2::Api": (
        *((action, resource, {}) for action, resource in _TAGGED_APIS),
        ("iam:CreateServiceLinkedRole", _LINKED, {"iam:AWSServiceName": _API_GATEWAY}),
    ),
    "AWS::ApiGatewayV2::Stage": tuple((action, resource, {}) for action, resource in _TAGGED_APIS),
}
"""What making and tagging resources of a type needs, though its handlers do not say so."""

NEVER_CALLED: Mapping[str, tuple[str, ...]] = {
    # An API that is imported; its integrations and authorizers with roles of their own.
    "AWS::ApiGatewayV2::Api": ("s3:getObject",),
    "AWS::ApiGatewayV2::Authorizer": ("iam:PassRole",),
    "AWS::ApiGatewayV2::Integration": ("iam:PassRole",),
    # A role for it (SageMaker has a service-linked one), scheduled actions, functions with provisioned concurrency.
    "AWS::ApplicationAutoScaling::ScalableTarget": (
        "application-autoscaling:DeleteScheduledAction", "application-autoscaling:PutScheduledAction", "iam:PassRole",
        "lambda:DeleteProvisionedConcurrencyConfig", "lambda:GetProvisionedConcurrencyConfig",
        "lambda:PutProvisionedConcurrencyConfig",
    ),
    # Predictive scaling.
    "AWS::ApplicationAutoScaling::ScalingPolicy": ("cloudwatch:GetMetricData",),
    # Targets with roles.
    "AWS::Events::Rule": ("iam:PassRole",),
    # Encryption that is taken away.
    "AWS::KinesisFirehose::DeliveryStream": ("firehose:StopDeliveryStreamEncryption",),
    # A VPC, file systems, layers, capacity providers, signed code, reserved concurrency, recursion, versions, pinned
    # runtimes, code by version, variables with a key.
    "AWS::Lambda::Function": (
        "ec2:DescribeNetworkInterfaces", "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs",
        "elasticfilesystem:DescribeMountTargets", "kms:CreateGrant", "kms:DescribeKey", "kms:Encrypt",
        "kms:GenerateDataKey", "lambda:AssociateRuntimeAlias", "lambda:DeleteFunctionCodeSigningConfig",
        "lambda:DeleteFunctionConcurrency", "lambda:GetCodeSigningConfig", "lambda:GetFunctionScalingConfig",
        "lambda:GetLayerVersion", "lambda:PassCapacityProvider", "lambda:PublishVersion",
        "lambda:PutFunctionCodeSigningConfig", "lambda:PutFunctionConcurrency", "lambda:PutFunctionRecursionConfig",
        "lambda:PutFunctionScalingConfig", "lambda:PutRuntimeManagementConfig", "s3:GetObjectVersion",
        "s3files:ListMountTargets",
    ),
    # Data protection, field indexes, resource policies of its own, deletion protection, deliveries.
    "AWS::Logs::LogGroup": (
        "firehose:TagDeliveryStream", "logs:CreateLogDelivery", "logs:DeleteDataProtectionPolicy",
        "logs:DeleteIndexPolicy", "logs:DeleteResourcePolicy", "logs:PutBearerTokenAuthentication",
        "logs:PutDataProtectionPolicy", "logs:PutIndexPolicy", "logs:PutLogGroupDeletionProtection",
        "logs:PutResourcePolicy", "s3:REST.PUT.OBJECT",
    ),
    # Delivery status with a role, data protection, subscriptions within the topic.
    "AWS::SNS::Topic": (
        "iam:GetRole", "iam:PassRole", "sns:PutDataProtectionPolicy", "sns:Subscribe", "sns:Unsubscribe",
    ),
    # A role of its own, for endpoints of inference components.
    "AWS::SageMaker::EndpointConfig": ("iam:PassRole",),
    # The schedules of a group; they are gone when it is deleted.
    "AWS::Scheduler::ScheduleGroup": ("scheduler:DeleteSchedule",),
}  # fmt: skip

CALLED_FOR = {("AWS::SageMaker::EndpointConfig", "kms:DescribeKey"): "KmsKeyId"}
"""By type and action, the property that the handlers of a type call it for."""

_NAMED_BY_CLOUDFORMATION = ("AWS::SageMaker::EndpointConfig", "AWS::SageMaker::Model")
"""Tags say whose such a resource is: those of the request when it is made, its own later."""


def needs_to_deploy(resolved: Template, known: Mapping[str, str]) -> Iterator[Need]:
    """What making, changing and deleting the resources of a template needs.

    Args:
        resolved: The template.
        known: `region`, `account`, `slug`, `id`, `endpoint`, and the outputs of the stacks before.

    Raises:
        KeyError: `ARNS` does not say what a type's resources are called.
    """
    for logical, resource in resolved.resources.items():
        type_ = resource["Type"]
        found = {**_names(resolved, resource.get("Properties", {})), **known}
        found["name"] = physical_name(resolved, logical) or f"{logical}-1a2b3c4d"
        for action, arn, context in BESIDES.get(type_, ()):
            yield Need(action, arn.format(**found), type_, context)
        for handler, said in schema(type_)["handlers"].items():
            for action in said["permissions"] if handler != "list" else ():
                needed_by = CALLED_FOR.get((type_, action))
                if action not in NEVER_CALLED.get(type_, ()) and (needed_by is None or needed_by in found):
                    yield from _of_action(type_, action, handler == "create", found)


def _names(resolved: Template, properties: Mapping[str, Any]) -> dict[str, Any]:
    """Properties, with the names of the resources that they refer to."""
    referred = {key: value[2:-2] for key, value in properties.items() if isinstance(value, str) and value[:2] == "{{"}
    known = {key: logical for key, logical in referred.items() if logical in resolved.resources}
    return {**properties, **{key: physical_name(resolved, logical) for key, logical in known.items()}}


def _of_action(type_: str, action: str, is_new: bool, found: Mapping[str, Any]) -> Iterator[Need]:
    if not catalogue()[action.lower()]:
        yield Need(action, "*", type_)
    elif (type_, action) in ELSEWHERE:
        resource, context = ELSEWHERE[type_, action]
        formatted = {key: value.format(**found) for key, value in context.items()}
        yield Need(action, resource.format(**found), type_, formatted)
    else:
        for arn in ARNS[type_]:
            yield Need(action, f"arn:aws:{arn}".format(**found), type_, _context(type_, action, is_new, found))


def _context(type_: str, action: str, is_new: bool, found: Mapping[str, Any]) -> dict[str, str]:
    if type_ in _NAMED_BY_CLOUDFORMATION:
        tags = "aws:RequestTag" if is_new else "aws:ResourceTag"
        return {f"{tags}/sagemaker:project-name": found["slug"], f"{tags}/sagemaker:project-id": found["id"]}
    if type_.startswith("AWS::ApplicationAutoScaling::") and "tag" not in action.lower():
        return {"application-autoscaling:service-namespace": "sagemaker"}
    return {}
