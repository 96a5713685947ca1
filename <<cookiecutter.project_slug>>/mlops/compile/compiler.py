"""Compile a module of `pipelines/` and the configuration into a bundle."""

import importlib
import json
import platform
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from mlops.base import contents
from mlops.base.errors import MlopsError, UsageError, did_you_mean
from mlops.base.files import all_files_below, sha256_of_file, write_json, write_text
from mlops.base.sources import find, require_public, shortened
from mlops.compile.content import ContentStore, digest_of, settle
from mlops.compile.offline import OfflineAws, isolate, offline_session
from mlops.pipeline.bundle import (
    DEFINITION,
    MANIFEST,
    OBJECTS,
    Bundle,
    Manifest,
    Provenance,
    code_digest,
    packages_digest,
    role,
    sources,
)
from mlops.pipeline.definition import Definition
from mlops.pipeline.job_roles import require_passable
from mlops.pipeline.validation import require_valid
from mlops.project import image, keys, pipelines, security
from mlops.project.configuration import IMAGES
from mlops.project.environment import Environment
from mlops.project.project import Project
from mlops.project.ranges import PARAMETERS, RANGES
from mlops.project.target import Target
from modelkit.schema import FLOAT32_MAXIMUM

_STAGING = "compiler-uploads"
# The SDK chooses between CPU and GPU images by the instance type.
_CPU_INSTANCE = "ml.m5.large"
_NOTHING = "none"
_MOST = {int: 2**31 - 1, float: FLOAT32_MAXIMUM}  # what the frameworks compute with

Limits = dict[str, tuple[float, float]]


def compile_bundle(target: Target, pipeline: str, output: Path) -> None:
    """Compile a pipeline of an environment into a folder.

    Args:
        target: The environment.
        pipeline: The name of the pipeline's module.
        output: The folder of the bundle.

    Raises:
        MlopsError: The configuration is incomplete or the definition is not valid.
    """
    target.require_place()
    project, environment = target.project, target.settings
    isolate(project.region)
    account, bucket = str(environment["account"]), str(environment["bucket"])
    aws = OfflineAws(account)
    store = ContentStore(output / OBJECTS, bucket, project.slug)
    session = offline_session(aws, project.region, bucket, f"{project.slug}/{_STAGING}")
    made_from = provenance(target)
    context = _context(target, pipeline, session, store, made_from)
    sys.path.insert(0, str(project.root / "src"))  # the pipeline reads what src/model declares
    ends: Limits = {name: (RANGES[key].least, RANGES[key].most) for name, key in PARAMETERS.items()}
    if pipeline == pipelines.TRAINING:
        ends |= limits(environment)
    built = _build(context, pipeline)
    with warnings.catch_warnings():
        # The SDK says of each Lambda step that it does not change the function's code, which is what we want.
        warnings.filterwarnings("ignore", message="Lambda function won't be updated")
        text = built.definition()
    # The SDK writes unset top-level members as null.
    raw = {key: value for key, value in json.loads(text).items() if value is not None}
    definition = settle(raw, aws.objects, store, f"{project.slug}/{_STAGING}")
    require_valid(definition)
    require_passable(Definition(definition), target, pipeline, context.role)
    _write(output, definition, built.name, context, made_from, ends)
    compiled = Bundle(output)
    declared = Definition(definition).parameters
    compiled.require_within_limits({name: each.default for name, each in declared.items() if each.default is not None})
    if pipeline == pipelines.TRAINING:
        _warn_of_files(project.root)
    if made_from["git_commit"] is None and pipeline == pipelines.TRAINING:
        print(
            "Warning: this project is not in git yet, so its models do not record the commit of their code.\n"
            "  Commit the untouched output of the template first:\n"
            "  git init --initial-branch main && git add . && git commit -m 'Generate'",
            file=sys.stderr,
        )


def _warn_of_files(root: Path) -> None:
    """Name the files that others will miss, and those that jobs will."""
    found = find(root, (*contents.JOBS.values(), "pipelines"))
    if found.untracked:
        names = shortened(found.untracked)
        print(
            f"Warning: not in git yet, but part of the jobs: {names}\n  A build from git lacks them: add them to git.",
            file=sys.stderr,
        )
    if found.ignored:
        print(
            f"Warning: git ignores these files, so jobs and models do not have them: {shortened(found.ignored)}\n"
            "  If a job needs one, remove its pattern from .gitignore.",
            file=sys.stderr,
        )


def provenance(target: Target) -> Provenance:
    """Return the sources of the definition, for its manifest and the lineage of its models."""
    return {
        **sources(target),
        "code_digest": code_digest(target.project),
        "packages_digest": packages_digest(target.project),
        "template_version": target.project.answer("template_version"),
        "python": platform.python_version(),
        "sagemaker": version("sagemaker"),
    }


def image_uri(project: Project, framework: str, scope: str) -> str:
    """Return the URI of AWS's image for a framework in the project's Region.

    Args:
        project: The project.
        framework: xgboost, sklearn or pytorch.
        scope: `training`, or `inference`: the same image unless the file has a section of that name.

    Raises:
        MlopsError: `config/images/<framework>.yaml` is missing or invalid, or AWS has no such image in the Region.
    """
    from sagemaker.core import image_uris

    path = project.root / IMAGES / f"{framework}.yaml"
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        chosen = content.get(scope, content)
        release, digest = str(chosen["version"]), chosen.get("digest")
        uri: str = image_uris.retrieve(
            framework, region=project.region, version=release, image_scope=scope, instance_type=_CPU_INSTANCE
        )
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise MlopsError(
            f"No image for {framework} in {project.region}: {error}", f"Correct {path.relative_to(project.root)}."
        ) from None
    return f"{uri.rpartition(':')[0]}@{digest}" if digest else uri


def limits(environment: Environment) -> Limits:
    """Return the minimum and the maximum of each parameter that sets a hyperparameter, within C's int and float.

    Raises:
        MlopsError: The configuration sets an unknown hyperparameter.
    """
    from model.hyperparameters import HYPERPARAMETERS

    names = [known.name for known in HYPERPARAMETERS]
    unknown = sorted(set(environment["hyperparameters"]) - set(names))
    if unknown:
        file = environment.file(f"hyperparameters.{unknown[0]}")
        raise UsageError(
            f"{file} sets unknown hyperparameters: {', '.join(unknown)}.",
            f"{did_you_mean(unknown[0], names)}src/model/hyperparameters.py declares {', '.join(names)}.",
        )
    return {
        known.parameter: (max(known.minimum, -_MOST[known.kind]), min(known.maximum, _MOST[known.kind]))
        for known in HYPERPARAMETERS
    }


def _build(context: Any, pipeline: str) -> Any:
    module = importlib.import_module(f"pipelines.{pipeline}")
    built = module.build(context) if hasattr(module, "build") else None
    if not hasattr(built, "definition"):
        raise MlopsError(
            f"pipelines/{pipeline}.py has no function build(context) that returns a Pipeline.",
            "Define it as in the file that the template generated.",
        )
    return built


def _context(target: Target, pipeline: str, session: Any, store: ContentStore, made_from: Provenance) -> Any:
    from mlops.compile.context import Context

    project, environment = target.project, target.settings
    root = project.root
    require_public((name, path.read_bytes()) for name, path in find(root, tuple(contents.JOBS.values())).files)
    code = _read(contents.job_files(root))
    no_champion = "This prefix is used when there is no champion: it contains no model archive.\n"
    framework, own_image = project.answer("framework"), image.uri(target)
    training_image = own_image or image_uri(project, framework, "training")
    return Context(
        session=session,
        environment=environment,
        pipeline_name=pipelines.name(project.slug, pipeline),
        model_package_group="" if project.deploys_only or target.experiments else target.registration,
        project_name=project.answer("project_name"),
        slug=project.slug,
        region=project.region,
        bucket=store.bucket,
        data_bucket=str((target.shared if target.experiments else target).settings["bucket"]),
        model_bucket="" if project.deploys_only else str(environment["model_bucket"]),
        role=role(target, pipeline),
        image=training_image,
        **{name: made_from["keys"].get(name, "") for name in keys.KEYS},
        security=security.Security.of(environment),
        inference_image=own_image or image_uri(project, framework, "inference"),
        source_folder=_stage(project, code),
        model_code=store.add(code),
        monitoring_code=store.add({name: content for name, content in code.items() if name.startswith("modelkit/")}),
        baseline_code=store.add(_read(contents.listed(root, contents.BASELINE))),
        no_champion=store.add_at(f"{store.prefix}/no-champion/", {"README.txt": no_champion.encode()}),
        lineage={
            "GitCommit": made_from["git_commit"] or _NOTHING,
            "CodeDigest": made_from["code_digest"],
            "DefinitionInputs": made_from["inputs_digest"],
            "PackagesLock": made_from["packages_digest"] or _NOTHING,
            "TrainingImage": training_image,
            "TemplateVersion": made_from["template_version"],
            "SageMakerSdk": made_from["sagemaker"],
        },
    )


def _read(files: Iterable[tuple[str, Path]]) -> dict[str, bytes]:
    return {name: path.read_bytes() for name, path in files}


def _stage(project: Project, code: Mapping[str, bytes]) -> str:
    """Put the code of jobs into one folder, for the SDK to send, and return its path below the project's folder.

    It is named after its content, because the SDK writes the path into the definition.
    """
    folder = project.state / "code" / digest_of(code)
    if folder.is_dir() and _read(all_files_below(folder)) != code:
        shutil.rmtree(folder)  # it was changed
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".staging-") as temporary:
            staged = Path(temporary) / "code"
            for name, content in code.items():
                (staged / name).parent.mkdir(parents=True, exist_ok=True)
                (staged / name).write_bytes(content)
            with suppress(OSError):  # another process has just staged the same
                staged.rename(folder)
    return folder.relative_to(project.root).as_posix()


def _write(
    output: Path,
    definition: dict[str, Any],
    name: str,
    context: Any,
    made_from: Provenance,
    ends: Limits,
) -> None:
    text = json.dumps(definition, indent=2, ensure_ascii=False) + "\n"
    write_text(output / DEFINITION, text)
    manifest: Manifest = {
        "pipeline": name,
        "environment": context.environment.name,
        "definition_sha256": sha256_of_file(output / DEFINITION),
        **made_from,
        "limits": ends,
        "images": sorted({context.image, context.inference_image}),
        "objects": [{"path": name, "sha256": sha256_of_file(path)} for name, path in all_files_below(output / OBJECTS)],
    }
    write_json(output / MANIFEST, manifest)
