"""Hypothesis strategies: what a law is tried on."""

import torch
from hypothesis import strategies as st

from bnexp.store.records import SCHEMA_VERSION, RunRecord

# Settings of the default configuration, each with levels that are all valid together.
LEVELS = {
    "model.pool": ("avg", "max", "stride"),
    "model.padding": ("0", "2"),
    "model.activation": ("sigmoid", "relu", "tanh"),
    "optimizer.lr": ("0.01", "0.1", "0.5", "1.0"),
    "optimizer.weight_decay": ("0.0", "0.001"),
    "train.epochs": ("1", "2", "3"),
    "train.batch_size": ("32", "64", "100"),
}


@st.composite
def factors(draw: st.DrawFn) -> dict[str, tuple[str, ...]]:
    """Return levels by factor, one to three of each, in a drawn order."""
    keys = draw(st.lists(st.sampled_from(sorted(LEVELS)), unique=True, min_size=1, max_size=4))
    return {
        key: tuple(
            draw(st.lists(st.sampled_from(LEVELS[key]), unique=True, min_size=1, max_size=3))
        )
        for key in keys
    }


seeds = st.lists(st.integers(0, 2**40), unique=True, min_size=1, max_size=4).map(tuple)

run_ids = st.text("0123456789abcdef", min_size=12, max_size=12)
_numbers = st.none() | st.integers(-(2**53), 2**53) | st.floats(-1e100, 1e100)
_metrics = st.fixed_dictionaries(
    {},
    optional={
        "test_accuracy": st.none() | st.floats(0, 1),
        "train_loss": st.none() | st.floats(0, 1e100),
        "n_parameters": st.integers(0, 2**53),
        "wall_s": st.floats(0, 1e22) | st.just(5e-324),
    },
)
_names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)


@st.composite
def records(draw: st.DrawFn) -> RunRecord:
    """Return a record with numbers, missing numbers and texts of every kind."""
    status = draw(st.sampled_from(["ok", "diverged", "failed"]))
    return RunRecord(
        schema_version=SCHEMA_VERSION,
        run_id=draw(run_ids),
        study=draw(_names),
        cell=draw(st.dictionaries(_names, _numbers | st.booleans() | _names, max_size=3)),
        seed=draw(st.integers(0, 2**63 - 1)),
        status=status,
        config={"optimizer": {"lr": draw(_numbers)}, "eval": {"statistics": ["running"]}},
        metrics=draw(_metrics),
        history=[
            {"epoch": epoch, **one}
            for epoch, one in enumerate(draw(st.lists(_metrics, max_size=3)), 1)
        ],
        provenance={"hardware": draw(_names), "started": "2026-01-01T00:00:00+00:00"},
        error=None if status == "ok" else draw(st.text(st.characters(codec="utf-8"))),
    )


@st.composite
def feature_maps(draw: st.DrawFn) -> list[torch.Tensor]:
    """Return minibatches of one shape, (N, C) or (N, C, H, W), in float64.

    Channels differ in mean and spread; every channel has at least two values.
    """
    n, channels = draw(st.integers(2, 6)), draw(st.integers(1, 4))
    area = draw(st.sampled_from([(), (1, 1), (2, 3), (5, 4)]))
    shift = draw(st.floats(-100, 100))
    spread = draw(st.floats(0.01, 100))
    stream = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    per_channel = (1, channels) + (1,) * len(area)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=stream, dtype=torch.float64)

    means, spreads = shift * normal(*per_channel), spread * (0.1 + normal(*per_channel).abs())
    return [
        means + spreads * normal(n, channels, *area) for _ in range(draw(st.integers(1, 4)))
    ]
