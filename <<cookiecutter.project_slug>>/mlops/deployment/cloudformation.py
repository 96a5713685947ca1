"""Stacks in CloudFormation: what a change would do, doing it, and why it failed."""

import hashlib
import json
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from mlops.base.errors import MlopsError
from mlops.base.files import DIGEST_LENGTH
from mlops.base.outcomes import CREATED, UNCHANGED, UPDATED
from mlops.base.waiting import RESUME, Clock, wait
from mlops.deployment.left_behind import left_behind
from mlops.deployment.templates import Template
from mlops.project.account import Account, aws_errors, is_missing
from mlops.store.s3 import S3Store

IN_PLACE, REPLACED, PERHAPS_REPLACED = "modify in place", "REPLACE", "modify, perhaps REPLACE"

_ACTIONS = {"Add": "add", "Remove": "remove", "Import": "take over, it exists"}
_REPLACEMENTS = {"True": REPLACED, "Conditional": PERHAPS_REPLACED}

_INLINE_BYTES = 51_200
_IMPORTED = ("Type", "DeletionPolicy", "UpdateReplacePolicy")
"""What an import says of a resource besides its properties."""

_NEW = "REVIEW_IN_PROGRESS"
_NEVER_MADE = "ROLLBACK_COMPLETE"
_PREPARING = ("CREATE_PENDING", "CREATE_IN_PROGRESS")
_DONE = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE")
_BEGINNINGS = ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "IMPORT_IN_PROGRESS", "DELETE_IN_PROGRESS")
_GONE = "gone"
_NO_CHANGES = ("didn't contain changes", "No updates are to be performed")
_CANCELLED = re.compile(r"Resource \w+ cancelled")
_HANDLER = re.compile(r'Resource handler returned message: "(?P<said>.*)" \(RequestToken: .*\)', re.DOTALL)
_REQUEST = re.compile(r" ?\(Service: [^()]*(Request ID|Status Code)[^()]*\)")

_STUCK = {
    "UPDATE_ROLLBACK_FAILED": (
        "an update of it failed, and so did bringing it back",
        "Remove the cause, let it go back with `aws cloudformation continue-update-rollback --stack-name {name}`, and "
        "deploy again.",
    ),
    "ROLLBACK_FAILED": (
        "it was never made whole, and not all of it could be removed",
        "Remove the cause, then the rest with `aws cloudformation delete-stack --stack-name {name}`, and deploy again.",
    ),
    "CREATE_FAILED": (
        "it was never made whole",
        "Remove the cause, then the rest with `aws cloudformation delete-stack --stack-name {name}`, and deploy again.",
    ),
    "IMPORT_ROLLBACK_FAILED": (
        "what existed could not be imported, and not all of it could be let go again",
        "Remove the cause, then the stack with `aws cloudformation delete-stack --stack-name {name}`, which keeps what "
        "is retained, and deploy again.",
    ),
    "DELETE_FAILED": (
        "not all of it could be deleted",
        "Remove the cause, then the rest with `aws cloudformation delete-stack --stack-name {name}`.",
    ),
}
"""States that only a person gets a stack out of: what happened, and what to do."""


@dataclass(frozen=True)
class Change:
    """What happens to a resource.

    Attributes:
        action: In words.
        logical_id: Its name in the template.
        type: Its type.
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
        creates: Whether the stack is made by it.
        changes: What happens to its resources.
    """

    stack: str
    id: str
    creates: bool
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class Deployed:
    """What became of a stack.

    Attributes:
        stack: The name of the stack.
        outcome: `created`, `updated` or `unchanged`.
        changes: What happened to its resources.
    """

    stack: str
    outcome: str
    changes: tuple[Change, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether anything of it changed."""
        return self.outcome != UNCHANGED


class FailedChangeError(MlopsError):
    """A change of a stack that was begun and could not be finished."""


@dataclass(frozen=True)
class StackService:
    """The stacks of one account and Region.

    Attributes:
        account: The account.
        slug: The project's short name, which templates in S3 are filed under.
        say: Tells the reader how things go.
        clock: The time.
    """

    account: Account
    slug: str
    say: Callable[[str], None]
    clock: Clock = time

    def describe(self, name: str) -> dict[str, Any] | None:
        """What CloudFormation says of a stack; None when there is none.

        Raises:
            MlopsError: It cannot be asked.
        """
        with aws_errors(f"look up the stack {name}", RESUME):
            try:
                found: dict[str, Any] = self.account.cloudformation.describe_stacks(StackName=name)["Stacks"][0]
            except ClientError as error:
                if is_missing(error):
                    return None
                raise
        return found

    def settle(self, name: str) -> str:
        """The state of a stack once nothing is under way; `gone` when there is none.

        Raises:
            MlopsError: It changes for too long, or cannot be asked.
        """
        reported = ""

        def look() -> str | None:
            nonlocal reported
            described = self.describe(name)
            status = str(described["StackStatus"]) if described else _GONE
            if status == _NEW or not status.endswith("_IN_PROGRESS"):
                return status
            if status != reported:
                self.say(f"{name}: {status}")
            reported = status
            return None

        return wait(look, f"The stack {name}", self.clock)

    def parameters(self, name: str) -> dict[str, str]:
        """The values of a stack's parameters; none without a stack."""
        described = self.describe(name) or {}
        return {one["ParameterKey"]: one["ParameterValue"] for one in described.get("Parameters", [])}

    def outputs(self, name: str) -> dict[str, str]:
        """The outputs of a stack; none without a stack."""
        described = self.describe(name) or {}
        return {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}

    def resources(self, name: str, type_: str) -> dict[str, str]:
        """What a stack has made of a type: physical ids by logical id.

        Raises:
            MlopsError: There is no such stack, or it cannot be asked.
        """
        return {
            resource["LogicalResourceId"]: resource["PhysicalResourceId"]
            for resource in self._resources(name)
            if resource["ResourceType"] == type_
        }

    def _resources(self, name: str) -> Iterator[dict[str, Any]]:
        with aws_errors(f"list what the stack {name} has made"):
            pages = self.account.cloudformation.get_paginator("list_stack_resources").paginate(StackName=name)
            for page in pages:
                for resource in page["StackResourceSummaries"]:
                    if resource["ResourceStatus"] != "DELETE_COMPLETE":
                        yield resource

    def template(self, name: str) -> Template:
        """The template that a stack was made from.

        Raises:
            MlopsError: There is no such stack, or it cannot be asked.
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
        """Bring a stack up to a template, and wait until that is done; nothing is changed when it is so already.

        What an earlier stack has left behind on purpose is imported first, since an import changes nothing else.

        Args:
            name: The stack's name.
            template: The template.
            parameters: Values of its parameters; the others take their defaults.
            role: The role that CloudFormation takes on; it can make no roles. None for the reader's own rights.
            confirm: Refuses a plan by raising an MlopsError.

        Raises:
            FailedChangeError: It was begun and failed; the message says why.
            MlopsError: It was refused, or could not be begun.
        """
        done: list[Plan] = []
        for prepare in (self.plan_import, self.plan):
            plan = prepare(name, template, parameters, role=role)
            if plan is None:
                continue
            self.say(
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
            self.say(f"{name}: {UNCHANGED}")
            return Deployed(name, UNCHANGED)
        changes = tuple(change for plan in done for change in plan.changes)
        return Deployed(name, CREATED if done[0].creates else UPDATED, changes)

    def plan(
        self, name: str, template: Template, parameters: Mapping[str, str], *, role: str | None = None
    ) -> Plan | None:
        """What bringing a stack up to a template would do; None when it is up to it already.

        Waits for what is under way. A stack that was never made whole is removed first.

        Args: as for `put`.

        Raises:
            MlopsError: The stack is in a state that only a person gets it out of, or CloudFormation refuses.
        """
        creates = self._ready(name) in (_GONE, _NEW)
        given = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
        type_ = "CREATE" if creates else "UPDATE"
        return self._prepare(name, template, creates, role, ChangeSetType=type_, Parameters=given)

    def plan_import(
        self, name: str, template: Template, parameters: Mapping[str, str], *, role: str | None = None
    ) -> Plan | None:
        """What importing what earlier stacks have left behind would do; None when there is nothing of it.

        Waits, and removes, as `plan` does. Of an imported resource, the template that is sent says its name and what
        cannot be changed, so that the next change brings everything else of it up to the template.

        Args: as for `put`.

        Raises:
            MlopsError: As for `plan`; or something that was left behind cannot be used any more.
        """
        if not template.retained():
            return None
        creates = self._ready(name) in (_GONE, _NEW)
        made = () if creates else [one["LogicalResourceId"] for one in self._resources(name)]
        found = left_behind(self.account, template, parameters, made)
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
        """A change set that is ready; None when it would change nothing.

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
            made = self.account.cloudformation.create_change_set(**request)["Id"]
            prepared = wait(lambda: self._prepared(made), f"Preparing the change of {name}", self.clock)
        plan = Plan(name, made, creates, tuple(self._changes(made)))
        if prepared["Status"] != "FAILED":
            return plan
        reason = str(prepared.get("StatusReason", "no reason is given"))
        self.discard(plan)
        if any(said in reason for said in _NO_CHANGES):
            return None
        raise MlopsError(
            f"The stack {name} cannot be changed so: {_clean_reason(reason)}", "Correct that, and deploy again."
        )

    def discard(self, plan: Plan) -> None:
        """Remove a change set that is not executed, and the empty stack that it would have filled.

        Raises:
            MlopsError: It cannot be removed.
        """
        with aws_errors(f"remove the change set of {plan.stack}"):
            self.account.cloudformation.delete_change_set(ChangeSetName=plan.id)
        if plan.creates:
            self.delete(plan.stack)

    def execute(self, plan: Plan) -> None:
        """Execute a change set, and wait until that is done.

        Raises:
            FailedChangeError: It failed: the message says what failed first, and why.
        """
        with aws_errors(f"change the stack {plan.stack}"):
            self.account.cloudformation.execute_change_set(ChangeSetName=plan.id)
        status = self.settle(plan.stack)
        if status in _DONE:
            return
        if status in _STUCK:
            raise self._stuck(plan.stack, status)
        verb, after = ("made", "Nothing of it is left") if plan.creates else ("changed", "It is as it was before")
        raise FailedChangeError(
            f"The stack {plan.stack} could not be {verb}: {self._first_failure(plan.stack, _BEGINNINGS)}",
            f"{after}. Remove the cause, and deploy again.",
        )

    def delete(self, name: str) -> None:
        """Delete a stack, in whatever state it is, and wait until it is gone.

        Raises:
            MlopsError: Something of it cannot be deleted: the message says what, and why.
        """
        if self.settle(name) == _GONE:
            return
        with aws_errors(f"delete the stack {name}"):
            self.account.cloudformation.delete_stack(StackName=name)
        status = self.settle(name)
        if status != _GONE:
            raise self._stuck(name, status)

    def _ready(self, name: str) -> str:
        """The state of a stack once it can be changed.

        Raises:
            MlopsError: Only a person gets it out of its state.
        """
        status = self.settle(name)
        if status in _STUCK:
            raise self._stuck(name, status)
        if status != _NEVER_MADE:
            return status
        self.say(f"{name} was never made whole: what is left of it is removed first.")
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
        happened, remedy = _STUCK.get(status, (f"it is {status}", "Look at its events in the CloudFormation console."))
        beginnings = (f"{status.removesuffix('_FAILED')}_IN_PROGRESS",) if "ROLLBACK" in status else _BEGINNINGS
        reason = self._first_failure(name, beginnings)
        return FailedChangeError(f"The stack {name} needs you: {happened}: {reason}", remedy.format(name=name))

    def _first_failure(self, name: str, beginnings: tuple[str, ...]) -> str:
        """What failed first since an operation on a stack began, in its innermost stack, and why."""
        failure: dict[str, str] = {}
        with aws_errors(f"find out what failed in {name}"):
            for event in self._events(name):  # the newest first
                of_stack = event["PhysicalResourceId"] == event["StackId"]
                if of_stack and event["ResourceStatus"] in beginnings:
                    break
                cancelled = _CANCELLED.match(event.get("ResourceStatusReason", ""))
                if event["ResourceStatus"].endswith("_FAILED") and not cancelled and not (of_stack and failure):
                    failure = event
        if not failure:
            return "CloudFormation does not say why."
        nested = str(failure["PhysicalResourceId"])
        if failure["ResourceType"] == "AWS::CloudFormation::Stack" and nested not in ("", failure["StackId"]):
            return self._first_failure(nested, beginnings)
        reason = _clean_reason(failure.get("ResourceStatusReason", "no reason is given"))
        return f"{failure['LogicalResourceId']} ({failure['ResourceType']}): {reason}"

    def _events(self, name: str) -> Iterator[dict[str, Any]]:
        pages = self.account.cloudformation.get_paginator("describe_stack_events").paginate(StackName=name)
        return (event for page in pages for event in page["StackEvents"])


def _action(resource: Mapping[str, Any]) -> str:
    if resource["Action"] == "Modify":
        return _REPLACEMENTS.get(resource.get("Replacement", ""), IN_PLACE)
    return _ACTIONS.get(resource["Action"], str(resource["Action"]))


def _clean_reason(reason: str) -> str:
    """A reason without what only AWS's support reads."""
    handler = _HANDLER.fullmatch(reason.strip())
    said = _REQUEST.sub("", handler["said"] if handler else reason).strip().rstrip(".")
    return f"{said}."
