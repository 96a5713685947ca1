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
from mlops.project.account import Account
from mlops.project.project import Project


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options of `validate`."""
    parser.add_argument("--environment", required=True, help="the environment, for instance dev")
    parser.add_argument("--data", metavar="URI", help="an S3 prefix (default: the InputDataUri of the pipeline)")
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")


def run(project: Project, options: Namespace) -> int:
    """Ask, and say what the data has against it; 1 when it does not fit."""
    account = Account.of(project, project.environment(options.environment))
    uri = options.data or _input_data(project, options.environment)
    account.verify()
    function = project.names(options.environment).validate_data_function
    answer = data_check.ask(account, function, uri, _schema(project))
    if options.json:
        print(json.dumps(answer, indent=2))
    elif answer["valid"]:
        seen = f"{answer['rows']} rows of {answer['sampled']} of {answer['objects']} objects"
        print(f"{uri} looks as the schema declares: {seen} were read.")
    else:
        lines = [f"- {reason['key']}: {reason['message']} [{reason['rule']}]" for reason in answer["reasons"]]
        print("\n".join([f"error: {uri} does not look as src/model/schema.py declares:", *lines]), file=sys.stderr)
    return 0 if answer["valid"] else 1


def _input_data(project: Project, environment: str) -> str:
    definition = Definition.from_text(current(project, environment).definition_text)
    return str(definition.parameters["InputDataUri"].default)


def _schema(project: Project) -> dict[str, Any]:
    """What the function holds the data to: the function itself knows no schema."""
    sys.path.insert(0, str(project.root / "src"))
    from model.schema import SCHEMA
    from modelkit.schema import NUMBER_PATTERN

    facts = ("name", "type", "nullable", "minimum", "maximum", "categories")
    return {
        "columns": [{fact: getattr(column, fact) for fact in facts} for column in SCHEMA.columns],
        "minimum_rows": SCHEMA.minimum_rows,
        "number_pattern": NUMBER_PATTERN,
    }
