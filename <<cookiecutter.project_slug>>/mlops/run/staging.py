"""The files that a job finds below `/opt/ml` when it starts, from the store and from its request.

A job that succeeded leaves no copies of its data. Its `command.sh` calls this module, which puts them back.
"""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mlops.base.documents import read_document
from mlops.base.errors import MlopsError
from mlops.base.terminal import protect
from mlops.pipeline.definition import as_text
from mlops.run.sandbox import Sandbox
from mlops.store.local import LocalStore
from modelkit.archives import ArchiveError, unpack

HOST = "algo-1"
REQUEST = "request.json"
"""The kind of a job and its arguments, in its folder."""


@dataclass(frozen=True)
class _Request:
    kind: Literal["processing", "training", "transform", "function"]
    arguments: dict[str, Any]


def stage(kind: str, arguments: Mapping[str, Any], sandbox: Sandbox, store: LocalStore, python: Path) -> None:
    """Prepare the folder of a job, which is empty.

    Args:
        kind: `processing`, `training`, `transform` or `function`.
        arguments: The job's request, resolved; for `transform` with the container of the model as `Container`; for
            `function` the event.
        sandbox: The folder.
        store: The store with its inputs.
        python: The interpreter of the project's runtime environment.

    Raises:
        MlopsError: An input is missing.
    """
    request = {"kind": kind, "arguments": arguments}
    (sandbox.folder / REQUEST).write_text(json.dumps(request, indent=2) + "\n", encoding="utf-8")
    sandbox.write_programs(python)
    sandbox.temporary.mkdir(exist_ok=True)
    sandbox.path("/opt/ml/output").mkdir(parents=True, exist_ok=True)
    _STAGES[kind](arguments, sandbox, store)


def _processing(arguments: Mapping[str, Any], sandbox: Sandbox, store: LocalStore) -> None:
    for entry in arguments.get("ProcessingInputs", []):
        source = entry["S3Input"]
        is_manifest = source.get("S3DataType") == "ManifestFile"
        download = store.download_manifest if is_manifest else store.download_prefix
        download(source["S3Uri"], sandbox.path(source["LocalPath"]))
    for entry in arguments.get("ProcessingOutputConfig", {}).get("Outputs", []):
        sandbox.path(entry["S3Output"]["LocalPath"]).mkdir(parents=True, exist_ok=True)
    cluster = arguments["ProcessingResources"]["ClusterConfig"]
    sandbox.write("config/resourceconfig.json", _resources(cluster["InstanceType"]))
    sandbox.write("config/processingjobconfig.json", arguments)


def _training(arguments: Mapping[str, Any], sandbox: Sandbox, store: LocalStore) -> None:
    channels = arguments.get("InputDataConfig", [])
    for channel in channels:
        uri = channel["DataSource"]["S3DataSource"]["S3Uri"]
        store.download_prefix(uri, sandbox.path(f"/opt/ml/input/data/{channel['ChannelName']}"))
    for part in ("model", "output/data", "checkpoints"):
        sandbox.path(f"/opt/ml/{part}").mkdir(parents=True, exist_ok=True)
    parameters = {key: as_text(value) for key, value in arguments.get("HyperParameters", {}).items()}
    sandbox.write("input/config/hyperparameters.json", parameters)
    sandbox.write("input/config/resourceconfig.json", _resources(arguments["ResourceConfig"]["InstanceType"]))
    sandbox.write("input/config/inputdataconfig.json", {each["ChannelName"]: _channel(each) for each in channels})
    sandbox.adapt_drivers()


def _transform(arguments: Mapping[str, Any], sandbox: Sandbox, store: LocalStore) -> None:
    downloaded = sandbox.path("/opt/ml/archive")
    source = arguments["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"]
    store.download_prefix(source, sandbox.path("/opt/ml/input/data"))
    store.download_prefix(arguments["Container"]["ModelDataUrl"], downloaded)
    try:
        unpack(next(downloaded.iterdir()), sandbox.path("/opt/ml/model"))
    except ArchiveError as error:
        raise MlopsError(f"{error}.") from None
    sandbox.path("/opt/ml/output/data").mkdir(parents=True)


def _function(event: Mapping[str, Any], sandbox: Sandbox, store: LocalStore) -> None:
    sandbox.write("event.json", event)


_STAGES: dict[str, Callable[[Mapping[str, Any], Sandbox, LocalStore], None]] = {
    "processing": _processing,
    "training": _training,
    "transform": _transform,
    "function": _function,
}


def _resources(instance_type: str) -> dict[str, Any]:
    return {
        "current_host": HOST,
        "hosts": [HOST],
        "current_instance_type": instance_type,
        "network_interface_name": "lo",
    }


def _channel(channel: Mapping[str, Any]) -> dict[str, str]:
    return {
        "TrainingInputMode": channel.get("InputMode", "File"),
        "S3DistributionType": channel["DataSource"]["S3DataSource"].get("S3DataDistributionType", "FullyReplicated"),
        "RecordWrapperType": "None",
        **({"ContentType": channel["ContentType"]} if "ContentType" in channel else {}),
    }


def main(arguments: list[str]) -> int:
    """Put the files of a job back.

    Args:
        arguments: The job's folder, the root of the store, and the interpreter of the runtime environment.
    """
    sandbox = Sandbox(Path(arguments[0]))
    try:
        request = read_document(sandbox.folder / REQUEST, _Request, "The request of the job", "Run the pipeline again.")
        stage(request.kind, request.arguments, sandbox, LocalStore(Path(arguments[1])), Path(arguments[2]))
    except MlopsError as error:
        sandbox.clear()
        print(f"Cannot repeat the job: {error.message} {error.remedy}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    protect()
    sys.exit(main(sys.argv[1:]))
