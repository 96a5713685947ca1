"""Three accounts as a project has them: what each holds of its own, and what it opens to the others."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from standin.account import REGION, Cloud, StandInAccount
from standin.deploy import Stack, outputs, put
from standin.template import parse

DEV, STAGING, PRODUCTION = "111111111111", "222222222222", "333333333333"
GROUP = "visits"
BUCKET = "visits-models"

REGISTRY = f"""
Parameters:
  DeployRole: {{Type: String, Default: "arn:aws:iam::*:role/visits-deploy"}}
Resources:
  Key:
    Type: AWS::KMS::Key
    Properties:
      KeyPolicy:
        Version: "2012-10-17"
        Statement:
          - Effect: Allow
            Principal: {{AWS: !Sub "arn:aws:iam::${{AWS::AccountId}}:root"}}
            Action: "kms:*"
            Resource: "*"
          - Effect: Allow
            Principal: {{AWS: ["arn:aws:iam::{STAGING}:root"]}}
            Action: ["kms:Decrypt", "kms:DescribeKey"]
            Resource: "*"
            Condition:
              ArnLike: {{aws:PrincipalArn: !Ref DeployRole}}
              StringEquals: {{"kms:EncryptionContext:aws:s3:arn": "arn:aws:s3:::{BUCKET}"}}
  Bucket:
    Type: AWS::S3::Bucket
    Properties:
      BucketName: {BUCKET}
      BucketEncryption:
        ServerSideEncryptionConfiguration:
          - BucketKeyEnabled: true
            ServerSideEncryptionByDefault: {{SSEAlgorithm: "aws:kms", KMSMasterKeyID: !GetAtt Key.Arn}}
  BucketPolicy:
    Type: AWS::S3::BucketPolicy
    Properties:
      Bucket: !Ref Bucket
      PolicyDocument:
        Version: "2012-10-17"
        Statement:
          - Effect: Allow
            Principal: {{AWS: "arn:aws:iam::{STAGING}:root"}}
            Action: "s3:GetObject"
            Resource: "arn:aws:s3:::{BUCKET}/models/*"
            Condition: {{ArnLike: {{aws:PrincipalArn: !Ref DeployRole}}}}
  Group:
    Type: AWS::SageMaker::ModelPackageGroup
    Properties:
      ModelPackageGroupName: {GROUP}
      ModelPackageGroupPolicy:
        Version: "2012-10-17"
        Statement:
          - Effect: Allow
            Principal: {{AWS: "arn:aws:iam::{STAGING}:root"}}
            Action: ["sagemaker:DescribeModelPackageGroup"]
            Resource: !Sub "arn:aws:sagemaker:${{AWS::Region}}:${{AWS::AccountId}}:model-package-group/{GROUP}"
            Condition: {{ArnLike: {{aws:PrincipalArn: !Ref DeployRole}}}}
          - Effect: Allow
            Principal: {{AWS: "arn:aws:iam::{STAGING}:root"}}
            Action: ["sagemaker:CreateModel", "sagemaker:DescribeModelPackage", "sagemaker:ListModelPackages"]
            Resource: !Sub "arn:aws:sagemaker:${{AWS::Region}}:${{AWS::AccountId}}:model-package/{GROUP}/*"
            Condition: {{ArnLike: {{aws:PrincipalArn: !Ref DeployRole}}}}
Outputs:
  Key: {{Value: !GetAtt Key.Arn}}
"""


def put_registry(account: StandInAccount) -> Mapping[str, str]:
    """Deploy the key, the bucket and the group of dev, and return what they are called."""
    put(account, Stack("registry", parse(REGISTRY)))
    return outputs(account, "registry")


def allow(principal: Mapping[str, str] | str, action: str | Sequence[str], **more: Any) -> dict[str, Any]:
    """A statement of a policy of a resource."""
    return {"Effect": "Allow", "Principal": principal, "Action": action, **more}


def policy(*statements: Mapping[str, Any]) -> str:
    """The text of a policy."""
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def root(account: str) -> dict[str, str]:
    """The principal that an account is."""
    return {"AWS": f"arn:aws:iam::{account}:root"}


def role(account: StandInAccount, name: str, *trust: Mapping[str, Any]) -> str:
    """Make a role whose trust has these statements, only Lambda by default, and return its ARN."""
    written = trust or (allow({"Service": "lambda.amazonaws.com"}, "sts:AssumeRole"),)
    made = account.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=policy(*written))
    arn: str = made["Role"]["Arn"]
    return arn


def permit(account: StandInAccount, name: str, **resources: str | Sequence[str]) -> None:
    """Give a role a policy: actions, with underscores for colons, and the resources of each."""
    statements = [
        {"Effect": "Allow", "Action": action.replace("_", ":", 1), "Resource": resource}
        for action, resource in resources.items()
    ]
    account.client("iam").put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=policy(*statements))


def accounts(cloud: Cloud) -> tuple[StandInAccount, StandInAccount, StandInAccount]:
    """Dev, staging and production."""
    dev, staging, production = (cloud.account(number, REGION) for number in (DEV, STAGING, PRODUCTION))
    return dev, staging, production
