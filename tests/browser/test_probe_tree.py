"""A tree of shares in a browser: keys, folds, what the kernel opens and what a saved page says."""

import pytest
from playwright.sync_api import expect

import mechviz as mv
from mechviz import snapshot
from tests import golden_probes
from tests.browser.page import answer, mount, no_nonsense, set_trait, traits_of, unguarded
from tests.views.test_probe_views import grown

pytestmark = pytest.mark.browser


def rows(scope):
    return scope.locator("[role=treeitem]")


def names(scope):
    return [" ".join(one.split()) for one in scope.locator(".mv-tree-name bdi").all_inner_texts()]


def test_keys_open_close_and_move(open_snapshot):
    page = open_snapshot(mv.views.tree(golden_probes.golden_tree()))
    assert names(page) == ["score", "1.2", "hot", "</script>", "embedding", "MLP 0"]
    expect(page.locator("[data-kind=fold]")).to_contain_text("2 more")
    expect(page.locator("[data-kind=error]")).to_contain_text("not in any part")
    expect(page.locator("[data-kind=error]")).to_contain_text("+0.25")
    rows(page).first.focus()
    page.keyboard.press("ArrowDown")
    expect(rows(page).nth(1)).to_be_focused()
    expect(rows(page).nth(1)).to_have_accessible_name("head 1.2 +1.50 +75% of its parent")
    page.keyboard.press("ArrowLeft")
    expect(rows(page).nth(1)).to_have_attribute("aria-expanded", "false")
    assert names(page) == ["score", "1.2", "embedding", "MLP 0"]
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(rows(page).nth(2)).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(rows(page).nth(1)).to_be_focused()
    page.keyboard.press("End")
    expect(page.locator("[data-kind=fold]")).to_be_focused()
    page.keyboard.press("Enter")
    assert names(page)[-2:] == ["biases", "0.1"]
    assert page.locator("[role=treeitem][tabindex='0']").count() == 1
    assert unguarded(page) == []
    no_nonsense(page)


def test_the_threshold_folds_more(open_snapshot):
    page = open_snapshot(mv.views.tree(golden_probes.golden_tree()))
    page.get_by_role("slider").fill("0")
    assert len(names(page)) == 8
    page.get_by_role("slider").fill("6")
    expect(page.locator("[data-kind=fold]").first).to_contain_text("3 more")


def test_a_saved_page_says_that_a_kernel_is_needed(open_snapshot):
    page = open_snapshot(mv.views.tree(golden_probes.golden_tree(), expand=grown))
    page.locator("[data-key='2']").click()
    expect(page.locator(".mv-tree-state")).to_contain_text("needs a running kernel")
    expect(page.locator(".mv-foot")).to_contain_text("3 nodes open only where a kernel runs")


def test_the_kernel_opens_a_node_and_its_children_appear(open_host, monkeypatch):
    page = open_host(snapshot.PROBES)
    view = mv.views.tree(golden_probes.golden_tree(), expand=grown)
    host = mount(page, traits_of(view, live=True))
    host.locator("[data-key='2']").click()
    expect(host.locator(".mv-tree-state")).to_have_text("computing…")
    message = answer(page, view, monkeypatch)
    assert (message["type"], message["node"]) == ("expand", 2)
    set_trait(page, "spec", view.spec)
    expect(host.locator("[data-key='8']")).to_contain_text("neuron 0.7")
    expect(host.locator("[data-key='2']")).to_have_attribute("aria-expanded", "true")
    expect(host.locator(".mv-tree-state")).to_have_count(0)


def test_what_goes_wrong_is_told_where_it_was_asked_for(open_host, monkeypatch):
    def fails(node):
        raise ValueError("no such head")

    page = open_host(snapshot.PROBES)
    view = mv.views.tree(golden_probes.golden_tree(), expand=fails)
    host = mount(page, traits_of(view, live=True))
    host.locator("[data-key='2']").click()
    answer(page, view, monkeypatch)
    expect(host.locator(".mv-tree-state")).to_contain_text("no such head")
    host.get_by_role("button", name="Retry").click()
    page.wait_for_function("() => models.host.sent.length === 2")
