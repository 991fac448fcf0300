import pytest

from bnexp.plural import counted, duration


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


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (89.4, "89 s"),
        (90, "2 min"),
        (89 * 60, "89 min"),
        (90 * 60, "1.5 h"),
        (100 * 3600, "100.0 h"),
    ],
)
def test_a_time_has_the_unit_that_one_says(seconds: float, said: str) -> None:
    """Seconds below one and a half minutes, minutes below one and a half hours."""
    assert duration(seconds) == said
