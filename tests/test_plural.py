import pytest

from bnexp.plural import counted


@pytest.mark.parametrize(
    ("n", "noun", "text"),
    [
        (0, "run", "0 runs"),
        (1, "run", "1 run"),
        (12, "epoch", "12 epochs"),
        (1, "process", "1 process"),
        (2, "process", "2 processes"),
    ],
)
def test_a_noun_follows_its_number(n: int, noun: str, text: str) -> None:
    """One stands alone; all other numbers, zero too, have the plural."""
    assert counted(n, noun) == text
