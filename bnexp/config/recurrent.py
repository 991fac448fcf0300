"""Recurrent networks of the `model:` section."""

from typing import Literal, Self

from pydantic import model_validator

from bnexp.config.network import Layer, Network, Widths
from bnexp.config.normalization import AnyNorm, BatchNorm, WeightStandardization
from bnexp.config.part import Count, Positive
from bnexp.datasets.about import About

# How many vectors of a cell's width it makes of its input and of its state.
GATES = {"plain": 1, "gru": 3, "lstm": 4}


class Rnn(Network):
    name: Literal["rnn"]
    cell: Literal["plain", "gru", "lstm"]
    hidden: Widths
    pieces: Count | None
    statistics: Literal["per_step", "shared"]
    gamma_init: Positive

    @model_validator(mode="after")
    def _drops_behind_the_layer(self) -> Self:
        if self.dropout and self.dropout_place != "after_activation":
            raise ValueError(
                f"model.dropout_place={self.dropout_place}: a recurrent layer has its dropout "
                "behind it, not within a step: model.dropout_place=after_activation"
            )
        return self

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Return what can be normalized of each recurrent layer at each step.

        What it makes of its input, what it makes of its state, and the state of an LSTM's
        cells on its way out.

        Source: Cooijmans et al. (2016), arXiv 1603.09025, equations 6 to 8.
        """
        found = []
        for number, width in enumerate(self.hidden, start=1):
            gates = width * GATES[self.cell]
            found += [
                Layer(f"rnn{number}_{part}", gates, recurrent=True)
                for part in ("input", "recurrent")
            ]
            if self.cell == "lstm":
                found.append(Layer(f"rnn{number}_cell", width, recurrent=True, weights=False))
        return tuple(found)

    def steps(self, about: About) -> int:
        """Return how many time steps an image or a vector has."""
        return about.shape[1] if about.is_image else self.pieces or about.shape[0]

    def unreadable(self, about: About) -> str | None:
        """Return why such data cannot be read step by step, or None."""
        if self.pieces is None:
            return None
        if about.is_image:
            return (
                f"model.pieces={self.pieces} is for vectors, and the data are {about}: "
                "model.pieces=null reads an image row by row"
            )
        (length,) = about.shape
        if length % self.pieces:
            possible = [n for n in range(1, length + 1) if length % n == 0]
            return (
                f"model.pieces={self.pieces} does not divide the {length} values of a vector: "
                f"{', '.join(map(str, possible))} do"
            )
        return None

    def unfit_norm(self, norm: AnyNorm) -> str | None:
        """Return why a recurrence cannot have a normalization, or None."""
        if isinstance(norm, BatchNorm) and norm.noise and norm.where != ("input",):
            return (
                "norm.noise cannot follow a normalization within a recurrence: norm.noise=0 "
                "or norm.where=[input]"
            )
        if isinstance(norm, WeightStandardization):
            return (
                f"norm={norm.name} is for convolutions and dense layers, not for what a "
                "recurrence uses at every step: norm=layer or group takes its place"
            )
        return None
