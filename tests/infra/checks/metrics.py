"""Whether something publishes what alarms, scaling policies and dashboards watch: CloudWatch takes every name."""

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from mlops.monitoring.publish import PUBLISHED
from standin.finding import Finding
from standin.template import Place, Template


class Published(NamedTuple):
    """Metrics that something publishes.

    Attributes:
        kind: What publishes them: a kind of endpoint, a type of resource, or the project's own pipelines.
        page: Where AWS says so.
        namespace: Their namespace; empty for the project's own.
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
_EVENTS = "https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-monitoring.html"
_SCHEDULER = "https://docs.aws.amazon.com/scheduler/latest/UserGuide/monitoring-cloudwatch.html"
_OURS = "mlops/monitoring/publish.py"
_PIPELINES, _PROJECT = "AWS/Sagemaker/ModelBuildingPipeline", "project"
_TOPICS = "https://docs.aws.amazon.com/sns/latest/dg/sns-monitoring-using-cloudwatch.html"
_FIREHOSE = "https://docs.aws.amazon.com/firehose/latest/dev/cloudwatch-metrics.html"
_REPLICATION = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/metrics-dimensions.html"
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
    Published("AWS::Events::Rule", _EVENTS, "AWS/Events", "RuleName", "SampleCount Sum", "Invocations TriggeredRules"),
    Published("AWS::Scheduler::ScheduleGroup", _SCHEDULER, "AWS/Scheduler", "ScheduleGroup", "Sum",
        "InvocationAttemptCount"),
    *(Published(kind, _REALTIME, "/aws/sagemaker/Endpoints", _VARIANT, "", "CPUUtilization MemoryUtilization")
      for kind in ("async", "realtime")),
    Published(_PROJECT, _REALTIME, _PIPELINES, "PipelineName", "Average Sum",
        "ExecutionFailed ExecutionStarted ExecutionStopped ExecutionSucceeded"),
    Published(_PROJECT, _REALTIME, _PIPELINES, "PipelineName StepName", "Average Sum",
        "StepFailed StepStarted StepStopped StepSucceeded"),
    Published(_PROJECT, _OURS, "", "Environment", "", " ".join(PUBLISHED)),
    Published("AWS::Lambda::Function", "mlops/functions/api.py", "mlops", "FunctionName", "Sum", "LostRecords"),
    Published("AWS::SNS::Topic", _TOPICS, "AWS/SNS", "TopicName", "Average Sum", "NumberOfNotificationsFailed"),
    Published("AWS::KinesisFirehose::DeliveryStream", _FIREHOSE, "AWS/Firehose", "DeliveryStreamName", "",
        "DeliveryToS3.DataFreshness DeliveryToS3.Success"),
    Published(_PROJECT, _REPLICATION, "AWS/S3", "SourceBucket DestinationBucket RuleId", "Sum",
        "OperationsFailedReplication"),
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
    return list(_judged(resolved, _watched(resolved), [resolved]))


def dashboard_findings(project: Sequence[Template]) -> list[Finding]:
    """Metrics on dashboards that nothing in any of the resolved templates of a project publishes so."""
    return [found for resolved in project for found in _judged(resolved, shown(resolved), project)]


def shown(resolved: Template) -> Iterator[tuple[Place, dict[str, Any]]]:
    """Where a dashboard shows a metric, and which with what statistic, as a plain alarm has it."""
    for name, dashboard in resolved.properties("AWS::CloudWatch::Dashboard"):
        place: Place = (name, "Properties", "DashboardBody")
        for widget in json.loads(dashboard["DashboardBody"])["widgets"]:
            for metric in widget["properties"].get("metrics", []):
                options = metric[-1] if isinstance(metric[-1], dict) else {}
                namespace, named, *dimensions = [each for each in metric if each is not options] or ("", "")
                statistic = options.get("stat", widget["properties"]["stat"])
                if namespace:  # else it is an expression
                    yield (
                        place,
                        {
                            "Namespace": namespace,
                            "MetricName": named,
                            "Dimensions": [
                                {"Name": key, "Value": value}
                                for key, value in zip(dimensions[::2], dimensions[1::2], strict=True)
                            ],
                            "Statistic": "" if statistic.startswith("p") else statistic,
                        },
                    )


def _judged(
    resolved: Template, watched: Iterable[tuple[Place, dict[str, Any]]], project: Collection[Template]
) -> Iterator[Finding]:
    kinds = set().union(*map(_kinds, project))
    variants = {variant for template in project for variant in _variants(template)}
    for place, metric in watched:
        name, statistic = metric["MetricName"], metric.get("Statistic", "")
        dimensions = {each["Name"]: each.get("Value") for each in metric.get("Dimensions", [])}
        said = f"{metric['Namespace']} {name} by {', '.join(dimensions) or 'nothing'}"
        row = next(
            (row for row in TABLE if row.kind in kinds and _is_of(row, metric["Namespace"], name, dimensions)), None
        )
        if row is None:
            yield resolved.finding(f"{said} is published by nothing here", *place)
        elif row.statistics and statistic not in row.statistics.split():
            yield resolved.finding(f"{statistic or 'a percentile'} of {said} says nothing: {row.page}", *place)
        elif dimensions.get("VariantName") not in {None, *variants}:
            yield resolved.finding(f"there is no variant {dimensions['VariantName']}", *place)


def _is_of(row: Published, namespace: str, name: str, dimensions: dict[str, Any]) -> bool:
    is_ours = not namespace.lower().lstrip("/").startswith("aws/")
    is_there = row.namespace == namespace or (is_ours and not row.namespace)
    return is_there and name in row.names.split() and dimensions.keys() == set(row.dimensions.split())


def _kinds(resolved: Template) -> set[str]:
    """What publishes metrics: the project, and of a template its kind of endpoint and the types of its resources."""
    kinds = {_PROJECT, *(resource["Type"] for resource in resolved.resources.values())}
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
