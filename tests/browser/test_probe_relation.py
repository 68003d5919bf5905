"""A relation in a browser: lines, heads that are switched off, and probabilities that follow."""

import numpy as np
import pytest
from playwright.sync_api import expect

import mechviz as mv
from tests import golden_probes
from tests.browser.page import no_nonsense, unguarded

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def result():
    return golden_probes.golden_relation()


@pytest.fixture
def page(open_snapshot, result):
    page = open_snapshot(mv.views.relation(result))
    page.get_by_label("at least as likely as").fill("0")
    return page


def shown(page):
    """The probability of each pair in the table, to the digits that it is copied with."""
    if page.get_by_role("table").count() == 0:
        page.get_by_role("button", name="Table").click()
    rows = page.get_by_role("table").locator("tbody tr")
    return rows.evaluate_all("rows => rows.map(row => row.children[2].innerText)")


def likely(values):
    return [">0.99" if p > 0.995 else "<0.01" if p < 0.005 else f"{p:.2f}" for p in values.astype(float)]


def head(page, layer, number):
    return page.locator(f"[role=gridcell][data-head='{layer * 3 + number}']")


def test_probabilities_without_a_head_are_those_of_python(page, result):
    assert shown(page) == likely(result.probability)
    head(page, 0, 1).click()
    head(page, 1, 1).click()
    expect(page.locator(".mv-off")).to_have_text("2 heads off")
    assert shown(page) == likely(golden_probes.without(result, [1, 4]))
    assert shown(page) != likely(result.probability)
    expect(page.locator(".mv-relation-p b").first).to_be_visible()
    page.get_by_role("button", name="All on").click()
    assert shown(page) == likely(result.probability)
    expect(page.locator(".mv-off")).to_have_count(0)
    no_nonsense(page)


def test_space_switches_the_head_under_the_focus(page):
    head(page, 0, 0).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    expect(head(page, 1, 1)).to_be_focused()
    page.keyboard.press("Space")
    expect(head(page, 1, 1)).to_have_attribute("data-off", "true")
    expect(page.locator(".mv-off")).to_have_text("1 head off")
    page.keyboard.press("Enter")
    expect(page.locator(".mv-off")).to_have_count(0)
    assert unguarded(page) == []


def test_lines_are_as_likely_as_their_pairs(page, result):
    lines = page.locator(".mv-relation-line")
    expect(lines).to_have_count(3)
    found = dict(lines.evaluate_all("all => all.map(l => [Number(l.dataset.pair), Number(l.style.opacity)])"))
    for pair, p in enumerate(result.probability.tolist()):
        assert found[pair] == pytest.approx(max(0.14, p), abs=1e-4)
    wrong = lines.evaluate_all("all => all.filter(l => l.hasAttribute('data-wrong')).map(l => Number(l.dataset.pair))")
    assert wrong == np.flatnonzero(~result.truth).tolist()
    page.get_by_label("of each token at most").select_option("1")
    expect(lines).to_have_count(2)
    page.get_by_label("at least as likely as").fill("0.99")
    expect(page.get_by_text("no pair is as likely as this")).to_be_visible()


def test_a_pair_tells_which_heads_speak_for_it(page, result):
    page.locator("[role=option]").first.focus()
    page.keyboard.press("End")
    expect(page.locator("[role=option]").last).to_be_focused()
    chosen = int(np.argmin(result.probability))
    own = result.contributions.values[chosen]
    layer, number, way = np.unravel_index(np.abs(own).argmax(), own.shape)
    first = page.locator(".mv-relation-heads-list li").first
    expect(first).to_contain_text(f"{layer}.{number} {('forth', 'back')[way]}")
    expect(first).to_contain_text(f"{abs(own[layer, number, way]):.2f}")
    page.get_by_role("button", name="this pair").click()
    value = own.sum(-1)[1, 2]
    label = head(page, 1, 2).get_attribute("aria-label")
    assert float(label.split(": ")[1].replace("\u2212", "-")) == pytest.approx(value, abs=0.005)


def test_a_token_shows_only_its_lines(page):
    page.locator("[data-end='0'] li").first.hover()
    faint = page.locator(".mv-relation-line").evaluate_all("all => all.filter(l => Number(l.style.opacity) < 0.1).length")
    assert faint == 1
