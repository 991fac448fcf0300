import itertools
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from bnexp.config.schema import Config
from bnexp.study.cohorts import (
    Cohort,
    make_cohorts,
    missing,
    structure,
)
from bnexp.study.design import Cell, Run
from tests import strategies


def runs_of(config: Config, ids: list[str]) -> list[Run]:
    """Return runs of one cell with the given ids."""
    return [Run(run_id, Cell({}, config), seed) for seed, run_id in enumerate(ids)]


def cohorts_of(runs: list[Run], config: Config, workers: int) -> list[Cohort]:
    """Return the cohorts of a study on a CPU."""
    return make_cohorts("study", runs, config.engine, workers, on_cpu=True)


ids = st.lists(strategies.run_ids, unique=True, max_size=12)
sizes = st.integers(1, 15)


@given(ids, sizes)
def test_cohorts_partition_the_runs(
    compose: Callable[..., Config], names: list[str], size: int
) -> None:
    """Every run is in one cohort, in its order, and no cohort is empty or too large."""
    runs = runs_of(compose("model=mlp"), names)
    cohorts = cohorts_of(runs, compose(f"engine.cohort={size}"), workers=2)
    assert list(itertools.chain(*(cohort.runs for cohort in cohorts))) == runs
    assert all(1 <= len(cohort.runs) <= size for cohort in cohorts)
    assert {cohort.study for cohort in cohorts} <= {"study"}


@given(ids, st.data())
def test_what_is_done_never_reappears(
    compose: Callable[..., Config], names: list[str], data: st.DataObject
) -> None:
    """The missing runs are those not done, each once and in the order of the design."""
    done = data.draw(st.sets(st.sampled_from(names) if names else st.nothing()))
    runs = runs_of(compose(), names)
    left = missing(runs, done | {"of another design"})
    assert [run.run_id for run in left] == [name for name in names if name not in done]
    assert missing(runs, set(names)) == []


@given(ids, ids)
def test_two_cells_of_the_same_run_train_it_once(
    compose: Callable[..., Config], names: list[str], more: list[str]
) -> None:
    """Where two cells resolve to the same run, the first of them is trained."""
    runs = runs_of(compose(), [*names, *more, *names])
    left = missing(runs, ())
    assert [run.run_id for run in left] == list(dict.fromkeys([*names, *more]))
    assert left == runs[: len(names)] + [
        run for run in runs[len(names) :][: len(more)] if run.run_id not in names
    ]


def test_a_cohort_has_one_structure(compose: Callable[..., Config]) -> None:
    """Runs that differ in numbers only train together, runs of other shapes do not."""
    mlp = ("model=mlp", "norm=batch")
    cells = [
        compose(*mlp, "optimizer.lr=0.1"),
        compose(*mlp, "optimizer.lr=0.5", "model.init_gain=2", "model.init=normal"),
        compose(*mlp, "optimizer.lr=0.1", "optimizer.weight_decay=0.1"),
        compose(*mlp, "train.batch_size=32"),
        compose(*mlp, "norm.placement=after_activation"),
        compose("model=mlp", "norm=none"),
        compose(*mlp, "model.hidden=[8]"),
        compose(*mlp, "model.dropout=0.2"),
        compose(*mlp, "model.dropout=0.5"),
        compose(*mlp, "optimizer=lamb"),
    ]
    runs = [Run(f"{n}{s}", Cell({}, c), s) for n, c in enumerate(cells) for s in (0, 1)]
    found = cohorts_of(runs, compose(), workers=1)
    members = [sorted({int(run.run_id[0]) for run in cohort.runs}) for cohort in found]
    assert members == [[0, 1, 2], [3], [4], [5], [6], [7, 8], [9]]


def test_how_a_run_trains_is_a_number_where_it_can_be(
    compose: Callable[..., Config],
) -> None:
    """Schedules of one kind train together, and all that smooth or clip at all."""
    groups = [
        ["schedule=step", "schedule=step schedule.gamma=0.5 schedule.milestones=[0.1]"],
        ["schedule=one_cycle", "schedule=one_cycle schedule.warmup=0.5 schedule.floor=0.1"],
        ["train.clip=1", "train.clip=2 optimizer.lr=0.1"],
        ["train.label_smoothing=0.1", "train.label_smoothing=0.2"],
        ["schedule.warmup=0.1", "schedule.warmup=0.2"],
        ["train.precision=bf16"],
        ["optimizer.momentum=0.9", "optimizer.momentum=0.5"],
        ["optimizer.momentum=0.9 optimizer.nesterov=true"],
        ["optimizer.weight_decay=0.1 optimizer.decay_norms=false"],
        ["train.steps=9"],
    ]
    found = [{structure(compose(*one.split())) for one in group} for group in groups]
    assert all(len(one) == 1 for one in found)
    assert len(set.union(*found)) == len(groups)


def test_every_worker_gets_a_part(compose: Callable[..., Config]) -> None:
    """The runs of one structure are spread over the workers, up to a most a cohort."""
    runs = runs_of(compose("model=mlp"), [f"{n:04}" for n in range(10)])
    assert [len(one.runs) for one in cohorts_of(runs, compose(), workers=4)] == [3, 3, 3, 1]
    many = runs_of(compose("model=mlp"), [f"{n:04}" for n in range(2000)])
    assert {len(one.runs) for one in cohorts_of(many, compose(), workers=2)} == {256, 208}
    assert {one.size for one in cohorts_of(many, compose(), workers=2)} == {None}


def test_one_more_layer_is_another_structure(compose: Callable[..., Config]) -> None:
    """How much is dropped or disturbed is a number of the program; nothing at all is not."""
    for key, others in (("model.dropout", ("model=mlp",)), ("norm.noise", ("norm=noisy",))):
        none, some, more = (
            structure(compose(*others, f"{key}={value}")) for value in (0.0, 0.2, 0.5)
        )
        assert none != some == more


def test_structures_stay_whole_where_each_worker_has_one(
    compose: Callable[..., Config],
) -> None:
    """Of three structures on two workers the third is split, and no worker is idle."""
    configs = [compose("model=mlp", f"model.hidden=[{width}]") for width in (8, 16, 32)]
    runs = [run for n, c in enumerate(configs) for run in runs_of(c, [f"{n}a", f"{n}b"])]
    names = [[run.run_id for run in one.runs] for one in cohorts_of(runs, compose(), workers=2)]
    assert names == [["0a", "0b"], ["1a", "1b"], ["2a"], ["2b"]]


def test_convolutions_train_alone_on_a_cpu(compose: Callable[..., Config]) -> None:
    """There one such network is as fast as many; on a GPU they train together."""
    runs = runs_of(compose("model=lenet"), ["a", "b"])
    assert [len(one.runs) for one in cohorts_of(runs, compose(), workers=1)] == [1, 1]
    (one,) = make_cohorts("study", runs, compose().engine, 1, on_cpu=False)
    assert len(one.runs) == 2


def test_runs_that_train_alone_keep_the_order_of_the_design(
    compose: Callable[..., Config],
) -> None:
    """An interrupted study has whole blocks: the first seed of every cell comes first."""
    cells = [Cell({}, compose("model=lenet", f"norm={norm}")) for norm in ("none", "batch")]
    runs = [Run(f"{n}{seed}", cell, seed) for seed in (0, 1) for n, cell in enumerate(cells)]
    found = cohorts_of(runs, compose(), workers=2)
    assert [one.runs[0].run_id for one in found] == ["00", "10", "01", "11"]


def test_a_given_size_is_kept(compose: Callable[..., Config]) -> None:
    """With engine.cohort=3 a worker gets three runs and trains them as one program."""
    runs = runs_of(compose("model=mlp"), list("abcdefg"))
    found = cohorts_of(runs, compose("engine.cohort=3"), workers=5)
    assert [(len(one.runs), one.size) for one in found] == [(3, 3), (3, 3), (1, 3)]


def test_a_network_of_ones_own_trains_with_its_like_alone(
    compose: Callable[..., Config],
) -> None:
    """Its function may read any number: runs with another one are of another structure."""
    own = ("model=custom", "model.function=bnexp.networks.custom:example")
    one, other = (compose(*own, f"optimizer.lr={lr}") for lr in (0.1, 0.2))
    assert structure(one) != structure(other)
    assert structure(one) == structure(compose(*own, "optimizer.lr=0.1"))
    assert structure(compose("optimizer.lr=0.1")) == structure(compose("optimizer.lr=0.2"))
