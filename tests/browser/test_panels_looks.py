"""Every panel in every theme and width: texts that can be read, keys that stay inside, panels that are left out."""

import numpy as np
import pytest
from playwright.sync_api import expect

import mechviz as mv
from mechviz.views import PatchingView
from tests import golden
from tests.browser.examples import COMPETITORS, DOC, QUERY, change
from tests.browser.page import cell, contrasts, mount, no_nonsense, number, open_tab, selected_cells, traits_of, unguarded
from tests.cases import CASES

pytestmark = pytest.mark.browser

CHANGE = mv.perturb.append("volcano lava")


def first(opened, kind):
    return opened(next(case for case in CASES.values() if case.kind == kind))


@pytest.fixture(scope="module")
def made(dot, opened):
    """A view of each kind, made when it is first asked for."""
    makers = {
        "dot": lambda: mv.show_patching(
            dot, QUERY, DOC, change, docs=COMPETITORS, circuit=mv.circuit(dot, QUERY, DOC, change), wait=True
        ),
        "monot5": lambda: mv.show_patching(first(opened, "MonoT5"), QUERY, DOC, CHANGE, wait=True),
        "colbert": lambda: mv.show_patching(first(opened, "ColBERT"), QUERY, DOC, CHANGE, wait=True),
        "splade": lambda: mv.show_patching(first(opened, "Splade"), QUERY, DOC, CHANGE, wait=True),
        "generative": lambda: mv.show_patching(first(opened, "Generative"), QUERY, DOC, CHANGE, wait=True),
        "attention": lambda: mv.show_attention(dot, QUERY, DOC),
        "ranking": lambda: mv.show_ranking(dot, QUERY, [*COMPETITORS, DOC], perturb=CHANGE, grades=[0, 1, 0, 2]),
    }
    found = {}

    def view(name):
        if name not in found:
            found[name] = makers[name]()
        return found[name]

    return view


KINDS = ("dot", "monot5", "colbert", "splade", "generative", "attention", "ranking")


def tabs(page):
    return page.get_by_role("tab").evaluate_all("all => all.map(tab => tab.dataset.tab)")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_text_of_every_panel_can_be_read(open_snapshot, made, kind, scheme):
    page = open_snapshot(made(kind), color_scheme=scheme)
    for name in tabs(page) or [None]:
        if name:
            open_tab(page, name)
        expect(page.locator(".mv-error")).to_have_count(0)
        no_nonsense(page)
        assert [text for text in contrasts(page.locator(".mechviz")) if text["ratio"] < 4.5] == [], name


@pytest.mark.parametrize("kind", KINDS)
def test_every_panel_fits_a_narrow_page_and_keeps_its_keys(open_snapshot, made, kind):
    page = open_snapshot(made(kind), viewport={"width": 340, "height": 800})
    for name in tabs(page) or [None]:
        if name:
            open_tab(page, name)
        assert page.evaluate("document.documentElement.scrollWidth") <= 340, name
        assert unguarded(page) == [], name


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_asked_of_a_kernel_that_a_panel_does_not_draw(open_host, made, kind):
    """What a live view opens with came with it."""
    page = open_host()
    el = mount(page, traits_of(made(kind), live=True))
    expect(el.locator(".mv-panel").first).to_be_visible()
    page.wait_for_timeout(150)
    assert page.evaluate("models.host.sent") == []


def test_a_head_that_is_opened_stays_in_the_tab_where_there_are_no_lines(open_snapshot, dot):
    view = mv.show_patching(dot, QUERY, DOC, change, panels=("heads", "model", "positions"), wait=True)
    page = open_snapshot(view)
    open_tab(page, "positions")
    cell(page, 0, 2).click()
    assert selected_cells(page) == [(0, 2)]
    expect(page.locator("[role=tab][data-tab=positions]")).to_have_attribute("aria-selected", "true")


@pytest.mark.parametrize("panels", [("lines",), ("texts", "heads"), ("positions", "heads"), ("neurons", "model"), ("score",)])
def test_panels_stand_in_the_order_asked_for(open_snapshot, dot, panels):
    page = open_snapshot(mv.show_patching(dot, QUERY, DOC, change, panels=panels, wait=True))
    shown = page.locator(".mv-panels section").evaluate_all("all => all.map(n => n.className.match(/mv-panel-(\\w+)/)[1])")
    assert shown == list(panels)
    expect(page.locator(".mv-error")).to_have_count(0)
    no_nonsense(page)


def test_bars_of_one_query_are_of_one_head_whatever_is_chosen(open_snapshot):
    page = open_snapshot(PatchingView(golden.cross_result(), golden.cross_patterns))
    cell(page, 1, 0).click(modifiers=["Shift"])
    cell(page, 1, 1).click(modifiers=["Shift"])
    expect(page.locator(".mv-cell[data-chosen]")).to_have_count(2)
    expect(page.get_by_role("button", name="the 2 chosen")).to_have_count(0)
    expect(page.locator(".mv-bars > i")).to_have_count(18)


def test_patterns_without_queries_and_keys_have_no_panel_for_them(open_snapshot, view):
    alone = PatchingView(view.result, lambda layer: view._reader.pattern("doc", layer))
    assert "neurons" not in tabs(open_snapshot(alone))


def test_ranks_by_position(open_snapshot, view):
    page = open_snapshot(view)
    panel = open_tab(page, "positions")
    page.get_by_role("button", name="rank difference").click()
    result = view.results["doc.blocks"]
    patched = result.patched.isel(site=1).transpose("layer", "pos").values
    rank = [int((result.competitors[0] >= np.float32(score)).sum()) for score in (result.pair.base_score, *patched[1])]
    heat = panel.get_by_role("slider").nth(1)
    heat.focus()
    for key in ("Control+Home", "ArrowDown"):
        page.keyboard.press(key)
    for after in rank[1:]:
        words = heat.get_attribute("aria-valuetext")
        assert number(words.rsplit("”: ", 1)[1]) == rank[0] - after
        assert words.endswith(" ranks")
        page.keyboard.press("ArrowRight")
