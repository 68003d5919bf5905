"""Panels that show all heads, and queries and keys: every number is one of Python's."""

import numpy as np
import pytest
from playwright.sync_api import expect

import mechviz as mv
from mechviz.views import view as view_module
from tests.browser.page import answer, cell, mount, no_nonsense, number, open_tab, pixel, selected_cells, traits_of, unguarded
from tests.cases import CASES

pytestmark = pytest.mark.browser

#: Where the ramp of shares begins and ends, by theme.
RAMPS = {"light": ((255, 255, 255), (10, 90, 156)), "dark": ((21, 23, 26), (140, 200, 255))}


# -- tabs --------------------------------------------------------------------------------------------------------------


def test_every_tab_opens_its_panel_by_click_and_by_keys(open_snapshot, view):
    page = open_snapshot(view)
    names = page.get_by_role("tab").evaluate_all("all => all.map(tab => tab.dataset.tab)")
    assert names == [name for name in view.spec["panels"] if name not in ("heads", "texts")]
    assert names[0] == "lines"
    for name in names:
        panel = open_tab(page, name)
        expect(panel).to_be_visible()
        expect(page.locator(".mv-error")).to_have_count(0)
        no_nonsense(page)
        assert unguarded(page) == [], name
    open_tab(page, "lines")
    for name in [*names[1:], names[0]]:
        page.keyboard.press("ArrowRight")
        expect(page.locator(f"[role=tab][data-tab={name}]")).to_be_focused()
        expect(page.locator(f"[role=tab][data-tab={name}]")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(f"[role=tab][data-tab={names[-1]}]")).to_be_focused()


@pytest.mark.parametrize("width", [320, 700, 1400])
def test_no_panel_makes_the_page_scroll_sideways(open_snapshot, view, width):
    page = open_snapshot(view, viewport={"width": width, "height": 800})
    for name in page.get_by_role("tab").evaluate_all("all => all.map(tab => tab.dataset.tab)"):
        open_tab(page, name)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name


# -- all heads ---------------------------------------------------------------------------------------------------------


def thumb(page, layer, head):
    return page.locator(f".mv-thumb[data-layer='{layer}'][data-head='{head}']")


def thumb_at(weights, layer, head, query, key):
    """Where a cell of a head's attention begins in the picture of all heads."""
    n_layers, (n_queries, n_keys) = 3, weights.shape
    zoom = max(1, 40 // n_keys)
    return head * (n_keys * zoom + 2) + key * zoom, (n_layers - 1 - layer) * (n_queries * zoom + 2) + query * zoom


def ramp(weight, theme):
    """The colour of a weight as a byte tells it."""
    share = round(255 * np.sqrt(weight)) / 255
    return tuple(int(a + (b - a) * share + 0.5) for a, b in zip(*RAMPS[theme], strict=True))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_pixel_of_every_thumbnail_has_the_colour_of_its_weight(open_snapshot, view, theme):
    page = open_snapshot(view, color_scheme=theme)
    panel = open_tab(page, "model")
    expect(panel.locator(".mv-thumb")).to_have_count(12)
    canvas = panel.locator("canvas")
    for run, name in enumerate(("base", "source")):
        panel.get_by_role("button", name=name, exact=True).click()
        for layer in range(3):
            pattern = view._reader.pattern("doc", layer)[run]
            for head in range(4):
                weights = pattern[head]
                for query, key in ((0, 0), (3, 1), np.unravel_index(weights.argmax(), weights.shape)):
                    at = thumb_at(weights, layer, head, query, key)
                    assert pixel(canvas, *at) == pytest.approx(ramp(weights[query, key], theme), abs=1)


def test_the_difference_of_the_thumbnails_has_its_own_colours_and_signs(open_snapshot, view):
    page = open_snapshot(view)
    panel = open_tab(page, "model")
    canvas = panel.locator("canvas")
    before = canvas.evaluate("canvas => canvas.toDataURL()")
    panel.get_by_role("button", name="difference").click()
    assert canvas.evaluate("canvas => canvas.toDataURL()") != before
    moved = np.diff(view._reader.pattern("doc", 1), axis=0)[0, 2]
    more, less = (np.unravel_index(find(moved), moved.shape) for find in (np.argmax, np.argmin))
    red, _, blue = pixel(canvas, *thumb_at(moved, 1, 2, *more))
    assert blue > red + 20, "more attention is blue"
    red, _, blue = pixel(canvas, *thumb_at(moved, 1, 2, *less))
    assert red > blue + 20, "less is orange"
    assert np.ptp(pixel(canvas, *thumb_at(moved, 1, 2, *np.unravel_index(np.abs(moved).argmin(), moved.shape)))) < 12


def test_a_click_on_a_thumbnail_opens_that_head_in_the_lines(open_snapshot, view):
    page = open_snapshot(view)
    open_tab(page, "model")
    thumb(page, 0, 3).click()
    expect(page.locator("[role=tab][data-tab=lines]")).to_have_attribute("aria-selected", "true")
    expect(page.locator(".mv-lines h3")).to_contain_text("layer 0, head 3")
    assert selected_cells(page) == [(0, 3)]


def test_thumbnails_are_reached_opened_and_added_by_keys(open_snapshot, view):
    page = open_snapshot(view)
    open_tab(page, "model")
    thumb(page, 0, 0).focus()
    for key in ("ArrowUp", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    expect(thumb(page, 1, 2)).to_be_focused()
    page.keyboard.press(" ")
    expect(thumb(page, 1, 2)).to_have_attribute("data-chosen", "true")
    expect(cell(page, 1, 2)).to_have_attribute("data-chosen", "true")
    expect(page.locator("[role=tab][data-tab=model]")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Enter")
    expect(page.locator(".mv-lines h3")).to_contain_text("layer 1, head 2")
    assert selected_cells(page) == [(1, 2)]


def test_a_live_view_fetches_its_thumbnails_when_they_are_opened(open_host, view, monkeypatch):
    page = open_host()
    el = mount(page, traits_of(view, live=True))
    assert page.evaluate("models.host.sent") == []
    open_tab(el, "model")
    message = answer(page, view, monkeypatch)
    assert message == {"type": "thumbs", "stack": "doc", "id": message["id"]}
    weights = view._reader.pattern("doc", 2)[0, 1]
    at = thumb_at(weights, 2, 1, 4, 4)
    assert pixel(el.locator(".mv-model canvas"), *at) == pytest.approx(ramp(weights[4, 4], "light"), abs=1)
    open_tab(el, "lines")
    open_tab(el, "model")
    assert len(page.evaluate("models.host.sent")) == 1, "asked once, then kept"


# -- queries and keys --------------------------------------------------------------------------------------------------


def shown_keys(scope):
    """{key position: (scaled product, rest, score, weight)} as the neuron view shows them."""
    rows = scope.locator(".mv-neurons ol[aria-label=keys] button")
    found = rows.evaluate_all(
        """all => all.map(row => [Number(row.dataset.pos),
          [...row.querySelectorAll(".mv-number")].map(n => n.textContent), row.querySelector(".mv-softmax b").textContent])"""
    )
    return {pos: (*map(number, numbers), float(weight)) for pos, numbers, weight in found}


def check_keys(scope, made_of, run):
    q, k, scores, pattern = (np.asarray(made_of[name][run], dtype=np.float64) for name in ("q", "k", "scores", "pattern"))
    scaled = k @ q * made_of["scale"]
    softmax = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
    assert softmax == pytest.approx(pattern, abs=1e-5)
    shown = shown_keys(scope)
    assert sorted(shown) == list(range(len(pattern)))
    for pos, (product, rest, score, weight) in shown.items():
        assert product == pytest.approx(scaled[pos], abs=0.00501)
        assert rest == pytest.approx(scores[pos] - scaled[pos], abs=0.00501)
        assert score == pytest.approx(scores[pos], abs=0.00501)
        assert weight == pytest.approx(softmax[pos], abs=0.00501)
    return list(shown), pattern


def test_the_numbers_of_the_neuron_view_are_those_of_numpy(open_snapshot, view):
    page = open_snapshot(view)
    panel = open_tab(page, "neurons")
    ((layer, head),) = selected_cells(page)
    pos = int(panel.get_by_label("query").input_value())
    assert view.result.pair.alignment.kinds[pos] != "equal", "it begins where something was changed"
    made_of = view._reader.scores("doc", layer, head, pos)
    for run, name in enumerate(("base", "source")):
        panel.get_by_role("button", name=name, exact=True).click()
        order, pattern = check_keys(page, made_of, run)
        assert pattern[order].tolist() == sorted(pattern.tolist(), reverse=True)
    panel.get_by_label("largest first").uncheck()
    assert list(shown_keys(page)) == list(range(len(pattern)))
    panel.locator("ol[aria-label=keys] button[data-pos='3']").click()
    products = np.asarray(made_of["q"][1]) * np.asarray(made_of["k"][1][3])
    caption = panel.locator("figcaption").inner_text()
    assert number(caption.split("sum to")[1]) == pytest.approx(float(products.sum()), abs=0.00501)
    assert number(caption.split("scaled")[1]) == pytest.approx(float(products.sum()) * made_of["scale"], abs=0.00501)
    largest = int(np.abs(products).argmax())
    assert f"Largest: dimension {largest} " in caption
    titles = panel.locator("figure rect title").all_text_contents()
    assert [number(title.split(":")[1]) for title in titles] == pytest.approx(products.tolist(), abs=0.000501)
    expect(panel.locator("ol[aria-label=keys] [aria-pressed=true]")).to_have_attribute("data-pos", "3")


def test_a_live_neuron_view_fetches_another_position(open_host, view, monkeypatch):
    page = open_host()
    el = mount(page, traits_of(view, live=True))
    panel = open_tab(el, "neurons")
    ((layer, head),) = selected_cells(el)
    answer(page, view, monkeypatch)
    panel.get_by_label("query").select_option("6")
    page.wait_for_function("models.host.sent.length === 2")
    message = answer(page, view, monkeypatch)
    assert message == {"type": "scores", "id": message["id"], "stack": "doc", "layer": layer, "head": head, "pos": 6}
    expect(panel.locator("ol[aria-label=keys] button").first).to_be_visible()
    check_keys(el, view._reader.scores("doc", layer, head, 6), 0)
    page.wait_for_function("models.host.traits.selection.pos === 6")


def test_a_position_whose_scores_a_file_does_not_hold_says_so_and_offers_the_one_that_it_holds(open_snapshot, view):
    page = open_snapshot(view)
    panel = open_tab(page, "neurons")
    start = panel.get_by_label("query").input_value()
    ((layer, head),) = selected_cells(page)
    panel.get_by_label("query").select_option("0")
    expect(panel.locator(".mv-hint")).to_contain_text("holds queries and keys of one position")
    panel.get_by_role("button", name=f"Show layer {layer}, head {head}").click()
    expect(panel.get_by_label("query")).to_have_value(start)
    check_keys(page, view._reader.scores("doc", layer, head, int(start)), 0)


def test_a_decoders_one_position_gets_a_sentence_and_asks_nothing(open_host, opened):
    monot5 = opened(next(case for case in CASES.values() if case.kind == "MonoT5"))
    view = mv.show_patching(monot5, "why hot", "hot rock", mv.perturb.append("lava"), stack="decoder", wait=True)
    page = open_host()
    panel = open_tab(mount(page, traits_of(view, live=True)), "neurons")
    expect(panel.locator(".mv-hint")).to_contain_text("one position only")
    assert page.evaluate("models.host.sent") == []


def test_a_file_of_three_stacks_holds_queries_and_keys_of_those_that_have_them(open_snapshot, opened):
    monot5 = opened(next(case for case in CASES.values() if case.kind == "MonoT5"))
    view = mv.show_patching(monot5, "why hot", "hot rock", mv.perturb.append("lava"), wait=True)
    view.selection = {"stack": "cross", "layer": 1, "head": 2, "pos": 7}
    held = {key.split(".")[1] for key in view._still(100, 10**7, page=True)["spec"]["held"] if key.startswith("scores.")}
    assert held == {"encoder", "cross"}
    page = open_snapshot(view)
    open_tab(page, "neurons")
    check_keys(page, view._reader.scores("cross", 1, 2, 0), 0)


@pytest.mark.parametrize("stack", ["encoder", "cross"])
def test_the_neuron_view_of_an_encoder_decoder(open_snapshot, opened, stack):
    monot5 = opened(next(case for case in CASES.values() if case.kind == "MonoT5"))
    view = mv.show_patching(monot5, "why hot", "hot rock", mv.perturb.append("lava"), stack=stack, wait=True)
    page = open_snapshot(view)
    panel = open_tab(page, "neurons")
    at = view.selection
    pos = int(panel.get_by_label("query").input_value()) if stack == "encoder" else 0
    made_of = view._reader.scores(stack, at["layer"], at["head"], pos)
    check_keys(page, made_of, 0)
    no_nonsense(page)


# -- the whole matrix --------------------------------------------------------------------------------------------------


def test_the_whole_matrix_of_a_head_is_fetched_and_painted(open_host, view, monkeypatch):
    page = open_host()
    el = mount(page, traits_of(view, live=True))
    ((layer, head),) = selected_cells(el)
    el.get_by_role("button", name="matrix", exact=True).click()
    message = answer(page, view, monkeypatch)
    assert message == {"type": "matrix", "id": message["id"], "stack": "doc", "layer": layer, "head": head}
    pattern = view._reader.pattern("doc", layer)[:, head]
    expect(el.locator(".mv-matrix")).to_have_count(2)
    for run, weights in enumerate(pattern):
        canvas = el.locator(".mv-matrix canvas").nth(run)
        for query, key in ((0, 0), (2, 5), np.unravel_index(weights.argmax(), weights.shape)):
            assert pixel(canvas, key, query) == pytest.approx(ramp(weights[query, key], "light"), abs=1)
    query, key = 3, 6
    heat = el.locator(".mv-matrix .mv-heat").first
    box = heat.bounding_box()
    at = {"x": box["width"] * (key + 0.5) / len(pattern[0]), "y": box["height"] * (query + 0.5) / len(pattern[0])}
    heat.hover(position=at)
    words = el.locator(".mv-matrix figcaption").first.inner_text()
    assert number(words.rsplit(" ", 1)[1]) == pytest.approx(float(pattern[0][query, key]), abs=0.005)
    heat.click(position=at)
    page.wait_for_function("key => models.host.traits.selection.pos === key", arg=key)
    el.locator(".mv-lines").get_by_role("button", name="difference").click()
    expect(el.locator(".mv-matrix")).to_have_count(1)
    moved = pattern[1] - pattern[0]
    more = np.unravel_index(moved.argmax(), moved.shape)
    red, _, blue = pixel(el.locator(".mv-matrix canvas"), more[1], more[0])
    assert blue > red + 20
    assert len(page.evaluate("models.host.sent")) == 1, "asked once for both runs"


def test_a_file_holds_the_matrices_that_fit_and_says_where_there_is_none(open_snapshot, view, monkeypatch):
    n = len(view.result.pair.base)
    monkeypatch.setattr(view_module, "_PAGE_MATRICES", 3 * 2 * n * n)
    held = view._still(12, 10**7, page=True)["spec"]["held"]
    first = [(entry["layer"], entry["head"]) for key, entry in held.items() if key.startswith("matrix.")]
    assert len(first) == 3
    page = open_snapshot(view)
    page.get_by_role("button", name="matrix", exact=True).click()
    for layer, head in first:
        cell(page, layer, head).click()
        expect(page.locator(".mv-lines h3")).to_contain_text(f"layer {layer}, head {head}")
        weights = view._reader.pattern("doc", layer)[1, head]
        query, key = np.unravel_index(weights.argmax(), weights.shape)
        canvas = page.locator(".mv-matrix canvas").nth(1)
        assert pixel(canvas, key, query) == pytest.approx(ramp(weights[query, key], "light"), abs=1)
    cell(page, *next(at for at in np.ndindex(3, 4) if at not in first)).click()
    expect(page.locator(".mv-lines .mv-hint")).to_contain_text("not its whole matrix")
    expect(page.locator(".mv-matrix")).to_have_count(0)
