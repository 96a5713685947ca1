"""Fixtures of the rungs that deploy: a stand-in account, its CloudFormation, functions that run, and their calls."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from standin.account import StandInAccount, stand_in_account
from standin.calls import CallRecord
from standin.cloudformation import cloudformation
from standin.lambdas import real_handlers


@pytest.fixture
def record(tmp_path: Path) -> CallRecord:
    """The calls of the processes of a test."""
    return CallRecord(tmp_path / "calls")


@pytest.fixture
def account(record: CallRecord) -> Iterator[StandInAccount]:
    """An empty account whose CloudFormation knows the project's kinds of resource and whose functions run."""
    with stand_in_account() as account, cloudformation(account), real_handlers(account, record):
        yield account
