"""Publish the tested sources to the bucket that the deployment pipeline reads."""

from pathlib import Path

from mlops.base.archives import zipped
from mlops.base.errors import UsageError
from mlops.base.sources import find, shortened
from mlops.project.account import aws_errors
from mlops.project.target import Target

KEY = "release/project.zip"

_SOURCES = frozenset({"buildspecs", "config", "container", "infra", "locks", "mlops", "modelkit", "pipelines", "src"})


def publish(target: Target) -> str:
    """Upload the project's files to the bucket that the deployment pipeline reads.

    These are the files that git tracks; outside git, all files. Hidden ones are left out.

    Returns:
        The URI of the zip.

    Raises:
        MlopsError: The configuration is incomplete, a source file is not in git or has keys or credentials in it, or an
            AWS call fails.
    """
    content = zipped(_tracked(target.project.root))
    account, bucket = target.account, target.names.artifact_bucket
    account.verify()
    uri = f"s3://{bucket}/{KEY}"
    with aws_errors(f"upload {uri}"):
        account.s3.put_object(Bucket=bucket, Key=KEY, Body=content, ExpectedBucketOwner=account.id)
    return uri


def _tracked(root: Path) -> list[tuple[str, Path]]:
    found = find(root)
    if missing := [name for name in found.untracked if name.partition("/")[0] in _SOURCES]:
        names = shortened(missing)
        raise UsageError(
            f"Sources that are not in git are not published: {names}.",
            "Add them to git and commit, or list files that are not sources in .gitignore.",
        )
    untracked = frozenset(found.untracked)
    return [(name, path) for name, path in found.files if name not in untracked]
