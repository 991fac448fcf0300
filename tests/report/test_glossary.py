"""Technical words are explained: marked once in a part, listed once on a page."""

import json
import re
from pathlib import Path

import pytest
from markupsafe import Markup

from bnexp.report.glossary import TERMS, Glossary, names_in, term

RESULTS = Path(__file__).resolve().parents[2] / "results"
# Where a number's name is a plain word, it needs no explanation.
PLAIN = re.compile("training time|training speed|parameters")
STUDIES = sorted(path.parent.name for path in RESULTS.glob("*/study.json"))


def words_of(text: Markup) -> list[str]:
    """Return the words that a text marks."""
    return re.findall(r'class="term".*?>([^<]*)</a>', text)


def test_a_word_is_marked_once_in_a_part() -> None:
    """The same term is not marked twice, in whatever form; the next part begins anew."""
    words = Glossary()
    assert words_of(words.mark("BN and lr; batch norm, learning rates and two seeds")) == [
        "BN",
        "lr",
        "seeds",
    ]
    assert words_of(words.mark("BN")) == []
    words.section()
    assert words_of(words.mark("BN")) == ["BN"]
    assert [one.name for one in words.used] == ["BN", "learning rate", "seed"]


def test_only_whole_words_are_terms() -> None:
    """Parts of words, of keys and of paths are none; abbreviations keep their capitals."""
    assert names_in("sd of a bn, seedling, optimizer.lr=0.1, tables/cells.csv, N") == set()
    assert names_in("The longest form: running statistics") == {"running statistics"}


def test_what_is_marked_stays_text() -> None:
    """Markup around a term, and inside of a text without one, is escaped."""
    shown = Glossary().mark('<b onclick="x">BN</b>\u202e')
    assert "<b" not in shown
    assert "\u202e" not in shown
    assert words_of(shown) == ["BN"]


def test_every_term_has_one_id() -> None:
    """No two terms share an id or a form, and each says more than its name."""
    forms = [form for all_forms in TERMS for form in all_forms.split("|")]
    assert len(forms) == len(set(forms))
    names = [all_forms.split("|")[0] for all_forms in TERMS]
    assert len({term(name).id for name in names}) == len(names)
    for form in forms:
        assert names_in(f"a {form}.") != set(), form


@pytest.mark.parametrize("study", STUDIES)
def test_what_published_pages_open_with_is_explained(study: str) -> None:
    """Each response and each answer of a published study uses words of the glossary."""
    summary = json.loads((RESULTS / study / "report.json").read_text())
    for response in summary["responses"].values():
        assert names_in(response["label"]) or PLAIN.search(response["label"]), response
    for one in summary["openings"]:
        texts = [one["sentence"], *(number["name"] for number in one["numbers"])]
        assert names_in(" ".join(texts)), texts
