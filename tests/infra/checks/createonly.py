"""What updating a stack from one rendering of a template to another replaces."""

from collections.abc import Collection, Iterator
from typing import Any

from standin.finding import Finding
from standin.schemas import create_only
from standin.template import Template
from tests.infra.checks.names import physical_name


def replaced(before: Template, after: Template) -> dict[str, list[str]]:
    """The resources that an update replaces, and the properties that make it so.

    A resource is also replaced when a property that cannot change in place mentions one that is replaced.

    Args:
        before: What is deployed, resolved.
        after: What is to be deployed, resolved.
    """
    causes: dict[str, list[str]] = {}
    while True:
        found = {name: why for name in before.resources if (why := list(_causes(name, before, after, causes)))}
        if found.keys() == causes.keys():
            return found
        causes = found


def findings(before: Template, after: Template, announced: Collection[str] = ()) -> list[Finding]:
    """Replacements that are not announced, any of a named resource, and names that move to another logical id.

    Args:
        before: What is deployed, resolved.
        after: What is to be deployed, resolved.
        announced: Logical ids of resources whose replacement the change log announces.
    """
    found = []
    for name, properties in replaced(before, after).items():
        if physical := physical_name(before, name):
            what = f"changing {', '.join(properties)} replaces {physical}; what has a name is never replaced"
        elif name not in announced:
            what = f"changing {', '.join(properties)} replaces it, unannounced"
        else:
            continue
        found.append(after.finding(what, name))
    before_names = _names(before)
    found += [
        after.finding(f"{key[1]} was {before_names[key]} before: it cannot be made while that exists", name)
        for key, name in _names(after).items()
        if before_names.get(key, name) != name
    ]
    return found


def _causes(name: str, before: Template, after: Template, replaced: Collection[str]) -> Iterator[str]:
    old, new = before.resources[name], after.resources.get(name)
    if new is None:
        return
    if old["Type"] != new["Type"]:
        yield "Type"
        return
    for way in create_only(old["Type"]):
        value = _at(new, way)
        if _at(old, way) != value or any(
            f"{{{{{other}{end}" in str(value) for other in replaced for end in ("}}", ".")
        ):
            yield "/".join(way)


def _at(resource: dict[str, Any], way: tuple[str, ...]) -> list[Any]:
    values = [resource.get("Properties", {})]
    for step in way:
        if step == "*":
            values = [item for value in values if isinstance(value, list) for item in value]
        else:
            values = [value[step] for value in values if isinstance(value, dict) and step in value]
    return values


def _names(template: Template) -> dict[tuple[str, str], str]:
    """The logical id of each type and physical name."""
    return {
        (resource["Type"], physical): name
        for name, resource in template.resources.items()
        if (physical := physical_name(template, name))
    }
