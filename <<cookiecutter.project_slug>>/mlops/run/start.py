"""Prepare a local run from a bundle and a folder of data, execute it, and write its manifest."""

import shutil
import sys
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from mlops.base.errors import DamagedError, UsageError
from mlops.base.files import sha256_of_file, unwritable, write_json, write_text
from mlops.pipeline.bundle import Bundle, Manifest
from mlops.pipeline.definition import Definition
from mlops.project.lineage import require_data, version_of_files
from mlops.project.project import RUNTIME_ENVIRONMENT
from mlops.project.target import Target
from mlops.registry.local import LocalRegistry
from mlops.run import code
from mlops.run.cache import StepCache
from mlops.run.local_functions import FUNCTIONS
from mlops.run.runner import Listener, LocalFunction, LocalRun, check_runnable
from mlops.run.state import (
    NOT_STARTED,
    RUNS,
    SUCCEEDED,
    RunFolder,
    RunState,
    StepState,
    new_run_folder,
    new_run_id,
    now,
)
from mlops.store.local import LocalStore
from mlops.store.objects import split_uri

_SHOWN = 10


def new_run(
    target: Target, bundle: Bundle, data: Path | None, overrides: Mapping[str, str], kind: str = RUNS
) -> RunFolder:
    """Prepare a run of a bundle: check its parameters, copy its inputs to the store, and create its folder.

    Args:
        target: The environment that the bundle was compiled for.
        bundle: The compiled bundle.
        data: The file or folder to train on; None for the configured one.
        overrides: Values of pipeline parameters given on the command line.
        kind: The folder of the runs of this pipeline.

    Raises:
        MlopsError: A parameter, the definition or the data cannot be used. No run was started.
    """
    project, environment, store = target.project, target.settings, LocalStore.of(target)
    project.python(RUNTIME_ENVIRONMENT)
    definition = Definition.from_text(bundle.definition_text)
    check_runnable(definition, _functions(target))
    values = dict(overrides)
    files: list[tuple[str, Path]] = []
    if "InputDataUri" in definition.parameters.keys() & overrides.keys():
        if data:
            raise UsageError("--data and -p InputDataUri exclude each other.", "Leave out one of them.")
        _require_data(store.path(overrides["InputDataUri"]))
    elif "InputDataUri" in definition.parameters:
        files = _require_data(data or project.root / str(environment["data_folder"]))
        values["InputDataUri"] = f"s3://{environment['bucket']}/{project.slug}/data/{version_of_files(files)}/"
    parameters = definition.values(values)
    bundle.require_within_limits(overrides)
    code.place(store, bundle.manifest["objects"], bundle.objects)
    if files:
        _place(files, store.path(str(values["InputDataUri"])))
    folder = new_run_folder(project, kind)
    state = RunState(
        id=folder.path.name,
        pipeline=bundle.pipeline_name,
        environment=target.environment,
        definition_sha256=bundle.definition_sha256,
        status=NOT_STARTED,
        started=now(),
        ended="",
        parameters=parameters,
        steps={name: StepState() for name in definition.steps},
    )
    write_text(folder.definition, bundle.definition_text)
    write_json(folder.bundle, bundle.manifest)
    folder.save(state)
    return folder


def _require_data(source: Path) -> list[tuple[str, Path]]:
    """Return the names and paths of the data files of a source, and name those that are left out.

    Raises:
        MlopsError: There are none.
    """
    found, left_out = require_data(source)
    if left_out:
        shown = ", ".join(left_out[:_SHOWN]) + (", ..." if len(left_out) > _SHOWN else "")
        files = "1 file" if len(left_out) == 1 else f"{len(left_out)} files"
        print(f"Not read: {files} of {source} with . or _ at the start of a name: {shown}", file=sys.stderr)
    return found


def _functions(target: Target) -> dict[str, LocalFunction | str]:
    """Return what replaces Lambda functions on this machine: the template's, and configured `functions`."""
    own = {f"{target.project.slug}-{purpose}": partial(function, target) for purpose, function in FUNCTIONS.items()}
    return own | (target.settings.settings.get("functions") or {})


def _place(files: Iterable[tuple[str, Path]], target: Path) -> None:
    """Copy files into the store atomically, unless that version is already there."""
    if target.exists():
        return
    partial = target.with_name(f".{target.name}.{new_run_id()}")
    try:
        partial.mkdir(parents=True)
        for name, path in files:
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, partial / name)
        partial.rename(target)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        if not target.exists():  # a concurrent run has copied the same data
            raise unwritable(target, error) from error


def execute(target: Target, folder: RunFolder, *, use_cache: bool, listener: Listener) -> RunState:
    """Execute a prepared or unfinished run to its end, and write its manifest.

    A run that has succeeded is not executed again; only its manifest is written.

    Raises:
        MlopsError: The state cannot be read or written, or another process executes this run.
        KeyboardInterrupt: The run was interrupted.
    """
    with folder.hold():
        state = folder.load()
        definition = Definition.from_text(folder.read_definition(state))
        bundle = folder.read_bundle()
        store = LocalStore.of(target)
        if state.status != SUCCEEDED:
            if state.steps.keys() != definition.steps.keys():
                raise DamagedError(
                    f"The state of run {state.id} has not the steps of its definition.", "Start a new run."
                )
            code.place(store, bundle["objects"], store.root)
            run = LocalRun(
                definition=definition,
                folder=folder,
                state=state,
                root=target.project.root,
                store=store,
                registry=partial(LocalRegistry.of, target),
                cache=StepCache(target.project.state / "cache", store),
                python=target.project.python(RUNTIME_ENVIRONMENT),
                region=target.project.region,
                account=str(target.settings["account"]),
                functions=_functions(target),
                use_cache=use_cache,
                listener=listener,
            )
            state = run.execute()
        write_json(folder.manifest, _manifest(store, bundle, state))
    return state


def _manifest(store: LocalStore, bundle: Manifest, state: RunState) -> dict[str, Any]:
    """Return the record of a run's inputs and outputs: bundle, parameters, and every object with its digest."""
    return {
        "run": state.id,
        "status": state.status,
        "bundle": bundle,
        "parameters": state.resolved,
        "inputs": _objects(store, str(state.parameters.get("InputDataUri", ""))),
        "steps": {
            name: {"status": step.status, "cached": step.cached, "outputs": _outputs(store, step.properties)}
            for name, step in state.steps.items()
        },
    }


def _outputs(store: LocalStore, properties: dict[str, Any]) -> dict[str, Any]:
    if "ModelPackageArn" in properties:
        return {"model_package": properties["ModelPackageArn"]}
    outputs = properties.get("ProcessingOutputConfig", {}).get("Outputs", {})
    uris = {name: output["S3Output"]["S3Uri"] for name, output in outputs.items()}
    if "ModelArtifacts" in properties:
        uris["model"] = properties["ModelArtifacts"]["S3ModelArtifacts"]
    return {name: _objects(store, uri) for name, uri in uris.items()}


def _objects(store: LocalStore, uri: str) -> dict[str, str]:
    if not uri:
        return {}
    bucket, _ = split_uri(uri)
    return {f"s3://{bucket}/{key}": sha256_of_file(path) for key, path in store.objects(uri)}
