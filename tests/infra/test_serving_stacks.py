"""What serves models in AWS does what its parameters say, whatever the answers, and changes in place."""

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from mlops.base import capture, payloads
from mlops.monitoring.place import Layout
from mlops.project.names import Names
from mlops.project.stacks import SHADOW_MINUTES
from mlops.run.transform import requests
from model.schema import SCHEMA
from modelkit import inference
from standin import deploy
from standin.account import StandInAccount
from standin.patterns import matches
from standin.shapes import faults, input_shape
from standin.template import Template, resolve, unsatisfied
from tests.answers import label
from tests.infra.checks import createonly, exclusions, metrics
from tests.infra.checks.names import LONGEST
from tests.infra.rendered import ID, SLUG, text_of, texts
from tests.infra.serving_stacks import ENDPOINTS, GIVEN, NEXT, parameters, prepare, said, stack, written

STRATEGIES = {"canary": "CANARY", "linear": "LINEAR", "rolling": "", "all-at-once": "ALL_AT_ONCE"}
"""How an update shifts traffic, by strategy; a rolling one does not."""
REALTIME, ASYNC, SERVERLESS, BATCH = ({"inference": name} for name in ("realtime", "async", "serverless", "batch"))
SHADOW = {"inference": "realtime", "deployment_strategy": "shadow"}
ANNOUNCED = {"Model", "ShadowModel", "EndpointConfig"}
"""What every new version makes anew; nothing of it has a name."""
EXECUTION = "d32c5kddcf5bb8c3"
"""An id that EventBridge Scheduler gives to what it starts."""

each_endpoint = pytest.mark.parametrize("answers", ENDPOINTS, ids=label)
each_strategy = pytest.mark.parametrize("strategy", STRATEGIES)


def choices(template: Template) -> Iterator[dict[str, str]]:
    """Settings of an endpoint, at the edges of what its parameters take."""
    declared = template.data["Parameters"]
    edges = {
        "MinInstanceCount": ["0", "1", "2", "3"],
        "MaxInstanceCount": ["0", "4"],
        "DeploymentStrategy": list(STRATEGIES),
        "StepPercent": ["10", "33", "50"],
        "BakeSeconds": [str(declared.get("BakeSeconds", {}).get("MinValue")), "600"],
        "ProvisionedConcurrency": ["0", "2"],
        "ShadowModelPackageArn": ["", NEXT],
        "SubnetIds": ["subnet-00000000", "subnet-12345678,subnet-87654321"],
    }
    taken = {name: values for name, values in edges.items() if name in declared}
    for values in itertools.product(*taken.values()):
        settings = dict(zip(taken, values, strict=True))
        if settings.get("MinInstanceCount") != "0" or declared["MinInstanceCount"]["MinValue"] == 0:
            yield settings


@each_endpoint
def test_no_setting_asks_for_what_sagemaker_cannot_do_together_or_watches_what_it_does_not_publish(
    answers: dict[str, str],
) -> None:
    template = written("endpoint", **answers)
    for settings in choices(template):
        resolved = resolve(template, {**parameters(template), **settings})
        assert [*exclusions.findings(resolved), *metrics.findings(resolved)] == [], settings


@pytest.mark.parametrize("answers", [REALTIME, SERVERLESS], ids=label)
def test_the_api_takes_what_the_function_and_the_endpoint_both_take(answers: dict[str, str]) -> None:
    largest = min(payloads.LAMBDA, payloads.ENDPOINTS[answers["inference"]].request)
    parameter = written("api", **answers).data["Parameters"]["MaxPayloadMegabytes"]
    assert parameter["Default"] == str(largest)
    taken = [size for size in range(101) if re.fullmatch(parameter["AllowedPattern"], str(size))]
    assert taken == list(range(1, largest + 1))
    variables = said("api", answers).resources["Function"]["Properties"]["Environment"]["Variables"]
    assert int(variables["MAX_BYTES"]) <= largest * payloads.MEGABYTE


@pytest.mark.parametrize("inference_", payloads.ENDPOINTS)
def test_the_configuration_has_the_limit_of_the_kind_of_endpoint(inference_: str) -> None:
    serving = yaml.safe_load(text_of("config/base.yaml", {"inference": inference_}))["serving"]
    assert serving["max_payload_mb"] == payloads.ENDPOINTS[inference_].request


def test_no_setting_of_a_transform_job_exceeds_what_sagemaker_takes() -> None:
    declared = written("transform", **BATCH).data["Parameters"]
    largest = {
        name: max(size for size in range(101) if re.fullmatch(declared[name]["AllowedPattern"], str(size)))
        for name in ("PayloadMegabytes", "ConcurrentRequests")
    }
    assert largest["PayloadMegabytes"] * largest["ConcurrentRequests"] <= payloads.TRANSFORM_LARGEST
    assert declared["PayloadMegabytes"]["Default"] == str(payloads.TRANSFORM_DEFAULT)


@pytest.mark.parametrize("answers", [REALTIME, ASYNC], ids=label)
def test_sagemaker_asks_the_container_for_metrics_only_if_the_setting_says_so(answers: dict[str, str]) -> None:
    for given, expected in (({}, "false"), ({"DetailedObservability": "true"}, "true")):
        config = said("endpoint", answers, **given).resources["EndpointConfig"]["Properties"]
        assert config["MetricsConfig"] == {"EnableDetailedObservability": expected}


@pytest.mark.parametrize("answers", [REALTIME, ASYNC], ids=label)
@each_strategy
def test_an_update_shifts_traffic_as_the_strategy_says_and_with_one_instance_at_once(
    answers: dict[str, str], strategy: str
) -> None:
    for count, expected in (("1", "ALL_AT_ONCE"), ("2", STRATEGIES[strategy])):
        template = said("endpoint", answers, DeploymentStrategy=strategy, MinInstanceCount=count)
        config = template.resources["Endpoint"]["Properties"]["DeploymentConfig"]
        routing = config.get("BlueGreenUpdatePolicy", {}).get("TrafficRoutingConfiguration", {})
        assert routing.get("Type", "") == expected
        assert ("RollingUpdatePolicy" in config) == (not expected)
        one = {"Type": "INSTANCE_COUNT", "Value": 1}
        assert routing.get("CanarySize") == (one if expected == "CANARY" else None)
        assert len(config["AutoRollbackConfiguration"]["Alarms"]) == 2


def test_the_default_strategy_is_the_answer() -> None:
    for strategy in STRATEGIES:
        template = written("endpoint", deployment_strategy=strategy)
        assert template.data["Parameters"]["DeploymentStrategy"]["Default"] == strategy


def test_a_repair_can_be_deployed_while_an_alarm_rings() -> None:
    endpoint = said("endpoint", REALTIME, RollbackOnAlarm="false").resources["Endpoint"]
    assert "AutoRollbackConfiguration" not in endpoint["Properties"]["DeploymentConfig"]


@each_endpoint
def test_alarms_are_there_before_the_endpoint_that_they_watch(answers: dict[str, str]) -> None:
    template = said("endpoint", answers)
    for name, alarm in template.properties("AWS::CloudWatch::Alarm"):
        assert "{{Endpoint" not in json.dumps(alarm), name
        if alarm["Namespace"] == "AWS/SageMaker":
            assert {"Name": "EndpointName", "Value": f"{SLUG}-production"} in alarm["Dimensions"], name
    rolling_back = re.findall(r"'AlarmName': '\{\{(\w+)\}\}'", str(template.resources["Endpoint"]))
    assert set(rolling_back) <= set(template.resources)
    assert "ModelErrors" not in rolling_back, "it counts what callers do wrong"
    assert ("ModelErrors" in template.resources) == (answers["inference"] == "realtime")


each_template = pytest.mark.parametrize(
    ("name", "answers"),
    [
        *(("endpoint", answers) for answers in ENDPOINTS),
        ("transform", BATCH),
        ("api", REALTIME),
        ("api", SERVERLESS),
    ],
)


@each_template
def test_what_the_deployment_pipeline_deploys_makes_no_role(name: str, answers: dict[str, str]) -> None:
    assert list(written(name, **answers).properties("AWS::IAM::Role")) == []


@each_template
def test_no_alarm_rings_because_nobody_asks(name: str, answers: dict[str, str]) -> None:
    alarms = dict(said(name, answers).properties("AWS::CloudWatch::Alarm"))
    assert alarms
    for alarm in alarms.values():
        assert alarm["TreatMissingData"] == "notBreaching", alarm["AlarmName"]
        assert alarm["ComparisonOperator"].startswith("GreaterThan"), alarm["AlarmName"]


def test_requests_are_captured_where_and_as_monitoring_reads_them() -> None:
    template = said("endpoint", REALTIME)
    config = template.resources["EndpointConfig"]["Properties"]
    captured = config["DataCaptureConfig"]
    variant = config["ProductionVariants"][0]["VariantName"]
    endpoint = template.resources["Endpoint"]["Properties"]["EndpointName"]
    assert endpoint == Names(SLUG, ID).endpoint("production")
    # SageMaker appends the endpoint and the variant.
    written_to = f"{captured['DestinationS3Uri']}/{endpoint}/{variant}"
    assert written_to == capture.prefix(GIVEN["CaptureBucket"], SLUG, 7, endpoint)
    types = captured["CaptureContentTypeHeader"]
    assert types["CsvContentTypes"] == [inference.CSV]
    assert types["JsonContentTypes"] == [inference.JSON, *inference.JSON_LINES]


@pytest.mark.parametrize("answers", [{**REALTIME, "monitoring": "off"}, ASYNC, SERVERLESS], ids=label)
def test_sagemaker_captures_nothing_without_monitoring_or_where_it_cannot(answers: dict[str, str]) -> None:
    assert "DataCaptureConfig" not in said("endpoint", answers).resources["EndpointConfig"]["Properties"]


def test_an_idle_asynchronous_endpoint_has_no_instance_and_the_first_request_brings_one() -> None:
    template = said("endpoint", ASYNC, MinInstanceCount="0", MaxInstanceCount="3")
    resources = {name: resource["Properties"] for name, resource in template.resources.items()}
    assert resources["ScalableTarget"]["MinCapacity"] == "0"
    assert resources["EndpointConfig"]["ProductionVariants"][0]["InitialInstanceCount"] == 1
    assert resources["RequestsWithoutInstances"]["AlarmActions"] == ["{{WakingPolicy}}"]
    assert resources["RequestsWithoutInstances"]["MetricName"] == "HasBacklogWithoutCapacity"


def test_a_shadow_is_beside_the_version_whose_answers_are_seen() -> None:
    alone = said("endpoint", SHADOW)
    shadowed = said("endpoint", SHADOW, ShadowModelPackageArn=NEXT)
    assert "ShadowProductionVariants" not in alone.resources["EndpointConfig"]["Properties"]
    assert "ShadowModel" not in alone.resources
    config = shadowed.resources["EndpointConfig"]["Properties"]
    assert [variant["ModelName"] for variant in config["ProductionVariants"]] == ["{{Model.ModelName}}"]
    assert [variant["ModelName"] for variant in config["ShadowProductionVariants"]] == ["{{ShadowModel.ModelName}}"]
    [live], [shadow] = config["ProductionVariants"], config["ShadowProductionVariants"]
    assert live["InitialVariantWeight"] == shadow["InitialVariantWeight"], "it is asked all that the other is asked"
    assert shadowed.resources["ShadowModel"]["Properties"]["PrimaryContainer"] == {"ModelPackageName": NEXT}
    watched = {name: alarm["Dimensions"][1]["Value"] for name, alarm in shadowed.properties("AWS::CloudWatch::Alarm")}
    assert {name for name, variant in watched.items() if variant == "Shadow"} == {"ShadowServerErrors", "ShadowLatency"}


@each_endpoint
def test_a_new_version_makes_a_model_and_a_configuration_and_changes_the_endpoint_in_place(
    answers: dict[str, str],
) -> None:
    before, after = (said("endpoint", answers, ModelPackageArn=arn) for arn in (GIVEN["ModelPackageArn"], NEXT))
    assert createonly.findings(before, after, ANNOUNCED) == []
    assert createonly.replaced(before, after).keys() == {"Model", "EndpointConfig"}


def test_a_new_version_of_batch_predictions_makes_a_model_only() -> None:
    before, after = (said("transform", BATCH, ModelPackageArn=arn) for arn in (GIVEN["ModelPackageArn"], NEXT))
    assert createonly.findings(before, after, {"Model"}) == []
    assert createonly.replaced(before, after).keys() == {"Model"}


@pytest.mark.parametrize("answers", [REALTIME, SERVERLESS], ids=label)
def test_new_code_of_the_api_and_a_new_version_behind_it_are_brought_in_place(answers: dict[str, str]) -> None:
    template = written("api", **answers)
    given = ({"FunctionsKey": f"{SLUG}/functions/{number}.zip", "ModelVersion": number} for number in "12")
    before, after = (resolve(template, parameters(template, **one)) for one in given)
    assert before.resources != after.resources
    assert createonly.replaced(before, after) == {}


def test_the_api_in_front_of_a_serverless_endpoint_captures_for_the_version_that_the_endpoint_serves() -> None:
    served = said("endpoint", SERVERLESS).data["Outputs"]["ModelVersion"]["Value"]
    api = said("api", SERVERLESS, ModelVersion=served)
    [(_, stream)] = api.properties("AWS::KinesisFirehose::DeliveryStream")
    destination = stream["ExtendedS3DestinationConfiguration"]
    bucket, endpoint = GIVEN["CaptureBucket"], GIVEN["EndpointName"]
    expected = f"{capture.prefix(bucket, SLUG, 7, endpoint)}/!{{timestamp:yyyy/MM/dd/HH}}/"
    assert f"s3://{bucket}/{destination['Prefix']}" == expected
    assert destination["FileExtension"] == ".jsonl"
    assert "CustomTimeZone" not in destination, "the default is UTC"
    assert destination["BufferingHints"]["IntervalInSeconds"] <= 300


def test_notices_of_an_asynchronous_endpoint_go_where_monitoring_reads_them() -> None:
    folder = Layout(SLUG, f"s3://{GIVEN['CaptureBucket']}/{SLUG}", "").asynchronous("production")
    endpoint = said("endpoint", ASYNC)
    [(_, stream)] = endpoint.properties("AWS::KinesisFirehose::DeliveryStream")
    prefix = stream["ExtendedS3DestinationConfiguration"]["Prefix"]
    assert f"s3://{GIVEN['CaptureBucket']}/{prefix}" == f"{folder}/notices/!{{timestamp:yyyy/MM/dd/HH}}/"
    [(_, subscription)] = endpoint.properties("AWS::SNS::Subscription")
    assert (subscription["Protocol"], subscription["RawMessageDelivery"]) == ("firehose", True)
    [(_, config)] = endpoint.properties("AWS::SageMaker::EndpointConfig")
    output = config["AsyncInferenceConfig"]["OutputConfig"]
    assert output["S3OutputPath"] == f"{folder}/answers/7/"
    assert output["NotificationConfig"]["SuccessTopic"] == subscription["TopicArn"]


def test_an_asynchronous_endpoint_that_is_not_monitored_has_no_stream() -> None:
    endpoint = said("endpoint", {**ASYNC, "monitoring": "off"})
    for kind in ("AWS::KinesisFirehose::DeliveryStream", "AWS::SNS::Subscription"):
        assert not dict(endpoint.properties(kind))


@pytest.mark.parametrize("answers", [REALTIME, {**SERVERLESS, "monitoring": "off"}], ids=label)
def test_no_other_api_captures(answers: dict[str, str]) -> None:
    assert not dict(said("api", answers).properties("AWS::KinesisFirehose::DeliveryStream"))


@pytest.mark.parametrize("inference_", ["realtime", "async"])
def test_another_strategy_or_monitoring_replaces_nothing_that_has_a_name(inference_: str) -> None:
    of_this = [answers for answers in ENDPOINTS if answers["inference"] == inference_]
    assert len(of_this) > 4
    templates = [said("endpoint", answers) for answers in of_this]
    for before, after in (*itertools.pairwise(templates), (templates[-1], templates[0])):
        assert createonly.findings(before, after, ANNOUNCED) == []


def job(content_type: str = "application/jsonlines", **given: str) -> dict[str, Any]:
    """What the schedule asks SageMaker for."""
    template = said("transform", BATCH, ContentType=content_type, **given)
    target = template.resources["Schedule"]["Properties"]["Target"]
    assert target["Arn"] == "arn:aws:scheduler:::aws-sdk:sagemaker:createTransformJob"
    text = target["Input"].replace("<aws.scheduler.execution-id>", EXECUTION)
    assert "<" not in text
    asked: dict[str, Any] = json.loads(text)
    return asked


@pytest.mark.parametrize("encryption", ["key", "hardware"])
def test_the_schedule_asks_for_a_job_that_sagemaker_takes(encryption: str) -> None:
    asked = job(DiskEncryption=encryption, **LONGEST)
    asked["ModelName"] = "a"
    assert list(faults(asked, input_shape("sagemaker", "CreateTransformJob"), strict=True)) == []
    assert len(asked["TransformJobName"]) <= 63
    assert ("VolumeKmsKeyId" in asked["TransformResources"]) == (encryption == "key")
    assert asked["MaxPayloadInMB"] * asked["MaxConcurrentTransforms"] <= 100


def test_the_job_lists_what_it_predicts_where_monitoring_of_the_version_looks() -> None:
    layout = Layout(SLUG, f"s3://{GIVEN['CaptureBucket']}/{SLUG}", f"s3://{GIVEN['DataBucket']}/{SLUG}")
    assert job()["DataCaptureConfig"] == {
        "DestinationS3Uri": layout.batch_lists("production", 7),
        "KmsKeyId": GIVEN["WorkloadKeyArn"],
        "GenerateInferenceId": False,
    }


def test_a_job_that_is_not_monitored_lists_nothing() -> None:
    target = said("transform", {**BATCH, "monitoring": "off"}).resources["Schedule"]["Properties"]["Target"]
    asked = json.loads(target["Input"])
    assert asked == {name: value for name, value in job().items() if name != "DataCaptureConfig"} | {
        name: asked[name] for name in ("TransformJobName", "TransformOutput")
    }


def largest(template: Template, name: str) -> int:
    """The largest number up to 100 that a parameter takes."""
    declared = template.data["Parameters"][name]
    return max(number for number in range(101) if unsatisfied(name, declared, str(number)) is None)


def test_the_largest_requests_at_a_time_fit_into_what_a_job_may_hold() -> None:
    template = written("transform", **BATCH)
    assert largest(template, "PayloadMegabytes") * largest(template, "ConcurrentRequests") <= 100


VALUES = {"boolean": "1", "integer": "1", "number": "0.5"}
ROW = {column.name: column.categories[0] if column.categories else VALUES[column.type] for column in SCHEMA.features}


def as_json(row: Mapping[str, str]) -> str:
    kinds = {column.name: column.type for column in SCHEMA.features}
    return json.dumps({name: value if kinds[name] == "string" else json.loads(value) for name, value in row.items()})


@pytest.mark.parametrize(
    ("content_type", "head", "line"),
    [
        ("application/jsonlines", "", as_json(ROW)),
        ("text/csv", "", ",".join(ROW.values())),
        ("text/csv", ",".join(ROW) + "\n", ",".join(ROW.values())),
    ],
)
def test_the_job_s_requests_are_answered_by_the_handlers_with_a_line_for_each_row(
    content_type: str, head: str, line: str
) -> None:
    asked = job(content_type)
    body = (head + f"{line}\n" * 100).encode()
    split = asked["TransformInput"]["SplitType"] == "Line"
    parts = list(requests(body, by_line=split, single=asked["BatchStrategy"] == "SingleRecord", limit=1000))
    assert len(parts) > 5
    answers = []
    for part in parts:
        rows = inference.input_fn(part, asked["TransformInput"]["ContentType"])
        answers.append(inference.output_fn(rows[:, 0], asked["TransformOutput"]["Accept"]))
    assert asked["TransformOutput"]["AssembleWith"] == "None"
    output = "".join(answers)
    assert output.count("\n") == 100
    assert "\n\n" not in output


def test_a_bad_row_fails_its_request_with_the_row_s_number() -> None:
    asked = job()
    with pytest.raises(ValueError, match="row 2"):
        inference.input_fn(f"{as_json(ROW)}\n{{}}\n".encode(), asked["TransformInput"]["ContentType"])


@pytest.mark.parametrize(
    ("name", "status", "told"),
    [
        (f"{SLUG}-production-{EXECUTION}", "Failed", True),
        (f"{SLUG}-production-{EXECUTION}", "Completed", False),
        (f"{SLUG}-staging-{EXECUTION}", "Failed", False),
        (f"another-{SLUG}-production-{EXECUTION}", "Failed", False),
    ],
)
def test_a_failed_job_of_this_environment_is_told_to_the_topic(name: str, status: str, told: bool) -> None:
    rule = said("transform", BATCH).resources["FailedRule"]["Properties"]
    event = {
        "source": "aws.sagemaker",
        "detail-type": "SageMaker Transform Job State Change",
        "detail": {"TransformJobName": name, "TransformJobStatus": status},
    }
    assert matches(rule["EventPattern"], event) is told
    assert rule["Targets"] == [{"Id": "topic", "Arn": GIVEN["TopicArn"]}]


@pytest.mark.parametrize("issuer", ["", "https://login.example.com"])
def test_nobody_asks_the_api_without_saying_who(issuer: str) -> None:
    template = said("api", REALTIME, JwtIssuer=issuer, JwtAudience="predictions")
    route = template.resources["Route"]["Properties"]
    assert route["AuthorizationType"] == ("JWT" if issuer else "AWS_IAM")
    assert ("AuthorizerId" in route) == ("Authorizer" in template.resources) == bool(issuer)
    assert exclusions.findings(template) == []


def test_the_access_log_says_who_asks_by_a_signature_and_by_a_token() -> None:
    template = said("api", REALTIME, JwtIssuer="https://login.example.com", JwtAudience="predictions")
    logged = json.loads(template.resources["Stage"]["Properties"]["AccessLogSettings"]["Format"])
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging-variables.html
    assert logged["caller"] == "$context.identity.userArn"
    assert logged["subject"] == "$context.authorizer.claims.sub"


def test_the_model_answers_before_the_function_ends_and_the_function_before_the_api_does() -> None:
    template = written("api", **REALTIME)
    function = template.resources["Function"]["Properties"]
    waiting = {"connect": 1, "capture": 2}
    assert largest(template, "AnswerSeconds") + sum(waiting.values()) < function["Timeout"]
    assert 1000 * function["Timeout"] < template.resources["Integration"]["Properties"]["TimeoutInMillis"] <= 30_000


def tunable(name: str, answers: Mapping[str, str]) -> set[str]:
    """The settings of a stack, as the configuration calls them."""
    declared = written(name, **answers).data["Parameters"]
    return {re.sub(r"(?<=.)(?=[A-Z])", "_", key).lower() for key, value in declared.items() if "Default" in value}


@pytest.mark.parametrize("answers", [*ENDPOINTS, BATCH], ids=label)
def test_the_page_names_every_setting_and_none_that_is_not(answers: dict[str, str]) -> None:
    stacks = ("transform",) if answers == BATCH else ("endpoint", "api")
    settings = {key for name in stacks if name in texts(answers) for key in tunable(name, answers)}
    said_there = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)(?:: \w+)?`", text_of("docs/endpoints.md", answers)))
    assert said_there - {SHADOW_MINUTES} == settings


@pytest.fixture
def prepared(account: StandInAccount) -> StandInAccount:
    """An account with what these stacks need of the others."""
    account.grow()
    prepare(account)
    return account


@pytest.mark.parametrize(
    ("name", "answers", "settings"),
    [
        ("endpoint", REALTIME, {"MinInstanceCount": "2", "MaxInstanceCount": "4"}),
        ("endpoint", {**REALTIME, "deployment_strategy": "rolling"}, {"MinInstanceCount": "2"}),
        ("endpoint", SHADOW, {"ShadowModelPackageArn": NEXT}),
        ("endpoint", ASYNC, {"MinInstanceCount": "0", "MaxInstanceCount": "4"}),
        ("endpoint", SERVERLESS, {"ProvisionedConcurrency": "2"}),
        ("transform", BATCH, {"ScheduleState": "ENABLED"}),
        ("api", REALTIME, {}),
        ("api", SERVERLESS, {"JwtIssuer": "https://login.example.com", "JwtAudience": "predictions"}),
    ],
)
def test_a_stack_is_made_updated_to_another_version_and_taken_away(
    prepared: StandInAccount, name: str, answers: dict[str, str], settings: dict[str, str]
) -> None:
    first = stack(name, answers, **settings)
    changes = {"ModelPackageArn": NEXT, "ModelVersion": "8", "RequestsPerSecond": "99"}
    later = {key: value for key, value in changes.items() if key in first.template.data["Parameters"]}
    plain = stack(name, answers)
    assert deploy.findings(prepared, [first], [stack(name, answers, **settings, **later), plain]) == []


@pytest.mark.parametrize("answers", [REALTIME, SHADOW, SERVERLESS], ids=label)
def test_what_served_before_a_new_version_outlives_the_update_of_its_stack(
    prepared: StandInAccount, answers: dict[str, str]
) -> None:
    sagemaker = prepared.client("sagemaker")
    deploy.put(prepared, stack("endpoint", answers))
    before = sagemaker.describe_endpoint(EndpointName=f"{SLUG}-production")
    deploy.put(prepared, stack("endpoint", answers, ModelPackageArn=NEXT))
    after = sagemaker.describe_endpoint(EndpointName=f"{SLUG}-production")
    assert after["CreationTime"] == before["CreationTime"]
    packages = []
    for described in (before, after):
        config = sagemaker.describe_endpoint_config(EndpointConfigName=described["EndpointConfigName"])
        model = sagemaker.describe_model(ModelName=config["ProductionVariants"][0]["ModelName"])
        packages.append(model["PrimaryContainer"]["ModelPackageName"])
    assert packages == [GIVEN["ModelPackageArn"], NEXT]


@each_endpoint
def test_no_endpoint_is_updated_to_the_configuration_that_it_has(answers: dict[str, str]) -> None:
    template = written("endpoint", **answers)
    declared = template.data["Parameters"]
    edges = {"UpdateSeconds": ["3600", "14400"], "RollbackOnAlarm": ["true", "false"], "Attempt": ["1", "10"]}
    plain = {**parameters(template), **{name: values[0] for name, values in edges.items() if name in declared}}
    settings = [*choices(template), *({name: values[1]} for name, values in edges.items() if name in declared)]
    resolved = [resolve(template, plain), *(resolve(template, {**plain, **one}) for one in settings)]
    updates = {json.dumps(one.resources["Endpoint"], sort_keys=True): one for one in resolved}
    assert len(updates) == 1 if answers["inference"] == "serverless" else len(updates) > 4
    for before, after in itertools.combinations(updates.values(), 2):
        assert "EndpointConfig" in createonly.replaced(before, after)
    assert "EndpointConfig" in createonly.replaced(resolved[0], resolve(template, {**plain, "Attempt": "2"}))
    variants = [
        variant for one in resolved for variant in one.resources["EndpointConfig"]["Properties"]["ProductionVariants"]
    ]
    weights = {variant["InitialVariantWeight"] for variant in variants}
    assert len({float(weight) for weight in weights}) == len(weights), "CloudFormation compares numbers"
    assert min(map(float, weights)) > 0


@pytest.mark.parametrize("maximum", ["0", "4"])
def test_an_endpoint_that_may_be_asleep_is_updated_with_an_instance(prepared: StandInAccount, maximum: str) -> None:
    sizes = {"MinInstanceCount": "0", "MaxInstanceCount": maximum}
    deploy.put(prepared, stack("endpoint", ASYNC, **sizes))
    grow(prepared, 0)
    deploy.put(prepared, stack("endpoint", ASYNC, **sizes, ModelPackageArn=NEXT))
    assert count(prepared) == 1


def count(account: StandInAccount) -> int:
    [variant] = account.client("sagemaker").describe_endpoint(EndpointName=f"{SLUG}-production")["ProductionVariants"]
    return int(variant["DesiredInstanceCount"])


def grow(account: StandInAccount, instances: int) -> None:
    """Do what autoscaling does under load."""
    account.client("sagemaker").update_endpoint_weights_and_capacities(
        EndpointName=f"{SLUG}-production",
        DesiredWeightsAndCapacities=[{"VariantName": "AllTraffic", "DesiredInstanceCount": instances}],
    )


def test_an_update_under_load_keeps_the_instances_that_autoscaling_has_added(prepared: StandInAccount) -> None:
    sizes = {"MinInstanceCount": "2", "MaxInstanceCount": "4"}
    deploy.put(prepared, stack("endpoint", REALTIME, **sizes))
    grow(prepared, 4)
    deploy.put(prepared, stack("endpoint", REALTIME, **sizes, ModelPackageArn=NEXT))
    assert count(prepared) == 4


def test_without_autoscaling_an_update_brings_the_instances_that_are_configured(prepared: StandInAccount) -> None:
    deploy.put(prepared, stack("endpoint", REALTIME, MinInstanceCount="1"))
    deploy.put(prepared, stack("endpoint", REALTIME, MinInstanceCount="3"))
    assert count(prepared) == 3
