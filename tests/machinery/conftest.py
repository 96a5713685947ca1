"""An account that the machinery meets in this process."""

import pytest

from standin.account import StandInAccount
from tests.machinery.places import BUCKET


@pytest.fixture
def with_bucket(here: StandInAccount) -> StandInAccount:
    """An account with the project's bucket in it."""
    configuration = {"LocationConstraint": here.region}
    here.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=configuration)
    return here
