"""What a page says of other test images, from planted answers."""

from pathlib import Path

import numpy as np
import pytest

from bnexp.report.page import page
from bnexp.report.render import to_html, to_markdown
from bnexp.report.tables.outcomes import images_table, outcomes_table
from bnexp.stats.tables import Tables
from bnexp.store.folder import Store
from bnexp.store.image_outcomes import Bits
from bnexp.study.design import Run
from tests.fabricate import planted, planted_by_image
from tests.report.embedded import said

N = 200
BASE = ["seed=range(4)", "data=digits", "name=planted", "norm=none,batch"]
ASKED = [*BASE, "eval.outcomes=true"]


def right(run: Run) -> Bits:
    """Return answers that a seed hardly changes.

    BN gains 12 images and loses 8: clear on these, not on others. Max pooling gains 60.
    """
    bits = np.zeros(N, dtype=bool)
    bits[100:104] = np.random.default_rng(run.seed).random(4) < 0.5
    labels = run.cell.labels
    bits[:12], bits[12:20] = labels["norm"] == "batch", labels["norm"] == "none"
    bits[20:80] = labels.get("model.pool") == "max"
    bits[150] = labels["norm"] == "batch" and run.seed % 2
    bits[160] = labels.get("model.pool") == "max" and run.seed % 3
    return bits


def tables_of(store: Store) -> Tables:
    """Return the tables of a folder."""
    study = store.read_study()
    return Tables(study, store.load(study.run_ids))


def test_a_page_tells_these_images_from_others(tmp_path: Path) -> None:
    """The interval over seeds stands beside the wider one, and the sentence counts both."""
    tables = tables_of(planted_by_image([*ASKED, "model.pool=avg,max"], tmp_path, right))
    table = outcomes_table(tables.study, tables)
    columns = [table.header.index(f"over seeds{more} [95 %]") for more in ("", " and images")]
    norm, pool = ([row[at] for at in columns] for row in table.rows)
    assert norm[0].startswith("+2.25 [+1.")
    assert norm[1].startswith("+2.25 [-")
    assert pool[1].startswith("+30.25 [+2")
    assert "testing on these 200 images" in table.note
    assert "Of 2 differences whose direction is settled on these images, 1 is settled" in (
        table.note
    )
    none_together = tables.outcomes.assign(sim_low=-1.0)
    tables.__dict__["outcomes"] = none_together
    assert "none is settled on others" in outcomes_table(tables.study, tables).note
    first, second = images_table(tables).rows
    assert first[2].startswith("0 (100 and 0), 1 (100 and 0)")
    assert second[2].startswith("20 (100 and 0)")
    whole = page(tables.study, tables, tables.records, 0)
    for text in (said(to_html(whole, {}, "")), to_markdown(whole, {})):
        assert "On other test images" in text
        assert "The images on which levels differ most" in text
        assert "20 (100 and 0)" in text


def test_mcnemars_test_stands_where_two_cells_are_compared(tmp_path: Path) -> None:
    """With one factor the page has in how many seeds it calls either level better."""
    tables = tables_of(planted_by_image(ASKED, tmp_path, right))
    table = outcomes_table(tables.study, tables)
    (row,) = table.rows
    assert dict(zip(table.header, row, strict=True))["McNemar"] == "0 and 0"
    assert "1 difference whose direction is settled on these images, none is" in table.note


def test_where_test_sets_differ_between_cells_levels_are_compared_within_them(
    tmp_path: Path,
) -> None:
    """A study of two sets has no main effect by image, and shows those within each set."""
    store = planted_by_image(
        [*ASKED, "model.pool=avg,max"],
        tmp_path,
        right,
        lambda run: run.cell.labels["model.pool"],
    )
    tables = tables_of(store)
    table = outcomes_table(tables.study, tables)
    given = table.header.index("given")
    assert [row[given] for row in table.rows] == ["model.pool=avg", "model.pool=max"]
    assert images_table(tables).rows == []


@pytest.mark.parametrize("asked", [BASE, ASKED])
def test_a_page_without_outcomes_does_not_speak_of_other_images(
    tmp_path: Path, asked: list[str]
) -> None:
    """Neither where nobody asked for them, nor where no run was left to keep any."""
    _, store = planted(asked, tmp_path, lambda run: {"test_accuracy": 0.5 + run.seed / 100})
    tables = tables_of(store)
    whole = page(tables.study, tables, tables.records, 0)
    assert not {"outcomes", "images"} & {table.name for table in whole.tables}
