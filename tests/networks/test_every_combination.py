"""Every architecture with every normalization, in every place, on data of every shape."""

import itertools
import math
import random
import re
import typing
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch.nn import functional as F

from bnexp.config.compose import Composer
from bnexp.config.norm_base import Placed, Placement
from bnexp.config.normalization import DEFECTS, AnyNorm, Norm
from bnexp.config.schema import Config
from bnexp.errors import UsageError
from bnexp.networks.build import build
from bnexp.train.plain import make_optimizer
from tests.train.test_shapes import SOURCE

DROPOUT = "model.dropout=0.5"
DENSE = "model.hidden=[16,16]"
RESIDUAL = ("model=residual_mlp", "model.depth=6", "model.width=8")
RESNET = ("model=resnet", "model.depth=[1,1]", "model.width=4")
RNN = ("model=rnn", "model.hidden=[8]")
# Enough of each kind: pooled and not, deep and flat, with features that do not learn.
MODELS = [
    ("model=lenet", DROPOUT),
    ("model=lenet", DROPOUT, "model.pool=max", "model.padding=0"),
    ("model=lenet", DROPOUT, "model.pool=stride", "model.fc120=false"),
    ("model=fastai_cnn",),
    ("model=vgg", "model.widths=[4,6]", "model.convs=[1,2]", DENSE),
    ("model=vgg", "model.widths=[4]", "model.convs=[2]", "model.hidden=[]", "model.pool=none"),
    ("model=mlp", DROPOUT, "model.dropout_place=before_activation"),
    ("model=mlp", "model.init=identity"),
    ("model=dense_head", DENSE),
    ("model=dense_head", DENSE, "model.features=frozen_conv", "model.output_bias=false"),
    RESNET,
    (*RESNET, "model.skip=false"),
    (*RESNET, DROPOUT, "model.dropout_place=before_activation"),
    (*RESNET, "model.residual_init=zero_gamma"),
    (*RESNET, "model.residual_init=fixup"),
    (*RESIDUAL, DROPOUT),
    (*RESIDUAL, "model.skip=false", "model.bias=false"),
    (*RESIDUAL, "model.residual_init=fixup", "model.dropout_place=before_activation"),
    (*RNN, "model.cell=plain", "model.init=identity"),
    (*RNN, "model.cell=gru", "model.bias=true"),
    (*RNN, "model.cell=lstm", "model.statistics=shared"),
    (*RNN, DROPOUT, "model.hidden=[8,6]"),
    ("model=custom",),
]
# What some can be composed with.
STARTS = {"model.residual_init=zero_gamma": ("norm=batch",)}
LARGE = "[2,16,18]"  # enough for every architecture
# Few values, each a step of a recurrent network: of units that are equal, and so divided by the
# root of epsilon, the gradient grows three hundredfold at every step.
SHAPES = ("[1,8,8]", "[3,9,17]", LARGE, "[8]", "[1,1,1]")
PLACEMENTS = typing.get_args(Placement)
# Of the input alone, what is normalized is the same at every place.
PLACES = [*((placement, "all") for placement in PLACEMENTS), (PLACEMENTS[0], "input")]
USER = (
    "data=function",
    "data.function=shapes_of_a_user:load",
    "optimizer.lr=0.01",
    "train.batch_size=6",
    "train.drop_last=true",
)
# What a message says after what it refuses; of a user's function, what it was given.
WAYS_OUT = re.compile(
    r"can have|can take|takes|choose|leave \w+ out|needs a norm with|[:,] norm\b|the data are"
)
NORM: TypeAdapter[AnyNorm] = TypeAdapter(Norm)


@pytest.fixture
def composed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compose: Callable[..., Config]
) -> Callable[..., Config]:
    """Return a function from overrides to a configuration of data of one's own."""
    (tmp_path / "shapes_of_a_user.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return lambda *overrides: compose(*USER, *overrides)


def in_place(norm: AnyNorm, place: tuple[str, str] | None) -> AnyNorm:
    """Return a normalization with another placement, of all layers or of one."""
    if place is None:
        return norm
    placement, where = place
    where_all = where == "all"
    values = {"placement": placement, "where": where if where_all else [where]}
    return NORM.validate_python(norm.model_dump(mode="json") | values)


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize(
    "every",
    [
        10**6,
        pytest.param(40, marks=pytest.mark.thorough),
        pytest.param(1, marks=pytest.mark.long),
    ],
)
def test_what_is_admitted_trains_and_what_is_not_says_what_can_be(
    composer: Composer, composed: Callable[..., Config], every: int
) -> None:
    """It builds, gives a logit a class and takes two steps; or the message names a way out.

    Args:
        every: One combination of so many is tried, beside those with something new.
    """
    data = {shape: dict(composed(f"data.args.shape={shape}", "model=mlp")) for shape in SHAPES}
    large = f"data.args.shape={LARGE}"
    models = {one: composed(large, *STARTS.get(one[-1], ()), *one).model for one in MODELS}
    options = {name: composed(f"norm={name}", large).norm for name in composer.options("norm")}
    # The others are one of these with other numbers.
    norms = {name: norm for name, norm in options.items() if norm.name == name}
    assert norms.keys() > {*DEFECTS, "none", "batch", "group", "layer", "instance", "rank"}
    grid = [
        (model, shape, name, place)
        for model, shape, name in itertools.product(MODELS, SHAPES, norms)
        for place in (PLACES if isinstance(norms[name], Placed) else [None])
    ]
    random.Random(0).shuffle(grid)
    admitted: set[object] = set()
    refused, faults = 0, []
    for number, combination in enumerate(grid):
        model, shape, name, place = combination
        parts = {model, shape, name, *(place or ())}
        if number % every and admitted >= parts:
            continue
        chosen = {"model": models[model], "norm": in_place(norms[name], place)}
        try:
            losses = two_steps(Config.model_validate(data[shape] | chosen))
        except (ValidationError, UsageError) as error:
            refused += 1
            if not WAYS_OUT.search(str(error)):
                faults.append((combination, error))
            continue
        except Exception as error:  # the others are tried as well
            faults.append((combination, error))
            continue
        admitted |= parts
        if not all(map(math.isfinite, losses)):
            faults.append((combination, losses))
    assert not faults, "\n".join(map(str, faults))
    assert refused > 10
    assert admitted == {*MODELS, *SHAPES, *norms, *PLACEMENTS, "all", "input"}


def two_steps(config: Config) -> list[float]:
    """Train a network for two steps and return its losses, and that of an evaluation."""
    about = config.data.about
    stream = torch.Generator().manual_seed(0)
    x = torch.rand(6, *about.shape, generator=stream)
    labels = torch.randint(about.classes, (6,), generator=stream)
    network = build(config, 0)
    optimizer = make_optimizer(config, network)
    losses = []
    for _ in range(2):
        logits = network(x)
        assert logits.shape == (len(x), about.classes)
        loss = F.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    with torch.no_grad():
        return [*losses, F.cross_entropy(network.eval()(x), labels).item()]
