"""The view of a scorecard."""

import xml.etree.ElementTree as ElementTree

import pytest

from mechviz.errors import InputError, InputTypeError
from mechviz.views import ScorecardView
from tests import many_pairs
from tests.views.test_study_view import asked, data_of, opener


@pytest.fixture
def view():
    return ScorecardView(many_pairs.scorecard(20), opener)


def test_rows_are_those_of_the_scorecard(view):
    frame = view.scorecard.rows
    rows = view.spec["scorecard"]["rows"]
    assert [(row["axiom"], row["group"], row["value"], row["n"]) for row in rows] == list(
        frame[["axiom", "group", "value", "n"]].itertuples(index=False, name=None)
    )
    assert [row["satisfied"] for row in rows] == pytest.approx(frame["satisfied"].tolist())
    assert view.spec["scorecard"]["dropped"]["TFC2"] == [["no query term in the document", 12], ["too short", 1]]
    assert view.spec["panels"] == ["scorecard", "pairs"]


def test_a_pair_of_an_axiom_opens(view, monkeypatch, tmp_path):
    content, _ = asked(view, monkeypatch, {"type": "open", "number": 25})
    assert content["key"] == "pair.25"
    state, _ = data_of(view.to_html(tmp_path / "a.html"))
    assert "pair.25" in state["spec"]["held"]


def test_pictures(view, tmp_path):
    for panel in ("scorecard", "pairs"):
        for theme in ("light", "dark"):
            assert ElementTree.parse(view.to_svg(tmp_path / "a.svg", panel, theme)).getroot().tag.endswith("svg")
    with pytest.raises(InputError, match="panel='heads'"):
        view.to_svg(tmp_path / "a.svg", "heads")


def test_pairs_that_several_axioms_share_need_numbers_of_their_own():
    card = many_pairs.scorecard(20)
    card.pairs["number"] = card.pairs["number"] % 20
    ScorecardView(card)
    with pytest.raises(InputError, match="number 0 is that of several pairs"):
        ScorecardView(card, opener)
    with pytest.raises(InputTypeError, match="not 'card'"):
        ScorecardView("card")
