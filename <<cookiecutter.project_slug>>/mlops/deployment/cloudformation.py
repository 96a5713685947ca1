"""Stacks in CloudFormation: plan a change, execute it, and find out why it failed."""

import hashlib
import json
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mlops.base.errors import MlopsError
from mlops.base.files import DIGEST_LENGTH
from mlops.base.outcomes import CREATED, UNCHANGED, UPDATED
from mlops.base.waiting import RESUME, Clock, wait
from mlops.deployment.left_behind import left_behind
from mlops.deployment.templates import Template
from mlops.project.account import Account, aws_errors, if_exists
from mlops.store.s3 import S3Store

IN_PLACE, REPLACED, PERHAPS_REPLACED = "modify in place", "REPLACE", "modify, perhaps REPLACE"

_ACTIONS = {"Add": "add", "Remove": "remove", "Import": "import, it exists"}
_REPLACEMENTS = {"True": REPLACED, "Conditional": PERHAPS_REPLACED}

_INLINE_BYTES = 51_200
_IMPORTED = ("Type", "DeletionPolicy", "UpdateReplacePolicy")
"""The attributes of a resource, besides its properties, in the template of an import."""

NEW = "REVIEW_IN_PROGRESS"
NEVER_COMPLETED = "ROLLBACK_COMPLETE"
_PREPARING = ("CREATE_PENDING", "CREATE_IN_PROGRESS")
_DONE = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE")
_STARTS = ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "IMPORT_IN_PROGRESS", "DELETE_IN_PROGRESS")
_GONE = "gone"
_NO_CHANGES = ("didn't contain changes", "No updates are to be performed")
_CANCELLED = re.compile(r"Resource \w+ cancelled")
_HANDLER = re.compile(r'Resource handler returned message: "(?P<message>.*)" \(RequestToken: .*\)', re.DOTALL)
_REQUEST = re.compile(r" ?\(Service: [^()]*(Request ID|Status Code)[^()]*\)")

STUCK = {
    "UPDATE_ROLLBACK_FAILED": (
        "an update and its rollback failed",
        "Fix the cause, roll back with `aws cloudformation continue-update-rollback --stack-name {name}`, and deploy "
        "again.",
    ),
    "ROLLBACK_FAILED": (
        "its creation failed, and not all of it could be deleted",
        "Fix the cause, delete the stack with `aws cloudformation delete-stack --stack-name {name}`, and deploy again.",
    ),
    "CREATE_FAILED": (
        "its creation failed",
        "Fix the cause, delete the stack with `aws cloudformation delete-stack --stack-name {name}`, and deploy again.",
    ),
    "IMPORT_ROLLBACK_FAILED": (
        "the import of existing resources and its rollback failed",
        "Fix the cause, delete the stack with `aws cloudformation delete-stack --stack-name {name}`, which keeps "
        "retained resources, and deploy again.",
    ),
    "DELETE_FAILED": (
        "not all of it could be deleted",
        "Fix the cause, then delete the stack with `aws cloudformation delete-stack --stack-name {name}`.",
    ),
}
"""States that need manual intervention: what happened, and the remedy."""


@dataclass(frozen=True)
class Change:
    """The change of a resource.

    Attributes:
        action: The action, as text.
        logical_id: The logical id of the resource.
        type: The type of the resource.
    """

    action: str
    logical_id: str
    type: str

    def __str__(self) -> str:
        return f"{self.action:<{len(IN_PLACE)}}  {self.logical_id} ({self.type})"


@dataclass(frozen=True)
class Plan:
    """A change set.

    Attributes:
        stack: The name of the stack.
        id: The ARN of the change set.
        creates: Whether it creates the stack.
        changes: The changes of resources.
    """

    stack: str
    id: str
    creates: bool
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class Deployed:
    """The result of deploying a stack.

    Attributes:
        stack: The name of the stack.
        outcome: `created`, `updated` or `unchanged`.
        changes: The changes of resources.
    """

    stack: str
    outcome: str
    changes: tuple[Change, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether the stack was changed."""
        return self.outcome != UNCHANGED


class FailedChangeError(MlopsError):
    """A change of a stack was started and failed."""


@dataclass(frozen=True)
class StackService:
    """The stacks of one account and Region.

    Attributes:
        account: The account.
        slug: The project's short name, the key prefix of templates in S3.
        report: Prints progress.
        clock: The clock; tests replace it.
    """

    account: Account
    slug: str
    report: Callable[[str], None]
    clock: Clock = time

    def describe(self, name: str) -> dict[str, Any] | None:
        """Return CloudFormation's description of a stack; None if it does not exist.

        Raises:
            MlopsError: The call fails.
        """
        with aws_errors(f"look up the stack {name}", RESUME):
            found = if_exists(self.account.cloudformation.describe_stacks, StackName=name)
        return found and found["Stacks"][0]

    def settle(self, name: str) -> str:
        """Wait until no operation is in progress and return the status of the stack; `gone` if it does not exist.

        Raises:
            MlopsError: The operation takes too long, or a call fails.
        """
        reported = ""

        def look() -> str | None:
            nonlocal reported
            described = self.describe(name)
            status = str(described["StackStatus"]) if described else _GONE
            if status == NEW or not status.endswith("_IN_PROGRESS"):
                return status
            if status != reported:
                self.report(f"{name}: {status}")
            reported = status
            return None

        return wait(look, f"The stack {name}", self.clock)

    def parameters(self, name: str) -> dict[str, str]:
        """Return the values of a stack's parameters; empty if it does not exist."""
        described = self.describe(name) or {}
        return {one["ParameterKey"]: one["ParameterValue"] for one in described.get("Parameters", [])}

    def outputs(self, name: str) -> dict[str, str]:
        """Return the outputs of a stack; empty if it does not exist."""
        described = self.describe(name) or {}
        return {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}

    def resources(self, name: str, type_: str) -> dict[str, str]:
        """Return a stack's resources of a type: physical ids by logical id.

        Raises:
            MlopsError: The stack does not exist, or a call fails.
        """
        return {
            resource["LogicalResourceId"]: resource["PhysicalResourceId"]
            for resource in self._resources(name)
            if resource["ResourceType"] == type_
        }

    def _resources(self, name: str) -> Iterator[dict[str, Any]]:
        with aws_errors(f"list the resources of the stack {name}"):
            pages = self.account.cloudformation.get_paginator("list_stack_resources").paginate(StackName=name)
            for page in pages:
                for resource in page["StackResourceSummaries"]:
                    if resource["ResourceStatus"] != "DELETE_COMPLETE":
                        yield resource

    def template(self, name: str) -> Template:
        """Return the template that a stack was deployed with.

        Raises:
            MlopsError: The stack does not exist, or the call fails.
        """
        with aws_errors(f"read the template of the stack {name}"):
            return Template.parse(self.account.cloudformation.get_template(StackName=name)["TemplateBody"])

    def put(
        self,
        name: str,
        template: Template,
        parameters: Mapping[str, str],
        *,
        role: str | None,
        confirm: Callable[[Plan], None],
    ) -> Deployed:
        """Deploy a template to a stack and wait for it; a stack that is up to date is not changed.

        Resources that an earlier stack retained are imported first, in a change set of their own.

        Args:
            name: The stack's name.
            template: The template.
            parameters: Values of its parameters; the others take their defaults.
            role: The role that CloudFormation assumes, which cannot create roles. None for the caller's permissions.
            confirm: Declines a plan by raising an MlopsError.

        Raises:
            FailedChangeError: The change was started and failed; the message gives the reason.
            MlopsError: The plan was declined, or the change could not be started.
        """
        done: list[Plan] = []
        for prepare in (self.plan_import, self.plan):
            plan = prepare(name, template, parameters, role=role)
            if plan is None:
                continue
            self.report(
                "\n".join([f"{name} {'is new' if plan.creates else 'changes'}:", *(f"  {c}" for c in plan.changes)])
            )
            try:
                confirm(plan)
            except MlopsError:
                self.discard(plan)
                raise
            self.execute(plan)
            done.append(plan)
        if not done:
            self.report(f"{name}: {UNCHANGED}")
            return Deployed(name, UNCHANGED)
        changes = tuple(change for plan in done for change in plan.changes)
        return Deployed(name, CREATED if done[0].creates else UPDATED, changes)

    def plan(
        self, name: str, template: Template, parameters: Mapping[str, str], *, role: str | None = None
    ) -> Plan | None:
        """Create the change set that deploys a template to a stack; None if the stack is up to date.

        Waits for an operation in progress. A stack whose creation failed is deleted first.

        Args: as for `put`.

        Raises:
            MlopsError: The stack needs manual intervention, or CloudFormation refuses the change.
        """
        creates = self._ready(name) in (_GONE, NEW)
        given = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
        type_ = "CREATE" if creates else "UPDATE"
        return self._prepare(name, template, creates, role, ChangeSetType=type_, Parameters=given)

    def plan_import(
        self, name: str, template: Template, parameters: Mapping[str, str], *, role: str | None = None
    ) -> Plan | None:
        """Create the change set that imports resources which earlier stacks retained; None if there are none.

        Waits and deletes like `plan`. For an imported resource, the template of the import holds only its name and
        its immutable properties; the next change updates all others.

        Args: as for `put`.

        Raises:
            MlopsError: As for `plan`; or a retained resource is no longer usable.
        """
        if not template.retained():
            return None
        creates = self._ready(name) in (_GONE, NEW)
        held = () if creates else [one["LogicalResourceId"] for one in self._resources(name)]
        found = left_behind(self.account, template, parameters, held)
        if not found:
            return None
        before: Mapping[str, Any] = {} if creates else self.template(name).content
        imported = {
            logical: {
                **{key: value for key, value in template.resources[logical].items() if key in _IMPORTED},
                "Properties": one.properties,
            }
            for logical, one in found.items()
        }
        content = {**before, "Resources": {**before.get("Resources", {}), **imported}}
        identified = [
            {
                "ResourceType": template.resources[logical]["Type"],
                "LogicalResourceId": logical,
                "ResourceIdentifier": one.identifier,
            }
            for logical, one in found.items()
        ]
        kept = [{"ParameterKey": key, "UsePreviousValue": True} for key in before.get("Parameters", {})]
        sent = Template(json.dumps(content, default=str), content)
        return self._prepare(
            name, sent, creates, role, ChangeSetType="IMPORT", Parameters=kept, ResourcesToImport=identified
        )

    def _prepare(self, name: str, template: Template, creates: bool, role: str | None, **request: Any) -> Plan | None:
        """Create a change set and wait until it is ready; None if it would change nothing.

        Raises:
            MlopsError: CloudFormation refuses it.
        """
        request |= {
            "StackName": name,
            "ChangeSetName": f"mlops-{secrets.token_hex(6)}",
            **({"RoleARN": role} if role else {"Capabilities": ["CAPABILITY_NAMED_IAM"]}),
            **self._body(template),
        }
        with aws_errors(f"prepare the change of the stack {name}", RESUME):
            id_ = self.account.cloudformation.create_change_set(**request)["Id"]
            prepared = wait(lambda: self._prepared(id_), f"Preparing the change of {name}", self.clock)
        plan = Plan(name, id_, creates, tuple(self._changes(id_)))
        if prepared["Status"] != "FAILED":
            return plan
        reason = str(prepared.get("StatusReason", "AWS gives no reason"))
        self.discard(plan)
        if any(text in reason for text in _NO_CHANGES):
            return None
        raise MlopsError(
            f"CloudFormation rejects the change of {name}: {_clean_reason(reason)}", "Fix it, and deploy again."
        )

    def discard(self, plan: Plan) -> None:
        """Delete a change set that will not be executed, and the empty stack that was created for it.

        Raises:
            MlopsError: It cannot be deleted.
        """
        with aws_errors(f"delete the change set of {plan.stack}"):
            self.account.cloudformation.delete_change_set(ChangeSetName=plan.id)
        if plan.creates:
            self.delete(plan.stack)

    def execute(self, plan: Plan) -> None:
        """Execute a change set and wait for it.

        Raises:
            FailedChangeError: It failed; the message names the first resource that failed, and the reason.
        """
        with aws_errors(f"change the stack {plan.stack}"):
            self.account.cloudformation.execute_change_set(ChangeSetName=plan.id)
        status = self.settle(plan.stack)
        if status in _DONE:
            return
        if status in STUCK:
            raise self._stuck(plan.stack, status)
        verb, after = ("create", "It was deleted") if plan.creates else ("update", "It was rolled back")
        raise FailedChangeError(
            f"Failed to {verb} the stack {plan.stack}: {self._first_failure(plan.stack, _STARTS)}",
            f"{after}. Fix the cause, and deploy again.",
        )

    def delete(self, name: str) -> None:
        """Delete a stack in any state, and wait until it is gone.

        Raises:
            MlopsError: A resource cannot be deleted; the message names it and the reason.
        """
        if self.settle(name) == _GONE:
            return
        with aws_errors(f"delete the stack {name}"):
            self.account.cloudformation.delete_stack(StackName=name)
        status = self.settle(name)
        if status != _GONE:
            raise self._stuck(name, status)

    def _ready(self, name: str) -> str:
        """Wait until a stack can be changed and return its status.

        Raises:
            MlopsError: It needs manual intervention.
        """
        status = self.settle(name)
        if status in STUCK:
            raise self._stuck(name, status)
        if status != NEVER_COMPLETED:
            return status
        self.report(f"The creation of {name} failed earlier: what is left of it is deleted first.")
        self.delete(name)
        return _GONE

    def _body(self, template: Template) -> dict[str, str]:
        content = template.text.encode()
        if len(content) <= _INLINE_BYTES:
            return {"TemplateBody": template.text}
        key = f"{self.slug}/templates/{hashlib.sha256(content).hexdigest()[:DIGEST_LENGTH]}.yaml"
        S3Store(self.account).put_once(self.account.bucket, key, content)
        return {"TemplateURL": f"https://{self.account.bucket}.s3.{self.account.region}.amazonaws.com/{key}"}

    def _prepared(self, change_set: str) -> dict[str, Any] | None:
        described: dict[str, Any] = self.account.cloudformation.describe_change_set(ChangeSetName=change_set)
        return None if described["Status"] in _PREPARING else described

    def _changes(self, change_set: str) -> Iterator[Change]:
        with aws_errors("read the change set"):
            pages = self.account.cloudformation.get_paginator("describe_change_set").paginate(ChangeSetName=change_set)
            for page in pages:
                for change in page.get("Changes", []):
                    resource = change["ResourceChange"]
                    yield Change(_action(resource), resource["LogicalResourceId"], resource["ResourceType"])

    def _stuck(self, name: str, status: str) -> FailedChangeError:
        happened, remedy = STUCK.get(status, (f"it is {status}", "See its events in the CloudFormation console."))
        starts = (f"{status.removesuffix('_FAILED')}_IN_PROGRESS",) if "ROLLBACK" in status else _STARTS
        reason = self._first_failure(name, starts)
        return FailedChangeError(
            f"The stack {name} needs manual intervention: {happened}: {reason}", remedy.format(name=name)
        )

    def _first_failure(self, name: str, starts: tuple[str, ...]) -> str:
        """Return the first failure since the last operation on a stack started, in the innermost stack."""
        failure: dict[str, str] = {}
        with aws_errors(f"find out what failed in {name}"):
            for event in self._events(name):  # newest first
                of_stack = event["PhysicalResourceId"] == event["StackId"]
                if of_stack and event["ResourceStatus"] in starts:
                    break
                cancelled = _CANCELLED.match(event.get("ResourceStatusReason", ""))
                if event["ResourceStatus"].endswith("_FAILED") and not cancelled and not (of_stack and failure):
                    failure = event
        if not failure:
            return "CloudFormation gives no reason."
        nested = str(failure["PhysicalResourceId"])
        if failure["ResourceType"] == "AWS::CloudFormation::Stack" and nested not in ("", failure["StackId"]):
            return self._first_failure(nested, starts)
        reason = _clean_reason(failure.get("ResourceStatusReason", "AWS gives no reason"))
        return f"{failure['LogicalResourceId']} ({failure['ResourceType']}): {reason}"

    def _events(self, name: str) -> Iterator[dict[str, Any]]:
        pages = self.account.cloudformation.get_paginator("describe_stack_events").paginate(StackName=name)
        return (event for page in pages for event in page["StackEvents"])


def _action(resource: Mapping[str, Any]) -> str:
    if resource["Action"] == "Modify":
        return _REPLACEMENTS.get(resource.get("Replacement", ""), IN_PLACE)
    return _ACTIONS.get(resource["Action"], str(resource["Action"]))


def _clean_reason(reason: str) -> str:
    """Strip a reason of request ids and the like."""
    handler = _HANDLER.fullmatch(reason.strip())
    message = _REQUEST.sub("", handler["message"] if handler else reason).strip().rstrip(".")
    return f"{message}."
