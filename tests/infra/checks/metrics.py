"""Whether AWS publishes what alarms and scaling policies watch: CloudWatch takes every name, and never rings."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from standin.finding import Finding
from standin.template import Place, Template


class Published(NamedTuple):
    """Metrics that something publishes.

    Attributes:
        kind: What publishes them: a kind of endpoint, or a type of resource.
        page: Where AWS says so.
        namespace: Their namespace.
        dimensions: Those that each of them is published with, exactly.
        statistics: Those that say something; empty where the page names none, or percentiles say something, too.
        names: Their names.
    """

    kind: str
    page: str
    namespace: str
    dimensions: str
    statistics: str
    names: str


_REALTIME = "https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html"
# These two pages call their lists exhaustive. The second writes Invocations5XXErrors, and refers for it to the page of
# realtime endpoints, which writes Invocation5XXErrors.
_ASYNC = "https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference-monitor.html"
_SERVERLESS = "https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints-monitoring.html"
_WAKING = "https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference-autoscale.html"
_HTTP = "https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-metrics.html"
_SQS = (
    "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html"
)
_LAMBDA = "https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html"
_FIREHOSE = "https://docs.aws.amazon.com/firehose/latest/dev/cloudwatch-metrics.html"
_VARIANT = "EndpointName VariantName"
_API = "AWS::ApiGatewayV2::Api"
TABLE = (
    Published("realtime", _REALTIME, "AWS/SageMaker", _VARIANT, "Average Sum",
        "Invocation4XXErrors Invocation5XXErrors InvocationModelErrors"),
    Published("realtime", _REALTIME, "AWS/SageMaker", _VARIANT, "Sum", "Invocations InvocationsPerInstance"),
    Published("realtime", _REALTIME, "AWS/SageMaker", _VARIANT, "", "ModelLatency OverheadLatency"),
    Published("async", _ASYNC, "AWS/SageMaker", _VARIANT, "Average Sum", "Invocation4XXErrors Invocation5XXErrors"),
    Published("async", _ASYNC, "AWS/SageMaker", _VARIANT, "", "ModelLatency TimeInBacklog TotalProcessingTime"),
    Published("async", _ASYNC, "AWS/SageMaker", _VARIANT, "Sum",
        "ExpiredRequests InvocationFailures NotificationFailures RequestDownloadFailures ResponseUploadFailures"),
    Published("async", _ASYNC, "AWS/SageMaker", "EndpointName", "Average Maximum Minimum",
        "ApproximateAgeOfOldestRequest ApproximateBacklogSize ApproximateBacklogSizePerInstance"),
    Published("async", _WAKING, "AWS/SageMaker", "EndpointName", "", "HasBacklogWithoutCapacity"),
    Published("serverless", _SERVERLESS, "AWS/SageMaker", _VARIANT, "Average Sum",
        "Invocation4XXErrors Invocation5XXErrors"),
    Published("serverless", _SERVERLESS, "AWS/SageMaker", _VARIANT, "Sum", "Invocations"),
    Published("serverless", _SERVERLESS, "AWS/SageMaker", _VARIANT, "", "ModelLatency ModelSetupTime OverheadLatency"),
    Published(_API, _HTTP, "AWS/ApiGateway", "ApiId Stage", "Sum", "4xx 5xx Count"),
    Published(_API, _HTTP, "AWS/ApiGateway", "ApiId Stage", "", "DataProcessed IntegrationLatency Latency"),
    Published("AWS::SQS::Queue", _SQS, "AWS/SQS", "QueueName", "",
        "ApproximateAgeOfOldestMessage ApproximateNumberOfMessagesNotVisible ApproximateNumberOfMessagesVisible"),
    Published("AWS::Lambda::Function", _LAMBDA, "AWS/Lambda", "FunctionName", "Sum", "Errors Invocations Throttles"),
    Published("AWS::Lambda::Function", _LAMBDA, "AWS/Lambda", "FunctionName", "", "ConcurrentExecutions Duration"),
    Published("AWS::Lambda::Function", "mlops/functions/api.py", "mlops", "FunctionName", "Sum", "LostRecords"),
    Published("AWS::KinesisFirehose::DeliveryStream", _FIREHOSE, "AWS/Firehose", "DeliveryStreamName", "",
        "DeliveryToS3.DataFreshness DeliveryToS3.Success"),
)  # fmt: skip
"""What is published, of what there is to watch in our templates; as of November 2026."""

PREDEFINED = {
    "SageMakerVariantInvocationsPerInstance": {
        "Namespace": "AWS/SageMaker",
        "MetricName": "InvocationsPerInstance",
        "Dimensions": [{"Name": "EndpointName"}, {"Name": "VariantName"}],
        "Statistic": "Sum",
    },
}
"""What the predefined metrics of scaling policies are.

https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-auto-scaling-add-code-define.html
"""


def findings(resolved: Template) -> list[Finding]:
    """Metrics that nothing in a resolved template publishes so, and variants that its endpoint does not have."""
    kinds, variants, found = _kinds(resolved), set(_variants(resolved)), []
    for place, watched in _watched(resolved):
        name, statistic = watched["MetricName"], watched.get("Statistic", "")
        dimensions = {each["Name"]: each.get("Value") for each in watched.get("Dimensions", [])}
        metric = f"{watched['Namespace']} {name} by {', '.join(dimensions) or 'nothing'}"
        row = next(
            (row for row in TABLE if row.kind in kinds and _is_of(row, watched["Namespace"], name, dimensions)), None
        )
        if row is None:
            found.append(resolved.finding(f"{metric} is published by nothing here", *place))
        elif row.statistics and statistic not in row.statistics.split():
            found.append(
                resolved.finding(f"{statistic or 'a percentile'} of {metric} says nothing: {row.page}", *place)
            )
        elif dimensions.get("VariantName") not in {None, *variants}:
            found.append(resolved.finding(f"there is no variant {dimensions['VariantName']}", *place))
    return found


def _is_of(row: Published, namespace: str, name: str, dimensions: dict[str, Any]) -> bool:
    return namespace == row.namespace and name in row.names.split() and dimensions.keys() == set(row.dimensions.split())


def _kinds(resolved: Template) -> set[str]:
    """What in a template publishes metrics: its kind of endpoint, and the types of its resources."""
    kinds = {resource["Type"] for resource in resolved.resources.values()}
    for _, config in resolved.properties("AWS::SageMaker::EndpointConfig"):
        is_serverless = any("ServerlessConfig" in variant for variant in config["ProductionVariants"])
        kinds.add("serverless" if is_serverless else "async" if "AsyncInferenceConfig" in config else "realtime")
    return kinds


def _variants(resolved: Template) -> Iterator[str]:
    for _, config in resolved.properties("AWS::SageMaker::EndpointConfig"):
        for variant in (*config["ProductionVariants"], *config.get("ShadowProductionVariants", [])):
            yield variant["VariantName"]


def _watched(resolved: Template) -> Iterator[tuple[Place, dict[str, Any]]]:
    """Where a metric is watched, and which with what statistic, as a plain alarm has it."""
    for name, alarm in resolved.properties("AWS::CloudWatch::Alarm"):
        place: Place = (name, "Properties")
        if "MetricName" in alarm:
            yield place, alarm
        for index, query in enumerate(alarm.get("Metrics", [])):
            if "MetricStat" in query:
                measured = query["MetricStat"]
                yield (*place, "Metrics", index), {**measured["Metric"], "Statistic": measured["Stat"]}
    for name, policy in resolved.properties("AWS::ApplicationAutoScaling::ScalingPolicy"):
        target = policy.get("TargetTrackingScalingPolicyConfiguration", {})
        place = (name, "Properties", "TargetTrackingScalingPolicyConfiguration")
        if "CustomizedMetricSpecification" in target:
            yield place, target["CustomizedMetricSpecification"]
        if "PredefinedMetricSpecification" in target:
            yield place, PREDEFINED[target["PredefinedMetricSpecification"]["PredefinedMetricType"]]
