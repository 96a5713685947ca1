"""The sound template, and faults seeded into it."""

import copy
import json
from pathlib import Path
from typing import Any

from standin.template import Template, load, parse

SOUND = load(Path(__file__).parent / "templates" / "sound.yaml")
REMOVED = object()
PARAMETERS = {"ProjectName": "doctor-visits", "ProjectId": "p-0123456789ab"}


def changed(changes: dict[str, Any], template: Template = SOUND) -> Template:
    """A template with some values replaced.

    Args:
        changes: New values by their place below Resources: `Bucket/Properties/BucketName`. The number of an item that
            does not exist yet appends; `REMOVED` removes.
        template: What to change.
    """
    data = copy.deepcopy(template.data)
    for place, value in changes.items():
        *way, last = [int(step) if step.isdigit() else step for step in place.split("/")]
        parent: Any = data["Resources"]
        for step in way:
            parent = parent[step]
        if value is REMOVED:
            del parent[last]
        elif isinstance(parent, list) and last == len(parent):
            parent.append(copy.deepcopy(value))
        else:
            parent[last] = copy.deepcopy(value)
    return parse(json.dumps(data, indent=1))
