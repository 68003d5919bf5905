"""Pictures of curves."""

import re
from itertools import pairwise

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from mechviz.errors import InputError, InputTypeError
from mechviz.figures import curves_svg
from mechviz.figures.colour import THEMES, series
from mechviz.figures.curves import MARKS, spread, ticks, written
from mechviz.figures.words import width_of
from mechviz.results import Curves
from tests import golden
from tests.figures import made
from tests.figures.test_colour import JS
from tests.test_curves import curves, line

GAP = 15.0


def points(path):
    """Each run of a path as (x, y) pairs."""
    runs = [run for run in path.split("M") if run]
    return [[tuple(map(float, pair.split())) for pair in run.rstrip("Z").split("L")] for run in runs]


def ticks_at(root):
    """The y axis: numbers and their places."""
    shown = [one for one in made.find(root, "text", text_anchor="end") if re.fullmatch(r"−?[\d.,]+", one.text)]
    return sorted((float(one.text.replace("−", "-")), float(one.get("y")) - 4) for one in shown)


@pytest.mark.parametrize("theme", THEMES)
def test_every_value_is_where_the_axis_says(theme):
    given = golden.golden_curves()
    root = made.parsed(curves_svg(given, theme))
    (low, y_low), *_, (high, y_high) = ticks_at(root)

    def value(y):
        return low + (high - low) * (y - y_low) / (y_high - y_low)

    drawn = {one.get("data-curve"): one for one in made.find(root, "g", data_curve=...)}
    assert list(drawn) == list(given.curves)
    runs = points(made.find(drawn["probe </script>"], "path")[0].get("d"))
    assert [[value(y) for _, y in run] for run in runs] == [pytest.approx([0.5, 0.75], abs=0.002)], "a gap, and a point alone"
    assert made.find(drawn["probe </script>"], "path")[1].get("d").count("M") == 3
    (random,) = points(made.find(drawn["random"], "path")[0].get("d"))
    assert [value(y) for _, y in random] == pytest.approx([0.5, 0.625], abs=0.002), "from the left"
    assert random[0][0] == runs[0][0][0]
    bands = made.find(root, "path", data_band=...)
    assert [one.get("data-band") for one in bands] == ["probe </script>"]
    edge = points(bands[0].get("d"))[0]
    assert [value(y) for _, y in edge] == pytest.approx([0.625, 0.875, 0.5, 0.25], abs=0.002)
    (chance,) = made.find(root, "line", data_reference="chance")
    assert value(float(chance.get("y1"))) == pytest.approx(0.5, abs=0.002)
    assert chance.get("stroke-dasharray")
    assert bands[0].get("fill") == series(THEMES[theme])[0]
    shown = made.words(root)
    assert {"Where it is known", "layer", "accuracy (share)", "Bands are 95% intervals over 9 queries."} <= set(shown)


def test_names_do_not_meet():
    given = curves(curves={f"curve {i}": line([i, 1 + i / 100]) for i in range(8)}, reference={"one": 1, "more": 1.05})
    root = made.parsed(curves_svg(given))
    names = made.find(root, "text", data_name=...)
    assert [one.text for one in names] == [*given.curves, *given.reference]
    places = sorted(float(one.get("y")) for one in names)
    assert min(np.diff(places)) >= GAP - 0.02
    ends = [float(one.get("y")) for one in names[:8]]
    assert ends == sorted(ends, reverse=True), "in the order of the ends"


def test_places_with_names_stay_on_the_page():
    names = [f"a long name of condition {i}" for i in range(20)]
    root = made.parsed(curves_svg(curves(curves={"a": line(np.arange(20), names)})))
    turned = made.find(root, "text", transform=...)
    assert len(turned) == 20
    assert all(float(one.get("x")) - 0.71 * width_of(one.text, 11) > 0 for one in turned)
    few = made.parsed(curves_svg(curves(curves={"a": line([1, 2], ["low", "high"])})))
    assert made.find(few, "text", transform=...) == []
    assert {"low", "high"} <= set(made.words(few))


@pytest.mark.parametrize(
    "given",
    [
        curves(curves={"a": line([np.nan, np.nan])}),
        curves(curves={"a": line([3.0], [0.5])}),
        curves(curves={"a": line([0.0, 0.0])}),
        curves(curves={"a": line([1e-9, 2e-9])}),
        curves(curves={"a": line([1e12, -1e12])}),
        curves(curves={"a": line(np.arange(5000))}, reference={f"line {i}": i for i in range(30)}),
    ],
    ids=["nothing", "one point", "flat", "tiny", "huge", "many"],
)
def test_odd_curves_are_drawn(given):
    svg = curves_svg(given)
    made.parsed(svg)
    assert not re.search(r"nan|inf\b|not defined", svg)


@pytest.mark.parametrize("words", made.HOSTILE)
def test_words_stay_words(words):
    words = words if words.strip() else "x" + words
    made.parsed(curves_svg(Curves(words, words, {words: line([1, 2], ["a", words])}, {}, {}, {words: 1.5}, words, words)))


def test_what_is_no_curves_is_refused():
    with pytest.raises(InputError, match="theme='auto'"):
        curves_svg(golden.golden_curves(), "auto")
    with pytest.raises(InputTypeError, match="needs Curves, not 3"):
        curves_svg(3)


@given(st.lists(st.floats(-50, 350), max_size=12))
def test_spread_moves_as_little_as_it_must(wanted):
    found = spread(wanted, GAP, 0, 300)
    assert all(0 <= one <= 300 for one in found)
    assert all(b - a >= GAP - 1e-6 for a, b in pairwise(sorted(found)))
    order = sorted(range(len(wanted)), key=lambda one: wanted[one])
    assert [found[one] for one in order] == sorted(found)
    if all(0 <= one <= 300 for one in wanted) and all(b - a >= GAP for a, b in pairwise(sorted(wanted))):
        assert found == pytest.approx(wanted), "what is apart stays"


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_are_few_and_can_be_told_apart(low, size):
    found, step = ticks(low, low + size, 6)
    assert 1 <= len(found) <= 8
    assert all(low - 1e-6 * step <= one <= low + size + 1e-6 * step for one in found)
    assert len({written(one, step) for one in found}) == len(found)


def test_numbers_in_words():
    assert [written(*one) for one in ((0.2, 0.2), (-12000.0, 2000.0), (2.5e-7, 1e-7), (0.0, 2.0))] == [
        *("0.2", "−12,000", "2.50e−7", "0")
    ]


def test_a_curve_of_integers_is_one_too():
    whole = xr.DataArray(np.array([1, 2, 3]), dims=("x",), coords={"x": [0, 1, 2]})
    root = made.parsed(curves_svg(curves(curves={"a": whole})))
    assert {"0", "1", "2"} <= set(made.words(root))


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_colours_and_marks_are_those_of_the_view(theme):
    css = (JS / "style" / "controls.css").read_text()
    found = re.findall(r'\[data-series="(\d)"\] \{\s+--series: ([^;]+);', css)
    assert [int(number) for number, _ in found] == list(range(8))
    light, dark = re.split(r'\.mechviz\[data-theme="dark"\]', (JS / "style" / "base.css").read_text())[:2]
    own = dict(re.findall(r"(--mv-[\w-]+): (#\w+)", light if theme.name == "light" else dark))
    own["--mv-fg"] = own["--mv-own-fg"]
    assert [own.get(ink.removeprefix("var(").removesuffix(")"), ink) for _, ink in found] == list(series(theme))
    assert all(f'"{mark}"' in (JS / "marks" / "curves.ts").read_text() for mark in MARKS)
