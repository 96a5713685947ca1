"""The one exception that verbs turn into a message for the reader."""


class MlopsError(Exception):
    """Something the reader can act on: what is wrong, where, and what to do.

    Args:
        message: What is wrong and where.
        remedy: What to do about it, as a sentence or a command.
        exit_code: The exit status of the verb: 1 for a failure of the work, 2 for bad arguments or configuration.
    """

    def __init__(self, message: str, remedy: str = "", *, exit_code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.exit_code = exit_code

    def __str__(self) -> str:
        return f"{self.message}\n  {self.remedy}" if self.remedy else self.message
