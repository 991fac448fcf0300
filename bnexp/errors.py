"""The one exception that means: the user can put this right. And what any exception says."""

# Of a text that is kept or shown: a traceback is shorter, and a message that is not is no help.
MOST_CHARACTERS = 20_000


class UsageError(Exception):
    """A wrong argument, file or environment; its message says what to do.

    The command line prints the message alone, without a traceback, and exits with 2.
    Anything else that escapes is a bug of bnexp.
    """


def in_one_line(error: BaseException) -> str:
    """Return what an error says, for a message of ours."""
    return " ".join(printable(message_of(error)).split())


def described(error: BaseException) -> str:
    """Return the class of an error and what it says."""
    return printable(f"{type(error).__name__}: {message_of(error)}")


def traceback_of(error: BaseException) -> str:
    """Return an error with the calls that led to it, and the errors behind it."""
    import traceback  # what a command needs only when something went wrong

    try:
        return printable("".join(traceback.format_exception(error)))
    except Exception:  # of a class that tells Python less than its own do
        return described(error)


def message_of(error: BaseException) -> str:
    """Return an error's text as it is, whatever its class makes of being asked for it."""
    try:
        return str(error)
    except BaseException:  # it is code of a user, and may end in anything
        return "it cannot say why"


def printable(text: str, most: int = MOST_CHARACTERS) -> str:
    """Return a text that every file, page and terminal can take: bounded, nothing but letters.

    The middle of a long one is left out; what is no letter (an undecodable byte, a control
    sequence of a terminal) stands as Python would write it.
    """
    if len(text) > most:
        left_out = len(text) - most
        half = most // 2
        text = f"{text[:half]} [{left_out:,} characters left out] {text[-half:]}"
    return "".join(
        one if one.isprintable() or one in "\n\t" else one.encode("unicode_escape").decode()
        for one in text
    )
