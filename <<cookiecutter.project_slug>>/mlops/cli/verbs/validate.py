"""Ask whether the data of an environment looks as the schema declares, before a run is started on it.

A function beside the data lists it and reads the beginning of some files: seconds, where the pipeline's first step,
which checks every value, takes minutes.
"""

import json
import sys
from argparse import ArgumentParser, Namespace
from typing import Any

from mlops.pipeline import data_check
from mlops.pipeline.bundle import current
from mlops.pipeline.definition import Definition
from mlops.project.target import Target

NEEDS = ("trains",)


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options of `validate`."""
    parser.add_argument("--environment", required=True, help="the environment, for instance dev")
    parser.add_argument("--data", metavar="URI", help="an S3 prefix (default: the InputDataUri of the pipeline)")
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")


def run(target: Target, options: Namespace) -> int:
    """Ask, and say what the data has against it; 1 when it does not fit."""
    account = target.account
    uri = options.data or _input_data(target)
    account.verify()
    function = target.names.validate_data_function
    answer = data_check.ask(account, function, uri, _schema(target))
    if options.json:
        print(json.dumps(answer, indent=2))
    elif answer["valid"]:
        seen = f"{answer['rows']} rows of {answer['sampled']} of {answer['objects']} objects"
        print(f"{uri} looks as the schema declares: {seen} were read.")
    else:
        lines = [f"- {reason['key']}: {reason['message']} [{reason['rule']}]" for reason in answer["reasons"]]
        print("\n".join([f"error: {uri} does not look as src/model/schema.py declares:", *lines]), file=sys.stderr)
    return 0 if answer["valid"] else 1


def _input_data(target: Target) -> str:
    definition = Definition.from_text(current(target).definition_text)
    return str(definition.parameters["InputDataUri"].default)


def _schema(target: Target) -> dict[str, Any]:
    """What the function holds the data to: the function itself knows no schema."""
    sys.path.insert(0, str(target.project.root / "src"))
    from model.schema import SCHEMA
    from modelkit.schema import NUMBER_PATTERN

    facts = ("name", "type", "nullable", "minimum", "maximum", "categories")
    return {
        "columns": [{fact: getattr(column, fact) for fact in facts} for column in SCHEMA.columns],
        "minimum_rows": SCHEMA.minimum_rows,
        "number_pattern": NUMBER_PATTERN,
    }
