"""Differences between instance types of jobs and endpoints."""

import re

_OWN_DISKS = re.compile(
    r"ml\.([cmr]\d[a-z]*d[a-z]*|dl1|g4dn|g[567]e?|p3dn|p4de?|p5(en?)?|p6e?(-[a-z]+\d+)?|trn[12]n?)\.\w+"
)

NO_KEY = "has local NVMe disks, which its hardware encrypts: SageMaker accepts no key for them"
"""Why a key is rejected for an instance type."""


def has_own_disks(instance_type: str) -> bool:
    """Return whether instances of a type (`ml.g5.xlarge`) have local NVMe disks, which their hardware encrypts.

    SageMaker accepts no key for those: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ResourceConfig.html.
    Which types have them: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-store-volumes.html.
    """
    return _OWN_DISKS.fullmatch(instance_type) is not None
