"""Many networks of one structure as one program, their weights stacked along an axis.

`torch.func.vmap` runs one ordinary module over stacked parameters and buffers, so every
layer that the plain trainer has works here as it stands.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from bnexp.networks.build import PIXELS
from bnexp.networks.random_layers import Drawing
from bnexp.norms import FormulaBatchNorm
from bnexp.train.cpu.dense_norm import with_dense_norms
from bnexp.train.cpu.supported import is_native
from bnexp.train.evaluate import norm_layers


class Stack:
    """R networks that differ in their weights.

    Attributes:
        parameters: By name, each of shape (R, ...); those that learn require gradients.
        buffers: By name, each of shape (R, ...).
        is_native: Whether the kernels of a CPU can train them.
        widest: The largest number of values that a layer makes of an image.

    Args:
        networks: On the device; they agree in everything but numbers.
    """

    def __init__(self, networks: Sequence[nn.Sequential]) -> None:
        self.networks = list(networks)
        self.parameters, self.buffers = stack_module_state(self.networks)
        for name, parameter in self.parameters.items():
            self.parameters[name] = _laid_out(parameter.detach(), parameter.requires_grad)
        self.is_native = is_native(networks[0])
        self._network = with_dense_norms(networks[0])
        self._steps = 0
        shapes = _shapes(self._network)
        self.widest = max(math.prod(shape) for shape in shapes.values())
        self._drawing = {
            name: shape
            for name, shape in shapes.items()
            if isinstance(self._network.get_submodule(name), Drawing)
        }
        # PyTorch's layers read the counter of a cumulative average on the host, which a
        # stacked counter does not allow: they are told the weight of each batch instead.
        self._cumulative = [
            layer
            for _, layer in norm_layers(self._network)
            if not isinstance(layer, FormulaBatchNorm) and layer.momentum is None
        ]

    def __len__(self) -> int:
        return len(self.networks)

    @property
    def structure(self) -> nn.Sequential:
        """Return the layers, with parameters and buffers of no meaning."""
        return self._network

    @property
    def learned(self) -> dict[str, Tensor]:
        """Return the parameters that learn."""
        return {name: p for name, p in self.parameters.items() if p.requires_grad}

    @property
    def can_be_captured(self) -> bool:
        """Return whether a step reads nothing from the host that changes."""
        return not (self._drawing or self._cumulative)

    def train(self, *, mode: bool) -> None:
        """Set the mode of all networks, as `nn.Module.train` does."""
        self._network.train(mode)
        for name, layer in self._network.named_children():
            if isinstance(layer, FormulaBatchNorm) and layer.parts.forgets and not mode:
                self.buffers[f"{name}.running_mean"].zero_()
                self.buffers[f"{name}.running_var"].fill_(1)

    def prepare_step(self, batch_size: int) -> None:
        """Make ready what a training step reads from the host."""
        self._steps += 1
        for layer in self._cumulative:
            layer.momentum = 1 / self._steps
        for name, shape in self._drawing.items():
            layers = [network.get_submodule(name) for network in self.networks]
            drawn = [layer.draw((batch_size, *shape)) for layer in layers]  # type: ignore[operator]
            # In the precision of what they meet, before they travel.
            like = next(iter(self.parameters.values()))
            self.buffers[f"{name}.drawn"] = torch.stack(drawn).to(like, non_blocking=True)

    def __call__(self, images: Tensor) -> Tensor:
        """Return logits of shape (R, N, 10).

        Args:
            images: Shape (N, 1, 28, 28), the same for all runs, or (R, N, 1, 28, 28).
        """
        shared = images.dim() == 4
        forward = vmap(self._forward, in_dims=(0, 0, None if shared else 0))
        logits = forward(self.parameters, self.buffers, images)
        assert isinstance(logits, Tensor)
        return logits

    def _forward(
        self, parameters: dict[str, Tensor], buffers: dict[str, Tensor], images: Tensor
    ) -> Tensor:
        logits = functional_call(self._network, (parameters, buffers), (images,))
        assert isinstance(logits, Tensor)
        return logits

    @torch.no_grad()
    def network(self, row: int) -> nn.Sequential:
        """Return one of the networks with its present weights and buffers, as a module."""
        network = self.networks[row]
        for name, parameter in network.named_parameters():
            parameter.copy_(self.parameters[name][row])
        for name, buffer in network.named_buffers():
            if not name.endswith(".drawn"):
                buffer.copy_(self.buffers[name][row])
        return network

    @torch.no_grad()
    def keep(self, rows: Tensor) -> None:
        """Go on with some of the networks alone.

        Args:
            rows: Their positions, in order.
        """
        for state in (self.parameters, self.buffers):
            for name, value in state.items():
                cut = value.detach()[rows.to(value.device)]
                state[name] = _laid_out(cut, value.requires_grad)
        self.networks = [self.networks[row] for row in rows.tolist()]


def _laid_out(value: Tensor, requires_grad: bool) -> Tensor:
    """Return a stacked parameter in the memory order that its gradient will have.

    The gradient of a dense layer's weights (R, out, in) comes out as (R, in, out): in the
    other order every step would copy it.
    """
    value = value.mT.contiguous().mT if value.dim() == 3 else value.contiguous()
    return value.requires_grad_(requires_grad)


@torch.no_grad()
def _shapes(network: nn.Sequential) -> dict[str, tuple[int, ...]]:
    """Return the shape of what each layer sees of one image."""
    device = next(network.parameters()).device
    x = torch.zeros(1, 1, PIXELS, PIXELS, device=device)
    x = x.to(next(network.parameters()).dtype)
    found = {}
    mode = network.training
    network.eval()
    for name, layer in network.named_children():
        found[name] = tuple(x.shape[1:])
        x = layer(x)
    network.train(mode)
    return found
