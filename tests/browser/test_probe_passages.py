"""Passages in a browser: numbers under the pointer and the focus, keys, cuts, the filter."""

import numpy as np
import pytest
from playwright.sync_api import expect

import mechviz as mv
from mechviz.results import Passage, PassageGroup, Passages
from tests import golden, golden_probes
from tests.browser.page import no_nonsense, unguarded

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def view():
    return mv.views.passages(golden_probes.golden_passages(), curves=golden.golden_curves())


def piece(page, text):
    return page.locator("[data-piece]").get_by_text(text, exact=True)


def bubble(page):
    return page.locator(".mv-bubble")


def test_the_pointer_reads_the_number_of_a_piece(open_snapshot, view):
    page = open_snapshot(view)
    expect(page.locator(".mv-query")).to_have_text("Senses of bank")
    expect(page.locator(".mv-banner")).to_contain_text("Few texts.")
    piece(page, "bank").hover()
    expect(bubble(page)).to_have_text("1.00")
    piece(page, "</script>").hover()
    expect(bubble(page)).to_have_text("no number")
    piece(page, "plain").hover()
    expect(bubble(page)).to_have_count(0)
    assert piece(page, "plain").evaluate("el => getComputedStyle(el).backgroundColor") == "rgba(0, 0, 0, 0)"
    zero = piece(page, "s").evaluate("el => el.style.background")
    assert zero not in ("", piece(page, "bank").evaluate("el => el.style.background"))
    no_nonsense(page)


def test_keys_go_from_piece_to_piece_and_from_passage_to_passage(open_snapshot, view):
    page = open_snapshot(view)
    assert page.locator("[data-piece][tabindex='0']").count() == 1
    piece(page, "bank").focus()
    page.keyboard.press("ArrowLeft")
    expect(piece(page, "the")).to_be_focused()
    expect(bubble(page)).to_have_text("0.25")
    page.keyboard.press("End")
    expect(piece(page, "s")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(piece(page, "plain")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(piece(page, "w100")).to_be_focused()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    expect(piece(page, "bank")).to_be_focused()
    assert page.locator("[data-piece][tabindex='0']").count() == 1
    assert unguarded(page) == []


def test_a_long_passage_is_cut_and_can_be_opened(open_snapshot, view):
    page = open_snapshot(view)
    pieces = page.locator("[aria-label='Sense 2'] [data-piece]")
    expect(pieces).to_have_count(33)
    page.get_by_role("button", name="show all 200").click()
    expect(pieces).to_have_count(200)
    page.get_by_role("button", name="less").click()
    expect(pieces).to_have_count(33)
    expect(page.locator("[data-mark][data-piece]")).to_have_text(["bank", "w100"])


def test_the_table_and_the_curves_below(open_snapshot, view):
    page = open_snapshot(view)
    panel = page.locator(".mv-panel-passages")
    panel.get_by_role("button", name="Table").click()
    rows = panel.get_by_role("table").locator("tbody tr")
    assert rows.count() == 3
    assert rows.first.locator("td").all_inner_texts() == ["Sense 1", "text 1", "1", "the bank </script>s"]
    expect(page.locator(".mv-panel-curves").get_by_role("slider")).to_be_visible()


def test_the_filter_shows_what_holds_the_words(open_snapshot):
    rows = [Passage.of([f"word{at}", "more"], [0.1, 0.2], label=f"text {at}") for at in range(40)]
    page = open_snapshot(mv.views.passages(Passages((PassageGroup("All", tuple(rows)),), "activation")))
    expect(page.locator("[role=listbox]")).to_have_count(25)
    page.get_by_role("button", name="15 more").click()
    expect(page.locator("[role=listbox]")).to_have_count(40)
    page.get_by_role("searchbox").fill("WORD3")
    expect(page.locator("[role=listbox]")).to_have_count(11)
    expect(page.locator(".mv-bar [role=status]")).to_have_text("11 of 40")
    page.get_by_role("searchbox").fill("nothing")
    expect(page.locator("[role=listbox]")).to_have_count(0)


def test_signed_numbers_have_their_signs(open_snapshot):
    one = Passage.of(["up", "down", "unknown"], np.array([0.5, -0.25, np.nan]))
    page = open_snapshot(mv.views.passages(Passages((PassageGroup("", (one,)),), "change", signed=True)))
    expect(page.get_by_text("grey: no number")).to_be_visible()
    piece(page, "down").hover()
    expect(bubble(page)).to_have_text("\u22120.25")
    piece(page, "up").hover()
    expect(bubble(page)).to_have_text("+0.50")
