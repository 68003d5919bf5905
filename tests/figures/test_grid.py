import numpy as np
import pytest

from mechviz.errors import InputError
from mechviz.figures import grid_svg
from mechviz.figures.colour import THEMES
from tests.figures import made
from tests.figures.test_colour import mixed
from tests.figures.test_heads import cells, grid

WHO = {"made by": "from_arrays"}


@pytest.mark.parametrize("theme", THEMES)
def test_cells_whose_interval_holds_zero_have_a_frame_in_the_pages_colour(theme):
    effects = grid(3, 4)
    effects[2, 1] = np.nan
    low, high = effects - 0.5, effects + 0.5
    root = made.parsed(grid_svg(effects, low, high, 200, "Means", WHO, theme))
    limit = float(np.nanpercentile(np.abs(effects), 99))
    for at, one in cells(root).items():
        frames = made.find(one, "rect", data_unsure=1)
        assert bool(frames) == bool(low[at] <= 0 <= high[at])
        if np.isfinite(effects[at]):
            assert made.find(one, "rect")[0].get("fill") == mixed(float(effects[at]), limit, list(THEMES[theme].ramp))
        for frame in frames:
            assert frame.get("stroke") == THEMES[theme].page
            x, y, right, bottom = made.box(made.find(one, "rect")[0])
            inner = made.box(frame)
            assert x < inner[0] < inner[2] < right
            assert y < inner[1] < inner[3] < bottom
    shown = made.words(root)
    assert {"Means", "mean of n = 200 pairs", "95% interval holds 0", "as they were given"} <= set(shown)
    assert len(made.find(root, "line", data_interval=...)) == 8


def test_without_an_interval_there_is_no_frame():
    root = made.parsed(grid_svg(grid(2, 3), None, None, None, "", WHO, selection={"stack": "attention", "layer": 1, "head": 2}))
    assert not made.find(root, "rect", data_unsure=1)
    assert not made.find(root, "line", data_interval=...)
    assert not [word for word in made.words(root) if "95%" in word or "mean of n" in word]
    assert len(made.find(root, "rect", data_selected=1)) == 1
    assert root[0].text == "Values of attention heads"
    assert "made by: from_arrays" in root[1].text


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"effects": [1.0]}, "dims"),
        ({"effects": np.zeros((0, 3))}, "one head at least"),
        ({"effects": [["a"]]}, "no array of numbers"),
        ({"low": np.zeros((2, 2))}, "two bounds"),
        ({"low": np.zeros((2, 2)), "high": np.zeros((2, 3))}, "low and high have shapes"),
        ({"selection": {"layer": 2, "head": 0}}, "number from 0 to 1"),
    ],
)
def test_what_does_not_fit_is_refused(change, match):
    given = {"effects": np.zeros((2, 3)), "low": None, "high": None, "n": None, "title": "", "provenance": {}, **change}
    with pytest.raises(InputError, match=match):
        grid_svg(**given)


@pytest.mark.parametrize("name", made.HOSTILE)
def test_hostile_titles(name):
    made.parsed(grid_svg(np.full((1, 1), np.inf), None, None, None, name, {"ranker": name}))
