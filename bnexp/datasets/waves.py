"""Vectors to classify, as a pattern for data of one's own."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

CLASSES, TEMPLATE, LENGTH = 10, 12, 40


def load(
    config: Any, noise: float = 0.1, n_train: int = 4_000, n_test: int = 1_000
) -> "tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]":
    """Return signals of ten shapes, each somewhere in a vector of 40 values.

    A shape is a smooth random curve. It is scaled, tilted, put at a random place and covered
    with noise that is as smooth, as the digits of MNIST-1D are.

    Args:
        config: Of which only `config.data` may be read; nothing is here.
        noise: The standard deviation of what covers the shapes, whose own is 1.
        n_train: Vectors to train on.
        n_test: Vectors to test on.

    Source: Greydanus and Kobak (2024), "Scaling down deep learning with MNIST-1D", arXiv
    2011.14439, for the idea; its digits are drawn by hand, these shapes are not.
    """
    import numpy as np

    rng = np.random.default_rng(0)
    shapes = _smooth(rng.normal(size=(CLASSES, TEMPLATE)))
    shapes = (shapes - shapes.mean(1, keepdims=True)) / shapes.std(1, keepdims=True)
    found: list[np.ndarray] = []
    for n in (n_train, n_test):
        labels = rng.integers(0, CLASSES, n)
        scaled = shapes[labels] * rng.uniform(0.6, 1.4, (n, 1))
        tilted = scaled + rng.normal(0, 0.5, (n, 1)) * np.linspace(-1, 1, TEMPLATE)
        start = rng.integers(0, LENGTH - TEMPLATE + 1, (n, 1))
        vectors = np.zeros((n, LENGTH))
        np.put_along_axis(vectors, start + np.arange(TEMPLATE), tilted, axis=1)
        vectors += noise * _smooth(rng.normal(size=(n, LENGTH)))
        found += [vectors.astype(np.float32), labels]
    train, train_labels, test, test_labels = found
    return train, train_labels, test, test_labels


def _smooth(values: "np.ndarray") -> "np.ndarray":
    """Return each value averaged with its neighbours, along the last axis."""
    import numpy as np

    padded = np.pad(values, ((0, 0), (1, 1)), mode="edge")
    return np.asarray((padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]) / 4)
