"""Pictures of what probes find: passages, trees, relations, arrays, atlases."""

import re
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from mechviz import figures
from mechviz.errors import InputError, InputTypeError
from mechviz.figures.atlas import _RAMPS
from mechviz.figures.colour import THEMES, diverging, hexed, sequential
from mechviz.figures.passages import LONG, parts_of
from mechviz.figures.relation import drawn_of, first_threshold
from mechviz.figures.tree import rows_of
from mechviz.results import Passage, PassageGroup, Passages
from tests import golden_probes as golden
from tests.figures import made
from tests.figures.test_colour import JS

PICTURES = {
    "passages": (figures.passages_svg, golden.golden_passages),
    "tree": (figures.tree_svg, golden.golden_tree),
    "relation": (figures.relation_svg, golden.golden_relation),
    "atlas": (figures.atlas_svg, golden.golden_atlas),
}


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", PICTURES)
def test_each_can_be_drawn_in_both_themes_and_refuses_what_is_something_else(name, theme):
    draw, build = PICTURES[name]
    root = made.parsed(draw(build(), theme))
    assert made.box(made.find(root, "rect")[0])[:2] == (0, 0)
    with pytest.raises(InputTypeError, match="not 3"):
        draw(3, theme)
    with pytest.raises(InputError, match="theme='blue'"):
        draw(build(), "blue")


# -- passages


@pytest.mark.parametrize("theme", THEMES)
def test_pieces_have_the_colour_of_their_number_and_gaps_have_none(theme):
    given = golden.golden_passages()
    root = made.parsed(figures.passages_svg(given, theme))
    limit = np.nanpercentile(np.concatenate([one.values for group in given.groups for one in group.passages]), 99)
    first = made.find(root, "rect", data_piece=...)[:3]
    assert [one.get("data-piece") for one in first] == ["0", "1", "3"], "the third piece has no number"
    wanted = [hexed(sequential(value / limit, THEMES[theme])) for value in (0.25, 1.0, 0.0)]
    assert [one.get("fill") for one in first] == wanted
    assert [one.get("data-mark") for one in made.find(root, "rect", data_mark=...)] == ["1", "100"]
    said = made.words(root)
    for words in ("Senses of bank", "Few texts.", "Sense 1", "of 2 texts", "text 1", "</script>", "Of 3 texts."):
        assert words in said


def test_signed_numbers_go_two_ways():
    one = Passage.of(["a", "b", "c"], [1.0, -1.0, 0.0])
    root = made.parsed(figures.passages_svg(Passages((PassageGroup("", (one,)),), "change", signed=True)))
    colours = [piece.get("fill") for piece in made.find(root, "rect", data_piece=...)]
    limit = float(np.percentile([1.0, 1.0, 0.0], 99))
    assert colours == [hexed(diverging(value, limit, THEMES["light"])) for value in (1.0, -1.0, 0.0)]


def passage(n, marks=(), values=None):
    return Passage.of([f"w{i}" for i in range(n)], values, marks=[i in marks for i in range(n)])


def test_a_long_passage_is_cut_as_the_view_cuts_it():
    """The same cases as in js/tests/probes.test.ts."""
    source = (JS / "marks" / "passages.ts").read_text()
    assert re.search(rf"LONG = {LONG};", source)
    assert parts_of(passage(90)) == [(0, 90)]
    assert parts_of(passage(200, {100})) == [(84, 117)]
    assert parts_of(passage(200, {20, 55, 190})) == [(0, 72), (174, 200)]
    assert parts_of(passage(200, values=np.where(np.arange(200) == 150, -3, 0))) == [(134, 167)]
    assert parts_of(passage(200)) == [(0, 32)]


def test_pieces_stay_inside_and_do_not_lie_on_each_other():
    rows = [Passage.of(made.HOSTILE * 3, np.ones(3 * len(made.HOSTILE)), label=text) for text in made.HOSTILE]
    groups = tuple(PassageGroup(row.label, (row, row), row.label) for row in rows)
    given = Passages(groups, "W" * 300, title="W" * 300, note="W " * 300, warning="x " * 300)
    root = made.parsed(figures.passages_svg(given))
    width = float(root.get("width"))
    boxes = [made.box(one) for one in made.find(root, "rect", data_piece=...)]
    assert all(box[0] >= 0 and box[2] <= width for box in boxes)
    rows = {}
    for x0, y0, x1, _ in boxes:
        rows.setdefault(y0, []).append((x0, x1))
    for row in rows.values():
        assert all(after[0] >= before[1] - 2.1 for before, after in zip(sorted(row), sorted(row)[1:], strict=False))


# -- tree


def test_rows_are_those_of_the_view():
    """The same rows as in js/tests/probes.test.ts."""
    rows = rows_of(golden.golden_tree(), least=0.0)
    assert [(row.level, row.name) for row in rows] == [
        (0, "score"),
        (1, "head 1.2"),
        (2, "token hot by its values"),
        (2, "token </script> by its values"),
        (2, "not in any part"),
        (1, "embedding"),
        (1, "MLP 0"),
        (1, "biases"),
        (1, "head 0.1"),
    ]
    assert rows[4].value == 0.25
    assert rows[1].share == 0.75
    folded = [row for row in rows_of(golden.golden_tree(), least=0.01) if row.kind == "fold"]
    assert [(row.name, row.value) for row in folded] == [("2 more", 0.015625)]


def test_bars_are_as_long_as_values_and_on_their_side_of_zero():
    root = made.parsed(figures.tree_svg(golden.golden_tree()))
    bars = made.find(root, "rect", data_row=...)
    values = [row.value for row in rows_of(golden.golden_tree())]
    x0, _, x1, _ = made.box(bars[0])
    unit = (x1 - x0) / values[0]
    for bar, value in zip(bars, values, strict=True):
        left, _, right, _ = made.box(bar)
        assert right - left == pytest.approx(max(0.75, abs(value) * unit), abs=0.02)
        assert (left if value > 0 else right) == pytest.approx(x0, abs=0.02)


# -- relation


def test_lines_join_the_likely_pairs_and_say_where_the_relation_does_not_hold():
    given = golden.golden_relation()
    likely = given.probability
    least = first_threshold(likely)
    root = made.parsed(figures.relation_svg(given))
    lines = {int(one.get("data-pair")): one for one in made.find(root, "path", data_pair=...)}
    assert set(lines) == set(np.flatnonzero(likely >= least)) == set(drawn_of(likely, given.pairs, least, 3))
    for pair, one in lines.items():
        assert float(one.get("stroke-opacity")) == pytest.approx(max(0.14, likely[pair]), abs=0.005)
        assert (one.get("stroke-dasharray") is not None) == (not given.truth[pair])
        ends = made.numbers(one.get("d"))
        for y, anchor, pos in ((ends[1], "end", given.pairs[pair, 0]), (ends[-1], "start", given.pairs[pair, 1])):
            (token,) = [
                token
                for token in made.find(root, "text", text_anchor=anchor)
                if float(token.get("y")) - 4 == pytest.approx(y) and float(token.get("x")) < 460
            ]
            assert token.text == given.tokens.labels[pos]
    everything = made.parsed(figures.relation_svg(replace(given, truth=None)))
    assert all(one.get("stroke-dasharray") is None for one in made.find(everything, "path", data_pair=...))
    assert len(made.find(root, "rect", data_head=...)) == 6


def test_of_each_first_token_only_the_likeliest_are_drawn():
    likely = np.array([0.4, 0.9, 0.8, 0.7], dtype="f4")
    pairs = np.array([[0, 5], [0, 6], [1, 5], [0, 7]])
    assert drawn_of(likely, pairs, 0.5, 9) == [1, 2, 3]
    assert drawn_of(likely, pairs, 0, 1) == [1, 2]
    assert first_threshold(likely) == 0.5
    assert first_threshold(np.array([0.31, 0.2])) == 0.2


# -- tensor


@pytest.mark.parametrize("theme", THEMES)
def test_cells_have_the_colour_of_their_number(theme):
    array = golden.golden_tensor()
    root = made.parsed(figures.tensor_svg(array, "An array", theme))
    maps = made.find(root, "image")
    shown = array.transpose("layer", "query_pos", "key_pos", "head").values  # facet, y, x at the first head
    assert [one.text for one in made.find(root, "text") if (one.text or "").startswith("layer ")] == ["layer 3", "layer 7"]
    for number, one in enumerate(maps):
        pixels = made.pixels_of(one)
        values = shown[number, :, :, 0]
        side = pixels.shape[0] // values.shape[0]
        corners = pixels[side // 2 :: side, side // 2 :: side]
        known = np.isfinite(values)
        limit = np.nanpercentile(np.abs(shown[..., 0]), 99)
        assert (corners[..., 3] == np.where(known, 255, 0)).all()
        assert (corners[..., :3][known] == diverging(values, limit, THEMES[theme])[known]).all()
    assert "</script>" in made.words(root)


def test_arrays_of_every_rank_and_shape():
    for shape in [(1,), (7,), (3, 4), (2, 3, 4), (5, 5, 5, 5), (2, 2, 2, 2, 2, 2), (1, 3000)]:
        dims = [f"d{at}" for at in range(len(shape))]
        array = xr.DataArray(np.arange(np.prod(shape), dtype=float).reshape(shape), dims=dims)
        made.parsed(figures.tensor_svg(array))
    made.parsed(figures.tensor_svg(xr.DataArray(np.full((3, 3), np.nan), dims=("a", "b"))))


def test_one_strong_cell_among_thousands_is_seen():
    values = np.zeros((1, 5000))
    values[0, 3333] = -1.0
    root = made.parsed(figures.tensor_svg(xr.DataArray(values, dims=("a", "b"))))
    (one,) = made.find(root, "image")
    colours = made.pixels_of(one)[..., :3].reshape(-1, 3)
    assert (colours == diverging(-1.0, 1.0, THEMES["light"])).all(axis=1).any()


# -- atlas


@pytest.mark.parametrize("theme", THEMES)
def test_every_point_is_drawn_once_in_a_colour_of_the_view(theme):
    root = made.parsed(figures.atlas_svg(golden.golden_atlas(), theme))
    drawn = made.find(root, "path", data_points=...)
    assert sum(int(one.get("data-points")) for one in drawn) == 6
    source = (JS / "views" / "atlas.tsx").read_text()
    for colour in _RAMPS[theme]:
        assert f"[{', '.join(map(str, colour))}]" in re.sub(r"\s+", " ", source)


def test_many_points_become_pixels_and_labels_do_not_touch():
    generator = np.random.default_rng(0)
    small = golden.golden_atlas()
    n = 5000
    points = small.points.iloc[np.zeros(n, dtype=int)].reset_index(drop=True).assign(score=generator.normal(size=n))
    layout = xr.DataArray(generator.normal(size=(1, n, 2)).astype("f4"), dims=("layer", "point", "axis"), coords={"layer": [5]})
    cells = small.cells.iloc[np.zeros(400, dtype=int)].assign(
        layer=5, row=np.arange(400) // 20, column=np.arange(400) % 20, n=generator.integers(1, 90, 400), terms="hot springs here"
    )
    large = replace(small, layout=layout, points=points, cells=cells, size=20, explained=xr.DataArray([0.3], dims="layer"))
    root = made.parsed(figures.atlas_svg(large))
    (one,) = made.find(root, "image")
    assert (made.pixels_of(one)[..., 3] > 0).sum() > n
    labels = [(float(one.get("x")), float(one.get("y"))) for one in made.find(root, "text", data_terms=...)]
    assert len(labels) > 8
    assert all(abs(y - b) >= 30 or abs(x - a) >= 60 for i, (x, y) in enumerate(labels) for a, b in labels[:i])
