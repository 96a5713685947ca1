"""A project that is small enough to be deployed in a moment: four stacks, in the manner of the real ones."""

import json
from pathlib import Path
from typing import Any

from mlops.base.contents import FUNCTIONS
from mlops.project.names import Names, project_id
from mlops.project.project import Project
from standin.account import StandInAccount

SLUG, REGION, ACCOUNT = "visits", "eu-west-1", "123456789012"
NAMES = Names(SLUG, project_id(ACCOUNT, REGION, SLUG))
GROUP = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model-package/{SLUG}"

_PARAMETERS = """
Parameters:
  ProjectName: {Type: String}
  ProjectId: {Type: String}
"""
_TAGS = """
      Tags:
        - {Key: "sagemaker:project-name", Value: !Ref ProjectName}
        - {Key: "sagemaker:project-id", Value: !Ref ProjectId}
"""
_STAGE = '        - {Key: "sagemaker:deployment-stage", Value: !Ref EnvironmentName}\n'
DATA = f"""
Description: Data.
{_PARAMETERS}
Resources:
  Key:
    Type: AWS::KMS::Key
    DeletionPolicy: RetainExceptOnCreate
    UpdateReplacePolicy: Retain
    Properties: {{Description: Data}}
  Bucket:
    Type: AWS::S3::Bucket
    DeletionPolicy: RetainExceptOnCreate
    UpdateReplacePolicy: Retain
    Properties:
      BucketName: !Sub "sagemaker-${{ProjectName}}-${{ProjectId}}-data"
      BucketEncryption:
        ServerSideEncryptionConfiguration:
          - ServerSideEncryptionByDefault: {{SSEAlgorithm: "aws:kms", KMSMasterKeyID: !GetAtt Key.Arn}}
  Logs:
    Type: AWS::S3::Bucket
    Properties: {{BucketName: !Sub "sagemaker-${{ProjectName}}-${{ProjectId}}-logs"}}
Outputs:
  DataBucket: {{Value: !Ref Bucket}}
  DataKeyArn: {{Value: !GetAtt Key.Arn}}
"""
WORKLOAD = f"""
Description: Roles.
{_PARAMETERS}
  DataBucket: {{Type: String}}
  RecordDays: {{Type: Number, Default: 30}}
Resources:
  DeployRole:
    Type: AWS::IAM::Role
    Properties:
      RoleName: !Sub "sagemaker-${{ProjectName}}-${{ProjectId}}-deploy"
      Description: !Sub "Deploys what reads ${{DataBucket}} for ${{RecordDays}} days"
      AssumeRolePolicyDocument:
        Statement: [{{Effect: Allow, Principal: {{Service: cloudformation.amazonaws.com}}, Action: "sts:AssumeRole"}}]
Outputs:
  CloudFormationRoleArn: {{Value: !GetAtt DeployRole.Arn}}
  HostRoleArn: {{Value: !GetAtt DeployRole.Arn}}
"""
ENDPOINT = f"""
Description: Endpoint.
{_PARAMETERS}
  EnvironmentName: {{Type: String}}
  ModelPackageArn: {{Type: String}}
  SHADOW
  Attempt: {{Type: Number}}
  HostRoleArn: {{Type: String}}
  InstanceType: {{Type: String, Description: Type of the instances.}}
  RollbackOnAlarm: {{Type: String, Default: "true"}}
Conditions:
  RollsBack: !Equals [!Ref RollbackOnAlarm, "true"]
Resources:
  Model:
    Type: AWS::SageMaker::Model
    DeletionPolicy: Delete
    UpdateReplacePolicy: Retain
    Properties:
      ExecutionRoleArn: !Ref HostRoleArn
      PrimaryContainer: {{ModelPackageName: !Ref ModelPackageArn}}{_TAGS}{_STAGE}
  EndpointConfig:
    Type: AWS::SageMaker::EndpointConfig
    DeletionPolicy: Delete
    UpdateReplacePolicy: Retain
    Properties:
      ProductionVariants:
        - VariantName: AllTraffic
          ModelName: !GetAtt Model.ModelName
          InitialInstanceCount: 1
          InitialVariantWeight: !Join ["", [!If [RollsBack, "1", "2"], !Ref Attempt]]
          InstanceType: !Ref InstanceType{_TAGS}{_STAGE}
  Endpoint:
    Type: AWS::SageMaker::Endpoint
    Properties:
      EndpointName: !Sub "${{ProjectName}}-${{EnvironmentName}}"
      EndpointConfigName: !GetAtt EndpointConfig.EndpointConfigName
      DeploymentConfig:
        AutoRollbackConfiguration: !If
          - RollsBack
          - Alarms: [{{AlarmName: !Ref Errors}}]
          - !Ref AWS::NoValue
        BlueGreenUpdatePolicy: {{TrafficRoutingConfiguration: {{Type: ALL_AT_ONCE, WaitIntervalInSeconds: 300}}}}
      {_TAGS.strip()}
{_STAGE}
  Errors:
    Type: AWS::CloudWatch::Alarm
    Properties:
      AlarmName: !Sub "${{ProjectName}}-${{EnvironmentName}}-errors"
      Namespace: AWS/SageMaker
      MetricName: Invocation5XXErrors
      Statistic: Sum
      Period: 60
      EvaluationPeriods: 1
      Threshold: 1
      ComparisonOperator: GreaterThanOrEqualToThreshold
  Backlog:
    Type: AWS::CloudWatch::Alarm
    Properties:
      AlarmName: !Sub "${{ProjectName}}-${{EnvironmentName}}-backlog"
      Namespace: AWS/SageMaker
      MetricName: ApproximateBacklogSize
      Statistic: Sum
      Period: 60
      EvaluationPeriods: 1
      Threshold: 1
      ComparisonOperator: GreaterThanOrEqualToThreshold
Outputs:
  EndpointName: {{Value: !GetAtt Endpoint.EndpointName}}
"""
API = f"""
Description: Function.
{_PARAMETERS}
  EnvironmentName: {{Type: String}}
  FunctionsBucket: {{Type: String}}
  FunctionsKey: {{Type: String}}
  EndpointName: {{Type: String}}
Resources:
  Code:
    Type: AWS::SSM::Parameter
    Properties:
      Name: !Sub "/${{ProjectName}}/${{EnvironmentName}}/code"
      Type: String
      Value: !Sub "${{FunctionsBucket}}/${{FunctionsKey}} asks ${{EndpointName}}"
"""
_SHADOW = 'ShadowModelPackageArn: {Type: String, Default: ""}'


def small_project(root: Path, *, inference: str = "realtime", shadow: bool = False) -> Project:
    """Write the project into a folder."""
    answers = {
        "project_slug": SLUG,
        "aws_region": REGION,
        "project_scope": "build-train-deploy",
        "account_layout": "single",
        "training_image": "aws",
        "inference": inference,
        "monitoring": "on",
    }
    endpoint: dict[str, Any] = {"instance_type": "ml.m5.large", **({"shadow_minutes": 30} if shadow else {})}
    files = {
        "project.yaml": json.dumps(answers),
        "config/base.yaml": "",
        "config/local.yaml": "",
        "config/dev.yaml": f'account: "{ACCOUNT}"\nstacks: {{workload: {{record_days: 7}}}}\n',
        **{f"config/{name}.yaml": json.dumps({"stacks": {"endpoint": endpoint}}) for name in ("staging", "production")},
        "infra/data.yaml": DATA,
        "infra/workload.yaml": WORKLOAD,
        "infra/endpoint.yaml": ENDPOINT.replace("SHADOW", _SHADOW if shadow else "", 1),
        "infra/api.yaml": API,
        **dict.fromkeys(FUNCTIONS, "def handler(event, context): ...\n"),
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return Project(root)


def register(account: StandInAccount, *statuses: str) -> list[str]:
    """Register a version for each status, and return their ARNs."""
    sagemaker = account.client("sagemaker")
    if not sagemaker.list_model_package_groups()["ModelPackageGroupSummaryList"]:
        sagemaker.create_model_package_group(ModelPackageGroupName=SLUG)
    return [
        sagemaker.create_model_package(
            ModelPackageGroupName=SLUG,
            ModelApprovalStatus=status,
            InferenceSpecification={
                "Containers": [{"Image": "image", "ModelDataUrl": "s3://models/model.tar.gz"}],
                "SupportedContentTypes": ["text/csv"],
                "SupportedResponseMIMETypes": ["text/csv"],
            },
        )["ModelPackageArn"]
        for status in statuses
    ]
