"""What is left of a view in a notebook that was executed to a file: as HTML offline, and in JupyterLab without its kernel."""

import subprocess
import sys

import nbformat
import pytest
from nbconvert import HTMLExporter
from nbformat.sign import NotebookNotary
from playwright.sync_api import expect

from tests.browser.hosts import PATIENCE, Expected, jupyter, jupyter_environment, open_notebook, show_cell, write_notebook

pytestmark = [pytest.mark.browser, pytest.mark.lab]

INLINE = "view.static()"

#: What nbconvert's own page asks for; there is no network in these tests.
CDN = r"https://(cdnjs\.cloudflare\.com/ajax/libs/(require\.js|mathjax)/|unpkg\.com/@jupyter-widgets/html-manager@)"


@pytest.fixture(scope="module")
def executed(tmp_path_factory, dot_folder):
    """The notebook that `jupyter nbconvert --execute` leaves: a view, and the page inside a cell."""
    folder = tmp_path_factory.mktemp("executed")
    write_notebook(folder / "source.ipynb", [show_cell(dot_folder), INLINE])
    convert = [sys.executable, "-m", "jupyter", "nbconvert", "--execute", "--to=notebook", "--output=executed"]
    env = jupyter_environment(folder / "home", MECHVIZ_WAIT="1")
    subprocess.run([*convert, "source.ipynb"], cwd=folder, env=env, check=True, capture_output=True, timeout=PATIENCE)
    return nbformat.read(folder / "executed.ipynb", as_version=4)


@pytest.fixture
def html(executed, open_page, tmp_path):
    """The notebook as HTML, opened offline."""
    path = tmp_path / "notebook.html"
    path.write_text(HTMLExporter().from_notebook_node(executed)[0], encoding="utf-8")
    return open_page(path.as_uri(), allow_errors="ERR_INTERNET_DISCONNECTED", allow_requests=CDN, offline=True)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    with jupyter("lab", folder) as (url, work):
        yield url, work, NotebookNotary(data_dir=str(folder / "home" / "data_dir"))


@pytest.fixture
def reopened(lab, executed, trusted, open_page):
    """The notebook in JupyterLab, where the kernel that made the view is gone."""
    url, work, notary = lab
    name = f"{'trusted' if trusted else 'untrusted'} {len(list(work.iterdir()))}.ipynb"
    notebook = nbformat.from_dict(executed)
    notebook.metadata["title"] = name  # trust goes by content
    nbformat.write(notebook, work / name)
    if trusted:
        notary.sign(nbformat.read(work / name, as_version=4))
    page, _ = open_notebook(open_page, "lab", url, name, kernel=False, allow_errors="widget model not found")
    page.wait_for_function("trusted => cells().every((cell) => cell.trusted === trusted)", arg=trusted)
    return page


def outputs(page):
    return page.locator(".jp-OutputArea-output:not([data-mime-type^='application/vnd.jupyter.std'])")


def check_page_inside(output, expected):
    """The one-file page draws itself inside its frame, and answers a click."""
    view = output.frame_locator("iframe").locator(".mechviz")
    expected.check_drawn(view)
    expected.check_lines(view, *expected.held[2])


def shows_picture(output):
    """A still picture of the heads, with its words: an SVG where that is let through, else a PNG."""
    picture = output.locator("img, svg").first
    expect(picture).to_be_visible()
    assert picture.evaluate("node => node.getBoundingClientRect().width") > 200


def test_html_shows_the_picture_and_the_page_inside_a_cell(html, dot):
    shows_picture(outputs(html).first)
    check_page_inside(outputs(html).nth(1), Expected(dot))


@pytest.mark.parametrize("trusted", [True])
def test_a_trusted_notebook_shows_the_picture_and_the_page_inside_a_cell(reopened, dot):
    shows_picture(outputs(reopened).first)
    check_page_inside(outputs(reopened).nth(1), Expected(dot))


@pytest.mark.parametrize("trusted", [False])
def test_a_notebook_that_is_not_trusted_shows_pictures(reopened):
    shows_picture(outputs(reopened).first)
    shows_picture(outputs(reopened).nth(1))
    expect(reopened.locator("iframe[srcdoc]")).to_have_count(0)


def test_the_cell_holds_no_widget_but_two_pictures(executed):
    shown, framed = (cell["outputs"][-1]["data"] for cell in executed["cells"])
    assert set(shown) == {"text/plain", "image/svg+xml", "image/png"}
    assert "PatchResult(heads, exact" in shown["text/plain"]
    assert set(framed) == {"text/plain", "text/html"}
