"""The views of what probes find: what they send, what they answer, what their pages and pictures hold."""

import json
import xml.etree.ElementTree as ElementTree

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from mechviz import snapshot, views
from mechviz.errors import InputError, InputTypeError, MechvizError
from mechviz.results import Atlas, AttributionTree
from tests import golden
from tests import golden_probes as made
from tests.views.test_study_view import asked, data_of

MAKE = {
    "passages": lambda: views.passages(made.golden_passages()),
    "tree": lambda: views.tree(made.golden_tree()),
    "relation": lambda: views.relation(made.golden_relation()),
    "tensor": lambda: views.tensor(made.golden_tensor(), "An array"),
    "atlas": lambda: views.atlas(made.golden_atlas()),
}
KINDS = pytest.mark.parametrize("kind", MAKE)


@KINDS
def test_each_is_drawn_by_the_second_bundle(kind, tmp_path):
    view = MAKE[kind]()
    assert view.spec["kind"] == kind
    assert view.spec["panels"] == [kind]
    assert set(view.buffers) == set(view.spec["buffers"])
    json.dumps(view.spec, allow_nan=False)
    assert str(view._esm) == snapshot.bundle(snapshot.PROBES)
    assert str(view._css) == snapshot.stylesheet(snapshot.PROBES)
    page = view.to_html(tmp_path / "a.html").read_text(encoding="utf-8")
    whole = json.loads(page.split('<script type="application/json" data-mechviz>')[1].split("</script>")[0])
    assert whole["bundle"] == snapshot.bundle(snapshot.PROBES) != snapshot.bundle()
    assert whole["css"] == snapshot.stylesheet(snapshot.PROBES)


@KINDS
def test_pictures_and_frames(kind, tmp_path):
    view = MAKE[kind]()
    for theme in ("light", "dark"):
        assert ElementTree.parse(view.to_svg(tmp_path / "a.svg", kind, theme)).getroot().tag.endswith("svg")
    with pytest.raises(InputError, match="panel='heads'"):
        view.to_svg(tmp_path / "a.svg", "heads")
    assert "<iframe" in view.static()._repr_html_()
    data, _ = view._repr_mimebundle_()
    assert "<svg" in data["image/svg+xml"]


@KINDS
def test_what_is_something_else_is_refused(kind):
    with pytest.raises(InputTypeError, match=f"{kind} draws an? .*, not 3"):
        getattr(views, kind)(3)
    with pytest.raises(InputError, match="theme='blue'"):
        getattr(views, kind)(getattr(made, f"golden_{kind}")(), theme="blue")


@KINDS
def test_a_page_without_texts_has_no_buffer_that_holds_them(kind, tmp_path):
    state, buffers = data_of(MAKE[kind]().to_html(tmp_path / "a.html", texts=False))
    assert set(buffers) == set(state["spec"]["buffers"])
    assert "atlas.labels" not in buffers
    assert made.HOSTILE not in json.dumps(state["spec"])


def test_passages_may_have_curves_below_them(tmp_path):
    view = views.passages(made.golden_passages(), curves=golden.golden_curves())
    assert view.spec["panels"] == ["passages", "curves"]
    assert "curves.value" in view.buffers
    assert "data-curve" in view.to_svg(tmp_path / "a.svg", "curves").read_text()
    assert "data-piece" in view.to_svg(tmp_path / "a.svg").read_text()
    with pytest.raises(InputTypeError, match="a Curves, not 3"):
        views.passages(made.golden_passages(), curves=3)


# -- the tree


def grown(node):
    """The tree with one node below ``MLP 0``."""
    tree = made.golden_tree()
    below = tree.nodes.iloc[[2]].assign(id=8, parent=2, label="neuron 0.7", state="leaf")
    nodes = tree.nodes.copy()
    nodes.loc[nodes["id"] == 2, "state"] = "open"
    return AttributionTree(pd.concat([nodes, below], ignore_index=True), tree.title, tree.tokens)


def test_a_closed_node_is_opened_by_the_kernel_and_all_views_follow(monkeypatch, tmp_path):
    calls = []
    view = views.tree(made.golden_tree(), expand=lambda node: calls.append(node) or grown(node))
    content, _ = asked(view, monkeypatch, {"type": "expand", "node": 2})
    assert content["key"] == "expand.2"
    assert [node["label"] for node in view.spec["tree"]["nodes"]][-1] == "neuron 0.7"
    assert len(view.tree.nodes) == 9
    asked(view, monkeypatch, {"type": "expand", "node": 2})
    assert calls == [2], "open already: nothing is computed again"
    content, _ = asked(view, monkeypatch, {"type": "expand", "node": 99})
    assert "there is no node 99" in content["message"]
    state, _ = data_of(view.to_html(tmp_path / "a.html"))
    assert len(state["spec"]["tree"]["nodes"]) == 9
    assert state["spec"]["tree"]["opens"] is False, "a page has no kernel"
    assert view.spec["tree"]["opens"] is True


def test_a_tree_without_a_function_opens_nothing(monkeypatch):
    view = MAKE["tree"]()
    assert view.spec["tree"]["opens"] is False
    with pytest.raises(MechvizError, match="pass expand="):
        view.expand(2)
    content, _ = asked(view, monkeypatch, {"type": "expand", "node": 2})
    assert "pass expand=" in content["message"]
    with pytest.raises(InputTypeError, match="expand=3"):
        views.tree(made.golden_tree(), expand=3)


# -- the relation


def test_of_many_candidates_the_likeliest_are_sent_and_a_page_holds_more(monkeypatch, tmp_path):
    monkeypatch.setattr("mechviz.views.relation_view.LIVE_BYTES", 2 * 4 * 12)
    view = MAKE["relation"]()
    assert (view.spec["relation"]["n"], view.spec["relation"]["of"]) == (2, 3)
    assert view.spec["buffers"]["relation.pairs"]["shape"] == [2, 2]
    state, buffers = data_of(view.to_html(tmp_path / "a.html"))
    assert state["spec"]["relation"]["n"] == 3
    assert len(buffers["relation.pairs"]) == 3 * 2 * 4


# -- the array


def large():
    return xr.DataArray(np.arange(3 * 5 * 300 * 200, dtype="f4").reshape(3, 5, 300, 200), dims=("a", "b", "c", "d"))


def test_a_large_array_stays_in_the_kernel_and_is_read_as_it_is_looked_at(monkeypatch):
    view = views.tensor(large())
    assert view.spec["tensor"]["whole"] is False
    assert set(view.buffers) == {"slice.facet,0,y,x.values"}
    roles = {"a": "mean", "b": 4, "c": "x", "d": "max"}
    content, (data,) = asked(view, monkeypatch, {"type": "slice", "roles": roles})
    assert content["key"] == "slice.mean,4,x,max"
    found = np.frombuffer(data, dtype="<f4").reshape(content["buffers"][f"{content['key']}.values"]["shape"])
    np.testing.assert_allclose(found[0, 0], large().values[:, 4].mean(0).max(1), rtol=1e-6)
    np.testing.assert_array_equal(view.reduced(**roles), found)
    content, _ = asked(view, monkeypatch, {"type": "slice", "roles": {"a": "x"}})
    assert "the dims are" in content["message"]


def test_a_page_holds_the_first_view_of_a_large_array_at_as_many_indices_as_fit(tmp_path):
    state, buffers = data_of(views.tensor(large()).to_html(tmp_path / "a.html"))
    assert state["spec"]["tensor"]["whole"] is False
    assert set(buffers) == {f"slice.facet,{at},y,x.values" for at in range(3)}
    middle = large()[:2]
    state, buffers = data_of(views.tensor(middle).to_html(tmp_path / "b.html"))
    assert state["spec"]["tensor"]["whole"] is True
    np.testing.assert_array_equal(np.frombuffer(buffers["tensor.values"], "<f4"), middle.values.ravel())


@pytest.mark.parametrize(
    ("array", "error", "message"),
    [
        (np.zeros((2, 2)), InputTypeError, "name its dims"),
        (xr.DataArray(["a"], dims="x"), InputTypeError, "draws numbers"),
        (xr.DataArray(np.zeros([1] * 7)), InputError, "give 1 to 6 dims"),
        (xr.DataArray(0.0), InputError, "give 1 to 6 dims"),
        (xr.DataArray(np.zeros((0, 2)), dims=("a", "b")), InputError, "at least one place"),
        (xr.DataArray([np.inf], dims="x"), InputError, "holds inf"),
    ],
)
def test_arrays_that_cannot_be_drawn(array, error, message):
    with pytest.raises(error, match=message):
        views.tensor(array)


# -- the atlas


def crowd(n=40_000, layers=6):
    generator = np.random.default_rng(0)
    points = made.golden_atlas().points.iloc[np.zeros(n, dtype=int)].reset_index(drop=True).assign(label="x" * 100)
    layout = xr.DataArray(generator.normal(size=(layers, n, 2)).astype("f4"), dims=("layer", "point", "axis"))
    cells = made.golden_atlas().cells.iloc[:0]
    return Atlas(layout, points, cells, 20, "token", "PCA", xr.DataArray(np.full(layers, 0.5), dims="layer"))


def test_of_many_points_a_layer_is_sent_when_it_is_asked_for(monkeypatch):
    view = views.atlas(crowd())
    assert [key for key in view.spec["held"] if key.startswith("layer.")] == ["layer.5"]
    assert len(view.buffers["atlas.labels"]) < 61 * 40_000 + 3 * 40_000
    content, (data,) = asked(view, monkeypatch, {"type": "layer", "layer": 2})
    assert content["key"] == "layer.2"
    np.testing.assert_array_equal(np.frombuffer(data, "<f4").reshape(-1, 2), view.atlas.layout.values[2])
    content, _ = asked(view, monkeypatch, {"type": "layer", "layer": 6})
    assert "a number below 6" in content["message"]
    few = MAKE["atlas"]()
    assert [key for key in few.spec["held"] if key.startswith("layer.")] == ["layer.0", "layer.1"]


def test_a_page_holds_layers_evenly_the_last_one_always(tmp_path):
    state, buffers = data_of(views.atlas(crowd(100_000, 9)).to_html(tmp_path / "a.html"))
    held = sorted(int(key.split(".")[1]) for key in state["spec"]["held"] if key.startswith("layer."))
    assert held == [0, 3, 5, 8]
    assert len(buffers["layer.8.at"]) == 4 * 100_000
    assert (tmp_path / "a.html").stat().st_size < snapshot.SIZE_CAP


def test_a_search_can_be_given():
    assert views.atlas(made.golden_atlas(), find="rock").spec["atlas"]["find"] == "rock"
    with pytest.raises(InputTypeError, match="find=3"):
        views.atlas(made.golden_atlas(), find=3)
