from pathlib import Path
from typing import Any

import pytest

from mlops.base.errors import MlopsError
from mlops.deployment import templates
from mlops.deployment.templates import Template, parameters
from mlops.project.environment import Environment
from mlops.project.stacks import TABLE, Stack, placed, present, selected
from tests.machinery.deployment.small_project import ENDPOINT, small_project

PATH = Path("config/staging.yaml")
WORKLOAD = next(stack for stack in TABLE if stack.name == "workload")
ENDPOINT_STACK = next(stack for stack in TABLE if stack.name == "endpoint")
TEMPLATE = Template.parse(
    """
    Parameters:
      ProjectName: {Type: String}
      HostRoleArn: {Type: String}
      InstanceType: {Type: String, Description: Type of the instances.}
      SubnetIds: {Type: CommaDelimitedList, Default: ""}
      KeepWarm: {Type: String, Default: "false"}
    Resources:
      Made: {Type: "AWS::SNS::Topic", Properties: {TopicName: !Sub "${ProjectName}-x"}}
    """
)
KNOWN = {"ProjectName": "visits", "HostRoleArn": "arn", "Unwanted": "left out"}


def filled(section: dict[str, Any], known: dict[str, str] = KNOWN, **origin: Stack) -> dict[str, str]:
    files = {"stacks.endpoint.host_role_arn": PATH}
    environment = Environment("staging", {"stacks": {"endpoint": section}}, PATH, "eu-west-1", files)
    return parameters(TEMPLATE, known, ENDPOINT_STACK, environment, origin)


def names(found: list[Stack]) -> list[str]:
    return [stack.name for stack in found]


def test_stacks_are_deployed_in_the_order_of_the_table() -> None:
    assert " ".join(stack.name for stack in TABLE) == (
        "data registry execution notifications experiments retraining workload monitoring cicd image build promotion "
        "builds release approvals arrivals events people endpoint transform api observability"
    )


def test_a_stack_exists_in_a_project_when_its_template_does(tmp_path: Path) -> None:
    root = small_project(tmp_path).root
    assert names(present(root, "dev")) == ["data", "workload"]
    assert names(present(root, "staging")) == names(present(root, "production")) == ["endpoint", "api"]
    (root / "infra/api.yaml").unlink()
    assert names(present(root, "staging")) == ["endpoint"]


def test_nothing_is_deployed_to_this_machine(tmp_path: Path) -> None:
    with pytest.raises(MlopsError, match="This project has no stacks in 'local'"):
        present(small_project(tmp_path).root, "local")


def test_stacks_are_chosen_by_name_and_keep_their_order(tmp_path: Path) -> None:
    found = placed(small_project(tmp_path).root, "dev", "single")
    assert [one.stack.name for one in selected(found, ["workload", "data"])] == ["data", "workload"]
    assert [one.stack.name for one in selected(found, ["workload"])] == ["workload"]
    with pytest.raises(MlopsError, match=r"no stack 'endpoint' here.\n  Stacks: data, workload"):
        selected(found, ["endpoint"])


def test_what_the_deployment_knows_and_the_configuration_says_fills_the_parameters() -> None:
    assert filled({"instance_type": "ml.m5.large", "subnet_ids": ["a", "b"], "keep_warm": True}) == {
        "ProjectName": "visits",
        "HostRoleArn": "arn",
        "InstanceType": "ml.m5.large",
        "SubnetIds": "a,b",
        "KeepWarm": "true",
    }


def test_what_is_left_empty_takes_the_default_of_the_template() -> None:
    assert "KeepWarm" not in filled({"instance_type": "ml.m5.large", "keep_warm": None})


def test_the_minutes_in_the_shadow_are_no_parameter() -> None:
    assert "ShadowMinutes" not in filled({"instance_type": "ml.m5.large", "shadow_minutes": 30})


@pytest.mark.parametrize(
    ("section", "said", "remedy"),
    [
        (
            {"instnce_type": "ml.m5.large"},
            "Unknown setting `stacks.endpoint.instnce_type` in",
            "Did you mean `instance_type`?",
        ),
        (
            {"host_role_arn": "mine", "instance_type": "x"},
            "`stacks.endpoint.host_role_arn` in config/.* is not allowed: the deployment sets it",
            "Remove it",
        ),
        (
            {"instance_type": {"is": "a map"}},
            "Invalid value of `stacks.endpoint.instance_type` in config/base.yaml: {'is': 'a map'}",
            "Set a string",
        ),
        (
            {},
            "No value for InstanceType .Type of the instances.",
            "Set `stacks.endpoint.instance_type` in config/base.yaml.",
        ),
        ({"instance_type": None}, "No value for InstanceType", "Set `stacks.endpoint.instance_type`"),
    ],
)
def test_a_setting_that_is_of_no_use_or_missing_is_refused(section: dict[str, Any], said: str, remedy: str) -> None:
    with pytest.raises(MlopsError, match=said) as caught:
        filled(section)
    assert remedy in caught.value.remedy
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("stack", "remedy"), [(WORKLOAD, "deploy --environment dev"), (ENDPOINT_STACK, "deploy --stack endpoint")]
)
def test_an_output_of_a_stack_that_is_not_deployed_names_that_stack(stack: Stack, remedy: str) -> None:
    with pytest.raises(MlopsError, match=f"an output of the stack {stack.name}, which is not deployed") as caught:
        filled({"instance_type": "x"}, {"ProjectName": "visits"}, HostRoleArn=stack)
    assert remedy in caught.value.remedy


def test_a_template_is_read_with_its_functions() -> None:
    template = Template.parse(ENDPOINT.replace("SHADOW", ""))
    assert template.guards() == {"Errors"}
    assert template.outputs == {"EndpointName"}
    assert template.of_type("AWS::CloudWatch::Alarm") == ["Errors", "Backlog"]


@pytest.mark.parametrize("text", ["", "[]", "Resources:", "a: b: c", "Resources: {A: !Ref [}"])
def test_what_is_no_template_is_refused_with_its_file(text: str, tmp_path: Path) -> None:
    root = small_project(tmp_path).root
    (root / "infra/data.yaml").write_text(text)
    with pytest.raises(MlopsError, match=r"infra/data.yaml: Not a CloudFormation template"):
        templates.read(root, TABLE[0])
