"""The one exception that means: the user can put this right."""


class UsageError(Exception):
    """A wrong argument, file or environment; its message says what to do.

    The command line prints the message alone, without a traceback, and exits with 2.
    Anything else that escapes is a bug of bnexp.
    """


def in_one_line(error: BaseException) -> str:
    """Return what an error says, for a message of ours."""
    return " ".join(str(error).split())
