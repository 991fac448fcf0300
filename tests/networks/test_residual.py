"""Residual networks: what they compute, how they start, and their plain twins."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bnexp.config.compose import Composer
from bnexp.config.schema import Config
from bnexp.errors import UsageError
from bnexp.metrics.roles import role
from bnexp.networks.build import build
from bnexp.networks.summary import n_parameters

pytestmark = pytest.mark.usefixtures("double")
SMALL = ("model=resnet", "model.depth=[2,1]", "model.width=4")
DENSE = ("model=residual_mlp", "model.depth=6", "model.width=5")


@pytest.fixture
def images() -> Tensor:
    """Return 6 images of the shape of the default data."""
    return torch.rand(6, 1, 28, 28, generator=torch.Generator().manual_seed(0))


def parts(network: nn.Module) -> dict[str, nn.Module]:
    """Return the modules by what they are called."""
    return {role(path): module for path, module in network.named_modules()}


def by_hand(network: nn.Module, x: Tensor, blocks: dict[str, bool], *, skip: bool) -> Tensor:
    """Compute a residual network with BN as He et al. (2016) describe it, in training mode.

    Args:
        blocks: Which of them halve the image.
    """
    part = parts(network)

    def norm(name: str, x: Tensor) -> Tensor:
        gamma, beta = (part[f"{name}_norm"].get_parameter(p) for p in ("weight", "bias"))
        mean = x.mean((0, 2, 3), keepdim=True)
        var = ((x - mean) ** 2).mean((0, 2, 3), keepdim=True)
        return gamma.view(-1, 1, 1) * (x - mean) / (var + 1e-5).sqrt() + beta.view(-1, 1, 1)

    def conv(name: str, x: Tensor, stride: int = 1) -> Tensor:
        return norm(name, F.conv2d(x, part[name].weight, stride=stride, padding=1))

    x = conv("conv1", x).relu()
    for block, halves in blocks.items():
        y = conv(f"{block}_conv1", x, 1 + halves).relu()
        y = conv(f"{block}_conv2", y)
        if halves:
            x = x[:, :, ::2, ::2]
            x = torch.cat((x, torch.zeros_like(x)), 1)
        x = (y + x if skip else y).relu()
    return F.linear(x.mean((2, 3)), part["output"].weight, part["output"].bias)


@pytest.mark.parametrize("skip", ["true", "false"])
def test_it_computes_what_is_written_by_hand(
    compose: Callable[..., Config], images: Tensor, skip: str
) -> None:
    """Logits and gradients are those of the formulas, with shortcuts and without."""
    network = build(compose(*SMALL, "norm=batch", f"model.skip={skip}"), 0)
    blocks = {"stage1_block1": False, "stage1_block2": False, "stage2_block1": True}
    found, expected = network(images), by_hand(network, images, blocks, skip=skip == "true")
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    learned = list(network.parameters())
    ours, theirs = (torch.autograd.grad((y**2).sum(), learned) for y in (found, expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("skip", ["true", "false"])
def test_110_layers_compute_what_is_written_by_hand(
    compose: Callable[..., Config], skip: str
) -> None:
    """The deepest preset and its plain twin do so too, and a step changes every weight."""
    narrow = ("model=resnet110", "model.width=2", "norm=batch", f"model.skip={skip}")
    network = build(compose(*narrow), 0)
    names = [(stage, block) for stage in (1, 2, 3) for block in range(1, 19)]
    blocks = {f"stage{stage}_block{n}": stage > 1 and n == 1 for stage, n in names}
    x = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    logits = network(x)
    expected = by_hand(network, x, blocks, skip=skip == "true")
    # Through 109 normalizations rounding grows: the plain twin's gradients explode.
    torch.testing.assert_close(logits, expected, rtol=1e-6, atol=1e-6)
    layers = [one for one in network.modules() if isinstance(one, nn.Conv2d | nn.Linear)]
    assert len(layers) == 110
    weights = [layer.weight for layer in layers]
    gradients = torch.autograd.grad(F.cross_entropy(logits, torch.arange(5)), weights)
    assert all(gradient.isfinite().all() and gradient.any() for gradient in gradients)


def test_a_residual_mlp_computes_what_is_written_by_hand(
    compose: Callable[..., Config], images: Tensor
) -> None:
    """A dense layer, then activation(x + W2 activation(W1 x)), twice."""
    network = build(compose(*DENSE, "norm=none"), 0)
    part = parts(network)
    x = part["fc1"](images.flatten(1)).relu()
    for block in ("block1", "block2"):
        x = (x + part[f"{block}_fc2"](part[f"{block}_fc1"](x).relu())).relu()
    torch.testing.assert_close(network(images), part["output"](x), rtol=1e-12, atol=1e-12)


def parameters(n: int) -> int:
    """Return the parameters of 3n blocks of 16, 32 and 64 filters with BN, for grey images."""
    pairs = [(1, 16), (16, 32), (32, 64)] + [(c, c) for c in (16, 32, 64) for _ in range(2 * n)]
    pairs.remove((32, 32))
    pairs.remove((64, 64))
    return sum(9 * a * b + 2 * b for a, b in pairs) + 65 * 10


@pytest.mark.parametrize(
    ("overrides", "count"),
    [
        (("model=resnet", "norm=batch"), parameters(3)),
        (("model=resnet", "norm=none", "model.bias=false"), parameters(3) - 2 * (16 + 6 * 112)),
        (("model=resnet56", "norm=batch"), parameters(9)),
        # 1.7 million with three channels, table 6 of He et al. (2016).
        (("model=resnet110", "norm=batch"), 1_727_962 - 2 * 144),
        ((*DENSE, "norm=none"), 785 * 5 + 4 * 30 + 60),
    ],
    ids=str,
)
def test_shortcuts_have_no_parameters(
    compose: Callable[..., Config], overrides: tuple[str, ...], count: int
) -> None:
    """A network and its plain twin have the parameters of a hand count."""
    for skip in ("true", "false"):
        assert n_parameters(build(compose(*overrides, f"model.skip={skip}"), 0)) == count


@pytest.mark.parametrize("model", [SMALL, DENSE])
@pytest.mark.parametrize(
    "other", ["model.skip=false", "norm=layer", "model.dropout=0.5", "model.init=kaiming"]
)
def test_arms_of_a_seed_share_their_weights(
    compose: Callable[..., Config], model: tuple[str, ...], other: str
) -> None:
    """With shortcuts, norms and dropout or without, layers of one name start equal."""
    one, two = (
        parts(build(compose(*model, "norm=batch", "model.init=kaiming", *more), 3))
        for more in ((), (other,))
    )
    layers = [name for name, module in one.items() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert len(layers) >= 6
    for name in layers:
        assert torch.equal(one[name].weight, two[name].weight), name


def test_a_deeper_network_begins_as_the_shallower(compose: Callable[..., Config]) -> None:
    """Blocks that two depths share start equal."""
    shallow, deep = (
        parts(build(compose("model=resnet", f"model.depth={n}", "model.width=2"), 0))
        for n in (8, 20)
    )
    for name in ("conv1", "stage1_block1_conv2", "stage3_block1_conv1", "output"):
        assert torch.equal(shallow[name].weight, deep[name].weight)


@pytest.mark.parametrize("place", ["before_activation", "after_activation"])
@pytest.mark.parametrize("placement", ["before_activation", "after_activation"])
@pytest.mark.parametrize("model", [SMALL, DENSE])
def test_the_sum_stands_before_the_blocks_last_activation(
    compose: Callable[..., Config], model: tuple[str, ...], placement: str, place: str
) -> None:
    """A block holds all up to there; in it and behind it the order is the plain twin's."""
    rest = ("norm=batch", f"norm.placement={placement}", "model.dropout=0.5")
    network, twin = (
        build(compose(*model, *rest, f"model.dropout_place={place}", f"model.skip={skip}"), 0)
        for skip in ("true", "false")
    )
    blocks = [module for module in network if isinstance(module, nn.Sequential)]
    assert len(blocks) >= 2
    assert all(next(iter(block._modules)).endswith("1") for block in blocks)
    inside = [role(name) for name, _ in network.named_modules() if "." in name]
    last = [name for name in inside if "conv2" in name or "fc2" in name]
    assert not any("activation" in name for name in last)
    assert any("norm" in name for name in last) == (placement == "before_activation")
    leaves = [role(name) for name, layer in network.named_modules() if not len(layer._modules)]
    assert leaves == [name for name, _ in twin.named_children()]


def test_zero_gamma_lets_blocks_start_as_their_shortcuts(
    compose: Callable[..., Config], images: Tensor
) -> None:
    """At the start every block of one size gives what it is given."""
    for model in (SMALL, DENSE):
        network = build(compose(*model, "norm=batch", "model.residual_init=zero_gamma"), 0)
        usual = build(compose(*model, "norm=batch"), 0)
        changed = [
            name
            for name, value in network.state_dict().items()
            if not torch.equal(value, usual.state_dict()[name])
        ]
        assert changed
        assert all(name.endswith("2_norm.weight") for name in changed)
        block = next(module for module in network if isinstance(module, nn.Sequential))
        x = torch.rand((3, 4, 6, 6) if model is SMALL else (3, 5))
        assert torch.equal(block(x), x)


def fixup_by_hand(part: dict[str, nn.Module], x: Tensor) -> Tensor:
    """Compute a residual MLP with the scalars of Zhang et al. (2019), each given by name."""
    bias = {name: p.bias for name, p in part.items() if name.endswith("_scalar")}
    x = (part["fc1"](x.flatten(1)) + bias["fc1_activation_scalar"]).relu()
    for block in ("block1", "block2"):
        one, two = f"{block}_fc1", f"{block}_fc2"
        y = part[one](x + bias[f"{one}_scalar"]) + bias[f"{one}_activation_scalar"]
        y = part[two](y.relu() + bias[f"{two}_scalar"])
        y = y * part[f"{two}_scale"].weight + bias[f"{two}_activation_scalar"]
        x = (x + y).relu()
    return part["output"](x + bias["output_scalar"])


def test_fixup_is_the_papers(compose: Callable[..., Config], images: Tensor) -> None:
    """Scalars stand where the paper has them; weights start as it says; no other biases."""
    arguments = (*DENSE, "norm=none", "model.bias=auto")
    usual = parts(build(compose(*arguments, "model.bias=false"), 0))
    network = build(compose(*arguments, "model.residual_init=fixup"), 0)
    part = parts(network)
    assert torch.equal(network(images), torch.zeros(6, 10))
    for name in ("fc1", "block1_fc1", "block2_fc1"):
        scale = 1 if name == "fc1" else 2**-0.5  # of two blocks of two layers
        torch.testing.assert_close(part[name].weight, scale * usual[name].weight)
        assert part[name].bias is None
    assert not part["block1_fc2"].weight.any()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape))
    expected = fixup_by_hand(part, images)
    torch.testing.assert_close(network(images), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("model.depth=21",), r"model\.depth=21: should be 6n \+ 2 .*or a list of blocks"),
        (("model.depth=2",), r"model\.depth=2: should be 6n \+ 2"),
        (("model.depth=[]",), r"model\.depth"),
        (("model.depth=[2,0]",), r"model\.depth"),
        (
            ("model.skip=false", "model.residual_init=zero_gamma", "norm=batch"),
            r"model\.skip=false takes away: model\.residual_init=none",
        ),
        (
            ("model.residual_init=fixup", "norm=batch"),
            r"fixup is for networks without normalization: norm=none, or .*zero_gamma",
        ),
        (
            ("model.residual_init=fixup", "norm=none", "model.bias=true"),
            r"scalar biases in the place of the layers': model\.bias=false, or auto",
        ),
        (("model.residual_init=zero_gamma", "norm=none"), r"it needs a norm with .*fixup"),
        (
            ("model.residual_init=zero_gamma", "norm=batch", "norm.affine=beta"),
            r"norm\.affine=both or gamma",
        ),
        (
            (
                "model.residual_init=zero_gamma",
                "norm=batch",
                "norm.placement=after_activation",
            ),
            r"norm\.placement=before_activation",
        ),
        (
            ("model.residual_init=zero_gamma", "norm=batch", "norm.where=[conv1]"),
            r"norm\.where with these layers",
        ),
        (("norm=batch", "norm.where=[stage4_block1_conv1]"), r"layers are conv1, stage1_block"),
        (("norm=batch", "norm.placement=after_pool"), r"needs a pooling layer"),
        (("model=residual_mlp", "model.depth=5"), r"model\.depth=5: .*multiple of 2"),
    ],
)
def test_what_cannot_be_is_refused(
    composer: Composer, overrides: tuple[str, ...], message: str
) -> None:
    """A depth or a start that there is not is refused by its key, with what there is."""
    model = () if overrides[0].startswith("model=") else ("model=resnet",)
    with pytest.raises(UsageError, match=message):
        composer.compose([*model, *overrides])
