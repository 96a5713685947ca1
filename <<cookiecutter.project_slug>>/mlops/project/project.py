"""The project: the answers it was generated with, and the configuration of each environment."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mlops.base.environments import ENVIRONMENTS, IN_AWS, LOCAL, SHARED
from mlops.base.errors import UsageError
from mlops.project.configuration import BASE, PLACE, STACKS, Readers, dotted, file_of, merged, shown
from mlops.project.environment import Environment
from mlops.project.names import Names, project_id
from mlops.project.stacks import MULTI, SINGLE, TABLE
from mlops.project.yaml_file import read_yaml

RUNTIME_ENVIRONMENT = ".venv"
DEVELOPMENT_ENVIRONMENT = ".venv-dev"

ACCOUNT = (r"[0-9]{12}", 'twelve digits in quotes: "123456789012"')
"""The pattern of the id of an account, and its description."""

_BUCKET = (r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "the name of a bucket, without s3://")
_FORMS = {
    "project_id": (r"p-[0-9a-z]{12}", "p- and twelve lower-case letters or digits"),
    "bucket": _BUCKET,
    "model_bucket": _BUCKET,
    "pipeline_role": (r"arn:[a-z-]+:iam::[0-9]{12}:role/.+", "the ARN of a role: arn:aws:iam::123456789012:role/name"),
}
"""The pattern of each value that locates an environment, and its description."""


@dataclass(frozen=True)
class Project:
    """A rendered project on disk.

    Attributes:
        root: The folder with `project.yaml`.
    """

    root: Path

    @classmethod
    def here(cls) -> "Project":
        """Return the project of the working folder.

        Raises:
            MlopsError: The working folder is not a project.
        """
        folder = Path.cwd()
        if not (folder / "project.yaml").is_file():
            raise UsageError(f"No project.yaml in {folder}.", "Change to the folder of your project.")
        return cls(folder)

    @cached_property
    def answers(self) -> dict[str, Any]:
        """The content of `project.yaml`: the template's version and the answers."""
        return read_yaml(self.root / "project.yaml")

    def answer(self, question: str) -> str:
        """Return the answer to a question, with `recommended` resolved.

        Raises:
            MlopsError: `project.yaml` has no such answer.
        """
        answer = self.answers.get(question)
        if answer == "recommended":
            answer = self.answers.get("recommended", {}).get(question)
        if answer is None:
            raise UsageError(f"project.yaml has no value for `{question}`.", "Restore it from git.")
        return str(answer)

    @property
    def slug(self) -> str:
        """The short name, from which names in AWS are derived."""
        return self.answer("project_slug")

    @property
    def region(self) -> str:
        """The AWS Region of the project."""
        return self.answer("aws_region")

    @property
    def deploys_only(self) -> bool:
        """Whether another project trains and registers the versions that this one deploys."""
        return self.answer("project_scope") == "deploy"

    @property
    def trains_only(self) -> bool:
        """Whether another project deploys the versions that this one trains and registers."""
        return self.answer("project_scope") == "build-train"

    @property
    def is_read_by_other_accounts(self) -> bool:
        """Whether what this project registers is read by other accounts, which another project deploys it to."""
        return self.trains_only and self.answer("account_layout") == MULTI

    @property
    def layout(self) -> str:
        """How the environments are divided among AWS accounts: `single` or `multi`.

        A project that only trains has one environment in AWS, and with it one account.
        """
        return SINGLE if self.trains_only else self.answer("account_layout")

    @property
    def state(self) -> Path:
        """The folder of all local state: object store, runs, registry, bundles. Safe to delete."""
        return self.root / ".mlops"

    @property
    def store(self) -> Path:
        """The local stand-in for S3: `<bucket>/<key>` below this folder."""
        return self.state / "s3"

    @property
    def readers(self) -> Readers:
        """Which environments read which keys."""
        return Readers(self.root, self.answer)

    def environment(self, name: str) -> Environment:
        """Return the configuration of an environment: `config/base.yaml`, overlaid with its own file.

        The keys that locate it, if empty, are those of the shared environment, else the names that the stacks use.

        Raises:
            MlopsError: There is no such environment, a file is missing or is not a YAML mapping, a key has no effect,
                or a value that locates the environment is invalid.
        """
        readers = self.readers
        overlays = readers.overlays()
        if name not in overlays:
            raise UsageError(f"There is no environment {name!r}.", f"Known environments: {', '.join(overlays)}.")
        if not (self.root / BASE).is_file():
            raise UsageError(
                f"No {BASE} in {self.root}.",
                "Restore it from git. To convert files of release 0.4.0, see the changelog.",
            )
        overlay = file_of(name)
        contents = {path: read_yaml(self.root / path) for path in (BASE, overlay)}
        for path, content in contents.items():
            readers.check(path, content)
        has_own_account = name in ENVIRONMENTS and self.layout != SINGLE
        if has_own_account:
            self._require_own_account(name, contents[overlay].get("account"))
            shared = {STACKS: self._settings_of_shared_stacks(name)}
            contents = {BASE: contents[BASE], file_of(SHARED): shared, overlay: contents[overlay]}
        settings: dict[str, Any] = {}
        files: dict[str, Path] = {}
        for path, content in contents.items():
            settings = merged(settings, content)
            files |= {key: path for key, _ in dotted(content)}
        if name not in (LOCAL, SHARED) and not has_own_account and settings.get("account") is None:
            development = self.environment(SHARED)
            inherited = [key for key in PLACE if settings.get(key) is None]
            settings |= {key: development.settings.get(key) for key in inherited}
            files |= {key: development.file(key) for key in inherited}
        environment = Environment(name, settings, overlay, self.region, files, has_own_account)
        settings |= {key: value for key, value in self._made(environment).items() if settings.get(key) is None}
        return environment

    def _settings_of_shared_stacks(self, environment: str) -> dict[str, Any]:
        """Return the settings in `dev.yaml` of the shared stacks that the account of an environment has too."""
        content = read_yaml(self.root / file_of(SHARED))
        own = [stack.name for stack in TABLE if stack.shared and environment in stack.accounts(self.layout)]
        return {name: values for name, values in (content.get(STACKS) or {}).items() if name in own}

    def _require_own_account(self, environment: str, account: Any) -> None:
        """Refuse an account of several environments, which the layout puts into accounts of their own.

        Raises:
            MlopsError: Another environment has the same account.
        """
        for other in IN_AWS:
            if other != environment and account and read_yaml(self.root / file_of(other)).get("account") == account:
                raise UsageError(
                    f"{file_of(environment)} and {file_of(other)} have the same `account: {shown(account)}`.",
                    f"With account_layout {self.layout}, each environment has an account of its own.",
                )

    def _made(self, environment: Environment) -> dict[str, str]:
        """Return the default values that locate an environment, from the names of the stacks; empty without an account.

        Raises:
            MlopsError: A value that locates the environment is invalid.
        """
        place = environment.settings
        account = place.get("account")
        if environment.name == LOCAL or account is None:
            return {}
        form, meaning = ACCOUNT
        if not isinstance(account, str) or not re.fullmatch(form, account):
            raise UsageError(
                f"{environment.file('account')} has an invalid value: `account: {shown(account)}`.", f"Use {meaning}."
            )
        for key, (form, meaning) in _FORMS.items():
            if place.get(key) is not None and not re.fullmatch(form, str(place[key])):
                file = environment.file(key)
                raise UsageError(f"{file} has an invalid value: `{key}: {shown(place[key])}`.", f"Use {meaning}.")
        names = Names(self.slug, place.get("project_id") or project_id(account, self.region, self.slug))
        return {
            "project_id": names.id,
            "bucket": names.data_bucket,
            "model_bucket": names.model_bucket,
            "pipeline_role": f"arn:aws:iam::{account}:role/{names.pipeline_role}",
        }

    def python(self, environment: str) -> Path:
        """Return the interpreter of the runtime or the development environment.

        Args:
            environment: `RUNTIME_ENVIRONMENT` or `DEVELOPMENT_ENVIRONMENT`.

        Raises:
            MlopsError: `make setup` has not been run.
        """
        path = self.root / environment / "bin" / "python"
        if not path.exists():
            raise UsageError(f"The environment {environment} is missing.", "Run `make setup` first.")
        return path
