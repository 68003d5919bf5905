"""A real marimo app: the view inside a shadow root, in light and dark, and a cell that reacts to it."""

import os
import sys

import pytest
from playwright.sync_api import expect

from tests.browser.hosts import DOC, PATIENCE, QUERY, Expected, loopback_only, serve
from tests.browser.page import cell, colours, luminance

pytestmark = [pytest.mark.browser, pytest.mark.lab]

APP = """\
import marimo

app = marimo.App()


@app.cell
def _():
    import marimo as mo
    import mechviz as mv

    return mo, mv


@app.cell
def _(mo, mv):
    view = mv.show_patching(mv.Dot({folder!r}), {query!r}, {doc!r}, mv.perturb.append("volcano lava"))
    element = mo.ui.anywidget(view)
    element
    return element, view


@app.cell
def _(element, mo, view):
    of_value, of_view = element.value["selection"], view.selection
    mo.md(f"value {{of_value['layer']}} {{of_value['head']}}, view {{of_view['layer']}} {{of_view['head']}}")
    return


if __name__ == "__main__":
    app.run()
"""


@pytest.fixture
def app(tmp_path, dot_folder):
    """URL of the app; nothing of the user's marimo is read or changed, and its theme is the system's."""
    folders = {f"XDG_{name}_HOME": str(tmp_path / name.lower()) for name in ("CONFIG", "DATA", "STATE", "CACHE")}
    config = tmp_path / "config" / "marimo" / "marimo.toml"
    config.parent.mkdir(parents=True)
    config.write_text('[display]\ntheme = "system"\n')
    work = tmp_path / "work"
    work.mkdir()
    (work / "app.py").write_text(APP.format(folder=str(dot_folder), query=QUERY, doc=DOC), encoding="utf-8")

    def command(port):
        marimo = [sys.executable, "-m", "marimo", "--yes", "run", "app.py"]
        return [*marimo, "--headless", "--no-token", "--host=127.0.0.1", f"--port={port}"]

    env = {**os.environ, **folders, "HOME": str(tmp_path), "MECHVIZ_WAIT": "0"}
    with serve(command, env, work, tmp_path / "server.log", "/health") as url:
        yield url


def test_an_app(app, open_page, dot):
    expected = Expected(dot)
    settings = {"allow_requests": loopback_only(app), "viewport": {"width": 1400, "height": 1800}}
    page = open_page(app, color_scheme="light", **settings)
    view = page.locator(".mechviz")
    view.wait_for(state="attached", timeout=PATIENCE * 1000)  # the element around it counts as hidden
    assert view.evaluate("el => el.getRootNode() instanceof ShadowRoot")
    expected.check_drawn(view)
    expected.check_lines(view, *expected.missing)
    expect(page.get_by_text("value {0} {1}, view {0} {1}".format(*expected.missing))).to_be_visible()
    cell(view, *expected.held[2]).click()
    expect(page.get_by_text("value {0} {1}, view {0} {1}".format(*expected.held[2]))).to_be_visible()

    expect(view.locator(".mv-cell").first).to_have_css("cursor", "pointer")  # a rule of the style sheet
    ground, ink = map(luminance, colours(view))
    assert ground > 200 > 100 > ink
    page.emulate_media(color_scheme="dark")
    expect(view).to_have_css("color-scheme", "dark")
    ground, ink = map(luminance, colours(view))
    assert ground < 100 < 200 < ink

    expected.check_drawn(open_page(app, color_scheme="dark", **settings).locator(".mechviz"))  # a second session
