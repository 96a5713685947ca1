"""Roles that are assumed, by processes and from one account to the next."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from standin.account import REGION, Cloud, StandInAccount
from standin.buildspecs import BuildProject
from standin.calls import CallRecord
from tests.standin.several_accounts import DEV, PRODUCTION, STAGING, accounts, allow, role, root

REFRESHING = """
import boto3, json, sys
from botocore.credentials import RefreshableCredentials
from botocore.session import get_session

def assumed():
    role = sys.argv[1]
    given = boto3.client("sts").assume_role(RoleArn=role, RoleSessionName="promotion")["Credentials"]
    return {
        "access_key": given["AccessKeyId"], "secret_key": given["SecretAccessKey"], "token": given["SessionToken"],
        "expiry_time": given["Expiration"].isoformat(),
    }

session = get_session()
session._credentials = RefreshableCredentials.create_from_metadata(assumed(), assumed, "sts-assume-role")
there = boto3.Session(botocore_session=session)
there.client("ssm").put_parameter(Name="/live", Value="1", Type="String")
print(json.dumps(there.client("sts").get_caller_identity()["Arn"]))
boto3.client("ssm").get_parameters(Names=["/live"])
"""


def trusting(account: str, caller: str = "*") -> dict[str, Any]:
    """The statement of a trust that lets in the callers of an account of this name."""
    condition = {"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{account}:role/{caller}"}}
    return allow(root(account), "sts:AssumeRole", Condition=condition)


def assume(account: StandInAccount, caller: str, role_arn: str, **more: Any) -> dict[str, Any]:
    """The answer of AssumeRole to a role."""
    sts = account.client("sts", caller)
    answer: dict[str, Any] = sts.assume_role(RoleArn=role_arn, RoleSessionName="session", **more)
    return answer


def as_session(cloud: Cloud, answer: dict[str, Any], service: str) -> Any:
    given = answer["Credentials"]
    session = boto3.Session(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], REGION)
    return session.client(service, endpoint_url=cloud.endpoint)


def test_a_chain_of_roles_leads_where_each_trusts_the_one_before(cloud: Cloud) -> None:
    dev, staging, production = accounts(cloud)
    build = role(dev, "build")
    first = role(staging, "first", trusting(DEV, "build"))
    last = role(production, "last", trusting(STAGING, "first"))
    answer = assume(dev, build, first)
    assert answer["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{STAGING}:assumed-role/first/session"
    assert as_session(cloud, answer, "sts").get_caller_identity()["Account"] == STAGING
    onward = as_session(cloud, answer, "sts").assume_role(RoleArn=last, RoleSessionName="session")
    as_session(cloud, onward, "ssm").put_parameter(Name="/here", Value="1", Type="String")
    assert production.client("ssm").get_parameter(Name="/here")["Parameter"]["Value"] == "1"
    with pytest.raises(ClientError, match="AccessDenied"):
        assume(dev, build, last)
    assert staging.client("ssm").get_parameters(Names=["/here"])["Parameters"] == []


@pytest.mark.parametrize("caller", ["scientist", ""])
def test_who_is_not_in_the_trust_is_refused(cloud: Cloud, caller: str) -> None:
    dev, staging, _ = accounts(cloud)
    first = role(staging, "first", trusting(DEV, "build"))
    with pytest.raises(ClientError, match=r"AccessDenied.*sts:AssumeRole on resource: .*role/first"):
        assume(dev, role(dev, caller) if caller else "", first)
    with pytest.raises(ClientError, match="AccessDenied"):
        assume(dev, "", f"arn:aws:iam::{STAGING}:role/missing")


def test_an_external_id_is_asked_for(cloud: Cloud) -> None:
    dev, staging, _ = accounts(cloud)
    condition = {"StringEquals": {"sts:ExternalId": "secret"}}
    first = role(staging, "first", allow(root(DEV), "sts:AssumeRole", Condition=condition))
    assume(dev, "", first, ExternalId="secret")
    for more in ({}, {"ExternalId": "guess"}):
        with pytest.raises(ClientError, match="AccessDenied"):
            assume(dev, "", first, **more)


def test_sessions_last_no_longer_than_they_may(cloud: Cloud) -> None:
    dev, staging, _ = accounts(cloud)
    build, first = role(dev, "build"), role(staging, "first", trusting(DEV), allow(root(DEV), "sts:AssumeRole"))
    staging.client("iam").update_role(RoleName="first", MaxSessionDuration=7200)
    assume(dev, build, first, DurationSeconds=3600)
    with pytest.raises(ClientError, match="role chaining"):
        assume(dev, build, first, DurationSeconds=3601)
    assume(dev, "", first, DurationSeconds=7200)
    with pytest.raises(ClientError, match="MaxSessionDuration"):
        assume(dev, "", first, DurationSeconds=7201)


def test_a_build_assumes_a_role_and_its_calls_there_are_recorded_as_that_role(
    cloud: Cloud, record: CallRecord, tmp_path: Path
) -> None:
    dev, staging, production = accounts(cloud)
    build = role(dev, "build", allow({"Service": "codebuild.amazonaws.com"}, "sts:AssumeRole"))
    deploy = role(staging, "deploy", trusting(DEV, "build"))
    closed = role(production, "deploy", trusting(DEV, "another"))
    (tmp_path / "source").mkdir()
    (tmp_path / "source/refreshing.py").write_text(REFRESHING)
    project = BuildProject(dev, record, build, tmp_path / "builds")
    command = f"{sys.executable} refreshing.py"
    text = "version: 0.2\nphases: {build: {commands: ['%s']}}"
    done = project.build(text % f"{command} {deploy}", {"source": tmp_path / "source"})
    assert done.succeeded, done.phases[0].output
    assert f"{STAGING}:assumed-role/deploy/" in json.loads(done.phases[0].output)
    assert staging.client("ssm").get_parameter(Name="/live")["Parameter"]["Value"] == "1"
    assert [(call.operation, call.role) for call in record.calls()] == [
        ("AssumeRole", build),
        ("PutParameter", deploy),
        ("GetCallerIdentity", deploy),
        ("GetParameters", build),
    ]
    refused = project.build(text % f"{command} {closed}", {"source": tmp_path / "source"})
    assert "AccessDenied" in refused.phases[0].output
    assert PRODUCTION in closed


def test_the_credentials_of_a_role_may_be_handed_to_another_process(cloud: Cloud, record: CallRecord) -> None:
    dev, staging, _ = accounts(cloud)
    build, first = role(dev, "build"), role(staging, "first", trusting(DEV, "build"))
    given = assume(dev, build, first)["Credentials"]
    handed = {
        "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
        "AWS_SESSION_TOKEN": given["SessionToken"],
    }
    environment = {**dev.environment(build), **record.environment(build), **handed}
    code = "import boto3; boto3.client('ssm').get_parameters(Names=['/a'])"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert [call.role for call in record.calls()] == [first]
