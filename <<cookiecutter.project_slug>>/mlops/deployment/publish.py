"""What is released: the sources that were tested, where the deployment pipeline takes them from."""

from mlops.base.archives import zipped
from mlops.base.files import files_below
from mlops.project.account import aws_errors
from mlops.project.target import Target

KEY = "release/project.zip"


def publish(target: Target) -> str:
    """Put the project's files, hidden ones left out, where the deployment pipeline takes them from.

    Returns:
        The URI of the zip.

    Raises:
        MlopsError: The configuration is incomplete, or AWS refuses a call.
    """
    account, bucket = target.account, target.names.artifact_bucket
    account.verify()
    uri = f"s3://{bucket}/{KEY}"
    with aws_errors(f"upload {uri}"):
        content = zipped(files_below(target.project.root))
        account.s3.put_object(Bucket=bucket, Key=KEY, Body=content, ExpectedBucketOwner=account.id)
    return uri
