"""The state of the policy in AWS: one item of a DynamoDB table. Lambda functions import this module."""

import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from mlops.base.errors import MlopsError
from mlops.retraining.memory import State, from_document, to_document

KEY = {"id": {"S": "state"}}
"""The key of the item."""

_ATTEMPTS = 10


@dataclass(frozen=True)
class Table:
    """The table with the state.

    The item has a version, which each write increments on the condition that it is still the one that was read: of two
    processes that have read the same state, only one can write. An item may have 400 KB, so that the document, JSON
    text, is compressed.

    Attributes:
        dynamodb: A boto3 client.
        name: The table's name.
    """

    dynamodb: Any
    name: str

    def read(self) -> State:
        """Read the state.

        Raises:
            MlopsError: The item is damaged.
        """
        return self._read()[0]

    def change(self, to: Callable[[State], State]) -> tuple[State, State]:
        """Change the state; repeated with the new state when another process has changed it meanwhile.

        Args:
            to: Returns the new state; without side effects, since it may be called more than once.

        Returns:
            The state before and after the change.

        Raises:
            MlopsError: The item is damaged, or other processes have always been faster.
        """
        for _ in range(_ATTEMPTS):
            before, version = self._read()
            after = to(before)
            if after == before or self._write(after, version):
                return before, after
        raise MlopsError(f"The state in the table {self.name} changed {_ATTEMPTS} times while it was being updated.")

    def _read(self) -> tuple[State, int]:
        item = self.dynamodb.get_item(TableName=self.name, Key=KEY, ConsistentRead=True).get("Item")
        if item is None:
            return State(), 0
        try:
            return from_document(json.loads(zlib.decompress(item["document"]["B"]))), int(item["version"]["N"])
        except (zlib.error, TypeError, KeyError, ValueError) as error:
            raise MlopsError(
                f"The state of retraining in the table {self.name} is damaged ({error!r}).",
                "Delete the item `state`; this resets cool-down, budget and pending runs.",
            ) from None

    def _write(self, state: State, version: int) -> bool:
        """Write the state if the item still has a version; return whether it had."""
        document = zlib.compress(json.dumps(to_document(state), separators=(",", ":")).encode())
        condition = (
            {"ConditionExpression": "version = :read", "ExpressionAttributeValues": {":read": {"N": str(version)}}}
            if version
            else {"ConditionExpression": "attribute_not_exists(id)"}
        )
        item = {**KEY, "version": {"N": str(version + 1)}, "document": {"B": document}}
        try:
            self.dynamodb.put_item(TableName=self.name, Item=item, **condition)
        except ClientError as error:
            if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
                return False
            raise
        return True
