"""The grid of heads in a view's HTML file: keys, numbers, cells without a number."""

import re

import numpy as np
import pytest
import torch
from playwright.sync_api import expect
from transformers import BertForSequenceClassification

import mechviz as mv
from mechviz.views import PatchingView
from tests.browser.examples import DOC, QUERY, cancelled_view, change, with_patched
from tests.browser.page import (
    MLP,
    cell,
    draw_share,
    drawn_edges,
    edges_of,
    focused_cell,
    half,
    heads,
    no_nonsense,
    number,
    selected_cells,
)
from tests.conftest import save_cat

pytestmark = pytest.mark.browser


def test_arrow_keys_move_the_focus_over_the_grid(open_snapshot, view):
    page = open_snapshot(view)
    n_layers, n_heads = view.result.effects.shape
    cell(page, 0, 0).focus()
    route = {
        "ArrowUp": (1, 0),
        "ArrowRight": (1, 1),
        "ArrowDown": (0, 1),
        "ArrowLeft": (0, 0),
        "End": (0, MLP),
        "Home": (0, 0),
        "Control+Home": (n_layers - 1, 0),
        "Control+End": (0, MLP),
    }
    for key, expected in route.items():
        page.keyboard.press(key)
        assert focused_cell(page) == expected, key
    for key in ("ArrowDown", "ArrowRight"):  # the edge of the grid holds
        page.keyboard.press(key)
        assert focused_cell(page) == (0, MLP), key
    page.keyboard.press("ArrowLeft")
    assert focused_cell(page) == (0, n_heads - 1), "the column of the MLPs stands beside the last head"


def test_layer_0_is_the_bottom_row_and_head_0_the_left_column(open_snapshot, view):
    page = open_snapshot(view)
    low, high, right = (cell(page, *at).bounding_box() for at in ((0, 0), (1, 0), (0, 1)))
    assert high["y"] < low["y"] == right["y"]
    assert high["x"] == low["x"] < right["x"]


def test_the_grid_is_one_stop_of_the_tab_key_which_remembers_its_cell(open_snapshot, view):
    page = open_snapshot(view)
    expect(page.locator("[role=gridcell][tabindex='0']")).to_have_count(1)
    start = selected_cells(page)[0]
    cell(page, *start).focus()
    page.keyboard.press("ArrowLeft" if start[1] else "ArrowRight")
    moved = focused_cell(page)
    page.keyboard.press("Tab")
    assert focused_cell(page) is None
    page.keyboard.press("Shift+Tab")
    assert focused_cell(page) == moved != start


def test_a_finished_view_opens_at_its_strongest_head(open_snapshot, view):
    top = view.result.top(1)
    assert selected_cells(open_snapshot(view)) == [(top["layer"][0], top["head"][0])]


def test_enter_selects_the_head_and_draws_its_lines(open_snapshot, view):
    page = open_snapshot(view)
    draw_share(page, 0.9)
    ((layer, head),) = selected_cells(page)
    assert (layer, head) == (view.selection["layer"], view.selection["head"])
    before = edges_of(view, layer, head)
    assert {run: drawn_edges(page, run) for run in before} == before
    to = (layer, head - 1) if head else (layer, head + 1)
    cell(page, layer, head).focus()
    page.keyboard.press("ArrowLeft" if head else "ArrowRight")
    assert selected_cells(page) == [(layer, head)], "moving the focus must not select"
    page.keyboard.press("Enter")
    expect(page.locator(".mv-lines h3")).to_contain_text(f"layer {to[0]}, head {to[1]}")
    after = edges_of(view, *to)
    assert {run: drawn_edges(page, run) for run in after} == after != before
    assert selected_cells(page) == [to]
    assert focused_cell(page) == to


@pytest.mark.parametrize("how", ["Space", "Shift+click", "Control+click"])
def test_a_head_is_added_to_those_that_are_compared_and_taken_away_again(open_snapshot, view, how):
    page = open_snapshot(view)
    ((layer, head),) = selected_cells(page)
    others = [at for at in np.ndindex(3, 4) if at != (layer, head)][:2]
    chosen = page.locator(".mv-cell[data-chosen]")

    def add(at):
        if how == "Space":
            cell(page, *at).focus()
            page.keyboard.press(" ")
        else:
            cell(page, *at).click(modifiers=[how.split("+")[0]])

    for count, at in enumerate(others, start=1):
        add(at)
        expect(cell(page, *at)).to_have_attribute("data-chosen", "true")
        expect(chosen).to_have_count(count)
    assert selected_cells(page) == [(layer, head)], "adding does not open"
    add(others[0])
    expect(chosen).to_have_count(1)
    expect(cell(page, *others[0])).not_to_have_attribute("data-chosen", "true")


def test_an_mlp_shows_its_number_and_is_no_head_to_open(open_snapshot, view):
    page, result = open_snapshot(view), view.results["doc.mlps"]
    before = selected_cells(page)
    card = page.locator(".mv-card")
    for layer in range(3):
        cell(page, layer, MLP).hover()
        expect(card.locator("strong")).to_have_text(f"Layer {layer}, MLP")
        amount, scores = card.locator("> *").nth(1).inner_text(), card.get_by_text("score").inner_text()
        assert number(amount) == pytest.approx(float(result.effects[layer]), abs=0.00501)
        assert number(scores.split("→")[1]) == pytest.approx(float(result.patched[layer]), abs=0.0000501)
        cell(page, layer, MLP).click()
        cell(page, layer, MLP).click(modifiers=["Shift"])
    page.keyboard.press("Enter")
    page.keyboard.press(" ")
    assert selected_cells(page) == before
    expect(page.locator(".mv-cell[data-chosen]")).to_have_count(0)


def test_a_click_on_every_head_draws_the_lines_that_python_chose(open_snapshot, view):
    page = open_snapshot(view)
    draw_share(page, 0.9)
    for layer, head in np.ndindex(view.result.effects.shape):
        cell(page, layer, head).click()
        expect(page.locator(".mv-lines h3")).to_contain_text(f"layer {layer}, head {head}")
        expected = edges_of(view, layer, head)
        assert {run: drawn_edges(page, run) for run in expected} == expected
        for run, edges in expected.items():
            of = len(view.result.pair.base) ** 2
            expect(half(page, run).locator(".mv-half-head")).to_contain_text(f"{len(edges)} of {of} lines")


def test_hover_shows_the_number_of_the_result(open_snapshot, view):
    page, result = open_snapshot(view), view.result
    for layer, head in np.ndindex(result.effects.shape):
        cell(page, layer, head).hover()
        card = page.locator(".mv-card")
        expect(card.locator("strong")).to_have_text(f"Layer {layer}, head {head}")
        _, amount, scores, among, rank = card.locator("> *").all_inner_texts()
        assert number(amount) == pytest.approx(float(result.effects[layer, head]), abs=0.00501)
        patched = float(result.patched[layer, head])
        assert number(scores.split("→")[1]) == pytest.approx(patched, abs=0.0000501)
        ranks = [1 + int((result.competitors[0] >= np.float32(score)).sum()) for score in (result.pair.base_score, patched)]
        assert list(map(int, re.findall(r"\d+", among))) == list(dict.fromkeys(ranks)), among
        order = np.argsort(-np.abs(result.effects.values), axis=None)
        assert rank == f"{order.tolist().index(layer * result.effects.shape[1] + head) + 1}. of 12 heads; exact"
    page.mouse.move(0, 0)
    expect(page.locator(".mv-card")).to_have_count(0)


def test_the_focus_shows_the_same_number_and_it_is_spoken(open_snapshot, view):
    page = open_snapshot(view)
    cell(page, 1, 2).focus()
    card = page.locator(".mv-card")
    expect(card).to_contain_text("Layer 1, head 2")
    shown = number(card.locator("> *").nth(1).inner_text())
    assert shown == pytest.approx(float(view.result.effects[1, 2]), abs=0.00501)
    expect(page.locator("[aria-live=polite]")).to_contain_text("Layer 1, head 2")


def test_the_card_of_a_corner_cell_lies_inside_the_view(open_snapshot, view):
    page = open_snapshot(view, viewport={"width": 360, "height": 700})
    around = page.locator(".mechviz").bounding_box()
    for at in np.ndindex(view.result.effects.shape):
        cell(page, *at).hover()
        expect(page.locator(".mv-card strong")).to_have_text("Layer {}, head {}".format(*at))
        card = page.locator(".mv-card").bounding_box()
        assert around["x"] <= card["x"]
        assert card["x"] + card["width"] <= around["x"] + around["width"]


def test_the_unit_button_turns_effects_into_score_differences(open_snapshot, view):
    page, result = open_snapshot(view), view.result
    page.get_by_role("button", name="score difference").click()
    cell(page, 0, 1).hover()
    shown = page.locator(".mv-card > *").nth(1)
    expect(shown).to_contain_text("score difference")
    assert number(shown.inner_text()) == pytest.approx(float(result.patched[0, 1]) - result.pair.base_score, abs=0.000501)
    page.get_by_role("button", name="effect", exact=True).click()
    cell(page, 0, 2).hover()
    expect(shown).to_contain_text("of the change")
    assert number(shown.inner_text()) == pytest.approx(float(result.effects[0, 2]), abs=0.00501)


def test_the_strongest_heads_are_listed_with_their_numbers(open_snapshot, view):
    page = open_snapshot(view)
    rows = page.locator(".mv-top li").all_inner_texts()
    top = view.result.top(len(rows))
    assert len(rows) == 8
    assert [re.search(r"L(\d+)H(\d+)", row).groups() for row in rows] == [
        (str(a), str(b)) for a, b in zip(top.layer, top["head"], strict=True)
    ]
    values = [number(row.split("H", 1)[1][1:]) for row in rows]
    assert values == pytest.approx(top.effect.tolist(), abs=0.00501)
    page.locator(".mv-top button").nth(3).click()
    assert selected_cells(page) == [(top.layer[3], top["head"][3])]


def test_one_layer_with_one_head(open_snapshot, small):
    view = mv.show_patching(small, QUERY, DOC, change, wait=True)
    page = open_snapshot(view)
    expect(heads(page)).to_have_count(1)
    expect(page.locator(".mv-status")).to_contain_text("exact, 2 cells in")
    draw_share(page, 0.9)
    cell(page, 0, 0).focus()
    for key in ("ArrowUp", "ArrowDown", "ArrowLeft", "Home", "Enter"):
        page.keyboard.press(key)
        assert focused_cell(page) == (0, 0)
    for key in ("ArrowRight", "End"):
        page.keyboard.press(key)
        assert focused_cell(page) == (0, MLP)
    page.keyboard.press("ArrowLeft")
    shown = number(page.locator(".mv-card > *").nth(1).inner_text())
    assert shown == pytest.approx(float(view.result.effects[0, 0]), abs=0.00501)
    expected = edges_of(view, 0, 0)
    assert {run: drawn_edges(page, run) for run in expected} == expected
    no_nonsense(page)


def test_cancelled_is_said_in_words_and_cells_without_a_value_are_hatched(open_snapshot, view):
    known = np.arange(12).reshape(3, 4) >= 7
    page = open_snapshot(cancelled_view(view, known))
    expect(page.locator(".mv-status")).to_contain_text("cancelled: exact 5 of 12")
    empty, full = cell(page, 0, 1), cell(page, 2, 3)
    expect(empty).to_have_attribute("data-state", "0")
    expect(empty).to_have_accessible_name("layer 0, head 1: not computed")
    assert empty.inner_text() == ""
    backgrounds = [c.evaluate("c => getComputedStyle(c).backgroundImage") for c in (empty, full)]
    assert "repeating-linear-gradient" in backgrounds[0]
    assert backgrounds[1] == "none"
    empty.hover()
    expect(page.locator(".mv-card")).to_have_text(re.compile(r"Layer 0, head 1\s*not computed"))
    assert not re.search(r"[+−]|\.\d", page.locator(".mv-card").inner_text())
    expect(page.locator(".mv-legend")).to_contain_text("not computed")
    expect(page.locator(".mv-top li")).to_have_count(5)
    no_nonsense(page)


def test_a_result_with_holes_is_not_called_complete(open_snapshot, view):
    known = np.arange(12).reshape(3, 4) >= 7
    page = open_snapshot(PatchingView(with_patched(view.result, known, np.nan), view._reader))
    expect(page.locator(".mv-status")).to_contain_text("exact")
    expect(page.locator(".mv-status")).not_to_contain_text("exact, 12 cells")


def test_an_attribution_result_is_not_called_exact(open_snapshot, dot):
    page = open_snapshot(PatchingView(mv.patch(dot, QUERY, DOC, change, method="attribution")))
    assert heads(page).evaluate_all("all => all.map(c => c.dataset.state)") == ["1"] * 12
    expect(page.locator(".mv-status")).to_contain_text("attribution")
    expect(page.locator(".mv-status")).not_to_contain_text("exact")


def test_preview_cells_look_and_read_unlike_exact_ones(open_snapshot, view):
    known = np.arange(12).reshape(3, 4) >= 7
    page = open_snapshot(cancelled_view(view, known, rest=0.25))
    expect(page.locator(".mv-status")).to_contain_text("the others are a preview")
    guess, exact = cell(page, 0, 1), cell(page, 2, 3)
    expect(guess).to_have_attribute("data-state", "1")
    styles = [c.evaluate("c => [getComputedStyle(c).borderStyle, getComputedStyle(c).backgroundClip]") for c in (guess, exact)]
    assert styles[0] != styles[1]
    guess.hover()
    expect(page.locator(".mv-card")).to_contain_text("preview")
    exact.hover()
    expect(page.locator(".mv-card")).not_to_contain_text("preview")
    expect(page.locator(".mv-legend")).to_contain_text("preview")


def test_a_change_that_changed_no_score_shows_no_effect_but_says_why(open_snapshot, tmp_path_factory):
    folder = save_cat(tmp_path_factory.mktemp("indifferent"))
    model = BertForSequenceClassification.from_pretrained(folder)
    torch.nn.init.zeros_(model.classifier.weight)  # one score for every text
    model.save_pretrained(folder)
    indifferent = mv.Cat(str(folder))
    view = mv.show_patching(indifferent, QUERY, DOC, change, wait=True)
    assert not view.result.pair.gate
    page = open_snapshot(view)
    expect(page.locator(".mv-banner")).to_have_count(1)
    expect(page.locator(".mv-banner")).to_contain_text("effects are not defined")
    expect(page.get_by_role("button", name="effect", exact=True)).to_be_disabled()
    assert page.locator(".mv-cell[role=gridcell]").all_inner_texts() == [""] * 15
    cell(page, 1, 1).hover()
    expect(page.locator(".mv-card")).to_contain_text("score difference")
    expect(page.locator(".mv-card")).not_to_contain_text("of the change")
    no_nonsense(page)


def test_cells_whose_metric_is_not_defined_have_no_number(open_snapshot, dot):
    def half_defined(patched, base, source):
        return np.where(patched > np.median(patched), (patched - base) / (source - base), np.nan)

    view = mv.show_patching(dot, QUERY, DOC, change, metric=half_defined, wait=True)
    page = open_snapshot(view)
    undefined = np.argwhere(~np.isfinite(view.result.effects.values))
    assert len(undefined)
    for at in undefined.tolist():
        expect(cell(page, *at)).to_have_attribute("data-undefined", "true")
        expect(cell(page, *at)).not_to_have_accessible_name(re.compile(r": [+−]?\d"))
        assert cell(page, *at).inner_text() == ""
    cell(page, *undefined[0]).hover()
    expect(page.locator(".mv-card")).to_contain_text("not defined")
    no_nonsense(page)
