"""Whatever is approved, rejected, delivered and deployed in whatever order: what is wanted ends up live."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops.base.environments import ENVIRONMENTS, PRODUCTION, STAGING
from mlops.base.errors import MlopsError
from mlops.functions import promote
from mlops.registry import promotion
from mlops.registry.promotion import LIVE, NONE, REQUESTED, START
from mlops.registry.versions import (
    APPROVED,
    PENDING,
    REJECTED,
    ModelVersion,
    approver,
    champion,
    of_package,
    with_approval,
)

PREFIX = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/visits"
MIDNIGHT = datetime(2026, 11, 21, tzinfo=UTC)
STAGES = (("check", STAGING, "test"), ("approve",), ("check", PRODUCTION, "verify"))
STEPS = [(stage, step) for stage, steps in enumerate(STAGES) for step in steps]
VARIABLES = {
    "MODEL_PACKAGE_GROUP": "visits",
    "PIPELINE": "visits-deploy",
    "LIVE_STAGING": "/visits/live/staging",
    "LIVE_PRODUCTION": "/visits/live/production",
    "TOPIC_ARN": "arn:aws:sns:eu-west-1:123456789012:visits-notifications",
}


def version(number: int, status: str = APPROVED, minute: int | None = None, **metadata: str) -> ModelVersion:
    decided = None if minute is None else MIDNIGHT + timedelta(minutes=minute)
    return ModelVersion(number, f"{PREFIX}/{number}", status, MIDNIGHT, decided, "", "", "", (), metadata)


FIRST, SECOND = version(1, minute=1), version(2, minute=2)


@pytest.mark.parametrize(
    ("versions", "live", "last_requested", "outcome", "wanted"),
    [
        ([], {}, None, NONE, None),
        ([version(1, REJECTED), version(2, PENDING)], {STAGING: FIRST.arn}, None, NONE, None),
        ([FIRST, SECOND], {}, None, START, SECOND),
        ([version(1, minute=3), SECOND], {}, None, START, version(1, minute=3)),
        ([FIRST, SECOND], dict.fromkeys(ENVIRONMENTS, SECOND.arn), None, LIVE, SECOND),
        ([FIRST, SECOND], {STAGING: SECOND.arn}, None, START, SECOND),
        ([FIRST, SECOND], {STAGING: SECOND.arn, PRODUCTION: FIRST.arn}, None, START, SECOND),
        ([FIRST, SECOND], {}, SECOND.arn, REQUESTED, SECOND),
        ([FIRST, SECOND], {}, FIRST.arn, START, SECOND),
        # What is under way may be about to replace what is live.
        ([FIRST], dict.fromkeys(ENVIRONMENTS, FIRST.arn), SECOND.arn, START, FIRST),
    ],
)
def test_the_newest_approved_version_is_asked_for_when_nothing_makes_it_live(
    versions: list[ModelVersion], live: dict[str, str], last_requested: str | None, outcome: str, wanted: ModelVersion
) -> None:
    decision = promotion.decide(versions, live, last_requested)
    assert (decision.outcome, decision.version) == (outcome, wanted)
    assert decision.reason.endswith(".")


def test_the_reason_names_the_environments_that_lack_the_version() -> None:
    reason = promotion.decide([FIRST], {STAGING: FIRST.arn}, None).reason
    assert reason == "Version 1 is the champion, and not live in production."


@pytest.mark.parametrize(
    ("stamp", "newer"),
    [
        ("", True),
        ("yesterday", True),
        ("2026-11-21T00:05:00", True),  # without a zone it is no moment
        ("2026-11-21T00:04:59.999+00:00", True),
        ("2026-11-21T01:04:59+01:00", True),
        ("2026-11-21T00:05:00+00:00", False),
        ("2026-11-21T00:06:00Z", False),
    ],
)
def test_a_stamp_is_overwritten_by_a_later_approval_only(stamp: str, newer: bool) -> None:
    assert promotion.is_newer(MIDNIGHT + timedelta(minutes=5), version(1, approved_at=stamp)) is newer


@given(st.datetimes(timezones=st.just(UTC)), st.datetimes(timezones=st.just(UTC)), st.integers(1, 3), st.integers(1, 3))
def test_a_token_is_that_of_one_package_and_one_event(one: datetime, other: datetime, first: int, second: int) -> None:
    tokens = promotion.token(f"{PREFIX}/{first}", one), promotion.token(f"{PREFIX}/{second}", other)
    assert (tokens[0] == tokens[1]) == ((first, one) == (second, other))
    assert tokens[0].isalnum()
    assert len(tokens[0]) <= 128


def test_a_version_is_shipped_superseded_or_refused() -> None:
    versions = [FIRST, SECOND, version(3, REJECTED)]
    assert promotion.approved(versions, SECOND.arn) == SECOND == champion(versions)
    assert promotion.approved(versions, FIRST.arn) == FIRST
    with pytest.raises(MlopsError, match="Version 3 is Rejected: only approved versions can be deployed"):
        promotion.approved(versions, f"{PREFIX}/3")
    with pytest.raises(MlopsError, match=f"{PREFIX}/4 is not in the registry"):
        promotion.approved(versions, f"{PREFIX}/4")


def test_a_metadata_write_changes_the_time_of_no_stamped_approval() -> None:
    record = package(1, APPROVED, MIDNIGHT)
    record["CustomerMetadataProperties"] = with_approval({"Commit": "0"}, MIDNIGHT, "")
    record["LastModifiedTime"] = MIDNIGHT + timedelta(days=1)
    assert of_package(record).decided == MIDNIGHT
    assert of_package({**record, "CustomerMetadataProperties": {}}).decided == record["LastModifiedTime"]
    assert of_package({**record, "ModelApprovalStatus": REJECTED}).decided == record["LastModifiedTime"]
    assert of_package({**record, "ModelApprovalStatus": PENDING}).decided is None


def package(number: int, status: str, moment: datetime) -> dict[str, Any]:
    return {
        "ModelPackageArn": f"{PREFIX}/{number}",
        "ModelPackageVersion": number,
        "ModelApprovalStatus": status,
        "CreationTime": moment,
        "LastModifiedTime": moment,
        "InferenceSpecification": {"Containers": [{"ModelDataUrl": ""}]},
        "CustomerMetadataProperties": {},
    }


@pytest.mark.parametrize(
    ("by", "name"),
    [
        ({"IamIdentity": {"Arn": "arn:aws:sts::1:assumed-role/Admin/ann@example.com"}},
         "arn:aws:sts::1:assumed-role/Admin/ann@example.com"),
        ({"UserProfileName": "ann"}, "ann"),
        ({}, "unknown"),
    ],
)  # fmt: skip
def test_an_approval_names_who_gave_it_as_far_as_that_is_known(by: dict[str, Any], name: str) -> None:
    given = with_approval({"Commit": "0"}, MIDNIGHT, approver({"LastModifiedBy": by}))
    assert given["approved_by"] == name
    assert given["Commit"] == "0"


def test_a_name_becomes_a_value_that_metadata_allow() -> None:
    assert with_approval({}, MIDNIGHT, "role/a,b" + "c" * 300)["approved_by"] == ("role/a b" + "c" * 300)[:256]


@dataclass
class Execution:
    package: str
    token: str
    started: datetime
    step: int = -1
    status: str = "InProgress"

    @property
    def stage(self) -> int:
        return STEPS[self.step][0] if self.step >= 0 else -1


class Account:
    """What the function and the builds see of AWS."""

    def __init__(self) -> None:
        self.now = MIDNIGHT
        self.packages: dict[str, dict[str, Any]] = {}
        self.executions: list[Execution] = []
        self.live: dict[str, str] = {}
        self.published: list[str] = []

    def client(self, _service: str) -> "Account":
        return self

    def tick(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    def versions(self) -> list[ModelVersion]:
        return [of_package(record) for record in self.packages.values()]

    def get_paginator(self, _operation: str) -> "Account":
        return self

    def paginate(self, *, ModelApprovalStatus: str, **_: str) -> Iterator[dict[str, Any]]:  # noqa: N803
        yield {
            "ModelPackageSummaryList": [
                record for record in self.packages.values() if record["ModelApprovalStatus"] == ModelApprovalStatus
            ]
        }

    def describe_model_package(self, *, ModelPackageName: str) -> dict[str, Any]:  # noqa: N803
        return self.packages[ModelPackageName]

    def update_model_package(self, *, ModelPackageArn: str, **changes: Any) -> None:  # noqa: N803
        self.packages[ModelPackageArn] |= {**changes, "LastModifiedTime": self.tick()}

    def get_parameters(self, *, Names: list[str]) -> dict[str, Any]:  # noqa: N803
        found = {f"/visits/live/{environment}": arn for environment, arn in self.live.items()}
        return {"Parameters": [{"Name": name, "Value": found[name]} for name in Names if name in found]}

    def list_pipeline_executions(self, **_: str) -> dict[str, Any]:
        summaries = [
            {"pipelineExecutionId": str(number), "status": execution.status, "startTime": execution.started}
            for number, execution in enumerate(self.executions)
        ]
        return {"pipelineExecutionSummaries": summaries[::-1]}

    def get_pipeline_execution(self, *, pipelineExecutionId: str, **_: str) -> dict[str, Any]:  # noqa: N803
        asked = self.executions[int(pipelineExecutionId)].package
        return {"pipelineExecution": {"variables": [{"name": "ModelPackageArn", "resolvedValue": asked}]}}

    def start_pipeline_execution(
        self, *, variables: list[dict[str, str]], clientRequestToken: str, **_: str  # noqa: N803
    ) -> dict[str, str]:  # fmt: skip
        tokens = [execution.token for execution in self.executions]
        if clientRequestToken not in tokens:
            self.executions.append(Execution(variables[0]["value"], clientRequestToken, self.tick()))
            tokens.append(clientRequestToken)
        return {"pipelineExecutionId": str(tokens.index(clientRequestToken))}

    def publish(self, *, Message: str, **_: str) -> None:  # noqa: N803
        self.published.append(Message)


class Promotion:
    """People decide, events come when they like and more than once, executions pass the stages one behind the other.

    Args:
        chance: Says what happens next.
    """

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.account = Account()
        self.events: list[dict[str, Any]] = []
        self.approvals: dict[str, datetime] = {}
        for number in range(1, chance.randint(3, 4)):
            self.account.packages[f"{PREFIX}/{number}"] = package(number, PENDING, self.account.tick())

    def happen(self) -> None:
        whats = (self.decide, self.write_metadata, self.deliver, self.deliver, self.advance, self.advance, self.advance)
        self.chance.choice(whats)()

    def decide(self) -> None:
        """Somebody decides, in the console or by `mlops approve`, which stamps."""
        record, moment = self.chance.choice(list(self.account.packages.values())), self.account.tick()
        status = self.chance.choice([APPROVED, APPROVED, REJECTED])
        record |= {"ModelApprovalStatus": status, "LastModifiedTime": moment}
        if status == APPROVED:
            self.approvals[record["ModelPackageArn"]] = moment
        if status == APPROVED and self.chance.random() < 0.5:
            record["CustomerMetadataProperties"] = with_approval(record["CustomerMetadataProperties"], moment, "")
        detail = {"ModelPackageArn": record["ModelPackageArn"], "ModelApprovalStatus": status}
        self.events.append({"time": moment.isoformat(), "detail": detail})

    def write_metadata(self) -> None:
        self.chance.choice(list(self.account.packages.values()))["LastModifiedTime"] = self.account.tick()

    def deliver(self) -> None:
        if self.events:
            event = self.chance.choice(self.events)
            promote.handler(event, None)
            if self.chance.random() < 0.8:  # else it comes again
                self.events.remove(event)

    @property
    def under_way(self) -> list[Execution]:
        return [execution for execution in self.account.executions if execution.status == "InProgress"]

    def advance(self) -> bool:
        """An execution does its next step; those behind one wait until the stage before them is free."""
        able = [execution for index, execution in enumerate(self.under_way) if self.may_go_on(index)]
        if able:
            self.step(self.chance.choice(able))
        return bool(able)

    def may_go_on(self, index: int) -> bool:
        step = self.under_way[index].step + 1
        return step == len(STEPS) or all(other.stage > STEPS[step][0] for other in self.under_way[:index])

    def step(self, execution: Execution) -> None:
        execution.step += 1
        if execution.step == len(STEPS):
            execution.status = "Succeeded"
            return
        _, step = STEPS[execution.step]
        if step == "check":
            self.check(execution)
        elif step in ENVIRONMENTS:  # a deployment takes its time: much may happen since it was checked
            self.account.live[step] = execution.package

    def check(self, execution: Execution) -> None:
        versions = self.account.versions()
        try:
            if promotion.approved(versions, execution.package) != champion(versions):
                execution.status = "Stopped"
        except MlopsError:
            execution.status = "Failed"

    @property
    def wanted(self) -> str | None:
        """ARN of the package that was approved last, of those that are approved still."""
        approved = [arn for arn, record in self.account.packages.items() if record["ModelApprovalStatus"] == APPROVED]
        return max(approved, key=lambda arn: self.approvals[arn], default=None)

    def end(self) -> None:
        while self.events:
            self.deliver()
        while self.under_way:
            assert self.advance()


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Account:
    """What the function sees."""
    account = Account()
    see(account, monkeypatch)
    return account


def see(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promote, "boto3", account)
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("first_seed", range(0, 2000, 100))
def test_once_all_is_delivered_and_deployed_the_wanted_version_is_live_everywhere(
    first_seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(first_seed, first_seed + 100):
        promoted = Promotion(Random(seed))
        see(promoted.account, monkeypatch)
        for _ in range(30):
            promoted.happen()
        promoted.end()
        wanted = promoted.wanted
        assert not wanted or promoted.account.live == dict.fromkeys(ENVIRONMENTS, wanted), seed


def test_a_version_that_loses_its_approval_while_nothing_else_is_approved_stays_live_and_is_told_of(
    account: Account,
) -> None:
    record = package(1, REJECTED, MIDNIGHT)
    account.packages[record["ModelPackageArn"]] = record
    account.live = dict.fromkeys(ENVIRONMENTS, record["ModelPackageArn"])
    detail = {"ModelPackageArn": record["ModelPackageArn"], "ModelApprovalStatus": REJECTED}
    said = promote.handler({"time": "2026-11-21T00:01:00Z", "detail": detail}, None)
    assert said["outcome"] == NONE
    assert account.published == ["No version is approved: the live versions stay live."]
    assert account.executions == []
