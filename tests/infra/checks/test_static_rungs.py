"""Each static rung says nothing about the sound template and names each fault that is seeded into it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from standin import shapes
from standin.template import Template, resolve
from tests.infra.checks import codepipeline, names, rungs, validators, whole_numbers
from tests.infra.checks.mutants import PARAMETERS, REMOVED, SOUND, changed
from tests.infra.checks.rungs import Rung
from tests.infra.checks.test_exclusions import ASYNC, SERVERLESS

pytestmark = pytest.mark.alone

RUNGS: Mapping[str, Rung] = {**rungs.RUNGS, "codepipeline": codepipeline.findings}
TEMPLATES = Path(__file__).parent / "templates"
ACTION = "Pipeline/Properties/Stages/{}/Actions/0"
SOURCE, BUILD, APPROVAL = (ACTION.format(stage) for stage in range(3))
PATTERN = "ApprovalRule/Properties/EventPattern"
POLICY = "HandlerRole/Properties/Policies/0/PolicyDocument/Statement"
BUILDSPEC = "Build/Properties/Source/BuildSpec"
DASHBOARD = "Dashboard/Properties/DashboardBody"
TRAINING = {
    "AlgorithmSpecification": {"TrainingImage": "image", "TrainingInputMode": "File"},
    "OutputDataConfig": {"S3OutputPath": {"Get": "Parameters.Output"}},
    "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 30},
    "RoleArn": "arn:aws:iam::123456789012:role/x",
    "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
}


def pipeline(arguments: dict[str, Any], version: str = "2020-12-01") -> dict[str, Any]:
    step = {"Name": "Train", "Type": "Training", "Arguments": arguments}
    branch = {"Name": "If", "Type": "Condition", "Arguments": {"Conditions": [], "IfSteps": [step]}}
    body = json.dumps({"Version": version, "Steps": [branch]})
    return {
        "Definition": {
            "Type": "AWS::SageMaker::Pipeline",
            "Properties": {
                "PipelineName": "p",
                "RoleArn": "arn:aws:iam::123456789012:role/x",
                "PipelineDefinition": {"PipelineDefinitionBody": body},
            },
        }
    }


def principal(arn: str, **condition: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Principal": {"AWS": arn}, "Action": "s3:GetObject", "Resource": "*"}
    return {"BucketPolicy/Properties/PolicyDocument/Statement/1": {**statement, "Condition": condition}}


def tracked(metric: str) -> dict[str, Any]:
    place = "ScalingPolicy/Properties/TargetTrackingScalingPolicyConfiguration"
    dimensions = [{"Name": "EndpointName", "Value": "x"}]
    customized = {"Namespace": "AWS/SageMaker", "MetricName": metric, "Dimensions": dimensions, "Statistic": "Average"}
    return {f"{place}/PredefinedMetricSpecification": REMOVED, f"{place}/CustomizedMetricSpecification": customized}


def rate(metric: str, statistic: str) -> dict[str, Any]:
    dimensions = [{"Name": "ApiId", "Value": "x"}, {"Name": "Stage", "Value": "$default"}]
    measured = {"Namespace": "AWS/ApiGateway", "MetricName": metric, "Dimensions": dimensions}
    query = {"Id": "errors", "MetricStat": {"Metric": measured, "Stat": statistic, "Period": 60}}
    return {
        "Rate": {
            "Type": "AWS::CloudWatch::Alarm",
            "Properties": {
                "EvaluationPeriods": 1,
                "Metrics": [query],
                "Tags": SOUND.resources["Errors"]["Properties"]["Tags"],
            },
        }
    }


def lacking(tag: int) -> dict[str, Any]:
    return {f"Bucket/Properties/Tags/{tag}": REMOVED}


def approval_beside_the_build(run_order: int) -> dict[str, Any]:
    approval = SOUND.resources["Pipeline"]["Properties"]["Stages"][2]["Actions"][0]
    return {"Pipeline/Properties/Stages/1/Actions/1": {**approval, "RunOrder": run_order}}


FAULTS: list[tuple[str, dict[str, Any], str]] = [
    ("buildspec_schema", {BUILDSPEC: "version: 0.2\nphases: {buidl: {commands: [x]}}\n"}, "'buidl' was unexpected"),
    ("buildspec_schema", {BUILDSPEC: "version: 0.3\nphases: {build: {commands: [x]}}\n"}, "version: 0.3"),
    ("buildspec_schema", {BUILDSPEC: "version: 0.2\nphases: {build: {commands: x}}\n"}, "not of type 'array'"),
    ("buildspec_schema", {BUILDSPEC: "version: 0.2\nphases:\n  build: [\n"}, "not YAML"),
    (
        "buildspec_schema",
        {BUILDSPEC: "version: 0.2\nphases: {build: {runtime-versions: {python: 3.13}}}\n"},
        "stand in the install phase",
    ),
    ("buildspec_schema", {"Build/Properties/Environment/Image": "aws/codebuild/standard:5.0"}, "no supported image"),
    ("buildspec_schema", {"Build/Properties/Environment/Type": "ARM_CONTAINER"}, "no supported image"),
    ("codepipeline", {f"{SOURCE}/ActionTypeId/Provider": "CodeStarSourceConection"}, "no action"),
    ("codepipeline", {f"{BUILD}/Configuration/ProjectNam": "x"}, "knows no ProjectNam"),
    ("codepipeline", {f"{BUILD}/Configuration/ProjectName": REMOVED}, "lacks ProjectName"),
    ("codepipeline", {f"{SOURCE}/Configuration/DetectChanges": "maybe"}, "maybe is none of"),
    ("codepipeline", {f"{SOURCE}/OutputArtifacts": REMOVED}, "takes 1 to 1"),
    ("codepipeline", {f"{APPROVAL}/Configuration/CustomData": "x" * 1001}, "longer than"),
    ("codepipeline", {f"{BUILD}/Configuration/EnvironmentVariables": "[{'name': 1}]"}, "not a JSON list"),
    ("codepipeline", {f"{APPROVAL}/Configuration/CustomData": "#{variables.ModelPackage}"}, "holds no ModelPackage"),
    ("codepipeline", {f"{APPROVAL}/Configuration/CustomData": "#{built.TEST}"}, "built holds no TEST"),
    ("codepipeline", {f"{SOURCE}/Namespace": "later"}, "namespace source"),
    ("codepipeline", {f"{BUILD}/Configuration/EnvironmentVariables": '[{"name": "N", "value": "#{built.TESTS}"}]'},
        "no action before it has the namespace built"),
    ("codepipeline", approval_beside_the_build(1), "no action before it has the namespace built"),
    ("codepipeline", {f"{BUILD}/InputArtifacts/1": {"Name": "other"}}, "none of source, other"),
    ("codepipeline", {"Build/Properties/TimeoutInMinutes": 481}, "waits for 480 minutes"),
    ("codepipeline", {"Pipeline/Properties/PipelineType": "V1"}, "needs a pipeline of type V2"),
    ("metrics", {"Errors/Properties/MetricName": "Invocations5XXErrors"}, "published by nothing here"),
    ("metrics", {"Errors/Properties/Namespace": "AWS/Sagemaker"}, "published by nothing here"),
    ("metrics", {"Errors/Properties/Dimensions/1": REMOVED}, "by EndpointName is published by nothing here"),
    ("metrics", {"Errors/Properties/Dimensions/1/Value": "Alltraffic"}, "there is no variant Alltraffic"),
    ("metrics", {"Errors/Properties/Statistic": "Maximum"}, "Maximum of AWS/SageMaker Invocation5XXErrors"),
    ("metrics", {"Errors/Properties/MetricName": "InvocationFailures"}, "published by nothing here"),
    ("metrics", {**SERVERLESS, "Errors/Properties/MetricName": "InvocationModelErrors"}, "published by nothing here"),
    ("metrics", {**ASYNC, "Errors/Properties/MetricName": "InvocationModelErrors"}, "published by nothing here"),
    ("metrics", ASYNC, "InvocationsPerInstance by EndpointName, VariantName is published by nothing here"),
    ("metrics", tracked("ApproximateBacklogSize"), "ApproximateBacklogSize by EndpointName is published by nothing"),
    ("metrics", rate("5xx", "Average"), "Average of AWS/ApiGateway 5xx by ApiId, Stage says nothing"),
    ("metrics", rate("5XXError", "Sum"), "5XXError by ApiId, Stage is published by nothing here"),
    ("names", {"Handler/Properties/FunctionName": {"Fn::Sub": "${ProjectName}-" + "x" * 64}}, "64 are allowed"),
    ("names", {"Bucket/Properties/BucketName": "Data"}, "does not match"),
    ("names", {"Images/Properties/RepositoryName": "Images"}, "does not match"),
    ("names", {"Stream": {"Type": "AWS::Kinesis::Stream", "Properties": {"Name": "x"}}}, "how long may a Name be?"),
    ("names", {"Logs/Properties/LogGroupName": {"Fn::Sub": "/" + "x" * 500 + "/${Claims}"}}, "512 are allowed"),
    ("patterns", {f"{PATTERN}/detail/ModelApprovalStatus": "Approved"}, "not a list of values"),
    ("patterns", {f"{PATTERN}/detail-typ": ["x"]}, "no field detail-typ"),
    ("principals", principal("arn:aws:iam::222222222222:role/x"), "may not exist yet"),
    ("principals", principal("arn:aws:iam::222222222222:root"), "narrow it by aws:PrincipalArn"),
    ("principals", principal("222222222222"), "narrow it by aws:PrincipalArn"),
    ("principals", principal("*"), "everybody is let in"),
    ("principals", principal("*", Bool={"aws:SecureTransport": "true"}), "everybody is let in"),
    (
        "principals",
        {"Key/Properties/KeyPolicy/Statement/3/Action": ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt"]},
        "CloudWatch Logs also needs GenerateDataKey, ReEncryptFrom, ReEncryptTo",
    ),
    ("shapes", {"Build/Properties/Environment/ComputeType": "BUILD_GENERAL1_SMAL"}, "BUILD_GENERAL1_SMAL is none"),
    ("shapes", {"Retraining/Properties/Target/RetryPolicy/MaximumRetryAttempts": 300}, "not between 0 and 185"),
    ("shapes", {"Errors/Properties/Period": "a minute"}, "is no number"),
    ("shapes", {"Model/Properties/EnableNetworkIsolation": "perhaps"}, "neither true nor false"),
    ("shapes", {"EndpointConfig/Properties/ProductionVariants": {"VariantName": "x"}}, "is no list"),
    ("shapes", {"EndpointConfig/Properties/DataCaptureConfig": "on"}, "is no structure"),
    ("shapes", {"Model/Properties/VpcConfig/Subnets": []}, "0 items is not between"),
    ("shapes", {"Features/Properties/FeatureGroupName": "-x"}, "does not match"),
    ("shapes", {DASHBOARD: '{"widgets": ['}, "not JSON"),
    ("shapes", {DASHBOARD: '{"widgets": [{"type": "metrics"}]}'}, "metrics is none of"),
    ("shapes", {DASHBOARD: '{"widgets": [{"type": "text", "x": 20, "width": 6}]}'}, "beyond column 24"),
    ("shapes", {DASHBOARD: '{"widgets": [{"type": "metric", "properties": {}}]}'}, "has a region and metrics"),
    ("shapes", pipeline(TRAINING, version="2020-12-02"), "2020-12-01"),
    ("shapes", pipeline({**TRAINING, "StopCondition": {}}), "has no StopCondition"),
    ("shapes", pipeline({key: value for key, value in TRAINING.items() if key != "RoleArn"}), "lacks RoleArn"),
    ("shapes", pipeline({**TRAINING, "AlgorithmSpecification": {"TrainingInputMode": "File",
        "TrainingImage": "1.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-xgboost:3.2-0",
        "MetricDefinitions": [{"Name": "auc", "Regex": "auc:(.*)"}]}}), "takes no metric definitions"),
    ("tags", lacking(0), "sagemaker:project-name"),
    ("tags", lacking(1), "sagemaker:project-id"),
    ("tags", {"Parameter/Properties/Tags/sagemaker:deployment-stage": REMOVED}, "sagemaker:deployment-stage"),
    ("tags", {"Stage/Properties/Tags": REMOVED}, "has no tag"),
    ("targets", {"ImageRule/Properties/Targets/0/RoleArn": REMOVED}, "needs a RoleArn"),
    ("targets", {"HandlerPermission": REMOVED}, "no AWS::Lambda::Permission"),
    ("targets", {"HandlerPermission/Properties/Principal": "s3.amazonaws.com"}, "no AWS::Lambda::Permission"),
    ("targets", {"DeadLettersPolicy": REMOVED}, "no AWS::SQS::QueuePolicy"),
    ("targets", {"ApprovalRule/Properties/Targets/0/Arn": {"Ref": "Topic"}, "TopicPolicy": REMOVED}, "TopicPolicy"),
]  # fmt: skip


@pytest.fixture(scope="module")
def sound() -> Template:
    return resolve(SOUND, {**names.LONGEST, "Environment": "production"})


@pytest.mark.parametrize("rung", RUNGS)
def test_the_sound_template_has_no_finding(rung: str, sound: Template) -> None:
    assert RUNGS[rung](sound) == []


def test_what_a_buildspec_in_a_file_exports_is_known_with_the_file() -> None:
    written = resolve(changed({BUILDSPEC: "build.yml"}), PARAMETERS)
    spec = "version: 0.2\nenv: {exported-variables: [%s]}\nphases: {build: {commands: [x]}}\n"
    assert codepipeline.findings(written, {"build.yml": spec % "TESTS"}) == []
    [found] = codepipeline.findings(written, {"build.yml": spec % "TEST"})
    assert "built holds no TESTS" in str(found)


@pytest.mark.parametrize(("rung", "changes", "message"), FAULTS)
def test_a_seeded_fault_is_found(rung: str, changes: dict[str, Any], message: str) -> None:
    found = RUNGS[rung](resolve(changed(changes), PARAMETERS))
    assert any(message in str(finding) for finding in found), found


@pytest.mark.parametrize(
    "changes",
    [
        {"Errors/Properties/Threshold": {"Fn::Sub": "${InstanceCount}000"}},
        {"Errors/Properties/Threshold": {"Fn::Join": ["", [{"Ref": "InstanceCount"}, "000"]]}},
        {"Handler/Properties/Environment/Variables/COUNT": {"Ref": "InstanceCount"}},
        {"Errors/Properties/Threshold": {"Fn::Sub": ["${Count}000", {"Count": {"Ref": "InstanceCount"}}]}},
    ],
)
def test_a_fraction_that_is_put_into_a_text_is_found(changes: dict[str, Any]) -> None:
    assert whole_numbers.findings(SOUND) == []
    assert [finding.where for finding in whole_numbers.findings(changed(changes))] == ["Parameters/InstanceCount"]


def test_an_action_sees_what_one_before_it_in_its_stage_exports() -> None:
    assert codepipeline.findings(resolve(changed(approval_beside_the_build(2)), PARAMETERS)) == []


def test_a_pipeline_definition_that_the_service_takes_has_no_finding() -> None:
    assert shapes.findings(resolve(changed(pipeline(TRAINING)), PARAMETERS)) == []


def ability(**statement: Any) -> dict[str, Any]:
    """A named policy that allows something."""
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]}
    named = {"ManagedPolicyName": "some-ability", "PolicyDocument": document}
    return {"Ability": {"Type": "AWS::IAM::ManagedPolicy", "Properties": named}}


GUARDED: list[tuple[dict[str, Any], str]] = [
    ({"Bucket/Properties/BucketEncryption/ServerSideEncryptionConfiguration/0/ServerSideEncryptionByDefault":
        {"SSEAlgorithm": "AES256"}}, "a bucket is encrypted with aws:kms"),
    ({"Bucket/Properties/VersioningConfiguration/Status": "Suspended"}, "a bucket is versioned"),
    ({"Bucket/Properties/OwnershipControls": REMOVED}, "a bucket has no access control lists"),
    ({"Bucket/Properties/PublicAccessBlockConfiguration/BlockPublicPolicy": False}, "a bucket is never public"),
    ({"BucketPolicy": REMOVED}, "every bucket has a policy"),
    ({"Second": {**SOUND.resources["Bucket"], "Properties": {**SOUND.resources["Bucket"]["Properties"],
        "BucketName": "second"}}}, "every bucket has a policy"),
    ({"BucketPolicy/Properties/PolicyDocument/Statement/0/Effect": "Allow"}, "refuses what does not come by TLS"),
    ({"Key/Properties/EnableKeyRotation": False}, "a key is renewed every year"),
    ({f"{POLICY}/1/Action": ["iam:PassRole"]}, "PassRole says to which service"),
    ({f"{POLICY}/1/Action": "iam:PassRole", f"{POLICY}/1/Resource": "*"}, "PassRole says which role"),
    ({f"{POLICY}/0/Action": "codepipeline:*"}, "a role is allowed actions by name"),
    ({f"{POLICY}/1/Action": ["logs:PutLogEvents", "*"]}, "a role is allowed actions by name"),
    ({"HandlerRole/Properties/ManagedPolicyArns": ["arn:aws:iam::aws:policy/AmazonSageMakerFullAccess"]},
        "no policy that allows nearly everything"),
    ({"Apart": {"Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": {"Statement": []}}}},
        "permissions stand in the role"),
    ({"Apart": {"Type": "AWS::IAM::Policy", "Properties": {"PolicyDocument": {"Statement": []}}}},
        "permissions stand in the role"),
    (ability(Action=["iam:PassRole"], Resource="arn:aws:iam::123456789012:role/x"), "PassRole says to which service"),
    (ability(Action="iam:PassRole", Resource="*"), "PassRole says which role"),
    (ability(Action="s3:*", Resource="*"), "a role is allowed actions by name"),
    ({"User": {"Type": "AWS::IAM::User", "Properties": {}}}, "no users and stored keys"),
    ({"EndpointConfig/Properties/KmsKeyId": REMOVED}, "an endpoint's disks are encrypted"),
    ({"Notebook": {"Type": "AWS::SageMaker::NotebookInstance", "Properties": {"InstanceType": "ml.t3.medium",
        "RoleArn": "arn:aws:iam::123456789012:role/x", "DirectInternetAccess": "Enabled"}}}, "through the VPC only"),
    ({"Logs/Properties/RetentionInDays": REMOVED}, "kept for a number of days"),
    ({"Logs/Properties/KmsKeyId": REMOVED}, "logs are encrypted"),
    ({"HandlerPermission/Properties/SourceArn": REMOVED}, "whose service may invoke"),
    ({"Topic/Properties/KmsMasterKeyId": REMOVED}, "messages are encrypted"),
]  # fmt: skip
UNLINTED: list[tuple[dict[str, Any], str]] = [
    ({f"{POLICY}/0/Action": "codepipeline:StartPipelineExecutoin"}, "'startpipelineexecutoin' is not one of"),
    ({f"{BUILD}/InputArtifacts": [{"Name": "nosuch"}]}, "'nosuch' is not previously defined"),
    ({"Model/Metadata": {"cfn-lint": {"config": {"ignore_checks": ["E3012"]}}}}, "told to be silent"),
]
INVALID: list[tuple[dict[str, Any], str]] = [
    ({"Model/Properties/ExecutionRolArn": "x"}, "ExecutionRolArn"),
    ({"Endpoint/Properties/EndpointConfigName": {"Fn::GetAtt": ["EndpointConfig", "ConfigName"]}}, "ConfigName"),
    ({"EndpointConfig/Properties/ProductionVariants/0/InstanceType": "ml.z9.huge"}, "ml.z9.huge"),
    ({"Handler/Properties/Runtime": "python3.8"}, "python3.8"),
    ({"Model/Properties/ExecutionRoleArn": {"Ref": "NoRole"}}, "NoRole"),
]


def test_the_validator_says_nothing_about_the_sound_template() -> None:
    assert validators.invalid(json.dumps(SOUND.data, indent=1)) == []


@pytest.mark.parametrize(("changes", "message"), [*GUARDED, *INVALID])
def test_the_validator_and_our_rules_find_a_seeded_fault(changes: dict[str, Any], message: str) -> None:
    found = validators.invalid(json.dumps(changed(changes).data, indent=1))
    assert any(message in str(finding) for finding in found), found


BOUNDARY = """
Parameters: {Boundary: {Type: String, Default: ""}}
Conditions: {HasBoundary: CONDITION}
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Statement: [{Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: "sts:AssumeRole"}]
      PermissionsBoundary: VALUE
"""
OPTIONAL = "!If [HasBoundary, !Ref Boundary, !Ref AWS::NoValue]"


@pytest.mark.parametrize(
    ("condition", "value", "is_found"),
    [
        ('!Not [!Equals [!Ref Boundary, ""]]', OPTIONAL, False),
        ('!Equals [!Ref Boundary, ""]', OPTIONAL, True),
        ('!Not [!Equals [!Ref Boundary, ""]]', "!Ref Boundary", True),
    ],
)
def test_an_empty_default_is_no_fault_where_a_condition_leaves_it_out(
    condition: str, value: str, is_found: bool
) -> None:
    found = validators.invalid(BOUNDARY.replace("CONDITION", condition).replace("VALUE", value))
    assert any("below minimum" in finding.what for finding in found) is is_found


def test_the_bucket_of_access_logs_alone_has_no_key_of_ours() -> None:
    by_default = "Bucket/Properties/BucketEncryption/ServerSideEncryptionConfiguration/0/ServerSideEncryptionByDefault"
    for suffix, is_found in (("logs", False), ("data", True)):
        name = {"Fn::Sub": "${ProjectName}-" + suffix}
        faulty = changed({by_default: {"SSEAlgorithm": "AES256"}, "Bucket/Properties/BucketName": name})
        found = [finding.what for finding in validators.invalid(json.dumps(faulty.data, indent=1))]
        assert any("a bucket is encrypted with" in what for what in found) is is_found, found


def test_cfn_lint_says_nothing_about_the_sound_template() -> None:
    assert validators.unlinted((TEMPLATES / "sound.yaml").read_text(encoding="utf-8"), ["eu-west-1"]) == []


@pytest.mark.parametrize(("changes", "message"), UNLINTED)
def test_cfn_lint_finds_a_seeded_fault(changes: dict[str, Any], message: str) -> None:
    found = validators.unlinted(json.dumps(changed(changes).data, indent=1), ["eu-west-1"])
    assert any(message in str(finding) for finding in found), found


def test_cfn_lint_finds_what_a_region_lacks() -> None:
    found = validators.unlinted(json.dumps(SOUND.data, indent=1), ["eu-west-1", "ca-west-1"])
    assert found
    assert all("does not exist in 'ca-west-1'" in finding.what for finding in found)


@pytest.mark.slow
def test_checkov_finds_a_seeded_fault_and_a_skip_without_a_reason(tmp_path: Path) -> None:
    skip = {"id": "CKV_AWS_18", "comment": "because"}
    faulty = changed({"Logs/Properties/KmsKeyId": REMOVED, "Bucket/Metadata/checkov/skip": [skip]})
    (tmp_path / "faulty.json").write_text(json.dumps(faulty.data, indent=1), encoding="utf-8")
    (tmp_path / "sound.yaml").write_bytes((TEMPLATES / "sound.yaml").read_bytes())
    seen = validators.posture(tmp_path)
    (failure,), (unjustified,) = seen.failures, seen.unjustified
    assert failure.where.startswith("faulty.json: AWS::Logs::LogGroup.Logs (line ")
    assert failure.what == "Ensure that CloudWatch Log Group is encrypted by KMS [CKV_AWS_158]"
    assert unjustified.where.startswith("faulty.json: AWS::S3::Bucket.Bucket (line ")
    assert seen.per_hundred == 100 / seen.resources


def test_checkov_that_reads_nothing_is_no_proof(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validators, "CHECKOV", "true")
    with pytest.raises(RuntimeError, match="read no template"):
        validators.posture(tmp_path)
