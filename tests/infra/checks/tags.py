"""Whether every resource that can be tagged says which project and stage it belongs to."""

from typing import Any

from standin.finding import Finding
from standin.schemas import schema
from standin.template import Template

REQUIRED = {"sagemaker:project-name", "sagemaker:project-id", "sagemaker:deployment-stage"}


def findings(resolved: Template) -> list[Finding]:
    """Resources of a resolved template that lack a tag."""
    found = []
    for name, resource in resolved.resources.items():
        if not (key := _tag_property(resource["Type"])):
            continue
        if missing := REQUIRED - _keys(resource.get("Properties", {}).get(key, [])):
            found.append(resolved.finding(f"has no tag {', '.join(sorted(missing))}", name, "Properties", key))
    return found


def _tag_property(kind: str) -> str | None:
    """The property that holds the tags of a type; None if it has none."""
    described = schema(kind)
    tagging = described.get("tagging", {})
    pointer: str = tagging.get("tagProperty", "/properties/Tags")
    name = pointer.rpartition("/")[2]
    return name if tagging.get("taggable", True) and name in described["properties"] else None


def _keys(tags: Any) -> set[str]:
    return set(tags) if isinstance(tags, dict) else {tag["Key"] for tag in tags}
