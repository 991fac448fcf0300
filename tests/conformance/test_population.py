"""Population statistics against two passes in float64, layer by layer."""

import copy
import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from bnexp.config.schema import Config
from bnexp.data.tensors import Split, load
from bnexp.networks.build import build
from bnexp.networks.normalizers import normalizers
from bnexp.norms import FormulaBatchNorm, Whitening
from bnexp.train import evaluate as module
from bnexp.train.statistics import population_statistics
from tests.conformance.cases import KINDS, PLACEMENTS, axes, by_channel

IMAGES = 331


@pytest.fixture
def train(compose: Callable[..., Config]) -> Split:
    """Return the first digits; batches of 97 of them are three whole ones and one of 40."""
    return load(compose("data=digits").data, torch.device("cpu")).train[:IMAGES]


@pytest.fixture(autouse=True)
def unequal_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Evaluate 97 images at a time."""
    monkeypatch.setitem(module.EVAL_BATCH, "cpu", 97)


def cov_of(centered: Tensor, size: int) -> Tensor:
    """Return the biased covariances of each group of channels."""
    flat = centered.transpose(0, 1).flatten(1)
    return torch.stack(
        [flat[at : at + size].cov(correction=0) for at in range(0, len(flat), size)]
    )


def whitened(centered: Tensor, cov: Tensor, layer: Whitening) -> Tensor:
    """Return what the inverse roots, taken from Cholesky's, make of each group."""
    size, y = layer.group_size, torch.empty_like(centered)
    for group, one in enumerate(cov):
        at = slice(group * size, (group + 1) * size)
        root = torch.linalg.cholesky(one + layer.eps * torch.eye(size))
        # The polar factor of a Cholesky root turns it into the symmetric one.
        left, values, _ = torch.linalg.svd(root)
        symmetric = (left * values) @ left.T
        assert torch.allclose(symmetric @ symmetric, one + layer.eps * torch.eye(size).double())
        y[:, at] = torch.einsum("ij,nj...->ni...", torch.linalg.inv(symmetric), centered[:, at])
    return by_channel(layer.weight, y) * y + by_channel(layer.bias, y)


@torch.no_grad()
def oracle(network: nn.Sequential, images: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """Return the population statistics by name, and the logits that they give.

    All images at once, in float64, with a normalization that is written out here.
    """
    exact = copy.deepcopy(network).double().eval()
    x = images.double()
    found = {}
    for name, one in exact.named_children():
        if not isinstance(one, FormulaBatchNorm | Whitening | nn.BatchNorm1d | nn.BatchNorm2d):
            x = one(x)
            continue
        mean = x.sum(axes(x)) * x.shape[1] / x.numel()
        centered = x - by_channel(mean, x)
        if isinstance(one, Whitening):
            cov = cov_of(centered, one.group_size)
            found |= {f"{name}.running_mean": mean, f"{name}.running_cov": cov}
            x = whitened(centered, cov, one)
            continue
        var = centered.square().sum(axes(x)) * x.shape[1] / x.numel()
        found[f"{name}.running_mean"], found[f"{name}.running_var"] = mean, var
        x = centered / by_channel((var + one.eps).sqrt(), x)
        x = by_channel(one.weight, x) * x + by_channel(one.bias, x)
    return found, x


@pytest.mark.parametrize(
    ("name", "placement"),
    [
        *itertools.product(KINDS, PLACEMENTS),
        ("whiten", "before_activation"),
        ("whiten", "after_flatten"),
        ("ghost", "after_pool"),
        ("renorm", "before_activation"),
    ],
)
def test_population_statistics_are_two_passes_over_everything(
    compose: Callable[..., Config], train: Split, name: str, placement: str
) -> None:
    """Each layer has the biased moments of all images, whatever the batches."""
    config = compose(
        f"norm={name}", f"norm.placement={placement}", "model.dropout=0.5", "data=digits"
    )
    network = build(config, 0)
    images, _ = train.batch(slice(None))
    assert len(images) == IMAGES
    network(images[:50])  # buffers that are neither fresh nor right
    expected, logits = oracle(network, images)
    assert len(expected) == 2 * len(normalizers(network, (1, 28, 28))) == 8
    with population_statistics(network, train):
        state = {key: value.clone() for key, value in network.named_buffers()}
        found = network(images)
    for key, value in expected.items():
        # Float32 activations through up to four layers: rounding of 1e-7 each, relative
        # to values that are larger than their spread.
        torch.testing.assert_close(state[key].double(), value, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.double(), logits, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_in_float64_they_are_exact(
    compose: Callable[..., Config],
    train: Split,
    placement: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In float64 nothing but rounding is left between the two."""
    config = compose("norm=batch", f"norm.placement={placement}", "model.dropout=0.5")
    network = build(config, 0).double()
    images = train.batch(slice(None))[0].double()
    plain = Split.batch

    def batch(split: Split, index: slice) -> tuple[Tensor, Tensor]:
        found, labels = plain(split, index)
        return found.double(), labels

    monkeypatch.setattr(Split, "batch", batch)
    expected, logits = oracle(network, images)
    with population_statistics(network, train):
        state = {key: value.clone() for key, value in network.named_buffers()}
        found = network(images)
    for key, value in expected.items():
        torch.testing.assert_close(state[key], value, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(found, logits, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("size", [1, 50, 97, 330, 331, 1000])
def test_the_batches_make_no_difference(
    compose: Callable[..., Config], train: Split, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """One image at a time, unequal batches, or all at once: the statistics are the same."""
    network = build(compose("norm=batch"), 0)
    expected, _ = oracle(network, train.batch(slice(None))[0])
    monkeypatch.setitem(module.EVAL_BATCH, "cpu", size)
    with population_statistics(network, train):
        for key, value in expected.items():
            # As above.
            found = network.get_buffer(key).double()
            torch.testing.assert_close(found, value, rtol=1e-4, atol=1e-5)


def single(name: str, train: Split) -> tuple[nn.Sequential, list[Tensor]]:
    """Return a network with one normalization, and equal batches of the images."""
    torch.manual_seed(0)
    norm = nn.BatchNorm1d(7) if name == "batch" else FormulaBatchNorm(7, 1e-5, 0.1)
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 7), norm)
    return network, [train.batch(slice(k, k + 97))[0] for k in (0, 97, 194)]


@pytest.mark.parametrize("name", KINDS)
def test_equal_batches_give_what_update_bn_gives(name: str, train: Split) -> None:
    """For batches with the same moments `update_bn` has n / (n - 1) times the variance.

    PyTorch averages the *unbiased* variances of the batches, the population's is biased.
    """
    network, batches = single(name, train)
    # `update_bn` looks for PyTorch's layer only.
    theirs = nn.Sequential(*network[:2], nn.BatchNorm1d(7))
    update_bn([batches[0]] * 3, theirs)
    again = Split(train.images[:97].repeat(3, 1, 1, 1), train.labels[:97].repeat(3))
    with population_statistics(network, again):
        found = {key: value.clone() for key, value in network[2].named_buffers()}
    # Float32 sums over 97 values.
    torch.testing.assert_close(
        found["running_mean"], theirs[2].running_mean, rtol=1e-5, atol=1e-6
    )
    torch.testing.assert_close(
        found["running_var"] * 97 / 96, theirs[2].running_var, rtol=1e-5, atol=0
    )


@pytest.mark.parametrize("name", KINDS)
def test_update_bn_leaves_out_the_variance_between_batches(name: str, train: Split) -> None:
    """For other equal batches the means agree, and the variance has a second part."""
    network, batches = single(name, train)
    # `update_bn` looks for PyTorch's layer only.
    theirs = nn.Sequential(*network[:2], nn.BatchNorm1d(7))
    update_bn(batches, theirs)
    with torch.no_grad():
        means = torch.stack([network[:2](batch).mean(0) for batch in batches])
    with population_statistics(network, train[: 3 * 97]):
        found = {key: value.clone() for key, value in network[2].named_buffers()}
    within = theirs[2].running_var * 96 / 97
    between = means.var(0, correction=0)
    assert (between / within).max() > 1e-4  # there is something to leave out
    # Float32 sums over 97 values.
    torch.testing.assert_close(
        found["running_mean"], theirs[2].running_mean, rtol=1e-5, atol=1e-6
    )
    torch.testing.assert_close(found["running_var"], within + between, rtol=1e-5, atol=0)
