"""What answers requests: HTTP APIs, functions and what scales endpoints."""

from collections.abc import Mapping

from standin.kinds.kind import Kind, Put, from_answer, from_properties

# A scaling policy names what it scales by its parts, or by what Ref of the scalable target returns.
_SCALED = {
    name: f"properties.{name} || split(properties.ScalingTargetId, '|')[{index}]"
    for index, name in enumerate(("ResourceId", "ScalableDimension", "ServiceNamespace"))
}


SERVING: Mapping[str, Kind] = {
    "AWS::ApiGatewayV2::Api": Kind(
        service="apigatewayv2",
        create="CreateApi",
        ref="answer.ApiId",
        identity={"ApiId": "id"},
        attributes=from_answer("ApiEndpoint", "ApiId"),
        read="GetApi",
        update="UpdateApi",
        delete="DeleteApi",
    ),
    "AWS::ApiGatewayV2::Authorizer": Kind(
        service="apigatewayv2",
        create="CreateAuthorizer",
        ref="answer.AuthorizerId",
        identity={"AuthorizerId": "id", "ApiId": "properties.ApiId"},
        attributes=from_answer("AuthorizerId"),
        read="GetAuthorizer",
        update="UpdateAuthorizer",
        delete="DeleteAuthorizer",
    ),
    "AWS::ApiGatewayV2::Integration": Kind(
        service="apigatewayv2",
        create="CreateIntegration",
        ref="answer.IntegrationId",
        identity={"IntegrationId": "id", "ApiId": "properties.ApiId"},
        attributes=from_answer("IntegrationId"),
        read="GetIntegration",
        update="UpdateIntegration",
        delete="DeleteIntegration",
    ),
    "AWS::ApiGatewayV2::Route": Kind(
        service="apigatewayv2",
        create="CreateRoute",
        ref="answer.RouteId",
        identity={"RouteId": "id", "ApiId": "properties.ApiId"},
        attributes=from_answer("RouteId"),
        read="GetRoute",
        update="UpdateRoute",
        delete="DeleteRoute",
    ),
    "AWS::ApiGatewayV2::Stage": Kind(
        service="apigatewayv2",
        create="CreateStage",
        ref="properties.StageName",
        name="StageName",
        identity=from_properties("StageName", "ApiId"),
        read="GetStage",
        delete="DeleteStage",
    ),
    "AWS::ApplicationAutoScaling::ScalableTarget": Kind(
        service="application-autoscaling",
        create="RegisterScalableTarget",
        ref="join('|', [properties.ResourceId, properties.ScalableDimension, properties.ServiceNamespace])",
        identity={
            **from_properties("ResourceId", "ScalableDimension", "ServiceNamespace"),
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
            **from_properties("PolicyName"),
            "PolicyNames": "[properties.PolicyName]",
        },
        read="DescribeScalingPolicies",
        exists="ScalingPolicies[0]",
        update="PutScalingPolicy",
        delete="DeleteScalingPolicy",
    ),
    "AWS::Lambda::EventInvokeConfig": Kind(
        service="lambda",
        create="PutFunctionEventInvokeConfig",
        ref="name",
        identity=from_properties("FunctionName"),
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
        identity=from_properties("FunctionName"),
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
}
