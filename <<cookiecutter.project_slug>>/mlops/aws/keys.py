"""The project's own KMS keys, which their aliases lead to."""

from botocore.exceptions import ClientError

from mlops.aws.account import Account, aws_errors, is_missing
from mlops.errors import MlopsError


def key_of_alias(account: Account, alias: str, setting: str) -> str:
    """The ARN of the key that an alias stands for.

    Args:
        account: The account of the key.
        alias: `alias/<name>`.
        setting: What of the configuration would name the key, for the message.

    Raises:
        MlopsError: There is no such alias, or AWS refuses the call.
    """
    with aws_errors(f"look up the key {alias}"):
        try:
            return str(account.kms.describe_key(KeyId=alias)["KeyMetadata"]["Arn"])
        except ClientError as error:
            if not is_missing(error):
                raise
    raise MlopsError(
        f"There is no key {alias} in the account {account.id}.",
        f"`.venv/bin/python -m mlops deploy --environment dev` makes it. For a bucket of your own, set `{setting}`.",
    )
