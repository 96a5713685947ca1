"""Publish the tested sources to the bucket that the deployment pipeline reads."""

from mlops.base.archives import zipped
from mlops.base.files import files_below
from mlops.project.account import aws_errors
from mlops.project.target import Target

KEY = "release/project.zip"


def publish(target: Target) -> str:
    """Upload the project's files, without hidden ones, to the bucket that the deployment pipeline reads.

    Returns:
        The URI of the zip.

    Raises:
        MlopsError: The configuration is incomplete, or an AWS call fails.
    """
    account, bucket = target.account, target.names.artifact_bucket
    account.verify()
    uri = f"s3://{bucket}/{KEY}"
    with aws_errors(f"upload {uri}"):
        content = zipped(files_below(target.project.root))
        account.s3.put_object(Bucket=bucket, Key=KEY, Body=content, ExpectedBucketOwner=account.id)
    return uri
