"""Reading YAML files: a mapping of keys to values, each key once."""

from pathlib import Path
from typing import Any

import yaml

from mlops.base.errors import UsageError


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Rejects duplicate keys, which PyYAML accepts silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping of a node."""
        keys = [key.value for key, _ in node.value]
        for number, (key, _) in enumerate(node.value):
            if key.value in keys[:number]:
                raise yaml.constructor.ConstructorError(None, None, f"`{key.value}` is a duplicate key", key.start_mark)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a file; an empty file is an empty mapping.

    Raises:
        UsageError: The file cannot be read, or it is not a mapping.
    """
    try:
        return parse_yaml(path.read_text(encoding="utf-8"), path)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"Cannot read {path}: {error}", "Correct the file.") from None


def parse_yaml(text: str, path: Path) -> dict[str, Any]:
    """Return the mapping in the text of a file.

    Args:
        text: The text.
        path: The file, for messages.

    Raises:
        UsageError: It is not YAML, or not a mapping.
    """
    try:
        content = yaml.load(text, Loader=Loader)
    except yaml.YAMLError as error:
        reason = str(error).replace("<unicode string>", str(path))
        raise UsageError(f"Cannot read {path}: {reason}", "Correct the file.") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UsageError(f"{path} is not a mapping of keys to values.", "Correct the file.")
    return content
