"""The gate before training: what the function beside the data says of it."""

import json
from collections.abc import Mapping
from typing import Any

from mlops.base.errors import MlopsError
from mlops.project.account import Account, aws_errors


def ask(account: Account, function: str, uri: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Whether the data looks as a schema declares.

    Args:
        account: Where the function is.
        function: Its name.
        uri: The S3 prefix of the data.
        schema: What the data is held to, as `mlops.functions.validate_data` takes it.

    Returns:
        Its answer: whether the data is `valid`, what was seen of it, and the `reasons` against it.

    Raises:
        MlopsError: The function cannot be asked, or failed.
    """
    event = json.dumps({"uri": uri, "schema": schema}).encode()
    with aws_errors(f"ask the function {function}"):
        answer = account.functions.invoke(FunctionName=function, Payload=event)
        said = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        raise MlopsError(
            f"The function {function} failed: {said.get('errorMessage', said)}",
            f"Its log is the log group /aws/lambda/{function}.",
        )
    verdict: dict[str, Any] = said
    return verdict
