"""A bundle: a compiled definition, the objects it refers to, and the manifest of its sources.

Local runs and AWS use the same bundle. It is recompiled only when one of its sources has changed.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypedDict

from mlops.base.commands import MLOPS
from mlops.base.contents import JOBS
from mlops.base.documents import parse_document, read_document
from mlops.base.environments import SHARED
from mlops.base.errors import MlopsError, UsageError
from mlops.base.files import (
    DIGEST_LENGTH,
    all_files_below,
    below,
    locked,
    sha256_of_file,
    sha256_of_files,
    unwritable,
    write_json,
)
from mlops.base.sources import find
from mlops.pipeline.definition import Definition
from mlops.pipeline.validation import require_usable
from mlops.project import image, keys, pipelines
from mlops.project.configuration import BASE, IMAGES, file_of
from mlops.project.lineage import git_commit
from mlops.project.project import DEVELOPMENT_ENVIRONMENT, Project
from mlops.project.target import Target

DEFINITION, MANIFEST, OBJECTS = "definition.json", "manifest.json", "objects"

_CODE = (*JOBS.values(), "pipelines")
_LOCKS = "locks"
_COMPILE_AGAIN = f"Compile it again: {MLOPS} compile"


class Sources(TypedDict):
    """The facts that require a new bundle when they change."""

    inputs_digest: str
    git_commit: str | None
    image_digest: str | None
    keys: dict[str, str]


class Object(TypedDict):
    """A file that the definition refers to: `<bucket>/<key>` and its SHA-256."""

    path: str
    sha256: str


class Provenance(Sources):
    """The origin of a definition."""

    code_digest: str
    packages_digest: str | None
    template_version: str
    python: str
    sagemaker: str


class Manifest(Provenance):
    """The manifest of a bundle; `limits` are the minimum and the maximum of parameters that are numbers."""

    pipeline: str
    environment: str
    definition_sha256: str
    limits: dict[str, tuple[float, float]]
    images: list[str]
    objects: list[Object]


@dataclass(frozen=True)
class _Pointer:
    """The content of `current.json`: the name of the folder of the current bundle."""

    folder: Path


@dataclass(frozen=True)
class Bundle:
    """A complete bundle; its folder does not change any more.

    Attributes:
        path: Its folder.
    """

    path: Path

    @cached_property
    def definition(self) -> dict[str, Any]:
        """The pipeline definition."""
        damaged = f"The definition is damaged: {self.path / DEFINITION}"
        return parse_document(self.definition_text, dict[str, Any], damaged, _COMPILE_AGAIN)

    @cached_property
    def definition_text(self) -> str:
        """The definition as it is sent to SageMaker, byte for byte."""
        return (self.path / DEFINITION).read_text(encoding="utf-8")

    @property
    def pipeline_name(self) -> str:
        """The name of the pipeline."""
        return self.manifest["pipeline"]

    @property
    def definition_sha256(self) -> str:
        """SHA-256 of the definition, in hexadecimal."""
        return self.manifest["definition_sha256"]

    @cached_property
    def manifest(self) -> Manifest:
        """The sources and the content of the bundle."""
        return read_document(self.path / MANIFEST, Manifest, "The bundle's manifest", _COMPILE_AGAIN)

    @property
    def objects(self) -> Path:
        """The folder of the objects that the definition refers to: `<bucket>/<key>`."""
        return self.path / OBJECTS

    def require_within_limits(self, values: Mapping[str, object]) -> None:
        """Refuse parameter values that a job would refuse: a definition declares only types and choices.

        Raises:
            MlopsError: A number is below its parameter's minimum or above its maximum, or a value does not fit the
                calls that it goes into.
        """
        require_usable(Definition(self.definition), values)
        for name, (minimum, maximum) in self.manifest["limits"].items():
            value = values.get(name)
            try:
                number = float(str(value))
            except ValueError:
                continue  # not given, or not a number, which the definition reports
            if not minimum <= number <= maximum:
                raise UsageError(
                    f"Parameter {name} cannot be {value}.",
                    f"Give a value of at least {minimum:.15g} and at most {maximum:.15g}. Defaults are in config/.",
                )

    def is_complete(self) -> bool:
        """Return whether the definition and all objects exist with the digests in the manifest."""
        try:
            listed = {entry["path"]: entry["sha256"] for entry in self.manifest["objects"]}
            found = {name: sha256_of_file(path) for name, path in all_files_below(self.objects)}
            return found == listed and sha256_of_file(self.path / DEFINITION) == self.definition_sha256
        except (MlopsError, OSError):
            return False


def sources(target: Target) -> Sources:
    """Return the facts that require a new bundle when they change.

    Raises:
        MlopsError: The configuration is incomplete.
    """
    return {
        "inputs_digest": inputs_digest(target),
        "git_commit": git_commit(target.project.root),
        "image_digest": image.digest(image.configured_in(target)),
        "keys": keys.arns(target),
    }


def current(target: Target, pipeline: str = pipelines.TRAINING) -> Bundle:
    """Return the bundle of the current sources of a pipeline, compiled if necessary.

    Raises:
        MlopsError: The configuration is incomplete, the pipeline cannot be compiled (the message says where), or the
            bundle cannot be written.
    """
    if target.is_deployed_to and pipeline not in pipelines.submitted(target):
        raise UsageError(
            f"No pipeline runs in {target.environment}: versions from {SHARED} are deployed to it.",
            f"Deploy a version: {MLOPS} deploy --environment {target.environment}",
        )
    target.require_place()
    folder = target.project.state / "bundles" / target.environment / pipeline
    made_from = sources(target)
    bundle = _up_to_date(folder, made_from)
    if bundle:
        return bundle
    try:
        with locked(folder / ".lock"):
            # Another process may have compiled the same sources while this one waited.
            return _up_to_date(folder, made_from) or _compile(target, pipeline, folder)
    except OSError as error:
        raise unwritable(folder, error) from error


def role(target: Target, pipeline: str) -> str:
    """Return the ARN of the role of a pipeline and its jobs."""
    training = str(target.settings["pipeline_role"])
    if pipeline == pipelines.TRAINING:
        return training
    name = "local-monitoring" if target.is_local else target.names.monitoring_role
    return f"{training.partition(':role/')[0]}:role/{name}"


def inputs_digest(target: Target) -> str:
    """Return the SHA-256 over all sources of a definition: code, pipelines, configuration, machinery, locks."""
    return _digest(
        target.project,
        *_CODE,
        "mlops",
        str(BASE),
        str(file_of(target.environment)),
        str(IMAGES),
        "project.yaml",
        _LOCKS,
    )


def code_digest(project: Project) -> str:
    """Return the SHA-256 over the code that runs in jobs and the pipelines that call it."""
    return _digest(project, *_CODE)


def packages_digest(project: Project) -> str | None:
    """Return the SHA-256 over the lists of locked packages; None if the project has none."""
    return _digest(project, _LOCKS) if (project.root / _LOCKS).is_dir() else None


def _digest(project: Project, *names: str) -> str:
    return sha256_of_files(find(project.root, names).files)


def _up_to_date(folder: Path, made_from: Sources) -> Bundle | None:
    pointer = folder / "current.json"
    try:
        found = read_document(pointer, _Pointer, "The pointer to the current bundle", "")
        bundle = Bundle(below(folder, found.folder.name))
        fresh = made_from.items() <= bundle.manifest.items()
    except MlopsError:
        return None  # it is compiled again
    return bundle if fresh and bundle.is_complete() else None


def _compile(target: Target, pipeline: str, folder: Path) -> Bundle:
    with tempfile.TemporaryDirectory(dir=folder, prefix=".compiling-") as temporary:
        made = Path(temporary) / "bundle"
        _run_compiler(target, pipeline, made)
        bundle = Bundle(made)
        if not bundle.is_complete():
            raise MlopsError(f"The compiled bundle in {made} is incomplete.", f"Compile again: {MLOPS} compile")
        digest = sha256_of_file(made / MANIFEST)[:DIGEST_LENGTH]
        kept = folder / f"{bundle.definition_sha256[:DIGEST_LENGTH]}-{digest}"
        if not Bundle(kept).is_complete():  # else the content is the same, and another process may be reading it
            shutil.rmtree(kept, ignore_errors=True)
            made.rename(kept)
    write_json(folder / "current.json", {"folder": kept.name})
    return Bundle(kept)


def _run_compiler(target: Target, pipeline: str, output: Path) -> None:
    command = [
        str(target.project.python(DEVELOPMENT_ENVIRONMENT)),
        *("-m", "mlops.compile"),
        *("--environment", target.environment),
        *("--pipeline", pipeline),
        *("--output", str(output)),
    ]
    result = subprocess.run(
        command, cwd=target.project.root, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    if result.returncode:
        message = result.stderr.strip() or f"The compiler exited with status {result.returncode} and no message."
        raise (UsageError if result.returncode == UsageError.exit_code else MlopsError)(message)
    print(result.stderr, end="", file=sys.stderr)
