"""The kinds of resource that the templates deploy, and the calls of AWS that make, change, read and delete one.

Values are JMESPath expressions over what is known of a resource:
{"properties", "answer" (of the creating call), "id" (what Ref returns), "name", "account", "region"}.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Put:
    """A call that carries out one property which the creating call does not take.

    Attributes:
        operation: As AWS names it.
        request: What is sent. One that speaks of `item` is sent for each item of the property, else `value` is all of
            it. `described` is what the answer of reading holds. What yields null is not sent.
        undo: The operation that takes back an item; it takes some members of the request.
        member: The member of the creating request that holds it, if that is called otherwise.
    """

    operation: str
    request: str
    undo: str = ""
    member: str = ""


@dataclass(frozen=True)
class Kind:
    """One kind of resource.

    Attributes:
        service: As boto3 calls it.
        read: The operation that describes one.
        identity: Members by which reading, changing and deleting know it; each operation gets those that it takes.
        exists: What the answer of reading holds when the resource is there.
        described: What of the answer of reading is what the creating call answers.
        create: The creating operation. Empty: its puts make it.
        ref: What Ref returns.
        name: The property that names it.
        request: What is sent to create or change it.
        attributes: What GetAtt returns.
        update: The changing operation. A change that it and the puts cannot carry out replaces the resource.
        delete: The deleting operation.
        puts: By property.
    """

    service: str
    read: str
    identity: Mapping[str, str]
    exists: str = "@"
    described: str = "@"
    create: str = ""
    ref: str = ""
    name: str = ""
    request: str = "properties"
    attributes: Mapping[str, str] = field(default_factory=dict)
    update: str = ""
    delete: str = ""
    puts: Mapping[str, Put] = field(default_factory=dict)


def _arn(service: str, rest: str, region: str = "region", account: str = "account") -> str:
    return f"join(':', ['arn:aws:{service}', {region}, {account}, {rest}])"


def _attributes(*names: str) -> dict[str, str]:
    return {name: f"answer.{name}" for name in names}


def _properties(*names: str) -> dict[str, str]:
    return {name: f"properties.{name}" for name in names}


def _sagemaker(
    noun: str, ref: str = "", update: bool = False, name: str = "", puts: Mapping[str, Put] | None = None
) -> Kind:
    """A resource of SageMaker that is known by its name."""
    name = name or f"{noun}Name"
    return Kind(
        service="sagemaker",
        create=f"Create{noun}",
        ref=ref or f"answer.{noun}Arn",
        name=name,
        identity={name: f"properties.{name}"},
        attributes={**_attributes(f"{noun}Arn"), name: f"properties.{name}"},
        read=f"Describe{noun}",
        update=f"Update{noun}" if update else "",
        delete=f"Delete{noun}",
        puts=puts or {},
    )


def _in_domain(noun: str) -> Kind:
    """A resource of SageMaker whose name is known within a Studio domain."""
    return replace(
        _sagemaker(noun, update=True), ref=f"properties.{noun}Name", identity=_properties("DomainId", f"{noun}Name")
    )


def _job_definition(noun: str) -> Kind:
    name = "JobDefinitionName"
    return Kind(
        service="sagemaker",
        create=f"Create{noun}",
        ref="answer.JobDefinitionArn",
        name=name,
        identity=_properties(name),
        attributes=_attributes("JobDefinitionArn"),
        read=f"Describe{noun}",
        delete=f"Delete{noun}",
    )


def _ec2(noun: str, **more: Any) -> Kind:
    """A resource of EC2 that is known by its id, whose changes replace it but for those of its puts."""
    plain = {
        "create": f"Create{noun}",
        "ref": f"answer.{noun}.{noun}Id",
        "identity": {f"{noun}Id": "id", f"{noun}Ids": "[id]"},
        "attributes": {f"{noun}Id": "id"},
        "read": f"Describe{noun}s",
        "exists": f"{noun}s[0]",
        "delete": f"Delete{noun}",
    }
    return Kind("ec2", **{**plain, **more})


def _security_group_rule(direction: str, end: str) -> Kind:
    """A rule that lets one security group speak with another."""
    return Kind(
        service="ec2",
        create=f"AuthorizeSecurityGroup{direction}",
        ref="answer.SecurityGroupRules[0].SecurityGroupRuleId",
        request="{GroupId: properties.GroupId, IpPermissions: [" + _permission("properties", end) + "]}",
        identity={"GroupId": "properties.GroupId", "SecurityGroupRuleIds": "[id]"},
        read="DescribeSecurityGroupRules",
        exists="SecurityGroupRules[0]",
        delete=f"RevokeSecurityGroup{direction}",
    )


def _security_group_put(direction: str, end: str) -> Put:
    return Put(
        f"AuthorizeSecurityGroup{direction}",
        "{GroupId: id, IpPermissions: [" + _permission("item", end) + "]}",
        undo=f"RevokeSecurityGroup{direction}",
    )


def _permission(rule: str, end: str) -> str:
    return (
        f"{rule}.{{IpProtocol: IpProtocol, FromPort: FromPort, ToPort: ToPort,"
        f" IpRanges: CidrIp && [{{CidrIp: CidrIp, Description: Description}}],"
        f" UserIdGroupPairs: {end}SecurityGroupId && [{{GroupId: {end}SecurityGroupId, Description: Description}}]}}"
    )


_BUCKET_PUTS = {
    "VersioningConfiguration": Put("PutBucketVersioning", "{Bucket: id, VersioningConfiguration: value}"),
    "BucketEncryption": Put(
        "PutBucketEncryption",
        "{Bucket: id, ServerSideEncryptionConfiguration: {Rules: value.ServerSideEncryptionConfiguration[].{"
        "ApplyServerSideEncryptionByDefault: ServerSideEncryptionByDefault, BucketKeyEnabled: BucketKeyEnabled}}}",
    ),
    "PublicAccessBlockConfiguration": Put(
        "PutPublicAccessBlock", "{Bucket: id, PublicAccessBlockConfiguration: value}"
    ),
    "OwnershipControls": Put("PutBucketOwnershipControls", "{Bucket: id, OwnershipControls: value}"),
    "NotificationConfiguration": Put(
        "PutBucketNotificationConfiguration",
        "contains(keys(value), 'EventBridgeConfiguration')"
        " && {Bucket: id, NotificationConfiguration: {EventBridgeConfiguration: `{}`}} || null",
    ),
    "LifecycleConfiguration": Put(
        "PutBucketLifecycleConfiguration",
        "{Bucket: id, LifecycleConfiguration: {Rules: value.Rules[].{ID: Id, Status: Status,"
        " Filter: {Prefix: Prefix || ''}, Expiration: ExpirationInDays && {Days: ExpirationInDays},"
        " Transitions: Transitions[].{Days: TransitionInDays, StorageClass: StorageClass},"
        " NoncurrentVersionExpiration: NoncurrentVersionExpiration,"
        " AbortIncompleteMultipartUpload: AbortIncompleteMultipartUpload}}}",
    ),
    "LoggingConfiguration": Put(
        "PutBucketLogging",
        "{Bucket: id, BucketLoggingStatus: {LoggingEnabled: {TargetBucket: value.DestinationBucketName,"
        " TargetPrefix: value.LogFilePrefix}}}",
    ),
    "ObjectLockConfiguration": Put("PutObjectLockConfiguration", "{Bucket: id, ObjectLockConfiguration: value}"),
    "Tags": Put("PutBucketTagging", "{Bucket: id, Tagging: {TagSet: value}}"),
}

# A scaling policy names what it scales by its parts, or by what Ref of the scalable target returns.
_SCALED = {
    name: f"properties.{name} || split(properties.ScalingTargetId, '|')[{index}]"
    for index, name in enumerate(("ResourceId", "ScalableDimension", "ServiceNamespace"))
}

KINDS: Mapping[str, Kind] = {
    "AWS::ApiGatewayV2::Api": Kind(
        service="apigatewayv2",
        create="CreateApi",
        ref="answer.ApiId",
        identity={"ApiId": "id"},
        attributes=_attributes("ApiEndpoint", "ApiId"),
        read="GetApi",
        update="UpdateApi",
        delete="DeleteApi",
    ),
    "AWS::ApiGatewayV2::Authorizer": Kind(
        service="apigatewayv2",
        create="CreateAuthorizer",
        ref="answer.AuthorizerId",
        identity={"AuthorizerId": "id", "ApiId": "properties.ApiId"},
        attributes=_attributes("AuthorizerId"),
        read="GetAuthorizer",
        update="UpdateAuthorizer",
        delete="DeleteAuthorizer",
    ),
    "AWS::ApiGatewayV2::Integration": Kind(
        service="apigatewayv2",
        create="CreateIntegration",
        ref="answer.IntegrationId",
        identity={"IntegrationId": "id", "ApiId": "properties.ApiId"},
        attributes=_attributes("IntegrationId"),
        read="GetIntegration",
        update="UpdateIntegration",
        delete="DeleteIntegration",
    ),
    "AWS::ApiGatewayV2::Route": Kind(
        service="apigatewayv2",
        create="CreateRoute",
        ref="answer.RouteId",
        identity={"RouteId": "id", "ApiId": "properties.ApiId"},
        attributes=_attributes("RouteId"),
        read="GetRoute",
        update="UpdateRoute",
        delete="DeleteRoute",
    ),
    "AWS::ApiGatewayV2::Stage": Kind(
        service="apigatewayv2",
        create="CreateStage",
        ref="properties.StageName",
        name="StageName",
        identity=_properties("StageName", "ApiId"),
        read="GetStage",
        delete="DeleteStage",
    ),
    "AWS::ApplicationAutoScaling::ScalableTarget": Kind(
        service="application-autoscaling",
        create="RegisterScalableTarget",
        ref="join('|', [properties.ResourceId, properties.ScalableDimension, properties.ServiceNamespace])",
        identity={
            **_properties("ResourceId", "ScalableDimension", "ServiceNamespace"),
            "ResourceIds": "[properties.ResourceId]",
        },
        read="DescribeScalableTargets",
        exists="ScalableTargets[0]",
        update="RegisterScalableTarget",
        delete="DeregisterScalableTarget",
    ),
    "AWS::ApplicationAutoScaling::ScalingPolicy": Kind(
        service="application-autoscaling",
        create="PutScalingPolicy",
        ref="answer.PolicyARN",
        name="PolicyName",
        request="merge(properties, {ScalingTargetId: null, "
        + ", ".join(f"{name}: {value}" for name, value in _SCALED.items())
        + "})",
        identity={
            **_SCALED,
            **_properties("PolicyName"),
            "PolicyNames": "[properties.PolicyName]",
        },
        read="DescribeScalingPolicies",
        exists="ScalingPolicies[0]",
        update="PutScalingPolicy",
        delete="DeleteScalingPolicy",
    ),
    "AWS::CloudWatch::Alarm": Kind(
        service="cloudwatch",
        create="PutMetricAlarm",
        ref="properties.AlarmName",
        name="AlarmName",
        identity={"AlarmName": "properties.AlarmName", "AlarmNames": "[properties.AlarmName]"},
        attributes={"Arn": _arn("cloudwatch", "'alarm', properties.AlarmName")},
        read="DescribeAlarms",
        exists="MetricAlarms[0]",
        update="PutMetricAlarm",
        delete="DeleteAlarms",
    ),
    "AWS::CloudWatch::Dashboard": Kind(
        service="cloudwatch",
        create="PutDashboard",
        ref="properties.DashboardName",
        name="DashboardName",
        identity={"DashboardName": "properties.DashboardName", "DashboardNames": "[properties.DashboardName]"},
        read="GetDashboard",
        update="PutDashboard",
        delete="DeleteDashboards",
    ),
    "AWS::CodeBuild::Project": Kind(
        service="codebuild",
        create="CreateProject",
        ref="properties.Name",
        name="Name",
        # moto asks for locations where AWS knows that CodePipeline passes the artifacts.
        request="merge(properties, {Source: merge({Location: 'codepipeline'}, properties.Source),"
        " Artifacts: merge({Location: 'codepipeline'}, properties.Artifacts)})",
        identity={"name": "properties.Name", "names": "[properties.Name]"},
        attributes={"Arn": "answer.project.arn"},
        read="BatchGetProjects",
        exists="projects[0]",
        update="UpdateProject",
        delete="DeleteProject",
    ),
    "AWS::CodeBuild::ReportGroup": Kind(
        service="codebuild",
        create="CreateReportGroup",
        ref="answer.reportGroup.arn",
        name="Name",
        identity={"arn": "id", "reportGroupArns": "[id]", "deleteReports": "properties.DeleteReports"},
        attributes={"Arn": "answer.reportGroup.arn"},
        read="BatchGetReportGroups",
        exists="reportGroups[0]",
        update="UpdateReportGroup",
        delete="DeleteReportGroup",
    ),
    "AWS::CodeCommit::Repository": Kind(
        service="codecommit",
        create="CreateRepository",
        ref="answer.repositoryMetadata.repositoryId",
        name="RepositoryName",
        identity={"repositoryName": "properties.RepositoryName"},
        attributes={"Arn": "answer.repositoryMetadata.Arn", "Name": "properties.RepositoryName"},
        read="GetRepository",
        delete="DeleteRepository",
        puts={
            "RepositoryDescription": Put(
                "UpdateRepositoryDescription",
                "{repositoryName: properties.RepositoryName, repositoryDescription: value}",
            )
        },
    ),
    "AWS::CodeConnections::Connection": Kind(
        service="codeconnections",
        create="CreateConnection",
        ref="answer.ConnectionArn",
        name="ConnectionName",
        identity={"ConnectionArn": "id"},
        attributes=_attributes("ConnectionArn"),
        read="GetConnection",
        delete="DeleteConnection",
    ),
    "AWS::CodePipeline::Pipeline": Kind(
        service="codepipeline",
        create="CreatePipeline",
        ref="properties.Name",
        name="Name",
        request="{pipeline: merge(properties, {version: `1`, Tags: null, RestartExecutionOnUpdate: null}),"
        " tags: properties.Tags}",
        identity={"name": "properties.Name"},
        attributes={"Version": "to_string(answer.pipeline.version)"},
        read="GetPipeline",
        update="UpdatePipeline",
        delete="DeletePipeline",
    ),
    "AWS::DynamoDB::Table": Kind(
        service="dynamodb",
        create="CreateTable",
        ref="properties.TableName",
        name="TableName",
        request="merge(properties, {SSESpecification: properties.SSESpecification"
        " && merge(properties.SSESpecification, {Enabled: properties.SSESpecification.SSEEnabled, SSEEnabled: null})})",
        identity=_properties("TableName"),
        attributes={"Arn": "answer.TableDescription.TableArn"},
        read="DescribeTable",
        update="UpdateTable",
        delete="DeleteTable",
        puts={
            "PointInTimeRecoverySpecification": Put(
                "UpdateContinuousBackups", "{TableName: id, PointInTimeRecoverySpecification: value}"
            ),
            "TimeToLiveSpecification": Put("UpdateTimeToLive", "{TableName: id, TimeToLiveSpecification: value}"),
        },
    ),
    "AWS::EC2::EIP": _ec2(
        "Address",
        create="AllocateAddress",
        ref="answer.PublicIp",
        identity={"AllocationId": "answer.AllocationId", "AllocationIds": "[answer.AllocationId]"},
        attributes=_attributes("AllocationId"),
        read="DescribeAddresses",
        exists="Addresses[0]",
        delete="ReleaseAddress",
    ),
    "AWS::EC2::FlowLog": _ec2(
        "FlowLog",
        create="CreateFlowLogs",
        ref="answer.FlowLogIds[0]",
        request="merge(properties, {ResourceIds: [properties.ResourceId], ResourceId: null})",
        delete="DeleteFlowLogs",
    ),
    "AWS::EC2::InternetGateway": _ec2("InternetGateway"),
    "AWS::EC2::NatGateway": _ec2("NatGateway", exists="NatGateways[?State == 'available'] | [0]"),
    "AWS::EC2::Route": Kind(
        service="ec2",
        create="CreateRoute",
        ref="join('|', [properties.RouteTableId, properties.DestinationCidrBlock])",
        identity={
            **_properties("RouteTableId", "DestinationCidrBlock"),
            "RouteTableIds": "[properties.RouteTableId]",
            "Filters": "[{Name: 'route.destination-cidr-block', Values: [properties.DestinationCidrBlock]}]",
        },
        read="DescribeRouteTables",
        exists="RouteTables[0]",
        delete="DeleteRoute",
    ),
    "AWS::EC2::RouteTable": _ec2("RouteTable"),
    "AWS::EC2::SecurityGroup": _ec2(
        "SecurityGroup",
        ref="answer.GroupId",
        name="GroupName",
        request="merge(properties, {Description: properties.GroupDescription, GroupDescription: null})",
        identity={"GroupId": "id", "GroupIds": "[id]"},
        attributes={"GroupId": "id"},
        puts={
            "SecurityGroupEgress": _security_group_put("Egress", "Destination"),
            "SecurityGroupIngress": _security_group_put("Ingress", "Source"),
        },
    ),
    "AWS::EC2::SecurityGroupEgress": _security_group_rule("Egress", "Destination"),
    "AWS::EC2::SecurityGroupIngress": _security_group_rule("Ingress", "Source"),
    "AWS::EC2::Subnet": _ec2(
        "Subnet",
        puts={
            "MapPublicIpOnLaunch": Put("ModifySubnetAttribute", "{SubnetId: id, MapPublicIpOnLaunch: {Value: value}}")
        },
    ),
    "AWS::EC2::SubnetRouteTableAssociation": Kind(
        service="ec2",
        create="AssociateRouteTable",
        ref="answer.AssociationId",
        identity={
            "AssociationId": "id",
            "Filters": "[{Name: 'association.route-table-association-id', Values: [id]}]",
        },
        read="DescribeRouteTables",
        exists="RouteTables[0]",
        delete="DisassociateRouteTable",
    ),
    "AWS::EC2::VPC": _ec2(
        "Vpc",
        puts={
            name: Put("ModifyVpcAttribute", f"{{VpcId: id, {name}: {{Value: value}}}}")
            for name in ("EnableDnsHostnames", "EnableDnsSupport")
        },
    ),
    "AWS::EC2::VPCEndpoint": _ec2(
        "VpcEndpoint", exists="VpcEndpoints[?State != 'deleted'] | [0]", delete="DeleteVpcEndpoints"
    ),
    "AWS::EC2::VPCGatewayAttachment": Kind(
        service="ec2",
        create="AttachInternetGateway",
        ref="join('|', ['IGW', properties.VpcId])",
        identity={
            **_properties("InternetGatewayId", "VpcId"),
            "InternetGatewayIds": "[properties.InternetGatewayId]",
        },
        read="DescribeInternetGateways",
        exists="InternetGateways[0].Attachments[0]",
        delete="DetachInternetGateway",
    ),
    "AWS::ECR::Repository": Kind(
        service="ecr",
        create="CreateRepository",
        ref="properties.RepositoryName",
        name="RepositoryName",
        request="merge(properties, {EmptyOnDelete: null})",
        identity={
            "repositoryName": "properties.RepositoryName",
            "repositoryNames": "[properties.RepositoryName]",
            "force": "properties.EmptyOnDelete",
        },
        attributes={
            "Arn": "answer.repository.repositoryArn",
            "RepositoryUri": "answer.repository.repositoryUri",
        },
        read="DescribeRepositories",
        described="{repository: repositories[0]}",
        delete="DeleteRepository",
        puts={
            "ImageScanningConfiguration": Put(
                "PutImageScanningConfiguration", "{repositoryName: id, imageScanningConfiguration: value}"
            ),
            "ImageTagMutability": Put("PutImageTagMutability", "{repositoryName: id, imageTagMutability: value}"),
            "LifecyclePolicy": Put(
                "PutLifecyclePolicy", "{repositoryName: id, lifecyclePolicyText: value.LifecyclePolicyText}"
            ),
            "RepositoryPolicyText": Put(
                "SetRepositoryPolicy", "{repositoryName: id, policyText: value}", undo="DeleteRepositoryPolicy"
            ),
        },
    ),
    "AWS::Events::EventBus": Kind(
        service="events",
        create="CreateEventBus",
        ref="properties.Name",
        name="Name",
        identity=_properties("Name"),
        attributes={"Arn": "answer.EventBusArn", "Name": "properties.Name"},
        read="DescribeEventBus",
        delete="DeleteEventBus",
    ),
    "AWS::Events::EventBusPolicy": Kind(
        service="events",
        create="PutPermission",
        ref="properties.StatementId",
        request="{EventBusName: properties.EventBusName, Policy: {Version: '2012-10-17',"
        " Statement: [merge(properties.Statement, {Sid: properties.StatementId})]}}",
        identity={**_properties("EventBusName", "StatementId"), "Name": "properties.EventBusName"},
        read="DescribeEventBus",
        exists="Policy",
        update="PutPermission",
        delete="RemovePermission",
    ),
    "AWS::Events::Rule": Kind(
        service="events",
        create="PutRule",
        ref="properties.Name",
        name="Name",
        identity=_properties("Name", "EventBusName"),
        attributes={"Arn": "answer.RuleArn"},
        read="DescribeRule",
        update="PutRule",
        delete="DeleteRule",
        puts={
            "Targets": Put(
                "PutTargets",
                "{Rule: id, EventBusName: properties.EventBusName, Targets: [item], Ids: [item.Id]}",
                undo="RemoveTargets",
            )
        },
    ),
    "AWS::IAM::ManagedPolicy": Kind(
        service="iam",
        create="CreatePolicy",
        ref="answer.Policy.Arn",
        name="ManagedPolicyName",
        request="merge(properties, {PolicyName: properties.ManagedPolicyName, ManagedPolicyName: null, Roles: null})",
        identity={"PolicyArn": "id"},
        attributes={"PolicyArn": "id"},
        read="GetPolicy",
        delete="DeletePolicy",
        puts={
            "PolicyDocument": Put(
                "CreatePolicyVersion", "{PolicyArn: id, PolicyDocument: value, SetAsDefault: `true`}"
            ),
            "Roles": Put("AttachRolePolicy", "{PolicyArn: id, RoleName: item}", undo="DetachRolePolicy"),
        },
    ),
    "AWS::IAM::OIDCProvider": Kind(
        service="iam",
        create="CreateOpenIDConnectProvider",
        ref="answer.OpenIDConnectProviderArn",
        identity={"OpenIDConnectProviderArn": "id"},
        attributes={"Arn": "id"},
        read="GetOpenIDConnectProvider",
        delete="DeleteOpenIDConnectProvider",
    ),
    "AWS::IAM::Policy": Kind(
        service="iam",
        ref="properties.PolicyName",
        identity={"PolicyName": "properties.PolicyName", "RoleName": "properties.Roles[0]"},
        read="GetRolePolicy",
        puts={
            "Roles": Put(
                "PutRolePolicy",
                "{RoleName: item, PolicyName: properties.PolicyName, PolicyDocument: properties.PolicyDocument}",
                undo="DeleteRolePolicy",
            )
        },
    ),
    "AWS::IAM::Role": Kind(
        service="iam",
        create="CreateRole",
        ref="properties.RoleName",
        name="RoleName",
        identity=_properties("RoleName"),
        attributes={"Arn": "answer.Role.Arn", "RoleId": "answer.Role.RoleId"},
        read="GetRole",
        update="UpdateRole",
        delete="DeleteRole",
        puts={
            "AssumeRolePolicyDocument": Put("UpdateAssumeRolePolicy", "{RoleName: id, PolicyDocument: value}"),
            "ManagedPolicyArns": Put("AttachRolePolicy", "{RoleName: id, PolicyArn: item}", undo="DetachRolePolicy"),
            "PermissionsBoundary": Put("PutRolePermissionsBoundary", "{RoleName: id, PermissionsBoundary: value}"),
            "Policies": Put(
                "PutRolePolicy",
                "{RoleName: id, PolicyName: item.PolicyName, PolicyDocument: item.PolicyDocument}",
                undo="DeleteRolePolicy",
            ),
        },
    ),
    "AWS::KMS::Alias": Kind(
        service="kms",
        create="CreateAlias",
        ref="properties.AliasName",
        name="AliasName",
        identity={"AliasName": "properties.AliasName", "KeyId": "properties.AliasName"},
        read="DescribeKey",
        delete="DeleteAlias",
    ),
    "AWS::KMS::Key": Kind(
        service="kms",
        create="CreateKey",
        ref="answer.KeyMetadata.KeyId",
        request="merge(properties, {Policy: properties.KeyPolicy, KeyPolicy: null, EnableKeyRotation: null,"
        " PendingWindowInDays: null})",
        identity={"KeyId": "id", "PendingWindowInDays": "properties.PendingWindowInDays"},
        attributes={"Arn": "answer.KeyMetadata.Arn", "KeyId": "id"},
        read="DescribeKey",
        exists="KeyMetadata.KeyState == 'Enabled'",
        update="UpdateKeyDescription",
        delete="ScheduleKeyDeletion",
        puts={
            "KeyPolicy": Put("PutKeyPolicy", "{KeyId: id, PolicyName: 'default', Policy: value}", member="Policy"),
            "EnableKeyRotation": Put("EnableKeyRotation", "value && {KeyId: id} || null", undo="DisableKeyRotation"),
        },
    ),
    "AWS::KinesisFirehose::DeliveryStream": Kind(
        service="firehose",
        create="CreateDeliveryStream",
        ref="properties.DeliveryStreamName",
        name="DeliveryStreamName",
        identity=_properties("DeliveryStreamName"),
        attributes={"Arn": "answer.DeliveryStreamARN"},
        read="DescribeDeliveryStream",
        exists="DeliveryStreamDescription",
        delete="DeleteDeliveryStream",
        puts={
            "ExtendedS3DestinationConfiguration": Put(
                "UpdateDestination",
                "{DeliveryStreamName: id, CurrentDeliveryStreamVersionId: described.VersionId,"
                " DestinationId: described.Destinations[0].DestinationId, ExtendedS3DestinationUpdate: value}",
            )
        },
    ),
    "AWS::Lambda::EventInvokeConfig": Kind(
        service="lambda",
        create="PutFunctionEventInvokeConfig",
        ref="name",
        identity=_properties("FunctionName"),
        read="GetFunctionEventInvokeConfig",
        update="PutFunctionEventInvokeConfig",
        delete="DeleteFunctionEventInvokeConfig",
    ),
    "AWS::Lambda::EventSourceMapping": Kind(
        service="lambda",
        create="CreateEventSourceMapping",
        ref="answer.UUID",
        identity={"UUID": "id"},
        attributes={"Id": "id"},
        read="GetEventSourceMapping",
        update="UpdateEventSourceMapping",
        delete="DeleteEventSourceMapping",
    ),
    "AWS::Lambda::Function": Kind(
        service="lambda",
        create="CreateFunction",
        ref="properties.FunctionName",
        name="FunctionName",
        identity=_properties("FunctionName"),
        attributes={"Arn": "answer.FunctionArn"},
        read="GetFunction",
        update="UpdateFunctionConfiguration",
        delete="DeleteFunction",
        puts={"Code": Put("UpdateFunctionCode", "merge(value, {FunctionName: id})")},
    ),
    "AWS::Lambda::Permission": Kind(
        service="lambda",
        create="AddPermission",
        ref="name",
        request="merge(properties, {StatementId: name})",
        identity={"FunctionName": "properties.FunctionName", "StatementId": "name"},
        read="GetPolicy",
        delete="RemovePermission",
    ),
    "AWS::Logs::LogGroup": Kind(
        service="logs",
        create="CreateLogGroup",
        ref="properties.LogGroupName",
        name="LogGroupName",
        identity={"logGroupName": "properties.LogGroupName", "logGroupNamePrefix": "properties.LogGroupName"},
        attributes={"Arn": _arn("logs", "'log-group', properties.LogGroupName, '*'")},
        read="DescribeLogGroups",
        exists="logGroups[0]",
        delete="DeleteLogGroup",
        puts={"RetentionInDays": Put("PutRetentionPolicy", "{logGroupName: id, retentionInDays: value}")},
    ),
    "AWS::S3::Bucket": Kind(
        service="s3",
        create="CreateBucket",
        ref="properties.BucketName",
        name="BucketName",
        request="{Bucket: properties.BucketName, CreateBucketConfiguration: {LocationConstraint: region},"
        " ObjectLockEnabledForBucket: properties.ObjectLockEnabled}",
        identity={"Bucket": "properties.BucketName"},
        attributes={
            "Arn": "join('', ['arn:aws:s3:::', id])",
            "DomainName": "join('', [id, '.s3.amazonaws.com'])",
            "RegionalDomainName": "join('', [id, '.s3.', region, '.amazonaws.com'])",
        },
        read="HeadBucket",
        delete="DeleteBucket",
        puts=_BUCKET_PUTS,
    ),
    "AWS::S3::BucketPolicy": Kind(
        service="s3",
        create="PutBucketPolicy",
        ref="properties.Bucket",
        request="{Bucket: properties.Bucket, Policy: properties.PolicyDocument}",
        identity=_properties("Bucket"),
        read="GetBucketPolicy",
        update="PutBucketPolicy",
        delete="DeleteBucketPolicy",
    ),
    "AWS::SNS::Subscription": Kind(
        service="sns",
        create="Subscribe",
        ref="answer.SubscriptionArn",
        request="merge(properties, {ReturnSubscriptionArn: `true`})",
        identity={"SubscriptionArn": "id"},
        read="GetSubscriptionAttributes",
        delete="Unsubscribe",
    ),
    "AWS::SNS::Topic": Kind(
        service="sns",
        create="CreateTopic",
        ref="answer.TopicArn",
        name="TopicName",
        request="{Name: properties.TopicName, Tags: properties.Tags,"
        " Attributes: {KmsMasterKeyId: properties.KmsMasterKeyId, DisplayName: properties.DisplayName}}",
        identity={"TopicArn": "id"},
        attributes={"TopicArn": "id", "TopicName": "properties.TopicName"},
        read="GetTopicAttributes",
        delete="DeleteTopic",
    ),
    "AWS::SNS::TopicPolicy": Kind(
        service="sns",
        ref="name",
        identity={"TopicArn": "properties.Topics[0]"},
        read="GetTopicAttributes",
        exists="Attributes.Policy",
        puts={
            "Topics": Put(
                "SetTopicAttributes",
                "{TopicArn: item, AttributeName: 'Policy', AttributeValue: properties.PolicyDocument}",
            )
        },
    ),
    "AWS::SQS::Queue": Kind(
        service="sqs",
        create="CreateQueue",
        ref="answer.QueueUrl",
        name="QueueName",
        request="{QueueName: properties.QueueName, tags: properties.Tags,"
        " Attributes: merge(properties, {QueueName: null, Tags: null})}",
        identity={"QueueUrl": "id"},
        attributes={"Arn": _arn("sqs", "properties.QueueName"), "QueueName": "properties.QueueName", "QueueUrl": "id"},
        read="GetQueueAttributes",
        update="SetQueueAttributes",
        delete="DeleteQueue",
    ),
    "AWS::SQS::QueuePolicy": Kind(
        service="sqs",
        ref="name",
        identity={"QueueUrl": "properties.Queues[0]", "AttributeNames": "['Policy']"},
        read="GetQueueAttributes",
        exists="Attributes.Policy",
        puts={"Queues": Put("SetQueueAttributes", "{QueueUrl: item, Attributes: {Policy: properties.PolicyDocument}}")},
    ),
    "AWS::SSM::Parameter": Kind(
        service="ssm",
        create="PutParameter",
        ref="properties.Name",
        name="Name",
        identity=_properties("Name"),
        attributes=_properties("Type", "Value"),
        read="GetParameter",
        delete="DeleteParameter",
        puts={"Value": Put("PutParameter", "merge(properties, {Overwrite: `true`, Tags: null})")},
    ),
    "AWS::SageMaker::DataQualityJobDefinition": _job_definition("DataQualityJobDefinition"),
    "AWS::SageMaker::Domain": Kind(
        service="sagemaker",
        create="CreateDomain",
        # moto returns the ARN alone when a domain is created; its last part is the id.
        ref="split(answer.DomainArn, '/')[-1]",
        name="DomainName",
        identity={"DomainId": "id"},
        attributes={**_attributes("DomainArn"), "DomainId": "id"},
        read="DescribeDomain",
        update="UpdateDomain",
        delete="DeleteDomain",
    ),
    "AWS::SageMaker::Endpoint": _sagemaker("Endpoint", update=True),
    "AWS::SageMaker::EndpointConfig": _sagemaker("EndpointConfig"),
    "AWS::SageMaker::FeatureGroup": _sagemaker("FeatureGroup", ref="properties.FeatureGroupName"),
    "AWS::SageMaker::Model": _sagemaker("Model"),
    "AWS::SageMaker::ModelBiasJobDefinition": _job_definition("ModelBiasJobDefinition"),
    "AWS::SageMaker::ModelExplainabilityJobDefinition": _job_definition("ModelExplainabilityJobDefinition"),
    "AWS::SageMaker::ModelPackageGroup": _sagemaker(
        "ModelPackageGroup",
        puts={
            "ModelPackageGroupPolicy": Put(
                "PutModelPackageGroupPolicy",
                "{ModelPackageGroupName: properties.ModelPackageGroupName, ResourcePolicy: value}",
                undo="DeleteModelPackageGroupPolicy",
            )
        },
    ),
    "AWS::SageMaker::ModelQualityJobDefinition": _job_definition("ModelQualityJobDefinition"),
    "AWS::SageMaker::MonitoringSchedule": _sagemaker("MonitoringSchedule", update=True),
    "AWS::SageMaker::NotebookInstance": _sagemaker("NotebookInstance", update=True),
    "AWS::SageMaker::NotebookInstanceLifecycleConfig": _sagemaker("NotebookInstanceLifecycleConfig"),
    "AWS::SageMaker::Pipeline": Kind(
        service="sagemaker",
        create="CreatePipeline",
        ref="properties.PipelineName",
        name="PipelineName",
        request="merge(properties, properties.PipelineDefinition.{PipelineDefinition: PipelineDefinitionBody,"
        " PipelineDefinitionS3Location: PipelineDefinitionS3Location && {Bucket: PipelineDefinitionS3Location.Bucket,"
        " ObjectKey: PipelineDefinitionS3Location.Key}})",
        identity=_properties("PipelineName"),
        read="DescribePipeline",
        update="UpdatePipeline",
        delete="DeletePipeline",
    ),
    "AWS::SageMaker::Space": _in_domain("Space"),
    "AWS::SageMaker::StudioLifecycleConfig": _sagemaker("StudioLifecycleConfig"),
    "AWS::SageMaker::UserProfile": _in_domain("UserProfile"),
    "AWS::Scheduler::Schedule": Kind(
        service="scheduler",
        create="CreateSchedule",
        ref="properties.Name",
        name="Name",
        identity=_properties("Name", "GroupName"),
        attributes={"Arn": "answer.ScheduleArn"},
        read="GetSchedule",
        update="UpdateSchedule",
        delete="DeleteSchedule",
    ),
    "AWS::Scheduler::ScheduleGroup": Kind(
        service="scheduler",
        create="CreateScheduleGroup",
        ref="properties.Name",
        name="Name",
        identity=_properties("Name"),
        attributes={"Arn": "answer.ScheduleGroupArn"},
        read="GetScheduleGroup",
        delete="DeleteScheduleGroup",
    ),
    "AWS::SecretsManager::Secret": Kind(
        service="secretsmanager",
        create="CreateSecret",
        ref="answer.ARN",
        name="Name",
        identity={"SecretId": "id"},
        read="DescribeSecret",
        delete="DeleteSecret",
    ),
}
