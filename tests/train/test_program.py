"""Whatever trains a network computes what its own forward computes."""

import itertools
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor, nn
from torch.nn import functional as F

from bnexp.config.compose import Composer
from bnexp.config.schema import Config
from bnexp.data.tensors import Split
from bnexp.networks import build as networks
from bnexp.networks.flat import is_flat
from bnexp.networks.random_layers import Noise
from bnexp.norms import FormulaBatchNorm
from bnexp.study.cohorts import structure
from bnexp.study.declare import open_design
from bnexp.train import plain, program
from bnexp.train.cohort import train_epoch
from bnexp.train.cpu.kernels import library
from bnexp.train.cpu.supported import is_native
from bnexp.train.gpu.supported import is_supported
from bnexp.train.optimizers import make_stepper
from bnexp.train.program import FUSED, NATIVE, PLAIN, STACKED, program_for, program_of
from bnexp.train.stack import Stack
from tests.train.user_networks import DENSE, TWISTS, Recipe, build, recipes

pytestmark = pytest.mark.usefixtures("double")
CPU = torch.device("cpu")
RELU = nn.ReLU()
STEPS, BATCH, SEEDS = 2, 4, (0, 1)
CLOSE = {"rtol": 1e-10, "atol": 1e-10}


@pytest.fixture(scope="module")
def split() -> Split:
    """Return as many images as there are steps to take."""
    stream = torch.Generator().manual_seed(1)
    shape = (STEPS * BATCH, 1, 28, 28)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=stream)
    return Split(images, torch.randint(0, 10, shape[:1], generator=stream))


def state(network: nn.Module) -> dict[str, Tensor]:
    """Return parameters and buffers, but for what was drawn last."""
    named = itertools.chain(network.named_parameters(), network.named_buffers())
    return {name: value.detach() for name, value in named if not name.endswith("drawn")}


def loop(network: nn.Module, split: Split, lr: float) -> tuple[Tensor, Tensor]:
    """Train as a textbook does; return the losses, and the logits of an evaluation after."""
    learned = [p for p in network.parameters() if p.requires_grad]
    sgd = torch.optim.SGD(learned, lr=lr, momentum=0.9, weight_decay=0.01)
    losses = []
    network.train()
    for start in range(0, len(split), BATCH):
        images = split.images[start : start + BATCH].double() / 255
        loss = F.cross_entropy(network(images), split.labels[start : start + BATCH])
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        losses.append(loss.detach())
    network.eval()
    return torch.stack(losses), network(split.images.double() / 255).detach()


@pytest.mark.parametrize("n", [40, pytest.param(500, marks=pytest.mark.thorough)])
def test_every_program_trains_the_network_that_was_meant(
    compose: Callable[..., Config], split: Split, n: int
) -> None:
    """Losses, weights, buffers and outputs are the plain loop's, to 1e-10, for any network."""
    config = compose(
        *("model=mlp", f"train.batch_size={BATCH}", "optimizer=sgd", "optimizer.lr=0.1"),
        *("optimizer.momentum=0.9", "optimizer.weight_decay=0.01"),
    )
    order = torch.arange(len(split))
    taken: Counter[str] = Counter()
    seen: Counter[str] = Counter()

    @settings(max_examples=n + n // 8)  # some of them nobody could train
    @given(recipe=recipes())
    def check(recipe: Recipe) -> None:
        meant = [build(recipe, seed) for seed in SEEDS]
        try:
            expected = [loop(network, split, 0.1) for network in meant]
        except RuntimeError:  # such as of a value that its gradient needs, changed in place
            return
        chosen = program_for(lambda seed: build(recipe, seed), config, CPU)
        taken[chosen.name] += 1
        seen.update((*recipe.dense, *(name for name, _ in recipe.twists)))
        networks = [build(recipe, seed) for seed in SEEDS]
        if chosen.stack is None:
            found = []
            for network in networks:
                optimizer = plain.make_optimizer(config, network)
                losses, _, _ = plain.train_epoch(network, optimizer, split, order, config)
                found.append((losses, network.eval()(split.images.double() / 255), network))
        else:
            stack = chosen.stack(networks, (1, 28, 28))
            stepper = make_stepper(list(stack.learned.values()), [config] * len(networks))
            orders = order.expand(len(networks), -1)
            losses, _, _ = train_epoch(stack, stepper, split, orders, config)
            stack.train(mode=False)
            logits = stack(split.images.double() / 255)
            found = [
                (losses[:, row], logits[row], stack.network(row))
                for row in range(len(networks))
            ]
        for (losses, logits, network), by_loop, right in zip(
            found, expected, meant, strict=True
        ):
            torch.testing.assert_close((losses, logits.detach()), by_loop, **CLOSE)
            torch.testing.assert_close(state(network), state(right), **CLOSE)
            alone = network.eval()(split.images.double() / 255)  # as probes call it
            torch.testing.assert_close(alone.detach(), by_loop[1], **CLOSE)

    check()
    # It says something of each of them.
    assert sum(taken.values()) >= n
    assert min(seen[name] for name in (*DENSE, *TWISTS)) >= n // 500
    assert all(taken[one.name] >= n // 20 for one in (PLAIN, STACKED, NATIVE))


@pytest.mark.parametrize(
    ("dense", "twist", "name"),
    [
        (("relu", "linear"), ("share", 1), "stacked"),
        (("residual", "heads"), ("freeze", 0), "stacked"),
        (("branching",), ("freeze", 0), "plain"),
        (("relu",), ("hook", 0), "plain"),
        (("relu",), ("freeze", 0), "native"),
    ],
)
def test_the_fastest_program_that_is_right_is_chosen(
    compose: Callable[..., Config], dense: tuple[str, ...], twist: tuple[str, int], name: str
) -> None:
    """In single precision as well, in which runs train; trying leaves no trace."""
    torch.set_default_dtype(torch.float32)
    recipe = Recipe((), dense, (twist,))
    before = torch.get_rng_state()
    found = program_for(lambda seed: build(recipe, seed), compose("model=mlp"), CPU)
    assert found.name == (name if library() or name != "native" else "stacked")
    assert torch.get_default_dtype() == torch.float32
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("overrides", "on_cpu", "is_fused"),
    [
        ("schedule=one_cycle optimizer=adamw", "native", True),
        ("train.label_smoothing=0.1 optimizer.decay_norms=false", "native", False),
        ("train.clip=1", "stacked", True),
        ("optimizer=lamb", "stacked", True),
        ("optimizer=rmsprop", "stacked", True),
        ("train.precision=bf16", "stacked", False),
    ],
)
def test_kernels_take_no_steps_that_they_do_not_know(
    compose: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
    overrides: str,
    on_cpu: str,
    is_fused: bool,
) -> None:
    """A GPU's compute a plain loss and its gradients, a CPU's whole steps of SGD and Adam."""
    if library() is None:
        pytest.skip("no C compiler")
    config = compose("model=mlp", *overrides.split())
    assert program_of(config, CPU).name == on_cpu
    monkeypatch.setattr(program, "is_supported", lambda *_: True)
    assert (program_of(config, CPU).name == "fused") == is_fused


@pytest.mark.thorough
@pytest.mark.skipif(library() is None, reason="no C compiler")
def test_what_the_shipped_studies_train_is_trained_in_c() -> None:
    """All float32 networks in layers, but for norms that the kernels do not know yet."""
    own = ("custom", "rnn", "residual_mlp")
    unknown = {"dyt", "derf", "frn", "ghost", "rms", "weight_standardization"}
    # Mistakes of the sources: the layer's mode or its state is not what a layer's is.
    wrong = {"mode_by_grad", "forgets_statistics"}
    found: dict[str, Config] = {}
    for path in sorted(Path("conf/study").glob("*.yaml")):
        design = open_design([f"study={path.stem}"], multirun=False, config_dir=None)
        for cell in design.cells:
            found.setdefault(structure(cell.config), cell.config)
    assert len(found) > 100
    others = {
        config.norm.name
        for config in found.values()
        if config.model.name not in own
        and config.train.precision == "float32"
        and program_of(config, CPU) != NATIVE
    }
    assert others == unknown | wrong


class ByTheLastCall(nn.Module):
    """It does what its class was last told."""

    factor = 1

    def forward(self, x: Tensor) -> Tensor:
        return x * type(self).factor


# Norms whose layers are a user's, or have more to them than their types say.
NOT_FLAT = {"none", "mode_by_grad", "forgets_statistics", "function"}


def test_kernels_take_no_norm_that_they_do_not_know(
    compose: Callable[..., Config], composer: Composer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU's train PyTorch's batch normalization, a CPU's also formulas and groups."""
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    of_gpu = {nn.BatchNorm1d, nn.BatchNorm2d}
    of_cpu = of_gpu | {nn.GroupNorm, nn.InstanceNorm2d, FormulaBatchNorm, Noise}
    seen = set()
    for name in set(composer.options("norm")) - NOT_FLAT:
        network = networks.build(compose("model=lenet", f"norm={name}"), 0)
        kinds = {type(m) for key, m in network.named_children() if "_no" in key}
        kinds |= {type(m) for m in network if isinstance(m, nn.Conv2d)} - {nn.Conv2d}
        assert is_flat(network)
        assert is_native(network) == (kinds <= of_cpu), name
        assert is_supported(network, CPU) in (False, kinds <= of_gpu), name
        seen |= kinds
    assert len(seen - of_cpu) > 10


def test_what_a_call_leaves_in_a_class_is_the_runs_own(compose: Callable[..., Config]) -> None:
    """Of networks that would share what the last call has set, each trains alone."""

    def make(seed: int) -> nn.Sequential:
        torch.manual_seed(seed)
        ByTheLastCall.factor = 1 + seed
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 10), ByTheLastCall())

    assert program_for(make, compose("model=mlp"), CPU) == PLAIN


def test_networks_that_use_their_modules_otherwise_are_no_stack() -> None:
    """A run's program, and with it the last bit, does not depend on whom it trains with."""

    def network(last: nn.Module) -> nn.Sequential:
        first = nn.ReLU() if last is not RELU else RELU
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 9), first, nn.Linear(9, 10), last)

    with pytest.raises(ValueError, match="differ in more than numbers"):
        Stack([network(nn.ReLU()), network(RELU)], (1, 28, 28))


def test_kernels_that_read_bytes_train_no_augmented_images(
    compose: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU's kernels leave augmented images to PyTorch's steps; a CPU's are given them."""
    plain, augmented = compose("norm=batch"), compose("norm=batch", "data.augment=flip")
    assert (program_of(plain, CPU), program_of(augmented, CPU)) == (NATIVE, NATIVE)
    gpu = torch.device("cuda")
    assert program_of(compose("norm=layer"), gpu) == STACKED  # the C is for a CPU
    monkeypatch.setattr("bnexp.train.program.is_supported", lambda network, device: True)
    assert (program_of(plain, gpu), program_of(augmented, gpu)) == (FUSED, STACKED)
