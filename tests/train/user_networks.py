"""Networks as users write them: small ones, put together at random."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from bnexp.stochastic import Dropout

WIDTH = 3  # channels of images and units alike: any layer can stand in another's place


@dataclass(frozen=True)
class Recipe:
    """How to build one network; see `build`."""

    images: tuple[str, ...]
    dense: tuple[str, ...]
    twists: tuple[tuple[str, int], ...]


class DoubledLinear(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


class ShiftedReLU(nn.ReLU):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x - 0.1)


class SlowBatchNorm(nn.BatchNorm1d):
    """The same layer under another name."""


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.BatchNorm1d(WIDTH), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inner(x)


class Heads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.one(x), self.other(x)], 1)[:, :WIDTH] + self.other(x)


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(WIDTH, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu_(F.linear(x, self.weight), 0.2)


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else 2 * x


class Counting(nn.Module):
    """From its second training step on it does something else."""

    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += self.training
        return x if self.calls < 2 else 3 * x


class Remembering(nn.Module):
    """A buffer that training changes, and a tensor that is none."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(WIDTH))
        self.fixed = torch.randn(WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(0)
        return x - self.mean + self.fixed


class Skipping(nn.Sequential):
    """A sequence that is none: it leaves out its second layer."""

    def forward(self, x: Tensor) -> Tensor:
        for position, layer in enumerate(self):
            x = x if position == 1 else layer(x)
        return x


class Symmetric(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + 0.5


def _by_seed(seed: int) -> nn.Module:
    return nn.LeakyReLU(0.1 * (seed + 1))


IMAGES: dict[str, Callable[[], nn.Module]] = {
    "conv": lambda: nn.Conv2d(WIDTH, WIDTH, 3, padding=1),
    "wide conv": lambda: nn.Conv2d(WIDTH, WIDTH, (3, 1), padding=(1, 0)),
    "norm": lambda: nn.BatchNorm2d(WIDTH),
    "group": lambda: nn.GroupNorm(1, WIDTH),
    "instance": lambda: nn.InstanceNorm2d(WIDTH, affine=True),
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "in place": lambda: nn.ReLU(inplace=True),
}
DENSE: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Linear(WIDTH, WIDTH),
    "no bias": lambda: nn.Linear(WIDTH, WIDTH, bias=False),
    "norm": lambda: nn.BatchNorm1d(WIDTH),
    "cumulative": lambda: nn.BatchNorm1d(WIDTH, momentum=None),
    "no affine": lambda: nn.BatchNorm1d(WIDTH, affine=False),
    "untracked": lambda: nn.BatchNorm1d(WIDTH, track_running_stats=False),
    "still": lambda: nn.BatchNorm1d(WIDTH, momentum=0.0),
    "sync": lambda: nn.SyncBatchNorm(WIDTH),
    "slow": lambda: SlowBatchNorm(WIDTH),
    "layer": lambda: nn.LayerNorm(WIDTH),
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
    "in place": lambda: nn.ReLU(inplace=True),
    "doubled": lambda: DoubledLinear(WIDTH, WIDTH),
    "shifted": ShiftedReLU,
    "residual": Residual,
    "heads": Heads,
    "functional": Functional,
    "branching": Branching,
    "counting": Counting,
    "remembering": Remembering,
    "nested": lambda: nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh()),
    "skipping": lambda: Skipping(nn.Linear(WIDTH, WIDTH), nn.Tanh(), nn.ReLU()),
}
# Most layers are everyday ones: what is special should stand among them.
USUAL = ("linear", "norm", "relu", "sigmoid", "linear", "norm")


def _linears(layers: list[nn.Module]) -> list[nn.Linear]:
    return [layer for layer in layers if type(layer) is nn.Linear]


def share(layers: list[nn.Module], at: int, seed: int) -> None:
    """Use a layer of the dense part once more at its end."""
    dense = layers[_dense(layers) : -1]
    layers.insert(-1, dense[at % len(dense)])


def share_in_images(layers: list[nn.Module], at: int, seed: int) -> None:
    """Use a layer of the images once more before they are flattened."""
    end = _dense(layers) - 3  # the pooling before the flatten
    if images := layers[2:end]:
        layers.insert(end, images[at % len(images)])


def tie(layers: list[nn.Module], at: int, seed: int) -> None:
    """Let one more layer have the weights of another."""
    layers.insert(-1, nn.Linear(WIDTH, WIDTH))
    _linears(layers)[-2].weight = _linears(layers)[0].weight if at % 2 else _square(layers)


def _square(layers: list[nn.Module]) -> nn.Parameter:
    found = [one.weight for one in _linears(layers) if one.weight.shape == (WIDTH, WIDTH)]
    return found[0]


def one_memory(layers: list[nn.Module], at: int, seed: int) -> None:
    """Let two parameters be the same memory."""
    layers.insert(-1, nn.Linear(WIDTH, WIDTH))
    layers.insert(-1, nn.Linear(WIDTH, WIDTH))
    layers[-2].weight.data = layers[-3].weight.data


def hook(layers: list[nn.Module], at: int, seed: int) -> None:
    """Change what a layer gives, is given, or sends back."""
    layer = layers[at % len(layers)]
    kind = (at // 7) % 4
    if kind == 0:
        layer.register_forward_hook(lambda module, given, result: result * 1.5)
    elif kind == 1:
        layer.register_forward_pre_hook(lambda module, given: (given[0] * 1.5,))
    elif kind == 2:
        layers[-1].register_full_backward_pre_hook(lambda module, grads: (grads[0] * 2,))
    else:
        _square(layers).register_hook(lambda grad: grad * 2)


def own_forward(layers: list[nn.Module], at: int, seed: int) -> None:
    """Give one layer a function of its own."""
    layer = layers[at % len(layers)]
    original = layer.forward
    layer.forward = lambda x: 1.5 * original(x)


def parametrized(layers: list[nn.Module], at: int, seed: int) -> None:
    """Let the weights of a layer be computed."""
    layer = _linears(layers)[at % len(_linears(layers))]
    if at % 3 == 0:
        parametrize.register_parametrization(layer, "weight", Symmetric())
    else:
        (weight_norm if at % 3 == 1 else spectral_norm)(layer)


def freeze(layers: list[nn.Module], at: int, seed: int) -> None:
    """Let a layer not learn."""
    layers[at % (len(layers) - 1)].requires_grad_(False)


def extra(layers: list[nn.Module], at: int, seed: int) -> None:
    """Add a tensor that its type does not have to a layer."""
    layer = layers[at % len(layers)]
    if at % 2:
        layer.register_buffer("extra", torch.randn(2))
    else:
        layer.register_parameter("extra", nn.Parameter(torch.randn(2)))


def by_seed(layers: list[nn.Module], at: int, seed: int) -> None:
    """Put in a layer whose settings depend on the seed."""
    layers.insert(-1, nn.LeakyReLU(0.1 * (seed + 1)))


def drop(layers: list[nn.Module], at: int, seed: int) -> None:
    """Leave out units, by one layer or by one in two places."""
    layer = Dropout(0.4, seed, f"drop{at}")
    for _ in range(1 + at % 2):
        layers.insert(-1, layer)


TWISTS = {
    twist.__name__: twist
    for twist in (
        *(share, share_in_images, tie, one_memory, hook, own_forward),
        *(parametrized, freeze, extra, by_seed, drop),
    )
}


def _dense(layers: list[nn.Module]) -> int:
    """Return where the dense part begins whose layers are all of one width."""
    return [type(layer) for layer in layers].index(nn.Flatten) + 2


def build(recipe: Recipe, seed: int) -> nn.Sequential:
    """Return the network of a recipe, with weights of a seed."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        layers: list[nn.Module] = [nn.Conv2d(1, WIDTH, 3, padding=1), nn.MaxPool2d(2)]
        layers += [IMAGES[name]() for name in recipe.images]
        layers += [nn.MaxPool2d(2), nn.Flatten(), nn.Linear(WIDTH * 49, WIDTH)]
        layers += [nn.Linear(WIDTH, WIDTH), *(DENSE[name]() for name in recipe.dense)]
        layers.append(nn.Linear(WIDTH, 10))
        for name, at in recipe.twists:
            TWISTS[name](layers, at, seed)
        return nn.Sequential(*layers)


def recipes() -> st.SearchStrategy[Recipe]:
    """Return recipes of every kind of network: one special thing among usual ones, or many."""
    images = st.sampled_from(("conv", "norm", "relu", *IMAGES))
    dense = st.sampled_from((*USUAL * 3, *DENSE))
    twist = st.tuples(st.sampled_from(tuple(TWISTS)), st.integers(0, 27))
    usual = st.lists(st.sampled_from(USUAL), max_size=1)
    one_layer = st.builds(
        lambda before, one, after: Recipe((), (*before, one, *after), ()),
        *(usual, st.sampled_from(tuple(DENSE)), usual),
    )
    one_twist = st.builds(
        lambda layers, one: Recipe((), tuple(layers), (one,)),
        *(st.lists(st.sampled_from(USUAL), max_size=2), twist),
    )
    many = st.builds(
        Recipe,
        st.lists(images, max_size=2).map(tuple),
        st.lists(dense, max_size=3).map(tuple),
        st.lists(twist, max_size=2).map(tuple),
    )
    return st.one_of(one_layer, one_twist, many)
