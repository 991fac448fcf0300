"""`study.json`: one type, with one writer and one reader."""

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bnexp.config.compose import Composer
from bnexp.config.until import Until
from bnexp.errors import UsageError
from bnexp.store import json_files, study_file
from bnexp.store.declaration import SECTIONS
from bnexp.store.declared import Declared
from bnexp.store.folder import Store
from bnexp.store.records import SCHEMA_VERSION
from bnexp.study.declare import declare
from bnexp.study.design import Design, enumerate_design
from tests.fabricate import redeclared

RESULTS = Path(__file__).resolve().parents[2] / "results"
LONG_AGO = "2026-01-01T00:00:00+00:00"


@pytest.fixture
def store(weird_path: Path) -> Store:
    """Return a store in a folder of an unpleasant name that does not exist yet."""
    return Store(weird_path / "results")


@pytest.fixture(scope="module")
def design_of() -> Callable[..., Design]:
    """Return a function from arguments to a design, with -m."""

    def design(*arguments: str) -> Design:
        with Composer() as composer:
            study = declare(composer, arguments, multirun=True)
            return enumerate_design(study, lambda settings: composer.resolve(settings)[0])

    return design


def test_the_declaration_lists_every_run(
    store: Store, design_of: Callable[..., Design]
) -> None:
    """`study.json` holds factors, seeds and the ids of each cell's runs."""
    design = design_of("norm=none,batch", "seed=range(2)")
    store.declare(design.declaration())
    content = json.loads(store.study.read_text())
    assert content["factors"] == {"norm": {"none": ["norm=none"], "batch": ["norm=batch"]}}
    assert content["seeds"] == [0, 1]
    assert content["schema_version"] == SCHEMA_VERSION
    assert [cell["levels"] for cell in content["cells"]] == [
        {"norm": "none"},
        {"norm": "batch"},
    ]
    declared = store.read_study()
    assert set(declared.run_ids) == design.run_ids
    assert declared.factors == {"norm": ("none", "batch")}
    assert declared.cells[1] == (
        {"norm": "batch"},
        {run.seed: run.run_id for run in design.runs if run.cell is design.cells[1]},
    )


def test_what_is_read_is_what_was_written(
    store: Store, design_of: Callable[..., Design]
) -> None:
    """A declaration survives the disk, whatever it bundles, claims and fixes."""
    declaration = design_of("study=pooling_vs_bn", "seed=range(2)").declaration()
    assert declaration.claims
    store.declare(declaration)
    assert store.read_study() == declaration


@pytest.mark.parametrize("name", ["pooling_vs_bn", "max_lr", "lab_mlp", "noise_floor"])
def test_a_published_declaration_keeps_its_bytes(name: str, tmp_path: Path) -> None:
    """Read and written again, a published study.json is the same file."""
    published = RESULTS / name / "study.json"
    study_file.write(tmp_path / "study.json", study_file.read(published))
    assert (tmp_path / "study.json").read_bytes() == published.read_bytes()


def test_the_declaration_names_no_place_of_this_machine(
    store: Store, design_of: Callable[..., Design], tmp_path: Path
) -> None:
    """Where runs lie and train is not part of what was declared; settings are."""
    here = (f"results_dir='{tmp_path}'", f"data.root='{tmp_path}'", "engine=inline")
    store.declare(design_of("norm=none,batch", "train.epochs=2", *here).declaration())
    assert store.read_study().fixed == ("train.epochs=2",)
    assert str(tmp_path) not in store.study.read_text()


def test_what_was_planned_stays_planned(store: Store, design_of: Callable[..., Design]) -> None:
    """More seeds keep the time of the declaration; other factors make a new one."""
    store.declare(design_of("norm=none,batch", "seed=range(2)").declaration())
    redeclared(store, declared=LONG_AGO)
    store.declare(design_of("norm=none,batch", "seed=range(5)").declaration())
    assert store.read_study().declared == LONG_AGO
    assert store.read_study().seeds == (0, 1, 2, 3, 4)
    store.declare(design_of("norm=none,batch,scratch", "seed=range(5)").declaration())
    assert store.read_study().declared > LONG_AGO


def test_the_same_design_by_another_command_keeps_the_file(
    store: Store, design_of: Callable[..., Design]
) -> None:
    """A study.json is written again only if it declares something else."""
    store.declare(design_of("study=gamma_beta", "budget=full").declaration())
    redeclared(store, declared=LONG_AGO)
    before = store.study.stat().st_mtime_ns, store.study.read_bytes()
    store.declare(design_of("study=gamma_beta", "seed=range(30)").declaration())
    assert (store.study.stat().st_mtime_ns, store.study.read_bytes()) == before
    store.declare(design_of("study=gamma_beta", "seed=range(31)").declaration())
    assert len(store.read_study().seeds) == 31
    assert "seed=range(31)" in store.read_study().command


def test_earlier_declarations_are_kept(store: Store, design_of: Callable[..., Design]) -> None:
    """Each change of the question is on record, and coming back keeps the first time."""
    first = design_of("norm=none,batch", "seed=range(2)")
    store.declare(first.declaration())
    assert store.read_study().earlier == ()
    redeclared(store, declared=LONG_AGO)
    store.declare(design_of("norm=none,batch,scratch", "seed=range(2)").declaration())
    (earlier,) = store.read_study().earlier
    assert earlier.declared == LONG_AGO
    assert list(earlier.overrides["norm"]) == ["none", "batch"]
    store.declare(first.declaration())
    assert store.read_study().declared == LONG_AGO
    (earlier,) = store.read_study().earlier
    assert list(earlier.overrides["norm"]) == ["none", "batch", "scratch"]


def test_a_study_from_before_declarations_were_kept(
    store: Store, design_of: Callable[..., Design]
) -> None:
    """A study.json without `earlier` has the one declaration that it states."""
    store.declare(design_of("norm=none,batch", "seed=range(2)").declaration())
    old = json.loads(store.study.read_text())
    del old["earlier"]
    json_files.write_json(store.study, old)
    store.declare(design_of("norm=none,scratch", "seed=range(2)").declaration())
    assert [one.declared for one in store.read_study().earlier] == [old["declared"]]


def test_a_folder_without_a_study(tmp_path: Path) -> None:
    """A folder that holds no study says what to name instead."""
    with pytest.raises(UsageError, match=r"holds no study\.json: name the folder"):
        Store(tmp_path).read_study()


MISSING = object()


BASE = {section: {} for section in SECTIONS}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("seeds", MISSING, "seeds: Field required"),
        ("seeds", [0, "1"], "seeds.1: Input should be a valid integer"),
        ("seeds", [], "seeds: Tuple should have at least 1 item"),
        ("seeds", [0], "cells: {.*} has not one run a seed"),
        ("factors", {"norm": ["none", "batch"]}, "factors.norm: Input should be an object"),
        ("factors", {"a:b": {"x": []}}, "factors.a:b.*: it is no name of a factor"),
        ("factors", {"norm": {}}, "factors.norm: .* at least 1 item"),
        ("factors", {"norm": {"none": ["norm=none"]}}, "cells: {.*} are not levels"),
        ("cells", [{"levels": {}, "run_ids": ["a", "b"]}], "cells: {} are not levels"),
        ("cells", [{"levels": {"norm": "none"}}], "cells.0.run_ids: Field required"),
        ("claims", [{"kind": "guess"}], "claims.0: .*'guess'"),
        ("responses", "test_accuracy", "responses: Input should be a valid array"),
        ("responses", ["beauty"], "no run reports a response 'beauty'"),
        ("base", {}, "base: lacks the section 'data'"),
        (
            "base",
            BASE | {"data": {"name": ["digits"], "train_size": 1}},
            "base: data.name .* is unknown",
        ),
        ("base", [], "base: Input should be an object"),
        ("seeds", [0, 0], "seeds: one stands twice"),
        ("seeds", [-1, 1], "seeds.0: Input should be greater"),
        ("cells", [], "cells: .* at least 1 item"),
        ("question", "\x1b[2J", "a text has a control character"),
        (
            "cells",
            [
                {"levels": {"norm": name}, "run_ids": ["../../x", "y"]}
                for name in ("none", "batch")
            ],
            "cells: a run's id has letters that no id has",
        ),
        (
            "claims",
            [
                {
                    "kind": "dominance",
                    "claim": "x",
                    "source": "s",
                    "response": "test_accuracy",
                    "larger": "norm",
                    "smaller": "x",
                }
            ],
            "claims: number 1 needs a factor 'x' of two levels",
        ),
        (
            "claims",
            [
                {
                    "kind": "difference",
                    "claim": "x",
                    "source": "s",
                    "response": "test_accuracy",
                    "factor": "norm",
                    "higher": "batch",
                    "lower": "batch",
                }
            ],
            "claims.0.*: the claim 'x' names norm=batch twice",
        ),
        ("declared", "yesterday", "declared: "),
        ("declared", "2026-01-01T00:00:00", "declared: should name its time zone"),
        ("name", None, "name: Input should be a valid string"),
        ("earlier", [{}], r"earlier\.0\.\w+: Field required"),
        ("looks", [{"seeds": 0}], r"looks\.0\.\w+: "),
        ("looks", 3, "looks: Input should be a valid array"),
        ("until", {"most": "9"}, "until.most: Input should be a valid integer"),
        ("until", {"most": 9, "within": 1.0}, "until: .* has no use for study.until.within"),
    ],
)
def test_a_foreign_study_names_its_field(
    field: str,
    value: object,
    message: str,
    store: Store,
    design_of: Callable[..., Design],
) -> None:
    """Content that bnexp does not write is one line with the file, the field and a remedy."""
    store.declare(design_of("norm=none,batch", "seed=range(2)").declaration())
    content = json.loads(store.study.read_text()) | {field: value}
    json_files.write_json(store.study, {k: v for k, v in content.items() if v is not MISSING})
    before = store.study.read_bytes()
    said = rf"study\.json is damaged or not of bnexp \({message}.*\): restore it, or delete it"
    with pytest.raises(UsageError, match=said) as refused:
        store.read_study()
    assert "\n" not in str(refused.value)
    with pytest.raises(UsageError, match=said):
        store.declare(design_of("norm=none,batch", "seed=range(3)").declaration())
    assert store.study.read_bytes() == before


def test_a_claim_about_what_is_not_varied_is_named(
    store: Store, design_of: Callable[..., Design]
) -> None:
    """A claim that was edited to a level that is not there is no traceback of a report."""
    store.declare(design_of("study=pooling_vs_bn", "seed=range(2)").declaration())
    text = store.study.read_text()
    assert '"higher": "batch"' in text
    store.study.write_text(text.replace('"higher": "batch"', '"higher": "bath"'))
    with pytest.raises(UsageError, match=r"claims: number \d+ needs a level 'bath'"):
        store.read_study()


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "[" * 100_000, "\udcff"])
def test_what_is_no_json_of_ours_is_named(content: str, tmp_path: Path) -> None:
    """Damage of any kind is one line with the file's path."""
    path = tmp_path / "study.json"
    path.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(UsageError, match=r"study\.json (cannot be read|has schema version)"):
        study_file.read(path)


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_what_is_no_file_is_not_waited_for(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    """A folder or a pipe in its place is refused, and not read from for ever."""
    make(tmp_path / "study.json")
    with pytest.raises(UsageError, match=r"study\.json is not an ordinary file"):
        study_file.read(tmp_path / "study.json")


def test_other_times_and_seeds_alone_make_no_new_plan(
    design_of: Callable[..., Design],
) -> None:
    """Whatever of the plan differs makes a new one: factors, responses, claims or settings."""
    first = design_of("study=pooling_vs_bn", "seed=range(2)").declaration()
    later = dataclasses.replace(first, declared="2100-01-01T00:00:00+00:00")
    assert later.after(first).declared == first.declared
    assert later.after(first).earlier == ()
    for change in (
        {"responses": first.responses[:1]},
        {"claims": first.claims[1:]},
        {"base": first.base | {"seed": 3}},
    ):
        changed = dataclasses.replace(later, **change)
        assert changed.after(first).declared == later.declared
        assert changed.after(first).earlier == first.declarations


def test_a_factor_of_one_level_is_not_varied(
    store: Store, design_of: Callable[..., Design]
) -> None:
    """It is a factor of the design, and no two runs differ in it."""
    store.declare(design_of("norm=none,batch", "seed=range(2)").declaration())
    declared = redeclared(store)
    one = dataclasses.replace(
        declared,
        overrides={**declared.overrides, "model.pool": {"avg": ("model.pool=avg",)}},
        runs=tuple(
            dataclasses.replace(cell, levels={**cell.levels, "model.pool": "avg"})
            for cell in declared.runs
        ),
    )
    assert list(one.factors) == ["norm", "model.pool"]
    assert one.varied == ["norm"]


def grown(declared: Declared, n_seeds: int) -> Declared:
    """Return the same declaration of more, or fewer, seeds."""
    return dataclasses.replace(
        declared,
        seeds=tuple(range(n_seeds)),
        runs=tuple(
            dataclasses.replace(cell, run_ids=tuple(f"{i}-{seed}" for seed in range(n_seeds)))
            for i, cell in enumerate(declared.runs)
        ),
    )


def test_looks_are_counted_once_a_number_of_seeds(
    store: Store, design_of: Callable[..., Design]
) -> None:
    """A look has a time, and the same results shown again are the same look."""
    store.declare(design_of("norm=none,batch", "seed=range(2)").declaration())
    assert store.read_study().looks == ()
    for n_seeds in (2, 2, 3, 2):
        study_file.look(store.study, store.read_study(), n_seeds)
    looks = store.read_study().looks or ()
    assert [(look.seeds, look.single) for look in looks] == [(2, True), (3, False)]
    assert all(look.at and look.at > LONG_AGO for look in looks)
    store.declare(design_of("norm=none,batch", "seed=range(5)").declaration())
    assert store.read_study().looked_at == [2, 3]


def test_a_published_study_has_shown_what_it_declares(tmp_path: Path) -> None:
    """Without the key a file stays as it is while its seeds do; more are a second look."""
    path = tmp_path / "study.json"
    content = json.loads((RESULTS / "pooling_vs_bn" / "study.json").read_bytes())
    json_files.write_json(
        path, {**{key: content[key] for key in content if key != "looks"}, "earlier": []}
    )
    before = path.read_bytes()
    published = study_file.read(path)
    assert published.looks is None
    assert published.looked_at == [10]
    assert not published.judged_by_several
    study_file.look(path, published, 10)
    study_file.write(path, dataclasses.replace(published, looks=(), command="other"))
    assert path.read_bytes() == before
    study_file.write(path, dataclasses.replace(grown(published, 12), looks=()))
    assert study_file.read(path).looked_at == [10]
    more = study_file.look(path, study_file.read(path), 12)
    assert more.looked_at == [10, 12]
    assert more.judged_by_several
    assert more.first_alone == 10
    assert study_file.read(path) == more


def test_other_questions_of_the_same_runs_keep_their_looks(
    store: Store, design_of: Callable[..., Design]
) -> None:
    """Another level or response forgets no look; other settings are other results."""
    two = ("norm=none,batch", "name=mine", "seed=range(2)")
    store.declare(design_of(*two).declaration())
    study_file.look(store.study, store.read_study(), 2)
    store.declare(
        design_of("norm=none,batch,scratch", *two[1:-1], "seed=range(4)").declaration()
    )
    assert store.read_study().looked_at == [2]
    study_file.look(store.study, store.read_study(), 4)
    assert store.read_study().judged_by_several
    store.declare(design_of(*two, "train.epochs=7").declaration())
    assert store.read_study().looked_at == []
    store.declare(design_of(*two).declaration())
    assert store.read_study().looked_at == [2, 4]


def test_a_rule_is_kept_and_makes_every_look_one_of_several(
    store: Store, design_of: Callable[..., Design]
) -> None:
    """What `study.until` says is part of the declaration, from the first look on."""
    design = design_of("norm=none,batch", "seed=range(3)", "study.until.most=30")
    store.declare(design.declaration())
    declared = store.read_study()
    assert declared.until == Until(most=30, response="test_accuracy")
    assert declared.judged_by_several
    looked = study_file.look(store.study, declared, 3)
    assert looked.first_alone is None
    assert "study.until.most=30" in looked.command
    store.declare(design_of("norm=none,batch", "seed=range(3)").declaration())
    assert store.read_study().until is None
    assert store.read_study().looked_at == [3]
