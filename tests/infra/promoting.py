"""The deploy pipeline in a stand-in account, with the stacks that it needs, and people who decide on versions."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from moto.codepipeline.models import codepipeline_backends

from mlops.base.environments import ENVIRONMENTS
from mlops.registry import promotion
from mlops.registry.packages import versions
from mlops.registry.versions import APPROVED, PENDING, REJECTED, champion
from standin.account import ACCOUNT, REGION, StandInAccount
from standin.buildspecs import Build, BuildProject
from standin.calls import CallRecord
from standin.lambdas import Delivery, deliver
from tests.infra.checks import codepipeline
from tests.infra.deployed import NAMES, Deployed
from tests.infra.rendered import SLUG

BEFORE = ("data", "registry", "execution", "workload", "monitoring", "cicd")
PIPELINE = f"{SLUG}-deploy"
GIVEN = {
    "CloudFormationRoleArn": f"arn:aws:iam::{ACCOUNT}:role/{NAMES.of('deploy')}",
    "ArtifactBucket": NAMES.of("cicd"),
    "ArtifactKeyArn": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/00000000-0000-4000-8000-000000000000",
    "BuildImage": "aws/codebuild/amazonlinux-x86_64-standard:5.0",
}
"""What stands for the outputs of stacks that are left out."""


class Promotion(Deployed):
    """The deploy pipeline and what it needs, in an account."""

    @property
    def group(self) -> str:
        """The name of the model package group, which is that of the project that trains."""
        return self.values["ModelPackageGroup"]

    def register(self, model: str = "s3://models/model.tar.gz") -> str:
        """Register a version that waits for a decision, and return its ARN."""
        arn: str = self.account.client("sagemaker").create_model_package(
            ModelPackageGroupName=self.group,
            ModelApprovalStatus=PENDING,
            CustomerMetadataProperties={"GitCommit": "0"},
            InferenceSpecification={
                "Containers": [{"Image": "image", "ModelDataUrl": model}],
                "SupportedContentTypes": ["text/csv"],
                "SupportedResponseMIMETypes": ["text/csv"],
            },
        )["ModelPackageArn"]
        return arn

    def decide(self, package: str, status: str, time: str = "") -> dict[str, Any]:
        """Approve or reject a version, as in the console, and return the event of it, which is not delivered yet."""
        self.account.client("sagemaker").update_model_package(ModelPackageArn=package, ModelApprovalStatus=status)
        return changed(package, status, ["ModelApprovalStatus"], time or datetime.now(UTC).isoformat())

    def approve(self, package: str, time: str = "") -> dict[str, Any]:
        """The event of an approval."""
        return self.decide(package, APPROVED, time)

    def reject(self, package: str, time: str = "") -> dict[str, Any]:
        """The event of a rejection."""
        return self.decide(package, REJECTED, time)

    def deliver(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """What the function answers to an event that its rule, and only that, wants."""
        [delivery] = deliver(self.account, event)
        return answered(delivery)

    def stamp(self, package: str) -> str | None:
        """When a version was approved, as its metadata says."""
        described = self.account.client("sagemaker").describe_model_package(ModelPackageName=package)
        stamp: str | None = described["CustomerMetadataProperties"].get("approved_at")
        return stamp

    def executions(self) -> list[tuple[str, str]]:
        """Package and state of each execution of the pipeline, the oldest first."""
        executions = codepipeline_backends[self.account.id][self.account.region].pipelines[PIPELINE].executions
        return [(execution.variables[0]["value"], execution.status) for execution in executions.values()]

    def ship(self, package: str, environment: str) -> None:
        """Deploy the package of an execution as a stage does, or end the execution.

        Raises:
            MlopsError: The package may not be deployed; the execution has failed.
        """
        execution = self._under_way(package)
        found = versions(self.account.client("sagemaker"), self.group)
        execution.status = "Failed"
        if promotion.approved(found, package) == champion(found):
            self.set_live(environment, package)
            execution.status = "InProgress"
        else:
            execution.status = "Stopped"

    def set_live(self, environment: str, package: str) -> None:
        """Let a package be live."""
        name = NAMES.live_parameter(environment)
        self.account.client("ssm").put_parameter(Name=name, Value=package, Type="String", Overwrite=True)

    def succeed(self, package: str) -> None:
        """End an execution well."""
        self._under_way(package).status = "Succeeded"

    def live(self) -> dict[str, str]:
        """What is live, by environment."""
        names = {NAMES.live_parameter(environment): environment for environment in ENVIRONMENTS}
        found = self.account.client("ssm").get_parameters(Names=list(names))["Parameters"]
        return {names[each["Name"]]: each["Value"] for each in found}

    def _under_way(self, package: str) -> Any:
        executions = codepipeline_backends[self.account.id][self.account.region].pipelines[PIPELINE].executions
        return next(
            execution
            for execution in executions.values()
            if execution.variables[0]["value"] == package and execution.status == "InProgress"
        )


@dataclass(frozen=True)
class FromRegistry(Promotion):
    """The deploy pipeline and what it needs, where the registry is in another account.

    Attributes:
        registry: The account of the registry.
    """

    registry: StandInAccount = field(kw_only=True)

    @property
    def _decisions(self) -> Promotion:
        return Promotion(self.registry, self.stacks, self.values)

    def register(self, model: str = "s3://models/model.tar.gz") -> str:
        """Register a version that waits for a decision, and return its ARN."""
        return self._decisions.register(model)

    def decide(self, package: str, status: str, time: str = "") -> dict[str, Any]:
        """Approve or reject a version there, and return the event of it, which is not delivered yet."""
        return self._decisions.decide(package, status, time)

    def deliver(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """What the function answers to an event of the registry that reaches the account of the pipeline."""
        [sent, delivery] = deliver(self.registry, event)
        assert (sent.error, delivery.account) == ("", self.account.id)
        return answered(delivery)

    def stamp(self, package: str) -> str | None:
        """When a version was approved, as its metadata says."""
        return self._decisions.stamp(package)


def promoted(
    account: StandInAccount, answers: Mapping[str, str] | None = None, before: Sequence[str] = BEFORE
) -> Promotion:
    """Deploy the pipeline and what it needs.

    Args:
        account: Where.
        answers: Those that are not the default.
        before: The stacks that are deployed before it.
    """
    return Promotion.into(account, answers or {}, (*before, "promotion"), **GIVEN)


def changed(package: str, status: str, fields: list[str], time: str) -> dict[str, Any]:
    """The event that SageMaker sends when something of a version was updated.

    https://docs.aws.amazon.com/sagemaker/latest/dg/automating-sagemaker-with-eventbridge.html
    """
    return {
        "source": "aws.sagemaker",
        "detail-type": "SageMaker Model Package State Change",
        "time": time,
        "resources": [package],
        "detail": {
            "ModelPackageGroupName": package.split("/")[-2],
            "ModelPackageVersion": int(package.rpartition("/")[2]),
            "ModelPackageArn": package,
            "ModelPackageStatus": "Completed",
            "CertifyForMarketplace": False,
            "ModelApprovalStatus": status,
            "UpdatedModelPackageFields": fields,
        },
    }


def answered(delivery: Delivery) -> dict[str, Any]:
    """What a function answered that did not fail."""
    assert delivery.error == ""
    answer: dict[str, Any] = json.loads(json.dumps(delivery.answer))
    return answer


def declared(promotion: Promotion, stage: str, action: str) -> dict[str, Any]:
    """An action of a stage, as the pipeline is deployed."""
    pipeline = promotion.account.client("codepipeline").get_pipeline(name=PIPELINE)["pipeline"]
    actions = next(each["actions"] for each in pipeline["stages"] if each["name"] == stage.title())
    found: dict[str, Any] = next(each for each in actions if each["name"] == action)
    return found


@dataclass(frozen=True)
class Actions:
    """The actions of the deploy pipeline that are builds, which really run.

    Attributes:
        promotion: The pipeline.
        sources: The project as it was released.
        record: Takes the calls of the builds.
        folder: Where they work.
        shown: The variables of the execution, which the actions that ran have filled.
    """

    promotion: Promotion
    sources: Path
    record: CallRecord
    folder: Path
    shown: dict[str, str] = field(default_factory=dict)

    def run(self, stage: str, action: str, package: str = "", execution: str = "") -> Build:
        """Run an action of a stage for an execution."""
        account = self.promotion.account
        if package:
            self.shown.update({"variables.ModelPackageArn": package, "codepipeline.PipelineExecutionId": execution})
        wanted = declared(self.promotion, stage, action)
        configuration = wanted["configuration"]
        text = codepipeline.filled(configuration["EnvironmentVariables"], self.shown)
        [project] = account.client("codebuild").batch_get_projects(names=[configuration["ProjectName"]])["projects"]
        given = [*project["environment"].get("environmentVariables", []), *json.loads(text)]
        runner = BuildProject(
            account,
            self.record,
            project["serviceRole"],
            self.folder / f"{stage}-{action}",
            {variable["name"]: variable["value"] for variable in given},
            {"make": f'exec {shutil.which("make")} -o .venv/.complete "$@"'},
        )
        done = runner.build((self.sources / project["source"]["buildspec"]).read_text(), {"source": self.sources})
        if namespace := wanted.get("namespace"):
            self.shown.update({f"{namespace}.{name}": value for name, value in done.exported.items()})
        return done
