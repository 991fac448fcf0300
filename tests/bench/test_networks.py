"""Each network and normalization of the studies, its program and the plain one in turn."""

from collections.abc import Callable
from typing import Any

import pytest

from bnexp.bench import measure, networks
from bnexp.config.schema import Config


def test_programs_take_turns_and_the_middle_round_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A machine that is slow for one round of three changes no number of the table."""
    monkeypatch.setattr(networks, "NETWORKS", {"mlp": ("preset=lab_mlp",)})
    calls: list[tuple[str, str]] = []

    def apart(task: Callable[..., Any], *arguments: Any) -> float:
        if task is measure.flop_per_s:
            return 1e9
        if task is measure.flop_per_example:
            return 1e4
        config: Config = arguments[0]
        calls.append((config.norm.name, task.__name__))
        slow = len(calls) in (1, 2)  # the first round of the first normalization
        return (600.0 if task is measure.cohort else 200.0) / (10 if slow else 1)

    found = list(networks.speeds([], "cpu", lambda _: None, apart))
    # An instance norm has one value a unit in a dense layer: the network refuses it.
    norms = [norm for norm in networks.NORMS if norm != "instance"]
    assert found == [(f"mlp {norm}", 600.0, 200.0, 1e5) for norm in norms]
    assert calls[:6] == [("none", "cohort"), ("none", "plain")] * 3


def test_the_networks_are_those_of_the_studies(compose: Callable[..., Config]) -> None:
    """Each composes with every normalization that it has layers for, on 28x28 images."""
    for settings in networks.NETWORKS.values():
        assert compose(*settings, "norm=batch").data.about.shape == (1, 28, 28)
