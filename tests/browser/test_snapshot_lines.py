"""The attention lines in a view's HTML file, and which heads it holds."""

import numpy as np
import pytest
from playwright.sync_api import expect

from mechviz import wire
from mechviz.views import PatchingView
from mechviz.views import view as view_module
from tests.browser.page import cell, draw_share, drawn_edges, edges_of, half, number, option, selected_cells

pytestmark = pytest.mark.browser


def held_heads(view, budget):
    """The heads whose lines fit into a file."""
    packed = wire.pack_heads(view._reader.pattern, view._order, budget)
    return [(head.entry["layer"], head.entry["head"]) for head in packed]


def test_a_file_says_which_heads_it_holds_and_opens_those(open_snapshot, view, monkeypatch):
    monkeypatch.setattr(view_module, "_PAGE_BYTES", 5000)
    held = held_heads(view, 5000)
    assert 0 < len(held) < 12
    page = open_snapshot(view)
    missing = next(at for at in np.ndindex(3, 4) if at not in held)
    cell(page, *missing).click()
    expect(page.locator(".mv-hint")).to_contain_text(f"holds lines for {len(held)} head")
    assert page.locator(".mv-held button").all_inner_texts() == [f"L{layer}H{head}" for layer, head in held]
    expect(page.locator(".mv-half")).to_have_count(0)
    page.locator(".mv-held button").first.click()
    expected = edges_of(view, *held[0])
    expect(page.locator(".mv-half")).to_have_count(2)
    draw_share(page, 0.9)
    assert {run: drawn_edges(page, run) for run in expected} == expected


def test_a_button_that_goes_away_does_not_take_the_focus_with_it(open_snapshot, view, monkeypatch):
    monkeypatch.setattr(view_module, "_PAGE_BYTES", 5000)
    held = held_heads(view, 5000)
    page = open_snapshot(view)
    cell(page, *next(at for at in np.ndindex(3, 4) if at not in held)).click()
    page.locator(".mv-held button").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".mv-half")).to_have_count(2)
    assert page.evaluate("document.activeElement.closest('.mechviz') !== null")


def test_a_file_without_attention_says_so(open_snapshot, view):
    page = open_snapshot(PatchingView(view.result))
    expect(page.locator(".mv-lines")).to_contain_text("holds no attention lines")


def test_a_click_pins_a_token_in_every_panel_and_escape_frees_it(open_snapshot, view):
    page = open_snapshot(view)
    draw_share(page, 0.9)
    pos = 4
    option(page, "base", "from", pos).click()
    page.mouse.move(0, 0)
    expect(page.locator(".mv-before-after [data-pinned]")).to_have_count(2)
    assert set(page.locator("[data-pinned]").evaluate_all("all => all.map(n => n.dataset.pos)")) == {str(pos)}
    expect(option(page, "source", "from", pos)).to_have_attribute("aria-selected", "true")
    ((layer, head),) = selected_cells(page)
    for run, edges in edges_of(view, layer, head).items():
        assert drawn_edges(page, run, ".mv-focused-lines") == {edge for edge in edges if edge[0] == pos}
    page.keyboard.press("Escape")
    expect(page.locator("[data-pinned], .mv-focused-lines")).to_have_count(0)


def test_a_second_click_on_the_pinned_token_frees_it(open_snapshot, view):
    page = open_snapshot(view)
    token = page.locator(".mv-before-after p[data-text=original] [data-pos='3']")
    token.click()
    expect(token).to_have_attribute("data-pinned", "")
    token.click()
    expect(page.locator("[data-pinned]")).to_have_count(0)


def test_hover_over_a_token_brings_out_its_lines_and_their_weights(open_snapshot, view):
    page = open_snapshot(view)
    draw_share(page, 0.9)
    ((layer, head),) = selected_cells(page)
    pattern = view._reader.pattern("doc", layer)[0, head]
    every = edges_of(view, layer, head)["base"]
    pos = max(b for _, b in every)
    edges = {edge for edge in every if edge[1] == pos}
    option(page, "base", "to", pos).hover()
    assert drawn_edges(page, "base", ".mv-focused-lines") == edges
    shown = half(page, "base").locator(".mv-weight").all_inner_texts()
    strongest = sorted((float(pattern[edge]) for edge in edges), reverse=True)[:10]
    assert sorted(map(float, shown), reverse=True) == pytest.approx(strongest, abs=0.00501)
    page.mouse.move(0, 0)
    expect(page.locator(".mv-focused-lines")).to_have_count(0)


def test_tokens_are_reached_and_pinned_by_keys(open_snapshot, view):
    page = open_snapshot(view)
    option(page, "base", "from", 0).focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(option(page, "base", "from", 2)).to_be_focused()
    page.keyboard.press("Enter")
    expect(option(page, "base", "from", 2)).to_have_attribute("aria-selected", "true")
    expect(option(page, "base", "from", 2)).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("[data-pinned]")).to_have_count(0)
    expect(option(page, "base", "from", 2)).to_be_focused()


def test_hiding_special_tokens_takes_their_lines_away_and_says_how_much(open_snapshot, view):
    page = open_snapshot(view)
    draw_share(page, 0.9)
    ((layer, head),) = selected_cells(page)
    everything = edges_of(view, layer, head)
    segments = view.result.pair.base.segments
    page.get_by_label("hide special tokens").check()
    for run, edges in everything.items():
        kept = {(a, b) for a, b in edges if not {segments[a], segments[b]} & {"cls", "sep", "pad"}}
        assert drawn_edges(page, run) == kept != edges
        pattern = view._reader.pattern("doc", layer)[("base", "source").index(run), head]
        hidden = sum(float(pattern[edge]) for edge in edges - kept) / float(pattern.sum())
        shown = half(page, run).get_by_text("at special tokens")
        assert number(shown.inner_text()) == pytest.approx(100 * hidden, abs=0.6)
    page.get_by_label("hide special tokens").uncheck()
    assert {run: drawn_edges(page, run) for run in everything} == everything


def test_a_cross_encoder_can_show_one_block_of_its_attention(open_snapshot, cat_view):
    page = open_snapshot(cat_view)
    draw_share(page, 0.9)
    ((layer, head),) = selected_cells(page)
    edges = edges_of(cat_view, layer, head)
    pair = cat_view.result.pair
    segments = {"base": pair.base.segments, "source": pair.source.segments}
    for label, block in {
        "Q→D": ("query", "doc"),
        "D→Q": ("doc", "query"),
        "Q→Q": ("query", "query"),
        "D→D": ("doc", "doc"),
    }.items():
        button = page.get_by_role("button", name=label)
        button.click()
        expect(button).to_have_attribute("aria-pressed", "true")
        for run in edges:
            assert drawn_edges(page, run) == {(a, b) for a, b in edges[run] if (segments[run][a], segments[run][b]) == block}, (
                label
            )
    page.get_by_role("button", name="All").click()
    assert {run: drawn_edges(page, run) for run in edges} == edges


def test_a_bi_encoder_has_no_blocks_and_says_whose_attention_it_is(open_snapshot, view):
    page = open_snapshot(view)
    expect(page.get_by_role("button", name="Q→D")).to_have_count(0)
    expect(page.locator(".mv-lines")).to_contain_text("document tower")
