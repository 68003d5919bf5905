"""One session in a real JupyterLab: a notebook whose cells make a view, move its selection and read it back."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import numpy as np
import pytest
from playwright.sync_api import expect

import mechviz as mv
from tests.browser.page import cell, drawn_edges, edges_of, focused_cell, selected_cells

pytestmark = [pytest.mark.browser, pytest.mark.lab]

QUERY = "why are hot springs warm"
DOC = "Hot springs are warm because water is heated by rock and rises again through cracks."
TOKEN = "loopback-only"
PATIENCE = 60  # seconds that a step may take at most

SETTINGS = [
    "--no-browser",
    "--allow-root",
    "--ServerApp.ip=127.0.0.1",
    "--ServerApp.port_retries=0",
    "--ServerApp.terminals_enabled=False",
    "--ServerApp.use_redirect_file=False",
    "--ServerApp.custom_display_url=",
    "--LabApp.news_url=None",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    "--LabApp.extension_manager=readonly",
    "--LabApp.expose_app_in_browser=True",
    f"--IdentityProvider.token={TOKEN}",
]

SHOW = """\
import mechviz as mv
view = mv.show_patching(mv.Dot({folder!r}), {query!r}, {doc!r}, mv.perturb.append("volcano lava"))
view"""
SET = "view.selection = {{**view.selection, 'layer': {}, 'head': {}}}"
READ = "print('selected', view.selection['layer'], view.selection['head'], view.result.method)"


def write_notebook(path, cells):
    code = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": []}
    notebook = {
        "cells": [{**code, "id": f"cell-{i}", "source": source} for i, source in enumerate(cells)],
        "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    path.write_text(json.dumps(notebook), encoding="utf-8")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment(home):
    """Nothing of the user's Jupyter is read or changed, and JupyterLab does not look for news."""
    folders = ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR")
    own = {f"JUPYTER_{name}": str(home / name.lower()) for name in folders}
    own |= {f"JUPYTERLAB_{name}": str(home / name.lower()) for name in ("SETTINGS_DIR", "WORKSPACES_DIR")}
    own |= {"IPYTHONDIR": str(home / "ipython"), "JUPYTER_PREFER_ENV_PATH": "1", "MECHVIZ_WAIT": "0"}
    page_config = home / "config_dir" / "labconfig" / "page_config.json"
    page_config.parent.mkdir(parents=True)
    page_config.write_text(json.dumps({"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}))
    return {**os.environ, **own}


@pytest.fixture
def lab(tmp_path):
    """(URL, root folder) of a server on loopback, gone with all its kernels at the end."""
    work, home = tmp_path / "work", tmp_path / "home"
    work.mkdir()
    home.mkdir()
    port, log = free_port(), home / "server.log"
    command = [sys.executable, "-m", "jupyter", "lab", f"--ServerApp.port={port}", f"--ServerApp.root_dir={work}", *SETTINGS]
    with log.open("w") as out:
        server = subprocess.Popen(command, env=environment(home), stdout=out, stderr=out, start_new_session=True, cwd=work)
    try:
        wait_for_server(server, f"http://127.0.0.1:{port}/api/status?token={TOKEN}", log)
        yield f"http://127.0.0.1:{port}", work
    finally:
        end(server)


def wait_for_server(server, url, log):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()
        try:
            opener.open(url, timeout=5).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()}")


def end(server):
    """SIGTERM lets the server end its kernels; what is left of its group is killed."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, sign)
        except ProcessLookupError:
            break
        try:
            server.wait(15)
        except subprocess.TimeoutExpired:
            continue
    server.wait(5)


class Notebook:
    """The notebook that is open in JupyterLab, as JupyterLab itself knows it."""

    def __init__(self, page):
        self.page = page
        page.set_default_timeout(PATIENCE * 1000)
        page.wait_for_function("globalThis.jupyterapp?.shell?.currentWidget?.content?.model?.cells?.length > 0")
        page.evaluate("""() => {
          globalThis.panel = jupyterapp.shell.currentWidget;
          globalThis.cells = () => [...panel.content.model.cells];
        }""")
        page.wait_for_function("panel.sessionContext.session?.kernel?.status === 'idle'")

    def sources(self):
        return self.page.evaluate("cells().map((cell) => cell.sharedModel.getSource())")

    def run(self, index):
        """Run a cell with a key, as a person does, and wait for its end."""
        self.page.evaluate("index => Object.assign(panel.content, { activeCellIndex: index, mode: 'command' }).activate()", index)
        self.page.keyboard.press("Shift+Enter")
        self.page.wait_for_function("i => cells()[i].executionCount !== null && cells()[i].executionState === 'idle'", arg=index)

    def record_what_is_sent(self):
        self.page.evaluate("""() => {
          globalThis.sent = [];
          panel.sessionContext.session.kernel.anyMessage.connect((_, { msg, direction }) => {
            if (direction === "send" && msg.header.msg_type === "comm_msg") sent.push(msg.content.data);
          });
        }""")

    def wait_until_sent(self, layer, head):
        self.page.wait_for_function(
            "([layer, head]) => sent.some(({ state }) => state?.selection?.layer === layer && state.selection.head === head)",
            arg=[layer, head],
        )

    def output(self, index):
        return self.page.evaluate("index => JSON.stringify(cells()[index].outputs.toJSON())", index)


def press_what_would_harm_a_notebook(page, notebook, sources):
    """In JupyterLab's command mode these cut, delete, insert, merge and leave cells."""
    for key in ("x", "d", "d", "a", "b", "m", "Shift+M", "z", "Delete", "Enter", "Escape", "ArrowDown", "ArrowUp", "Home"):
        page.keyboard.press(key)
        assert page.evaluate("document.activeElement.closest('.mechviz') !== null"), f"{key} takes the focus away"
        assert notebook.sources() == sources, f"{key} changes the notebook"


def test_a_notebook_session(lab, open_page, dot_folder, dot):
    url, folder = lab
    own = mv.show_patching(dot, QUERY, DOC, mv.perturb.append("volcano lava"), wait=True)
    held = [(entry["layer"], entry["head"]) for entry in own.spec["attention"]["heads"]]
    missing = next(at for at in np.ndindex(own.result.effects.shape) if at not in held)
    sources = [SHOW.format(folder=str(dot_folder), query=QUERY, doc=DOC), SET.format(*held[2]), READ, "# the last cell"]
    write_notebook(folder / "why.ipynb", sources)
    page = open_page(
        f"{url}/lab/tree/why.ipynb?token={TOKEN}",
        allow_requests=rf"(http|ws)://{re.escape(url.removeprefix('http://'))}/",
        viewport={"width": 1400, "height": 1800},
    )
    notebook = Notebook(page)

    notebook.run(0)
    view = page.locator(".jp-OutputArea .mechviz")
    expect(view.locator(".mv-status")).to_contain_text("exact, 12 cells", timeout=PATIENCE * 1000)
    expect(view.get_by_role("gridcell")).to_have_count(12)
    shown = f"{float(own.result.effects[0, 1]):+.2f}".replace("-", "−")
    expect(cell(view, 0, 1)).to_have_accessible_name(f"layer 0, head 1: {shown}")

    cell(view, *missing).click()
    expect(view.locator(".mv-half")).to_have_count(2)
    expected = edges_of(own, *missing)
    assert {run: drawn_edges(view, run) for run in expected} == expected

    press_what_would_harm_a_notebook(page, notebook, sources)
    assert focused_cell(page) is not None

    notebook.run(1)
    expect(cell(view, *held[2])).to_have_attribute("aria-selected", "true")

    notebook.record_what_is_sent()
    cell(view, *missing).click()
    assert selected_cells(view) == [missing]
    notebook.wait_until_sent(*missing)
    notebook.run(2)
    assert "selected {} {} exact".format(*missing) in notebook.output(2)
    assert notebook.sources() == sources
