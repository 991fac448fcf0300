"""Training in bf16: what is rounded, and what is not."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from bnexp.config.schema import Config
from bnexp.data.tensors import Split
from bnexp.networks.build import build
from bnexp.train.cohort import train_epoch
from bnexp.train.optimizers import make_stepper
from bnexp.train.plain import make_optimizer
from bnexp.train.plain import train_epoch as train_plainly
from bnexp.train.precision import NORMALIZATIONS, in_precision
from bnexp.train.program import PLAIN, program_of
from bnexp.train.stack import Stack

CPU = torch.device("cpu")
NORMS = ["batch", "scratch", "layer", "group norm.groups=2"]


@pytest.fixture
def split() -> Split:
    """Return some images."""
    stream = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (32, 1, 28, 28), dtype=torch.uint8, generator=stream)
    return Split(images, torch.randint(0, 10, (32,), generator=stream))


def configured(compose: Callable[..., Config], model: str, norm: str, precision: str) -> Config:
    """Return a run of four steps."""
    return compose(
        *f"model={model} norm={norm} train.precision={precision}".split(),
        *("train.batch_size=8", "optimizer.lr=0.1"),
    )


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("model", ["mlp", "lenet"])
def test_normalizations_compute_in_single_precision(
    compose: Callable[..., Config], split: Split, model: str, norm: str
) -> None:
    """What they are given and give, and their statistics; all else is multiplied in bf16."""
    config = configured(compose, model, norm, "bf16")
    network = build(config, 0)
    seen: dict[str, set[torch.dtype]] = {}

    def look(layer: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
        product = isinstance(layer, nn.Linear | nn.Conv2d)
        kept = [given[0].dtype] if not product else []
        kept += [one.dtype for one in layer.buffers() if one.is_floating_point()]
        normalizes = type(layer).__module__.startswith(NORMALIZATIONS)
        name = "product" if product else "normalization" if normalizes else "other"
        seen.setdefault(name, set()).update([out.dtype, *kept])

    with in_precision(network, config, CPU):
        hooks = [layer.register_forward_hook(look) for layer in network]
        network(split.batch(slice(0, 8))[0])
    assert seen.pop("product") == {torch.bfloat16}
    assert seen["normalization"] == {torch.float32}
    assert not torch.is_autocast_enabled("cpu")
    for hook in hooks:
        hook.remove()
    assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in network)


def test_matrices_of_a_normalization_are_not_rounded(compose: Callable[..., Config]) -> None:
    """Whitening, which multiplies some, gives what it gives without autocast, to the bit."""
    network = build(configured(compose, "mlp", "whiten", "bf16"), 0).train()
    layer = next(one for one in network if type(one).__module__.startswith(NORMALIZATIONS))
    x = torch.randn(64, 32, generator=torch.Generator().manual_seed(0))
    expected = layer(x)
    with in_precision(network, configured(compose, "mlp", "whiten", "bf16"), CPU):
        assert torch.equal(layer(x), expected)
        assert (x @ x.T).dtype == torch.bfloat16


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("model", ["mlp", "lenet"])
def test_a_stack_rounds_as_a_network_alone(
    compose: Callable[..., Config], split: Split, model: str, norm: str
) -> None:
    """Both stay near what single precision gives, and nearer to each other."""
    found = {}
    for precision in ("float32", "bf16"):
        config = configured(compose, model, norm, precision)
        network, order = build(config, 0), torch.arange(32)
        optimizer = make_optimizer(config, network)
        alone, _, _ = train_plainly(network, optimizer, split, order, config)
        stack = Stack([build(config, seed) for seed in (0, 1)], (1, 28, 28))
        stepper = make_stepper(list(stack.learned.values()), [config] * 2)
        losses, _, _ = train_epoch(stack, stepper, split, order.expand(2, -1), config)
        found[precision] = torch.stack([alone, losses[:, 0]])
        assert {one.dtype for one in network.parameters()} == {torch.float32}
    assert not torch.equal(found["bf16"], found["float32"])
    assert (found["bf16"] - found["float32"]).abs().max() < 0.15
    assert (found["bf16"][0] - found["bf16"][1]).abs().max() < 0.05


def test_what_a_layer_raises_leaves_no_trace(compose: Callable[..., Config]) -> None:
    """A normalization that fails leaves autocast as it is outside."""
    config = configured(compose, "mlp", "batch", "bf16")
    network = nn.Sequential(nn.BatchNorm1d(3))
    with pytest.raises(ValueError, match="expected"), in_precision(network, config, CPU):
        network(torch.zeros(3))
    assert not torch.is_autocast_enabled("cpu")
    assert not network[0]._forward_pre_hooks


def test_no_kernel_of_ours_trains_in_bf16(compose: Callable[..., Config]) -> None:
    """Dense networks train stacked, and convolutions, on a CPU, one by one."""
    assert program_of(configured(compose, "mlp", "batch", "bf16"), CPU).name == "stacked"
    assert program_of(configured(compose, "lenet", "batch", "bf16"), CPU) == PLAIN
