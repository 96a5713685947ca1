"""CloudFormation's schema of a resource type, as cfn-lint bundles it."""

from typing import Any

from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

REGION = "us-east-1"


def schema(kind: str) -> dict[str, Any]:
    """The schema of a resource type.

    Raises:
        cfnlint.schema.ResourceNotFoundError: There is no such type.
    """
    found: dict[str, Any] = PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGION, kind).schema
    return found


def create_only(kind: str) -> list[tuple[str, ...]]:
    """The properties of a type that cannot, or cannot always, change in place, as ways to them; `*` is any item."""
    found = schema(kind)
    pointers = [*found.get("createOnlyProperties", []), *found.get("conditionalCreateOnlyProperties", [])]
    return [tuple(pointer.split("/")[2:]) for pointer in pointers]
