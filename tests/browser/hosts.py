"""Real notebook hosts on loopback: how one is started and ended, and what their pages have in common."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager

import numpy as np
import pytest
from playwright.sync_api import expect

import mechviz as mv
from tests.browser.page import cell, drawn_edges, edges_of, focused_cell, selected_cells

QUERY = "why are hot springs warm"
DOC = "Hot springs are warm because water is heated by rock and rises again through cracks."
TOKEN = "loopback-only"
PATIENCE = 60  # seconds that a step may take at most

JUPYTER_SETTINGS = [
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
    "--JupyterNotebookApp.expose_app_in_browser=True",
    f"--IdentityProvider.token={TOKEN}",
]

#: Where an application shows a notebook.
PLACES = {"lab": "lab/tree", "notebook": "notebooks"}
#: What an application logs of itself, also with no view in sight: Notebook 7.6 stumbles over its own settings.
OWN_ERRORS = {"lab": None, "notebook": r"reading 'schema'\)[\s\S]*/static/notebook/notebook_core"}

SHOW = """\
import mechviz as mv
view = mv.show_patching(mv.Dot({folder!r}), {query!r}, {doc!r}, mv.perturb.append("volcano lava"))
view"""
SET = "view.selection = {{**view.selection, 'layer': {}, 'head': {}}}"
READ = "print('selected', view.selection['layer'], view.selection['head'], view.result.method)"


def show_cell(folder):
    """The cell that makes and shows a view with the ranker of a folder."""
    return SHOW.format(folder=str(folder), query=QUERY, doc=DOC)


def write_notebook(path, cells):
    code = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": []}
    notebook = {
        "cells": [{**code, "id": f"cell-{i}", "source": source} for i, source in enumerate(cells)],
        "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    path.write_text(json.dumps(notebook), encoding="utf-8")


def loopback_only(url):
    """The regular expression of the requests that a page of a server may make."""
    return rf"(http|ws)://{re.escape(url.removeprefix('http://'))}/"


@contextmanager
def serve(command, env, folder, log, ready="/"):
    """Run ``command(port)`` on a free port of loopback and give its URL; at the end its whole process group is gone."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with log.open("w") as out:
        server = subprocess.Popen(command(port), env=env, stdout=out, stderr=out, start_new_session=True, cwd=folder)
    try:
        wait_for_server(server, f"{url}{ready}", log)
        yield url
    finally:
        end(server)


@contextmanager
def jupyter(app, folder):
    """(URL, root folder) of ``lab`` or ``notebook``, which live in a new folder of a test and know no other."""
    work, home = folder / "work", folder / "home"
    work.mkdir()
    home.mkdir()

    def command(port):
        python = [sys.executable, "-m", "jupyter", app]
        return [*python, f"--ServerApp.port={port}", f"--ServerApp.root_dir={work}", *JUPYTER_SETTINGS]

    with serve(command, jupyter_environment(home), work, home / "server.log", f"/api/status?token={TOKEN}") as url:
        yield url, work


def jupyter_environment(home, **more):
    """Nothing of the user's Jupyter is read or changed, and JupyterLab does not look for news."""
    folders = ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR")
    own = {f"JUPYTER_{name}": str(home / name.lower()) for name in folders}
    own |= {f"JUPYTERLAB_{name}": str(home / name.lower()) for name in ("SETTINGS_DIR", "WORKSPACES_DIR")}
    own |= {"IPYTHONDIR": str(home / "ipython"), "JUPYTER_PREFER_ENV_PATH": "1", "MECHVIZ_WAIT": "0"}
    page_config = home / "config_dir" / "labconfig" / "page_config.json"
    page_config.parent.mkdir(parents=True)
    page_config.write_text(json.dumps({"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}))
    return {**os.environ, **own, **more}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


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
    pytest.fail(f"{url} did not answer:\n{log.read_text()}")


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
    """The notebook that is open in JupyterLab or Notebook 7, as the application itself knows it."""

    def __init__(self, page, kernel=True):
        self.page = page
        page.set_default_timeout(PATIENCE * 1000)
        page.wait_for_function("globalThis.jupyterapp?.shell?.currentWidget?.content?.model?.cells?.length > 0")
        page.evaluate("""async () => {
          globalThis.panel = jupyterapp.shell.currentWidget;
          globalThis.cells = () => [...panel.content.model.cells];
          await panel.context.ready;
        }""")
        if kernel:
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


def open_notebook(open_page, app, url, name, kernel=True, allow_errors=None):
    """The page of a notebook in an application, and what the application knows of it."""
    page = open_page(
        f"{url}/{PLACES[app]}/{name}?token={TOKEN}&reset",  # no tab of an earlier page
        allow_errors=allow_errors or OWN_ERRORS[app],
        allow_requests=loopback_only(url),
        viewport={"width": 1400, "height": 1800},
    )
    return page, Notebook(page, kernel)


class Expected:
    """What a host should show of `show_cell`, computed in this process."""

    def __init__(self, dot):
        self.view = mv.show_patching(dot, QUERY, DOC, mv.perturb.append("volcano lava"), wait=True)
        #: Heads whose lines travel with the view, and one whose lines the kernel has to send.
        named = re.findall(r"attention\.(?:\w+\.)?(\d+)\.(\d+)\.base\.weight", "\n".join(self.view.buffers))
        self.held = [(int(layer), int(head)) for layer, head in named]
        self.missing = next(at for at in np.ndindex(self.view.result.effects.shape) if at not in self.held)

    def check_drawn(self, view):
        done = f"exact, {self.view.progress['total']} cells"
        expect(view.locator(".mv-status")).to_contain_text(done, timeout=PATIENCE * 1000)
        shown = f"{float(self.view.result.effects[0, 1]):+.2f}".replace("-", "−")
        expect(cell(view, 0, 1)).to_have_accessible_name(f"layer 0, head 1: {shown}")

    def check_lines(self, view, layer, head):
        """A click on a head draws its lines: all or the strongest of them, as the view has it."""
        cell(view, layer, head).click()
        expect(view.locator(".mv-half")).to_have_count(2)
        for run, edges in edges_of(self.view, layer, head).items():
            drawn = drawn_edges(view, run)
            assert drawn, f"no lines of {run}"
            assert drawn <= edges, f"lines of {run} that its head does not have: {drawn - edges}"


def play_a_session(app, server, open_page, dot_folder, dot):
    """A notebook whose cells make a view, move its selection and read it back, in an application of Jupyter."""
    url, work = server
    expected = Expected(dot)
    chosen, missing = expected.held[2], expected.missing
    sources = [show_cell(dot_folder), SET.format(*chosen), READ, "# the last cell"]
    write_notebook(work / "why.ipynb", sources)
    page, notebook = open_notebook(open_page, app, url, "why.ipynb")

    notebook.run(0)
    view = page.locator(".jp-OutputArea .mechviz")
    expected.check_drawn(view)
    expected.check_lines(view, *missing)
    press_what_would_harm_a_notebook(page, notebook)

    notebook.run(1)
    expect(cell(view, *chosen)).to_have_attribute("aria-selected", "true")

    notebook.record_what_is_sent()
    cell(view, *missing).click()
    assert selected_cells(view) == [missing]
    notebook.wait_until_sent(*missing)
    notebook.run(2)
    assert "selected {} {} exact".format(*missing) in notebook.output(2)
    assert notebook.sources() == sources


def press_what_would_harm_a_notebook(page, notebook):
    """In a notebook's command mode these cut, delete, insert, merge and leave cells; a view must keep them to itself."""
    sources = notebook.sources()
    for key in ("x", "d", "d", "a", "b", "m", "Shift+M", "z", "Delete", "Enter", "Escape", "ArrowDown", "ArrowUp", "Home"):
        page.keyboard.press(key)
        assert page.evaluate("document.activeElement.closest('.mechviz') !== null"), f"{key} takes the focus away"
        assert notebook.sources() == sources, f"{key} changes the notebook"
    assert focused_cell(page) is not None
