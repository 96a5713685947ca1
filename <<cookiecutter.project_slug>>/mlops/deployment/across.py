"""What stacks have to know of other accounts, whose outputs cannot be read: names computed from configuration."""

import re

from mlops.base.environments import ENVIRONMENTS, SHARED
from mlops.base.errors import UsageError
from mlops.project.configuration import DEPLOYED_BY, shown
from mlops.project.environment import Environment
from mlops.project.project import ACCOUNT
from mlops.project.stacks import SINGLE
from mlops.project.target import Target

_REGISTRY_ACCOUNT, _ACCOUNT_HOLDS = "RegistryAccount", "AccountHolds"
_BUCKETS = {"ModelBucket": "model_bucket", "BaselineBucket": "bucket"}
_NAMES = ("ModelPackageGroup", "ImageRepository")
_OF_REGISTRY = (*_BUCKETS, *_NAMES)
"""The parameters with what this project has in the account of the registry, for its stacks in the others."""

_ROLES = {"ReleaseRoleArn": "ship", "SubmitRoleArn": "submit"}
"""The roles in the accounts of environments that builds assume: by parameter, the end of their names."""

_ACCOUNTS = {name: f"{name.title()}Account" for name in ENVIRONMENTS}
"""The parameters with the accounts of environments."""

_DEPLOYER = {"project": "DeployingProject", **_ACCOUNTS}
"""The parameters that the keys of `deployed_by` set."""

_PROJECT = ("[a-z*][a-z0-9*-]*", "the project_slug of that project; `*` stands for any part of it")

_PARAMETERS = (
    _REGISTRY_ACCOUNT,
    _ACCOUNT_HOLDS,
    *_ACCOUNTS.values(),
    *(f"{name.title()}{role}" for name in ENVIRONMENTS for role in _ROLES),
)
"""The parameters of projects that deploy to several accounts."""


def parameters(target: Target, account: str) -> tuple[str, ...]:
    """Return the parameters that the deployment sets for the stacks of an account: the names in `values`."""
    if target.project.is_read_by_other_accounts:
        return tuple(_DEPLOYER.values())
    if target.project.layout == SINGLE:
        return ()
    return (*_PARAMETERS, *(_OF_REGISTRY if _has_registry_elsewhere(target, account) else ()))


def values(target: Target, account: str) -> dict[str, str]:
    """Return the values of the parameters that the deployment sets for the stacks of an account.

    Args:
        target: The environment that is deployed.
        account: The environment that the account is named after.

    Raises:
        MlopsError: The configuration lacks an account, or does not say who deploys what is registered here.
    """
    if target.project.is_read_by_other_accounts:
        return _deployer(target.shared.settings)
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
        found[_ACCOUNTS[name]] = number
        for role, suffix in _ROLES.items():
            found[f"{name.title()}{role}"] = f"arn:aws:iam::{number}:role/{place.names.of(suffix)}"
    if _has_registry_elsewhere(target, account):
        found |= {name: str(trainer.settings[key]) for name, key in _BUCKETS.items()}
        found |= dict.fromkeys(_NAMES, target.project.slug)
    return found


def _has_registry_elsewhere(target: Target, account: str) -> bool:
    """Return whether the registry is the project's own, in another account than this one."""
    return account != SHARED and not target.project.deploys_only


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
        form, meaning = _PROJECT if key == "project" else ACCOUNT
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
