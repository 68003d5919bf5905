"""Pictures of studies: every number is where it belongs."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mechviz.errors import InputError, InputTypeError
from mechviz.figures import study_svg
from mechviz.figures.changes import bin_edges, round_up
from mechviz.figures.colour import THEMES
from tests import many_pairs
from tests.figures import made
from tests.figures.test_colour import mixed


def cells(root):
    return {tuple(map(int, one.get("data-cell").split("."))): one for one in made.find(root, "g", data_cell=...)}


def test_heads_that_are_not_told_apart_are_smaller_but_there():
    summary = many_pairs.study((6, 6), 40)
    effect, low, high, q = (summary.cells[name].values for name in ("effect", "low", "high", "q"))
    root = made.parsed(study_svg(summary))
    limit = float(np.percentile(np.abs(effect), 99))
    found = cells(root)
    assert set(found) == set(np.ndindex(6, 6))
    widths = {True: set(), False: set()}
    for at, one in found.items():
        colour = mixed(float(effect[at]), limit, list(THEMES["light"].ramp))
        (square,) = made.find(one, "rect", fill=colour)
        weak = bool(q[at] > 0.05)
        widths[weak].add(square.get("width"))
        hollow = bool(made.find(one, "rect", fill="#ffffff"))
        assert hollow == (weak and low[at] <= 0 <= high[at])
    assert max(map(float, widths[True])) < min(map(float, widths[False]))
    shown = made.words(root)
    assert {"q over 0.05, not told apart", "95% interval holds 0"} <= set(shown)
    assert any("36 pairs of 6 queries" in word or "pairs of 6 queries" in word for word in shown)


def test_cells_that_are_not_defined_are_hatched():
    summary = many_pairs.study((2, 3), 10)
    summary.cells["effect"][1, 2] = np.nan
    hatched = {at for at, one in cells(made.parsed(study_svg(summary))).items() if made.find(one, "path", data_hatch=1)}
    assert hatched == {(1, 2)}


@pytest.mark.parametrize("theme", THEMES)
def test_small_grids_print_every_number(theme):
    summary = many_pairs.classes_study()
    effect, low, high = (summary.cells[name].values for name in ("effect", "low", "high"))
    root = made.parsed(study_svg(summary, "cells", theme))
    found = cells(root)
    assert set(found) == set(np.ndindex(effect.shape))
    for at, one in found.items():
        number = f"{effect[at]:+.2f}".replace("-", "−")
        number = "0.00" if float(f"{effect[at]:.2f}") == 0 else number
        assert made.words(one) == [f"({number})" if low[at] <= 0 <= high[at] else number]
        assert (one.get("data-weak") == "1") == (summary.cells["q"].values[at] > 0.05)
    assert {"resid_pre", "attn_out", "mlp_out", "query term", "L0", "L5"} <= set(made.words(root))


def test_mlps_are_a_column_with_layer_0_at_the_bottom():
    found = cells(made.parsed(study_svg(many_pairs.mlps_study(), "cells")))
    ys = [made.box(made.find(found[layer, 0], "rect")[0])[1] for layer in range(6)]
    assert ys == sorted(ys, reverse=True)


def test_bars_count_the_pairs():
    summary = many_pairs.study((2, 2), 300)
    root = made.parsed(study_svg(summary, "changes"))
    used = sum(int(one.get("data-used")) for one in made.find(root, "rect", data_used=...))
    dropped = sum(int(one.get("data-dropped")) for one in made.find(root, "g", data_dropped=...))
    frame = summary.pairs
    scored = frame["perturbed_score"].notna()
    assert used == 2 * int((frame["reason"] == "").sum())
    assert dropped == 2 * int(((frame["reason"] != "") & scored).sum())
    up = frame[frame["reason"] == ""]
    share = round(100 * (up["perturbed_score"] > up["original_score"]).mean())
    assert any(f"{share}% go up" in word for word in made.words(root))
    assert len(made.find(root, "line", data_gate=1)) == 2


@given(hnp.arrays(np.float64, st.integers(1, 60), elements=st.floats(-1e6, 1e6)))
def test_bins_have_one_round_width_and_end_at_zero(changes):
    edges = bin_edges(changes)
    step = edges[1] - edges[0]
    assert np.allclose(np.diff(edges), step)
    assert np.isclose(edges / step, np.round(edges / step)).all()
    assert edges[0] <= 0 < edges[-1]
    assert len(edges) < 90


@pytest.mark.parametrize(("size", "up"), [(0.3, 0.5), (1, 1), (0.011, 0.02), (6, 10), (0, 1), (np.nan, 1)])
def test_round_numbers(size, up):
    assert round_up(size) == pytest.approx(up)


def test_groups_are_those_of_the_selected_head():
    summary = many_pairs.study((3, 4), 40)
    root = made.parsed(study_svg(summary, "groups", selection={"stack": "encoder", "layer": 2, "head": 1}))
    shown = made.words(root)
    assert "L2H1, by relevance grade" in shown
    for value in ("0", "1", "2", "3"):
        one = next(one for one in made.find(root, "g", data_group=value))
        effect = float(summary.groups["grade"].sel(grade=value)["effect"][2, 1])
        digits = len(made.words(one)[1].split(".")[1])
        assert float(made.words(one)[1].replace("−", "-")) == pytest.approx(effect, abs=0.51 * 10**-digits)
        assert made.words(one)[2] == f"n = {int(summary.groups['grade'].sel(grade=value)['n'])}"
    with pytest.raises(InputError, match="number from 0 to"):
        study_svg(summary, "groups", selection={"layer": 3, "head": 1})
    assert "attn_out" in "".join(made.words(made.parsed(study_svg(many_pairs.classes_study(), "groups"))))


def test_covariates_are_numbers():
    shown = made.words(made.parsed(study_svg(many_pairs.study((2, 2), 9), "covariates")))
    assert {"document length", "−0.42", "+0.27", "< 0.001", "–"} <= set(shown)


@pytest.mark.parametrize("text", made.HOSTILE)
def test_any_text_makes_a_picture(text):
    texts = {"query": text, "doc": f"{text} a", "perturbed": f"a {text}", "reason": text}
    # pandas' own strings hold no lone surrogates; objects do
    frame = many_pairs.pairs(3).assign(**{name: pd.Series([words] * 3, dtype=object) for name, words in texts.items()})
    summary = many_pairs.study((2, 2), pairs=frame, name=text, dropped={text: 3})
    for panel in ("heads", "changes", "pairs"):
        made.parsed(study_svg(summary, panel))


@settings(max_examples=30)
@given(hnp.arrays(np.float64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=4), elements=st.floats(width=32)))
def test_any_numbers_make_a_picture(numbers):
    summary = many_pairs.study(cells=many_pairs.cells(numbers.shape, ("layer", "head")) * numbers, n=4)
    with np.errstate(all="ignore"):
        made.parsed(study_svg(summary))


def test_what_is_not_there_is_refused():
    summary = many_pairs.study((2, 2), 9, groups={})
    with pytest.raises(InputError, match="panel='groups'; this study has 'heads', 'changes', 'covariates', 'pairs'"):
        study_svg(summary, "groups")
    with pytest.raises(InputTypeError, match="not 3"):
        study_svg(3)
