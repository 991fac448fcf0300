"""The normalizations beside batch normalization, with settings for a test."""

from typing import Any

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from bnexp.config.normalization import AnyNorm
from bnexp.norms import make_norm

# Of those that neither PyTorch nor `scratch` has, with what a small example needs.
SETTINGS: dict[str, dict[str, Any]] = {
    "rms": {},
    "frn": {"threshold": True},
    "dyt": {"alpha": 0.5},
    "derf": {"alpha": 0.5},
    "frozen": {"mean": 0.5, "variance": 2.0},
    "ghost": {"momentum": 0.1, "virtual_batch": 2},
    "renorm": {"momentum": 0.1, "r_max": 3.0, "d_max": 5.0, "warm_up": 0},
    "whiten": {"momentum": 0.1, "group_size": "all"},
    "rank": {"momentum": 0.1, "quantiles": 4},
    "switchable": {"momentum": 0.1},
}
BY_BATCH = ("ghost", "renorm", "whiten", "rank", "switchable")
ON_IMAGES = ("frn",)


def other(name: str, x: Tensor, **changes: object) -> nn.Module:
    """Return a layer for inputs like x in float64, with its first gamma and beta."""
    section = {"name": name, "placement": "before_activation", "where": "all"}
    section |= {"affine": "both", **SETTINGS[name], **changes}
    if name not in ("dyt", "derf"):
        section = {"epsilon": 1e-12, **section}
    config = TypeAdapter(AnyNorm).validate_python(section)
    layer = make_norm(config, x.shape[1], spatial=x.dim() == 4)
    assert layer is not None
    return layer.double()


def drawn(name: str, x: Tensor, **changes: object) -> nn.Module:
    """Return a layer whose learned parameters are not what they began with."""
    layer = other(name, x, **changes)
    stream = torch.Generator().manual_seed(3)
    for parameter in layer.parameters():
        parameter.data += 0.3 * torch.randn(
            parameter.shape, generator=stream, dtype=torch.float64
        )
    return layer
