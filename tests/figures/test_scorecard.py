"""Pictures of scorecards."""

import pytest

from mechviz.errors import InputError, InputTypeError
from mechviz.figures import scorecard_svg
from mechviz.figures.colour import THEMES
from tests import many_pairs
from tests.figures import made
from tests.figures.test_colour import mixed


@pytest.mark.parametrize("theme", THEMES)
def test_every_group_has_its_colour_its_share_and_its_pairs(theme):
    card = many_pairs.scorecard(40)
    root = made.parsed(scorecard_svg(card, theme=theme))
    found = {one.get("data-score"): one for one in made.find(root, "g", data_score=...)}
    rows = card.rows[card.rows["group"] != "all"]
    assert set(found) == {f"{row.axiom} {row.group} {row.value}" for row in rows.itertuples()}
    for row in rows.itertuples():
        one = found[f"{row.axiom} {row.group} {row.value}"]
        assert made.find(one, "rect")[0].get("fill") == mixed(row.satisfied - 0.5, 0.5, list(THEMES[theme].ramp))
        assert made.words(one) == [f"{int(100 * row.satisfied + 0.5)}%", str(row.n)]


def test_buckets_stand_in_their_order():
    root = made.parsed(scorecard_svg(many_pairs.scorecard(60)))
    heads = [one for one in made.find(root, "text", font_weight="bold") if one.text in ("1-10", "11-50", "51-100", "101-1000")]
    assert [one.text for one in sorted(heads, key=lambda one: float(one.get("x")))] == ["1-10", "11-50", "51-100", "101-1000"]


def test_intervals_lie_around_their_values():
    card = many_pairs.scorecard(40)
    root = made.parsed(scorecard_svg(card))
    shown = made.words(root)
    for row in card.rows[card.rows["group"] == "all"].itertuples():
        assert f"{100 * row.satisfied_low:.0f}–{100 * row.satisfied_high:.0f}" in shown
    assert len(made.find(root, "line", data_interval=1)) == 2 * len(card.axioms)
    assert "TFC2 leaves out 12 (no query term in the document); 1 (too short)." in shown


def test_what_is_no_scorecard_is_refused():
    with pytest.raises(InputError, match="panel='heads'"):
        scorecard_svg(many_pairs.scorecard(5), "heads")
    with pytest.raises(InputTypeError, match="not 3"):
        scorecard_svg(3)
