"""The images of the project's own that its pipeline has built."""

from mlops.aws.account import Account, aws_errors
from mlops.names import Names


def newest_image(account: Account, names: Names) -> str:
    """What the account says is the digest of the newest image; another text, or none, when there is no image yet.

    Args:
        account: The account that images are built in.
        names: The project's names there.
    """
    name = names.image_parameter
    with aws_errors(f"look up the newest image, in the parameter {name}"):
        found = account.ssm.get_parameters(Names=[name])["Parameters"]
    return str(found[0]["Value"]) if found else ""
