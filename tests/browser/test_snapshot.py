"""The HTML file of a view in Chromium: opened from the disk, as somebody who was sent it does."""

import re
import socket

import numpy as np
import pytest
import torch
from playwright.sync_api import expect
from transformers import BertForSequenceClassification

import mechviz as mv
from mechviz.views import PatchingView
from mechviz.views import patching as patching_view
from mechviz.views.patching import Step
from tests.browser.page import (
    cell,
    colours,
    contrasts,
    drawn_edges,
    edges_of,
    focused_cell,
    half,
    import_bundle,
    luminance,
    number,
    selected_cells,
    shown_text,
    squeezed,
    traits_of,
)
from tests.conftest import save_cat, save_dot

pytestmark = pytest.mark.browser

QUERY = "why are hot springs warm"
DOC = "Hot springs are warm because water is heated by rock and rises again through cracks."
COMPETITORS = ["Bread rises because yeast eats sugar.", "Lava is molten rock.", "The moon causes tides."]


def change(doc):
    """Replaces, deletes and inserts, so that every mark of the texts is seen."""
    return doc.replace("water", "lava").replace("by rock ", "") + " volcano"


@pytest.fixture(scope="module")
def view(dot):
    return mv.show_patching(dot, QUERY, DOC, change, docs=COMPETITORS, wait=True)


@pytest.fixture(scope="module")
def cat_view(cat):
    return mv.show_patching(cat, QUERY, DOC, change, wait=True)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """One layer, one head."""
    folder = save_dot(tmp_path_factory.mktemp("small"), num_hidden_layers=1, num_attention_heads=1)
    return mv.Dot(str(folder))


@pytest.fixture(scope="module")
def long_dot(tmp_path_factory):
    """Room for texts that the tiny tokenizer cuts into characters; a name that is markup."""
    folder = tmp_path_factory.mktemp("long") / "<b id=injected>model"
    folder.mkdir()
    return mv.Dot(str(save_dot(folder, max_position_embeddings=512)))


def partial(result, known, rest=np.nan):
    """A step of a computation that has the ``known`` cells; the others are shown as ``rest``."""
    return Step(shown=with_patched(result, known, rest), exact=known, result=with_patched(result, known, np.nan))


def with_patched(result, known, rest):
    arrays = {
        name: getattr(result, name).copy(data=np.where(known, getattr(result, name), rest)) for name in ("effects", "patched")
    }
    settings = {name: getattr(result, name) for name in ("pair", "grid", "method", "metric", "competitors", "provenance")}
    return mv.PatchResult(**settings, **arrays)


def cancelled_view(view, known, rest=np.nan):
    """A view whose computation was cancelled after the ``known`` cells."""
    cut = PatchingView(view.result, view._patterns)
    cut.cancel()
    cut.follow(iter([partial(view.result, known, rest)]), known.size, wait=True)
    return cut


def no_nonsense(page):
    """No value that slipped through to the words."""
    text = page.locator(".mechviz").inner_text()
    assert not re.search(r"NaN|undefined|Infinity|\[object|\bnull\b", text), text


# -- the file ----------------------------------------------------------------------------------------------------------


def test_the_file_draws_itself_without_a_request_or_an_error(open_snapshot, view):
    page = open_snapshot(view)
    expect(page.get_by_role("gridcell")).to_have_count(view.result.effects.size)
    expect(page.locator(".mv-status")).to_contain_text("exact, 12 cells")
    expect(page.locator(".mv-error")).to_have_count(0)
    assert page.title() == "change - mechviz"
    no_nonsense(page)


def test_the_header_says_what_was_asked_and_what_the_score_did(open_snapshot, view):
    page, pair = open_snapshot(view), view.result.pair
    expect(page.locator(".mv-query bdi")).to_have_text(QUERY)
    score = page.locator(".mv-score").inner_text()
    shown = [float(n.replace("−", "-")) for n in re.findall(r"[+−]?\d+\.\d+", score)]
    assert shown == pytest.approx(
        [pair.original_score, pair.perturbed_score, pair.perturbed_score - pair.original_score], abs=6e-4
    )
    ranks = view.spec["ranks"]
    assert str(ranks["perturbed"]) in score
    assert f"of {len(COMPETITORS) + 1}" in score


def test_the_policy_of_the_page_forbids_requests_and_foreign_scripts(open_snapshot, view):
    server = socket.create_server(("127.0.0.1", 0))
    server.setblocking(False)
    url = f"http://127.0.0.1:{server.getsockname()[1]}/"
    page = open_snapshot(view, allow_errors="Content Security Policy|violates the following", allow_requests=re.escape(url))
    policy = page.locator("meta[http-equiv=Content-Security-Policy]").get_attribute("content")
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy.split("script-src")[1].split(";")[0]
    page.evaluate(
        """(url) => {
      window.refused = [];
      document.addEventListener("securitypolicyviolation", (event) => refused.push(event.effectiveDirective));
      fetch(url).catch(() => {});
      document.body.insertAdjacentHTML("beforeend", `<img src="${url}x.png" onerror="window.hacked = 1">`);
      const script = document.createElement("script");
      script.textContent = "window.hacked = 1";
      document.body.append(script);
    }""",
        url,
    )
    for directive in ("connect-src", "img-src", "script-src-elem", "script-src-attr"):
        page.wait_for_function("name => refused.includes(name)", arg=directive)
    assert page.evaluate("window.hacked") is None
    with server, pytest.raises(BlockingIOError):
        server.accept()


SCRIPT = "</script><img src=x onerror=alert(1)>"
BOLD = "<b id=injected>bold</b>"
GLOBAL = "<script>hacked=1</script><!--"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_markup_in_any_text_is_shown_as_text(open_snapshot, long_dot, theme):
    query, doc, changed = f"why {BOLD} {SCRIPT}", f"{SCRIPT} warm {GLOBAL} {BOLD}", f"{SCRIPT} {GLOBAL} hot {BOLD} {SCRIPT}"
    perturb = mv.perturb.perturbation(lambda _: changed)
    object.__setattr__(perturb, "name", f"{SCRIPT} & {BOLD}")
    page = open_snapshot(mv.show_patching(long_dot, query, doc, perturb, theme=theme, wait=True))
    assert page.title() == f"{SCRIPT} & {BOLD} - mechviz"
    expect(page.locator(".mv-query bdi")).to_have_text(query)
    expect(page.locator(".mv-perturbation code")).to_have_text(f"{SCRIPT} & {BOLD}")
    assert squeezed(shown_text(page, "original")) == squeezed(doc)
    assert squeezed(shown_text(page, "perturbed")) == squeezed(changed)
    expect(page.locator("#injected, img, main script")).to_have_count(0)
    assert page.evaluate("[window.hacked, document.scripts.length]") == [None, 2]


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\u00a0"])
def test_line_separators_in_a_text_do_not_break_the_page(open_snapshot, dot, separator):
    doc = f"Hot{separator}springs are warm."
    page = open_snapshot(mv.show_patching(dot, QUERY + separator, doc, mv.perturb.append("lava"), wait=True))
    assert page.locator(".mv-query bdi").text_content() == QUERY + separator
    assert squeezed(shown_text(page, "original")) == squeezed(doc)


def test_two_snapshots_on_one_page_leave_each_other_alone(open_host, view, cat_view):
    page = open_host()
    page.evaluate(
        "states => { globalThis.ends = states.map((state, i) => mechviz.mount_snapshot(newHost(`file${i}`), state)); }",
        [traits_of(view), traits_of(view)],
    )
    first, second = page.locator("#file0"), page.locator("#file1")
    expect(first.get_by_role("grid")).to_be_visible()
    expect(second.get_by_role("grid")).to_be_visible()
    before = selected_cells(second)
    target = (0, 0) if before != [(0, 0)] else (1, 1)
    cell(first, *target).click()
    expect(cell(first, *target)).to_have_attribute("aria-selected", "true")
    first.get_by_label("hide special tokens").check()
    first.locator(".mv-before-after [data-pos='3']").first.click()
    assert selected_cells(second) == before
    expect(second.get_by_label("hide special tokens")).not_to_be_checked()
    expect(second.locator("[data-pinned]")).to_have_count(0)
    ids = page.evaluate("[...document.querySelectorAll('.mechviz [id]')].map(node => node.id)")
    names = page.evaluate("[...document.querySelectorAll('.mechviz [name]')].map(node => node.name)")
    assert (ids, names) == ([], [])
    page.evaluate("ends[0]()")
    expect(first.locator("*")).to_have_count(0)
    cell(second, *target).click()
    expect(cell(second, *target)).to_have_attribute("aria-selected", "true")


def test_the_bundle_can_be_imported_twice(open_host, view):
    page = open_host()
    import_bundle(page)
    page.evaluate("state => mechviz.mount_snapshot(newHost('file'), state)", traits_of(view))
    expect(page.get_by_role("grid")).to_be_visible()


# -- the grid ----------------------------------------------------------------------------------------------------------


def test_arrow_keys_move_the_focus_over_the_grid(open_snapshot, view):
    page = open_snapshot(view)
    n_layers, n_heads = view.result.effects.shape
    cell(page, 0, 0).focus()
    route = {
        "ArrowUp": (1, 0),
        "ArrowRight": (1, 1),
        "ArrowDown": (0, 1),
        "ArrowLeft": (0, 0),
        "End": (0, n_heads - 1),
        "Home": (0, 0),
        "Control+Home": (n_layers - 1, 0),
        "Control+End": (0, n_heads - 1),
    }
    for key, expected in route.items():
        page.keyboard.press(key)
        assert focused_cell(page) == expected, key
    for key in ("ArrowDown", "ArrowRight"):  # the edge of the grid holds
        page.keyboard.press(key)
        assert focused_cell(page) == (0, n_heads - 1), key


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


@pytest.mark.parametrize("key", ["Enter", " "])
def test_enter_or_space_selects_the_head_and_draws_its_lines(open_snapshot, view, key):
    page = open_snapshot(view)
    ((layer, head),) = selected_cells(page)
    assert (layer, head) == (view.selection["layer"], view.selection["head"])
    before = edges_of(view, layer, head)
    assert {run: drawn_edges(page, run) for run in before} == before
    to = (layer, head - 1) if head else (layer, head + 1)
    cell(page, layer, head).focus()
    page.keyboard.press("ArrowLeft" if head else "ArrowRight")
    assert selected_cells(page) == [(layer, head)], "moving the focus must not select"
    page.keyboard.press(key)
    expect(page.locator(".mv-lines h3")).to_contain_text(f"layer {to[0]}, head {to[1]}")
    after = edges_of(view, *to)
    assert {run: drawn_edges(page, run) for run in after} == after != before
    assert selected_cells(page) == [to]
    assert focused_cell(page) == to


def test_a_click_on_every_head_draws_the_lines_that_python_chose(open_snapshot, view):
    page = open_snapshot(view)
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
        _, amount, scores, rank = card.locator("> *").all_inner_texts()
        assert number(amount) == pytest.approx(float(result.effects[layer, head]), abs=0.00501)
        assert number(scores.split("→")[1]) == pytest.approx(float(result.patched[layer, head]), abs=0.000501)
        order = np.argsort(-np.abs(result.effects.values), axis=None)
        assert f"rank {order.tolist().index(layer * result.effects.shape[1] + head) + 1} of 12" in rank
        assert "exact" in rank
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
    expect(page.get_by_role("gridcell")).to_have_count(1)
    expect(page.locator(".mv-status")).to_contain_text("exact, 1 cell in")
    cell(page, 0, 0).focus()
    for key in ("ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight", "Home", "End", "Enter"):
        page.keyboard.press(key)
        assert focused_cell(page) == (0, 0)
    shown = number(page.locator(".mv-card > *").nth(1).inner_text())
    assert shown == pytest.approx(float(view.result.effects[0, 0]), abs=0.00501)
    expected = edges_of(view, 0, 0)
    assert {run: drawn_edges(page, run) for run in expected} == expected
    no_nonsense(page)


# -- cells without a number, and computations that did not end ---------------------------------------------------------


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
    page = open_snapshot(PatchingView(with_patched(view.result, known, np.nan), view._patterns))
    expect(page.locator(".mv-status")).to_contain_text("exact")
    expect(page.locator(".mv-status")).not_to_contain_text("exact, 12 cells")


def test_an_attribution_result_is_not_called_exact(open_snapshot, dot):
    page = open_snapshot(PatchingView(mv.patch(dot, QUERY, DOC, change, method="attribution")))
    assert page.get_by_role("gridcell").evaluate_all("all => all.map(c => c.dataset.state)") == ["1"] * 12
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
    assert page.get_by_role("gridcell").all_inner_texts() == [""] * 12
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


def test_a_file_says_which_heads_it_holds_and_opens_those(open_snapshot, view, monkeypatch):
    monkeypatch.setattr(patching_view, "_PAGE_BYTES", 5000)
    held = [(h.entry["layer"], h.entry["head"]) for h in view._pack_heads(12, 5000)]
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
    assert {run: drawn_edges(page, run) for run in expected} == expected


def test_a_button_that_goes_away_does_not_take_the_focus_with_it(open_snapshot, view, monkeypatch):
    monkeypatch.setattr(patching_view, "_PAGE_BYTES", 5000)
    held = [(h.entry["layer"], h.entry["head"]) for h in view._pack_heads(12, 5000)]
    page = open_snapshot(view)
    cell(page, *next(at for at in np.ndindex(3, 4) if at not in held)).click()
    page.locator(".mv-held button").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".mv-half")).to_have_count(2)
    assert page.evaluate("document.activeElement.closest('.mechviz') !== null")


def test_a_file_without_attention_says_so(open_snapshot, view):
    page = open_snapshot(PatchingView(view.result))
    expect(page.locator(".mv-lines")).to_contain_text("holds no attention lines")


# -- the lines ---------------------------------------------------------------------------------------------------------


def option(page, run, side, pos):
    return half(page, run).locator(f".mv-column[data-side={side}] [data-pos='{pos}']")


def test_a_click_pins_a_token_in_every_panel_and_escape_frees_it(open_snapshot, view):
    page = open_snapshot(view)
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
    ((layer, head),) = selected_cells(page)
    pattern = view._patterns(layer)[0, head]
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
    ((layer, head),) = selected_cells(page)
    everything = edges_of(view, layer, head)
    segments = view.result.pair.base.segments
    page.get_by_label("hide special tokens").check()
    for run, edges in everything.items():
        kept = {(a, b) for a, b in edges if not {segments[a], segments[b]} & {"cls", "sep", "pad"}}
        assert drawn_edges(page, run) == kept != edges
        pattern = view._patterns(layer)[("base", "source").index(run), head]
        hidden = sum(float(pattern[edge]) for edge in edges - kept) / float(pattern.sum())
        shown = half(page, run).get_by_text("at special tokens")
        assert number(shown.inner_text()) == pytest.approx(100 * hidden, abs=0.6)
    page.get_by_label("hide special tokens").uncheck()
    assert {run: drawn_edges(page, run) for run in everything} == everything


def test_a_cross_encoder_can_show_one_block_of_its_attention(open_snapshot, cat_view):
    page = open_snapshot(cat_view)
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


# -- the texts ---------------------------------------------------------------------------------------------------------


def test_the_texts_are_the_users_with_every_change_marked(open_snapshot, view):
    page, pair = open_snapshot(view), view.result.pair
    assert " ".join(shown_text(page, "original").split()) == DOC
    assert " ".join(shown_text(page, "perturbed").split()) == change(DOC)
    texts = page.locator(".mv-before-after")
    assert texts.locator("p[data-text=perturbed] b").all_inner_texts() == ["lava"]
    assert "volcano" in texts.locator("p[data-text=perturbed] ins").all_inner_texts()
    assert "".join(texts.locator("p[data-text=original] del").all_inner_texts()) == "byrock"
    expect(texts.locator("p[data-text=original] ins, p[data-text=perturbed] del")).to_have_count(0)
    fillers = int(pair.base.fillers.sum()), int(pair.source.fillers.sum())
    assert (
        texts.locator("p[data-text=original] .mv-filler").count(),
        texts.locator("p[data-text=perturbed] .mv-filler").count(),
    ) == fillers


def test_the_other_direction_swaps_the_runs_and_not_the_texts(open_snapshot, dot):
    view = mv.show_patching(dot, QUERY, DOC, change, direction="original->perturbed", wait=True)
    page = open_snapshot(view)
    assert " ".join(shown_text(page, "original").split()) == DOC
    assert " ".join(shown_text(page, "perturbed").split()) == change(DOC)
    expect(half(page, "base").locator("h4")).to_have_text("base run: perturbed")
    expect(half(page, "source").locator("h4")).to_have_text("source run: original")


def test_a_document_of_one_token(open_snapshot, dot):
    view = mv.show_patching(dot, QUERY, "lava", mv.perturb.replace("lava", "water"), wait=True)
    page = open_snapshot(view)
    assert shown_text(page, "original").strip() == "lava"
    assert shown_text(page, "perturbed").strip() == "water"
    ((layer, head),) = selected_cells(page)
    expected = edges_of(view, layer, head)
    assert {run: drawn_edges(page, run) for run in expected} == expected
    page.get_by_label("hide special tokens").check()
    expect(half(page, "base").locator(".mv-half-head")).to_contain_text("lines, ")
    no_nonsense(page)


@pytest.mark.parametrize(
    ("doc", "direction"),
    [
        ("המים החמים עולים מן הסלע", "rtl"),
        ("الماء الساخن يرتفع من الصخر", "rtl"),
        ("水は岩で温められる", "ltr"),
        ("🌋 hot 👩‍🔬 springs 🇯🇵 are 🧑🏽‍🚀 warm", "ltr"),
    ],
    ids=["hebrew", "arabic", "japanese", "emoji"],
)
def test_texts_of_other_scripts_are_shown_whole(open_snapshot, long_dot, doc, direction):
    query = f"why {doc}"
    page = open_snapshot(mv.show_patching(long_dot, query, doc, mv.perturb.append("🌋 lava"), wait=True))
    expect(page.locator(".mv-query bdi")).to_have_text(query)
    assert squeezed(shown_text(page, "original")) == squeezed(doc)
    assert squeezed(shown_text(page, "perturbed")) == squeezed(f"{doc}🌋lava")
    assert "\ufffd" not in page.locator(".mechviz").inner_text()
    row = page.locator(".mv-text-row:not(.mv-text-head)").first
    assert row.evaluate("row => getComputedStyle(row).direction") == direction
    first, last = (row.locator("p[data-text=original] [data-pos]").nth(i).bounding_box() for i in (0, 1))
    if row.locator("p[data-text=original] [data-pos]").count() > 1:
        assert (first["x"] > last["x"]) == (direction == "rtl")
    no_nonsense(page)


def test_a_change_of_the_query_shows_the_query_twice_and_the_document_once(open_snapshot, cat):
    perturb = mv.perturb.on_query(mv.perturb.append("lava"))
    page = open_snapshot(mv.show_patching(cat, QUERY, DOC, perturb, wait=True))
    assert " ".join(shown_text(page, "original").split()) == QUERY
    assert " ".join(shown_text(page, "perturbed").split()) == f"{QUERY} lava"
    expect(page.locator(".mv-doc bdi")).to_have_text(DOC)


def test_long_equal_stretches_are_folded_and_open_on_a_click(open_snapshot, long_dot):
    doc = " ".join(["hot springs are warm because water is heated by rock"] * 14)
    page = open_snapshot(mv.show_patching(long_dot, QUERY, doc, mv.perturb.append("lava"), wait=True))
    expect(page.locator(".mv-fold")).to_have_count(1)
    page.locator(".mv-fold").click()
    expect(page.locator(".mv-fold")).to_have_count(0)
    assert " ".join(shown_text(page, "original").split()) == doc


# -- themes ------------------------------------------------------------------------------------------------------------


def unreadable(page):
    page.get_by_label("hide special tokens").check()
    cell(page, 1, 1).hover()
    page.locator(".mv-provenance summary").click()
    cell(page, 1, 1).hover()
    expect(page.locator(".mv-card")).to_be_visible()
    found = contrasts(page.locator(".mechviz"))
    assert len(found) > 60
    return [text for text in found if text["ratio"] < 4.5]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("which", ["view", "cat_view"])
def test_every_text_can_be_read_in_both_themes(open_snapshot, request, which, scheme):
    page = open_snapshot(request.getfixturevalue(which), color_scheme=scheme)
    assert unreadable(page) == []


def test_a_cancelled_view_can_be_read_in_both_themes(open_snapshot, view):
    cut = cancelled_view(view, np.arange(12).reshape(3, 4) >= 7, rest=0.25)
    for scheme in ("light", "dark"):
        assert unreadable(open_snapshot(cut, color_scheme=scheme)) == [], scheme


def test_light_and_dark_follow_the_system_and_really_differ(open_snapshot, view):
    light, dark = (colours(open_snapshot(view, color_scheme=s).locator(".mechviz")) for s in ("light", "dark"))
    assert luminance(light[0]) > 200 > 80 > luminance(light[1])
    assert luminance(dark[0]) < 80 < 200 < luminance(dark[1])


def test_a_switch_of_the_system_theme_is_followed_by_page_and_grid(open_snapshot, view):
    page = open_snapshot(view, color_scheme="light")
    look = page.locator(".mechviz")
    before = colours(look), cell(page, 0, 0).evaluate("c => getComputedStyle(c).backgroundColor")
    page.emulate_media(color_scheme="dark")
    expect(look).to_have_attribute("data-theme", "dark")
    assert luminance(colours(look)[0]) < 80
    expect(cell(page, 0, 0)).not_to_have_css("background-color", before[1])


@pytest.mark.parametrize(("theme", "system"), [("dark", "light"), ("light", "dark")])
def test_a_theme_that_was_asked_for_wins_over_the_systems(open_snapshot, dot, theme, system):
    view = mv.show_patching(dot, QUERY, DOC, change, theme=theme, wait=True)
    page = open_snapshot(view, color_scheme=system)
    background, ink = map(luminance, colours(page.locator(".mechviz")))
    assert (background < ink) == (theme == "dark")
    assert unreadable(page) == []


@pytest.mark.parametrize("width", [320, 700, 1600])
def test_no_width_makes_the_page_scroll_sideways(open_snapshot, cat_view, width):
    page = open_snapshot(cat_view, viewport={"width": width, "height": 800})
    expect(page.locator(".mv-lines .mv-half").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
