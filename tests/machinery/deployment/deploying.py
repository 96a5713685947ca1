"""Verbs in a small project, against a stand-in account."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from mlops.cli.main import main
from standin.account import StandInAccount
from tests.machinery.deployment.small_project import NAMES, small_project


class Terminal(io.StringIO):
    """A person who types these lines."""

    def isatty(self) -> bool:
        return True


class Shell:
    """Runs verbs in the working folder.

    Args:
        account: The account that they meet.
        capsys: What they print.
        patch: Puts a person in front of the terminal.
    """

    def __init__(self, account: StandInAccount, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self.account, self.capsys, self.patch = account, capsys, patch
        self.error = self.output = ""

    def __call__(self, *arguments: str, typed: str | None = None) -> int:
        """The exit status of a verb.

        Args:
            arguments: The verb and its options.
            typed: What a person at a terminal types; None when nobody is there.
        """
        self.patch.setattr(sys, "stdin", io.StringIO() if typed is None else Terminal(typed))
        status = main(list(arguments))
        self.output, self.error = self.capsys.readouterr()
        return status

    def json(self, *arguments: str) -> Any:
        """What a verb that succeeds prints as JSON."""
        assert self(*arguments, "--json") == 0, self.error
        return json.loads(self.output)

    def stacks(self) -> list[str]:
        """The names of the stacks that are there."""
        return [one["StackName"] for one in self.account.client("cloudformation").describe_stacks()["Stacks"]]

    def live(self, environment: str) -> str | None:
        """The ARN of the package that is live."""
        answer = self.account.client("ssm").get_parameters(Names=[NAMES.live_parameter(environment)])
        return next((parameter["Value"] for parameter in answer["Parameters"]), None)


def shell(
    account: StandInAccount, root: Path, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch, **answers: Any
) -> Shell:
    """A shell in a small project, whose account has been used for long."""
    small_project(root, **answers)
    account.grow()
    return entered(account, root, capsys, patch)


def entered(
    account: StandInAccount, root: Path, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch
) -> Shell:
    """A shell in a project."""
    patch.chdir(root)
    account.enter(patch)
    return Shell(account, capsys, patch)
