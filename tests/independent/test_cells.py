"""Published cells, trained again by a plain PyTorch loop without any code of the package.

It reads the images itself, writes the networks out, draws its own weights and orders, and knows
of a published study only its table of runs. What it trains must be ordinary runs of that cell.
"""

import csv
import gzip
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

RESULTS = Path(__file__).resolve().parents[2] / "results"
N_SEEDS = 3
# The probability that any of the numbers that are compared strays that far by chance.
ALPHA = 0.01
Images = tuple[torch.Tensor, torch.Tensor]


def read(folder: str, part: str) -> Images:
    """Return images (N, 1, 28, 28) from 0 to 1 and labels (N,) of IDX files, packed or not."""
    arrays = []
    for kind, header in (("images-idx3", 16), ("labels-idx1", 8)):
        path = Path(os.environ["BNEXP_DATA_ROOT"], folder, "raw", f"{part}-{kind}-ubyte")
        data = (
            path.read_bytes()
            if path.exists()
            else gzip.decompress(path.with_name(path.name + ".gz").read_bytes())
        )
        arrays.append(torch.frombuffer(bytearray(data[header:]), dtype=torch.uint8))
    return arrays[0].view(-1, 1, 28, 28) / 255, arrays[1].long()


def xavier(network: nn.Module) -> nn.Module:
    """Draw all weights as Glorot and Bengio do, uniformly; biases stay PyTorch's."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
    return network


def lenet(
    *, conv_norm: bool = False, dense_norm: bool = False, norm_behind_pool: bool = False
) -> nn.Module:
    """Return the BN chapter's network with ReLU and max pooling."""

    def conv(channels_in: int, channels: int) -> list[nn.Module]:
        norm = [nn.BatchNorm2d(channels)] if conv_norm else []
        behind = [nn.BatchNorm2d(channels)] if norm_behind_pool else []
        return [nn.Conv2d(channels_in, channels, 5), *norm, nn.ReLU(), nn.MaxPool2d(2), *behind]

    def dense(inputs: int, units: int) -> list[nn.Module]:
        before = [nn.BatchNorm1d(units)] if dense_norm else []
        behind = [nn.BatchNorm1d(units)] if norm_behind_pool else []
        return [nn.Linear(inputs, units), *before, nn.ReLU(), *behind]

    return xavier(
        nn.Sequential(
            *conv(1, 6), *conv(6, 16), nn.Flatten(),
            *dense(256, 120), *dense(120, 84), nn.Linear(84, 10),
        )
    )  # fmt: skip


def mlp(
    units: int, norm: type[nn.Module] | None, weights: Callable[[nn.Module], nn.Module]
) -> nn.Module:
    """Return a network of two hidden layers with ReLU, each normalized before it."""
    layers: list[nn.Module] = [nn.Flatten()]
    for inputs in (784, units):
        layers += [nn.Linear(inputs, units), *([norm(units)] if norm else []), nn.ReLU()]
    return weights(nn.Sequential(*layers, nn.Linear(units, 10)))


def kaiming(network: nn.Module) -> nn.Module:
    """Draw all weights as He et al. do for ReLU, uniformly."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
    return network


@dataclass(frozen=True)
class Cell:
    """A cell of a published study, and how to train it without the package."""

    study: str
    levels: dict[str, str]
    network: Callable[[], nn.Module]
    learns: Callable[[Iterator[nn.Parameter]], torch.optim.Optimizer]
    batch_size: int
    epochs: int
    n_train: int = 60_000
    drop_last: bool = True
    folder: str = "FashionMNIST"


def sgd(lr: float) -> Callable[[Iterator[nn.Parameter]], torch.optim.Optimizer]:
    """Return what makes an optimizer of parameters."""
    return lambda parameters: torch.optim.SGD(parameters, lr=lr)


CELLS = [
    Cell(
        "last_batch",
        {"last_batch": "8", "norm": "batch", "optimizer.lr": "0.1"},
        lambda: lenet(conv_norm=True, dense_norm=True),
        sgd(0.1),
        128,
        6,
        n_train=5000,
        drop_last=False,
    ),
    Cell(
        "which_layers",
        {"layers": "c1+c2"},
        lambda: lenet(conv_norm=True),
        sgd(0.1),
        64,
        3,
        n_train=20_480,
    ),
    Cell(
        "pool_position",
        {"placement": "after_pool", "model.activation": "relu"},
        lambda: lenet(norm_behind_pool=True),
        sgd(0.2),
        128,
        2,
    ),
    Cell(
        "when_bn_hurts",
        {"norm": "layer", "situation": "ordinary"},
        lambda: mlp(128, nn.LayerNorm, kaiming),
        sgd(0.1),
        128,
        5,
        n_train=10_240,
    ),
    Cell(
        "lab_mlp",
        {"norm": "before"},
        lambda: mlp(32, nn.BatchNorm1d, lambda network: network),
        lambda parameters: torch.optim.Adam(parameters, lr=0.01),
        32,
        10,
        folder="MNIST",
    ),
]


def trained(cell: Cell, seed: int, images: Images, tests: Images) -> tuple[float, float]:
    """Return the last epoch's mean train loss, and the test accuracy in evaluation mode."""
    torch.manual_seed(1000 + seed)
    network = cell.network()
    optimizer = cell.learns(network.parameters())
    chosen = torch.randperm(len(images[1]))[: cell.n_train]
    losses: list[float] = []
    for _ in range(cell.epochs):
        losses, sizes = [], []
        for batch in chosen[torch.randperm(cell.n_train)].split(cell.batch_size):
            if cell.drop_last and len(batch) < cell.batch_size:
                continue
            loss = nn.functional.cross_entropy(network(images[0][batch]), images[1][batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            sizes.append(len(batch))
    network.eval()
    with torch.no_grad():
        right = network(tests[0]).argmax(1) == tests[1]
    return float(np.average(losses, weights=sizes)), float(right.double().mean())


def published(cell: Cell, metric: str) -> np.ndarray:
    """Return a metric of the cell's published runs."""
    with (RESULTS / cell.study / "tables" / "runs.csv").open(newline="") as file:
        rows = [
            row
            for row in csv.DictReader(file)
            if all(row[key] == level for key, level in cell.levels.items())
        ]
    return np.array([float(row[metric]) for row in rows])


@pytest.mark.long
@pytest.mark.real_data
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.study)
def test_a_published_cell_is_what_plain_pytorch_trains(cell: Cell) -> None:
    """The mean of a few independent runs lies where the published runs say that it will."""
    images, tests = read(cell.folder, "train"), read(cell.folder, "t10k")
    ours = np.array([trained(cell, seed, images, tests) for seed in range(N_SEEDS)])
    for values, metric in zip(ours.T, ("train_loss", "test_accuracy"), strict=True):
        theirs = published(cell, metric)
        assert len(theirs) >= 10
        spread = theirs.std(ddof=1) * math.sqrt(1 / N_SEEDS + 1 / len(theirs))
        bound = stats.t.isf(ALPHA / (2 * 2 * len(CELLS)), len(theirs) - 1) * spread
        said = f"{metric}: {values} against {theirs.mean()} +- {bound}"
        assert abs(values.mean() - theirs.mean()) <= bound, said
