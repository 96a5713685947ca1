"""The project: the answers it was generated with, and the configuration of each environment."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mlops.base.environments import ENVIRONMENTS, IN_AWS, LOCAL, SHARED
from mlops.base.errors import UsageError
from mlops.base.terminal import clean
from mlops.project.configuration import (
    ACCOUNT,
    ASSUME_ROLE,
    BASE,
    FURTHER_ACCOUNTS,
    PLACE,
    STACKS,
    Readers,
    dotted,
    file_of,
    merged,
    shown,
)
from mlops.project.environment import Environment
from mlops.project.names import Names, project_id
from mlops.project.stacks import (
    ACCOUNTS,
    ARTIFACTS,
    DATA_LAKE,
    EXPERIMENTATION,
    MULTI,
    SINGLE,
    TABLE,
    account_of,
)
from mlops.project.yaml_file import read_yaml

RUNTIME_ENVIRONMENT = ".venv"
DEVELOPMENT_ENVIRONMENT = ".venv-dev"

ACCOUNT_ID = (r"[0-9]{12}", 'twelve digits in quotes: "123456789012"')
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
            MlopsError: The working folder is not a project, or its path cannot be used.
        """
        folder = Path.cwd()
        if clean(str(folder)) != str(folder):
            raise UsageError(
                f"The path {folder} is not UTF-8, or has control characters.", "Rename or move the project's folder."
            )
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
        """How the project is divided among AWS accounts: `single`, `multi` or `organization`.

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

    def environment(self, name: str, part: str | None = None) -> Environment:
        """Return the configuration of an environment: `config/base.yaml`, overlaid with its own file.

        The keys that locate it, if empty, are those of the shared environment, else the names that the stacks use.

        Args:
            name: The environment.
            part: One of its accounts, if it has several, for what is in that account alone.

        Raises:
            MlopsError: There is no such environment, a file is missing or is not a YAML mapping, a key has no effect,
                a number is out of its range, or a value that locates the environment is invalid.
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
            shared = {STACKS: self._settings_of_shared_stacks(name)}
            contents = {BASE: contents[BASE], file_of(SHARED): shared, overlay: contents[overlay]}
        settings: dict[str, Any] = {}
        files: dict[str, Path] = {}
        for path, content in contents.items():
            settings = merged(settings, content)
            files |= {key: path for key, _ in dotted(content)}
        is_part = name not in IN_AWS and name in ACCOUNTS[self.layout].values()
        if name not in (LOCAL, SHARED) and not has_own_account and not is_part and settings.get("account") is None:
            development = self.environment(SHARED)
            inherited = [key for key in PLACE if settings.get(key) is None]
            settings |= {key: development.settings.get(key) for key in inherited}
            files |= {key: development.file(key) for key in inherited}
        keys = self._account_keys(name, name if is_part else part)
        if is_part:  # which is configured beside the other accounts
            settings[FURTHER_ACCOUNTS] = read_yaml(self.root / file_of(SHARED)).get(FURTHER_ACCOUNTS)
            files[keys[0]] = file_of(SHARED)
        if is_part or part:
            settings |= self._place_of(part or name, keys[0], settings)
        account_name = part or account_of(self.layout, name)
        lake = self._holding(DATA_LAKE, keys)
        environment = Environment(
            name, settings, overlay, self.region, files, has_own_account, account_name, keys, lake
        )
        environment.require_ranges()
        self._require_different_accounts(environment)
        settings |= {key: value for key, value in self._made(environment).items() if settings.get(key) is None}
        return environment

    def _account_keys(self, name: str, part: str | None) -> tuple[str, ...]:
        """Return the keys of the accounts of an environment, its own first; of a single one, if it is named."""
        own = account_of(self.layout, name)
        if part:
            return (ACCOUNT if (name, part) == (SHARED, own) else _key_of(part),)
        others = ACCOUNTS[self.layout].values() if name == SHARED else ()
        return (ACCOUNT, *(_key_of(one) for one in dict.fromkeys(others) if one not in (own, *ENVIRONMENTS)))

    def _settings_of_shared_stacks(self, environment: str) -> dict[str, Any]:
        """Return the settings in `dev.yaml` of the shared stacks that the account of an environment has too."""
        content = read_yaml(self.root / file_of(SHARED))
        own = [stack.name for stack in TABLE if stack.shared and environment in stack.accounts(self.layout)]
        return {name: values for name, values in (content.get(STACKS) or {}).items() if name in own}

    def _place_of(self, part: str, key: str, settings: dict[str, Any]) -> dict[str, Any]:
        """Return what locates an environment in one of its accounts, where all but the account has its default name."""
        own = settings if key == ACCOUNT else (settings.get(FURTHER_ACCOUNTS) or {}).get(part) or {}
        kept = (ACCOUNT, ASSUME_ROLE, "project_id")
        return {name: own.get(name) if name in kept else None for name in (*PLACE, ASSUME_ROLE)}

    def _require_different_accounts(self, environment: Environment) -> None:
        """Refuse an account that is configured twice, although the layout wants different ones.

        Raises:
            MlopsError: Another environment, or another part of this one, has the same account.
        """
        if self.layout == SINGLE or environment.name not in IN_AWS:
            return
        configured = [
            (file_of(name), key, value)
            for name in self.readers.overlays()
            if name in IN_AWS
            for key, value in dotted(read_yaml(self.root / file_of(name)))
            if key == ACCOUNT or (key.startswith(f"{FURTHER_ACCOUNTS}.") and key.endswith(f".{ACCOUNT}"))
        ]
        for own in environment.account_keys:
            account = None if environment.missing(own) else environment[own]
            for file, key, value in configured:
                if value == account and value is not None and (file, key) != (environment.path, own):
                    raise UsageError(
                        f"`{own}` in {environment.path} and `{key}` in {file} are the same: {shown(account)}.",
                        f"With account_layout {self.layout}, these are different accounts.",
                    )

    def _made(self, environment: Environment) -> dict[str, str]:
        """Return the default values that locate an environment, from the names of the stacks; empty without an account.

        Raises:
            MlopsError: A value that locates the environment is invalid.
        """
        place, own = environment.settings, environment.account_keys[0]
        given = [key for key in environment.account_keys if not environment.missing(key)]
        if environment.name == LOCAL or own not in given:
            return {}
        accounts = {key: self._number(environment, key) for key in given}
        for key, (form, meaning) in _FORMS.items():
            if place.get(key) is not None and not re.fullmatch(form, str(place[key])):
                file = environment.file(key)
                raise UsageError(f"{file} has an invalid value: `{key}: {shown(place[key])}`.", f"Use {meaning}.")
        names = {key: Names(self.slug, project_id(number, self.region, self.slug)) for key, number in accounts.items()}
        if place.get("project_id"):
            names[own] = Names(self.slug, place["project_id"])
        made = {
            "project_id": names[own].id,
            "pipeline_role": f"arn:aws:iam::{accounts[own]}:role/{names[own].pipeline_role}",
        }
        if lake := names.get(environment.data_account_key):
            made["bucket"] = lake.data_bucket
        if artifacts := names.get(self._holding(ARTIFACTS, environment.account_keys)):
            has_registry = environment.name != EXPERIMENTATION or own == ACCOUNT
            made["model_bucket"] = artifacts.model_bucket if has_registry else artifacts.data_bucket
        return made

    def _holding(self, part: str, keys: tuple[str, ...]) -> str:
        """Return the key of the account of a part, among those of an environment: its own, unless it has several."""
        key = _key_of(ACCOUNTS[self.layout][part])
        return key if key in keys else keys[0]

    def _number(self, environment: Environment, key: str) -> str:
        account = environment[key]
        form, meaning = ACCOUNT_ID
        if not isinstance(account, str) or not re.fullmatch(form, account):
            raise UsageError(
                f"{environment.file(key)} has an invalid value: `{key}: {shown(account)}`.", f"Use {meaning}."
            )
        return account

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


def _key_of(account: str) -> str:
    """Return the key of one of the further accounts of the shared environment."""
    return f"{FURTHER_ACCOUNTS}.{account}.{ACCOUNT}"
