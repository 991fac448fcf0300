"""The CPU's blocks and kernels against PyTorch's own layers, in single precision."""

import copy
import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bnexp.config.schema import Config
from bnexp.data.tensors import Split
from bnexp.networks.build import build
from bnexp.train.cpu import kernels
from bnexp.train.cpu.blocks import Block, blocked
from bnexp.train.optimizers import make_stepper

pytestmark = pytest.mark.skipif(kernels.library() is None, reason="no C compiler")

# Channels in, side of kernel, padding, side of the image: first and later convolutions.
CONVOLUTIONS = [(1, 5, 0, 28), (1, 5, 2, 28), (6, 5, 0, 12), (6, 5, 0, 14), (32, 3, 0, 26)]
ACTIVATIONS = (None, nn.Sigmoid, nn.ReLU, nn.Tanh)
POOLS = (nn.MaxPool2d, nn.AvgPool2d)


def pair(
    shape: tuple[int, int, int, int],
    norm: bool,
    activation: type[nn.Module] | None,
    pool: type[nn.Module],
) -> tuple[nn.Sequential, nn.Sequential]:
    """Return a network and its twin of the same weights made of blocks."""
    torch.manual_seed(0)
    channels, kernel, padding, _ = shape
    layers: list[nn.Module] = [nn.Conv2d(channels, 6, kernel, padding=padding)]
    if norm:
        layers.append(nn.BatchNorm2d(6))
        nn.init.normal_(layers[-1].weight)
        nn.init.normal_(layers[-1].bias)
    if activation:
        layers.append(activation())
    plain = nn.Sequential(*layers, pool(2, 2))  # type: ignore[call-arg]
    fast = blocked(copy.deepcopy(plain))
    assert [type(layer) for layer in fast] == [Block]
    return plain, fast


def close(found: Tensor, expected: Tensor) -> None:
    """Compare up to the rounding of sums of some thousand floats."""
    scale = float(expected.detach().abs().max()) + 1
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * scale)


@pytest.mark.parametrize(
    ("shape", "norm", "activation", "pool"),
    list(itertools.product(CONVOLUTIONS, (False, True), ACTIVATIONS, POOLS)),
)
def test_a_block_computes_what_its_layers_compute(
    shape: tuple[int, int, int, int],
    norm: bool,
    activation: type[nn.Module] | None,
    pool: type[nn.Module],
) -> None:
    """Output, gradients, running statistics and evaluation agree up to rounding."""
    plain, fast = pair(shape, norm, activation, pool)
    x = torch.randn(16, shape[0], shape[3], shape[3], requires_grad=True)
    twin = x.detach().clone().requires_grad_()
    expected, found = plain(x), fast(twin)
    close(found, expected)
    gradient = torch.randn_like(expected)
    expected.backward(gradient)
    found.backward(gradient)
    assert x.grad is not None
    assert twin.grad is not None
    close(twin.grad, x.grad)
    named = dict(plain.named_parameters())
    for (name, one), other in zip(named.items(), fast.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        if norm and name == "0.bias":
            # BN takes the bias away: both gradients are zero but for rounding.
            assert max(one.grad.abs().max(), other.grad.abs().max()) < 1e-3
        else:
            close(other.grad, one.grad)
    for one, other in zip(plain.buffers(), fast.buffers(), strict=True):
        close(other.float(), one.float())
    close(fast.eval()(x), plain.eval()(x))


def test_of_equal_values_the_first_gets_the_gradient() -> None:
    """Where a window's values are equal, max pooling sends all back to the first."""
    plain = nn.Sequential(nn.ReLU(), nn.MaxPool2d(2, 2))
    x = torch.ones(2, 3, 4, 4, requires_grad=True)
    twin = x.detach().clone().requires_grad_()
    plain(x).sum().backward()
    blocked(plain)(twin).sum().backward()
    assert x.grad is not None
    assert twin.grad is not None
    assert torch.equal(x.grad, twin.grad)


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("place", range(4))
def test_nan_is_not_lost(
    pool: type[nn.Module], activation: type[nn.Module] | None, place: int
) -> None:
    """A value that is not a number makes its window's result none, wherever it stands."""
    layers = [activation()] if activation else []
    fast = blocked(nn.Sequential(*layers, pool(2, 2)).float())  # type: ignore[call-arg]
    x = torch.zeros(1, 1, 4, 4)
    x[0, 0, place // 2, place % 2] = torch.nan
    found = fast(x)
    assert found[0, 0, 0, 0].isnan()
    assert not found[0, 0, 1, 1].isnan()


def test_a_network_of_blocks_shares_its_layers(compose: Callable[..., Config]) -> None:
    """Blocks have the very parameters and buffers of the network, in the same order."""
    network = build(compose("model=lenet", "norm=batch"), 0)
    fast = blocked(network)
    assert sum(isinstance(layer, Block) for layer in fast) == 2
    assert [id(p) for p in fast.parameters()] == [id(p) for p in network.parameters()]
    assert {id(b) for b in fast.buffers()} == {id(b) for b in network.buffers()}


def test_other_precisions_and_odd_sides_are_left_to_pytorch(
    compose: Callable[..., Config],
) -> None:
    """The kernels know floats and whole windows; anything else gives the same anyway."""
    network = build(compose("model=lenet"), 0).double()
    assert blocked(network) is network
    odd = nn.Sequential(nn.Conv2d(1, 2, 4), nn.ReLU(), nn.MaxPool2d(2, 2))
    x = torch.randn(3, 1, 28, 28)
    assert torch.equal(blocked(odd)(x), odd(x))


@pytest.mark.parametrize(
    "layers",
    [
        (nn.Conv2d(1, 4, 3), nn.MaxPool2d(3)),
        (nn.Conv2d(1, 4, 3), nn.MaxPool2d(2, dilation=2)),
        (nn.Conv2d(1, 4, 3), nn.AvgPool2d(2, divisor_override=3)),
        (nn.Conv2d(1, 4, 3, dilation=2), nn.MaxPool2d(2)),
        (nn.Conv2d(1, 4, 3, padding="same"), nn.MaxPool2d(2)),
        (nn.Conv2d(1, 4, 3, padding=1, padding_mode="circular"), nn.MaxPool2d(2)),
        (nn.BatchNorm2d(1, track_running_stats=False), nn.MaxPool2d(2)),
    ],
)
def test_what_the_kernels_do_not_compute_is_left_alone(layers: tuple[nn.Module, ...]) -> None:
    """A user's network with other convolutions, poolings or statistics gives what it gives."""
    network = nn.Sequential(*layers).eval()
    x = torch.rand(2, 1, 28, 28)
    torch.testing.assert_close(blocked(network)(x), network(x))


def test_adam_in_c_is_adam(compose: Callable[..., Config]) -> None:
    """Twenty steps of the kernel and of PyTorch's operations agree up to rounding."""
    configs = [
        compose("optimizer=adam", f"optimizer.lr={lr}", f"optimizer.weight_decay={decay}")
        for lr, decay in ((0.001, 0.0), (0.01, 0.1))
    ]
    torch.manual_seed(0)
    start = torch.randn(2, 5, 7)
    # The kernel is for floats; in double precision PyTorch's operations run.
    p, q = start.mT.contiguous().mT, start.double()
    fast, slow = make_stepper([p], configs), make_stepper([q], configs)
    for _ in range(20):
        gradient = torch.randn(2, 5, 7)
        fast.step([gradient])
        slow.step([gradient.double()])
    torch.testing.assert_close(p.double(), q, rtol=1e-5, atol=1e-6)


def test_without_a_compiler_pytorch_does_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, compose: Callable[..., Config]
) -> None:
    """A compiler that is missing or fails leaves the network as it is."""
    network = build(compose("model=lenet"), 0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name, value in (("CC", "/bin/false"), ("BNEXP_KERNELS", "off")):
        monkeypatch.setenv(name, value)
        kernels.library.cache_clear()
        try:
            assert blocked(network) is network
        finally:
            kernels.library.cache_clear()
        monkeypatch.delenv(name)
    assert list(tmp_path.rglob("*.so")) == []


def test_batches_are_the_same_images(rng: object) -> None:
    """Images chosen by index are those at these positions."""
    images = torch.randint(0, 256, (9, 1, 28, 28), dtype=torch.uint8)
    split = Split(images, torch.arange(9))
    found, labels = split.batch(torch.tensor([3, 0, 3]))
    assert torch.equal(found, images[[3, 0, 3]].float() / 255)
    assert labels.tolist() == [3, 0, 3]
