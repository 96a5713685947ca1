"""The object store of an environment: a folder on this machine, or S3."""

from mlops.project.stacks import DATA_LAKE
from mlops.project.target import Target
from mlops.store.local import LocalStore
from mlops.store.port import Store


def store_of(target: Target) -> Store:
    """Return the object store of an environment.

    Raises:
        MlopsError: The environment is unknown, or its configuration lacks a value that AWS needs.
    """
    if target.is_local:
        return LocalStore.of(target)
    from mlops.store.s3 import S3Store  # boto3 costs 0.2 s, which local verbs do not pay

    return S3Store(target.own(DATA_LAKE).account)
