"""Loss and accuracy over a split."""

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from bnexp.config.schema import Config
from bnexp.data.tensors import Dataset
from bnexp.networks.build import build
from bnexp.train.evaluate import evaluate


def trained(compose: Callable[..., Config], data: Dataset, preset: str) -> nn.Sequential:
    """Return a network whose running statistics have seen a batch."""
    network = build(compose(f"preset={preset}", "data=digits"), 0)
    network.train()(data.train.batch(slice(64))[0])
    return network.eval()


def test_running_statistics_are_used_in_evaluation(
    compose: Callable[..., Config], dataset: Dataset
) -> None:
    """Plain evaluation uses and keeps the running statistics, image by image."""
    network = trained(compose, dataset, "d2l_bn")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    whole = evaluate(network, dataset.test, 37)
    assert all(torch.equal(network.state_dict()[name], value) for name, value in before.items())
    # Float32 logits of another batch size, summed in float64.
    assert evaluate(network, dataset.test, 5) == pytest.approx(whole, rel=1e-5)


@pytest.mark.parametrize("batch_size", [1, 5, 36, 37, 100])
def test_evaluation_is_the_mean_over_every_image(
    compose: Callable[..., Config], dataset: Dataset, batch_size: int
) -> None:
    """Loss and accuracy weigh each image alike, those of a last small batch too."""
    network = trained(compose, dataset, "d2l_lenet")
    images, labels = dataset.test.batch(slice(None))
    logits = network(images).detach().double()
    loss, accuracy = evaluate(network, dataset.test, batch_size)
    # The network computes in float32.
    assert loss == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-5)
    assert accuracy == (logits.argmax(1) == labels).sum().item() / 37
