"""Deploying the stacks of an environment, in their order, and the version of the model that is to be live in it."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any

from mlops.base.commands import MLOPS
from mlops.base.environments import SHARED
from mlops.base.errors import MlopsError, UsageError
from mlops.base.waiting import Clock
from mlops.deployment import functions, guardrails, readiness, templates
from mlops.deployment.cloudformation import Deployed, Plan, StackService
from mlops.deployment.readiness import Finding, Readiness
from mlops.deployment.rollout import ATTEMPT, PACKAGE, SHADOW, Rollout
from mlops.endpoints.sagemaker import AwsEndpoint
from mlops.project import security, stacks
from mlops.project.configuration import STACKS
from mlops.project.stacks import SHADOW_MINUTES, Stack
from mlops.project.target import Target
from mlops.registry import promotion
from mlops.registry.live import live, record
from mlops.registry.sagemaker import AwsRegistry
from mlops.registry.versions import TRAIN_ONE, ModelVersion, champion, find
from mlops.store.s3 import S3Store

_BUCKET, _KEY = "FunctionsBucket", "FunctionsKey"
_ROLE = "CloudFormationRoleArn"
_OWN = (
    *("ProjectName", "ProjectId", "EnvironmentName", _BUCKET, _KEY, PACKAGE, SHADOW, ATTEMPT),
    *(security.VOLUME_KEY, security.IN_VPC),
)
"""The parameters that the deployment itself fills."""


@dataclass(frozen=True)
class DeployRequest:
    """What to deploy.

    Attributes:
        stacks: Names of its stacks; none for all of them.
        version: The version that is to be live; None for the approved one.
        package: The ARN of that version, as a pipeline requests it: nothing is deployed if another version has become
            the one to deploy since.
    """

    stacks: Sequence[str] = ()
    version: int | None = None
    package: str | None = None


@dataclass(frozen=True)
class Report:
    """What a deployment has done.

    Attributes:
        environment: Where.
        version: The version that is live now; None where no model is.
        superseded: Whether nothing was deployed because another version has become the wanted one.
        stacks: The stacks, in order.
    """

    environment: str
    version: int | None
    superseded: bool
    stacks: tuple[Deployed, ...]

    def document(self) -> dict[str, Any]:
        """The report as JSON has it."""
        return asdict(self)


@dataclass
class Deployment:
    """A deployment under way.

    Attributes:
        target: The environment.
        request: What to deploy.
        confirm: Refuses a plan that the reader does not want, by raising an MlopsError.
        say: Tells the reader how things go.
        clock: The time.
    """

    target: Target
    request: DeployRequest
    confirm: Callable[[Plan], None]
    say: Callable[[str], None]
    clock: Clock = field(default=time)

    def __post_init__(self) -> None:
        target, root = self.target, self.target.project.root
        self.chosen = stacks.selected(target.stacks, self.request.stacks)
        self.order = [*([] if target.environment == SHARED else target.shared.stacks), *target.stacks]
        self.templates = {stack: templates.read(root, stack) for stack in self.order}
        self.registered = templates.outputs_of_others(root, target.shared.settings)
        self.settings, self.account, self.names = target.settings, target.account, target.names
        self.service = StackService(self.account, target.project.slug, self.say, self.clock)
        self.readiness = Readiness(target, self.service)
        self._require_settings()

    def run(self) -> Report:
        """Deploy.

        Raises:
            MlopsError: A version must not be deployed, the account is not ready, the reader does not confirm, or AWS
                fails; what was done before stays done.
        """
        self.account.verify()
        wanted = self._wanted() if self._serves else None
        if wanted is None and self._serves:
            return Report(self.target.environment, None, superseded=True, stacks=())
        self._require_ready()
        done: list[Deployed] = []
        outputs = dict(self.registered)
        for stack in self.order:
            if stack in self.chosen:
                done.append(self._deploy(stack, {**outputs, **self._known(stack, wanted)}))
            outputs |= self.service.outputs(self._name(stack))
        self._tell("Next", self.readiness.after())
        return Report(self.target.environment, wanted.version if wanted else None, superseded=False, stacks=tuple(done))

    def _require_ready(self) -> None:
        """Refuse an account that lacks what the deployment takes, and say what else is open.

        Raises:
            MlopsError: It lacks something; the message lists all of it.
        """
        today = date.fromtimestamp(self.clock.time())
        found = self.readiness.before([stack.name for stack in self.chosen], today)
        self._tell("Warning", [finding for finding in found if not finding.blocks])
        readiness.require(found, f"The account {self.account.id} in {self.account.region}")

    def _tell(self, title: str, findings: Sequence[Finding]) -> None:
        for finding in findings:
            self.say(f"{title}: {finding}")

    @property
    def _serves(self) -> bool:
        """Whether a stack that is deployed takes a version."""
        return any(PACKAGE in self.templates[stack].parameters for stack in self.chosen)

    def _name(self, stack: Stack) -> str:
        return self.names.stack(stack.name, SHARED if stack.shared else self.target.environment)

    def _require_settings(self) -> None:
        """Refuse what the reader says wrongly or not at all, before anything is changed.

        Raises:
            MlopsError: One of these.
        """
        if not self._serves and (self.request.version is not None or self.request.package):
            raise UsageError(
                f"No stack that is deployed to {self.target.environment} now takes a version.",
                "Leave out --version and --model-package.",
            )
        later = dict.fromkeys(_OWN, "") | self.registered
        for stack in self.order:
            if stack in self.chosen:
                self._require_secure(stack)
                guardrails.require_time(self.templates[stack], self._values(stack, later), stack.name, self.settings)
                self._shadow_minutes(stack)
            later |= dict.fromkeys(self.templates[stack].outputs, "")

    def _require_secure(self, stack: Stack) -> None:
        declared = self.templates[stack].parameters
        security.Network.of(self.settings, f"{STACKS}.{stack.name}", self.settings.stack(stack.name))
        if security.DISK_ENCRYPTION in declared:
            security.require_encryptable_disks(self.settings, stack.name)
        if security.IN_VPC in declared:
            security.Security.of(self.settings)

    def _values(self, stack: Stack, known: Mapping[str, str]) -> dict[str, str]:
        """The values of a stack's parameters."""
        before = self.order[: self.order.index(stack)]
        origin = {output: one for one in before for output in self.templates[one].outputs}
        return templates.parameters(self.templates[stack], known, stack, self.settings, origin)

    def _shadow_minutes(self, stack: Stack) -> float | None:
        if SHADOW not in self.templates[stack].parameters:
            return None
        return self.settings.number(f"{STACKS}.{stack.name}.{SHADOW_MINUTES}")

    def _wanted(self) -> ModelVersion | None:
        """The version to deploy; None when the one that was asked for is superseded.

        Raises:
            MlopsError: There is none, or it is not approved.
        """
        versions = AwsRegistry(self.account, S3Store(self.account), self.target.model_package_group).versions()
        if self.request.package:
            asked = promotion.approved(versions, self.request.package)
            return asked if asked == champion(versions) else None
        version = champion(versions) if self.request.version is None else find(versions, self.request.version)
        if version is None:
            remedy = f"Approve one: {MLOPS} models --environment dev" if versions else TRAIN_ONE
            raise MlopsError("There is no approved version to deploy.", remedy)
        return promotion.approved(versions, version.arn)

    def _known(self, stack: Stack, wanted: ModelVersion | None) -> dict[str, str]:
        """What the deployment itself says of a stack's parameters."""
        known = {"ProjectName": self.target.project.slug, "ProjectId": self.names.id}
        if not stack.shared:
            known["EnvironmentName"] = self.target.environment
        if _KEY in self.templates[stack].parameters:
            key = functions.key(self.target.project.root, self.target.project.slug)
            S3Store(self.account).put_once(self.account.bucket, key, functions.archive(self.target.project.root))
            known |= {_BUCKET: self.account.bucket, _KEY: key}
        if security.IN_VPC in self.templates[stack].parameters:
            known |= security.Security.of(self.settings).parameters()
        if wanted:
            known |= {PACKAGE: wanted.arn, SHADOW: "", ATTEMPT: "1"}
        return known

    def _deploy(self, stack: Stack, known: dict[str, str]) -> Deployed:
        name, template, values = self._name(stack), self.templates[stack], self._values(stack, known)
        role, environment = None if stack.shared else self._role(known), self.target.environment
        if stack.endpoint:
            queued, minutes = self.target.project.answer("inference") == "async", self._shadow_minutes(stack)
            endpoint = AwsEndpoint(self.account, self.names, environment, queued, self.clock)
            if canary := guardrails.canary(template, values):
                self.say(canary)
            rollout = Rollout(endpoint, self.service, name, template, role, self.confirm, minutes)
            done = rollout.run(values, live(self.account, self.names, [environment]).get(environment))
        else:
            done = self.service.put(name, template, values, role=role, confirm=self.confirm)
        if PACKAGE in template.parameters:
            record(self.account, self.names, environment, values[PACKAGE])
        return done

    def _role(self, known: Mapping[str, str]) -> str:
        if _ROLE not in known:
            raise MlopsError(
                "There is no role to deploy with yet: the stack workload, as this project has it, makes it.",
                f"Deploy that first: {MLOPS} deploy --environment {SHARED}",
            )
        return known[_ROLE]
