"""Events that go from the bus of one account to that of another."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from standin.account import REGION, Cloud, StandInAccount
from standin.attached import resource_policies
from standin.buses import sent
from standin.calls import CallRecord
from standin.deploy import Stack, put
from standin.iam import role_policies
from standin.lambdas import Delivery, deliver, real_handlers
from standin.policies import findings
from standin.queues import waiting
from standin.template import parse
from tests.standin.several_accounts import DEV, PRODUCTION, STAGING, accounts


def queue_of_rule(logical: str, name: str) -> str:
    """The resources of a queue that a template's rule may send to."""
    return f"""
  {logical}: {{Type: "AWS::SQS::Queue", Properties: {{QueueName: {name}}}}}
  {logical}Policy:
    Type: AWS::SQS::QueuePolicy
    Properties:
      Queues: [!Ref {logical}]
      PolicyDocument:
        Version: "2012-10-17"
        Statement:
          - Effect: Allow
            Principal: {{Service: events.amazonaws.com}}
            Action: "sqs:SendMessage"
            Resource: !GetAtt {logical}.Arn
            Condition: {{ArnEquals: {{aws:SourceArn: !GetAtt Rule.Arn}}}}
"""


SENDER = f"""
Parameters: {{Target: {{Type: String}}, Receiver: {{Type: String}}, Pattern: {{Type: String, Default: visits}}}}
Resources:
{queue_of_rule("Letters", "undelivered")}
  Role:
    Type: AWS::IAM::Role
    Properties:
      RoleName: forward
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement:
          - {{Effect: Allow, Principal: {{Service: events.amazonaws.com}}, Action: "sts:AssumeRole"}}
      Policies:
        - PolicyName: forward
          PolicyDocument:
            Version: "2012-10-17"
            Statement: [{{Effect: Allow, Action: "events:PutEvents", Resource: !Ref Target}}]
  Rule:
    Type: AWS::Events::Rule
    Properties:
      Name: forward
      EventPattern: {{source: [!Ref Pattern]}}
      Targets:
        - Id: bus
          Arn: !Sub "arn:aws:events:{REGION}:${{Receiver}}:event-bus/default"
          RoleArn: !GetAtt Role.Arn
          DeadLetterConfig: {{Arn: !GetAtt Letters.Arn}}
"""
RECEIVER = f"""
Parameters: {{Origin: {{Type: String}}}}
Resources:
  Policy:
    Type: AWS::Events::EventBusPolicy
    Properties:
      EventBusName: default
      StatementId: sender
      Statement:
        Effect: Allow
        Principal: {{AWS: !Sub "arn:aws:iam::${{Origin}}:root"}}
        Action: "events:PutEvents"
        Resource: !Sub "arn:aws:events:{REGION}:${{AWS::AccountId}}:event-bus/default"
        Condition: {{ArnLike: {{aws:PrincipalArn: !Sub "arn:aws:iam::${{Origin}}:role/forward"}}}}
{queue_of_rule("Inbox", "inbox")}
  Rule:
    Type: AWS::Events::Rule
    Properties:
      Name: receive
      EventPattern: {{account: [!Ref Origin], source: [visits]}}
      Targets: [{{Id: inbox, Arn: !GetAtt Inbox.Arn}}]
"""
EVENT = {"source": "visits", "detail-type": "Drift", "detail": {"alarm": "psi"}}


def bus(account: str) -> str:
    return f"arn:aws:events:{REGION}:{account}:event-bus/default"


def sender(account: StandInAccount, receiver: str, target: str = "") -> None:
    """Deploy a rule whose events go to another account; its role may put events on the target."""
    put(account, Stack("send", parse(SENDER), {"Receiver": receiver, "Target": target or bus(receiver)}))


def receiver(account: StandInAccount, origin: str) -> None:
    """Deploy what lets in the events of another account."""
    put(account, Stack("receive", parse(RECEIVER), {"Origin": origin}))


def without_place(deliveries: list[Delivery]) -> list[tuple[str, str, str]]:
    return [(one.account, one.rule, one.error) for one in deliveries]


@pytest.fixture
def three(cloud: Cloud, record: CallRecord) -> Iterator[tuple[StandInAccount, StandInAccount, StandInAccount]]:
    with real_handlers(cloud, record):
        yield accounts(cloud)


def test_an_event_reaches_the_rules_of_the_bus_that_lets_it_in(three: Any, record: CallRecord) -> None:
    dev, _, production = three
    sender(production, DEV)
    receiver(dev, PRODUCTION)
    deliveries = deliver(production, EVENT)
    assert without_place(deliveries) == [(PRODUCTION, "forward", ""), (DEV, "receive", "")]
    [text] = waiting(dev, "inbox")
    assert (json.loads(text)["account"], json.loads(text)["region"]) == (PRODUCTION, REGION)
    assert waiting(production, "undelivered") == []
    [call] = record.calls()
    role = f"arn:aws:iam::{PRODUCTION}:role/forward"
    assert (call.role, call.operation, call.region) == (role, "PutEvents", REGION)
    resources = resource_policies()
    own = role_policies(production.client("iam"), role)
    assert findings(role, own, resources.needs(record.calls()), [DEV], resources) == []


def test_an_event_of_an_own_account_matches_no_rule_for_another(three: Any) -> None:
    dev, _, _ = three
    receiver(dev, PRODUCTION)
    assert deliver(dev, EVENT) == []


@pytest.mark.parametrize("fault", ["bus", "another account", "role", "trust", "missing"])
def test_an_event_that_may_not_be_put_on_the_bus_goes_to_the_queue_of_the_target(three: Any, fault: str) -> None:
    dev, _, production = three
    sender(production, DEV, bus(STAGING) if fault == "role" else "")
    if fault not in ("bus", "missing"):
        receiver(dev, STAGING if fault == "another account" else PRODUCTION)
    if fault == "trust":
        trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        production.client("iam").update_assume_role_policy(RoleName="forward", PolicyDocument=document)
    if fault == "missing":
        for name in production.client("iam").list_role_policies(RoleName="forward")["PolicyNames"]:
            production.client("iam").delete_role_policy(RoleName="forward", PolicyName=name)
        production.client("iam").delete_role(RoleName="forward")
    [delivery] = deliver(production, EVENT)
    assert delivery.error
    assert [json.loads(text)["source"] for text in waiting(production, "undelivered")] == ["visits"]


def test_a_queue_for_letters_that_is_open_to_every_rule_is_refused(three: Any) -> None:
    _, _, production = three
    sender(production, DEV)
    sqs = production.client("sqs")
    url = sqs.get_queue_url(QueueName="undelivered")["QueueUrl"]
    statement = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [{**statement, "Resource": "*"}]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": document})
    with pytest.raises(PermissionError, match="or for any rule"):
        deliver(production, EVENT)


def test_no_event_is_forwarded_a_second_time(three: Any) -> None:
    dev, staging, production = three
    sender(production, STAGING)
    receiver(staging, PRODUCTION)
    sender(staging, DEV)
    receiver(dev, STAGING)
    deliveries = deliver(production, EVENT)
    assert [(one.account, one.target) for one in deliveries if one.error] == [(STAGING, bus(DEV))]
    assert waiting(dev, "inbox") == []


def test_a_policy_of_a_bus_is_changed_and_taken_away(three: Any) -> None:
    dev, _, production = three
    sender(production, DEV)
    receiver(dev, STAGING)
    assert deliver(production, EVENT)[0].error
    receiver(dev, PRODUCTION)
    assert deliver(production, EVENT)[0].error == ""
    dev.client("cloudformation").delete_stack(StackName="receive")
    assert deliver(production, EVENT)[0].error
    assert "Policy" not in dev.client("events").describe_event_bus()


def test_put_events_reaches_the_bus_of_another_account_if_that_lets_it_in(three: Any) -> None:
    dev, _, production = three
    sender(production, DEV)
    entry = {"EventBusName": bus(DEV), "Source": "visits", "DetailType": "Drift", "Detail": "{}"}
    forward = production.client("events", f"arn:aws:iam::{PRODUCTION}:role/forward")
    with pytest.raises(ClientError, match="AccessDeniedException"):
        forward.put_events(Entries=[entry])
    receiver(dev, PRODUCTION)
    with pytest.raises(ClientError, match="AccessDeniedException"):
        production.client("events").put_events(Entries=[entry])
    forward.put_events(Entries=[entry])
    [event] = sent(dev)
    assert sent(dev) == []
    assert (event["account"], event["source"]) == (PRODUCTION, "visits")
    assert without_place(deliver(dev, event)) == [(DEV, "receive", "")]


def test_put_events_to_a_bus_that_is_not_there_is_refused(three: Any) -> None:
    _, _, production = three
    entry = {"EventBusName": "missing", "Source": "visits", "DetailType": "Drift", "Detail": "{}"}
    with pytest.raises(ClientError, match="ResourceNotFound"):
        production.client("events").put_events(Entries=[entry])
