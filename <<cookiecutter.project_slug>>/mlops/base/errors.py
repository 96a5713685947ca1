"""The exceptions that verbs report as messages to the user."""

from collections.abc import Callable, Iterable, Sequence


class MlopsError(Exception):
    """A failure that the user can act on: what is wrong, where, and what to do.

    Args:
        message: What is wrong and where.
        remedy: What to do about it, as a sentence or a command.

    Attributes:
        exit_code: The exit status of the verb.
    """

    exit_code = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n  {self.remedy}" if self.remedy else self.message


class UsageError(MlopsError):
    """Invalid arguments, configuration or input."""

    exit_code = 2


class DamagedError(MlopsError):
    """A file whose content is not what it was."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a question with the nearest of the known names, and a space after it; empty if none is near."""
    from difflib import get_close_matches  # only for an error

    return "".join(f"Did you mean `{near}`? " for near in get_close_matches(name, sorted(known), n=1))


class CombinedError(UsageError):
    """Several errors at once.

    Args:
        errors: The errors.

    Attributes:
        errors: The errors.
    """

    def __init__(self, errors: Sequence[MlopsError]) -> None:
        super().__init__("\n".join(["Several values are missing or invalid:", *map(str, errors)]))
        self.errors = errors


def errors_of(action: Callable[[], object]) -> Sequence[MlopsError]:
    """Return the errors that an action raises, for callers that list all of them; empty if it succeeds."""
    try:
        action()
    except CombinedError as combined:
        return combined.errors
    except MlopsError as error:
        return [error]
    return []


def require_none(errors: Iterable[MlopsError]) -> None:
    """Raise errors: the only one, or one that lists them all.

    Raises:
        MlopsError: There is at least one error.
    """
    distinct = list({str(error): error for error in errors}.values())
    if len(distinct) == 1:
        raise distinct[0]
    if distinct:
        raise CombinedError(distinct)
