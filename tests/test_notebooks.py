"""The tutorials run from top to bottom, as a reader would run them; their exercises can be solved; their gallery is there."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from notebooks import badges, make_gallery
from notebooks.tutorials import FOLDER, read, source, tagged, title, tutorials

NOTEBOOKS = tutorials()
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def test_there_are_thirteen_tutorials():
    assert [path.name[:3] for path in NOTEBOOKS] == [f"{number:02}_" for number in range(1, 14)]


@each
def test_a_tutorial_has_what_a_reader_expects(path):
    notebook = read(path)
    cells = notebook["cells"]
    code = [number for number, cell in enumerate(cells) if cell["cell_type"] == "code"]
    assert re.search(r"^By the end you can ", source(cells[0]), re.MULTILINE)
    assert tagged(notebook, "install") == code[:1]
    assert not any(cells[number]["outputs"] or cells[number]["execution_count"] for number in code), "committed without outputs"
    assert len({cell["id"] for cell in cells}) == len(cells)
    # Nothing is fetched: the one thing that a tutorial may ask for is the package, by its name alone.
    assert not any("://" in source(cells[number]) for number in code)


@each
def test_every_exercise_has_an_answer_and_a_wrong_one(path):
    notebook = read(path)
    (exercise,), (answers,) = tagged(notebook, "exercise"), tagged(notebook, "answers")
    asked = re.findall(r"^answer_(\d) = None$", source(notebook["cells"][exercise]), re.MULTILINE)
    hidden = notebook["cells"][answers]["metadata"]
    assert answers == exercise + 1 == len(notebook["cells"]) - 1
    assert 2 <= len(asked) <= 4
    assert len(asked) == len(hidden["mechviz"]["right"]) == len(hidden["mechviz"]["wrong"])
    assert hidden["jupyter"] == {"source_hidden": True}
    assert "hide-input" in hidden["tags"]


@each
def test_a_tutorial_runs_and_its_exercises_are_checked(path, monkeypatch, tmp_path):
    nbformat = pytest.importorskip("nbformat", reason="jupyterlab is not installed (requirements/dev.txt)")
    from nbclient import NotebookClient

    monkeypatch.setenv("MECHVIZ_WAIT", "1")
    monkeypatch.delenv("MECHVIZ_DATA", raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # a kernel is ended, and leaves what it wrote
    notebook = nbformat.read(path, as_version=4)
    own = list(notebook.cells)
    checking = own[-1]
    for kind in ("right", "wrong"):
        filled = [f"answer_{number} = {text}" for number, text in enumerate(checking.metadata["mechviz"][kind], 1)]
        notebook.cells.append(nbformat.v4.new_code_cell("\n".join([*filled, checking.source])))
    notebook.cells += [nbformat.v4.new_code_cell(_with_published(cell.source, tmp_path)) for cell in own if _reads_data(cell)]
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert any("image/svg+xml" in output.get("data", {}) for cell in own if cell.cell_type == "code" for output in cell.outputs)
    unanswered, right, wrong = (_verdicts(cell) for cell in (checking, *notebook.cells[len(own) : len(own) + 2]))
    assert unanswered == ["not answered yet"] * len(right)
    assert right == ["right"] * len(right)
    assert not {"right", "not answered yet"} & set(wrong)
    for cell in own:
        if _reads_data(cell):
            assert "".join(output.get("text", "") for output in cell.outputs).startswith("skipped: ")
            assert sum("image/svg+xml" in output.get("data", {}) for output in notebook.cells[-1].outputs) == 2


def _verdicts(cell):
    text = "".join(output.get("text", "") for output in cell.outputs if output.get("name") == "stdout")
    return [line.partition(". ")[2] for line in text.splitlines()]


def _reads_data(cell):
    return cell.cell_type == "code" and "MECHVIZ_DATA" in cell.source


def _with_published(code, folder):
    """Return the cell once more, with published grids there."""
    (folder / "published").mkdir()
    np.save(folder / "published" / "some-tas_b_TFC1_4000_all.npy", np.linspace(-0.1, 0.1, 72, dtype=np.float32).reshape(6, 12))
    return f"import os\n\nos.environ['MECHVIZ_DATA'] = {str(folder)!r}\n{code}"


# -- badges --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def copied(tmp_path):
    shutil.copy(NOTEBOOKS[0], tmp_path)
    return tmp_path / NOTEBOOKS[0].name


def _project(folder, urls):
    path = folder / "pyproject.toml"
    path.write_text("[project]\nname = 'x'\n" + ("[project.urls]\n" + urls if urls else ""))
    return path


def test_no_address_no_badge(copied):
    before = copied.read_bytes()
    assert badges.write_badges(copied.parent, _project(copied.parent, "")) == []
    assert badges.write_badges(copied.parent, _project(copied.parent, "Documentation = 'https://example.org/docs'\n")) == []
    assert copied.read_bytes() == before


def test_a_badge_comes_moves_and_goes(copied):
    folder, before = copied.parent, badges.with_badge(source(read(copied)["cells"][0]), copied.name, None)
    for url, leads_to in (("https://github.com/one/two", "one/two"), ("https://github.com/three/f.o-ur.git", "three/f.o-ur")):
        project = _project(folder, f"Docs = 'https://example.org'\nSource = '{url}'\n")
        assert badges.write_badges(folder, project) == [copied]
        assert badges.write_badges(folder, project) == []
        lines = source(read(copied)["cells"][0]).splitlines()
        assert lines[2].count(f"/github/{leads_to}/blob/main/notebooks/{copied.name})") == 1
        assert sum("colab" in line for line in lines) == 1
    assert badges.write_badges(folder, _project(folder, "")) == [copied]
    assert source(read(copied)["cells"][0]) == before


def test_a_first_cell_of_one_line_takes_a_badge_too():
    assert badges.with_badge(badges.with_badge("# T", "t.ipynb", ("a", "b")), "t.ipynb", None) == "# T"


def test_badges_are_those_of_the_project():
    of = badges.repository(FOLDER.parent / "pyproject.toml")
    for path in NOTEBOOKS:
        text = source(read(path)["cells"][0])
        assert badges.with_badge(text, path.name, of) == text, "python notebooks/badges.py"


# -- gallery -------------------------------------------------------------------------------------------------------------


@each
def test_a_tutorial_says_what_the_gallery_shows_of_it(path):
    notebook = read(path)
    about = notebook["metadata"]["mechviz"]
    assert len(tagged(notebook, "gallery")) == 1
    assert about["line"].endswith(".")
    assert 1 <= len(re.findall(r"[.!?](?: |$)", about["shows"])) <= 2


def test_the_gallery_has_a_page_of_every_tutorial_and_is_small():
    files = {path.name: path for path in make_gallery.OUT.iterdir()}
    assert set(files) == {"index.html", *(f"{path.stem}.html" for path in NOTEBOOKS)}, "make gallery"
    assert sum(path.stat().st_size for path in files.values()) < make_gallery.CAP
    first = files["index.html"].read_text()
    for path in NOTEBOOKS:
        assert f'href="{path.stem}.html"' in first
        assert title(read(path)) in first
        page = files[f"{path.stem}.html"].read_text()
        assert "data-mechviz" in page
        assert f"{Path.home()}/" not in page
        assert "/tmp/" not in page


def test_the_gallery_of_one_small_notebook(tmp_path, monkeypatch):
    pytest.importorskip("nbformat", reason="jupyterlab is not installed (requirements/dev.txt)")
    monkeypatch.setenv("MECHVIZ_WAIT", "1")
    draw = "import mechviz as mv\n_ = 1\nmv.views.from_arrays(None, ['x'], effects=[[0.5, -0.2]])"
    cells = [("markdown", "# Tiny <b>\n\nText", []), ("code", draw, ["gallery"]), ("code", "raise ValueError", [])]
    notebook = {
        "cells": [
            {"cell_type": kind, "id": f"cell-{number}", "metadata": {"tags": tags}, "source": text}
            | ({"execution_count": None, "outputs": []} if kind == "code" else {})
            for number, (kind, text, tags) in enumerate(cells)
        ],
        "metadata": {"mechviz": {"line": "A line.", "shows": "A grid & more."}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    (tmp_path / "01_tiny.ipynb").write_text(json.dumps(notebook))
    files = make_gallery.build(tmp_path / "out", tmp_path)
    page, first = (Path(file).read_text() for file in files)
    assert [file.name for file in files] == ["01_tiny.html", "index.html"]
    assert "<h1>Tiny &lt;b&gt;</h1>" in page
    assert "A grid &amp; more." in page
    assert "A line." in first
    assert first.count("data:image/svg+xml,") == 2
    monkeypatch.setattr(make_gallery, "CAP", 1000)
    monkeypatch.setattr(
        make_gallery,
        "run",
        lambda path: make_gallery.Entry("01_x", "x", "x", "x", files[0].read_text(), dict.fromkeys(make_gallery.THEMES, "")),
    )
    with pytest.raises(ValueError, match="over 0"):
        make_gallery.build(tmp_path / "out", tmp_path)
    assert files[1].read_text() == first
