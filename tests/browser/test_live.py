"""The widget in a host: the bundle's `render` on a model that stands for a notebook's, and for its kernel's answers."""

import json

import numpy as np
import pytest
from playwright.sync_api import expect

import mechviz as mv
from mechviz import snapshot
from mechviz.views import view as view_module
from tests.browser.examples import DOC, QUERY
from tests.browser.page import (
    answer,
    cell,
    colours,
    contrasts,
    draw_share,
    drawn_edges,
    edges_of,
    encoded,
    focused_cell,
    heads,
    luminance,
    mount,
    selected_cells,
    set_trait,
    traits_of,
    unguarded,
)
from tests.golden import PATH

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def view(dot):
    """Twelve heads, of which eight come with the widget."""
    return mv.show_patching(dot, QUERY, DOC, mv.perturb.append("volcano lava"), wait=True)


def held_heads(view):
    return [(entry["layer"], entry["head"]) for key, entry in view.spec["held"].items() if key.startswith("attention.")]


def missing_head(view):
    return next(at for at in np.ndindex(view.result.effects.shape) if at not in held_heads(view))


def set_cells(page, view, **changes):
    """Set the cells of the heads, each changed as asked."""
    cells = {name: np.frombuffer(data, dtype="u1" if "state" in name else "<f4").copy() for name, data in view.cells.items()}
    for name, change in changes.items():
        cells[f"doc.heads.{name}"] = change(cells[f"doc.heads.{name}"])
    page.evaluate("cells => models.host.set('cells', decodeAll(cells))", encoded({n: a.tobytes() for n, a in cells.items()}))


# -- life --------------------------------------------------------------------------------------------------------------


def listeners_and_nodes(page):
    """How many the page has after its garbage is gone."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.enable")
    session.send("HeapProfiler.collectGarbage")
    session.send("Performance.enable")
    metrics = {m["name"]: m["value"] for m in session.send("Performance.getMetrics")["metrics"]}
    session.detach()
    return metrics["JSEventListeners"], metrics["Nodes"]


CYCLES = """async ([traits, n]) => {
  const el = document.getElementById("host") ?? newHost("host");
  globalThis.model ??= new FakeModel(traits);
  for (let i = 0; i < n; i++) {
    const end = await mechviz.render({ model, el, signal: new AbortController().signal });
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    if (!el.querySelector("[role=gridcell]")) throw new Error("nothing was drawn");
    end();
  }
  return [el.childNodes.length, model.handlers.length, document.body.querySelectorAll("*").length];
}"""


def test_fifty_mounts_and_unmounts_leave_nothing_behind(open_host, view):
    page = open_host()
    traits = traits_of(view, live=True)
    page.evaluate(CYCLES, [traits, 3])  # what the first ones keep is kept once
    before = listeners_and_nodes(page)
    assert page.evaluate(CYCLES, [traits, 50]) == [0, 0, 1]
    after = listeners_and_nodes(page)
    assert after[0] <= before[0]
    assert after[1] <= before[1] + 50, "less than a node a mount"


def test_a_selection_that_waits_to_be_sent_is_sent_at_the_end(open_host, view):
    page = open_host()
    el = mount(page, traits_of(view))
    target = held_heads(view)[1]
    cell(el, *target).focus()
    page.evaluate("document.activeElement.click(); ends.host()")
    assert page.evaluate("[models.host.traits.selection.layer, models.host.traits.selection.head]") == list(target)


def test_one_widget_shown_twice_is_one_selection(open_host, view):
    page = open_host()
    first = mount(page, traits_of(view), "first")
    page.evaluate("void mechviz.render({ model: models.first, el: newHost('second'), signal: new AbortController().signal })")
    target = held_heads(view)[2]
    cell(first, *target).click()
    expect(cell(page.locator("#second"), *target)).to_have_attribute("aria-selected", "true")
    page.evaluate("ends.first()")
    set_trait(page, "selection", {**view.selection, "layer": 0, "head": 0}, "first")
    expect(cell(page.locator("#second"), 0, 0)).to_have_attribute("aria-selected", "true")


def test_a_hidden_widget_is_drawn_when_it_is_shown(open_host, view):
    page = open_host()
    page.evaluate("newHost('host').style.display = 'none'")
    el = mount(page, traits_of(view))
    expect(el.get_by_role("gridcell")).to_have_count(0)
    page.evaluate("document.getElementById('host').style.display = ''")
    expect(heads(el)).to_have_count(12)


def test_a_shadow_root_is_a_host_too(open_host, view):
    """Marimo renders there, and adds the style sheet to the root."""
    page = open_host()
    page.evaluate(
        """([traits, css]) => {
          for (const style of document.querySelectorAll("style")) style.remove();
          const root = newHost("outer").attachShadow({ mode: "open" });
          const style = document.createElement("style");
          style.textContent = css;
          root.append(style);
          globalThis.models = { host: new FakeModel(traits) };
          mechviz.render({ model: models.host, el: newHost("host", root), signal: new AbortController().signal });
        }""",
        [traits_of(view), snapshot.stylesheet()],
    )
    cell(page, 0, 0).focus()
    page.keyboard.press("ArrowUp")
    assert focused_cell(page) == (1, 0)
    expect(page.locator(".mv-card")).to_contain_text("Layer 1, head 0")
    page.keyboard.press("Enter")
    assert selected_cells(page) == [(1, 0)]
    assert luminance(colours(page.locator(".mechviz"))[0]) > 200


# -- what Python sends -------------------------------------------------------------------------------------------------


def test_exact_values_replace_the_preview_as_they_come(open_host, view):
    page = open_host()
    el = mount(page, traits_of(view, state="running", done=0, live=True))
    set_cells(page, view, state=lambda state: state * 0 + 1, effects=lambda effects: effects * 0 + 0.125)
    expect(cell(el, 0, 1)).to_have_attribute("data-state", "1")
    expect(el.locator(".mv-status")).to_contain_text("exact 0 of 15")
    cell(el, 0, 1).hover()
    expect(el.locator(".mv-card")).to_contain_text("0.13 of the change")
    set_cells(page, view)
    set_trait(page, "progress", {**view.progress, "live": True})
    expect(cell(el, 0, 1)).to_have_attribute("data-state", "2")
    shown = f"{float(view.result.effects[0, 1]):+.2f}".replace("-", "−")
    expect(el.locator(".mv-card")).to_contain_text(f"{shown} of the change")
    expect(el.locator(".mv-status")).to_contain_text("exact, 15 cells")


def test_the_cancel_button_asks_the_kernel_and_is_there_only_while_something_runs(open_host, view):
    page = open_host()
    el = mount(page, traits_of(view, state="running", done=5, live=True))
    cancel = el.get_by_role("button", name="Cancel")
    cancel.click()
    assert page.evaluate("models.host.sent") == [{"type": "cancel"}]
    set_trait(page, "progress", {**view.progress, "state": "cancelled", "done": 5, "live": True})
    expect(el.locator(".mv-status")).to_contain_text("cancelled: exact 5 of 15")
    expect(cancel).to_have_count(0)
    set_trait(page, "progress", {**view.progress, "state": "running", "live": False})
    expect(cancel).to_have_count(0)


def test_a_failed_computation_says_why_as_text(open_host, view):
    page = open_host()
    why = "NonFiniteError: patching z of head 2 in layer 1 gave the score nan <b id=injected>x</b>"
    el = mount(page, traits_of(view, state="failed", done=4, message=why, live=True))
    expect(el.locator(".mv-status")).to_have_text(f"failed after 4 of 15: {why}")
    expect(el.locator("#injected")).to_have_count(0)


def test_python_moves_the_selection(open_host, view):
    page = open_host()
    el = mount(page, traits_of(view))
    draw_share(el, 0.9)
    target = held_heads(view)[3]
    set_trait(page, "selection", {**view.selection, "layer": target[0], "head": target[1], "pos": 2})
    expect(cell(el, *target)).to_have_attribute("aria-selected", "true")
    assert drawn_edges(el, "base") == edges_of(view, *target)["base"]
    expect(el.locator(".mv-column [data-pinned]")).to_have_count(4)
    assert page.evaluate("models.host.saved") == 0, "what Python said must not be sent back to it"


def test_the_browsers_selection_is_what_python_accepts(open_host, view):
    page = open_host()
    el = mount(page, traits_of(view))
    target = held_heads(view)[4]
    cell(el, *target).click(modifiers=["Shift"])
    cell(el, *target).click()
    el.locator(".mv-column[data-side=to] [data-pos='3']").first.click()
    page.wait_for_function("models.host.saved > 0 && models.host.traits.selection.pos === 3")
    selection = page.evaluate("models.host.traits.selection")
    view.selection = selection
    assert view.selection == {
        "stack": "doc",
        "layer": target[0],
        "head": target[1],
        "pos": 3,
        "key_pos": None,
        "heads": [["doc", *target]],
    }


def test_a_head_that_did_not_come_is_fetched_and_drawn(open_host, view, monkeypatch):
    page = open_host()
    el = mount(page, traits_of(view, live=True))
    layer, head = missing_head(view)
    cell(el, layer, head).click()
    expect(el.get_by_role("status", name="reading")).to_be_visible()
    message = answer(page, view, monkeypatch)
    assert message == {"type": "attention", "id": message["id"], "stack": "doc", "layer": layer, "head": head}
    expect(el.locator(".mv-half")).to_have_count(2)
    draw_share(el, 0.9)
    expected = edges_of(view, layer, head)
    assert {run: drawn_edges(el, run) for run in expected} == expected
    cell(el, *held_heads(view)[0]).click()
    cell(el, layer, head).click()
    expect(el.locator(".mv-half")).to_have_count(2)
    assert len(page.evaluate("models.host.sent")) == 1, "asked once, then kept"


def test_a_kernel_that_fails_says_why_and_can_be_asked_again(open_host, view, monkeypatch):
    page = open_host()
    el = mount(page, traits_of(view, live=True))
    cell(el, *missing_head(view)).click()
    with monkeypatch.context() as patched:
        patched.setattr(view._reader, "pattern", lambda _stack, layer: [][layer])
        answer(page, view, patched)
    expect(el.locator(".mv-lines .mv-error")).to_contain_text("IndexError: list index out of range")
    page.evaluate("models.host.sent = []")
    el.get_by_role("button", name="Retry").click()
    answer(page, view, monkeypatch)
    expect(el.locator(".mv-half")).to_have_count(2)


def test_a_kernel_that_does_not_answer_is_not_waited_for_in_silence(open_host, view):
    page = open_host()
    page.clock.install()
    el = mount(page, traits_of(view, live=True))
    page.clock.run_for(100)
    cell(el, *missing_head(view)).click()
    page.clock.run_for(30_000)
    expect(el.locator(".mv-lines")).to_contain_text("kernel does not answer")
    expect(el.get_by_role("button", name="Retry")).to_be_visible()


def test_another_format_of_the_wire_is_refused_in_words(open_host, view):
    page = open_host()
    el = mount(page, {**traits_of(view), "spec": {**view.spec, "format": 99}})
    expect(el.locator(".mv-error")).to_contain_text("format 99")
    page.evaluate("ends.host()")
    expect(el.locator("*")).to_have_count(0)


def test_cells_that_do_not_fit_are_told_and_the_older_ones_stay(open_host, view):
    page = open_host()
    el = mount(page, traits_of(view))
    set_cells(page, view, effects=lambda effects: effects[:5])
    expect(el.locator(".mv-error")).to_contain_text("5 numbers")
    expect(heads(el)).to_have_count(12)
    set_cells(page, view)
    expect(el.locator(".mv-error")).to_have_count(0)


def test_a_view_of_many_heads_asks_only_for_what_is_opened(open_host, view, monkeypatch):
    monkeypatch.setattr(view_module, "LIVE_HEADS", 1)
    lean = mv.views.PatchingView(view.result, view._reader)
    assert len(held_heads(lean)) == 1
    page = open_host()
    el = mount(page, traits_of(lean, live=True))
    expect(el.locator(".mv-half")).to_have_count(2)
    assert page.evaluate("models.host.sent") == []


# -- keys --------------------------------------------------------------------------------------------------------------

HEARD = """() => {
  globalThis.heard = [];
  document.addEventListener("keydown", (event) => heard.push(event.key));
}"""


@pytest.mark.parametrize(
    "where",
    ["[role=gridcell]", ".mv-column [role=option]", ".mv-top button", "input", "input[type=range]", "[role=tab]", "summary"],
)
def test_plain_keys_stay_inside_and_the_notebooks_own_go_on(open_host, view, where):
    page = open_host()
    el = mount(page, traits_of(view))
    page.evaluate(HEARD)
    el.locator(f"{where}:not([tabindex='-1'])").first.focus()
    for key in (
        "x",
        "d",
        "d",
        "a",
        "b",
        "m",
        "z",
        "ArrowDown",
        "ArrowUp",
        "Home",
        "End",
        "Escape",
        "Enter",
        " ",
        "Shift+X",
        "Delete",
    ):
        page.keyboard.press(key)
    assert page.evaluate("heard") == []
    assert page.evaluate("document.activeElement.closest('#host') !== null")
    for key in ("Control+s", "Shift+Enter", "Control+Enter", "Alt+Enter", "Tab"):
        page.keyboard.press(key)
    names = [key for key in page.evaluate("heard") if key not in ("Control", "Shift", "Alt")]
    assert names == ["s", "Enter", "Enter", "Enter", "Tab"]


@pytest.mark.parametrize("chord", ["Control+ArrowUp", "Alt+ArrowUp", "Meta+ArrowUp", "Control+Enter", "Alt+Home"])
def test_chords_are_the_notebooks_on_a_cell_too(open_host, view, chord):
    page = open_host()
    el = mount(page, traits_of(view))
    expect(el.get_by_role("grid")).to_be_visible()
    page.evaluate(HEARD)
    selected = selected_cells(el)
    cell(el, 1, 1).focus()
    page.keyboard.press(chord)
    assert chord.split("+")[1] in page.evaluate("heard")
    assert focused_cell(page) == (1, 1)
    assert selected_cells(el) == selected


def test_every_node_that_takes_the_focus_asks_jupyterlab_to_leave_its_keys_alone(open_host, cat):
    page = open_host()
    doc = " ".join([DOC] * 4)
    view = mv.show_patching(cat, QUERY, doc, mv.perturb.append("lava"), wait=True)
    el = mount(page, traits_of(view, state="running", live=True))
    expect(el.get_by_role("grid")).to_be_visible()
    assert unguarded(el) == []


# -- themes ------------------------------------------------------------------------------------------------------------

LAB = "--jp-layout-color0: {}; --jp-ui-font-color1: {}; background: {};"


@pytest.mark.parametrize(("light", "system"), [("true", "dark"), ("false", "light")])
def test_jupyterlabs_theme_wins_over_the_systems(open_host, view, light, system):
    page = open_host(color_scheme=system)
    ground, ink = ("white", "rgba(0,0,0,.87)") if light == "true" else ("#111", "rgba(255,255,255,1)")
    page.evaluate("css => document.body.setAttribute('style', css)", LAB.format(ground, ink, ground))
    page.evaluate("light => { document.body.dataset.jpThemeLight = light; }", light)
    el = mount(page, traits_of(view)).locator(".mechviz")
    expect(el.get_by_role("grid")).to_be_visible()
    expect(el).to_have_attribute("data-theme", "light" if light == "true" else "dark")
    assert [text for text in contrasts(el) if text["ratio"] < 4.5] == []
    page.evaluate("light => { document.body.dataset.jpThemeLight = light; }", "false" if light == "true" else "true")
    expect(el).to_have_attribute("data-theme", "dark" if light == "true" else "light")


def test_the_theme_can_be_set_from_python(open_host, view):
    page = open_host(color_scheme="light")
    el = mount(page, traits_of(view)).locator(".mechviz")
    expect(el.get_by_role("grid")).to_be_visible()
    light = colours(el)
    set_trait(page, "theme", "dark")
    expect(el).to_have_attribute("data-theme", "dark")
    dark = colours(el)
    assert luminance(light[0]) > 200 > luminance(dark[1]) - 55
    assert luminance(dark[0]) < 80
    assert [text for text in contrasts(el) if text["ratio"] < 4.5] == []


# -- the wire fixture --------------------------------------------------------------------------------------------------


def test_the_golden_state_is_drawn_with_its_hole_and_its_preview(open_host):
    page = open_host()
    page.evaluate("state => mechviz.mount_snapshot(newHost('file'), state)", json.loads(PATH.read_text(encoding="utf-8")))
    el = page.locator("#file")
    expect(el.get_by_role("gridcell")).to_have_count(8)
    expect(cell(el, 0, 2)).to_have_accessible_name("layer 0, head 2: not computed")
    expect(cell(el, 0, 1)).to_have_attribute("data-state", "1")
    expect(cell(el, 1, 2)).to_have_accessible_name("layer 1, head 2: +1.00")
    expect(el.locator(".mv-status")).to_contain_text("exact 4 of 8")
    expect(el.get_by_role("button", name="Cancel")).to_have_count(0)
