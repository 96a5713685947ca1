"""The HTML report of a local run."""

from collections.abc import Iterator
from typing import Any

from jinja2 import TemplateError

from mlops.base.files import write_text
from mlops.project.target import Target
from mlops.run.progress import details
from mlops.run.state import RunFolder, RunState
from mlops.store.local import LocalStore
from modelkit.pages import page

_EVALUATION, _VALIDATION = "evaluation.json", "report.json"


def write_report(target: Target, folder: RunFolder, state: RunState) -> None:
    """Write `report.html` of a run that has ended, from the outputs of its steps.

    Raises:
        MlopsError: The file cannot be written, or a step wrote a document that is not JSON.
    """
    store = LocalStore.of(target)
    content = {
        "project_name": target.project.answer("project_name"),
        "state": state,
        "details": details,
        "gate": [figure for step in state.steps.values() for figure in step.figures],
        "data": list(_data(_document(store, state, _VALIDATION))),
        "lineage": _lineage(state),
    }
    try:
        text = page("run", **content, evaluation=_document(store, state, _EVALUATION), unreadable="")
    except (TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # A project's own evaluation may have a different structure.
        text = page("run", **content, evaluation={}, unreadable=str(error))
    write_text(folder.report, text)


def _document(store: LocalStore, state: RunState, file: str) -> Any:
    """Return the JSON document of a name among the outputs of the steps; an empty one if no step wrote it."""
    for step in state.steps.values():
        for output in step.properties.get("ProcessingOutputConfig", {}).get("Outputs", {}).values():
            uri = f"{output['S3Output']['S3Uri'].rstrip('/')}/{file}"
            if store.path(uri).is_file():
                return store.read_json(uri)
    return {}


def _data(validation: Any) -> Iterator[tuple[str, str]]:
    for name, value in validation.items() if isinstance(validation, dict) else ():
        if isinstance(value, dict):
            yield from ((f"{name}: {nested}", figure) for nested, figure in _data(value))
        elif isinstance(value, bool):
            yield name, str(value).lower()
        elif isinstance(value, float):
            yield name, f"{value:.4f}"
        elif not isinstance(value, list):
            yield name, f"{value:,}" if isinstance(value, int) else str(value)


def _lineage(state: RunState) -> list[tuple[str, str]]:
    package = state.registered
    return (
        [("model package", package["ModelPackageArn"]), *package.get("CustomerMetadataProperties", {}).items()]
        if package
        else []
    )
