"""A number with its noun."""


def counted(n: int, noun: str) -> str:
    """Return 1 run, 2 runs, 2 processes."""
    return f"{n} {noun}{'' if n == 1 else 'es' if noun.endswith('s') else 's'}"
