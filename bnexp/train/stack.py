"""Many networks of one structure as one program, their weights stacked along an axis.

`torch.func.vmap` runs one ordinary module over stacked parameters and buffers, so every
layer that the plain trainer has works here as it stands.
"""

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from bnexp.datasets.about import Shape
from bnexp.networks.flat import alike
from bnexp.networks.normalizers import input_shapes
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
        fell_back: Whether these have failed, so that PyTorch's train them.
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
        self.fell_back = False
        device = next(iter(self.parameters.values())).device
        self.is_mapped_on_cpu = device.type == "cpu" and not native and self.kernels is None
        self._network = networks[0]
        if not native:
            self._network = apart(networks[0], all_of_them=self.is_mapped_on_cpu)
        self._images_dim = 1 + len(shape)
        shapes = input_shapes(self._network, shape)
        self.widest = max(given[1:].numel() for given in shapes.values())

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
        return not any(isinstance(layer, Whitening) for layer in self._network.modules())

    def train(self, *, mode: bool) -> None:
        """Set the mode of all networks, as `nn.Module.train` does."""
        self._network.train(mode)
        for name, layer in self._network.named_modules():
            if isinstance(layer, FormulaBatchNorm) and layer.parts.forgets and not mode:
                self.buffers[f"{name}.running_mean"].zero_()
                self.buffers[f"{name}.running_var"].fill_(1)

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

    def through(self, place: int, x: Tensor) -> Tensor:
        """Return what one of the layers, which are a sequence, makes of what came before it.

        Args:
            place: Its number.
            x: Shape (N, ...) as long as no layer before it has parameters or buffers, then
                (R, N, ...).
        """
        layers = list(self._network.named_children())
        name, layer = layers[place]
        parameters, buffers = (
            _of_layer(state, name) for state in (self.parameters, self.buffers)
        )
        shared = not any(_tensors(one) for _, one in layers[:place])
        if not (parameters or buffers):
            made = layer(x) if shared else vmap(layer)(x)
        else:
            made = vmap(partial(functional_call, layer), in_dims=(0, None if shared else 0))(
                parameters | buffers, x
            )
        assert isinstance(made, Tensor)
        return made

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
        self.networks = [self.networks[row] for row in rows]


def _tensors(layer: nn.Module) -> list[Tensor]:
    return [*layer.parameters(), *layer.buffers()]


def _of_layer(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """Return what belongs to a layer, by the names that it has for it."""
    return {
        key.removeprefix(f"{name}."): value
        for key, value in state.items()
        if key.startswith(f"{name}.")
    }


def apart(network: nn.Sequential, *, all_of_them: bool = True) -> nn.Sequential:
    """Return a network of the same layers whose batch normalizations are formulas.

    PyTorch's, mapped, takes the channels of all runs for one layer's, and on a CPU how it adds
    them up depends on how many there are. That of a cumulative average reads its counter on the
    host.

    Args:
        all_of_them: Or only those of a cumulative average.
    """
    found = copy.deepcopy(network)
    formulas: dict[nn.Module, FormulaBatchNorm] = {}
    for name, layer in [*found.named_modules(remove_duplicate=False)]:
        if type(layer) not in (nn.BatchNorm1d, nn.BatchNorm2d) or layer.running_mean is None:
            continue
        if layer.momentum is not None and not all_of_them:
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
