"""What a company's policy asks of jobs and models: a key for their disks, isolation, encrypted traffic, and a VPC."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlops.base.errors import UsageError
from mlops.project.configuration import STACKS, shown
from mlops.project.environment import Environment
from mlops.project.instances import NO_KEY, has_own_disks

SECTION = "security"
VOLUME_KEY, IN_VPC = "VolumeKeyArn", "JobsInVpc"
"""The parameters of the stack of the pipeline's role that follow from this section."""

DISK_ENCRYPTION = "DiskEncryption"
"""The parameter of stacks with instances that says who encrypts their disks."""

_SWITCHES = ("network_isolation", "encrypt_inter_container_traffic")
_is_key = re.compile(r"arn:[a-z-]+:kms:(?P<region>[a-z0-9-]+):[0-9]{12}:key/[a-zA-Z0-9-]+").fullmatch
# https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_VpcConfig.html
_NETWORK = {
    "subnet_ids": (re.compile(r"subnet-[0-9a-f]{8,17}").fullmatch, "subnet-0123456789abcdef0", 16),
    "security_group_ids": (re.compile(r"sg-[0-9a-f]{8,17}").fullmatch, "sg-0123456789abcdef0", 5),
}


@dataclass(frozen=True)
class Network:
    """Where in a VPC jobs or models are; both empty for none.

    Attributes:
        subnet_ids: Up to 16 subnets.
        security_group_ids: Up to 5 security groups.
    """

    subnet_ids: tuple[str, ...] = ()
    security_group_ids: tuple[str, ...] = ()

    @classmethod
    def of(cls, environment: Environment, name: str, section: Mapping[str, Any]) -> "Network":
        """The network in a section of a configuration.

        Args:
            environment: The environment, for messages.
            name: The dotted name of the section, for messages.
            section: The section.

        Raises:
            MlopsError: A list is none, holds what is no id or too many of them, or stands there without the other one.
        """
        found = {key: _ids(environment, f"{name}.{key}", section.get(key)) for key in _NETWORK}
        for key, other in zip(found, reversed(found), strict=True):
            if found[key] and not found[other]:
                raise UsageError(
                    f"{environment.file(f'{name}.{key}')} says `{name}.{key}` without `{name}.{other}`.",
                    f"SageMaker takes both or neither: set `{name}.{other}`, or remove `{name}.{key}`.",
                )
        return cls(**found)


@dataclass(frozen=True)
class Security:
    """The section `security` of an environment.

    Attributes:
        volume_key: The ARN of the key of the disks of jobs; None for that of the data.
        network_isolation: Whether the containers of jobs have no network.
        encrypt_inter_container_traffic: Whether the instances of a job encrypt what they send each other.
        network: Where in a VPC jobs are.
    """

    volume_key: str | None
    network_isolation: bool
    encrypt_inter_container_traffic: bool
    network: Network

    @classmethod
    def of(cls, environment: Environment) -> "Security":
        """The section of an environment.

        Raises:
            MlopsError: A value is missing, or cannot be what it says; the message names its key.
        """
        if missing := environment.missing(*(f"{SECTION}.{key}" for key in _SWITCHES)):
            raise UsageError(
                f"{environment.file(missing[0])} does not say {' and '.join(f'`{key}`' for key in missing)}.",
                f"Write each as true or false in the section `{SECTION}`; docs/security.md says what they do.",
            )
        return cls(
            volume_key=key_arn(environment, f"{SECTION}.volume_key"),
            network_isolation=_switch(environment, "network_isolation"),
            encrypt_inter_container_traffic=_switch(environment, "encrypt_inter_container_traffic"),
            network=Network.of(environment, SECTION, environment.settings[SECTION]),
        )

    def parameters(self) -> dict[str, str]:
        """The values of the parameters that the rights of the pipeline's role follow from."""
        return {VOLUME_KEY: self.volume_key or "", IN_VPC: str(bool(self.network.subnet_ids)).lower()}


def key_arn(environment: Environment, name: str) -> str | None:
    """The ARN of a key in a configuration; None where it is left empty.

    Args:
        environment: The environment.
        name: The dotted key: `security.volume_key`.

    Raises:
        MlopsError: It is no ARN of a key in the project's Region.
    """
    if environment.missing(name):
        return None
    value = environment[name]
    found = _is_key(value) if isinstance(value, str) else None
    if found and found["region"] == environment.region:
        return str(value)
    account = environment.settings.get("account") or "123456789012"
    raise UsageError(
        f"{environment.file(name)} says `{name}: {shown(value)}`.",
        "It takes the ARN of a KMS key, not its id or an alias, in the Region of the project: "
        f"arn:aws:kms:{environment.region}:{account}:key/...",
    )


def require_encryptable_disks(environment: Environment, stack: str) -> None:
    """Refuse a key for the disks of instances whose hardware encrypts them, before SageMaker does.

    Args:
        environment: The environment.
        stack: The name of a stack with instances.

    Raises:
        MlopsError: Its `instance_type` has disks of its own, and its `disk_encryption` is not `hardware`.
    """
    section = environment.stack(stack)
    instance_type = section.get("instance_type")
    if has_own_disks(str(instance_type)) and section.get("disk_encryption") != "hardware":
        key = f"{STACKS}.{stack}.instance_type"
        raise UsageError(
            f"{environment.file(key)} says `{key}: {instance_type}`, which {NO_KEY}.",
            f"Set `{STACKS}.{stack}.disk_encryption: hardware`, or another type.",
        )


def _switch(environment: Environment, name: str) -> bool:
    key = f"{SECTION}.{name}"
    value = environment[key]
    if not isinstance(value, bool):
        raise UsageError(f"{environment.file(key)} says `{key}: {shown(value)}`.", "It takes true or false.")
    return value


def _ids(environment: Environment, name: str, value: Any) -> tuple[str, ...]:
    path = environment.file(name)
    is_id, example, most = _NETWORK[name.rpartition(".")[2]]
    if value is None:
        return ()
    if not isinstance(value, list):
        raise UsageError(f"{path} says `{name}: {shown(value)}`.", f"It takes a list of ids: [{example}].")
    if len(value) > most:
        raise UsageError(f"{path} says {len(value)} ids for `{name}`.", f"SageMaker takes {most}.")
    for item in value:
        if not isinstance(item, str) or not is_id(item) or value.count(item) > 1:
            what = "twice" if value.count(item) > 1 else "among its ids"
            raise UsageError(f"{path} says {shown(item)} {what} in `{name}`.", f"It takes ids, each once: {example}.")
    return tuple(value)
