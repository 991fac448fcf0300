"""Recurrent layers, unrolled over their time steps and normalized within them."""

import math
from collections import OrderedDict
from collections.abc import Callable, Collection

import torch
from torch import Tensor, nn

from bnexp.config.norm_base import ByBatch
from bnexp.config.recurrent import GATES, Rnn
from bnexp.config.schema import Config
from bnexp.networks.random_layers import Dropout
from bnexp.norms import make_norm


class Steps(nn.Module):
    """Cut each image into its rows, or each vector into pieces.

    Args:
        steps: T, how many pieces a vector has.
    """

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def forward(self, x: Tensor) -> Tensor:
        """Return what is read at each step, shape (N, T, F).

        Args:
            x: Shape (N, C, T, W), of which a step has the C rows, or (N, T * F).
        """
        rows = x.transpose(1, 2) if x.dim() == 4 else x.view(len(x), self.steps, -1)
        return rows.flatten(2)


class LastStep(nn.Module):
    """Go on with what the last step has left."""

    def forward(self, x: Tensor) -> Tensor:
        """Return shape (N, C) of (N, T, C)."""
        return x[:, -1]


class PerStep(nn.ModuleList):
    """A normalization for each time step: statistics of its own, gamma and beta of all.

    Source: Cooijmans et al. (2016), arXiv 1603.09025, section 3.

    Args:
        make: Makes one.
        steps: T, how many there are.
    """

    def __init__(self, make: Callable[[], nn.Module], steps: int) -> None:
        super().__init__([make() for _ in range(steps)])
        for layer in self:
            for name, parameter in self[0].named_parameters():
                layer.register_parameter(name, parameter)

    @property
    def weight(self) -> object:
        """Return the gamma of all steps, or None."""
        return self[0].weight

    @property
    def bias(self) -> object:
        """Return the beta of all steps, or None."""
        return self[0].bias


class Recurrent(nn.Module):
    """A recurrent layer over all time steps.

    Without normalization it computes what `torch.nn.RNN`, `GRU` and `LSTM` do, in which a
    gate is a sigmoid whatever the activation. A normalization stands directly behind what
    becomes of the input and of the state, and before the activation of an LSTM's cells on
    their way out. The state begins with zeros.

    Source: Cooijmans et al. (2016), arXiv 1603.09025, equations 6 to 8.

    Args:
        name: What the names of its layers begin with.
        cell: `plain`, `gru` or `lstm`.
        sizes: F and C, how many values it is given and leaves at each step.
        activation: Of a state.
        norms: By the names of the layers that they follow.
    """

    def __init__(
        self,
        name: str,
        cell: str,
        sizes: tuple[int, int],
        activation: nn.Module,
        norms: dict[str, nn.Module],
    ) -> None:
        super().__init__()
        inputs, self.width = sizes
        self.name, self.cell = name, cell
        gates = GATES[cell] * self.width
        parts: OrderedDict[str, nn.Module] = OrderedDict()
        parts[f"{name}_input"] = nn.Linear(inputs, gates)
        parts[f"{name}_recurrent"] = nn.Linear(self.width, gates)
        for part, norm in norms.items():
            parts[f"{part}_norm"] = norm
        if cell != "plain":
            parts[f"{name}_gate"] = nn.Sigmoid()
        parts[f"{name}_activation"] = activation
        for part, module in parts.items():
            self.add_module(part, module)

    def forward(self, x: Tensor) -> Tensor:
        """Return the state after each step, shape (N, T, C).

        Args:
            x: Shape (N, T, F).
        """
        state = cells = x.new_zeros(len(x), self.width)
        recurrent = self.get_submodule(f"{self.name}_recurrent")
        given = self.get_submodule(f"{self.name}_input")(x)  # (N, T, gates)
        states = []
        for step in range(x.shape[1]):
            a = self._normalized("input", given[:, step], step)
            b = self._normalized("recurrent", recurrent(state), step)
            state, cells = self._next(a, b, state, cells, step)
            states.append(state)
        return torch.stack(states, 1)

    def _next(
        self, a: Tensor, b: Tensor, state: Tensor, cells: Tensor, step: int
    ) -> tuple[Tensor, Tensor]:
        """Return the next state, and that of an LSTM's cells.

        Args:
            a: Of the input, shape (N, gates); the gates in PyTorch's order.
            b: Of the state, likewise.
        """
        activation = self.get_submodule(f"{self.name}_activation")
        if self.cell == "plain":
            return activation(a + b), cells
        gate, c = self.get_submodule(f"{self.name}_gate"), self.width
        if self.cell == "gru":
            reset, kept = gate(a[:, : 2 * c] + b[:, : 2 * c]).chunk(2, 1)
            new = activation(a[:, 2 * c :] + reset * b[:, 2 * c :])
            return (1 - kept) * new + kept * state, cells
        before = a + b
        entered, kept = gate(before[:, : 2 * c]).chunk(2, 1)
        cells = kept * cells + entered * activation(before[:, 2 * c : 3 * c])
        left = gate(before[:, 3 * c :])
        return left * activation(self._normalized("cell", cells, step)), cells

    def _normalized(self, part: str, x: Tensor, step: int) -> Tensor:
        norm = self._modules.get(f"{self.name}_{part}_norm")
        if isinstance(norm, PerStep):
            norm = norm[step]
        y = x if norm is None else norm(x)
        assert isinstance(y, Tensor)
        return y


def recurrent_layers(
    config: Config,
    model: Rnn,
    normalized: Collection[str],
    activation: Callable[[], nn.Module],
    seed: int,
) -> "OrderedDict[str, nn.Module]":
    """Return what leads from the data to the last state of the last recurrent layer.

    Args:
        normalized: The names of the layers that have a normalization.
        activation: Makes one.
    """
    about = config.data.about
    steps = model.steps(about)
    found: OrderedDict[str, nn.Module] = OrderedDict(steps=Steps(steps))
    inputs = math.prod(about.shape) // steps
    for number, width in enumerate(model.hidden, start=1):
        name = f"rnn{number}"
        norms = {
            layer.name: _norm(config, model, layer.width, steps)
            for layer in model.layers
            if layer.name.startswith(f"{name}_") and layer.name in normalized
        }
        found[name] = Recurrent(name, model.cell, (inputs, width), activation(), norms)
        if number == len(model.hidden):
            found["last_step"] = LastStep()
        if model.dropout:
            found[f"{name}_dropout"] = Dropout(model.dropout, seed, name)
        inputs = width
    return found


def _norm(config: Config, model: Rnn, channels: int, steps: int) -> nn.Module:
    """Return a recurrent layer's normalization: one for each step where it keeps moments."""

    def make() -> nn.Module:
        norm = make_norm(config.norm, channels, spatial=False)
        assert norm is not None
        gamma = getattr(norm, "weight", None)
        if isinstance(gamma, nn.Parameter) and gamma.requires_grad:
            nn.init.constant_(gamma, model.gamma_init)
        return norm

    own = isinstance(config.norm, ByBatch) and model.statistics == "per_step"
    return PerStep(make, steps) if own else make()
