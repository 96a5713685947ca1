"""Reading YAML files: a mapping of keys to values, each key once, each value as it is written."""

import math
import re
from pathlib import Path
from typing import Any

import yaml

from mlops.base.errors import UsageError

_PLAIN = {
    "bool": re.compile("true|false", re.IGNORECASE),
    "int": re.compile(r"[-+]?(0|[1-9][0-9]*)"),
    "float": re.compile(r"[-+]?[0-9]*\.?[0-9]*(e[-+]?[0-9]+)?", re.IGNORECASE),
    "timestamp": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}"),
}
"""The notations of a type that YAML 1.1 reads as people do; for it, `0123` is 83, `1:30` is 90, and `no` is false."""


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


class ExactLoader(Loader):
    """Rejects values that YAML changes, too."""


def _unchanged(loader: ExactLoader, node: yaml.ScalarNode) -> Any:
    kind = node.tag.rpartition(":")[2]
    try:
        value = getattr(yaml.SafeLoader, f"construct_yaml_{kind}")(loader, node)
    except ValueError as error:  # no such date, too many digits
        reason = f"`{node.value:.40}`: {error}; put text in quotes"
        raise yaml.constructor.ConstructorError(None, None, reason, node.start_mark) from None
    if isinstance(value, float) and not math.isfinite(value):
        reason = f"`{node.value}` is not a finite number: write one, or '{node.value}' in quotes for the text"
        raise yaml.constructor.ConstructorError(None, None, reason, node.start_mark)
    if _PLAIN[kind].fullmatch(node.value):
        return value
    means = str(value).lower()
    reason = f"`{node.value}` means {means} in YAML: write {means}, or '{node.value}' in quotes for the text"
    raise yaml.constructor.ConstructorError(None, None, reason, node.start_mark)


for _kind in _PLAIN:
    ExactLoader.add_constructor(f"tag:yaml.org,2002:{_kind}", _unchanged)


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a file; an empty file is an empty mapping.

    Raises:
        UsageError: The file cannot be read, it is not a mapping, or YAML changes a value in it.
    """
    try:
        return parse_yaml(path.read_text(encoding="utf-8"), path, ExactLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"Cannot read {path}: {error}", "Correct the file.") from None


def parse_yaml(text: str, path: Path, loader: type[Loader] = Loader) -> dict[str, Any]:
    """Return the mapping in the text of a file.

    Args:
        text: The text.
        path: The file, for messages.
        loader: How it is read.

    Raises:
        UsageError: It is not YAML, or not a mapping.
    """
    try:
        content = yaml.load(text, Loader=loader)
    except (yaml.YAMLError, RecursionError) as error:
        reason = str(error).replace("<unicode string>", str(path))
        raise UsageError(f"Cannot read {path}: {reason}", "Correct the file.") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UsageError(f"{path} is not a mapping of keys to values.", "Correct the file.")
    return content
