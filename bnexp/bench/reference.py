"""The sources' own training loops, written as they are usually written: what we compare to.

A torchvision data set with `ToTensor`, a `DataLoader`, and `.item()` after every step (d2l;
the lab's loop has none). Each epoch ends with a pass over the test set, as in d2l.
"""

import statistics
import time
import warnings

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Subset

from bnexp.config.schema import Config
from bnexp.data.files import FOLDERS
from bnexp.networks.build import build
from bnexp.train.device import allow_tf32
from bnexp.train.plain import make_optimizer

# Images of a timed epoch; 6 to 1, as 60,000 to 10,000.
TRAIN, TEST = 18_000, 3_000
ROUNDS = 3
WORKERS = (0, 2, 4)  # of the DataLoader


def examples_per_s(config: Config, device_name: str, workers: int, *, read_loss: bool) -> float:
    """Return training examples a second of an epoch with its test pass, median of three.

    Args:
        workers: Processes of the DataLoader.
        read_loss: Wait for the loss after every step, as d2l does to add it up.
    """
    from torchvision import datasets, transforms  # 2 s to import

    device = torch.device(device_name)
    allow_tf32(config.train.tf32)  # as a study does; PyTorch's convolutions would use it
    dataset = getattr(datasets, FOLDERS[config.data.name])
    splits = [
        Subset(dataset(config.data.root, train, transforms.ToTensor()), range(n))
        for train, n in ((True, TRAIN), (False, TEST))
    ]
    size = config.train.batch_size
    network = build(config, seed=0).to(device)
    optimizer = make_optimizer(config, network)
    first = Subset(splits[0], range(min(8 * size, TRAIN)))
    _train(network, optimizer, DataLoader(first, size), device)
    times = []
    with warnings.catch_warnings():
        # More processes than cores are worth a trial: we compare to the best of all.
        warnings.filterwarnings("ignore", "This DataLoader will create", UserWarning)
        train, test = (
            DataLoader(split, size, shuffle=shuffle, num_workers=workers)
            for split, shuffle in zip(splits, (True, False), strict=True)
        )
        for _ in range(ROUNDS):
            start = time.perf_counter()
            _train(network, optimizer, train, device, read_loss=read_loss)
            _test(network, test, device)
            times.append(time.perf_counter() - start)
    return TRAIN / statistics.median(times)


def _train(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    loader: DataLoader[tuple[torch.Tensor, torch.Tensor]],
    device: torch.device,
    *,
    read_loss: bool = True,
) -> float:
    network.train()
    total, correct = 0.0, 0.0
    for images, labels in loader:
        x, y = images.to(device), labels.to(device)
        optimizer.zero_grad()
        logits = network(x)
        loss = F.cross_entropy(logits, y)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if read_loss:
            with torch.no_grad():
                total += loss.item() * len(y)
                correct += (logits.argmax(1) == y).sum().item()
    return total


@torch.no_grad()
def _test(
    network: nn.Module,
    loader: DataLoader[tuple[torch.Tensor, torch.Tensor]],
    device: torch.device,
) -> float:
    network.eval()
    correct = 0.0
    for images, labels in loader:
        logits = network(images.to(device))
        correct += (logits.argmax(1) == labels.to(device)).sum().item()
    return correct
