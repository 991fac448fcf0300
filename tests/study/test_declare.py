import itertools
import shlex
from pathlib import Path

import pytest

from bnexp.config.compose import Composer
from bnexp.config.keys import conf_dir
from bnexp.errors import UsageError
from bnexp.metrics import describe
from bnexp.study.declare import declare, folder_of, open_design
from bnexp.study.design import Design, Study, enumerate_design
from tests.datasets.pictures import colours, vectors
from tests.fabricate import n_runs

SHIPPED = sorted(path.stem for path in conf_dir().glob("study/*.yaml"))


def labels(study: Study) -> dict[str, list[str]]:
    """Return the names of the levels by factor."""
    return {factor.key: [level.label for level in factor.levels] for factor in study.factors}


def design_of(composer: Composer, arguments: list[str], *, multirun: bool = False) -> Design:
    """Return the design of a command line."""
    study = declare(composer, arguments, multirun=multirun)
    return enumerate_design(study, lambda settings: composer.resolve(settings)[0])


OWN = """\
# @package _global_
optimizer: {lr: 0.5}
study:
  question: What does each level change?
  source: nobody
  factors:
    norm:
      plain: norm=none
      slow: norm=batch norm.momentum=0.01
      after: norm=batch norm.placement=after_activation
    model.fc120: true,false
    optimizer.lr: 0.5,1.0
  seeds: [4, 7]
  responses: [train_loss, test_accuracy]
  claims:
    - kind: difference
      claim: The dense layer helps without a norm
      source: nobody
      response: train_loss
      factor: model.fc120
      higher: false
      lower: true
      given: {norm: plain}
    - kind: dominance
      claim: The rate matters more than the layer
      source: nobody
      response: train_loss
      larger: optimizer.lr
      smaller: model.fc120
    - kind: value
      claim: The mean is a half
      source: nobody
      response: test_accuracy
      cell: {norm: slow, model.fc120: true, optimizer.lr: 0.5}
      reported: 0.5
      within: 0.1
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Return a configuration folder with a study of bundled levels and three claims."""
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "own.yaml").write_text(OWN)
    return tmp_path


def test_no_sweep_is_a_single_run(composer: Composer) -> None:
    """Without factors a design is one run of the default seed, in the folder `single`."""
    design = design_of(composer, ["model.pool=max", "train.epochs=2"])
    assert (design.study.name, design.study.factors, len(design.runs)) == ("single", (), 1)
    assert design.runs[0].seed == 0
    assert design.cells[0].config.train.epochs == 2


def test_swept_keys_are_the_factors(composer: Composer) -> None:
    """Every swept key but the seed is a factor, in the order of the command line."""
    design = design_of(
        composer,
        ["model.pool=avg,max", "seed=range(3)", "norm=none,batch", "train.epochs=2"],
        multirun=True,
    )
    study = design.study
    assert labels(study) == {"model.pool": ["avg", "max"], "norm": ["none", "batch"]}
    assert study.seeds == (0, 1, 2)
    assert study.name == "model.pool+norm"
    assert [one.text for one in study.fixed] == ["train.epochs=2"]
    assert len(design.runs) == 12


def test_levels_keep_their_types(composer: Composer) -> None:
    """A level's value is a number, a boolean or null where the configuration has one."""
    arguments = ["norm=batch", "norm.momentum=null,0.1,1", "train.drop_last=true,false"]
    study = declare(composer, arguments, multirun=True)
    assert [level.value for level in study.factors[0].levels] == [None, 0.1, 1]
    assert [level.value for level in study.factors[1].levels] == [True, False]
    assert [level.label for level in study.factors[1].levels] == ["true", "false"]


def test_a_sweep_without_m_says_to_add_it(composer: Composer) -> None:
    """Several values without -m are an error that gives the right command."""
    with pytest.raises(UsageError, match=r"add -m .* bnexp run -m norm=none,batch"):
        declare(composer, ["norm=none,batch"], multirun=False)


def test_a_seed_sweep_without_m_and_study(composer: Composer) -> None:
    """Seeds alone are swept only when asked for: a single run has one seed."""
    with pytest.raises(UsageError, match="add -m"):
        declare(composer, ["seed=range(3)"], multirun=False)


@pytest.mark.parametrize("multirun", [True, False])
def test_an_interval_is_refused(composer: Composer, multirun: bool) -> None:
    """An interval has no end of levels, with -m or without."""
    with pytest.raises(UsageError, match=r"no end of values|add -m"):
        declare(composer, ["optimizer.lr=interval(0.1,1)"], multirun=multirun)


def test_a_glob_is_a_factor_of_all_options(composer: Composer) -> None:
    """`norm=glob(*)` has one level for each option of the group."""
    study = declare(composer, ["norm=glob(*)"], multirun=True)
    assert labels(study) == {"norm": composer.options("norm")}
    assert {"none", "batch", "scratch"} <= set(labels(study)["norm"])


@pytest.mark.parametrize(
    ("argument", "reason"),
    [
        ("engine=local,inline", "it does not determine a result"),
        ("engine.workers=1,2", "it does not determine a result"),
        ("device=cpu,cuda", "it does not determine a result"),
        ("name=a,b", "it does not determine a result"),
        ("results_dir=a,b", "it does not determine a result"),
        ("data.root=a,b", "it does not determine a result"),
        ("preset=d2l_bn,d2l_lenet", "sweep the settings it bundles"),
    ],
)
def test_what_cannot_be_a_factor(composer: Composer, argument: str, reason: str) -> None:
    """A key that changes no result, or many keys at once, cannot be swept."""
    with pytest.raises(UsageError, match=f"cannot be a factor: {reason}"):
        declare(composer, [argument], multirun=True)


def test_a_factor_that_some_levels_lack(composer: Composer) -> None:
    """Sweeping a key that only some cells have names the way out: bundled levels."""
    with pytest.raises(UsageError, match=r"norm\.momentum does not exist .*bundle it"):
        design_of(composer, ["norm=none,batch", "norm.momentum=0.1,0.2"], multirun=True)


@pytest.mark.parametrize(
    ("argument", "seeds"),
    [
        ("seed=7", (7,)),
        ("seed=range(4)", (0, 1, 2, 3)),
        ("seed=range(5,8)", (5, 6, 7)),
        ("seed=9,1", (9, 1)),
    ],
)
def test_seeds_of_a_study_are_replaced(
    composer: Composer, argument: str, seeds: tuple[int, ...]
) -> None:
    """`seed=` puts other seeds in the place of a study's own, without -m."""
    study = declare(composer, ["study=quickstart", argument], multirun=False)
    assert study.seeds == seeds
    assert study.claims  # more or other seeds ask the same question


@pytest.mark.parametrize("seed", ["-1", "1.5", "x", "true", "null", "1,x"])
def test_seeds_are_whole_numbers(composer: Composer, seed: str) -> None:
    """A seed that is no whole number from 0 is refused."""
    with pytest.raises(UsageError, match="seeds are whole numbers from 0"):
        declare(composer, [f"seed={seed}"], multirun=True)


def test_a_declared_study(composer: Composer) -> None:
    """`study=NAME` alone is the study as its file declares it."""
    study = declare(composer, ["study=quickstart"], multirun=False)
    assert study.name == "quickstart"
    assert labels(study) == {"norm": ["none", "batch"], "model.pool": ["avg", "max"]}
    assert study.seeds == (0, 1, 2, 3, 4)
    assert study.responses[0] == "test_accuracy_population"
    assert len(study.claims) == 1


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_study_is_whole(composer: Composer, name: str) -> None:
    """A shipped study has valid cells and runs of its own, and keeps every claim it makes."""
    design = design_of(composer, [f"study={name}"])
    _, spec = composer.compose([f"study={name}"])
    assert spec is not None
    assert len(design.study.claims) == len(spec.claims)
    assert len({run.run_id for run in design.runs}) == n_runs(design.study)


@pytest.mark.thorough
@pytest.mark.parametrize("name", [name for name in SHIPPED if name != "quickstart"])
def test_every_shipped_study_has_three_sizes(composer: Composer, name: str) -> None:
    """`smoke` is smaller than what the file says and judges nothing; `full` is not smaller."""
    cpu = declare(composer, [f"study={name}"], multirun=False)
    smoke, full = (
        declare(composer, [f"study={name}", f"budget={size}"], multirun=False)
        for size in ("smoke", "full")
    )
    assert examples(smoke) < examples(cpu) <= examples(full)
    assert smoke.claims == ()
    assert {*labels(smoke)} == {*labels(cpu)} == {*labels(full)}
    assert smoke.name == cpu.name == full.name


def examples(study: Study) -> int:
    """Return an upper bound of the images that a study's base runs train on."""
    base = study.base
    return n_runs(study) * base.train.epochs * (base.data.train_size or 60_000)


def test_a_size_is_what_its_overrides_say(own: Path) -> None:
    """A budget is its overrides typed by hand, and what the user types comes after them."""
    sized = OWN + "  budgets: {smoke: 'seed=4 norm=plain,slow train.epochs=1'}\n"
    (own / "study" / "own.yaml").write_text(sized)
    with Composer(own) as composer:
        typed = declare(
            composer,
            ["study=own", "seed=4", "norm=plain,slow", "train.epochs=1"],
            multirun=True,
        )
        small = declare(composer, ["study=own", "budget=smoke"], multirun=False)
        assert (small.factors, small.seeds) == (typed.factors, typed.seeds)
        assert small.base.identity() == typed.base.identity()
        longer = declare(
            composer, ["study=own", "budget=smoke", "train.epochs=2"], multirun=False
        )
        assert longer.base.train.epochs == 2
        assert longer.seeds == (4,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["budget=smoke"], "add study=NAME"),
        (["study=quickstart", "budget=smoke"], "has the sizes cpu"),
        (["study=bias", "budget=huge"], "budget=huge.*cpu, smoke, full"),
    ],
)
def test_a_size_that_is_not_there(
    composer: Composer, arguments: list[str], message: str
) -> None:
    """A size that the study lacks, or one without a study, is refused with what there is."""
    with pytest.raises(UsageError, match=message):
        declare(composer, arguments, multirun=False)


def test_narrowing_keeps_the_runs(composer: Composer) -> None:
    """A narrowed study is a part of the whole one: its runs have the same ids."""
    whole = design_of(composer, ["study=quickstart"])
    part = design_of(composer, ["study=quickstart", "norm=batch", "seed=1"])
    assert labels(part.study) == {"norm": ["batch"], "model.pool": ["avg", "max"]}
    assert {run.run_id for run in part.runs} < {run.run_id for run in whole.runs}
    assert part.study.name == whole.study.name  # and lie in the same folder


def test_a_factor_is_added_with_m(composer: Composer) -> None:
    """With -m a sweep of another key is one more factor, without claims on its average."""
    study = declare(composer, ["study=quickstart", "model.activation=relu,tanh"], multirun=True)
    assert list(labels(study)) == ["norm", "model.pool", "model.activation"]
    assert study.claims == ()


def test_a_factor_is_not_added_without_m(composer: Composer) -> None:
    """Without -m a sweep of another key is refused also beside a study."""
    with pytest.raises(UsageError, match="add -m"):
        declare(composer, ["study=quickstart", "model.activation=relu,tanh"], multirun=False)


def test_other_settings_drop_the_claims(composer: Composer) -> None:
    """A claim speaks of the declared settings: with others it is not judged."""
    changed = declare(composer, ["study=quickstart", "train.epochs=1"], multirun=False)
    assert changed.claims == ()
    assert changed.base.train.epochs == 1


@pytest.mark.parametrize(
    "argument",
    ["device=cpu", "engine=inline", "data.root=/elsewhere", "name=again", "train.epochs=10"],
)
def test_settings_that_change_nothing_keep_the_claims(
    composer: Composer, argument: str
) -> None:
    """Where a study trains, or a setting said again, leaves its claims in place."""
    assert declare(composer, ["study=quickstart", argument], multirun=False).claims


def test_bundled_levels(own: Path) -> None:
    """A bundle's name is its level, its overrides make it, so nested designs need no more."""
    design = open_design(["study=own"], False, own)
    assert labels(design.study) == {
        "norm": ["plain", "slow", "after"],
        "model.fc120": ["true", "false"],
        "optimizer.lr": ["0.5", "1.0"],
    }
    assert len(design.runs) == 3 * 2 * 2 * 2
    found = {cell.levels["norm"].label: cell.config.norm.model_dump() for cell in design.cells}
    assert found["plain"] == {"name": "none"}
    assert found["slow"]["momentum"] == 0.01
    assert found["after"]["placement"] == "after_activation"
    assert design.cells[0].values == {"norm": "plain", "model.fc120": True, "optimizer.lr": 0.5}


def test_claims_find_levels_of_every_type(own: Path) -> None:
    """Names, booleans and numbers in a claim are the levels of the same writing."""
    with Composer(own) as composer:
        assert len(declare(composer, ["study=own"], multirun=False).claims) == 3


@pytest.mark.parametrize(
    ("argument", "kinds"),
    [
        ("norm=plain,after", ["difference", "dominance"]),
        ("norm=slow", ["dominance", "value"]),
        ("model.fc120=true", ["value"]),
        ("optimizer.lr=1.0", ["difference"]),
    ],
)
def test_narrowing_keeps_the_claims_that_can_be_judged(
    own: Path, argument: str, kinds: list[str]
) -> None:
    """A claim stays while each level that it names is still there."""
    with Composer(own) as composer:
        study = declare(composer, ["study=own", argument], multirun=True)
    assert [claim.kind for claim in study.claims] == kinds


def test_a_bundle_that_a_study_lacks(own: Path) -> None:
    """Narrowing to an unknown bundle names the study's own."""
    with Composer(own) as composer, pytest.raises(UsageError, match="plain, slow, after"):
        declare(composer, ["study=own", "norm=batch"], multirun=False)


def test_a_key_inside_a_bundle_is_not_free(own: Path) -> None:
    """A key that the levels set cannot be fixed beside them: one of both would be lost."""
    with (
        Composer(own) as composer,
        pytest.raises(UsageError, match="levels of the study's factor"),
    ):
        declare(composer, ["study=own", "norm.momentum=0.5"], multirun=False)


def test_plain_levels_may_be_replaced(composer: Composer) -> None:
    """A factor without bundles takes levels that its study does not have."""
    study = declare(composer, ["study=quickstart", "norm=none,scratch"], multirun=True)
    assert labels(study)["norm"] == ["none", "scratch"]


@pytest.mark.parametrize(
    "arguments",
    [["study=quickstart", "study=lab_mlp"], ["study=quickstart,lab_mlp"]],
)
def test_one_study_at_a_time(composer: Composer, arguments: list[str]) -> None:
    """Two studies in one command are refused, not silently one of them."""
    with pytest.raises(UsageError, match="one study at a time"):
        declare(composer, arguments, multirun=True)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ([], "single"),
        (["norm=none,batch"], "norm"),
        (["study=quickstart"], "quickstart"),
        (["study=quickstart", "name=mine"], "mine"),
        (["norm=none,batch", "name='my own'"], "my own"),
    ],
)
def test_the_name_of_the_folder(composer: Composer, arguments: list[str], name: str) -> None:
    """The folder is called as asked, else after the study, else after the swept keys."""
    study = declare(composer, [*arguments, "results_dir=some/where"], multirun=True)
    assert folder_of(study) == Path("some/where") / name


@pytest.mark.parametrize("name", ["a/b", "..", ".", "a\\b"])
def test_a_name_is_one_folder(composer: Composer, name: str) -> None:
    """A name cannot lead out of the results."""
    with pytest.raises(UsageError, match="a folder's name without slashes"):
        declare(composer, [f"name='{name}'"], multirun=False)


def test_the_results_lie_below_home(composer: Composer) -> None:
    """A tilde in results_dir is the user's home."""
    study = declare(composer, ["results_dir='~/results'"], multirun=False)
    assert folder_of(study) == Path.home() / "results" / "single"


def test_a_response_that_no_run_reports(own: Path) -> None:
    """A study that asks for an unknown outcome is refused before it trains."""
    text = OWN.replace("[train_loss, test_accuracy]", "[tset_accuracy]")
    (own / "study" / "own.yaml").write_text(text)
    with Composer(own) as composer, pytest.raises(UsageError, match="'tset_accuracy'"):
        declare(composer, ["study=own"], multirun=False)


@pytest.mark.parametrize(
    ("claim", "fits"),
    [
        ("kind: value, cell: {norm: plain}, reported: 0.85, within: 0.01", True),
        ("kind: value, cell: {norm: plain}, reported: 85, within: 0.01", False),
        ("kind: value, cell: {norm: plain}, reported: -0.1, within: 0.01", False),
        ("kind: difference, factor: norm, higher: after, lower: plain, reported: -0.1", True),
        ("kind: difference, factor: norm, higher: after, lower: plain, reported: 7.6", False),
        ("kind: threshold, cell: {norm: plain}, above: 0.8", True),
        ("kind: threshold, cell: {norm: plain}, below: 80", False),
        ("kind: threshold, factor: norm, level_a: after, level_b: plain, above: 2", False),
        ("kind: spread, cell: {norm: plain}, above: 0.02, reported: 2", True),
    ],
)
def test_a_claim_states_what_its_response_can_be(own: Path, claim: str, fits: bool) -> None:
    """An accuracy in per cent, or a difference in points, is told to be a share."""
    study, _, _ = OWN.partition("  claims:")
    said = f"{{claim: so, source: me, response: test_accuracy, {claim}}}"
    text = f"{study}  claims: [{said}]\n"
    (own / "study" / "own.yaml").write_text(text)
    with Composer(own) as composer:
        if fits:
            assert len(declare(composer, ["study=own"], multirun=False).claims) == 1
            return
        with pytest.raises(UsageError, match=r"'so' says .* lies between 0 and 1"):
            declare(composer, ["study=own"], multirun=False)


def test_population_statistics_lead_where_asked_for(composer: Composer) -> None:
    """A sweep answers with the population statistics when it measures them."""
    plain = declare(composer, ["norm=none,batch"], multirun=True)
    asked = declare(
        composer, ["norm=none,batch", "eval.statistics=[running,population]"], multirun=True
    )
    assert plain.responses[0] == "test_accuracy"
    assert asked.responses[0] == "test_accuracy_population"


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("affine", ()),  # a number a layer
        ("batch_noise", ("batch_mean_noise", "batch_variance_noise")),
        ("gradients", ("gradient_ratio_start", "gradient_ratio_end")),
        ("landscape", ("loss_range", "gradient_change", "curvature")),
        ("shift", ("input_shift", "gradient_shift", "gradient_cosine")),
        ("units", ("saturated_inputs", "dead_units", "activation_mean", "activation_sd")),
        ("memory", ("kept_bytes",)),
        ("variance_shift", ("variance_shift",)),
    ],
)
def test_what_is_asked_for_is_answered(
    composer: Composer, key: str, names: tuple[str, ...]
) -> None:
    """A sweep that has more measured says what becomes of it, after the accuracies."""
    plain = declare(composer, ["norm=none,batch"], multirun=True).responses
    asked = declare(composer, ["norm=none,batch", f"eval.{key}=true"], multirun=True)
    assert asked.responses == (*plain, *names)
    assert all(describe(name).label for name in names)


@pytest.mark.parametrize(
    ("arguments", "multirun"),
    [
        (["study=own", "budget=smoke"], False),
        (["study=own", "budget=smoke", "train.epochs=2", "name=short"], False),
        (["study=own", "norm=plain", "seed=range(3)", "device=cpu"], False),
        (["study=own", "model.pool=avg,max"], True),
        (["norm=none,batch", "seed=range(2)", "data.root='~/my data'"], True),
        (["data=digits", "optimizer.lr=0.25"], False),
    ],
)
def test_the_command_that_is_printed_gives_the_same_runs(
    own: Path, arguments: list[str], multirun: bool
) -> None:
    """Typed again, what a page says to repeat a study has its name and the id of every run."""
    sized = OWN + "  budgets: {smoke: 'seed=4 norm=plain,slow train.epochs=1'}\n"
    (own / "study" / "own.yaml").write_text(sized)
    with Composer(own) as composer:
        first = design_of(composer, arguments, multirun=multirun)
        program, verb, *again = shlex.split(first.study.command)
        assert (program, verb) == ("bnexp", "run")
        more = again[:1] == ["-m"]
        second = design_of(composer, again[1:] if more else again, multirun=more)
    assert second.run_ids == first.run_ids
    assert second.study.name == first.study.name


def test_what_cells_share_need_not_stand_by_itself(
    composer: Composer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Networks for vectors, and files of these, can be levels: the defaults are of images."""
    monkeypatch.chdir(tmp_path)
    for name in ("one.npz", "other.npz"):
        vectors(tmp_path / name)
    files = ["data=arrays", "data.file=one.npz,other.npz"]
    design = design_of(composer, [*files, "model=mlp,dense_head"], multirun=True)
    found = [(cell.config.data.file, cell.config.model.name) for cell in design.cells]
    networks = ("mlp", "dense_head")
    assert found == list(itertools.product(("one.npz", "other.npz"), networks))
    assert design.study.base == design.cells[0].config
    with pytest.raises(UsageError, match=r"model=lenet needs images"):
        design_of(composer, [*files, "model=lenet,mlp"], multirun=True)


def test_a_study_of_a_folder_is_told_where_it_lies(own: Path) -> None:
    """A file may declare `data=folder`; `data.root` is typed, and stands in its command."""
    of_a_folder = OWN.replace(
        "optimizer: {", "defaults: [override /data: folder]\noptimizer: {"
    )
    (own / "study" / "photos.yaml").write_text(of_a_folder)
    root = colours(own / "photos")
    with Composer(own) as composer:
        with pytest.raises(UsageError, match=r"^study=photos: data=folder needs data.root=DIR"):
            design_of(composer, ["study=photos"])
        design = design_of(composer, ["study=photos", f"data.root='{root}'"])
        assert {cell.config.data.root for cell in design.cells} == {str(root)}
        assert {cell.config.data.about.n_train for cell in design.cells} == {24}
        assert len(design.study.claims) == 3
        again = shlex.split(design.study.command)[2:]
        assert design_of(composer, again).run_ids == design.run_ids
