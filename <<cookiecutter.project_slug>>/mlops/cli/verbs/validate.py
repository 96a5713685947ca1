"""Check samples of an environment's data against the schema, before a run is started on it.

A Lambda function lists the objects and reads the start of some of them. That takes seconds; the first step of the
pipeline, which checks every value, takes minutes.
"""

import json
import sys
from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from typing import Any

from mlops.pipeline import data_check
from mlops.pipeline.bundle import current
from mlops.pipeline.definition import Definition
from mlops.project.target import Target

NEEDS = ("trains",)


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options of `validate`."""
    parser.add_argument("--environment", required=True, help="environment, for example dev")
    parser.add_argument("--data", metavar="URI", help="S3 prefix (default: the InputDataUri of the pipeline)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on standard output")


def run(target: Target, options: Namespace) -> int:
    """Check the data and print what is wrong with it; return 1 if it does not match the schema."""
    account = target.account
    uri = options.data or _input_data(target)
    account.verify()
    function = target.names.validate_data_function
    result = data_check.check(account, function, uri, _schema(target))
    if options.json:
        print(json.dumps(result, indent=2))
    elif result["valid"]:
        seen = f"{result['rows']} rows of {result['sampled']} of {result['objects']} objects"
        print(f"{uri} matches the schema: {seen} were read.")
    else:
        lines = [f"- {reason['key']}: {reason['message']} [{reason['rule']}]" for reason in result["reasons"]]
        print("\n".join([f"error: {uri} does not match src/model/schema.py:", *lines]), file=sys.stderr)
    return 0 if result["valid"] else 1


def _input_data(target: Target) -> str:
    definition = Definition.from_text(current(target).definition_text)
    return str(definition.parameters["InputDataUri"].default)


def _schema(target: Target) -> dict[str, Any]:
    """Return the schema in the form that the function takes."""
    sys.path.insert(0, str(target.project.root / "src"))
    from model.schema import SCHEMA
    from modelkit.schema import NUMBER_PATTERN

    facts = ("name", "type", "nullable", "minimum", "maximum", "categories", "unknown")
    return {
        "columns": [{fact: getattr(column, fact) for fact in facts} for column in SCHEMA.read],
        "ignored": sorted(SCHEMA.known - set(SCHEMA.names)),
        "notation": asdict(SCHEMA.notation),
        "minimum_rows": SCHEMA.minimum_rows,
        "number_pattern": NUMBER_PATTERN,
    }
