"""Effects by position in Chromium: values, holes, selection, and exact values that are asked for."""

import numpy as np
import pytest
from playwright.sync_api import expect

import mechviz as mv
from mechviz.views import PatchingView
from tests.browser.examples import DOC, QUERY, change
from tests.browser.page import cell, mount, number, open_tab, option, pixel, selected_cells, set_trait, traits_of
from tests.cases import CASES

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def positions(dot):
    """Effects by position, exact, of some positions only."""
    heads = mv.patch(dot, QUERY, DOC, change)
    blocks = mv.patch(dot, QUERY, DOC, change, grid="blocks", positions=[1, 2, 5, 9, 10])
    return PatchingView([heads, blocks])


def walk(page, heat, n_layers, n_positions):
    """{(layer, pos): words} of a map, read by its keys."""
    heat.focus()
    page.keyboard.press("Control+Home")
    found = {}
    for layer in reversed(range(n_layers)):
        page.keyboard.press("Home")
        for pos in range(n_positions):
            words = heat.get_attribute("aria-valuetext")
            assert words.startswith(f"layer {layer}, position {pos} ")
            found[layer, pos] = words.rsplit("”: ", 1)[1]
            page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowDown")
    return found


def test_every_value_by_position_is_the_results(open_snapshot, view):
    page = open_snapshot(view)
    panel = open_tab(page, "positions")
    expect(panel).to_contain_text("preview (attribution), may be wrong")
    effects = view.results["doc.blocks"].effects
    maps = panel.get_by_role("slider")
    expect(maps).to_have_count(effects.sizes["site"])
    for site in range(effects.sizes["site"]):
        values = effects.isel(site=site).transpose("layer", "pos").values
        for (layer, pos), words in walk(page, maps.nth(site), *values.shape).items():
            assert number(words) == pytest.approx(float(values[layer, pos]), abs=0.00501)
            assert words.endswith(" of the change")


def test_positions_that_were_not_computed_are_hatched_and_say_so(open_snapshot, positions):
    page = open_snapshot(positions)
    panel = open_tab(page, "positions") if page.get_by_role("tab").count() else page.locator(".mv-panel-positions")
    effects = positions.results["doc.blocks"].effects.isel(site=0).transpose("layer", "pos").values
    assert np.isnan(effects).any()
    heat = panel.get_by_role("slider").first
    words = walk(page, heat, *effects.shape)
    canvas = heat.locator("canvas")
    size = canvas.evaluate("canvas => canvas.width") // effects.shape[1]
    hatching = {(176, 184, 192), (250, 250, 250)}
    for (layer, pos), said in words.items():
        x, y = pos * size, (len(effects) - 1 - layer) * 15
        seen = {pixel(canvas, x + dx, y + 2) for dx in range(4)}
        if np.isnan(effects[layer, pos]):
            assert said.startswith("not computed")
            assert seen == hatching
        else:
            assert number(said) == pytest.approx(float(effects[layer, pos]), abs=0.00501)
            assert len(seen) == 1


def test_a_click_on_the_map_selects_the_layer_and_pins_the_token(open_snapshot, view):
    page = open_snapshot(view)
    panel = open_tab(page, "positions")
    heat = panel.get_by_role("slider").nth(1)
    box = heat.bounding_box()
    n = len(view.result.pair.base)
    heat.click(position={"x": box["width"] * 7.5 / n, "y": box["height"] * 0.5 / 3})
    ((layer, _),) = selected_cells(page)
    assert layer == 2, "the top row is the last layer"
    assert set(page.locator(".mv-before-after [data-pinned]").evaluate_all("all => all.map(n => n.dataset.pos)")) == {"7"}
    open_tab(page, "lines")
    expect(option(page, "base", "from", 7)).to_have_attribute("aria-selected", "true")


def test_a_click_on_the_encoders_map_selects_in_the_encoder(open_snapshot, opened):
    monot5 = opened(next(case for case in CASES.values() if case.kind == "MonoT5"))
    view = mv.show_patching(monot5, "why hot", "hot rock", mv.perturb.append("lava"), wait=True)
    page = open_snapshot(view)
    cell(page.get_by_role("grid", name="decoder's cross-attention"), 2, 3).click()
    panel = open_tab(page, "positions")
    heat = panel.get_by_role("slider").first
    heat.click(position={"x": 5, "y": heat.bounding_box()["height"] - 3})
    assert selected_cells(page.get_by_role("grid", name="patch effects, encoder")) == [(0, 3)]


def test_exact_values_by_position_are_computed_when_asked_for_and_the_selection_stays(open_host, dot, monkeypatch):
    view = mv.show_patching(dot, QUERY, DOC, change, wait=True)
    page = open_host()
    el = mount(page, traits_of(view, live=True))
    panel = open_tab(el, "positions")
    target = next(at for at in np.ndindex(3, 4) if at != (view.selection["layer"], view.selection["head"]))
    chosen = {**view.selection, "layer": target[0], "head": target[1], "pos": 4, "heads": [["doc", 0, 1]]}
    view.selection = chosen
    panel.get_by_role("button", name="Compute exact values").click()
    (message,) = page.evaluate("models.host.sent")
    assert message == {"type": "compute", "key": "doc.blocks"}
    view._receive(view, message, [])
    exact = view.results["doc.blocks"].effects  # waits
    expected = mv.patch(dot, QUERY, DOC, change, grid="blocks").effects
    assert exact.values == pytest.approx(expected.values, abs=1e-4)
    assert view.selection == chosen, "a person's selection is theirs"
    page.evaluate("cells => models.host.set('cells', decodeAll(cells))", traits_of(view)["cells"])
    set_trait(page, "progress", {**view.progress, "live": True})
    expect(panel).to_contain_text(f"exact, {exact.size} cells")
    expect(panel.get_by_role("button", name="Compute exact values")).to_have_count(0)
    values = expected.isel(site=2).transpose("layer", "pos").values
    for (layer, pos), words in walk(page, panel.get_by_role("slider").nth(2), *values.shape).items():
        assert number(words) == pytest.approx(float(values[layer, pos]), abs=0.00501)
