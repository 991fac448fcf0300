"""Many networks of one structure as one program, their weights stacked along an axis.

`torch.func.vmap` runs one ordinary module over stacked parameters and buffers, so every
layer that the plain trainer has works here as it stands.
"""

import copy
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from bnexp.datasets.about import Shape
from bnexp.networks.flat import alike
from bnexp.networks.normalizers import input_shapes
from bnexp.networks.random_layers import Drawing
from bnexp.norms import FormulaBatchNorm, Whitening

if TYPE_CHECKING:
    from bnexp.train.gpu.network import Network


class Stack:
    """R networks that differ in their weights.

    Attributes:
        parameters: By name, each of shape (R, ...); those that learn require gradients.
        buffers: By name, each of shape (R, ...).
        is_native: Whether the kernels of a CPU train them.
        kernels: Those of a GPU, where they train them.
        is_mapped_on_cpu: Whether PyTorch's kernels of a CPU train them. Those multiply a single
            matrix in another order than one of several: alone a run would have other last bits
            than in any company.
        widest: The largest number of values that a layer is given of an image.

    Args:
        networks: On the device; they differ in the values of parameters and buffers alone.
        shape: Of an image.
        native: See `is_native`.
        kernels: From a network to the kernels of a GPU; see `bnexp.train.gpu.network`.

    Raises:
        ValueError: If they differ in more.
    """

    def __init__(
        self,
        networks: Sequence[nn.Sequential],
        shape: Shape,
        *,
        native: bool = False,
        kernels: "Callable[[nn.Sequential], Network] | None" = None,
    ) -> None:
        self.networks = list(networks)
        if not all(alike(networks[0], other) for other in networks[1:]):
            raise ValueError("the networks differ in more than numbers")
        self.parameters, self.buffers = stack_module_state(self.networks)
        for name, parameter in self.parameters.items():
            self.parameters[name] = _laid_out(parameter.detach(), parameter.requires_grad)
        self.is_native = native
        self.kernels = kernels(networks[0]) if kernels else None
        device = next(iter(self.parameters.values())).device
        self.is_mapped_on_cpu = device.type == "cpu" and not native and self.kernels is None
        self._network = apart(networks[0]) if self.is_mapped_on_cpu else networks[0]
        self._steps = 0
        self._images_dim = 1 + len(shape)
        shapes = input_shapes(self._network, shape)
        self.widest = max(given[1:].numel() for given in shapes.values())
        self._drawing = {
            name: tuple(shapes[layer][1:])
            for name, layer in self._network.named_modules()
            if isinstance(layer, Drawing)
        }
        # PyTorch's layers read the counter of a cumulative average on the host, which a
        # stacked counter does not allow: they are told the weight of each batch instead.
        self._cumulative = [
            layer
            for layer in self._network.modules()
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d) and layer.momentum is None
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
        """Return whether a step reads nothing from the host that changes, and never waits.

        An eigendecomposition waits for its device.
        """
        whitens = any(isinstance(layer, Whitening) for layer in self._network.modules())
        return self.kernels is not None or not (self._drawing or self._cumulative or whitens)

    def train(self, *, mode: bool) -> None:
        """Set the mode of all networks, as `nn.Module.train` does."""
        self._network.train(mode)
        for name, layer in self._network.named_modules():
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
        """Return logits of shape (R, N, K).

        Args:
            images: Shape (N, ...), the same for all runs, or (R, N, ...).
        """
        shared = images.dim() == self._images_dim
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
    def keep(self, rows: Sequence[int]) -> None:
        """Go on with some of the networks alone.

        Args:
            rows: Their positions, in order. The same twice gives it a twin.
        """
        if list(rows) == list(range(len(self))):
            return
        for state in (self.parameters, self.buffers):
            for name, value in state.items():
                cut = value.detach()[torch.tensor(rows, device=value.device)]
                state[name] = _laid_out(cut, value.requires_grad)
        chosen = [self.networks[row] for row in rows]
        self.networks = [
            # What draws counts its draws, each for itself.
            copy.deepcopy(network) if network in chosen[:place] else network
            for place, network in enumerate(chosen)
        ]


def apart(network: nn.Sequential) -> nn.Sequential:
    """Return a network of the same layers whose batch normalizations are formulas.

    PyTorch's, mapped, takes the channels of all runs for one layer's, and how it adds them up
    depends on how many there are.
    """
    found = copy.deepcopy(network)
    formulas: dict[nn.Module, FormulaBatchNorm] = {}
    for name, layer in [*found.named_modules(remove_duplicate=False)]:
        if type(layer) not in (nn.BatchNorm1d, nn.BatchNorm2d) or layer.running_mean is None:
            continue
        if layer not in formulas:
            own = FormulaBatchNorm(layer.num_features, layer.eps, layer.momentum)
            # The same tensors, which layers may share.
            own._parameters, own._buffers = layer._parameters, layer._buffers
            formulas[layer] = own.train(layer.training)
        found.set_submodule(name, formulas[layer])
    return found


def _laid_out(value: Tensor, requires_grad: bool) -> Tensor:
    """Return a stacked parameter in the memory order that its gradient will have.

    The gradient of a dense layer's weights (R, out, in) comes out as (R, in, out): in the
    other order every step would copy it.
    """
    value = value.mT.contiguous().mT if value.dim() == 3 else value.contiguous()
    return value.requires_grad_(requires_grad)
