"""What this project is: the answers it was generated with, and the configuration of each environment."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from mlops.base.environments import LOCAL, SHARED
from mlops.base.errors import UsageError
from mlops.project.configuration import refuse_unknown, shown
from mlops.project.environment import Environment
from mlops.project.names import Names, project_id

LOCAL_ACCOUNT = "000000000000"
PLACE = ("account", "project_id", "bucket", "model_bucket", "pipeline_role", "data_key", "model_key")
"""What says where an environment is."""

RUNTIME_ENVIRONMENT = ".venv"
DEVELOPMENT_ENVIRONMENT = ".venv-dev"

_ACCOUNT = re.compile(r"[0-9]{12}")
_BUCKET = (r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "the name of a bucket, without s3://")
_FORMS = {
    "project_id": (r"p-[0-9a-z]{12}", "p- and twelve lower-case letters or digits"),
    "bucket": _BUCKET,
    "model_bucket": _BUCKET,
    "pipeline_role": (r"arn:[a-z-]+:iam::[0-9]{12}:role/.+", "the ARN of a role: arn:aws:iam::123456789012:role/name"),
}
"""Of what form the place of an environment is, and what that is called."""


@dataclass(frozen=True)
class Project:
    """A rendered project on disk.

    Attributes:
        root: The folder that holds `project.yaml`.
    """

    root: Path

    @classmethod
    def here(cls) -> "Project":
        """The project of the working folder.

        Raises:
            MlopsError: The working folder is none.
        """
        folder = Path.cwd()
        if not (folder / "project.yaml").is_file():
            raise UsageError(f"No project.yaml in {folder}.", "Change to the folder of your project.")
        return cls(folder)

    @cached_property
    def answers(self) -> dict[str, Any]:
        """The content of `project.yaml`: the template's version and the answers."""
        return _read_yaml(self.root / "project.yaml")

    def answer(self, question: str) -> str:
        """The answer to a question; for `recommended`, what it means in this project.

        Raises:
            MlopsError: `project.yaml` does not hold it.
        """
        answer = self.answers.get(question)
        if answer == "recommended":
            answer = self.answers.get("recommended", {}).get(question)
        if answer is None:
            raise UsageError(f"project.yaml does not say `{question}`.", "Restore it from git.")
        return str(answer)

    @property
    def slug(self) -> str:
        """The short name that AWS names are built from."""
        return self.answer("project_slug")

    @property
    def region(self) -> str:
        """The AWS Region of the project."""
        return self.answer("aws_region")

    @property
    def deploys_only(self) -> bool:
        """Whether the versions that are deployed are trained and registered by another project."""
        return self.answer("project_scope") == "deploy"

    @property
    def state(self) -> Path:
        """The folder of everything local: object store, runs, registry, bundles. Safe to delete."""
        return self.root / ".mlops"

    @property
    def store(self) -> Path:
        """The local stand-in for S3: `<bucket>/<key>` below this folder."""
        return self.state / "s3"

    def environment(self, name: str) -> Environment:
        """The configuration of an environment; where that is, if the file leaves it empty, as `_place` finds it.

        Raises:
            MlopsError: There is no such file, it is not a YAML mapping, it has a key that nothing reads, or its account
                is none.
        """
        path = self.root / "config" / f"{name}.yaml"
        if not path.is_file():
            known = ", ".join(sorted(file.stem for file in path.parent.glob("*.yaml")))
            raise UsageError(f"There is no environment {name!r}.", f"Known environments: {known}.")
        settings, relative = _read_yaml(path), path.relative_to(self.root)
        refuse_unknown(settings, relative)
        return Environment(name, {**settings, **self._place(name, settings, relative)}, relative, self.region)

    def _place(self, name: str, settings: dict[str, Any], path: Path) -> dict[str, Any]:
        """Where an environment is: as its file says, else where the shared one is, else as the stacks name it."""
        place = {key: settings.get(key) for key in PLACE}
        if name not in (LOCAL, SHARED) and place["account"] is None:
            shared = self.environment(SHARED).settings
            place = {key: shared.get(key) if value is None else value for key, value in place.items()}
        account = place["account"]
        if name == LOCAL or account is None:
            return place
        if not isinstance(account, str) or not _ACCOUNT.fullmatch(account):
            raise UsageError(
                f"{path} says `account: {shown(account)}`.",
                'It takes twelve digits in quotes: "123456789012".',
            )
        for key, (form, meaning) in _FORMS.items():
            if place[key] is not None and not re.fullmatch(form, str(place[key])):
                raise UsageError(f"{path} says `{key}: {shown(place[key])}`.", f"It takes {meaning}.")
        names = Names(self.slug, place["project_id"] or project_id(account, self.region, self.slug))
        role = f"arn:aws:iam::{account}:role/{names.pipeline_role}"
        made = {"project_id": names.id, "bucket": names.data_bucket}
        made |= {"model_bucket": names.model_bucket, "pipeline_role": role}
        return {**place, **{key: value for key, value in made.items() if place[key] is None}}

    def python(self, environment: str) -> Path:
        """The interpreter of the runtime or the development environment.

        Args:
            environment: `RUNTIME_ENVIRONMENT` or `DEVELOPMENT_ENVIRONMENT`.

        Raises:
            MlopsError: `make setup` has not been run.
        """
        path = self.root / environment / "bin" / "python"
        if not path.exists():
            raise UsageError(f"The environment {environment} is missing.", "Run `make setup` first.")
        return path


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Refuses a key that is given twice, of which YAML keeps the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        for number, (key, _) in enumerate(node.value):
            if key.value in keys[:number]:
                raise yaml.constructor.ConstructorError(None, None, f"`{key.value}` is given twice", key.start_mark)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        with path.open(encoding="utf-8") as stream:
            content = yaml.load(stream, Loader=_Loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"Cannot read {path}: {error}", "Correct the file.") from None
    if not isinstance(content, dict):
        raise UsageError(f"{path} is not a mapping of keys to values.", "Correct the file.")
    return content
