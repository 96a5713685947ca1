"""Whether EventBridge may do what its rules ask of their targets."""

import re
from typing import Any

from standin.finding import Finding
from standin.template import Template

BY_ROLE = {"batch", "codebuild", "codepipeline", "ecs", "events", "firehose", "kinesis", "sagemaker", "ssm", "states"}
"""Services whose targets a rule reaches with a role of its own."""
BY_POLICY = {"lambda": "AWS::Lambda::Permission", "sns": "AWS::SNS::TopicPolicy", "sqs": "AWS::SQS::QueuePolicy"}
"""Services whose targets say themselves who may reach them, and what says it."""

_SERVICES = {"StepFunctions": "states"}


def findings(resolved: Template) -> list[Finding]:
    """Targets without a role, and targets and dead-letter queues of this template that do not let EventBridge in."""
    found = []
    for name, properties in resolved.properties("AWS::Events::Rule"):
        for index, target in enumerate(properties.get("Targets", [])):
            place = (name, "Properties", "Targets", index)
            service, owner = _service(resolved, target["Arn"])
            if service in BY_ROLE and "RoleArn" not in target:
                found.append(resolved.finding(f"a rule needs a RoleArn to reach {service}", *place))
            queue = target.get("DeadLetterConfig", {}).get("Arn", "")
            for reached, logical_id in ((service, owner), _service(resolved, queue)):
                if logical_id and reached in BY_POLICY and not _lets_in(resolved, BY_POLICY[reached], logical_id):
                    found.append(resolved.finding(f"no {BY_POLICY[reached]} lets EventBridge use {logical_id}", *place))
    return found


def _service(resolved: Template, arn: str) -> tuple[str, str]:
    """The service of a target, and its logical id if it is of this template."""
    if match := re.fullmatch(r"\{\{(\w+)(\.\w+)*\}\}", arn):
        service = resolved.resources[match[1]]["Type"].split("::")[1]
        return _SERVICES.get(service, service.lower()), match[1]
    return [*arn.split(":"), "", "", ""][2], ""


def _lets_in(resolved: Template, kind: str, logical_id: str) -> bool:
    def mentions(properties: dict[str, Any]) -> bool:
        return re.search(rf"\{{\{{{logical_id}[.}}]", str(properties)) is not None

    return any(
        mentions(properties) and "events.amazonaws.com" in str(properties)
        for _, properties in resolved.properties(kind)
    )
