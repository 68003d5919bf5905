"""What readers and keyboards meet: axe-core on every panel, forced colours, and no motion where none is wanted."""

from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect

import mechviz as mv
from mechviz.views.reader import Layers
from tests import golden, golden_probes, many_pairs
from tests.browser.page import unguarded
from tests.cases import CASES

pytestmark = pytest.mark.browser

AXE = Path(__file__).parents[2] / "js/node_modules/axe-core/axe.min.js"
QUERY = "why are hot springs warm"
DOC = "Hot springs are warm because water is heated by rock and rises again through cracks."
CHANGE = mv.perturb.append("volcano lava")


@pytest.fixture(scope="module")
def views(dot, opened, tmp_path_factory):
    """Pages of every kind of view, by name."""
    folder = tmp_path_factory.mktemp("pages")
    monot5 = opened(CASES["MonoT5 t5 ('true', 'false')"])
    toy = mv.toys.compiled("bm25")
    texts = ("hot volcano spring", "the water of the sea rises in hot weather", mv.perturb.append("volcano"))
    opened_pair = mv.views.PatchingView(golden.golden_result(), Layers({"doc": golden.patterns}))
    made = {
        "study": mv.views.StudyView(many_pairs.study((4, 4), 60), lambda number: opened_pair),
        "classes": mv.views.StudyView(many_pairs.classes_study(pairs=many_pairs.pairs(40))),
        "scorecard": mv.views.ScorecardView(many_pairs.scorecard(30)),
        "patching": mv.show_patching(dot, QUERY, DOC, CHANGE, docs=["Lava is hot.", "Tea is warm."], wait=True),
        "monot5": mv.show_patching(monot5, QUERY, DOC, CHANGE, wait=True),
        "circuit": mv.show_patching(toy, *texts, circuit=mv.circuit(toy, *texts), wait=True),
        "attention": mv.show_attention(dot, QUERY, DOC),
        "curves": mv.views.curves(golden.golden_curves()),
        "passages": mv.views.passages(golden_probes.golden_passages()),
        "tree": mv.views.tree(golden_probes.golden_tree()),
        "relation": mv.views.relation(golden_probes.golden_relation()),
        "tensor": mv.views.tensor(golden_probes.golden_tensor()),
        "atlas": mv.views.atlas(golden_probes.golden_atlas(), find="rock"),
        "ranking": mv.show_ranking(dot, QUERY, [DOC, "Lava is hot.", "Tea is warm."], perturb=CHANGE, grades=[2, 0, 1]),
        "grid": mv.views.from_arrays(
            None,
            ["a", "b"],
            effects=[[0.5, np.nan], [-0.25, 0.1]],
            interval=([[0.4, 0], [-0.5, -0.1]], [[0.6, 0], [0.1, 0.3]]),
            n=9,
        ),
    }
    return {name: view.to_html(folder / f"{name}.html") for name, view in made.items()}


VIEWS = ["patching", "monot5", "circuit", "attention", "ranking", "grid", "study", "classes", "scorecard", "curves"]
VIEWS += ["passages", "tree", "relation", "tensor", "atlas"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", VIEWS)
def test_axe_finds_nothing_serious(open_page, views, name, scheme):
    page = open_page(views[name].as_uri(), color_scheme=scheme, bypass_csp=True)
    expect(page.locator(".mechviz .mv-view")).to_be_visible()
    page.add_script_tag(path=AXE)
    tabs = page.get_by_role("tab")
    for number in range(max(1, tabs.count())):
        if tabs.count():
            tabs.nth(number).click()
            expect(page.get_by_role("tabpanel")).to_be_visible()
        found = page.evaluate("() => axe.run(document.querySelector('.mechviz'), { resultTypes: ['violations'] })")
        wrong = [
            f"{one['impact']} {one['id']}: {node['html'][:160]} {node['failureSummary'][:300]}"
            for one in found["violations"]
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"][:3]
        ]
        assert not wrong, f"tab {number}:\n" + "\n".join(wrong)
        assert unguarded(page) == []


def test_tabs_move_by_arrow_keys_and_have_one_stop(open_page, views):
    page = open_page(views["patching"].as_uri())
    tabs = page.get_by_role("tab")
    expect(tabs.first).to_be_visible()
    names = tabs.evaluate_all("all => all.map(tab => tab.dataset.tab)")
    assert names == ["lines", "model", "neurons", "positions", "ranking", "score"]
    tabs.first.focus()
    page.keyboard.press("ArrowRight")
    expect(tabs.nth(1)).to_be_focused()
    expect(tabs.nth(1)).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(tabs.last).to_be_focused()
    assert page.locator("[role=tab][tabindex='0']").count() == 1
    assert page.locator("[role=tab][tabindex='-1']").count() == len(names) - 1


def test_forced_colours_keep_outlines_where_colours_are_taken_away(open_page, views):
    page = open_page(views["patching"].as_uri(), forced_colors="active")
    selected = page.locator("[role=gridcell][aria-selected=true]").first
    assert selected.evaluate("el => getComputedStyle(el).outlineStyle") != "none"
    pressed = page.locator(".mv-toggle [aria-pressed=true]").first
    assert pressed.evaluate("el => getComputedStyle(el).outlineStyle") != "none"
    page.locator("[data-tab=model]").click()
    expect(page.locator(".mv-thumbs canvas").first).to_be_visible()


def test_nothing_moves_where_motion_is_not_wanted(open_page, views):
    page = open_page(views["patching"].as_uri(), reduced_motion="reduce")
    moving = page.locator(".mechviz, .mechviz *").evaluate_all(
        """all => all.filter((node) => {
          const style = getComputedStyle(node);
          return style.animationName !== "none" || style.transitionDuration.split(",").some((time) => parseFloat(time) > 0);
        }).length"""
    )
    assert moving == 0
