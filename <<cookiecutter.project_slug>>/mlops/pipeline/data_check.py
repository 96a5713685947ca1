"""The data check before training, by a Lambda function."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mlops.base.errors import MlopsError
from mlops.project.account import Account, aws_errors

if TYPE_CHECKING:
    from mlops.functions.validate_data import Result


def check(account: Account, function: str, uri: str, schema: Mapping[str, Any]) -> "Result":
    """Check samples of the data against a schema.

    Args:
        account: The account of the function.
        function: The name of the function.
        uri: The S3 prefix of the data.
        schema: The schema, as `mlops.functions.validate_data` takes it.

    Returns:
        The response of the function.

    Raises:
        MlopsError: The function cannot be invoked, or failed.
    """
    event = json.dumps({"uri": uri, "schema": schema}).encode()
    with aws_errors(f"invoke the function {function}"):
        response = account.functions.invoke(FunctionName=function, Payload=event)
        result = json.loads(response["Payload"].read())
    if "FunctionError" in response:
        raise MlopsError(
            f"The function {function} failed: {result.get('errorMessage', result)}",
            f"See its log group /aws/lambda/{function}.",
        )
    checked: Result = result
    return checked
