"""A number with its noun, a time with its unit."""


def counted(n: int, noun: str) -> str:
    """Return 1 run, 2 runs, 2 processes."""
    return f"{n} {plural(n, noun)}"


def plural(n: int, noun: str) -> str:
    """Return a noun as it stands after a number."""
    return f"{noun}{'' if n == 1 else 'es' if noun.endswith('s') else 's'}"


def duration(seconds: float) -> str:
    """Return a time as a reader says it: 40 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
