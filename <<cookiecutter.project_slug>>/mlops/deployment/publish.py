"""What is released: the sources that were tested, where the deployment pipeline takes them from."""

from mlops.base.archives import zipped
from mlops.base.files import files_below
from mlops.project.account import Account, aws_errors
from mlops.project.project import Project

KEY = "release/project.zip"


def publish(project: Project, environment: str) -> str:
    """Put the project's files, hidden ones left out, where the deployment pipeline takes them from.

    Returns:
        The URI of the zip.

    Raises:
        MlopsError: The configuration is incomplete, or AWS refuses a call.
    """
    account = Account.of(project, project.environment(environment))
    account.verify()
    bucket = project.names(environment).artifact_bucket
    uri = f"s3://{bucket}/{KEY}"
    with aws_errors(f"upload {uri}"):
        content = zipped(files_below(project.root))
        account.s3.put_object(Bucket=bucket, Key=KEY, Body=content, ExpectedBucketOwner=account.id)
    return uri
