"""What stacks have to know of other accounts, whose outputs cannot be read: names computed from configuration."""

from mlops.base.environments import ENVIRONMENTS
from mlops.project.stacks import ACCOUNTS, ARTIFACTS, DATA_LAKE, DEVELOPMENT, EXPERIMENTATION, PARTS, SINGLE
from mlops.project.target import Target


def _title(part: str) -> str:
    """Return a part as it is written in the names of parameters."""
    return part.title().replace("-", "")


_ACCOUNT_HOLDS = "AccountHolds"
_ACCOUNTS = {part: f"{'Registry' if part == ARTIFACTS else _title(part)}Account" for part in PARTS}
"""The parameter with the account of each part."""

_BUCKETS = {"ModelBucket": "model_bucket", "BaselineBucket": "bucket"}
_NAMES = ("ModelPackageGroup", "ImageRepository")
OF_REGISTRY = (*_BUCKETS, *_NAMES)
"""The parameters with what the account of the registry has, for the stacks of the others."""

_DATA_BUCKET, _RESULTS_BUCKET = "DataBucket", "ResultsBucket"

_ROLES = {"ReleaseRoleArn": "ship", "SubmitRoleArn": "submit"}
"""The roles in the accounts of parts that builds assume: by parameter, the end of their names."""

PARAMETERS = (
    _ACCOUNT_HOLDS,
    *_ACCOUNTS.values(),
    *(f"{_title(part)}{role}" for part in PARTS for role in _ROLES),
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
    found[_ACCOUNT_HOLDS] = _holds(account)
    for part, place in places.items():
        for role, suffix in _ROLES.items():
            arn = f"arn:aws:iam::{place.settings['account']}:role/{place.names.of(suffix)}"
            found[f"{_title(part)}{role}"] = arn
    if account != accounts[ARTIFACTS]:
        found |= {name: str(trainer.settings[key]) for name, key in _BUCKETS.items()}
        found |= dict.fromkeys(_NAMES, target.project.slug)
    if account not in (accounts[DATA_LAKE], *ENVIRONMENTS):
        found[_DATA_BUCKET] = str(trainer.settings["bucket"])
        found[_RESULTS_BUCKET] = places[EXPERIMENTATION].names.data_bucket
    return found


def _holds(account: str) -> str:
    """Return what an account holds of the project, for the roles of people there."""
    if account in ENVIRONMENTS:
        return "workload"
    return account if account in DEVELOPMENT else "development"
