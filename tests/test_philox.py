from ctypes import c_int64

import pytest
import torch
from torch import Tensor
from torch.func import vmap

from bnexp.philox import WORDS, normal, philox, words
from bnexp.train.cpu.kernels import library, pointers

# The published vectors: counter, key, result.
KNOWN = [
    ("0 0 0 0", "0 0", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff " * 4, "ffffffff " * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    (
        "243f6a88 85a308d3 13198a2e 03707344",
        "a4093822 299f31d0",
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ),
]
KEY = torch.tensor([123, 2**32 - 5])


def numbers(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


def drawn(n: int, step: int = 1, stream: int = 0) -> Tensor:
    return words(KEY, torch.tensor(step), n, stream)


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_the_vectors_of_its_authors(counter: str, key: str, expected: str) -> None:
    """It is the generator of Salmon et al., as their Random123 library tests it."""
    found = philox(tuple(map(torch.tensor, numbers(counter))), torch.tensor(numbers(key)))
    assert [int(word) for word in found] == numbers(expected)


def test_golden_words() -> None:
    """A known stream stands still: a change here makes stored runs unrepeatable."""
    expected = [497139656, 37910182, 2367562506, 1260654, 1476269004]
    assert drawn(5, step=2**32 + 7, stream=1).tolist() == expected


def test_a_word_is_a_function_of_its_place() -> None:
    """However many are drawn, at once or in parts; a step and a stream have their own."""
    most = drawn(40_000)
    assert 0 <= int(most.min()) <= int(most.max()) < WORDS
    for n in (0, 1, 3, 4, 5, 16_385):
        assert torch.equal(drawn(n), most[:n])
    others = [drawn(1000, step=2), drawn(1000, step=1 + 2**32), drawn(1000, stream=1)]
    for at, one in enumerate([most[:1000], *others]):
        assert not any((one == other).any() for other in others[at:])


def test_many_networks_draw_what_each_draws() -> None:
    """Stacked by `vmap`, each has its own key and step."""
    keys, steps = torch.randint(WORDS, (3, 2)), torch.tensor([1, 5, 2])
    found = vmap(lambda key, step: words(key, step, 10, 2))(keys, steps)
    for key, step, one in zip(keys, steps, found, strict=True):
        assert torch.equal(one, words(key, step, 10, 2))


@pytest.mark.skipif(library() is None, reason="no C compiler")
def test_the_c_kernel_draws_the_same_bits() -> None:
    """Of any length, and of steps behind 32 bits."""
    for n in (1, 3, 4, 63, 64, 65, 1000):
        for step, stream in ((1, 0), (2**32 + 3, 2)):
            found = torch.empty(n, dtype=torch.int64)
            library().bnexp_words(  # type: ignore[union-attr]
                *map(c_int64, (*KEY.tolist(), step, stream, n)), *pointers(found)
            )
            assert torch.equal(found, drawn(n, step, stream))


def test_words_are_uniform_and_normals_normal() -> None:
    """Bits are set half of the time; mean, spread, skewness and tails are those of N(0, 1)."""
    n = 2**18
    taken = drawn(n)
    for bit in range(32):
        share = ((taken >> bit) & 1).double().mean().item()
        assert abs(share - 0.5) < 5 * 0.5 / n**0.5
    x = normal(taken)
    assert x.isfinite().all()
    # Standard errors of the moments of n normal numbers; five of them.
    for power, expected, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        found = (x**power).mean().item()
        assert abs(found - expected) < 5 * (variance / n) ** 0.5
    assert abs((x[::2] * x[1::2]).mean().item()) < 5 / (n / 2) ** 0.5
