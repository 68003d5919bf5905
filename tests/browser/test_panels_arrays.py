"""Views of anybody's arrays, of caches and of one text; tokens and sizes at the edges; files without the texts."""

import json

import numpy as np
import pytest
from playwright.sync_api import expect

import mechviz as mv
from mechviz import wire
from mechviz.views import PatchingView
from tests.browser.examples import COMPETITORS, DOC, QUERY, change
from tests.browser.page import (
    cell,
    draw_share,
    drawn_edges,
    focused_cell,
    half,
    heads,
    mount,
    no_nonsense,
    number,
    open_tab,
    option,
    selected_cells,
    traits_of,
)

pytestmark = pytest.mark.browser


def attention_of(layers, n_heads, queries, keys=None, seed=0):
    """Attention that sums to 1 over the keys, dims (layer, head, query_pos, key_pos)."""
    logits = np.random.default_rng(seed).normal(0, 2, (layers, n_heads, queries, keys or queries))
    weights = np.exp(logits)
    return (weights / weights.sum(-1, keepdims=True)).astype(np.float32)


def strongest(matrix):
    return set(zip(*(a.tolist() for a in wire.strongest_edges(matrix)), strict=True))


def labels(scope, side):
    return half(scope, "base").locator(f".mv-column[data-side={side}] span").all_inner_texts()


# -- one text ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def towers(dot):
    return mv.show_attention(dot, QUERY, DOC)


def test_a_bi_encoders_towers_are_drawn_with_their_score(open_snapshot, dot, towers):
    page = open_snapshot(towers)
    shown = page.locator(".mv-header .mv-score").inner_text()
    assert number(shown) == pytest.approx(float(dot.score(QUERY, [DOC])[0]), abs=0.0000501)
    expect(page.locator(".mv-thumb")).to_have_count(24)
    result = mv.attention(dot, QUERY, DOC)
    for stack, n in (("doc", 27), ("query", 7)):
        for number_of, value in enumerate((stack, "1", "2")):
            page.locator(".mv-lines .mv-picker select").nth(number_of).select_option(value)
        draw_share(page, 0.9)
        expect(page.locator(".mv-lines h3")).to_contain_text("layer 1, head 2")
        pattern = result.pattern(1, stack).values[2]
        assert abs(len(pattern) - n) < 8
        assert drawn_edges(page, "base") == strongest(pattern)
        assert len(labels(page, "to")) == len(pattern)
    no_nonsense(page)


def test_a_position_that_the_other_towers_text_does_not_have_is_not_kept(open_host, towers):
    page = open_host()
    el = mount(page, traits_of(towers, live=True))
    option(el, "base", "from", 20).click()
    page.wait_for_function("models.host.traits.selection.pos === 20")
    query = el.locator(".mv-stack", has=page.get_by_role("heading", name="query tower"))
    query.locator(".mv-thumb").first.click()
    page.wait_for_function("models.host.traits.selection.stack === 'query'")
    towers.selection = page.evaluate("models.host.traits.selection")
    towers.selection = towers._first_selection()


# -- arrays ------------------------------------------------------------------------------------------------------------


def test_anybodys_attention_is_drawn(open_snapshot):
    tokens = ["[CLS]", "hot", "spring", "##s", "[SEP]"]
    attention = attention_of(2, 3, 5)
    page = open_snapshot(mv.views.from_arrays(attention, tokens, doc_start=1, title="mine"))
    expect(page.locator(".mv-thumb")).to_have_count(6)
    page.locator(".mv-thumb[data-layer='1'][data-head='2']").click()
    draw_share(page, 0.9)
    assert drawn_edges(page, "base") == strongest(attention[1, 2])
    assert labels(page, "to") == ["[CLS]", "hot", "spring", "s", "[SEP]"]
    page.get_by_label("merge words").check()
    assert labels(page, "to") == ["[CLS]", "hot", "springs", "[SEP]"]
    no_nonsense(page)


def test_cross_attention_of_another_shape(open_snapshot):
    queries, keys = ["der", "Fels", "ist"], ["the", "rock", "is", "hot", "."]
    attention = attention_of(2, 2, 3, 5)
    view = mv.views.from_arrays(attention, queries, key_tokens=keys)
    view.selection = {"layer": 1, "head": 1, "pos": 2}
    page = open_snapshot(view)
    draw_share(page, 0.9)
    assert drawn_edges(page, "base") == strongest(attention[1, 1])
    assert (labels(page, "from"), labels(page, "to")) == (queries, keys)
    focused = drawn_edges(page, "base", ".mv-focused-lines")
    assert focused == {edge for edge in strongest(attention[1, 1]) if edge[1] == 2}, "a position is one of the keys"
    no_nonsense(page)


def test_effects_with_intervals_and_holes(open_snapshot):
    effects = np.array([[0.5, np.nan, -0.25], [0.1, 0.05, 0.0]], dtype=np.float32)
    low, high = effects - 0.08, effects + 0.08
    view = mv.views.from_arrays(attention_of(2, 3, 4), list("abcd"), effects=effects, interval=(low, high), n=7)
    page = open_snapshot(view)
    expect(heads(page)).to_have_count(6)
    for layer, head in np.ndindex(2, 3):
        at = cell(page, layer, head)
        at.hover()
        card = page.locator(".mv-card")
        expect(card.locator("strong")).to_have_text(f"Layer {layer}, head {head}")
        if np.isnan(effects[layer, head]):
            expect(at).to_have_attribute("data-state", "0")
            assert "repeating-linear-gradient" in at.evaluate("c => getComputedStyle(c).backgroundImage")
            expect(card).to_contain_text("not computed")
            continue
        assert number(card.locator("> *").nth(1).inner_text()) == pytest.approx(float(effects[layer, head]), abs=0.000501)
        words = card.inner_text()
        bounds = words.split("interval")[1].split("to")
        assert list(map(number, bounds[:2])) == pytest.approx([low[layer, head], high[layer, head]], abs=0.000501)
        assert "mean of n = 7 pairs" in words
        holds_zero = low[layer, head] <= 0 <= high[layer, head]
        assert (at.get_attribute("data-unsure") == "true") == holds_zero
    assert selected_cells(page) == [(0, 0)], "the largest"
    no_nonsense(page)


def test_effects_alone_have_a_grid_and_nothing_else(open_snapshot):
    page = open_snapshot(mv.views.from_arrays(None, ["a"], effects=np.array([[0.5, -1.0]])))
    expect(heads(page)).to_have_count(2)
    expect(page.get_by_role("tab")).to_have_count(0)
    cell(page, 0, 0).click()
    cell(page, 0, 0).click(modifiers=["Shift"])
    no_nonsense(page)


def test_a_grid_of_64_by_64_is_walked_by_keys_and_fits_the_page(open_snapshot):
    effects = np.random.default_rng(1).normal(size=(64, 64))
    page = open_snapshot(mv.views.from_arrays(None, ["a"], effects=effects))
    expect(heads(page)).to_have_count(4096)
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    cell(page, 63, 0).focus()
    for key, at in {"ArrowRight": (63, 1), "Control+End": (0, 63), "ArrowUp": (1, 63), "Control+Home": (63, 0)}.items():
        page.keyboard.press(key)
        assert focused_cell(page) == at
    cell(page, 17, 42).hover()
    assert number(page.locator(".mv-card > *").nth(1).inner_text()) == pytest.approx(effects[17, 42], abs=0.000501)
    page.get_by_label("sort heads").check()
    order = np.argsort(-np.abs(effects).mean(0), kind="stable")
    first = page.locator("[role=row]").first.locator("[role=gridcell]")
    assert first.evaluate_all("all => all.slice(0, 5).map(c => Number(c.dataset.head))") == order[:5].tolist()


def test_a_cache_is_drawn_with_its_queries_and_keys(open_snapshot, cat):
    _, cache = cat.run_with_cache(QUERY, DOC, names=["q", "k", "attn_scores", "pattern"])
    result = mv.attention(cat, QUERY, DOC)
    tokens = list(next(iter(result.tokens.values())).strings)
    view = mv.views.from_cache(cache, tokens)
    page = open_snapshot(view)
    expect(page.locator(".mv-thumb")).to_have_count(12)
    draw_share(page, 0.9)
    assert drawn_edges(page, "base") == strongest(result.pattern(0).values[0])
    panel = open_tab(page, "neurons")
    pos = int(panel.get_by_label("query").input_value())
    q = cache["blocks.0.attn.hook_q"][0, pos, 0].numpy()
    k = cache["blocks.0.attn.hook_k"][0, :, 0].numpy()
    rows = panel.locator("ol[aria-label=keys] button")
    shown = rows.evaluate_all("all => all.map(r => [Number(r.dataset.pos), r.querySelector('.mv-number').textContent])")
    assert len(shown) == len(tokens)
    for key, product in shown:
        assert number(product) == pytest.approx(float(k[key] @ q) / np.sqrt(len(q)), abs=0.00501)
    no_nonsense(page)


# -- results of other grids --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grid", ["blocks", "head_positions"])
@pytest.mark.parametrize("lines", [True, False], ids=["lines", "no lines"])
def test_a_result_by_position_alone_has_no_panel_that_fails(open_snapshot, dot, view, grid, lines):
    result = mv.patch(dot, QUERY, DOC, change, grid=grid, method="attribution")
    page = open_snapshot(PatchingView(result, view._reader if lines else None))
    for name in page.get_by_role("tab").evaluate_all("all => all.map(tab => tab.dataset.tab)"):
        open_tab(page, name)
        expect(page.locator(".mv-error")).to_have_count(0)
    if page.get_by_role("tab").count():
        open_tab(page, "positions")
    heat = page.get_by_role("slider", name="by layer and position").first
    effects = result.effects.isel(site=0) if "site" in result.effects.dims else result.effects
    values = effects.transpose("layer", "pos", ...).values.reshape(3, effects.sizes["pos"], -1)
    strongest_head = np.take_along_axis(values, np.abs(values).argmax(-1)[..., None], -1)[..., 0]
    heat.focus()
    page.keyboard.press("Control+Home")
    for pos in range(6):
        words = heat.get_attribute("aria-valuetext")
        assert number(words.rsplit("”: ", 1)[1]) == pytest.approx(float(strongest_head[2, pos]), abs=0.00501)
        page.keyboard.press("ArrowRight")


# -- tokens ------------------------------------------------------------------------------------------------------------

HOSTILE = ["</script>", "<img src=x onerror=alert(1)>", "&lt;b&gt;", "<!--", "${1}", "\u2028", "'\"`", "__proto__"]


@pytest.mark.parametrize("effects", [None, np.ones((1, 1))], ids=["attention", "effects"])
def test_tokens_that_are_markup_are_shown_as_text(open_snapshot, effects):
    n = len(HOSTILE)
    view = mv.views.from_arrays(attention_of(1, 1, n), HOSTILE, effects=effects, title="<script>hacked=1</script>")
    page = open_snapshot(view)
    if effects is not None:
        open_tab(page, "lines")
    shown = half(page, "base").locator(".mv-column[data-side=to] span").all_text_contents()
    assert [text for text, token in zip(shown, HOSTILE, strict=True) if text != token] == ["␣"], "one is white space"
    expect(page.locator("img, main script")).to_have_count(0)
    assert page.evaluate("window.hacked") is None


def test_right_to_left_and_emoji_tokens_are_whole(open_snapshot):
    tokens = ["שלום", "##ים", "مرحبا", "👩‍🔬", "🇯🇵", "水"]
    page = open_snapshot(mv.views.from_arrays(attention_of(1, 2, 6), tokens))
    assert labels(page, "to") == ["שלום", "ים", "مرحبا", "👩‍🔬", "🇯🇵", "水"]
    option(page, "base", "to", 3).click()
    expect(option(page, "base", "to", 3)).to_have_attribute("aria-selected", "true")
    spans = half(page, "base").locator(".mv-column[data-side=to] span")
    assert spans.evaluate_all("all => all.map(n => getComputedStyle(n).direction)")[:3] == ["rtl"] * 3
    no_nonsense(page)


def test_a_text_of_one_token(open_snapshot):
    page = open_snapshot(mv.views.from_arrays(np.ones((1, 1, 1, 1)), ["rock"]))
    expect(page.locator(".mv-thumb")).to_have_count(1)
    assert drawn_edges(page, "base") == {(0, 0)}
    expect(half(page, "base").locator(".mv-half-head")).to_contain_text("1 of 1 lines, 100% of the mass")
    no_nonsense(page)


# -- one widget in two places ------------------------------------------------------------------------------------------


def test_two_views_of_one_widget_share_heads_and_pins_and_each_has_its_own_tab(open_host, view):
    page = open_host()
    first = mount(page, traits_of(view, live=True), "first")
    page.evaluate("void mechviz.render({ model: models.first, el: newHost('second'), signal: new AbortController().signal })")
    second = page.locator("#second")
    open_tab(first, "positions")
    expect(second.locator("[role=tab][data-tab=lines]")).to_have_attribute("aria-selected", "true")
    cell(first, 0, 1).click(modifiers=["Shift"])
    expect(cell(second, 0, 1)).to_have_attribute("data-chosen", "true")
    option(second, "base", "from", 5).click()
    expect(first.locator(".mv-before-after [data-pinned]")).to_have_count(2)
    cell(second, 0, 1).click(modifiers=["Shift"])
    expect(first.locator("[data-chosen]")).to_have_count(0)


# -- files without the texts -------------------------------------------------------------------------------------------

SECRETS = ("springs", "cracks", "volcano", "lava", "molten", "yeast", "tides", "heated", "geheim", "verborgen")


def without_words(view, open_page, tmp_path):
    path = view.to_html(tmp_path / "hidden.html", texts=False)
    found = [word for word in SECRETS if word in path.read_text(encoding="utf-8").lower()]
    assert found == [], "words in the file"
    page = open_page(path.as_uri())
    expect(page.locator(".mechviz .mv-panel").first).to_be_visible()
    for name in page.get_by_role("tab").evaluate_all("all => all.map(tab => tab.dataset.tab)"):
        open_tab(page, name)
        expect(page.locator(".mv-error")).to_have_count(0)
    return page


def test_a_file_without_texts_holds_none_of_their_words(open_page, tmp_path, dot, view):
    assert {"springs", "lava"} <= set(json.dumps(view.spec).replace('"', " ").replace(",", " ").split()), "else nothing is tested"
    page = without_words(view, open_page, tmp_path)
    open_tab(page, "lines")
    draw_share(page, 0.9)
    at = view.selection
    pattern = view._reader.pattern("doc", at["layer"])[1, at["head"]]
    assert drawn_edges(page, "source") == strongest(pattern), "the numbers stay"
    no_nonsense(page)


@pytest.mark.parametrize("which", ["attention", "ranking", "one document", "circuit", "arrays", "cross", "query", "cat"])
def test_no_kind_of_view_leaves_words_in_a_file_without_texts(open_page, tmp_path, request, dot, which):
    made = {
        "attention": lambda: mv.show_attention(dot, QUERY, DOC),
        "ranking": lambda: mv.show_ranking(dot, QUERY, [*COMPETITORS, DOC], perturb=mv.perturb.append("lava")),
        "one document": lambda: mv.show_ranking(dot, QUERY, [*COMPETITORS, DOC], doc=DOC, perturb=change, wait=True),
        "circuit": lambda: mv.views.CircuitView(mv.circuit(dot, QUERY, DOC, change)),
        "arrays": lambda: mv.views.from_arrays(attention_of(1, 2, 2), ["geheim", "verborgen"], title="geheim"),
        "cross": lambda: mv.views.from_arrays(attention_of(1, 2, 2, 3), ["geheim", "verborgen"], key_tokens=["lava", "a", "b"]),
        "query": lambda: mv.show_patching(dot, QUERY, DOC, mv.perturb.on_query(mv.perturb.append("lava")), wait=True),
        "cat": lambda: request.getfixturevalue("cat_view"),
    }
    page = without_words(made[which](), open_page, tmp_path)
    no_nonsense(page)
