import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnexp.config.compose import Composer
from bnexp.config.keys import Setting
from bnexp.config.overrides import setting
from bnexp.config.schema import Config
from bnexp.study.declare import declare
from bnexp.study.design import Cell, Design, Factor, Level, Study, enumerate_design
from tests import strategies


@pytest.fixture(scope="module")
def study() -> Study:
    """Return a study without factors, to be given some."""
    with Composer() as composer:
        return declare(composer, [], multirun=False)


def with_factors(
    study: Study, levels: Mapping[str, Sequence[str]], seeds: tuple[int, ...] = (0,)
) -> Study:
    """Return a study that varies the given levels by factor."""
    factors = tuple(
        Factor(key, tuple(Level(text, (setting(f"{key}={text}"),), text) for text in texts))
        for key, texts in levels.items()
    )
    return dataclasses.replace(study, factors=factors, seeds=seeds)


def put(base: Config, chosen: Sequence[Setting]) -> Config:
    """Return a configuration with settings applied, a thousand times faster than Hydra."""
    values = base.model_dump()
    for key, _, text in (one.text.partition("=") for one in chosen):
        section, _, name = key.partition(".")
        old = values[section][name]
        values[section][name] = text if isinstance(old, str) else type(old)(text)
    return Config.model_validate(values)


@given(strategies.factors(), strategies.seeds)
def test_a_design_is_every_combination_once(
    study: Study, levels: dict[str, tuple[str, ...]], seeds: tuple[int, ...]
) -> None:
    """Size is the product of levels and seeds, and every level stands equally often."""
    declared = with_factors(study, levels, seeds)
    design = enumerate_design(declared, lambda chosen: put(study.base, chosen))
    n_cells = 1
    for texts in levels.values():
        n_cells *= len(texts)
    assert len(design.cells) == n_cells
    assert len(design.runs) == n_cells * len(seeds)
    combinations = {tuple(cell.labels.values()) for cell in design.cells}
    assert len(combinations) == n_cells
    for key, texts in levels.items():
        found = [run.cell.labels[key] for run in design.runs]
        assert {found.count(text) for text in texts} == {len(found) // len(texts)}


@given(strategies.factors(), strategies.seeds)
def test_run_ids_are_unique(
    study: Study, levels: dict[str, tuple[str, ...]], seeds: tuple[int, ...]
) -> None:
    """Runs that differ in a setting or in the seed have different ids."""
    declared = with_factors(study, levels, seeds)
    design = enumerate_design(declared, lambda chosen: put(study.base, chosen))
    ids = [run.run_id for run in design.runs]
    assert len(set(ids)) == len(ids)
    assert all(len(one) == 12 for one in ids)


@given(strategies.factors(), strategies.seeds)
def test_seeds_are_shared_and_come_in_blocks(
    study: Study, levels: dict[str, tuple[str, ...]], seeds: tuple[int, ...]
) -> None:
    """Every cell has the same seeds, and a seed's runs train next to each other."""
    declared = with_factors(study, levels, seeds)
    design = enumerate_design(declared, lambda chosen: put(study.base, chosen))
    n_cells = len(design.cells)
    for number, seed in enumerate(seeds):
        block = design.runs[number * n_cells : (number + 1) * n_cells]
        assert {run.seed for run in block} == {seed}
        assert [run.cell for run in block] == list(design.cells)


# Hydra takes its time to compose, hence few examples.
@settings(max_examples=8)
@given(
    st.permutations(
        ["norm=batch", "norm.momentum=0.3", "model.pool=max", "optimizer.lr=0.5", "seed=4"]
    )
)
def test_the_order_of_overrides_makes_no_difference(
    compose: Callable[..., Config], overrides: list[str]
) -> None:
    """A run's id depends on what is set, not on where it stands on the command line."""
    expected = compose(*sorted(overrides))
    assert Cell({}, compose(*overrides)).run_id(4) == Cell({}, expected).run_id(4)


def test_ids_do_not_depend_on_how_a_setting_came_about(
    compose: Callable[..., Config],
) -> None:
    """A factor's level, a fixed setting and a default of the same value are one run."""
    default, said = compose(), compose("optimizer.lr=0.90", "model=lenet", "norm=none")
    level = Level("avg", (setting("model.pool=avg"),), "avg")
    assert Cell({}, said).run_id(0) == Cell({"model.pool": level}, default).run_id(0)


@pytest.mark.parametrize(
    ("preset", "seed", "run_id"),
    [("d2l_lenet", 0, "05a14477d0c0"), ("d2l_bn", 3, "0db44c477028")],
)
def test_golden_run_ids(
    compose: Callable[..., Config], preset: str, seed: int, run_id: str
) -> None:
    """The ids of two known runs stand still: a change here orphans every stored run."""
    assert Cell({}, compose(f"preset={preset}")).run_id(seed) == run_id


def test_where_a_run_trains_leaves_its_id(compose: Callable[..., Config]) -> None:
    """The same run elsewhere, on another device and under another name has the same id."""
    elsewhere = compose(
        "device=cuda", "engine=inline", "data.root=/x", "results_dir=y", "name=z"
    )
    assert Cell({}, elsewhere).run_id(1) == Cell({}, compose()).run_id(1)


def test_a_cell_states_labels_and_values(compose: Callable[..., Config]) -> None:
    """A label is what a reader sees, a value what a run's file holds."""
    level = Level("true", (setting("train.drop_last=True"),), True)
    cell = Cell({"train.drop_last": level}, compose())
    assert cell.labels == {"train.drop_last": "true"}
    assert cell.values == {"train.drop_last": True}


def test_fixed_overrides_hold_in_every_cell_and_levels_win(study: Study) -> None:
    """Each cell is composed once, from what is fixed and then from its levels."""
    declared = dataclasses.replace(
        with_factors(study, {"model.pool": ("avg", "max"), "optimizer.lr": ("0.1", "0.2")}),
        fixed=(setting("train.epochs=3"), setting("optimizer.lr=0.5")),
    )
    asked: list[list[str]] = []

    def resolve(chosen: Sequence[Setting]) -> Config:
        asked.append([one.text for one in chosen])
        return put(study.base, chosen)

    design = enumerate_design(declared, resolve)
    assert len(asked) == 4
    assert all(one[:2] == ["train.epochs=3", "optimizer.lr=0.5"] for one in asked)
    assert [cell.config.optimizer.lr for cell in design.cells] == [0.1, 0.2, 0.1, 0.2]
    assert {cell.config.train.epochs for cell in design.cells} == {3}


def test_a_design_without_factors_has_one_cell(study: Study) -> None:
    """No factor is a product over nothing: one cell, not none."""
    design = enumerate_design(study, lambda chosen: put(study.base, chosen))
    assert [cell.levels for cell in design.cells] == [{}]
    assert len(design.runs) == 1


def test_a_large_design_plans_in_seconds(composer: Composer) -> None:
    """100 cells x 1,000 seeds are composed once a cell, never once a run."""
    rates = ",".join(f"0.{number:02d}" for number in range(1, 11))
    gains = ",".join(f"1.{number:02d}" for number in range(1, 11))
    calls = 0

    def resolve(chosen: Sequence[Setting]) -> Config:
        nonlocal calls
        calls += 1
        return composer.resolve(chosen)[0]

    start = time.monotonic()
    study = declare(
        composer,
        [f"optimizer.lr={rates}", f"model.init_gain={gains}", "seed=range(1000)"],
        multirun=True,
    )
    design: Design = enumerate_design(study, resolve)
    assert len({run.run_id for run in design.runs}) == 100_000
    # About 5 s on one idle core; composing every run would take more than an hour.
    assert time.monotonic() - start < 60
    assert calls == 100
