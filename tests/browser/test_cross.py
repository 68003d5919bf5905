"""Heads of an encoder-decoder in Chromium: cross-attention, whose one query is no position of the text, and prompts."""

import json

import numpy as np
import pytest
from playwright.sync_api import expect

import mechviz as mv
from mechviz import wire
from mechviz.views import PatchingView
from tests import golden
from tests.browser.page import (
    cell,
    contrasts,
    draw_share,
    drawn_edges,
    edges_of,
    half,
    heads,
    mount,
    number,
    selected_cells,
    traits_of,
    unguarded,
)
from tests.cases import CASES

pytestmark = pytest.mark.browser

QUERY = "why are hot springs warm"
DOC = " ".join(["Hot springs are warm because water is heated by rock and rises again through cracks."] * 12)
RUNS = ("base", "source")


@pytest.fixture(scope="module")
def view():
    return PatchingView(golden.cross_result(), golden.cross_patterns)


@pytest.fixture(scope="module")
def monot5(opened):
    return opened(next(case for case in CASES.values() if case.kind == "MonoT5"))


@pytest.fixture(scope="module")
def long_view(monot5):
    return mv.show_patching(monot5, QUERY, DOC, mv.perturb.append("volcano lava"), stack="cross", wait=True)


def drawn_bars(scope, run):
    """{key position: length in px} of every bar of a run."""
    found = half(scope, run).evaluate(
        """(half) => {
          const height = parseFloat(getComputedStyle(half).getPropertyValue("--line"));
          return [...half.querySelectorAll(".mv-bars > i")].map((bar) => [parseFloat(bar.style.top) / height, bar.clientWidth]);
        }"""
    )
    bars = {round(pos): length for pos, length in found}
    assert len(bars) == len(found), "two bars for one key"
    return bars


def key(page, run, pos):
    return half(page, run).locator(f".mv-column[data-side=to] [data-pos='{pos}']")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_one_query_has_its_name_and_a_bar_for_every_key(open_snapshot, view, scheme):
    page = open_snapshot(view, color_scheme=scheme)
    expect(page.locator(".mv-heads").get_by_role("heading", name="decoder's cross-attention")).to_be_visible()
    expect(page.get_by_role("grid", name="decoder's cross-attention")).to_be_visible()
    for layer, head in np.argwhere(np.isfinite(view.result.patched.values)).tolist():  # the others have no place in the file
        cell(page, layer, head).click()
        expect(page.locator(".mv-lines h3")).to_contain_text(f"layer {layer}, head {head}")
        patterns = view._reader.pattern("cross", layer)[:, head, 0]
        scale = patterns.max()
        for run, weights in zip(RUNS, patterns, strict=True):
            bars = drawn_bars(page, run)
            assert sorted(bars) == list(range(len(weights)))
            longest = half(page, run).locator(".mv-strands").evaluate("strands => strands.clientWidth") - 38
            assert [bars[pos] for pos in sorted(bars)] == pytest.approx(weights / scale * longest, abs=1)
            expect(half(page, run).locator(".mv-query-label strong")).to_have_text("decoder, first step")
            expect(half(page, run).locator(".mv-half-head")).to_contain_text("9 of 9 weights, 100% of the mass")
    expect(page.locator(".mv-column[data-side=from], .mv-strands line")).to_have_count(0)
    assert [text for text in contrasts(page.locator(".mechviz")) if text["ratio"] < 4.5] == []


def test_only_changed_keys_are_violet_and_no_filter_speaks_of_query_positions(open_snapshot, view):
    page = open_snapshot(view)
    changed = [pos for pos, kind in enumerate(view.result.pair.alignment.kinds) if kind != "equal"]
    for run in RUNS:
        tops = half(page, run).locator(".mv-bars > i[data-changed]").evaluate_all("all => all.map(b => parseFloat(b.style.top))")
        assert [round(top / 18) for top in tops] == changed
    expect(page.get_by_role("button", name="Q→D")).to_have_count(0)


def test_a_pinned_token_is_no_query_and_its_weight_is_written_in_both_runs(open_snapshot, view):
    page = open_snapshot(view)
    key(page, "base", 0).click()
    assert set(page.locator("[data-pinned]").evaluate_all("all => all.map(n => n.dataset.pos)")) == {"0"}
    ((layer, head),) = selected_cells(page)
    for run, weights in zip(RUNS, view._reader.pattern("cross", layer)[:, head, 0], strict=True):
        shown = half(page, run).locator(".mv-bars > b").all_inner_texts()
        assert sorted(map(float, shown)) == pytest.approx(sorted(weights.tolist()), abs=0.00501)
    page.keyboard.press("Escape")
    expect(page.locator("[data-pinned]")).to_have_count(0)


def test_keys_move_over_the_tokens_and_pin_them(open_snapshot, view):
    page = open_snapshot(view)
    key(page, "source", 0).focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(key(page, "source", 2)).to_be_focused()
    expect(key(page, "base", 2)).to_have_attribute("data-hovered", "")
    page.keyboard.press("Enter")
    expect(key(page, "base", 2)).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Escape")
    expect(page.locator("[data-pinned]")).to_have_count(0)


def test_prompts_are_italic_and_hidden_with_special_tokens(open_snapshot, view):
    page = open_snapshot(view)
    segments = view.result.pair.base.segments
    for pos, segment in enumerate(segments):
        style = "italic" if segment == "prompt" else "normal"
        expect(key(page, "source", pos)).to_have_css("font-style", style)
    page.get_by_label("hide special and prompt tokens").check()
    ((layer, head),) = selected_cells(page)
    for run, weights in zip(RUNS, view._reader.pattern("cross", layer)[:, head, 0], strict=True):
        kept = [pos for pos, segment in enumerate(segments) if segment in ("query", "doc")]
        assert sorted(drawn_bars(page, run)) == kept
        hidden = round(100 * (1 - float(weights[kept].sum())))
        expect(half(page, run)).to_contain_text(f"hidden: {hidden}%, at special and prompt tokens")


def test_in_a_long_text_the_query_and_its_strongest_keys_stay_in_sight(open_snapshot, long_view):
    page = open_snapshot(long_view, viewport={"width": 1280, "height": 1600})
    n = len(long_view.result.pair.base)
    assert n > 250
    expect(page.locator(".mv-bars > i")).to_have_count(2 * n)
    label, strongest = (page.locator(f".mv-query-label {part}").first for part in ("strong", "ol"))
    for share in (0, 0.5, 1):
        page.locator(".mv-lines-scroll").evaluate("(box, share) => { box.scrollTop = share * box.scrollHeight; }", share)
        expect(label).to_be_in_viewport(ratio=1)
        expect(strongest).to_be_in_viewport(ratio=1)
    ((layer, head),) = selected_cells(page)
    order = np.argsort(-long_view._reader.pattern("cross", layer)[1, head, 0], kind="stable")
    listed = half(page, "source").locator(".mv-query-label button")
    assert listed.evaluate_all("all => all.map(n => Number(n.dataset.pos))") == order[:6].tolist()
    for i in range(6):
        listed.nth(i).focus()
        page.keyboard.press("Enter")
        expect(listed.nth(i)).to_have_attribute("aria-pressed", "true")
        expect(key(page, "source", order[i])).to_be_in_viewport(ratio=1)


@pytest.mark.parametrize("width", [320, 640, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_long_text_can_be_read_at_every_width(open_snapshot, long_view, width, scheme):
    page = open_snapshot(long_view, color_scheme=scheme, viewport={"width": width, "height": 800})
    expect(page.locator(".mv-bars > i").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert [text for text in contrasts(page.locator(".mechviz")) if text["ratio"] < 4.5] == []


def test_a_head_that_sees_one_position_gets_a_sentence(open_snapshot, monot5):
    page = open_snapshot(mv.show_patching(monot5, QUERY, DOC, mv.perturb.append("lava"), stack="decoder", wait=True))
    expect(page.locator(".mv-heads").get_by_role("heading", name="decoder's self-attention")).to_be_visible()
    expect(page.locator(".mv-lines .mv-hint")).to_contain_text("all of this head's attention goes to its own position")
    expect(page.locator(".mv-lines .mv-half, .mv-lines .mv-check, .mv-lines button")).to_have_count(0)


def test_the_encoder_has_lines_and_its_name(open_snapshot, monot5):
    view = mv.show_patching(monot5, QUERY, DOC[:90], mv.perturb.append("lava"), stack="encoder", wait=True)
    page = open_snapshot(view)
    expect(page.locator(".mv-heads").get_by_role("heading", name="encoder", exact=True)).to_be_visible()
    draw_share(page, 0.9)
    ((layer, head),) = selected_cells(page)
    assert {run: drawn_edges(page, run) for run in RUNS} == edges_of(view, layer, head)
    expect(page.get_by_role("button", name="Q→D")).to_be_visible()


def test_every_node_that_takes_the_focus_asks_jupyterlab_to_leave_its_keys_alone(open_host, view):
    page = open_host()
    el = mount(page, traits_of(view, live=True))
    expect(el.locator(".mv-query-label button").first).to_be_visible()
    assert unguarded(el) == []


def test_the_golden_state_is_drawn_and_one_of_an_older_format_is_refused_in_words(open_host):
    state = json.loads(golden.CROSS_PATH.read_text(encoding="utf-8"))
    older = {**state, "spec": {**state["spec"], "format": 1}}
    page = open_host()
    page.evaluate("states => states.map((state, i) => mechviz.mount_snapshot(newHost(`file${i}`), state))", [state, older])
    expect(page.locator("#file0 .mv-bars > i")).to_have_count(18)
    expect(page.locator("#file1 .mv-error")).to_contain_text("format 1")


def test_three_stacks_have_a_grid_each_and_one_selection(open_snapshot, monot5):
    """A head of one stack, opened, takes the selection from the others; each draws what is its own."""
    view = mv.show_patching(monot5, QUERY, DOC[:90], mv.perturb.append("lava"), wait=True)
    page = open_snapshot(view)
    titles = ["encoder", "decoder's self-attention", "decoder's cross-attention"]
    assert page.locator(".mv-heads .mv-stack h4").all_inner_texts() == titles
    names = ["encoder", "decoder", "cross"]
    assert [stack["name"] for stack in view.spec["stacks"]] == names
    for name, title in zip(names, titles, strict=True):
        grid = page.get_by_role("grid", name=title)
        result = view.results[f"{name}.heads"]
        expect(heads(grid)).to_have_count(result.effects.size)
        for layer, head in np.ndindex(result.effects.shape):
            cell(grid, layer, head).hover()
            shown = page.locator(".mv-card > *")
            expect(shown.first).to_have_text(f"Layer {layer}, head {head} of the {title}")
            assert number(shown.nth(1).inner_text()) == pytest.approx(float(result.effects[layer, head]), abs=0.00501)
        cell(grid, 0, 1).click()
        assert selected_cells(page) == [(0, 1)]
        assert selected_cells(grid) == [(0, 1)]
    expect(page.locator(".mv-bars > i").first).to_be_visible()
    cell(page.get_by_role("grid", name="encoder"), 1, 1).click()
    draw_share(page, 0.9)
    pattern = view._reader.pattern("encoder", 1)[:, 1]
    for run, matrix in zip(RUNS, pattern, strict=True):
        expected = set(zip(*(a.tolist() for a in wire.strongest_edges(matrix)), strict=True))
        assert drawn_edges(page, run) == expected
