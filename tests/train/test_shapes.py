"""Images and vectors of any shape: whatever trains them agrees with the plain trainer."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from bnexp.config.compose import Composer
from bnexp.config.schema import Config
from bnexp.data.tensors import Split, load
from bnexp.networks.build import build
from bnexp.networks.examine import examine
from bnexp.train.cohort import train_epoch
from bnexp.train.evaluate import evaluate
from bnexp.train.optimizers import make_stepper
from bnexp.train.plain import make_optimizer
from bnexp.train.plain import train_epoch as train_plainly
from bnexp.train.program import NATIVE, PLAIN, STACKED, Program, program_of
from bnexp.train.statistics import population_statistics

CPU = torch.device("cpu")
SOURCE = """
import numpy as np

def load(config, shape: list[int], floats: bool = False, classes: int = 7):
    rng = np.random.default_rng(0)
    n, found = 60, []
    for _ in range(2):
        x = rng.integers(0, 256, (n, *shape), dtype=np.uint8)
        labels = rng.integers(0, classes, n)
        labels[:classes] = range(classes)
        found += [x / 100 - 1 if floats else x, labels]
    return found
"""
COLOUR = "data.args.shape=[3,16,18]"
VECTOR = "data.args.shape=[20]"
FLOATS = "data.args.floats=true"
AUGMENTED = "data.augment=[crop:2,flip,rotate,shift,shear,zoom,cutout:5]"
MLP = ("model=mlp", "model.hidden=[9,8]")
CASES = {
    "colour": ((COLOUR, "model=lenet", "model.pool=max", "norm=batch"), NATIVE),
    "colour, standardized": ((COLOUR, "data.standardize=true", *MLP, "norm=batch"), NATIVE),
    "colour, dropout": ((COLOUR, "model=lenet", "model.dropout=0.2", "norm=batch"), NATIVE),
    "colour floats": ((COLOUR, FLOATS, "model=lenet", "norm=batch"), NATIVE),
    "four channels": (("data.args.shape=[4,16,16]", "model=fastai_cnn", "norm=batch"), NATIVE),
    "frozen features": (
        (COLOUR, "model=dense_head", "model.features=frozen_conv", "model.hidden=[9]"),
        NATIVE,
    ),
    "vectors": ((VECTOR, *MLP, "norm=batch"), NATIVE),
    "vector floats": ((VECTOR, FLOATS, "data.standardize=true", *MLP, "norm=batch"), NATIVE),
    "normalized vectors": (
        (VECTOR, FLOATS, *MLP, "norm=batch", "norm.where=[input,fc1]"),
        NATIVE,
    ),
    "normalized images": ((COLOUR, *MLP, "norm=batch", "norm.where=[input,fc2]"), NATIVE),
    "augmented": ((COLOUR, AUGMENTED, "model=lenet", "norm=batch"), NATIVE),
    "augmented, dense": (
        (COLOUR, AUGMENTED, "data.standardize=true", *MLP, "norm=batch", "model.dropout=0.2"),
        NATIVE,
    ),
    "augmented, clipped": (
        (COLOUR, AUGMENTED, *MLP, "norm=batch", "train.clip=1.0"),
        STACKED,
    ),
    "augmented floats": (
        (COLOUR, FLOATS, AUGMENTED, "model=custom", "norm=group"),
        NATIVE,
    ),
    "whitened": ((COLOUR, "model=lenet", "norm=whiten", "norm.placement=after_pool"), PLAIN),
    "standardized weights": ((COLOUR, "model=lenet", "norm=weight_standardization"), PLAIN),
    "ranks and an input": ((VECTOR, *MLP, "norm=rank", "norm.where=[input,fc2]"), STACKED),
    "one's own, with ghosts": (
        (COLOUR, "model=custom", "norm=ghost", "norm.virtual_batch=7"),
        STACKED,
    ),
    "one's own": (
        (COLOUR, "model=custom", "model.args.width=5", "norm=group", "norm.groups=5"),
        NATIVE,
    ),
}
pytestmark = pytest.mark.usefixtures("narrow", "double")


@pytest.fixture
def composed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shipped: Composer
) -> Callable[..., Config]:
    """Return a function from overrides to a configuration of data of one's own."""
    (tmp_path / "shapes_of_a_user.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))

    def resolved(*overrides: str) -> Config:
        data = ("data=function", "data.function=shapes_of_a_user:load", "train.batch_size=16")
        with shipped as composer:
            return composer.compose([*data, "optimizer.lr=0.05", *overrides])[0]

    return resolved


def values(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return parameters and buffers, but for what was drawn last."""
    found = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    return {name: one.detach() for name, one in found.items() if not name.endswith("drawn")}


def trained(
    config: Config, split: Split, program: Program
) -> tuple[torch.Tensor, torch.nn.Sequential]:
    """Return the losses of an epoch, and the network after it."""
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(3))
    split = split.augmented(config.data, [0, 1] if program.stack else [0])
    split.begin(1)
    network = build(config, 0)
    if program.stack is None:
        optimizer = make_optimizer(config, network)
        losses, _, _ = train_plainly(network, optimizer, split, order, config)
        return losses, network
    stack = program.stack([network, build(config, 1)], config.data.about.shape)
    stepper = make_stepper(list(stack.learned.values()), [config] * 2)
    losses, _, _ = train_epoch(stack, stepper, split, order.expand(2, -1), config)
    return losses[:, 0], stack.network(0)


@pytest.mark.parametrize("case", CASES)
def test_every_program_agrees_with_the_plain_one(
    composed: Callable[..., Config], case: str
) -> None:
    """After an epoch of any shape, losses, weights and buffers agree to 1e-10."""
    overrides, expected_program = CASES[case]
    config = composed(*overrides)
    program = program_of(config, CPU)
    assert program.name == expected_program.name
    split = load(config.data, CPU).train
    losses, network = trained(config, split, program)
    expected_losses, expected = trained(config, split, PLAIN)
    torch.testing.assert_close(losses, expected_losses, rtol=1e-10, atol=1e-10)
    for name, value in values(expected).items():
        found = values(network)[name]
        torch.testing.assert_close(found, value, rtol=1e-10, atol=1e-10, msg=name)
    assert network.eval()(split.batch(slice(3))[0]).shape == (3, config.data.about.classes)


def test_population_statistics_are_found_of_any_shape(
    composed: Callable[..., Config],
) -> None:
    """Of colour images and of vectors, evaluation by them changes no buffer in the end."""
    for overrides in ((COLOUR, "model=lenet"), (VECTOR, *MLP)):
        config = composed(*overrides, "norm=batch")
        network, split = build(config, 0), load(config.data, CPU).train
        before = {name: value.clone() for name, value in values(network).items()}
        with population_statistics(network, split):
            loss, _ = evaluate(network, split, 16)
        assert loss > 0
        for name, value in values(network).items():
            assert torch.equal(value, before[name])


def test_a_network_of_ones_own_is_examined_with_its_data(
    composed: Callable[..., Config],
) -> None:
    """The example takes colour images, and vectors are refused by name."""
    config = composed(COLOUR, "model=custom")
    examine(config, config.seed)
    assert build(config, 0).conv1.in_channels == 3
    with pytest.raises(Exception, match=r"example fails: ValueError"):
        build(composed(VECTOR, "model=custom"), 0)
