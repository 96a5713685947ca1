"""What stacks have to know of other accounts, whose outputs cannot be read: names computed from configuration."""

from mlops.base.environments import ENVIRONMENTS, SHARED
from mlops.project.stacks import SINGLE
from mlops.project.target import Target

_REGISTRY_ACCOUNT, _ACCOUNT_HOLDS = "RegistryAccount", "AccountHolds"
_BUCKETS = {"ModelBucket": "model_bucket", "BaselineBucket": "bucket"}
_NAMES = ("ModelPackageGroup", "ImageRepository")
OF_REGISTRY = (*_BUCKETS, *_NAMES)
"""The parameters with what the account of the registry has, for the stacks of the others."""

_ROLES = {"ReleaseRoleArn": "ship", "SubmitRoleArn": "submit"}
"""The roles in the accounts of environments that builds assume: by parameter, the end of their names."""

PARAMETERS = (
    _REGISTRY_ACCOUNT,
    _ACCOUNT_HOLDS,
    *(f"{name.title()}Account" for name in ENVIRONMENTS),
    *(f"{name.title()}{role}" for name in ENVIRONMENTS for role in _ROLES),
)
"""The parameters that the deployment sets in projects with several accounts."""


def values(target: Target, account: str) -> dict[str, str]:
    """Return the values of parameters for the stacks of an account; none in a project with one account.

    Args:
        target: The environment that is deployed.
        account: The environment that the account is named after.

    Raises:
        MlopsError: The configuration lacks an account.
    """
    if target.project.layout == SINGLE:
        return {}
    places = {name: target.in_account(name) for name in (SHARED, *ENVIRONMENTS)}
    for place in places.values():
        place.settings.require_place()
    trainer = places[SHARED]
    holds = "development" if account == SHARED else "workload"
    found = {_REGISTRY_ACCOUNT: str(trainer.settings["account"]), _ACCOUNT_HOLDS: holds}
    for name in ENVIRONMENTS:
        place = places[name]
        number = str(place.settings["account"])
        found[f"{name.title()}Account"] = number
        for role, suffix in _ROLES.items():
            found[f"{name.title()}{role}"] = f"arn:aws:iam::{number}:role/{place.names.of(suffix)}"
    if account != SHARED:
        found |= {name: str(trainer.settings[key]) for name, key in _BUCKETS.items()}
        found |= dict.fromkeys(_NAMES, target.project.slug)
    return found
