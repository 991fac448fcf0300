import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from bnexp.config.schema import Config
from bnexp.networks.build import build
from bnexp.networks.summary import n_parameters
from bnexp.norms import FormulaBatchNorm
from bnexp.streams import generator

LENET = ["model=lenet", "norm=none"]


@pytest.fixture
def images(rng: np.random.Generator) -> Tensor:
    """Return 8 images with values in [0, 1]."""
    return torch.from_numpy(rng.random((8, 1, 28, 28), dtype=np.float32))


def weights(network: nn.Module) -> dict[str, Tensor]:
    """Return the parameters of the convolutions and dense layers by name."""
    return {
        name: parameter.detach()
        for name, parameter in network.named_parameters()
        if "_norm" not in name
    }


@pytest.mark.parametrize(
    ("overrides", "count"),
    [
        (("preset=d2l_lenet",), 61_706),
        (("preset=d2l_bn",), 44_426 + 2 * (6 + 16 + 120 + 84)),
        (("preset=lab_mlp",), 26_506),
        (("preset=lab_mlp", "norm=batch"), 26_506 + 2 * (32 + 32)),
        (("preset=lab_mlp", "norm=scratch"), 26_506 + 2 * (32 + 32)),
    ],
)
def test_parameter_counts(
    compose: Callable[..., Config], overrides: tuple[str, ...], count: int
) -> None:
    """The sources' networks have as many parameters as theirs, two more a channel with BN."""
    assert n_parameters(build(compose(*overrides), 0)) == count


@pytest.mark.parametrize("training", [True, False])
def test_the_lenet_preset_is_the_textbooks(
    compose: Callable[..., Config], images: Tensor, training: bool
) -> None:
    """The preset computes what the d2l chapter's own network does with the same weights."""
    ours = build(compose("preset=d2l_lenet"), 0).train(training)
    theirs = nn.Sequential(
        nn.Conv2d(1, 6, kernel_size=5, padding=2),
        nn.Sigmoid(),
        nn.AvgPool2d(kernel_size=2, stride=2),
        nn.Conv2d(6, 16, kernel_size=5),
        nn.Sigmoid(),
        nn.AvgPool2d(kernel_size=2, stride=2),
        nn.Flatten(),
        nn.Linear(16 * 5 * 5, 120),
        nn.Sigmoid(),
        nn.Linear(120, 84),
        nn.Sigmoid(),
        nn.Linear(84, 10),
    ).train(training)
    copy(ours, theirs)
    assert torch.equal(ours(images), theirs(images))


@pytest.mark.parametrize("training", [True, False])
def test_the_bn_preset_is_the_textbooks(
    compose: Callable[..., Config], images: Tensor, training: bool
) -> None:
    """The preset computes what the BN chapter's own network does with the same weights."""
    ours = build(compose("preset=d2l_bn"), 0).train(training)
    theirs = nn.Sequential(
        nn.Conv2d(1, 6, kernel_size=5),
        nn.BatchNorm2d(6),
        nn.Sigmoid(),
        nn.MaxPool2d(kernel_size=2, stride=2),
        nn.Conv2d(6, 16, kernel_size=5),
        nn.BatchNorm2d(16),
        nn.Sigmoid(),
        nn.MaxPool2d(kernel_size=2, stride=2),
        nn.Flatten(),
        nn.Linear(256, 120),
        nn.BatchNorm1d(120),
        nn.Sigmoid(),
        nn.Linear(120, 84),
        nn.BatchNorm1d(84),
        nn.Sigmoid(),
        nn.Linear(84, 10),
    ).train(training)
    copy(ours, theirs)
    assert torch.equal(ours(images), theirs(images))
    assert torch.equal(ours.conv2_norm.running_var, theirs[5].running_var)


def copy(source: nn.Module, target: nn.Module) -> None:
    """Copy parameters in their order; both networks must have the same ones."""
    with torch.no_grad():
        for ours, theirs in zip(source.parameters(), target.parameters(), strict=True):
            theirs.copy_(ours)


CELLS = [
    (),
    ("norm=batch",),
    ("norm=scratch", "norm.placement=after_activation"),
    ("model.pool=max",),
    ("model.activation=relu",),
    ("optimizer=adam", "train.epochs=1", "train.batch_size=32"),
]


@pytest.mark.parametrize("overrides", CELLS[1:], ids=str)
def test_cells_of_a_seed_share_initial_weights(
    compose: Callable[..., Config], overrides: tuple[str, ...]
) -> None:
    """What two cells have in common starts equal: with BN and without, avg and max."""
    expected = weights(build(compose(*CELLS[0]), 7))
    found = weights(build(compose(*overrides), 7))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_layers_of_one_shape_keep_their_weights_beside_others(
    compose: Callable[..., Config],
) -> None:
    """Without padding or the 120 layer, the other layers keep name and initial weights."""
    whole = weights(build(compose("model.padding=2"), 1))
    less = weights(build(compose("model.padding=0", "model.fc120=false"), 1))
    assert set(whole) - set(less) == {"fc1.weight", "fc1.bias"}
    for name in ("conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias", "output.weight"):
        assert torch.equal(whole[name], less[name])


@given(st.integers(0, 2**40), st.integers(0, 2**40))
def test_seeds_draw_other_weights(compose: Callable[..., Config], one: int, other: int) -> None:
    """The initial weights are a function of the seed, and of nothing drawn before."""
    config = compose("model=mlp", "model.hidden=[3]")
    first = weights(build(config, one))
    torch.rand(5)
    second = weights(build(config, other))
    for name, weight in first.items():
        assert torch.equal(weight, second[name]) == (one == other)


def test_no_two_layers_share_their_numbers(compose: Callable[..., Config]) -> None:
    """Layers of the same shape start from different weights."""
    network = build(compose("model=mlp", "model.hidden=[32,32,32]"), 0)
    assert not torch.equal(network.fc2.weight, network.fc3.weight)


def fans(weight: Tensor) -> tuple[int, int]:
    """Return how many inputs and outputs a weight connects."""
    area = math.prod(weight.shape[2:])
    return weight.shape[1] * area, weight.shape[0] * area


@pytest.mark.parametrize("model", ["lenet", "mlp"])
@pytest.mark.parametrize("init", ["xavier_uniform", "kaiming", "normal", "default"])
def test_initial_weights_are_pytorchs(
    compose: Callable[..., Config], model: str, init: str
) -> None:
    """Driven by the same stream, PyTorch's own initializers draw the same weights."""
    network = build(compose(f"model={model}", f"model.init={init}"), 5)
    for name, weight in weights(network).items():
        stream = generator(5, "init", name)
        expected = torch.empty_like(weight)
        if name.endswith("bias"):
            bound = 1 / math.sqrt(
                fans(network.get_parameter(name.replace("bias", "weight")))[0]
            )
            expected.uniform_(-bound, bound, generator=stream)
        elif init == "xavier_uniform":
            nn.init.xavier_uniform_(expected, generator=stream)
        elif init == "kaiming":
            nn.init.kaiming_uniform_(expected, nonlinearity="relu", generator=stream)
        elif init == "normal":
            nn.init.normal_(expected, 0, 0.01, generator=stream)
        else:  # as nn.Linear and nn.Conv2d do
            nn.init.kaiming_uniform_(expected, a=math.sqrt(5), generator=stream)
        # The bounds are the same number, computed in another order: one unit of float32.
        torch.testing.assert_close(weight, expected, rtol=1e-6, atol=1e-9)


def test_zeros_and_identity_set_all_weights(
    compose: Callable[..., Config], images: Tensor
) -> None:
    """With `zeros` nothing passes; with `identity` each unit is one input; biases are 0."""
    zeros = build(compose("model.init=zeros"), 0)
    assert not any(value.any() for value in weights(zeros).values())
    wide = ("model=mlp", "model.hidden=[1000,3]", "norm=none", "model.init=identity")
    x = build(compose(*wide), 0)[:3](images)
    pixels = images.flatten(1)
    assert torch.equal(x, torch.cat((pixels, pixels[:, : 1000 - 784]), 1))
    network = build(compose("model.init=identity"), 0)
    assert torch.equal(network.conv1(images), images.expand(-1, 6, -1, -1))
    x = torch.rand(2, 6, 14, 14)  # the second has no padding: a side loses two at each end
    repeated = x[:, :, 2:-2, 2:-2][:, [channel % 6 for channel in range(16)]]
    assert torch.equal(network.conv2(x), repeated)


@pytest.mark.parametrize("init", ["xavier_uniform", "kaiming", "default"])
def test_initial_weights_fill_their_interval(compose: Callable[..., Config], init: str) -> None:
    """Uniform weights reach up to their bound, never beyond, and centre on zero."""
    network = build(compose("model=mlp", f"model.init={init}"), 0)
    weight = network.fc1.weight.detach()  # 32 x 784
    inputs, outputs = fans(weight)
    bound = {
        "xavier_uniform": math.sqrt(6 / (inputs + outputs)),
        "kaiming": math.sqrt(6 / inputs),
        "default": math.sqrt(1 / inputs),
    }[init]
    largest = weight.abs().max().item()
    # Of 25,088 draws the largest is within 0.1 % of the bound but for one time in 1e10.
    assert 0.999 * bound < largest <= bound * (1 + 1e-6)
    # The mean's standard error is bound / sqrt(3 n); five of them.
    assert abs(weight.mean().item()) < 5 * bound / math.sqrt(3 * weight.numel())


def test_the_gain_multiplies_the_weights(compose: Callable[..., Config]) -> None:
    """A gain of 2 doubles every weight and leaves the biases."""
    one, two = build(compose(), 0), build(compose("model.init_gain=2.0"), 0)
    for name, weight in weights(one).items():
        factor = 2 if name.endswith("weight") else 1
        assert torch.equal(weights(two)[name], factor * weight)


def test_the_gain_may_be_of_some_layers(compose: Callable[..., Config]) -> None:
    """`init_gain_where` names the layers whose weights the gain multiplies, and no other's."""
    one = weights(build(compose(), 0))
    two = weights(
        build(compose("model.init_gain=2", "model.init_gain_where=[conv2,output]"), 0)
    )
    for name, weight in one.items():
        factor = 2 if name in ("conv2.weight", "output.weight") else 1
        assert torch.equal(two[name], factor * weight)


def test_a_seed_of_the_weights_leaves_the_runs_seed_no_say(
    compose: Callable[..., Config],
) -> None:
    """With `init_seed` every run starts from the weights that this seed draws."""
    fixed = compose("model.init_seed=5")
    for seed in (0, 5):
        drawn = weights(build(fixed, seed))
        for name, weight in weights(build(compose(), 5)).items():
            assert torch.equal(drawn[name], weight)


def test_a_stride_is_a_subsampled_convolution(
    compose: Callable[..., Config], images: Tensor
) -> None:
    """`pool=stride` computes every second output of the convolution without pooling."""
    strided = build(compose(*LENET, "model.pool=stride"), 0)
    whole = build(compose(*LENET, "model.pool=none"), 0)
    # The same products summed by another kernel: a few units of float32.
    torch.testing.assert_close(
        strided.conv1(images), whole.conv1(images)[:, :, ::2, ::2], rtol=1e-5, atol=1e-6
    )
    x = strided[:2](images)
    expected = F.conv2d(x, strided.conv2.weight, strided.conv2.bias)[:, :, ::2, ::2]
    torch.testing.assert_close(strided.conv2(x), expected, rtol=1e-5, atol=1e-6)
    assert not any("pool" in name for name, _ in strided.named_children())


@pytest.mark.parametrize("pool", ["max", "avg"])
def test_pooling_halves_each_side(
    compose: Callable[..., Config], images: Tensor, pool: str
) -> None:
    """Pooling takes the maximum or the mean of squares of two by two."""
    network = build(compose(*LENET, f"model.pool={pool}"), 0)
    x = network[:2](images)  # (8, 6, 28, 28)
    blocks = x.reshape(8, 6, 14, 2, 14, 2)
    expected = blocks.amax((3, 5)) if pool == "max" else blocks.mean((3, 5))
    # A mean of four numbers has one rounding more or less.
    torch.testing.assert_close(network.conv1_pool(x), expected, rtol=1e-6, atol=1e-7)


def names(compose: Callable[..., Config], *overrides: str) -> list[str]:
    """Return the names of a network's layers in their order."""
    return [name for name, _ in build(compose(*overrides), 0).named_children()]


@pytest.mark.parametrize("kind", ["batch", "scratch"])
def test_placements(compose: Callable[..., Config], kind: str) -> None:
    """A norm stands directly before or directly after the activation, never at the output."""
    before = names(compose, f"norm={kind}", "norm.placement=before_activation")
    after = names(compose, f"norm={kind}", "norm.placement=after_activation")
    for found, order in (
        (before, ["norm", "activation"]),
        (after, ["activation", "norm"]),
    ):
        for layer in ("conv1", "conv2", "fc1", "fc2"):
            at = found.index(layer)
            assert found[at + 1 : at + 3] == [f"{layer}_{part}" for part in order]
        assert found[-1] == "output"
        assert len([name for name in found if name.endswith("_norm")]) == 4


def test_after_the_activation_is_before_the_pooling(compose: Callable[..., Config]) -> None:
    """The norm belongs to the activation; the pooling comes after both."""
    found = names(compose, "norm=batch", "norm.placement=after_activation", "model.pool=max")
    at = found.index("conv1")
    assert found[at : at + 4] == ["conv1", "conv1_activation", "conv1_norm", "conv1_pool"]


def test_without_a_norm_there_is_none(compose: Callable[..., Config]) -> None:
    """The baseline has no normalization anywhere."""
    assert not any("norm" in name for name in names(compose, "norm=none"))


@pytest.mark.parametrize("preset", ["d2l_lenet", "lab_mlp"])
def test_the_mode_matters_to_what_has_one(
    compose: Callable[..., Config], images: Tensor, preset: str
) -> None:
    """Without a norm and dropout train() and eval() compute the same, with one they do not."""
    for more, alike in (
        (("norm=none",), True),
        (("norm=batch",), False),
        (("norm=none", "model.dropout=0.5"), False),
    ):
        network = build(compose(f"preset={preset}", *more), 0)
        outputs = [network.train(mode)(images) for mode in (True, False)]
        assert torch.equal(*outputs) == alike, more


@pytest.mark.parametrize("pool", ["max", "avg", "stride", "none"])
@pytest.mark.parametrize("padding", [0, 2])
@pytest.mark.parametrize("fc120", ["true", "false"])
def test_every_lenet_gives_ten_logits(
    compose: Callable[..., Config], images: Tensor, pool: str, padding: int, fc120: str
) -> None:
    """Whatever is removed, the layers still fit each other."""
    config = compose(
        f"model.pool={pool}", f"model.padding={padding}", f"model.fc120={fc120}", "norm=batch"
    )
    network = build(config, 0)
    assert network(images).shape == (8, 10)
    assert ("fc1" in dict(network.named_children())) == (fc120 == "true")


def test_the_depth_of_the_mlp_is_a_list(compose: Callable[..., Config], images: Tensor) -> None:
    """`model.hidden` gives widths and depth."""
    network = build(compose("model=mlp", "model.hidden=[5,4,3]", "norm=scratch"), 0)
    dense = [layer for layer in network if isinstance(layer, nn.Linear)]
    assert [layer.out_features for layer in dense] == [5, 4, 3, 10]
    assert sum(isinstance(layer, FormulaBatchNorm) for layer in network) == 3
    assert network(images).shape == (8, 10)


@pytest.mark.parametrize("model", ["lenet", "mlp"])
def test_scratch_and_batch_are_the_same_network(
    compose: Callable[..., Config], images: Tensor, model: str
) -> None:
    """The formula in the place of PyTorch's layers changes no output, training or not."""
    ours = build(compose(f"model={model}", "norm=scratch"), 2).double()
    theirs = build(compose(f"model={model}", "norm=batch"), 2).double()
    for training in (True, False):
        # Two orders of the same sums in float64.
        torch.testing.assert_close(
            ours.train(training)(images.double()),
            theirs.train(training)(images.double()),
            rtol=1e-9,
            atol=1e-9,
        )
