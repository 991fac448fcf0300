"""Every architecture with every normalization, in every place, on data of every shape."""

import itertools
import math
import random
import re
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional as F

from bnexp.config.compose import Composer
from bnexp.config.norm_base import Placement
from bnexp.config.normalization import DEFECTS
from bnexp.config.schema import Config
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
]
# What some can be composed with.
STARTS = {"model.residual_init=zero_gamma": ("norm=batch",)}
SHAPES = ("[1,8,8]", "[3,9,17]", "[2,28,28]", "[20]", "[1,1,1]")
PLACEMENTS = typing.get_args(Placement)
EVERY = [
    10**6,
    pytest.param(40, marks=pytest.mark.thorough),
    pytest.param(1, marks=pytest.mark.long),
]


@pytest.fixture
def sections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compose: Callable[..., Config]
) -> Callable[..., dict[str, Any]]:
    """Return a function from overrides to a configuration's sections as plain values."""
    (tmp_path / "shapes_of_a_user.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return lambda *overrides: compose(*overrides).model_dump(mode="json")


def combinations(composer: Composer) -> list[tuple[Any, ...]]:
    """Return every model, shape of data, norm, place and choice of layers, in a drawn order."""
    norms = composer.options("norm")
    wheres = ("all", "input")
    found = [
        (model, shape, norm, placement, where)
        for model, shape, norm in itertools.product(MODELS, SHAPES, norms)
        for placement in (PLACEMENTS if norm != "none" else [None])
        for where in (wheres if norm != "none" else [None])
    ]
    random.Random(0).shuffle(found)
    return found


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
    composer: Composer, sections: Callable[..., dict[str, Any]], every: int
) -> None:
    """It builds, gives a logit a class and takes two steps; or the message names a way out.

    Args:
        every: One combination of so many is tried, beside those with something new.
    """
    data = {
        shape: sections("data=function", f"data.args.shape={shape}", "model=mlp", *USER)
        for shape in SHAPES
    }
    models = {model: sections(*STARTS.get(model[-1], ()), *model)["model"] for model in MODELS}
    norms = {name: sections(f"norm={name}")["norm"] for name in composer.options("norm")}
    assert {norm["name"] for norm in norms.values()} > {
        *DEFECTS,
        "group",
        "layer",
        "instance",
        "rank",
    }
    admitted: set[object] = set()
    refused = 0
    for at, (model, shape, norm, placement, where) in enumerate(combinations(composer)):
        if at % every and admitted >= {model, shape, norm, placement, where}:
            continue
        place = {} if placement is None else {"placement": placement}
        place |= {} if where is None else {"where": "all" if where == "all" else [where]}
        parts = {"model": models[model], "norm": norms[norm] | place}
        try:
            config = Config.model_validate(data[shape] | parts)
        except ValidationError as error:
            (fault,) = error.errors()
            assert re.search(r"(norm|model|data|train)\.?\w*(=|: )", fault["msg"]), fault["msg"]
            refused += 1
            continue
        admitted |= {model, shape, norm, placement, where}
        losses = two_steps(config)
        assert all(map(math.isfinite, losses)), (model, shape, norm, placement, where)
    assert refused > 10
    assert admitted >= {*MODELS, *norms, *PLACEMENTS, "all", "input"}
    assert admitted >= set(SHAPES)


USER = (
    "data.function=shapes_of_a_user:load",
    "optimizer.lr=0.01",
    "train.batch_size=6",
    "train.drop_last=true",
)


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
