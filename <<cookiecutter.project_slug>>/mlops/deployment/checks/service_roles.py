"""Service-linked roles, which the role that CloudFormation deploys with creates on first use.

It cannot where its permissions boundary forbids that. Whether the boundary does is not evaluated, so these roles are
only looked up in a project with a boundary.
"""

from collections.abc import Iterator

from mlops.base.environments import SHARED
from mlops.deployment import templates
from mlops.deployment.checks.check import Subject
from mlops.deployment.checks.finding import Finding, Level
from mlops.project.account import Account, aws_errors, if_exists
from mlops.project.target import Target

_BOUNDARY = "permissions_boundary_arn"
_ROLES = {
    "AWS::ApplicationAutoScaling::ScalableTarget": (
        "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint",
        "sagemaker.application-autoscaling.amazonaws.com",
    ),
    "AWS::ApiGatewayV2::Api": ("AWSServiceRoleForAPIGateway", "ops.apigateway.amazonaws.com"),
}
"""By type of resource: the role that its service needs, and the service."""


def creatable(subject: Subject) -> Iterator[Finding]:
    """Yield the roles that do not exist and that a permissions boundary may keep a deployment from creating.

    Raises:
        MlopsError: A role cannot be looked up.
    """
    target = subject.target
    boundary = subject.shared.stack("workload").get(_BOUNDARY)
    if not boundary or subject.is_shared:
        return
    for role, service in _needed(target, subject):
        if not _exists(target.account, role):
            yield Finding(
                Level.WARNING,
                what=f"The role {role} does not exist, and {boundary} may forbid deployments to create it.",
                cost="Then the first deployment that needs it fails.",
                remedy=f"aws iam create-service-linked-role --aws-service-name {service}, or allow "
                f"iam:CreateServiceLinkedRole in the boundary that `{_BOUNDARY}` in config/{SHARED}.yaml names.",
            )


def _needed(target: Target, subject: Subject) -> Iterator[tuple[str, str]]:
    chosen = subject.chosen[target.environment]
    own = [one.stack for one in target.stacks if one.stack.name in chosen]
    declared = [templates.read(target.project.root, stack) for stack in own]
    for type_, role in _ROLES.items():
        if any(template.of_type(type_) for template in declared):
            yield role


def _exists(account: Account, role: str) -> bool:
    with aws_errors(f"look up the role {role}"):
        return if_exists(account.iam.get_role, RoleName=role) is not None
