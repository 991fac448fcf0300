"""What a network consists of."""

import torch
from torch import nn

from bnexp.config.schema import Config
from bnexp.networks.build import build


def n_parameters(network: nn.Module) -> int:
    """Return the number of trained parameters."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


@torch.no_grad()
def summary(config: Config) -> list[tuple[str, str, str, str]]:
    """Return name, module, output shape of one image and parameters of each layer, in order.

    The last row is the sum; parameters that do not learn are left out of it and in
    brackets where they stand.
    """
    network = build(config, seed=0).eval()
    x = torch.zeros(1, *config.data.about.shape)
    rows = []
    for name, layer in network.named_children():
        x = layer(x)
        shape = " x ".join(str(side) for side in x.shape[1:])
        learned, total = n_parameters(layer), sum(p.numel() for p in layer.parameters())
        count = f"{learned:,}" if total == learned else f"{learned:,} ({total - learned:,})"
        rows.append((name, type(layer).__name__, shape, count if total else ""))
    return [*rows, ("", "", "sum", f"{n_parameters(network):,}")]
