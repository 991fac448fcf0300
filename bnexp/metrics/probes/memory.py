"""What PyTorch keeps of a minibatch until its gradient is computed, most of its memory."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from bnexp.metrics.metric import Measured, Metric
from bnexp.metrics.probe import Look, Probe

if TYPE_CHECKING:
    from torch import Tensor, UntypedStorage, nn


def kept_bytes(network: nn.Module, images: Tensor, labels: Tensor) -> int:
    """Return the bytes kept from the forward pass of a minibatch for its backward pass.

    Each block of memory counts once, however many operations keep it; weights, running
    statistics, images and labels, which are there anyway, do not. The network and its random
    streams stay as they are.

    Args:
        images: A minibatch, shape (N, ...).
        labels: Shape (N,).
    """
    import torch
    from torch.nn.functional import cross_entropy

    network = copy.deepcopy(network).train()
    there = {
        one.untyped_storage().data_ptr() for one in (*network.parameters(), images, labels)
    }
    kept: dict[int, UntypedStorage] = {}  # held, so that no address is used twice

    def keep(tensor: Tensor) -> Tensor:
        block = tensor.untyped_storage()
        kept[block.data_ptr()] = block
        return tensor

    device = images.device
    with (
        torch.random.fork_rng([device] if device.type == "cuda" else []),
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
    ):
        loss = cross_entropy(network(images), labels)
    del loss
    return sum(block.nbytes() for address, block in kept.items() if address not in there)


def measure(look: Look) -> Measured:
    """Return the bytes of the first minibatch; see `kept_bytes`."""
    return {"kept_bytes": kept_bytes(look.network, *look.first_minibatch())}


PROBE = Probe(
    does="what PyTorch keeps of a minibatch for the backward pass",
    measure=measure,
    metrics=(
        Metric(
            "kept_bytes",
            "kept for the backward pass",
            "a minibatch, by PyTorch's layers",
            unit="kB",
            scale=1e-3,
            better="lower",
            low=0,
            is_log=True,
            when=("start",),
        ),
    ),
)
