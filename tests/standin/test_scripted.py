from datetime import UTC, datetime

import pytest
from botocore.exceptions import ClientError

from standin.scripted import Clock, Refusal, Script

OLD, NEW = {"EndpointConfigName": "old"}, {"EndpointConfigName": "new"}
ROLLED_BACK = [
    (0, {"EndpointStatus": "Updating", **OLD}),
    (60, {"EndpointStatus": "RollingBack", **OLD}),
    (90, {"EndpointStatus": "InService", **OLD}),
]


def test_answers_follow_the_clock_and_nobody_waits() -> None:
    clock = Clock()
    script = Script(clock, {"DescribeEndpoint": ROLLED_BACK})
    client = script.client("sagemaker")
    seen = []
    for _ in range(4):
        seen.append(client.describe_endpoint(EndpointName="visits")["EndpointStatus"])
        clock.sleep(30)
    assert seen == ["Updating", "Updating", "RollingBack", "InService"]
    assert clock.time() == 120
    assert script.asked == [("DescribeEndpoint", {"EndpointName": "visits"})] * 4


def test_credentials_expire_in_the_middle_of_a_wait() -> None:
    clock = Clock()
    stacks = {"Stacks": [{"StackName": "s", "StackStatus": "UPDATE_IN_PROGRESS", "CreationTime": datetime.now(UTC)}]}
    script = Script(clock, {"DescribeStacks": [(0, stacks), (10, Refusal("ExpiredToken", "Expired."))]})
    client = script.client("cloudformation")
    assert client.describe_stacks()["Stacks"][0]["StackStatus"] == "UPDATE_IN_PROGRESS"
    clock.sleep(10)
    with pytest.raises(ClientError, match="ExpiredToken"):
        client.describe_stacks()


def test_a_call_that_the_script_does_not_answer_is_refused() -> None:
    client = Script(Clock(), {"DescribeEndpoint": ROLLED_BACK}).client("sagemaker")
    with pytest.raises(AssertionError, match="DeleteEndpoint was called"):
        client.delete_endpoint(EndpointName="visits")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"EndpointStatus": "Rolledback"}, "is never 'Rolledback'"),
        ({"EndpointState": "InService"}, "Unknown parameter"),
        ({"EndpointStatus": 3}, "Invalid type"),
    ],
)
def test_an_answer_that_aws_cannot_give_is_refused(answer: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Script(Clock(), {"DescribeEndpoint": [(0, answer)]}).client("sagemaker")
