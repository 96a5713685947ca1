"""Fixtures of tests that enter AWS: accounts, their CloudFormation, functions that run, and the calls that are made."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from standin.calls import CallRecord

if TYPE_CHECKING:  # moto takes seconds to import, and most tests need none of it
    from standin.account import Cloud, StandInAccount


@pytest.fixture(scope="session")
def whole_cloud() -> "Iterator[Cloud]":
    """All accounts of this worker; ask for `cloud`, in which they are empty."""
    from standin.account import cloud
    from standin.cloudformation import cloudformation
    from standin.importing import imports

    with cloud() as whole, cloudformation(whole), imports(whole):
        yield whole


@pytest.fixture
def cloud(whole_cloud: "Cloud") -> "Iterator[Cloud]":
    """Accounts, all empty, whose CloudFormation knows the project's kinds of resource."""
    yield whole_cloud
    whole_cloud.empty()


@pytest.fixture
def record(tmp_path: Path) -> CallRecord:
    """The calls of the processes of a test."""
    return CallRecord(tmp_path / "calls")


@pytest.fixture
def account(cloud: "Cloud", record: CallRecord) -> "Iterator[StandInAccount]":
    """An empty account whose functions run."""
    from standin.lambdas import real_handlers

    with real_handlers(cloud, record):
        yield cloud.account()


@pytest.fixture
def grown(account: "StandInAccount") -> None:
    """The account has been used for long: its quotas are high."""
    account.grow()


@pytest.fixture
def here(cloud: "Cloud", monkeypatch: pytest.MonkeyPatch) -> "StandInAccount":
    """An empty account that boto3 in this process uses."""
    account = cloud.account()
    account.enter(monkeypatch)
    return account
