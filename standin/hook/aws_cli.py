"""The grammar of the AWS CLI over boto3: `aws SERVICE OPERATION --option value ...`, with --region, --query, --output.

Options are checked against botocore's model, so that a misspelt one fails here as it would there. The CLI's own
commands, such as `aws s3 sync`, are refused, save `ecr get-login-password` and `wait`.
"""

import json
import sys
from base64 import b64decode
from pathlib import Path
from typing import Any

import boto3
import jmespath
from botocore import xform_name
from botocore.exceptions import ClientError, ParamValidationError, UnknownServiceError, WaiterError

USAGE_ERROR, SERVICE_ERROR, WAITER_ERROR = 252, 254, 255
"""Exit codes of the AWS CLI."""


def main(arguments: list[str]) -> int:
    """Run a command and return its exit code."""
    first_option = next((index for index, word in enumerate(arguments) if word.startswith("--")), len(arguments))
    words, options = arguments[:first_option], dict[str, list[str]]()
    for argument in arguments[first_option:]:
        if argument.startswith("--"):
            values = options.setdefault(argument[2:], [])
        else:
            values.append(argument)
    try:
        print(_formatted(_answer(words, options), options), end="")
    except (ParamValidationError, UnknownServiceError, ValueError) as error:
        print(f"aws: {error}", file=sys.stderr)
        return USAGE_ERROR
    except ClientError as error:
        print(error, file=sys.stderr)
        return SERVICE_ERROR
    except WaiterError as error:
        print(f"aws: {error}", file=sys.stderr)
        return WAITER_ERROR
    return 0


def _answer(words: list[str], options: dict[str, list[str]]) -> Any:
    if words == ["ecr", "get-login-password"]:
        token = boto3.client("ecr", **_region(options)).get_authorization_token()
        return b64decode(token["authorizationData"][0]["authorizationToken"]).decode().partition(":")[2]
    if len(words) == 3 and words[1] == "wait":
        return _waited(words, options)
    if len(words) != 2:
        raise ValueError(f"a service and an operation are needed, not {' '.join(words) or 'nothing'}")
    client = boto3.client(words[0], **_region(options))
    methods = {xform_name(name, "-"): (method, name) for method, name in client.meta.method_to_api_mapping.items()}
    if words[1] not in methods:
        raise ValueError(f"{words[0]} has no operation {words[1]}")
    method, name = methods[words[1]]
    answer = getattr(client, method)(**_parameters(client, name, words, options))
    answer.pop("ResponseMetadata")
    return answer


def _waited(words: list[str], options: dict[str, list[str]]) -> None:
    client = boto3.client(words[0], **_region(options))
    name = words[2].replace("-", "_")
    if name not in client.waiter_names:
        raise ValueError(f"{words[0]} waits for no {words[2]}")
    waiter = client.get_waiter(name)
    operation = client.meta.method_to_api_mapping[xform_name(waiter.config.operation)]
    waiter.wait(**_parameters(client, operation, words, options))


def _parameters(client: Any, operation: str, words: list[str], options: dict[str, list[str]]) -> dict[str, Any]:
    shape = client.meta.service_model.operation_model(operation).input_shape
    members = {xform_name(member, "-"): member for member in (shape.members if shape else {})}
    given = {option: value for option, value in options.items() if option not in ("region", "query", "output")}
    if unknown := [option for option in given if option.removeprefix("no-") not in members]:
        raise ValueError(f"{' '.join(words)} takes no --{unknown[0]}")
    parameters = {}
    for option, values in given.items():
        member = members[option.removeprefix("no-")]
        parameters[member] = _value(values, shape.members[member], option)
    return parameters


def _region(options: dict[str, list[str]]) -> dict[str, str]:
    return {"region_name": options["region"][0]} if "region" in options else {}


def _value(values: list[str], shape: Any, option: str) -> Any:
    kind = shape.type_name
    if kind == "boolean":
        return values == ["true"] or (not values and not option.startswith("no-"))
    text = " ".join(values)
    if text.startswith("file://"):
        text = Path(text.removeprefix("file://")).read_text(encoding="utf-8")
    if kind in ("list", "map", "structure"):
        if text[:1] in "[{":
            return json.loads(text)
        if kind == "list":
            return [_value([value], shape.member, option) for value in values]
        pairs = [pair.partition("=") for pair in text.split(",")]
        if not all(separator for _, separator, _ in pairs):
            raise ValueError(f"--{option} is no list of names and values: {text}")
        inner = {name: shape.value if kind == "map" else shape.members.get(name) for name, _, _ in pairs}
        if unknown := [name for name, member in inner.items() if member is None]:
            raise ValueError(f"--{option} has no {unknown[0]}")
        return {name: _value([value], inner[name], option) for name, _, value in pairs}
    return {"integer": int, "long": int, "float": float, "double": float}.get(kind, str)(text)


def _formatted(answer: Any, options: dict[str, list[str]]) -> str:
    if "query" in options:
        answer = jmespath.search(options["query"][0], json.loads(json.dumps(answer, default=str)))
    if isinstance(answer, str) and options.get("output") != ["json"]:
        return f"{answer}\n"
    if options.get("output") == ["text"]:
        rows = answer if isinstance(answer, list) else [answer]
        return "\t".join("None" if row is None else str(row) for row in rows) + "\n"
    return json.dumps(answer, indent=4, default=str) + "\n" if answer not in ({}, None) else ""


sys.exit(main(sys.argv[1:]))
