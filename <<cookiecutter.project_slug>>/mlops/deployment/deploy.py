"""Deploy the stacks of an environment in order, and the version of the model that will be live in it."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any

from mlops.base.commands import MLOPS
from mlops.base.environments import SHARED
from mlops.base.errors import MlopsError, UsageError, errors_of, require_none
from mlops.base.waiting import Clock
from mlops.deployment import across, functions, guardrails, readiness, templates
from mlops.deployment.checks import settings
from mlops.deployment.checks.finding import Finding, require
from mlops.deployment.cloudformation import Deployed, Plan, StackService
from mlops.deployment.rollout import ATTEMPT, PACKAGE, SHADOW, Rollout
from mlops.deployment.templates import Template
from mlops.endpoints.sagemaker import AwsEndpoint
from mlops.monitoring import limits as monitoring_limits
from mlops.project import security, stacks
from mlops.project.environment import Environment
from mlops.project.stacks import Placed, Stack
from mlops.project.target import Target
from mlops.registry import promotion
from mlops.registry.live import live, record
from mlops.registry.sagemaker import AwsRegistry
from mlops.registry.versions import TRAIN_ONE, ModelVersion, champion, find
from mlops.retraining import limits
from mlops.store.s3 import S3Store

_ROLE = "CloudFormationRoleArn"
_Checks = Callable[[Target, Mapping[str, Collection[str]], date], list[Finding]]


@dataclass(frozen=True)
class DeployRequest:
    """What to deploy.

    Attributes:
        stacks: The names of the stacks; empty for all.
        account: The name of the account; None for all.
        version: The version to deploy; None for the champion.
        package: The ARN of the version, as a pipeline requests it; nothing is deployed if it is no longer the
            champion.
    """

    stacks: Sequence[str] = ()
    account: str | None = None
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
        target = self.target
        self.chosen = stacks.selected(target.stacks, self.request.stacks, self.request.account)
        accounts = dict.fromkeys(one.account for one in self.chosen)
        self.places = {account: target.in_account(account) for account in accounts}
        self.templates = {account: settings.read(target, account) for account in accounts}
        self.order = [Placed(stack, account) for account in accounts for stack in self.templates[account]]
        self._require_settings()
        self.services = {
            account: StackService(place.account, target.project.slug, self.report, self.clock)
            for account, place in self.places.items()
        }
        self.across = {account: across.values(target, account) for account in accounts}
        self.registered = templates.outputs_of_others(target.project.root, target.shared.settings)

    def run(self) -> Report:
        """Deploy.

        Raises:
            MlopsError: The version is not approved, the account is not ready, the user declines, or an AWS call fails.
                Stacks that were deployed before stay deployed.
        """
        version = self._checked_version()
        if version is None and self._takes_version:
            return Report(self.target.environment, None, superseded=True, stacks=())
        done: list[Deployed] = []
        outputs = {account: dict(self.registered) for account in self.places}
        for one in self.order:
            if one in self.chosen:
                done.append(self._deploy(one, {**outputs[one.account], **self._known(one, version)}))
            if self._template(one).outputs:
                outputs[one.account] |= self.services[one.account].outputs(self._name(one))
        for account in self.places:
            self._report_findings("Next", self._findings(readiness.after, account))
        live_version = version.version if version else None
        return Report(self.target.environment, live_version, superseded=False, stacks=tuple(done))

    def check(self) -> Report:
        """Make the checks of a deployment, and change nothing.

        Returns:
            What would be deployed, without stacks.

        Raises:
            MlopsError: The version is not approved, an account is not ready, a stack that others use is not deployed,
                or an AWS call fails.
        """
        version = self._checked_version()
        for one in self.order:
            if one not in self.chosen and self._template(one).outputs:
                self.services[one.account].outputs(self._name(one))
        superseded = version is None and self._takes_version
        return Report(self.target.environment, version.version if version else None, superseded, stacks=())

    def _checked_version(self) -> ModelVersion | None:
        """Return the version to deploy, after all checks; None if there is none, or the requested one is superseded."""
        for place in self.places.values():
            place.account.verify()
        version = self._version() if self._takes_version else None
        if version or not self._takes_version:
            self._require_ready()
        return version

    def _require_ready(self) -> None:
        """Make sure that the accounts have what the deployment needs, and report what else is missing.

        Raises:
            MlopsError: Something is missing; the message lists all of it in one account.
        """
        for account, place in self.places.items():
            found = self._findings(readiness.before, account)
            self._report_findings("Warning", [finding for finding in found if not finding.blocks])
            require(found, f"The account {place.account.id} in {place.account.region}")

    def _findings(self, checks: _Checks, account: str) -> list[Finding]:
        names = [stack.name for stack in self._chosen(account)]
        today = date.fromtimestamp(self.clock.time())
        return checks(self.places[account], {self.target.environment: names}, today)

    def _report_findings(self, title: str, findings: Sequence[Finding]) -> None:
        for finding in findings:
            self.report(f"{title}: {finding}")

    @property
    def _takes_version(self) -> bool:
        """Whether one of the chosen stacks takes a version."""
        return any(PACKAGE in self._template(one).parameters for one in self.chosen)

    def _name(self, one: Placed) -> str:
        return self.target.names.stack(one.stack.name, SHARED if one.stack.shared else self.target.environment)

    def _require_settings(self) -> None:
        """Check options and configuration before anything is changed.

        Raises:
            MlopsError: Values are missing or invalid; the message lists those of all accounts.
        """
        if not self._takes_version and (self.request.version is not None or self.request.package):
            raise UsageError(
                f"None of the stacks to deploy to {self.target.environment} takes a version.",
                "Leave out --version and --model-package.",
            )
        require_none(
            error
            for account, place in self.places.items()
            for error in (
                *errors_of(place.require_place),
                *settings.errors(place, self.templates[account], self._chosen(account)),
            )
        )

    def _chosen(self, account: str) -> list[Stack]:
        """Return the chosen stacks of an account."""
        return [one.stack for one in self.chosen if one.account == account]

    def _template(self, one: Placed) -> Template:
        return self.templates[one.account][one.stack]

    def _settings(self, one: Placed) -> Environment:
        return self.places[one.account].settings

    def _values(self, one: Placed, known: Mapping[str, str]) -> dict[str, str]:
        """Return the values of a stack's parameters."""
        return settings.values(self.templates[one.account], known, one.stack, self._settings(one))

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

    def _known(self, one: Placed, version: ModelVersion | None) -> dict[str, str]:
        """Return the values of a stack's parameters that the deployment sets itself."""
        place, declared, project = self.places[one.account], self._template(one).parameters, self.target.project
        known = {"ProjectName": project.slug, "ProjectId": place.names.id}
        if not one.stack.shared or project.layout != stacks.SINGLE:
            known["EnvironmentName"] = place.environment
        if settings.KEY in declared:
            account, key = place.account, functions.key(project.root, project.slug)
            S3Store(account).put_once(account.bucket, key, functions.archive(project.root))
            # Functions are in the bucket that the pipeline reads, and read it as well.
            known |= {settings.BUCKET: account.bucket, settings.KEY: key, "DataBucket": account.bucket}
        known |= self.across[one.account]
        if security.IN_VPC in declared:
            known |= security.Security.of(place.settings).parameters()
        if limits.PARAMETERS.keys() <= declared.keys():
            known |= {name: str(limits.limit(place.settings, key)) for name, key in limits.PARAMETERS.items()}
        if monitoring_limits.PARAMETERS.keys() <= declared.keys():
            known |= monitoring_limits.values(place.settings)
        if version:
            known |= {PACKAGE: version.arn, SHADOW: "", ATTEMPT: "1"}
        return known

    def _deploy(self, one: Placed, known: dict[str, str]) -> Deployed:
        name, template, values = self._name(one), self._template(one), self._values(one, known)
        target, service = self.target, self.services[one.account]
        role = None if one.stack.shared else self._role(known)
        if one.stack.endpoint:
            endpoint = AwsEndpoint.of(target, self.clock)
            minutes = settings.shadow_minutes(self._settings(one), one.stack, template)
            if canary := guardrails.canary(template, values):
                self.report(canary)
            rollout = Rollout(endpoint, service, name, template, role, self.confirm, minutes)
            before = live(target.account, target.names, [target.environment])
            done = rollout.run(values, before.get(target.environment))
        else:
            done = service.put(name, template, values, role=role, confirm=self.confirm)
        if PACKAGE in template.parameters:
            record(target, values[PACKAGE])
        return done

    def _role(self, known: Mapping[str, str]) -> str:
        if _ROLE not in known:
            raise MlopsError(
                "The deployment role does not exist yet: this project's stack workload creates it.",
                f"Deploy that stack first: {MLOPS} deploy --environment {SHARED}",
            )
        return known[_ROLE]
