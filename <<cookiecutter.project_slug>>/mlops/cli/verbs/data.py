"""List the objects that a version was trained on, or restore them below another prefix."""

import json
from argparse import ArgumentParser, Namespace

from mlops.base.environments import LOCAL
from mlops.cli.console import table
from mlops.project.target import Target
from mlops.registry.adapters import registry_of
from mlops.registry.inputs import manifests
from mlops.registry.training_data import TrainingData
from mlops.registry.versions import LATEST, version_named
from mlops.store.adapters import store_of

NEEDS = ("trains",)

_COLUMNS = ("object", "version", "bytes", "")


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options of `data`."""
    parser.add_argument("version", help=f"number of a model version, or `{LATEST}`")
    parser.add_argument("--environment", default=LOCAL, help="environment that trained it (default: %(default)s)")
    parser.add_argument(
        "--restore", metavar="PREFIX", help="copy the objects below this S3 URI, which must be empty; all or none"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON on standard output")


def run(target: Target, options: Namespace) -> int:
    """Print the list, or restore the objects."""
    version = version_named(registry_of(target).versions(), options.version)
    prefix = manifests(str(target.settings["bucket"]), target.project.slug)
    data = TrainingData.of(store_of(target), prefix, version)
    if options.restore:
        data.restore(options.restore)
    if options.json:
        print(json.dumps(_document(version.version, data, options.restore), indent=2))
    elif options.restore:
        print(f"Copied {len(data.objects)} objects of data version {data.version} below {options.restore}")
    else:
        print(_text(version.version, data))
    return 0


def _document(version: int, data: TrainingData, restored: str | None) -> dict[str, object]:
    return {
        "version": version,
        "data_version": data.version,
        "uri": data.uri,
        "objects": [{**each._asdict(), "readable": each not in data.missing} for each in data.objects],
        "restored": restored,
    }


def _text(version: int, data: TrainingData) -> str:
    missing = set(data.missing)
    rows = [(each.key, each.version, str(each.size), "gone" if each in missing else "") for each in data.objects]
    state = f"{len(missing)} can no longer be read" if missing else "all can be read"
    heading = f"Version {version} was trained on data version {data.version}, below {data.uri}"
    return f"{heading}\n{len(data.objects)} objects; {state}.\n\n{table([_COLUMNS, *rows])}"
