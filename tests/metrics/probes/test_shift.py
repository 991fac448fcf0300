"""How layers' inputs and gradients shift."""

import copy
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bnexp.config.schema import Config
from bnexp.metrics.probes.shift import gradient_shift, input_percentiles, input_shift, one_unit
from bnexp.networks.build import build
from bnexp.train.log import Log
from tests.metrics.probes.test_gradients import SMALL, check_untouched, data_of, minibatch

NOTHING = {"gradient_shift": None, "gradient_cosine": None}


class Product(nn.Sequential):
    """Logits (a b, 0) of every image: the loss is softplus(-a b), whatever the image is."""

    def __init__(self, a: float, b: float) -> None:
        super().__init__(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
        for layer, value in zip(self, (a, b), strict=True):
            nn.init.constant_(layer.weight, value)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits of shape (N, 2)."""
        product = super().forward(torch.ones(len(images), 1, dtype=images.dtype))
        return torch.cat([product, torch.zeros_like(product)], 1)


@pytest.mark.parametrize(("a", "b"), [(1.0, 2.0), (-0.5, 0.3)])
def test_of_a_product_it_is_known(a: float, b: float) -> None:
    """The gradient of the second factor is a times the slope, before and after a's step."""
    lr = 0.8
    images, labels = torch.zeros(4, 1, 28, 28), torch.zeros(4, dtype=torch.int64)

    def slope(product: float) -> float:
        return -1 / (1 + math.exp(product))

    stepped = a - lr * b * slope(a * b)
    before, after = a * slope(a * b), stepped * slope(stepped * b)
    found = gradient_shift(Product(a, b), images, labels, lr)
    assert found["gradient_shift"] == pytest.approx(math.log10(abs(after - before)), abs=1e-6)
    assert found["gradient_cosine"] == pytest.approx(math.copysign(1, before * after))


@pytest.mark.parametrize("what", [("norm=none",), ("norm=batch",), ("norm=noisy",)])
@pytest.mark.parametrize("model", ["lenet", "mlp"])
def test_only_what_lies_before_a_layer_steps(
    compose: Callable[..., Config], model: str, what: tuple[str, ...]
) -> None:
    """It is what an optimizer of the layers before leads to, averaged over the layers."""
    config = compose(*SMALL, f"model={model}", *what)
    images, labels = minibatch(config)
    distances, cosines = [], []
    names = [
        name
        for name, layer in build(config, 0).named_children()
        if isinstance(layer, nn.Linear | nn.Conv2d)
    ]
    for name in names[1:]:
        gradients = []
        for steps in (False, True):
            network = build(config, 0).double().train()
            children = dict(network.named_children())
            in_front = list(children)[: list(children).index(name)]
            if steps:
                twin = copy.deepcopy(network)
                loss = F.cross_entropy(twin(images.double()), labels)
                loss.backward()  # type: ignore[no-untyped-call]
                for one in in_front:
                    pairs = zip(
                        children[one].parameters(),
                        twin.get_submodule(one).parameters(),
                        strict=True,
                    )
                    for parameter, other in pairs:
                        assert other.grad is not None
                        parameter.data -= 0.3 * other.grad
            F.cross_entropy(network(images.double()), labels).backward()  # type: ignore[no-untyped-call]
            weight = network.get_submodule(name).weight
            assert isinstance(weight, nn.Parameter)
            assert weight.grad is not None
            gradients.append(weight.grad.flatten())
        distances.append(float((gradients[0] - gradients[1]).norm().log10()))
        cosines.append(float(F.cosine_similarity(*gradients, dim=0)))
    assert gradient_shift(build(config, 0), images, labels, 0.3) == {
        "gradient_shift": pytest.approx(sum(distances) / len(distances), abs=1e-6),
        "gradient_cosine": pytest.approx(sum(cosines) / len(cosines), abs=1e-9),
    }


def test_without_a_gradient_there_is_no_shift(compose: Callable[..., Config]) -> None:
    """A loss that is not finite, a flat one, and a single layer give None."""
    images, labels = torch.zeros(4, 1, 28, 28), torch.zeros(4, dtype=torch.int64)
    assert gradient_shift(Product(math.nan, 1.0), images, labels, 0.1) == NOTHING
    assert gradient_shift(Product(1e4, 1e4), images, labels, 0.1) == NOTHING
    alone = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    assert gradient_shift(alone, images + 1, labels, 0.1) == NOTHING


def test_percentiles_are_those_of_a_unit() -> None:
    """Each unit of a dense layer and each filter of a convolution has its own three."""
    images = torch.rand(40, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    conv = nn.Conv2d(1, 2, 3)
    dense = nn.Linear(2 * 26 * 26, 5)
    network = nn.Sequential(conv, nn.Sigmoid(), nn.Flatten(), dense, nn.ReLU())
    filters, units = input_percentiles(network, images)
    network.double()
    x = conv(images.double())
    expected = [[x[:, c].quantile(at).item() for c in range(2)] for at in (0.15, 0.5, 0.85)]
    assert filters.tolist() == [pytest.approx(row) for row in expected]
    x = dense(network[:3](images.double()))
    expected = [[x[:, c].quantile(at).item() for c in range(5)] for at in (0.15, 0.5, 0.85)]
    assert units.tolist() == [pytest.approx(row) for row in expected]
    last = {f"unit_input_{at}": units[i, 0].item() for i, at in enumerate((15, 50, 85))}
    assert one_unit([filters, units]) == last


def test_a_shift_is_counted_in_spreads() -> None:
    """Two units of spread 2 that move by 1 and 0 shift by a quarter, on any scale."""
    old = torch.tensor([[0.0, 5.0], [1.0, 6.0], [2.0, 7.0]])
    new = old + torch.tensor([1.0, 0.0])
    assert input_shift([old], [new]) == pytest.approx(1 / 4)
    assert input_shift([old * 9 - 4], [new * 9 - 4]) == pytest.approx(1 / 4)
    assert input_shift([old, old], [new, old]) == pytest.approx(1 / 8)
    assert input_shift([old], [old]) == 0


def test_without_inputs_there_is_no_shift() -> None:
    """No activation, no spread and what is not finite give None."""
    flat = torch.ones(3, 2)
    assert input_shift([], []) is None
    assert input_shift([flat], [flat]) is None
    assert input_shift([flat], [flat * math.inf]) is None
    assert one_unit([]) == {}
    assert one_unit([flat * math.nan]) == dict.fromkeys(one_unit([flat]))


def test_measuring_leaves_no_trace(compose: Callable[..., Config]) -> None:
    """Weights, running statistics, hooks and the stream of the noise stay, and it repeats."""
    config = compose(*SMALL, "model=mlp", "norm=noisy")
    network, (images, labels) = build(config, 0), minibatch(config)
    before = copy.deepcopy(network)
    found = gradient_shift(network, images, labels, 0.1)
    inputs = input_percentiles(network, images)
    assert gradient_shift(network, images, labels, 0.1) == found
    assert all(map(torch.equal, inputs, input_percentiles(network, images)))
    check_untouched(network, before, images)


def test_an_epoch_has_the_shift_since_the_last(compose: Callable[..., Config]) -> None:
    """History says it epoch by epoch, the run's metric is their mean."""
    config = compose(*SMALL, "model=mlp", "model.activation=sigmoid", "eval.shift=true")
    networks = [build(config, seed) for seed in range(3)]
    log = Log(config, 0, data_of(config))
    log.look("start", networks[0])
    for network in networks[1:]:
        log.trained(torch.ones(2), [32, 32], 6, 1.0)
        log.look("epoch", network)
    images, labels = minibatch(config)
    inputs = [input_percentiles(network, images) for network in networks]
    shifts = [input_shift(*inputs[:2]), input_shift(*inputs[1:])]
    assert [epoch["input_shift"] for epoch in log.history] == shifts
    assert log.history[1].items() >= one_unit(inputs[2]).items()
    metrics = log.outcome({}, networks[2]).metrics
    assert metrics["input_shift"] == pytest.approx(sum(filter(None, shifts)) / 2)
    each = [gradient_shift(one, images, labels, config.optimizer.lr) for one in networks]
    mean = sum(one["gradient_shift"] or math.nan for one in each) / 3
    assert metrics["gradient_shift"] == pytest.approx(mean)
    assert "unit_input_15" not in metrics
