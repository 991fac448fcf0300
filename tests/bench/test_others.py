"""What else trains small networks fast: it computes what it stands for."""

from collections.abc import Callable

import pytest
import torch
from torch.nn import functional as F

from bnexp.bench import others
from bnexp.config.schema import Config
from bnexp.networks.build import build


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("overrides", ["preset=d2l_bn", "preset=lab_mlp norm=batch"])
def test_grouped_networks_compute_what_each_computes(
    compose: Callable[..., Config], overrides: str
) -> None:
    """Logits and gradients of three networks in one are those of each, to 1e-10."""
    config = compose(*overrides.split())
    networks = [build(config, seed) for seed in range(3)]
    together = others.Grouped(networks)
    images = torch.rand(3, 4, 1, 28, 28)
    logits = together(images)
    assert logits.shape == (3, 4, 10)
    labels = torch.randint(10, (3, 4))
    loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum")
    (found,) = torch.autograd.grad(loss, next(together.parameters()))
    for row, network in enumerate(networks):
        own = network(images[row])
        torch.testing.assert_close(logits[row], own, rtol=1e-10, atol=1e-10)
        first = next(network.parameters())
        (expected,) = torch.autograd.grad(
            F.cross_entropy(own, labels[row], reduction="sum"), first
        )
        part = found.view(3, *first.shape) if found.dim() == 4 else found.mT
        torch.testing.assert_close(part[row], expected, rtol=1e-10, atol=1e-10)


def test_they_have_speeds(
    compose: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Grouped networks are timed; so is a compiled step, whatever compiles it."""
    config = compose("data=digits", "model=mlp", "model.hidden=[8]", "train.batch_size=32")
    threads = torch.get_num_threads()
    assert (others.grouped(config, "cpu", 2) or 0) > 0
    asked: list[str] = []

    def compile_(function: Callable[..., object], mode: str) -> Callable[..., object]:
        asked.append(mode)
        return function

    monkeypatch.setattr(torch, "compile", compile_)
    assert others.compiled(config, "cpu") > 0
    assert asked == ["default"]
    torch.set_num_threads(threads)
