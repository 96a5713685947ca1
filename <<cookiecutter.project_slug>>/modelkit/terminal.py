"""Text from outside (names of files, values, answers of services) is shown on a terminal and cannot command it.

`modelkit` and `mlops.base` have the same module, because neither may import the other.
"""

import re
import sys
from collections.abc import Iterable
from typing import Any, TextIO

_COMMANDS = re.compile(
    r"\r(?!\n)"
    r"|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"  # control characters, but tabs and the ends of lines
    r"|[\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"  # invisible
    r"|[\ud800-\udfff]"  # bytes of names that are not UTF-8
)
"""Characters that move the cursor, color, ring, turn the direction of text, are invisible, or cannot be encoded."""


def clean(text: str) -> str:
    r"""Return a text with those characters written as Python does, such as `\x1b`; line ends and tabs stay."""
    return _COMMANDS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class Clean:
    """A text stream that writes what is `clean`.

    Attributes:
        stream: The stream that it writes to.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write a text and return its length; characters that the stream does not have are written as Python does."""
        shown = clean(text)
        try:
            self.stream.write(shown)
        except UnicodeEncodeError as error:
            self.stream.write(shown.encode(error.encoding, "backslashreplace").decode(error.encoding))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def protect() -> None:
    """Clean everything that this process prints from now on, tracebacks included."""
    sys.stdout, sys.stderr = (_protected(stream) for stream in (sys.stdout, sys.stderr))


def terminal() -> TextIO:
    """Return standard error itself, for a program that draws there and cleans what it shows."""
    return sys.stderr.stream if isinstance(sys.stderr, Clean) else sys.stderr


def _protected(stream: Any) -> Any:
    return stream if stream is None or isinstance(stream, Clean) else Clean(stream)
