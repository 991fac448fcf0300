"""The kernels that train a whole epoch against the plain trainer and PyTorch's own layers."""

import copy
import ctypes
import itertools
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bnexp.config.schema import Config
from bnexp.data.tensors import Split
from bnexp.networks.build import build
from bnexp.networks.flat import Scale
from bnexp.networks.random_layers import Dropout, Noise
from bnexp.norms import FormulaBatchNorm, Parts
from bnexp.train.cohort import train_epoch
from bnexp.train.cpu import kernels, supported
from bnexp.train.cpu.supported import is_native
from bnexp.train.evaluate import evaluate
from bnexp.train.native import _images, evaluate_native, population_native
from bnexp.train.optimizers import make_stepper
from bnexp.train.plain import make_optimizer, make_schedule
from bnexp.train.plain import train_epoch as train_plainly
from bnexp.train.stack import Stack
from bnexp.train.statistics import population_statistics

pytestmark = pytest.mark.skipif(kernels.library() is None, reason="no C compiler")

# With widths around that of a tile (32) and of a vector (16), and narrower than the output.
ACTIVATIONS = {"relu": "[33,8]", "tanh": "[16,32,5]", "sigmoid": "[70]"}
NORMS = {
    "none": (),
    "batch": (),
    "batch, gamma alone": ("norm.affine=gamma",),
    "batch, neither": ("norm.affine=none",),
    "batch, last moments": ("norm.momentum=1",),
    "batch, all moments": ("norm.momentum=null",),
    "batch, without a mean": ("norm.center=false",),
    "batch, without a deviation": ("norm.scale=false", "norm.affine=none"),
    "batch, epsilon outside": ("norm.epsilon_inside=false",),
    "batch, neither mean nor deviation": ("norm.scale=false", "norm.center=false"),
    "batch, noisy": ("norm.noise=0.5",),
    "variance_not_sd": (),
    "scratch": ("norm.momentum=null", "norm.affine=beta"),
    "layer": (),
    "group": ("norm.groups=1", "norm.affine=gamma"),
}
# Each is tried with one activation and one optimizer; the first ones with all.
WITH_ALL = 4
OPTIMIZERS = {
    "sgd": ("optimizer=sgd",),
    "sgd with all": ("optimizer=sgd", "optimizer.weight_decay=0.01", "optimizer.momentum=0.9"),
    "adam": ("optimizer=adam", "optimizer.weight_decay=0.01"),
    "nesterov": (
        *("optimizer=sgd", "optimizer.momentum=0.9", "optimizer.nesterov=true"),
        *("optimizer.weight_decay=0.01", "optimizer.decay_norms=false"),
        *("schedule=cosine", "schedule.warmup=0.2", "train.label_smoothing=0.1"),
    ),
    # A bias that a normalization takes off has gradients of the size of rounding.
    "adamw": (
        *("optimizer=adamw", "optimizer.weight_decay=0.1", "optimizer.decay_norms=false"),
        *("schedule=one_cycle", "train.label_smoothing=0.2", "model.bias=auto"),
    ),
}


def crossed(*parts: Iterable[str]) -> list[Any]:
    """Return every combination; all but a third are thorough, and each of two meets some."""
    return [
        pytest.param(
            *(name for _, name in case),
            marks=[pytest.mark.thorough] if sum(at for at, _ in case) % 3 else [],
        )
        for case in itertools.product(*map(enumerate, parts))
    ]


BATCH = 9  # no multiple of the tile's rows


# Mean and standard deviation of three channels.
SCALE = (torch.tensor([0.3, 0.5, 0.1]), torch.tensor([0.4, 0.2, 0.7]))


def digits(n: int, *, scaled: bool = False) -> Split:
    """Return images of noise."""
    stream = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (n, 1, 28, 28), dtype=torch.uint8, generator=stream)
    scale = (SCALE[0][:1], SCALE[1][:1]) if scaled else None
    return Split(images, torch.randint(0, 10, (n,), generator=stream), scale)


def native(*networks: nn.Sequential) -> Stack:
    """Return networks that the kernels take, to be trained by them."""
    assert is_native(networks[0])
    return Stack(networks, (1, 28, 28), native=True)


def two_ways(
    runs: list[tuple[Config, int]], split: Split, dtype: torch.dtype
) -> tuple[list[Tensor], list[Tensor]]:
    """Train runs by the kernels and plainly; return all they have, run by run."""
    torch.set_default_dtype(dtype)
    try:
        stack = native(*(build(config, seed) for config, seed in runs))
        stepper = make_stepper(list(stack.learned.values()), [config for config, _ in runs])
        orders = [torch.randperm(len(split)) for _ in runs]
        losses, sizes, correct = train_epoch(
            stack, stepper, split, torch.stack(orders), runs[0][0]
        )
        found, expected = [], []
        for row, (config, seed) in enumerate(runs):
            network = build(config, seed)
            optimizer = make_optimizer(config, network)
            schedule = make_schedule(config, optimizer)
            theirs, their_sizes, n_correct = train_plainly(
                network, optimizer, split, orders[row], config, schedule=schedule
            )
            assert sizes == their_sizes
            assert correct[row] == n_correct
            found += [losses[:, row], *stack.network(row).state_dict().values()]
            expected += [theirs, *network.state_dict().values()]
    finally:
        torch.set_default_dtype(torch.float32)
    return found, expected


@pytest.mark.parametrize(
    ("activation", "norm", "optimizer"),
    [
        *crossed(ACTIVATIONS, list(NORMS)[:WITH_ALL], OPTIMIZERS),
        *(("sigmoid", norm, "sgd with all") for norm in list(NORMS)[WITH_ALL:]),
    ],
)
def test_an_epoch_is_that_of_the_plain_trainer(
    compose: Callable[..., Config], activation: str, norm: str, optimizer: str
) -> None:
    """Losses, weights and buffers agree to 1e-10 after 20 steps, the last a smaller one."""
    common = (
        *("model=mlp", f"model.activation={activation}"),
        f"model.hidden={ACTIVATIONS[activation]}",
        *(f"norm={norm.partition(',')[0]}", *NORMS[norm], *OPTIMIZERS[optimizer]),
        *(f"train.batch_size={BATCH}", "train.drop_last=false", "train.steps=20"),
        *("model.dropout=0.3", "norm.placement=after_dropout") * (norm == "layer"),
    )
    runs = [
        (compose(*common, f"optimizer.lr={lr}"), seed) for seed, lr in enumerate((0.001, 0.01))
    ]
    found, expected = two_ways(runs, digits(19 * BATCH + 5), torch.float64)
    assert len(expected[0]) == 20
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("drop_last", ["true", "false"])
@pytest.mark.parametrize("norm", ["none", "batch"])
def test_floats_agree_up_to_rounding(
    compose: Callable[..., Config], norm: str, drop_last: str
) -> None:
    """In single precision a short epoch of standardized images agrees to rounding."""
    config = compose(
        *("model=mlp", "model.hidden=[33,20]", f"norm={norm}", "optimizer=sgd"),
        *("optimizer.lr=0.05", "train.batch_size=32", f"train.drop_last={drop_last}"),
        "data.train_size=100",
    )
    split = digits(100, scaled=True)
    found, expected = two_ways([(config, 0)], split, torch.float32)
    assert len(found[0]) == (3 if drop_last == "true" else 4)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_no_weight_decay_no_momentum_is_a_matter_of_each_run(
    compose: Callable[..., Config],
) -> None:
    """Runs of one cohort may differ in learning rate, momentum and weight decay."""
    common = ("model=mlp", "model.hidden=[20]", "norm=batch", "optimizer=sgd")
    runs = [
        (compose(*common, f"optimizer.momentum={m}", f"optimizer.weight_decay={d}"), 0)
        for m, d in ((0.0, 0.0), (0.9, 0.0), (0.0, 0.1), (0.5, 0.01))
    ]
    found, expected = two_ways(runs, digits(160), torch.float64)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_evaluation_is_that_of_the_module(
    compose: Callable[..., Config], activation: str, norm: str
) -> None:
    """Mean loss and accuracy over a split are the module's, in evaluation mode."""
    config = compose(
        *("model=mlp", "model.hidden=[33,20]", f"norm={norm}", f"model.activation={activation}")
    )
    networks = [build(config, seed) for seed in range(3)]
    for network in networks:
        for name, buffer in network.named_buffers():
            if name.endswith(("mean", "var")):
                buffer.uniform_(0.5, 2)
    split = digits(777)
    stack = native(*networks)
    stack.train(mode=False)
    noted, theirs = (torch.zeros(3, len(split), dtype=torch.bool) for _ in range(2))
    losses, accuracies = evaluate_native(stack, split, right=noted)
    for row, (network, loss, accuracy) in enumerate(
        zip(networks, losses, accuracies, strict=True)
    ):
        expected = evaluate(network.eval(), split, 256, right=theirs[row : row + 1])
        assert loss.item() == pytest.approx(expected[0], rel=1e-5)
        assert accuracy.item() == expected[1] == noted[row].sum().item() / len(split)
    assert torch.equal(noted, theirs)


# Networks of images: kernels, channels and sides around those of a tile, every order of what
# follows a convolution, and sides that a pooling cuts.
IMAGES: dict[str, tuple[nn.Module, ...]] = {
    "lenet": (
        *(nn.Conv2d(1, 6, 5, padding=2), nn.Sigmoid(), nn.AvgPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.Sigmoid(), nn.AvgPool2d(2), nn.Flatten()),
        *(nn.Linear(400, 20), nn.Sigmoid()),
    ),
    "norms": (
        *(nn.Conv2d(1, 6, 5), nn.BatchNorm2d(6), nn.Tanh(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.BatchNorm2d(16), nn.Tanh(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(256, 20), nn.BatchNorm1d(20), nn.Tanh()),
    ),
    "odd": (
        *(nn.BatchNorm2d(1), nn.Conv2d(1, 3, 7, padding=3), nn.MaxPool2d(2), nn.Sigmoid()),
        *(nn.BatchNorm2d(3), nn.Conv2d(3, 5, 4, bias=False), nn.AvgPool2d(2)),  # 11 by 11
        *(nn.Conv2d(5, 2, 2, padding=1), nn.ReLU(), nn.BatchNorm2d(2, momentum=1)),
        *(nn.Conv2d(2, 9, 1), nn.Tanh(), nn.Flatten(), nn.BatchNorm1d(324), nn.Linear(324, 20)),
    ),
    "bare": (nn.AvgPool2d(2), nn.Tanh(), nn.Flatten(), nn.Linear(196, 20)),
    "each image by itself": (
        *(nn.Conv2d(1, 6, 5), nn.GroupNorm(2, 6), nn.Sigmoid(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 4, 3, bias=False), nn.GroupNorm(1, 4, eps=0.1, affine=False), nn.Tanh()),
        *(nn.InstanceNorm2d(4, affine=True), nn.MaxPool2d(2), nn.InstanceNorm2d(4)),
        *(nn.Flatten(), nn.Linear(100, 20), nn.GroupNorm(4, 20), nn.Tanh()),
    ),
    "drawn": (
        *(Scale(0.7), nn.Conv2d(1, 3, 5, stride=2), Dropout(0.2, 0, "a"), nn.Tanh()),
        *(nn.Conv2d(3, 5, 4, stride=2, padding=1), nn.BatchNorm2d(5), Noise(0.5, 0, "b")),
        *(nn.AvgPool2d(2), nn.Flatten(), Dropout(0.5, 0, "c"), nn.Linear(45, 20), Scale(2.0)),
        *(nn.Tanh(), Noise(0.2, 0, "d"), Dropout(0.1, 0, "e")),
    ),
    "formulas": (
        *(nn.Conv2d(1, 4, 5), FormulaBatchNorm(4, 0.1, 0.3, Parts(epsilon_inside=False))),
        *(nn.Tanh(), nn.MaxPool2d(2), FormulaBatchNorm(4, 0.1, None, Parts(center=False))),
        *(nn.Conv2d(4, 3, 3), FormulaBatchNorm(3, 0.1, 0.3, Parts(divide_by_variance=True))),
        *(nn.Sigmoid(), FormulaBatchNorm(3, 0.1, 0.3, Parts(scale=False, gamma=False))),
        *(nn.BatchNorm2d(3, momentum=None, affine=False), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(75, 20), FormulaBatchNorm(20, 0.1, 0.3, Parts(center=False, scale=False))),
    ),
}


@pytest.mark.parametrize(
    ("name", "optimizer"),
    [
        one
        for one in crossed(IMAGES, OPTIMIZERS)
        # Where a bias has no gradient but rounding, Adam takes whole steps along it.
        if one.values[0] not in ("each image by itself", "formulas")
        or "adam" not in one.values[1]
    ],
)
def test_an_epoch_of_images_is_that_of_the_plain_trainer(
    compose: Callable[..., Config], name: str, optimizer: str
) -> None:
    """Losses, weights and buffers agree to 1e-10 after 20 steps, the last a smaller one."""
    config = compose(
        *OPTIMIZERS[optimizer],
        "optimizer.lr=0.01",
        "train.batch_size=18",
        "train.drop_last=false",
        "train.steps=20",
    )
    network = of_images(name)
    split = digits(19 * 18 + 5)
    order = torch.randperm(len(split))
    torch.set_default_dtype(torch.float64)
    try:
        stack = native(copy.deepcopy(network))
        stepper = make_stepper(list(stack.learned.values()), [config])
        losses, sizes, correct = train_epoch(stack, stepper, split, order[None], config)
        alone = make_optimizer(config, network)
        schedule = make_schedule(config, alone)
        expected, theirs, n_correct = train_plainly(
            network, alone, split, order, config, schedule=schedule
        )
    finally:
        torch.set_default_dtype(torch.float32)
    assert (sizes, len(sizes), correct[0]) == (theirs, 20, n_correct)
    # AdamW makes steps of the rounding that a normalization leaves of a bias' gradient.
    close = 1e-6 if optimizer == "adamw" else 1e-10
    torch.testing.assert_close(losses[:, 0], expected, rtol=close, atol=close)
    found = stack.network(0).state_dict()
    for key, value in network.state_dict().items():
        torch.testing.assert_close(found[key], value, rtol=close, atol=close)


@pytest.mark.parametrize("name", IMAGES)
def test_evaluation_of_images_is_that_of_the_module(name: str) -> None:
    """Mean loss and accuracy are the module's under running and population statistics."""
    network, split = of_images(name).eval(), digits(77)
    for key, buffer in network.named_buffers():
        if key.endswith(("mean", "var")):
            buffer.uniform_(0.5, 2)
    stack = native(copy.deepcopy(network))
    stack.train(mode=False)
    torch.set_default_dtype(torch.float64)
    try:
        before = evaluate_native(stack, split)
        with population_native(stack, split), population_statistics(network, split):
            for key, buffer in network.named_buffers():
                torch.testing.assert_close(
                    stack.buffers[key][0], buffer, rtol=1e-10, atol=1e-10
                )
            found, expected = evaluate_native(stack, split), evaluate(network, split, 50)
        assert [one.item() for one in found] == pytest.approx(expected, rel=1e-10)
        assert [one.item() for one in before] == pytest.approx(evaluate(network, split, 50))
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("only", [nn.Module, nn.BatchNorm1d | nn.BatchNorm2d])
def test_layers_that_do_not_learn_stay(
    compose: Callable[..., Config], only: type[nn.Module]
) -> None:
    """Frozen layers keep their weights; the others, or norms alone, learn as in PyTorch."""
    config = compose("optimizer=sgd", "optimizer.lr=0.1", "train.batch_size=32")
    network, split = of_images("norms"), digits(96)
    for name, parameter in network.named_parameters():
        learns = isinstance(network[int(name.partition(".")[0])], only)
        stays = {"0.weight", "0.bias", "4.bias", "10.weight"}
        parameter.requires_grad_(learns and name not in stays)
    torch.set_default_dtype(torch.float64)
    try:
        stack = native(copy.deepcopy(network))
        stepper = make_stepper(list(stack.learned.values()), [config])
        train_epoch(stack, stepper, split, torch.arange(96)[None], config)
        train_plainly(network, make_optimizer(config, network), split, torch.arange(96), config)
    finally:
        torch.set_default_dtype(torch.float32)
    found = stack.network(0).state_dict()
    for key, value in network.state_dict().items():
        torch.testing.assert_close(found[key], value, rtol=1e-10, atol=1e-10)


def of_images(name: str) -> nn.Sequential:
    """Return one of the networks of images, in double precision."""
    torch.manual_seed(0)
    layers = [copy.deepcopy(layer) for layer in IMAGES[name]]
    for layer in layers:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.reset_parameters()
    return nn.Sequential(*layers, nn.Linear(20, 10)).double()


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_what_is_not_finite_is_not_lost(
    compose: Callable[..., Config], activation: str, value: float
) -> None:
    """A weight of the output that is not finite makes the loss none, as in PyTorch."""
    config = compose("model=mlp", "model.hidden=[20]", f"model.activation={activation}")
    networks = [build(config, seed) for seed in (0, 1)]
    with torch.no_grad():
        networks[0].output.bias[3] = value
    stack, split = native(*networks), digits(64)
    stepper = make_stepper(list(stack.learned.values()), [config] * 2)
    order = torch.arange(64).repeat(2, 1)
    losses, _, correct = train_epoch(stack, stepper, split, order, config)
    expected, _, n_correct = train_plainly(
        networks[0], make_optimizer(config, networks[0]), split, order[0], config
    )
    assert not expected.isfinite().any()
    assert torch.equal(losses[:, 0].isfinite(), expected.isfinite())
    assert correct[0] == n_correct
    assert losses[:, 1].isfinite().all()


def test_every_byte_becomes_the_same_float() -> None:
    """A pixel is its byte divided by 255 to the last bit, standardized by channel or not."""
    images = torch.arange(256, dtype=torch.uint8).repeat(3).view(1, 3, 16, 16)
    library = kernels.library()
    assert library is not None
    for scale in (None, SCALE):
        split = Split(images, torch.zeros(1), scale)
        expected, _ = split.batch(slice(None))
        found = torch.empty_like(expected)
        described, _alive = _images(split, torch.float32)
        library.bnexp_pixels_float(
            ctypes.byref(described),
            *kernels.pointers(images),
            ctypes.c_int64(images.numel()),
            *kernels.pointers(found),
        )
        assert torch.equal(found, expected)


def network(*layers: nn.Module) -> nn.Sequential:
    """Return layers behind a flatten, with an output."""
    named = OrderedDict((f"layer{i}", layer) for i, layer in enumerate(layers))
    return nn.Sequential(OrderedDict(flatten=nn.Flatten(), **named, output=nn.Linear(20, 10)))


@pytest.mark.parametrize(
    ("layers", "known"),
    [
        ((nn.Linear(784, 20), nn.BatchNorm1d(20), nn.ReLU()), True),
        ((nn.Linear(784, 20, bias=False), nn.Linear(20, 20), nn.Tanh()), True),
        ((nn.Linear(784, 20), nn.BatchNorm1d(20, momentum=None)), True),
        ((nn.Linear(784, 20), nn.BatchNorm1d(20, track_running_stats=False)), False),
        ((nn.Linear(784, 20), nn.GroupNorm(1, 20)), True),
        ((nn.Linear(784, 20), nn.Dropout(0.2)), False),
        ((nn.Linear(784, 20), FormulaBatchNorm(20, 1, 1, Parts(mode_by_grad=True))), False),
        ((nn.Linear(784, 20), FormulaBatchNorm(20, 1, 1, Parts(forgets=True))), False),
        ((nn.Linear(784, 20), nn.GELU()), False),
        ((nn.BatchNorm1d(784), nn.Linear(784, 20)), True),
        ((nn.Linear(784, 2000), nn.ReLU(), nn.Linear(2000, 20)), False),
        ((nn.Linear(784, 20), nn.Flatten()), False),
    ],
)
def test_what_the_kernels_do_not_know_is_stacked(
    layers: tuple[nn.Module, ...], known: bool
) -> None:
    """Other layers, other statistics and wide layers are left to PyTorch."""
    assert is_native(network(*layers)) is known


@pytest.mark.parametrize(
    ("layers", "known"),
    [
        ((nn.Conv2d(1, 4, 3, padding=1),), True),
        ((nn.Conv2d(1, 4, 3, stride=2),), True),
        ((nn.Conv2d(1, 4, 3, stride=3),), False),
        ((nn.Conv2d(1, 4, 3, stride=(1, 2)),), False),
        ((nn.Conv2d(1, 4, (3, 5)),), False),
        ((nn.Conv2d(1, 4, 3, padding=3),), False),
        ((nn.Conv2d(1, 4, 3, padding="same"),), False),
        ((nn.Conv2d(1, 4, 3, padding=1, padding_mode="reflect"),), False),
        ((nn.Conv2d(1, 128, 3), nn.Conv2d(128, 128, 3)), False),
        ((nn.MaxPool2d(3),), False),
        ((nn.MaxPool2d(2, stride=1),), False),
        ((nn.MaxPool2d(2, ceil_mode=True),), False),
        ((nn.MaxPool2d(2, dilation=2),), False),
        ((nn.AvgPool2d(2, divisor_override=3),), False),
        ((nn.Tanh(), nn.ReLU()), False),
        ((nn.InstanceNorm2d(1, track_running_stats=True),), False),
        ((nn.BatchNorm2d(1, track_running_stats=False),), False),
        ((nn.Dropout(),), False),
        ((nn.Flatten(2),), False),
    ],
)
def test_what_the_kernels_do_not_know_of_images(
    layers: tuple[nn.Module, ...], known: bool
) -> None:
    """Other convolutions, poolings and statistics, and many channels, are left to PyTorch."""
    assert is_native(nn.Sequential(*layers, nn.Flatten(), nn.Linear(20, 10))) is known


def test_a_batch_of_one_image_cannot_be_normalized(compose: Callable[..., Config]) -> None:
    """It is an error, as in PyTorch, and no variance of nothing."""
    config = compose("model=mlp", "norm=batch", "train.batch_size=8", "train.drop_last=false")
    stack = native(build(config, 0))
    stepper = make_stepper(list(stack.learned.values()), [config])
    with pytest.raises(ValueError, match="more than one image"):
        train_epoch(stack, stepper, digits(9), torch.arange(9)[None], config)


def test_without_a_compiler_networks_are_stacked(
    compose: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernels are optional."""
    config = compose("model=mlp", "norm=batch")
    assert is_native(build(config, 0))
    monkeypatch.setattr(supported, "library", lambda *_: None)
    assert not is_native(build(config, 0))
