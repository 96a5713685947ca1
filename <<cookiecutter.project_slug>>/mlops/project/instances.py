"""What differs between the types of instances that jobs and endpoints run on."""

import re

_OWN_DISKS = re.compile(
    r"ml\.([cmr]\d[a-z]*d[a-z]*|dl1|g4dn|g[567]e?|p3dn|p4de?|p5(en?)?|p6e?(-[a-z]+\d+)?|trn[12]n?)\.\w+"
)

NO_KEY = "has disks of its own, which its hardware encrypts: SageMaker takes no key for them"
"""Why a key is refused for a type of instance."""


def has_own_disks(instance_type: str) -> bool:
    """Whether instances of a type (`ml.g5.xlarge`) have disks of their own, which their hardware encrypts.

    SageMaker takes no key for those: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ResourceConfig.html.
    Which types have them: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-store-volumes.html.
    """
    return _OWN_DISKS.fullmatch(instance_type) is not None
