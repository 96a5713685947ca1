"""What stacks have to know of other accounts, whose outputs cannot be read: names computed from configuration."""

import re
from collections.abc import Mapping

from mlops.base.environments import ENVIRONMENTS
from mlops.base.errors import UsageError
from mlops.project.configuration import DEPLOYED_BY, shown
from mlops.project.environment import Environment
from mlops.project.project import ACCOUNT_ID
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
_OF_REGISTRY = (*_BUCKETS, *_NAMES)
"""The parameters with what this project has in the account of the registry, for its stacks in the others."""

_DATA_BUCKET, _RESULTS_BUCKET = "DataBucket", "ResultsBucket"
"""The parameters with the buckets of the data lake and of experiments, for the stacks in the accounts that train."""

_COPIES, _COPY_BUCKET = "Copies", "CopyBucket"
"""The parameters that say whether captured data are copied from or to an account, and the bucket that takes them."""

_ROLES = {"ReleaseRoleArn": "ship", "SubmitRoleArn": "submit"}
"""The roles in the accounts of parts that builds assume: by parameter, the end of their names."""

_DEPLOYER = {"project": "DeployingProject", **{name: _ACCOUNTS[name] for name in ENVIRONMENTS}}
"""The parameters that the keys of `deployed_by` set."""

_PROJECT = ("[a-z*][a-z0-9*-]*", "the project_slug of that project; `*` stands for any part of it")

_PARAMETERS = (
    _ACCOUNT_HOLDS,
    *_ACCOUNTS.values(),
    *(f"{_title(part)}{role}" for part in PARTS for role in _ROLES),
)
"""The parameters of projects that deploy to several accounts."""


def parameters(target: Target, account: str) -> tuple[str, ...]:
    """Return the parameters that the deployment sets for the stacks of an account: the names in `values`."""
    if target.project.is_read_by_other_accounts:
        return tuple(_DEPLOYER.values())
    if target.project.layout == SINGLE:
        return ()
    of_registry = _OF_REGISTRY if _has_registry_elsewhere(target, account) else ()
    of_data = (_DATA_BUCKET, _RESULTS_BUCKET) if _has_data_elsewhere(target, account) else ()
    of_copies = (_COPIES, _COPY_BUCKET) if target.project.answer("monitoring") == "on" else ()
    return (*_PARAMETERS, *of_registry, *of_data, *of_copies)


def values(target: Target, account: str) -> dict[str, str]:
    """Return the values of the parameters that the deployment sets for the stacks of an account.

    Args:
        target: The environment that is deployed.
        account: The name of the account.

    Raises:
        MlopsError: The configuration lacks an account, or does not say who deploys what is registered here.
    """
    if target.project.is_read_by_other_accounts:
        return _deployer(target.shared.settings)
    if target.project.layout == SINGLE:
        return {}
    accounts = ACCOUNTS[target.project.layout]
    trainer = target.shared
    places = {part: target.in_account(name) for part, name in accounts.items()}
    for place in (trainer, *places.values()):
        place.require_place()
    found = {_ACCOUNTS[part]: str(place.settings["account"]) for part, place in places.items()}
    found[_ACCOUNT_HOLDS] = _holds(account)
    for part, place in places.items():
        for role, suffix in _ROLES.items():
            arn = f"arn:aws:iam::{place.settings['account']}:role/{place.names.of(suffix)}"
            found[f"{_title(part)}{role}"] = arn
    if _has_registry_elsewhere(target, account):
        found |= {name: str(trainer.settings[key]) for name, key in _BUCKETS.items()}
        found |= dict.fromkeys(_NAMES, target.project.slug)
    if _has_data_elsewhere(target, account):
        found[_DATA_BUCKET] = str(trainer.settings["bucket"])
        found[_RESULTS_BUCKET] = places[EXPERIMENTATION].names.data_bucket
    if target.project.answer("monitoring") == "on":
        found[_COPIES] = _copies(places, account)
        found[_COPY_BUCKET] = str(trainer.settings["bucket"])
    return found


def _copies(places: Mapping[str, Target], account: str) -> str:
    """Return whether captured data are copied from an account (`sent`), or to it (`taken`)."""
    if account in ENVIRONMENTS:
        return "sent" if places[account].settings.flag("copy_captured_data") else "none"
    has_data = places[DATA_LAKE].account_name == account
    return "taken" if has_data and any(_copies(places, name) == "sent" for name in ENVIRONMENTS) else "none"


def _has_registry_elsewhere(target: Target, account: str) -> bool:
    """Return whether the registry is the project's own, in another account than this one."""
    return account != ACCOUNTS[target.project.layout][ARTIFACTS] and not target.project.deploys_only


def _has_data_elsewhere(target: Target, account: str) -> bool:
    """Return whether training, or what it needs, is in this account and its data in another."""
    return account not in (ACCOUNTS[target.project.layout][DATA_LAKE], *ENVIRONMENTS)


def _holds(account: str) -> str:
    """Return what an account holds of the project, for the roles of people there."""
    if account in ENVIRONMENTS:
        return "workload"
    return account if account in DEVELOPMENT else "development"


def _deployer(settings: Environment) -> dict[str, str]:
    """Return who deploys what is registered here: the short name of a project, and the accounts of its environments."""
    given = {key: (settings.settings.get(DEPLOYED_BY) or {}).get(key) for key in _DEPLOYER}
    if missing := [f"`{DEPLOYED_BY}.{key}`" for key, value in given.items() if value is None]:
        raise UsageError(
            f"{settings.path} has no value for {', '.join(missing)}.",
            "Set the short name of the project that deploys, and the ids of its accounts. Nothing is deployed to them "
            "from here: policies of this account name them.",
        )
    for key, value in given.items():
        form, meaning = _PROJECT if key == "project" else ACCOUNT_ID
        if not isinstance(value, str) or not re.fullmatch(form, value):
            raise UsageError(
                f"{settings.path} has an invalid value: `{DEPLOYED_BY}.{key}: {shown(value)}`.", f"Use {meaning}."
            )
    accounts = [settings.settings.get("account"), *(given[name] for name in ENVIRONMENTS)]
    if len(set(accounts)) < len(accounts):
        raise UsageError(
            f"{settings.path} has an account twice: {', '.join(map(str, accounts))}.",
            f"`account`, `{DEPLOYED_BY}.staging` and `{DEPLOYED_BY}.production` are three different ones.",
        )
    return {_DEPLOYER[key]: str(value) for key, value in given.items()}
