"""What stacks have to know of other accounts, whose outputs cannot be read: names computed from configuration."""

from mlops.base.environments import ENVIRONMENTS
from mlops.project.stacks import ACCOUNTS, ARTIFACTS, PARTS, SINGLE
from mlops.project.target import Target

_ACCOUNT_HOLDS = "AccountHolds"
_ACCOUNTS = {part: f"{'Registry' if part == ARTIFACTS else part.title().replace('-', '')}Account" for part in PARTS}
"""The parameter with the account of each part."""

_BUCKETS = {"ModelBucket": "model_bucket", "BaselineBucket": "bucket"}
_NAMES = ("ModelPackageGroup", "ImageRepository")
OF_REGISTRY = (*_BUCKETS, *_NAMES)
"""The parameters with what the account of the registry has, for the stacks of the others."""

_ROLES = {"ReleaseRoleArn": "ship", "SubmitRoleArn": "submit"}
"""The roles in the accounts of environments that builds assume: by parameter, the end of their names."""

PARAMETERS = (
    _ACCOUNT_HOLDS,
    *_ACCOUNTS.values(),
    *(f"{name.title()}{role}" for name in ENVIRONMENTS for role in _ROLES),
)
"""The parameters that the deployment sets in projects with several accounts."""


def values(target: Target, account: str) -> dict[str, str]:
    """Return the values of parameters for the stacks of an account; none in a project with one account.

    Args:
        target: The environment that is deployed.
        account: The name of the account.

    Raises:
        MlopsError: The configuration lacks an account.
    """
    if target.project.layout == SINGLE:
        return {}
    accounts = ACCOUNTS[target.project.layout]
    trainer = target.shared
    places = {part: target.in_account(name) for part, name in accounts.items()}
    for place in (trainer, *places.values()):
        place.settings.require_place()
    found = {_ACCOUNTS[part]: str(place.settings["account"]) for part, place in places.items()}
    found[_ACCOUNT_HOLDS] = "workload" if account in ENVIRONMENTS else "development"
    for name in ENVIRONMENTS:
        for role, suffix in _ROLES.items():
            arn = f"arn:aws:iam::{places[name].settings['account']}:role/{places[name].names.of(suffix)}"
            found[f"{name.title()}{role}"] = arn
    if account != accounts[ARTIFACTS]:
        found |= {name: str(trainer.settings[key]) for name, key in _BUCKETS.items()}
        found |= dict.fromkeys(_NAMES, target.project.slug)
    return found
