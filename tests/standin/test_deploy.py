import json
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from standin import cloudformation, deploy, resources
from standin.account import StandInAccount
from standin.deploy import Stack
from standin.kinds import KINDS
from standin.template import Template, parse
from tests.infra.checks.mutants import PARAMETERS, REMOVED, SOUND, changed

pytestmark = pytest.mark.usefixtures("grown")

NAME = "sagemaker-doctor-visits-p-0123456789ab"
SOUND_STACK = Stack("sound", SOUND, PARAMETERS)

CUSTOM = """
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      RoleName: emptier
      AssumeRolePolicyDocument:
        Statement: [{Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: "sts:AssumeRole"}]
  Function:
    Type: AWS::Lambda::Function
    Properties:
      FunctionName: emptier
      Runtime: python3.13
      Handler: index.handler
      Role: !GetAtt Role.Arn
      Timeout: 30
      Code:
        ZipFile: |
          import json
          from urllib.request import Request, urlopen

          def handler(event, context):
              if event["RequestType"] in VERBS:
                  data = {"Verb": event["RequestType"]}
                  answer = {"Status": "SUCCESS", "PhysicalResourceId": "emptied", "Data": data}
                  urlopen(Request(event["ResponseURL"], json.dumps(answer).encode(), method="PUT"))
  Emptied:
    Type: Custom::Emptied
    Properties: {ServiceToken: !GetAtt Function.Arn, Bucket: BUCKET}
Outputs:
  Verb: {Value: !GetAtt Emptied.Verb}
"""
VERBS = '("Create", "Update", "Delete")'


def findings(account: StandInAccount, changes: dict[str, Any]) -> list[str]:
    return list(map(str, deploy.findings(account, [replace(SOUND_STACK, template=changed(changes))])))


def with_kind(patch: pytest.MonkeyPatch, type_: str, **changes: Any) -> None:
    for module in (cloudformation, deploy, resources):
        patch.setattr(module, "KINDS", {**KINDS, type_: replace(KINDS[type_], **changes)})


def test_the_sound_template_is_deployed_updated_in_place_and_deleted(account: StandInAccount) -> None:
    changes = {
        "HandlerRole/Properties/Policies/0/PolicyName": "renamed",
        "Handler/Properties/Timeout": 30,
        "Bucket/Properties/VersioningConfiguration/Status": "Suspended",
        "Images/Properties/ImageTagMutability": "MUTABLE",
        "Claims/Properties/PointInTimeRecoverySpecification/PointInTimeRecoveryEnabled": False,
        "ApprovalRule/Properties/Targets/0/Id": "renamed",
        "Key/Properties/Description": "Another",
        "Parameter/Properties/Value": "another",
        "Retraining/Properties/State": "DISABLED",
    }
    found = deploy.findings(account, [SOUND_STACK], [replace(SOUND_STACK, template=changed(changes))])
    assert found == []


def test_an_update_changes_what_was_changed_and_keeps_what_is_there(account: StandInAccount) -> None:
    deploy.put(account, SOUND_STACK)
    before = deploy.physical_ids(account, "sound")
    later = changed(
        {
            "HandlerRole/Properties/Policies/0/PolicyName": "renamed",
            "Handler/Properties/Timeout": 30,
            "ApprovalRule/Properties/Targets/0/Id": "renamed",
            "Bucket/Properties/VersioningConfiguration/Status": "Suspended",
            "Build/Properties/TimeoutInMinutes": 5,
        }
    )
    built = account.client("codebuild").batch_get_projects(names=[f"{NAME}-build"])["projects"][0]
    deploy.put(account, replace(SOUND_STACK, template=later))
    assert deploy.physical_ids(account, "sound") == before
    iam, events, s3 = account.client("iam"), account.client("events"), account.client("s3")
    assert iam.list_role_policies(RoleName=f"{NAME}-wants")["PolicyNames"] == ["renamed"]
    assert [target["Id"] for target in events.list_targets_by_rule(Rule=f"{NAME}-ok")["Targets"]] == ["renamed"]
    assert s3.get_bucket_versioning(Bucket=f"{NAME}-data")["Status"] == "Suspended"
    updated = account.client("codebuild").batch_get_projects(names=[f"{NAME}-build"])["projects"][0]
    assert (updated["created"], updated["timeoutInMinutes"]) == (built["created"], 5)
    assert account.client("lambda").get_function_configuration(FunctionName=f"{NAME}-wanted")["Timeout"] == 30


def test_an_endpoint_that_is_written_before_its_configuration_goes_to_the_new_one(account: StandInAccount) -> None:
    data = {**SOUND.data, "Resources": dict(reversed(SOUND.resources.items()))}
    stack = replace(SOUND_STACK, template=Template(data))
    deploy.put(account, stack)
    before = deploy.physical_ids(account, "sound")
    deploy.put(account, replace(stack, parameters={**PARAMETERS, "InstanceCount": "3"}))
    after = deploy.physical_ids(account, "sound")
    assert [name for name in before if before[name] != after[name]] == ["EndpointConfig"]
    live = account.client("sagemaker").describe_endpoint(EndpointName=NAME)
    assert after["EndpointConfig"].endswith(live["EndpointConfigName"])


def test_a_value_that_a_parameter_does_not_take_is_refused_before_anything_is_made(account: StandInAccount) -> None:
    parameters = [{"ParameterKey": name, "ParameterValue": value} for name, value in PARAMETERS.items()]
    request = {
        "StackName": "sound",
        "TemplateBody": json.dumps(SOUND.data),
        "Parameters": [*parameters, {"ParameterKey": "InstanceCount", "ParameterValue": "0"}],
    }
    client = account.client("cloudformation")
    with pytest.raises(ClientError, match="Parameter InstanceCount failed to satisfy constraint"):
        client.create_change_set(ChangeSetName="first", ChangeSetType="CREATE", **request)
    with pytest.raises(ClientError, match="Parameter InstanceCount failed to satisfy constraint"):
        client.create_stack(**request)


def test_a_kind_that_cannot_be_deployed_here_is_refused(account: StandInAccount) -> None:
    found = findings(account, {"Topic/Type": "AWS::SageMaker::Nothing"})
    assert found == ["AWS::SageMaker::Nothing is not in the table of the kinds that can be deployed here: CreateStack"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"Handler/Properties/Memory": 128}, "Handler: CreateFunction takes no Memory"),
        ({"Topic/Properties/Colour": "red"}, "Topic: CreateTopic takes no Colour"),
        ({"Build/Properties/Environment/ComputeType": "BUILD_GENERAL1_SMAL"}, "is 'BUILD_GENERAL1_SMAL', not one of"),
        ({"Endpoint/Properties/EndpointConfigName": "none"}, "Could not find endpoint configuration"),
        (
            {"KeyAlias/Properties/TargetKeyId": {"Fn::GetAtt": ["Key", "Colour"]}},
            "AWS::KMS::Key has no attribute Colour",
        ),
    ],
)
def test_what_aws_refuses_is_said_with_its_resource(
    account: StandInAccount, changes: dict[str, Any], said: str
) -> None:
    assert said in findings(account, changes)[0]


def test_a_resource_that_a_service_does_not_make_is_found(
    account: StandInAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_kind(monkeypatch, "AWS::SNS::Topic", identity={"TopicArn": "id && join('', [id, '-'])"}, delete="")
    assert "Topic: AWS::SNS::Topic does not exist after the deployment of sound" in findings(account, {})


def test_a_resource_that_is_not_named_as_asked_is_found(
    account: StandInAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_kind(monkeypatch, "AWS::SQS::Queue", request="{QueueName: 'any', Attributes: merge(properties, {Tags: null})}")
    with_kind(monkeypatch, "AWS::Scheduler::ScheduleGroup", request="{Name: 'any', Tags: properties.Tags}")
    found = findings(account, {"Retraining/Properties/GroupName": REMOVED})
    assert "Schedules: AWS::Scheduler::ScheduleGroup does not exist after the deployment of sound" in found


def test_a_resource_that_survives_the_deletion_is_found(
    account: StandInAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_kind(monkeypatch, "AWS::CodeConnections::Connection", delete="")
    assert findings(account, {}) == ["Connection: it is still there after the stack was deleted"]


def test_a_key_that_goes_before_what_it_encrypts_is_found(account: StandInAccount) -> None:
    found = findings(account, {"Key/DeletionPolicy": "Delete"})
    said = "it is retained, but the key that it is encrypted with, Key, is not"
    assert found == [f"Bucket: {said}", f"Images: {said}"]


def test_a_template_that_says_another_thing_each_time_is_found(account: StandInAccount) -> None:
    class Restless(Template):
        @property
        def data(self) -> dict[str, Any]:
            Restless.times += 1
            return changed({"Handler/Properties/Description": f"{Restless.times}"}).data

        times = 0

        def __init__(self) -> None: ...

    found = list(map(str, deploy.findings(account, [replace(SOUND_STACK, template=Restless())])))
    assert "sound: deploying it again has changes" in found
    assert "Handler: deploying sound again changes it" in found


def custom(verbs: str = VERBS, bucket: str = "one") -> Stack:
    return Stack("custom", parse(CUSTOM.replace("VERBS", verbs).replace("BUCKET", bucket)))


def test_a_custom_resource_is_created_updated_and_deleted_by_its_function(account: StandInAccount) -> None:
    deploy.put(account, custom())
    assert deploy.outputs(account, "custom") == {"Verb": "Create"}
    deploy.put(account, custom(bucket="another"))
    assert deploy.outputs(account, "custom") == {"Verb": "Update"}
    deploy.delete(account, "custom")
    assert account.client("lambda").list_functions()["Functions"] == []


def test_a_custom_resource_whose_function_does_not_answer_delete_is_found(account: StandInAccount) -> None:
    found = deploy.findings(account, [custom('("Create", "Update")')])
    assert found[0].where == "Emptied"
    assert "did not answer Delete" in found[0].what


def test_a_stack_that_is_not_there_is_an_error_of_cloudformation(account: StandInAccount) -> None:
    with pytest.raises(ClientError, match="does not exist"):
        deploy.outputs(account, "none")
