"""Names and values in messages, of which there may be any number and which may be of any length."""

import json
from collections.abc import Sequence

LISTED = 10
"""The most names or values that a message lists."""


MESSAGE_BYTES = 2000
"""The most bytes of a message, as ASCII in JSON."""


def listed(names: Sequence[str], most: int = LISTED) -> str:
    """Return names or values for a message: the first `most`, cut to 40 characters, and how many more there are."""
    shown = ", ".join(f"{name:.40}" for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def bounded(message: str) -> str:
    """Return a message, cut to `MESSAGE_BYTES`: names and values in it may be of any length."""
    size = 0
    for place, character in enumerate(message):
        size += len(json.dumps(character)) - 2
        if size > MESSAGE_BYTES:
            return f"{message[:place]} ..."
    return message
