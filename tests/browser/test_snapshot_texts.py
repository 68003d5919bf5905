"""The two texts in a view's HTML file."""

import pytest
from playwright.sync_api import expect

import mechviz as mv
from tests.browser.examples import DOC, QUERY, change
from tests.browser.page import draw_share, drawn_edges, edges_of, half, no_nonsense, selected_cells, shown_text, squeezed

pytestmark = pytest.mark.browser


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
    draw_share(page, 0.9)
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
