"""The notebooks run from top to bottom, as a reader would run them."""

from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, minilm, monkeypatch):
    nbformat = pytest.importorskip("nbformat", reason="jupyterlab is not installed (requirements/dev.txt)")
    from nbclient import NotebookClient

    monkeypatch.setenv("MECHVIZ_WAIT", "1")
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    assert not any(cell.get("outputs") for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"), (
        "notebooks are committed without outputs"
    )
    shown = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any("image/svg+xml" in output.get("data", {}) for output in shown)
