"""Values that are looked up in AWS: the newest image of the project, and the keys behind aliases."""

from mlops.base.commands import MLOPS
from mlops.base.errors import MlopsError
from mlops.project.account import Account, aws_errors, if_exists
from mlops.project.names import Names


def newest_image(account: Account, names: Names) -> str:
    """Return the digest of the newest image; another string, possibly empty, if there is no image yet.

    Args:
        account: The account where images are built.
        names: The project's names in that account.
    """
    name = names.image_parameter
    with aws_errors(f"look up the newest image, in the parameter {name}"):
        found = account.ssm.get_parameters(Names=[name])["Parameters"]
    return str(found[0]["Value"]) if found else ""


def key_of_alias(account: Account, alias: str, setting: str) -> str:
    """Return the ARN of the key behind an alias.

    Args:
        account: The account that uses the key.
        alias: `alias/<name>`, or its ARN if the key is in another account.
        setting: The setting for the key, for the message.

    Raises:
        MlopsError: The alias does not exist, or the call fails.
    """
    with aws_errors(f"look up the key {alias}"):
        found = if_exists(account.kms.describe_key, KeyId=alias)
    if found is None:
        raise MlopsError(
            f"There is no key {alias}{'' if alias.startswith('arn:') else f' in the account {account.id}'}.",
            f"`{MLOPS} deploy --environment dev` creates it. For a bucket of your own, set `{setting}`.",
        )
    return str(found["KeyMetadata"]["Arn"])
