"""Deploy the stacks of an environment in order, and the version of the model that will be live in it."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any

from mlops.base.commands import MLOPS
from mlops.base.environments import SHARED
from mlops.base.errors import MlopsError, UsageError, require_none
from mlops.base.waiting import Clock
from mlops.deployment import functions, guardrails, readiness, templates
from mlops.deployment.checks import settings
from mlops.deployment.checks.finding import Finding, require
from mlops.deployment.cloudformation import Deployed, Plan, StackService
from mlops.deployment.rollout import ATTEMPT, PACKAGE, SHADOW, Rollout
from mlops.endpoints.sagemaker import AwsEndpoint
from mlops.monitoring import limits as monitoring_limits
from mlops.project import security, stacks
from mlops.project.stacks import Stack
from mlops.project.target import Target
from mlops.registry import promotion
from mlops.registry.live import live, record
from mlops.registry.sagemaker import AwsRegistry
from mlops.registry.versions import TRAIN_ONE, ModelVersion, champion, find
from mlops.retraining import limits
from mlops.store.s3 import S3Store

_ROLE = "CloudFormationRoleArn"


@dataclass(frozen=True)
class DeployRequest:
    """What to deploy.

    Attributes:
        stacks: The names of the stacks; empty for all.
        version: The version to deploy; None for the champion.
        package: The ARN of the version, as a pipeline requests it; nothing is deployed if it is no longer the
            champion.
    """

    stacks: Sequence[str] = ()
    version: int | None = None
    package: str | None = None


@dataclass(frozen=True)
class Report:
    """The result of a deployment.

    Attributes:
        environment: The environment.
        version: The version that is live now; None in an environment without a model.
        superseded: Whether nothing was deployed because another version has become the champion.
        stacks: The stacks, in order.
    """

    environment: str
    version: int | None
    superseded: bool
    stacks: tuple[Deployed, ...]

    def document(self) -> dict[str, Any]:
        """Return the report as JSON."""
        return asdict(self)


@dataclass
class Deployment:
    """A deployment in progress.

    Attributes:
        target: The environment.
        request: What to deploy.
        confirm: Declines a plan by raising an MlopsError.
        report: Prints progress.
        clock: The clock; tests replace it.
    """

    target: Target
    request: DeployRequest
    confirm: Callable[[Plan], None]
    report: Callable[[str], None]
    clock: Clock = field(default=time)

    def __post_init__(self) -> None:
        target, root = self.target, self.target.project.root
        self.chosen = stacks.selected(target.stacks, self.request.stacks)
        self.templates = settings.read(target)
        self.order = list(self.templates)
        self.settings, self.account, self.names = target.settings, target.account, target.names
        self.service = StackService(self.account, target.project.slug, self.report, self.clock)
        self._require_settings()
        self.registered = templates.outputs_of_others(root, target.shared.settings)

    def run(self) -> Report:
        """Deploy.

        Raises:
            MlopsError: The version is not approved, the account is not ready, the user declines, or an AWS call fails.
                Stacks that were deployed before stay deployed.
        """
        self.account.verify()
        version = self._version() if self._takes_version else None
        if version is None and self._takes_version:
            return Report(self.target.environment, None, superseded=True, stacks=())
        self._require_ready()
        done: list[Deployed] = []
        outputs = dict(self.registered)
        for stack in self.order:
            if stack in self.chosen:
                done.append(self._deploy(stack, {**outputs, **self._known(stack, version)}))
            outputs |= self.service.outputs(self._name(stack))
        self._report_findings("Next", self._findings(readiness.after))
        live_version = version.version if version else None
        return Report(self.target.environment, live_version, superseded=False, stacks=tuple(done))

    def _require_ready(self) -> None:
        """Make sure that the account has what the deployment needs, and report what else is missing.

        Raises:
            MlopsError: Something is missing; the message lists all of it.
        """
        found = self._findings(readiness.before)
        self._report_findings("Warning", [finding for finding in found if not finding.blocks])
        require(found, f"The account {self.account.id} in {self.account.region}")

    def _findings(self, checks: Callable[[Target, Collection[str], date], list[Finding]]) -> list[Finding]:
        return checks(self.target, [stack.name for stack in self.chosen], date.fromtimestamp(self.clock.time()))

    def _report_findings(self, title: str, findings: Sequence[Finding]) -> None:
        for finding in findings:
            self.report(f"{title}: {finding}")

    @property
    def _takes_version(self) -> bool:
        """Whether one of the chosen stacks takes a version."""
        return any(PACKAGE in self.templates[stack].parameters for stack in self.chosen)

    def _name(self, stack: Stack) -> str:
        return self.names.stack(stack.name, SHARED if stack.shared else self.target.environment)

    def _require_settings(self) -> None:
        """Check options and configuration before anything is changed.

        Raises:
            MlopsError: A value is missing or invalid.
        """
        if not self._takes_version and (self.request.version is not None or self.request.package):
            raise UsageError(
                f"None of the stacks to deploy to {self.target.environment} takes a version.",
                "Leave out --version and --model-package.",
            )
        require_none(settings.errors(self.target, self.templates, self.chosen))

    def _values(self, stack: Stack, known: Mapping[str, str]) -> dict[str, str]:
        """Return the values of a stack's parameters."""
        return settings.values(self.templates, known, stack, self.settings)

    def _version(self) -> ModelVersion | None:
        """Return the version to deploy; None if the requested package is superseded.

        Raises:
            MlopsError: No version is approved, or the requested one is not.
        """
        versions = AwsRegistry.of(self.target).versions()
        if self.request.package:
            requested = promotion.approved(versions, self.request.package)
            return requested if requested == champion(versions) else None
        version = champion(versions) if self.request.version is None else find(versions, self.request.version)
        if version is None:
            remedy = f"Approve one: {MLOPS} models --environment dev" if versions else TRAIN_ONE
            raise MlopsError("No approved version to deploy.", remedy)
        return promotion.approved(versions, version.arn)

    def _known(self, stack: Stack, version: ModelVersion | None) -> dict[str, str]:
        """Return the values of a stack's parameters that the deployment sets itself."""
        known = {"ProjectName": self.target.project.slug, "ProjectId": self.names.id}
        if not stack.shared:
            known["EnvironmentName"] = self.target.environment
        if settings.KEY in self.templates[stack].parameters:
            key = functions.key(self.target.project.root, self.target.project.slug)
            S3Store(self.account).put_once(self.account.bucket, key, functions.archive(self.target.project.root))
            # Functions are in the bucket that the pipeline reads, and read it as well.
            known |= {settings.BUCKET: self.account.bucket, settings.KEY: key, "DataBucket": self.account.bucket}
        if security.IN_VPC in self.templates[stack].parameters:
            known |= security.Security.of(self.settings).parameters()
        if limits.PARAMETERS.keys() <= self.templates[stack].parameters.keys():
            known |= {name: str(limits.limit(self.settings, key)) for name, key in limits.PARAMETERS.items()}
        if monitoring_limits.PARAMETERS.keys() <= self.templates[stack].parameters.keys():
            known |= monitoring_limits.values(self.settings)
        if version:
            known |= {PACKAGE: version.arn, SHADOW: "", ATTEMPT: "1"}
        return known

    def _deploy(self, stack: Stack, known: dict[str, str]) -> Deployed:
        name, template, values = self._name(stack), self.templates[stack], self._values(stack, known)
        role, environment = None if stack.shared else self._role(known), self.target.environment
        if stack.endpoint:
            endpoint = AwsEndpoint.of(self.target, self.clock)
            minutes = settings.shadow_minutes(self.settings, stack, template)
            if canary := guardrails.canary(template, values):
                self.report(canary)
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
                "The deployment role does not exist yet: this project's stack workload creates it.",
                f"Deploy that stack first: {MLOPS} deploy --environment {SHARED}",
            )
        return known[_ROLE]
