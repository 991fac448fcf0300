"""What else there is to train small networks faster, so that a reader sees what it brings."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bnexp.bench.measure import prepared
from bnexp.config.schema import Config
from bnexp.networks.build import build
from bnexp.train.memory import is_out_of_memory
from bnexp.train.plain import make_optimizer
from bnexp.train.speed import seconds_of_one

STEPS = 6
PASSES = (nn.Flatten, nn.Sigmoid, nn.ReLU, nn.Tanh, nn.MaxPool2d, nn.AvgPool2d, nn.Identity)


def grouped(config: Config, device_name: str, size: int) -> float | None:
    """Return examples a second of so many runs fused by hand, None if too many.

    Source: Wang et al. (2021), "Horizontally fused training array", arXiv 2102.02344, which
    fuses the operators of models in this way.
    """
    data = prepared(config, device_name)
    device = data.train.images.device
    network = Grouped([build(config, seed) for seed in range(size)]).to(device)
    optimizer = make_optimizer(config, network)
    batch_size = config.train.batch_size
    order = torch.randint(len(data.train), (size, STEPS * batch_size), device=device)

    def work(n: int) -> None:
        part = order[:, : n // size]
        for index in torch.split(part, batch_size, dim=1):
            images, labels = data.train.batch(index)
            logits = network(images)  # (R, N, K)
            loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten()) * size
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        loss.item()  # waits for the device

    try:
        return 1 / seconds_of_one(work, [size * batch_size, order.numel()])
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return None


def compiled(config: Config, device_name: str) -> float:
    """Return examples a second of one run whose loss `torch.compile` has compiled.

    On a GPU with CUDA graphs. What compiling takes does not count.
    """
    data = prepared(config, device_name)
    device = data.train.images.device
    network = build(config, 0).to(device)
    optimizer = make_optimizer(config, network)
    batch_size = config.train.batch_size
    order = torch.randint(len(data.train), (STEPS * batch_size,), device=device)
    mode = "reduce-overhead" if device.type == "cuda" else "default"
    loss_of = torch.compile(lambda x, y: F.cross_entropy(network(x), y), mode=mode)

    def work(n: int) -> None:
        for index in torch.split(order[:n], batch_size):
            loss = loss_of(*data.train.batch(index))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        loss.item()  # waits for the device

    work(2 * batch_size)  # compiles
    return 1 / seconds_of_one(work, [batch_size, len(order)])


class Grouped(nn.Sequential):
    """R networks of one structure as one: convolutions in groups, dense layers in a batch.

    Args:
        networks: Of convolutions, dense layers, batch normalizations, activations, poolings.
    """

    def __init__(self, networks: Sequence[nn.Sequential]) -> None:
        super().__init__(*(_fused(layers) for layers in zip(*networks, strict=True)))
        self.n_runs = len(networks)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, shape (R, N, K), for images of shape (R, N, C, H, W)."""
        x = images.transpose(0, 1).flatten(1, 2)  # (N, R * C, H, W)
        for layer in self:
            if isinstance(layer, nn.Flatten):
                x = x.view(len(x), self.n_runs, -1).transpose(0, 1)
            elif isinstance(layer, nn.BatchNorm1d):
                x = layer(x.transpose(0, 1).flatten(1)).view(x.shape[1], self.n_runs, -1)
                x = x.transpose(0, 1)
            else:
                x = layer(x)
        return x


class Dense(nn.Module):
    """Dense layers of R runs, from (R, N, F) to (R, N, O)."""

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.stack([one.weight.detach().mT for one in layers]))
        self.bias = nn.Parameter(torch.stack([one.bias.detach()[None] for one in layers]))

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, x, self.weight)


@torch.no_grad()
def _fused(layers: Sequence[nn.Module]) -> nn.Module:
    """Return what computes a layer of all runs, with the weights of each."""
    first, n = layers[0], len(layers)
    if isinstance(first, nn.Linear):
        return Dense([one for one in layers if isinstance(one, nn.Linear)])
    if isinstance(first, PASSES):
        return first
    fused: nn.Module
    if isinstance(first, nn.Conv2d):
        kernel, padding = first.kernel_size[0], int(first.padding[0])
        channels = n * first.in_channels, n * first.out_channels
        fused = nn.Conv2d(*channels, kernel, first.stride[0], padding, groups=n)
    elif isinstance(first, nn.BatchNorm1d | nn.BatchNorm2d):
        fused = type(first)(n * first.num_features, first.eps, first.momentum)
    else:
        raise TypeError(f"{type(first).__name__} is not fused")
    for name, tensor in fused.named_parameters():
        tensor.copy_(torch.cat([one.get_parameter(name) for one in layers]))
    return fused
