"""Stacks of a project in a stand-in account, what they say of each other, and what their roles may do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from mlops.base.environments import SHARED
from mlops.deployment import functions
from mlops.project.names import Names, project_id
from standin import deploy, policies
from standin.account import ACCOUNT, REGION, StandInAccount
from standin.deploy import Stack
from standin.iam import role_policies
from standin.needs import Need
from standin.service_side import service_needs
from standin.template import parse
from tests.infra.rendered import SLUG, texts
from tests.projects import SOURCES

NAMES = Names(SLUG, project_id(ACCOUNT, REGION, SLUG))


@dataclass(frozen=True)
class Deployed:
    """Stacks that are deployed.

    Attributes:
        account: The account.
        stacks: The stacks, by the names of their templates.
        values: Parameters and outputs of all stacks.
    """

    account: StandInAccount
    stacks: Mapping[str, Stack]
    values: Mapping[str, str]

    @classmethod
    def into(cls, account: StandInAccount, answers: Mapping[str, str], names: Sequence[str], **given: str) -> Self:
        """Deploy stacks, each with the outputs of those before it; the same ones a second time by going back to them.

        Args:
            account: Where; nothing is in it.
            answers: Those of the project that are not the default.
            names: The templates, in order; those that the project has not are left out.
            given: Further values of parameters, which also stand for the outputs of stacks that are left out.
        """
        moment = (cls, frozenset(answers.items()), tuple(names), frozenset(given.items()))
        return account.cloud.once(moment, lambda: cls._deploy(account, answers, names, given))

    @classmethod
    def _deploy(
        cls, account: StandInAccount, answers: Mapping[str, str], names: Sequence[str], given: Mapping[str, str]
    ) -> Self:
        code = {"FunctionsBucket": NAMES.data_bucket, "FunctionsKey": functions.key(SOURCES, SLUG)}
        values = {"ProjectName": SLUG, "ProjectId": NAMES.id, "Repository": f"someone/{SLUG}", **code, **given}
        written, stacks = texts(answers), dict[str, Stack]()
        for name in (name for name in names if name in written):
            template = parse(written[name])
            parameters = {key: values[key] for key in template.data["Parameters"] if key in values}
            stacks[name] = Stack(NAMES.stack(name, SHARED), template, parameters)
            deploy.put(account, stacks[name])
            values |= deploy.outputs(account, stacks[name].name)
            if name == "data":
                body = functions.archive(SOURCES)
                account.client("s3").put_object(Bucket=NAMES.data_bucket, Key=code["FunctionsKey"], Body=body)
        return cls(account, stacks, values)

    def role(self, suffix: str) -> str:
        """The ARN of one of the project's roles."""
        return f"arn:aws:iam::{self.account.id}:role/{NAMES.of(suffix)}"

    def judged(self, role: str, wanted: list[Need]) -> list[str]:
        """What a role lacks and what it has too much."""
        found = role_policies(self.account.client("iam"), self.role(role))
        return list(map(str, policies.findings(role, found, wanted, (SLUG, NAMES.id, self.account.id))))

    def logs(self, *groups: str) -> list[Need]:
        """What writing to log groups needs."""
        place = {"region": self.account.region, "account": self.account.id}
        return [need for group in groups for need in service_needs("lambda logs", log_group=group, **place)]
