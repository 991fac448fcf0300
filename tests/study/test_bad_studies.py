"""What a study file may not say is refused before anything is planned, with its name."""

import re
from pathlib import Path

import pytest

from bnexp.config.factor_names import may_be_a_factor
from bnexp.errors import UsageError
from bnexp.stats.cells import COLUMNS as CELLS_COLUMNS
from bnexp.stats.max_lr import COLUMNS as MAX_LR_COLUMNS
from bnexp.store.columns import FACTORS as FACTOR_COLUMN
from bnexp.store.columns import METRICS, Columns
from bnexp.store.frames import EPOCHS_COLUMNS, RUNS_COLUMNS
from bnexp.study.declare import open_design

STUDY = """# @package _global_
train: {epochs: 1}
study:
  question: Q?
  source: me
  factors: {norm: 'none,batch'}
  seeds: 2
  responses: [train_loss]
"""
FACTORS = "{norm: 'none,batch'}"
CLAIM = "  claims: [{claim: x, source: s, response: train_loss, %s}]\n"


def change(old: str, new: str) -> str:
    assert old in STUDY
    return STUDY.replace(old, new)


def claim(text: str) -> str:
    return STUDY + CLAIM % text


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a stranger's folder; the command is called beside it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOKEN", "sesame")
    (tmp_path / "theirs" / "study").mkdir(parents=True)
    return tmp_path / "theirs"


def refused(folder: Path, content: str, *typed: str) -> str:
    """Return the message that a study file gets; it writes nothing."""
    (folder / "study" / "s.yaml").write_text(content)
    before = sorted(folder.parent.rglob("*"))
    with pytest.raises(UsageError) as error:
        open_design(["study=s", *typed], True, folder)
    assert sorted(folder.parent.rglob("*")) == before
    assert "sesame" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (change("[train_loss]", "[dead_units]"), "'dead_units': it needs eval.units=true"),
        (change("[train_loss]", "[val_loss]"), "needs data.val_size=N"),
        (
            change("[train_loss]", "[test_loss_population]"),
            r"needs eval.statistics=\[running,population\]",
        ),
        (change("[train_loss]", "[population_gain]"), "needs eval.statistics"),
        (change("[train_loss]", "[epochs_to_81]"), "needs eval.thresholds with 0.81"),
        (change("[train_loss]", "[train_loss, dead_units_deviation]"), "needs eval.units=true"),
        (
            change("[train_loss]", "[gamma_mean_conv9]").replace(
                "train:", "eval: {affine: true}\ntrain:"
            ),
            "a layer 'conv9' with a normalization",
        ),
        (
            STUDY
            + CLAIM.replace("train_loss", "dead_units")
            % ("kind: difference, factor: norm, higher: batch, lower: none"),
            "'dead_units': it needs eval.units=true",
        ),
        (change(FACTORS, "{seed: '1,2'}"), "cannot set seed"),
        (change(FACTORS, "{seed: {a: norm=none, b: norm=batch}}"), "seed cannot be a factor"),
        *[
            (
                change(FACTORS, f"{{'{name}': {{a: norm=none, b: norm=batch}}}}"),
                re.escape(name[:90]) + ".* cannot be a factor: give it another name",
            )
            for name in ("a:b", "a, b", "a=b", "", "norm.", "=1+1", "<b>", 101 * "a", "value")
        ],
        (change(FACTORS, "{study: 'quickstart,max_lr'}"), "cannot set study"),
        (change(FACTORS, "{preset: 'd2l_bn,d2l_lenet'}"), "preset cannot be a factor"),
        (change(FACTORS, "{name: 'a,b'}"), "cannot set name"),
        *[
            (change(FACTORS, f"{{norm: {{a: '{text}', b: norm=batch}}}}"), says)
            for text, says in (
                ("seed=1", "cannot set seed"),
                ("results_dir=/etc", "cannot set results_dir"),
                ("name=other", "cannot set name"),
                ("engine.workers=3", "cannot set engine.workers"),
                ("device=cuda", "cannot set device"),
                ("study=quickstart", "cannot set study"),
                ("data.root=/etc", "cannot set data.root"),
                ("hydra.run.dir=/etc", "drop this setting"),
                ("nrm=none", "did you mean 'norm'"),
                ("model@norm=mlp", "drop the @"),
                ("+x=1", "nothing can be added"),
                ("train=../../secret", "no such train"),
                (r"model.function=\\${oc.env:TOKEN}:f", "is no value|names its values"),
            )
        ],
        (change(FACTORS, "{optimizer.lr: 'range(0.1,1e5,1e-4)'}"), "names 1e[+]09 values"),
        (change(FACTORS, "{optimizer.lr: 'range(0.1,1,0)'}"), "in steps"),
        (
            change(FACTORS, "{train.epochs: 'range(1,999)', train.batch_size: 'range(2,999)'}"),
            "995,006 cells x 2 seeds are too many",
        ),
        (
            change("seeds: 2", "seeds: 1000000000000"),
            r"^study=s: study\.seeds=1000000000000: [^\n]* less than or equal to 100000$",
        ),
        (change("seeds: 2", "seeds: [-1]"), "study.seeds"),
        (change("seeds: 2", "seeds: [99999999999999999999]"), "study.seeds"),
        (claim("kind: difference, factor: norm, higher: batch, lower: batch"), "batch twice"),
        (
            claim("kind: equivalence, factor: norm, level_a: batch, level_b: batch, margin: 1"),
            "batch twice",
        ),
        (
            claim("kind: threshold, factor: norm, level_a: none, level_b: none, above: 0"),
            "names norm=none twice",
        ),
        (
            claim(
                "kind: difference, factor: norm, higher: batch, lower: none, given: {norm: x}"
            ),
            "fixes norm, of which it speaks",
        ),
        (claim("kind: dominance, larger: norm, smaller: norm"), "compares norm with itself"),
        (claim("kind: value, cell: {}, reported: 1, within: 1"), "study.claims"),
        *[
            (
                claim(f"kind: value, cell: {{norm: batch}}, reported: {number}, within: 0.1"),
                r"study\.claims\.1\.reported=[-a-z]+: input should be a finite number",
            )
            for number in (".nan", ".inf", "-.inf")
        ],
        (change("train: {", "data: {root: /etc}\ntrain: {"), "cannot set data.root"),
        (change("train: {", "train: {_target_: os.system, "), "_target_: no such key here"),
        (change("question: Q?", "question: 3"), "study.question=3"),
        ("# @package _global_\ntrain: {epochs: 1}\n", "it has no study: section"),
        (change("question: Q?", "question: ???"), r"study.question has no value \(\?\?\?\)"),
        (claim("higher: '???'"), r"study.claims.1.higher has no value \(\?\?\?\)"),
        ("# @package _global_\nstudy: [1]\n", "valid dictionary"),
    ],
)
def test_a_study_file_says_what_is_wrong(content: str, says: str, folder: Path) -> None:
    message = refused(folder, content)
    assert re.search(says, message), message


@pytest.mark.parametrize(
    "budget", ["results_dir=x", "name=y", "engine=inline", "train.epochs='"]
)
def test_a_size_sets_no_more_than_a_level(budget: str, folder: Path) -> None:
    content = f'{STUDY}  budgets: {{smoke: "{budget}"}}\n'
    assert re.search("cannot set|cannot read", refused(folder, content, "budget=smoke"))


PAYLOAD = "open('RAN', 'w')\nfrom bnexp.networks.custom import example as make\n"
NAMED = {
    "a section": change("train: {", "model: {function: 'payload:make'}\ntrain: {").replace(
        "_global_\n", "_global_\ndefaults: [override /model: custom]\n"
    ),
    "a level": change(
        FACTORS, "{norm: {a: 'model=custom model.function=payload:make', b: norm=batch}}"
    ),
    "another file": change("_global_\n", "_global_\ndefaults: [override /model: mine]\n"),
}


@pytest.fixture
def payload(folder: Path) -> Path:
    """Return the file that a stranger's study would have run."""
    (folder / "model").mkdir()
    custom = "{name: custom, function: 'payload:make', activation: relu, init: given, "
    custom += (
        "init_gain: 1.0, init_gain_where: all, init_seed: null, bias: true, dropout: 0.0, "
    )
    custom += "args: {}}"
    (folder / "model" / "mine.yaml").write_text(custom)
    path = folder.parent / "payload.py"
    path.write_text(PAYLOAD)
    return path


@pytest.mark.parametrize("where", NAMED)
def test_code_that_a_file_names_is_named_and_not_run(
    where: str, folder: Path, payload: Path
) -> None:
    """With the file that would be imported, and the flag; with the flag the design is there."""
    message = refused(folder, NAMED[where])
    assert f"sets model.function=payload:make, which would import and run {payload}" in message
    assert "--allow-code" in message
    design = open_design(["study=s"], False, folder, allow_code=True)
    assert any(cell.config.model.name == "custom" for cell in design.cells)
    assert not (folder.parent / "RAN").exists()


def test_data_that_a_file_names_are_not_made(folder: Path, payload: Path) -> None:
    """What a data function returns is known by calling it: not before it is trusted."""
    payload.write_text(
        "open('RAN', 'w').close()\nfrom bnexp.datasets.waves import load as make\n"
    )
    chosen = "_global_\ndefaults: [override /data: function, override /model: mlp]\n"
    shipped = change("_global_\n", chosen)
    content = shipped.replace("train: {", "data: {function: 'payload:make'}\ntrain: {")
    message = refused(folder, content)
    assert f"sets data.function=payload:make, which would import and run {payload}" in message
    open_design(["study=s"], False, folder, allow_code=True)
    assert (folder.parent / "RAN").exists()
    (folder / "study" / "s.yaml").write_text(shipped)
    assert len(open_design(["study=s"], False, folder).cells) == 2


def test_code_that_is_typed_needs_no_flag(folder: Path, payload: Path) -> None:
    """Nor does what is shipped."""
    (folder / "study" / "s.yaml").write_text(STUDY)
    typed = ["study=s", "model=custom", "model.function=payload:make"]
    assert len(open_design(typed, False, folder).cells) == 2
    assert len(open_design(["study=s", "model=custom"], False, folder).cells) == 2


@pytest.mark.parametrize(
    "columns", [RUNS_COLUMNS, EPOCHS_COLUMNS, CELLS_COLUMNS, MAX_LR_COLUMNS]
)
def test_no_factor_is_called_like_another_column(columns: Columns) -> None:
    """Of a table with a column for each factor; a measured number, too, is no factor."""
    assert FACTOR_COLUMN in columns
    for name in {*columns, "test_accuracy", "gamma_mean_conv1"} - {FACTOR_COLUMN, METRICS}:
        assert not may_be_a_factor(name), name
    assert may_be_a_factor("norm.momentum")


def test_what_a_level_turns_on_is_measured(folder: Path) -> None:
    """A response that some cells measure is one."""
    text = change(FACTORS, "{eval.units: 'true,false'}").replace("train_loss", "dead_units")
    (folder / "study" / "s.yaml").write_text(text)
    assert len(open_design(["study=s"], False, folder).cells) == 2
