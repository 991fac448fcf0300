"""What arrives of the gradient at the first layer."""

import copy
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bnexp.config.schema import Config
from bnexp.data.tensors import Dataset, load
from bnexp.metrics.probes.gradients import gradient_ratio
from bnexp.networks.build import build
from bnexp.train.order import first_minibatch

SMALL = ("data=digits", "data.train_size=64", "train.batch_size=32", "train.epochs=2")


def data_of(config: Config) -> Dataset:
    """Return what a configuration trains on."""
    return load(config.data, torch.device("cpu"))


def minibatch(config: Config) -> tuple[Tensor, Tensor]:
    """Return the first minibatch of seed 0."""
    return first_minibatch(config.train, 0, data_of(config).train)


def check_untouched(network: nn.Module, before: nn.Module, images: Tensor) -> None:
    """Check that measuring left a network as the copy from before is.

    Weights, running statistics, mode, hooks, and the streams that its layers draw from.
    """
    assert network.training == before.training
    for layer in network.modules():
        assert not layer._forward_hooks
        assert not layer._forward_pre_hooks
    for name, value in network.state_dict().items():
        assert torch.equal(value, before.state_dict()[name]), name
    assert torch.equal(network.train()(images), before.train()(images))


@pytest.mark.parametrize("model", ["lenet", "mlp"])
def test_the_ratio_is_that_of_backpropagation(
    compose: Callable[..., Config], model: str
) -> None:
    """It is the root mean square of one weight matrix's gradient over the other's, log 10."""
    config = compose(*SMALL, f"model={model}", "norm=batch")
    network, (images, labels) = build(config, 0), minibatch(config)
    weights = [layer.weight for layer in network if isinstance(layer, nn.Linear | nn.Conv2d)]
    F.cross_entropy(network(images), labels).backward()  # type: ignore[no-untyped-call]
    first, last = (float(weights[at].grad.norm()) for at in (0, -1))  # type: ignore[union-attr]
    by_size = math.sqrt(weights[-1].numel() / weights[0].numel())
    assert gradient_ratio(build(config, 0), images, labels) == pytest.approx(
        math.log10(first / last * by_size), abs=1e-4
    )


def test_a_deep_sigmoid_network_loses_its_gradient(compose: Callable[..., Config]) -> None:
    """What 64 sigmoids leave of it is far below the smallest float, and still a number."""
    depth = (*SMALL, "model=mlp", f"model.hidden={[64] * 64}", "model.init=xavier_uniform")
    config = compose(*depth, "model.activation=sigmoid")
    ratio = gradient_ratio(build(config, 0), *minibatch(config))
    assert ratio is not None
    assert -60 < ratio < -30
    relu = compose(*depth, "model.activation=relu", "model.init=kaiming")
    kept = gradient_ratio(build(relu, 0), *minibatch(relu))
    assert kept is not None
    assert abs(kept) < 3


def test_without_a_gradient_there_is_no_ratio(compose: Callable[..., Config]) -> None:
    """A loss that is not finite, and a layer that nothing arrives at, give None."""
    config = compose(*SMALL, "model=mlp")
    for value in (math.nan, 0.0):
        network = build(config, 0)
        with torch.no_grad():
            network.get_submodule("fc2").weight.fill_(value)  # type: ignore[union-attr,operator]
        assert gradient_ratio(network, *minibatch(config)) is None


def test_measuring_leaves_no_trace(compose: Callable[..., Config]) -> None:
    """Weights, running statistics and the stream of the dropout stay as they were."""
    config = compose(*SMALL, "model=mlp", "norm=batch", "model.dropout=0.5")
    network = build(config, 0)
    before = copy.deepcopy(network)
    gradient_ratio(network, *minibatch(config))
    check_untouched(network, before, minibatch(config)[0])
