"""A question before something is removed for good."""

import sys

from bnexp.errors import UsageError


def agreed(question: str, *, yes: bool) -> bool:
    """Return whether the user agrees, who may have done so beforehand.

    Raises:
        UsageError: If there is nobody to ask.
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError(f"{question} There is no terminal to ask in: add --yes to agree")
    try:
        said = input(f"{question} [y/N] ")
    except EOFError:
        said = ""
    if said.strip().lower() in ("y", "yes"):
        return True
    print("nothing was removed")
    return False
