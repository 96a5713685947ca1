"""Security settings of jobs and models: a key for their disks, isolation, encrypted traffic, and a VPC."""

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
"""The parameters of the pipeline role's stack that are derived from this section."""

DISK_ENCRYPTION = "DiskEncryption"
"""The parameter of stacks with instances that selects the encryption of their disks."""

_SWITCHES = ("network_isolation", "encrypt_inter_container_traffic")
_is_key = re.compile(r"arn:[a-z-]+:kms:(?P<region>[a-z0-9-]+):[0-9]{12}:key/[a-zA-Z0-9-]+").fullmatch
# https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_VpcConfig.html
_NETWORK = {
    "subnet_ids": (re.compile(r"subnet-[0-9a-f]{8,17}").fullmatch, "subnet-0123456789abcdef0", 16),
    "security_group_ids": (re.compile(r"sg-[0-9a-f]{8,17}").fullmatch, "sg-0123456789abcdef0", 5),
}


@dataclass(frozen=True)
class Network:
    """The subnets and security groups of jobs or models; both empty without a VPC.

    Attributes:
        subnet_ids: Up to 16 subnets.
        security_group_ids: Up to 5 security groups.
    """

    subnet_ids: tuple[str, ...] = ()
    security_group_ids: tuple[str, ...] = ()

    @classmethod
    def of(cls, environment: Environment, name: str, section: Mapping[str, Any]) -> "Network":
        """Return the network in a section of a configuration.

        Args:
            environment: The environment, for messages.
            name: The dotted name of the section, for messages.
            section: The section.

        Raises:
            MlopsError: A value is not a list of ids, has too many of them, or one list is given without the other.
        """
        found = {key: _ids(environment, f"{name}.{key}", section.get(key)) for key in _NETWORK}
        for key, other in zip(found, reversed(found), strict=True):
            if found[key] and not found[other]:
                raise UsageError(
                    f"{environment.file(f'{name}.{key}')} sets `{name}.{key}` without `{name}.{other}`.",
                    f"SageMaker requires both or neither: set `{name}.{other}`, or remove `{name}.{key}`.",
                )
        return cls(**found)


@dataclass(frozen=True)
class Security:
    """The section `security` of an environment.

    Attributes:
        volume_key: The ARN of the key of jobs' disks; None for the key of the data.
        network_isolation: Whether the containers of jobs have no network.
        encrypt_inter_container_traffic: Whether traffic between the instances of a job is encrypted.
        network: The subnets and security groups of jobs.
    """

    volume_key: str | None
    network_isolation: bool
    encrypt_inter_container_traffic: bool
    network: Network

    @classmethod
    def of(cls, environment: Environment) -> "Security":
        """Return the section of an environment.

        Raises:
            MlopsError: A value is missing or invalid; the message names its key.
        """
        if missing := environment.missing(*(f"{SECTION}.{key}" for key in _SWITCHES)):
            raise UsageError(
                f"{environment.file(missing[0])} has no value for {' and '.join(f'`{key}`' for key in missing)}.",
                f"Set each to true or false in the section `{SECTION}`; docs/security.md explains them.",
            )
        return cls(
            volume_key=key_arn(environment, f"{SECTION}.volume_key"),
            network_isolation=environment.flag(f"{SECTION}.network_isolation"),
            encrypt_inter_container_traffic=environment.flag(f"{SECTION}.encrypt_inter_container_traffic"),
            network=Network.of(environment, SECTION, environment.settings[SECTION]),
        )

    def parameters(self) -> dict[str, str]:
        """Return the parameters that determine the permissions of the pipeline's role."""
        return {VOLUME_KEY: self.volume_key or "", IN_VPC: str(bool(self.network.subnet_ids)).lower()}


def key_arn(environment: Environment, name: str) -> str | None:
    """Return the ARN of a key in a configuration; None if it is empty.

    Args:
        environment: The environment.
        name: The dotted key: `security.volume_key`.

    Raises:
        MlopsError: It is not the ARN of a key in the project's Region.
    """
    if environment.missing(name):
        return None
    value = environment[name]
    found = _is_key(value) if isinstance(value, str) else None
    if found and found["region"] == environment.region:
        return str(value)
    account = environment.settings.get("account") or "123456789012"
    raise UsageError(
        f"{environment.file(name)} has an invalid value: `{name}: {shown(value)}`.",
        "Use the ARN of a KMS key, not its id or an alias, in the Region of the project: "
        f"arn:aws:kms:{environment.region}:{account}:key/...",
    )


def require_encryptable_disks(environment: Environment, stack: str) -> None:
    """Reject a key for disks that the hardware of the instances encrypts, as SageMaker does.

    Args:
        environment: The environment.
        stack: The name of a stack with instances.

    Raises:
        MlopsError: Its `instance_type` has local NVMe disks, and its `disk_encryption` is not `hardware`.
    """
    section = environment.stack(stack)
    instance_type = section.get("instance_type")
    if has_own_disks(str(instance_type)) and section.get("disk_encryption") != "hardware":
        key = f"{STACKS}.{stack}.instance_type"
        raise UsageError(
            f"{environment.file(key)} sets `{key}: {instance_type}`, which {NO_KEY}.",
            f"Set `{STACKS}.{stack}.disk_encryption: hardware`, or another type.",
        )


def _ids(environment: Environment, name: str, value: Any) -> tuple[str, ...]:
    path = environment.file(name)
    is_id, example, most = _NETWORK[name.rpartition(".")[2]]
    if value is None:
        return ()
    if not isinstance(value, list):
        raise UsageError(f"{path} has an invalid value: `{name}: {shown(value)}`.", f"Use a list of ids: [{example}].")
    if len(value) > most:
        raise UsageError(f"{path} has {len(value)} ids in `{name}`.", f"SageMaker accepts {most}.")
    for item in value:
        if not isinstance(item, str) or not is_id(item) or value.count(item) > 1:
            problem = "a duplicate" if value.count(item) > 1 else "an invalid id"
            raise UsageError(f"{path} has {problem} in `{name}`: {shown(item)}.", f"Use ids, each once: {example}.")
    return tuple(value)
