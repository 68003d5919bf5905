"""The view of curves: what it sends, what its page and its pictures hold."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

import mechviz as mv
from mechviz.errors import InputError, InputTypeError
from mechviz.views import CurvesView
from tests import golden
from tests.views.test_study_view import data_of


@pytest.fixture
def view():
    return mv.views.curves(golden.golden_curves())


def test_what_it_sends(view):
    assert isinstance(view, CurvesView)
    assert view.spec["panels"] == ["curves"]
    assert view.spec["curves"]["names"] == list(view.curves.curves)
    assert set(view.buffers) == set(view.spec["buffers"]) == {f"curves.{name}" for name in ("value", "low", "high", "points")}
    assert repr(view) == "CurvesView(Curves(2 curves of accuracy (share) by layer, 4 places))"


def test_a_page_holds_every_number(view, tmp_path):
    path = view.to_html(tmp_path / "a.html")
    state, buffers = data_of(path)
    assert state["spec"]["curves"]["places"] == [0, 1, 2, 3.5]
    found = np.frombuffer(buffers["curves.value"], dtype="<f4").reshape(2, 4)
    np.testing.assert_array_equal(found[0], view.curves.curves["probe </script>"].values.astype("<f4"))
    assert "<title>Where it is known - mechviz</title>" in path.read_text(encoding="utf-8")
    hidden, _ = data_of(view.to_html(tmp_path / "b.html", texts=False))
    assert hidden["spec"]["curves"] == state["spec"]["curves"], "no text of a ranker is in it"


def test_pictures(view, tmp_path):
    for theme in ("light", "dark"):
        assert ElementTree.parse(view.to_svg(tmp_path / "a.svg", "curves", theme)).getroot().tag.endswith("svg")
    with pytest.raises(InputError, match="panel='heads'"):
        view.to_svg(tmp_path / "a.svg", "heads")


def test_what_is_no_curves_is_refused():
    with pytest.raises(InputTypeError, match="not 3"):
        mv.views.curves(3)
    with pytest.raises(InputError, match="theme='blue'"):
        mv.views.curves(golden.golden_curves(), theme="blue")
