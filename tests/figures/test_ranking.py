import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mechviz.errors import InputError
from mechviz.figures import ranking_svg
from mechviz.figures.colour import THEMES
from tests.figures import made

CHANGE = THEMES["light"].change


def scores(n):
    return np.linspace(5, 1, n)


def slopes(root):
    return {
        int(one.get("data-doc")): (float(one.get("y1")), float(one.get("y2"))) for one in made.find(root, "line", data_doc=...)
    }


def test_slopes_run_from_rank_to_rank():
    before = np.array([3.0, 1.0, 2.0, 0.5])
    after = np.array([3.0, 2.5, 2.0, 0.5])
    root = made.parsed(ranking_svg(list("abcd"), before, after, 1))
    found = slopes(root)
    rows = sorted(y for y, _ in found.values())
    assert [rows.index(found[doc][0]) + 1 for doc in range(4)] == [1, 3, 2, 4]
    assert [rows.index(found[doc][1]) + 1 for doc in range(4)] == [1, 2, 3, 4]
    (moved,) = made.find(root, "line", data_doc=1)
    assert (moved.get("stroke"), moved.get("stroke-width")) == (CHANGE, "3")
    opacity = {doc: float(made.find(root, "line", data_doc=doc)[0].get("stroke-opacity")) for doc in range(4)}
    assert opacity[1] > opacity[2] > opacity[0] == opacity[3]
    assert any("rank 3 → 2 of 4 (up 1), score 1.000 → 2.500 (+1.500)" in word for word in made.words(root))
    assert [one.text for one in made.find(root, "text", font_weight="bold", fill=CHANGE)].count("b") == 2


def test_equal_scores_keep_the_order_given():
    root = made.parsed(ranking_svg(list("abc"), [1, 1, 1], [1, 1, 1], 2))
    assert [y for y, _ in slopes(root).values()] == sorted(y for y, _ in slopes(root).values())
    assert any("rank 3 → 3 of 3 (unchanged)" in word for word in made.words(root))


def test_of_a_long_list_a_window_is_drawn():
    before = scores(1000)
    after = before.copy()
    after[500] = before[20] + 1e-6
    root = made.parsed(ranking_svg([f"d{i}" for i in range(1000)], before, after, 500))
    shown = made.words(root)
    assert {"… 12 unchanged", "… 463 more, all moved", "… 491 unchanged"} <= set(shown)
    assert shown.count("13") == shown.count("29") == shown.count("493") == shown.count("509") == 2
    assert "12" not in shown
    assert "30" not in shown
    assert float(root.get("height")) < 1000


def test_a_list_of_fifty_is_drawn_whole():
    root = made.parsed(ranking_svg([f"d{i}" for i in range(50)], scores(50), scores(50), None))
    assert len(slopes(root)) == 50
    assert not [word for word in made.words(root) if word.startswith("…")]
    assert "0 of 50 documents changed rank" in made.words(root)


def test_what_was_not_retrieved_comes_last_and_is_dashed():
    root = made.parsed(ranking_svg(list("abc"), [3.0, np.nan, 1.0], [3.0, 2.0, 1.0], 1))
    (line,) = made.find(root, "line", data_doc=1)
    assert line.get("stroke-dasharray")
    assert float(line.get("y1")) == max(y for y, _ in slopes(root).values())
    assert "none" in made.words(root)
    assert "rank not retrieved → 2, of 3" in made.words(root)


def test_it_says_where_it_comes_from():
    provenance = {"ranker": "a/ranker", "ranker_repr": "Cat('a/ranker')", "mechviz": "1.2.3"}
    root = made.parsed(ranking_svg(["a"], [1.0], [2.0], 0, "dark", query="hot", perturbation="change", provenance=provenance))
    assert "a/ranker · change · query: hot" in made.words(root)
    assert "ranker: Cat('a/ranker')\nperturbation: change" in root[1].text
    assert "computed by: mechviz 1.2.3" in root[1].text
    assert "hot" not in root[1].text
    assert root[2].get("fill") == THEMES["dark"].page


@pytest.mark.parametrize(
    ("before", "after", "moved"),
    [([1.0], [1.0, 2.0], 0), ([1.0, 2.0], [1.0, 2.0], 2), ([1.0, 2.0], [1.0, 2.0], True), ([], [], None)],
)
def test_what_does_not_fit_is_refused(before, after, moved):
    with pytest.raises(InputError):
        ranking_svg(["a"] * len(before), before, after, moved)


SCORES = st.floats(allow_infinity=False, width=32)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.text(st.characters(exclude_categories=())), SCORES, SCORES), min_size=1, max_size=60), st.data())
def test_any_list_makes_a_picture(rows, data):
    labels, before, after = zip(*rows, strict=True)
    moved = data.draw(st.none() | st.integers(0, len(rows) - 1))
    made.parsed(ranking_svg(labels, before, after, moved))


def test_hostile_labels():
    n = len(made.HOSTILE)
    made.parsed(ranking_svg(made.HOSTILE, scores(n), scores(n)[::-1], 3, query=made.HOSTILE[0]))
