"""The standard streams of a process that was started with some of them closed: `python -m mlops run 2>&-`."""

import io
import os
import sys

_STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


def complete() -> None:
    """Open the null device in place of each closed standard stream, and let names that are not UTF-8 be printed.

    Else `print(..., file=sys.stderr)` writes to standard output, and the first file that this process opens becomes the
    standard stream of its children, which write their messages into it. Call it before any file is opened.
    """
    for number, (name, mode) in enumerate(_STREAMS):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one
            if null != number:
                os.dup2(null, number)
                os.close(null)
            os.set_inheritable(number, True)
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as standard error
