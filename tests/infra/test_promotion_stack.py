"""The stack of the deploy pipeline: deployed and deleted, and what its pipeline and its function may do."""

import json
from typing import Any

import pytest

from mlops.base.waiting import PATIENCE
from mlops.registry.promotion import START
from standin import deploy
from standin.account import StandInAccount
from standin.calls import CallRecord
from standin.needs import Need, keys, needs
from standin.service_side import service_needs
from tests.answers import label
from tests.infra.promoting import PIPELINE, Promotion, promoted
from tests.infra.rendered import SLUG
from tests.infra.serving_stacks import written

ANSWERS = [
    {},
    {"inference": "async", "http_api": "no", "deployment_strategy": "all-at-once"},
    {"inference": "batch", "http_api": "no", "deployment_strategy": "all-at-once", "training_image": "custom"},
]
USES_OF_A_KEY = ("Decrypt", "GenerateDataKey")
STAGES = {
    "Source": ["Source"],
    "Staging": ["Deploy", "Test"],
    "Approval": ["Approve"],
    "Production": ["Deploy", "Verify"],
}


@pytest.mark.parametrize("answers", ANSWERS, ids=label)
def test_it_is_deployed_changed_by_nothing_and_deleted(account: StandInAccount, answers: dict[str, str]) -> None:
    assert deploy.findings(account, [promoted(account, answers).stacks["promotion"]]) == []


def stages(promotion: Promotion) -> dict[str, list[dict[str, Any]]]:
    pipeline = promotion.account.client("codepipeline").get_pipeline(name=PIPELINE)["pipeline"]
    assert (pipeline["pipelineType"], pipeline["executionMode"]) == ("V2", "QUEUED")
    return {stage["name"]: stage["actions"] for stage in pipeline["stages"]}


def test_a_package_goes_to_staging_is_tested_approved_and_goes_to_production(account: StandInAccount) -> None:
    promotion = promoted(account)
    found = stages(promotion)
    assert {name: [action["name"] for action in actions] for name, actions in found.items()} == STAGES
    for environment in ("staging", "production"):
        ship, test = found[environment.title()]
        assert ship["runOrder"] < test["runOrder"]
        assert ship["configuration"]["ProjectName"] == f"{SLUG}-ship"
        assert test["configuration"]["ProjectName"] == f"{SLUG}-smoke"
        given = {each["name"]: each["value"] for each in json.loads(ship["configuration"]["EnvironmentVariables"])}
        assert given == {
            "ENVIRONMENT": environment,
            "MODEL_PACKAGE": "#{variables.ModelPackageArn}",
            "EXECUTION": "#{codepipeline.PipelineExecutionId}",
            **({"NEXT": "production"} if environment == "staging" else {}),
        }
        given = {each["name"]: each["value"] for each in json.loads(test["configuration"]["EnvironmentVariables"])}
        assert given == {"ENVIRONMENT": environment}
    [source], [approval] = found["Source"], found["Approval"]
    assert source["configuration"] == {
        "S3Bucket": promotion.values["ArtifactBucket"],
        "S3ObjectKey": "release/project.zip",
        "PollForSourceChanges": "false",
    }
    assert approval["configuration"]["NotificationArn"] == promotion.values["TopicArn"]


def test_the_pipeline_may_do_what_it_does_and_nothing_more(account: StandInAccount) -> None:
    promotion = promoted(account)
    place = {"region": account.region, "account": account.id}
    bucket, key, topic = (promotion.values[name] for name in ("ArtifactBucket", "ArtifactKeyArn", "TopicArn"))
    via = {"kms:ViaService": f"sns.{account.region}.amazonaws.com"}
    wanted = [
        *service_needs("codepipeline s3 source", bucket=bucket),
        *service_needs("codepipeline artifacts", bucket=bucket, prefix=""),
        *service_needs("codepipeline build", project=f"{SLUG}-ship", **place),
        *service_needs("codepipeline build", project=f"{SLUG}-smoke", **place),
        *service_needs("codepipeline approval", topic=topic),
        *(Need(f"kms:{action}", key, "artifacts") for action in USES_OF_A_KEY),
        *(Need(f"kms:{action}", promotion.values["DataKeyArn"], "topic", via) for action in USES_OF_A_KEY),
    ]
    assert promotion.judged("cd", wanted) == []


def test_the_function_may_do_what_it_does_and_nothing_more(account: StandInAccount, record: CallRecord) -> None:
    promotion = promoted(account)
    first, second = promotion.register(), promotion.register()
    promotion.deliver(promotion.approve(first))
    assert promotion.deliver(promotion.approve(second))["outcome"] == START
    promotion.deliver(promotion.reject(first))
    promotion.deliver(promotion.reject(second))
    calls = [call for call in record.calls() if call.role == promotion.role("promo")]
    queue = f"{SLUG}-promote-undelivered"
    used = keys(account)
    wanted = [
        *needs(calls, used),
        *promotion.logs(f"/aws/lambda/{SLUG}-promote"),
        *service_needs(
            "lambda dead letters",
            queue=queue,
            key=used[f"arn:aws:sqs:{account.region}:{account.id}:{queue}"],
            region=account.region,
            account=account.id,
        ),
    ]
    # A call that asks for two parameters is held against the first of them only.
    second_parameter = f"arn:aws:ssm:{account.region}:{account.id}:parameter/{SLUG}/live/production"
    assert promotion.judged("promo", [*wanted, Need("ssm:GetParameters", second_parameter, "what is live")]) == []


def test_deploy_waits_for_longer_than_an_update_takes_and_codebuild_for_longer_than_that() -> None:
    longest = written("endpoint").data["Parameters"]["UpdateSeconds"]["MaxValue"]
    ship = written("promotion").resources["ShipProject"]["Properties"]
    assert float(longest) < PATIENCE < float(ship["TimeoutInMinutes"]) * 60
