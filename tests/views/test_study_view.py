"""The view of a study: what it sends, what it answers, what its page holds."""

import base64
import gzip
import json
import threading
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

import mechviz as mv
from mechviz.errors import InputError, InputTypeError
from mechviz.views import PatchingView, StudyView
from mechviz.views.reader import Layers
from tests import golden, many_pairs


def opener(number):
    return PatchingView(golden.golden_result(), Layers({"doc": golden.patterns}))


@pytest.fixture
def view():
    return StudyView(many_pairs.study((3, 4), 60), opener)


def asked(view, monkeypatch, message):
    """Send a message as the browser does and return the answer."""
    sent = []
    monkeypatch.setattr(view, "send", lambda content, buffers=(): sent.append((content, list(buffers))))
    before = set(threading.enumerate())
    view._receive(view, {"id": 7, **message}, [])
    for thread in set(threading.enumerate()) - before:
        thread.join()
    ((content, buffers),) = sent
    return content, buffers


def data_of(path):
    """The state that a page holds, and its buffers by name."""
    text = path.read_text(encoding="utf-8")
    data = json.loads(text.split('<script type="application/json" data-mechviz>')[1].split("</script>")[0])
    state = data["state"]
    whole = gzip.decompress(base64.b64decode(state["packed"]["data"]))
    named, at = {}, 0
    for _, name, length in state["packed"]["index"]:
        named[name] = whole[at : at + length]
        at += length
    return state, named


def test_panels_are_those_that_have_something_to_show():
    assert StudyView(many_pairs.study((2, 2), 9)).spec["panels"] == ["heads", "changes", "groups", "covariates", "pairs"]
    assert StudyView(many_pairs.classes_study()).spec["panels"][0] == "cells"
    bare = many_pairs.study((2, 2), 9, groups={}, covariates=None)
    assert StudyView(bare).spec["panels"] == ["heads", "changes", "pairs"]
    assert StudyView(bare, panels=["pairs", "heads"]).spec["panels"] == ["pairs", "heads"]
    with pytest.raises(InputError, match="panels=\\['groups'\\]; this view has 'heads', 'changes', 'pairs'"):
        StudyView(bare, panels=["groups"])


def test_it_opens_at_the_strongest_head(view):
    effects = np.abs(view.summary.cells["effect"].values)
    assert (view.selection["layer"], view.selection["head"]) == np.unravel_index(effects.argmax(), effects.shape)
    view.selection = {"layer": 2, "head": 3}
    with pytest.raises(InputError, match="selection"):
        view.selection = {"layer": 3, "head": 0}


def test_a_pair_opens_whole(view, monkeypatch):
    content, buffers = asked(view, monkeypatch, {"type": "open", "number": 5})
    assert (content["type"], content["id"], content["key"]) == ("answer", 7, "pair.5")
    own = opener(5)
    entry = content["entry"]
    assert entry["spec"]["query"] == own.spec["query"]
    assert entry["spec"]["texts"] == own.spec["texts"]
    named = {tuple(part): data for part, data in zip(entry["parts"], buffers, strict=True)}
    for name, data in own.cells.items():
        assert named["cells", name] == data
    assert {name for part, name in entry["parts"] if part == "buffers"} == set(entry["spec"]["buffers"])
    assert list(view.opened) == [5]


def test_the_ranker_runs_once_for_a_pair(monkeypatch):
    ran = []
    view = StudyView(many_pairs.study((2, 2), 9), lambda number: ran.append(number) or opener(number))
    for number in (4, 2, 4):
        asked(view, monkeypatch, {"type": "open", "number": number})
    assert ran == [4, 2]
    assert list(view.opened) == [2, 4], "the latest last"


def test_what_an_open_pair_asks_for_is_answered_by_its_own_view(view, monkeypatch):
    asked(view, monkeypatch, {"type": "open", "number": 5})
    message = {"type": "attention", "stack": "doc", "layer": 1, "head": 3, "id": 1}
    content, buffers = asked(view, monkeypatch, {"type": "inside", "number": 5, "message": message, "id": "5:1"})
    own, own_buffers = asked(view.opened[5], monkeypatch, message)
    assert content == {**own, "id": "5:1"}
    assert buffers == own_buffers
    closed, _ = asked(view, monkeypatch, {"type": "inside", "number": 6, "message": message, "id": "6:1"})
    assert closed["type"] == "error"
    assert "open it again" in closed["message"]


@pytest.mark.parametrize(
    ("made", "number", "words"),
    [
        (None, 3, "without an opener"),
        (opener, 999, "number=999; no pair"),
        (lambda number: 1 / 0, 3, "ZeroDivisionError"),
        (lambda number: "a view", 3, r"opener(3) returned 'a view'"),
    ],
)
def test_what_goes_wrong_is_told_in_the_view(monkeypatch, made, number, words):
    view = StudyView(many_pairs.study((2, 2), 9), made)
    content, _ = asked(view, monkeypatch, {"type": "open", "number": number})
    assert content["type"] == "error"
    assert words in content["message"]
    assert view.opened == {}


def test_a_page_holds_what_was_opened(view, tmp_path):
    view.open_pair(3)
    state, named = data_of(view.to_html(tmp_path / "a.html", opened=[8]))
    assert {key for key in state["spec"]["held"] if key.startswith("pair.")} == {"pair.3", "pair.8"}
    for name, data in opener(3).cells.items():
        assert named[f"pair.3.cells.{name}"] == data
    np.testing.assert_array_equal(np.frombuffer(named["pairs.number"], "<i4"), view.summary.pairs["number"])
    with pytest.raises(InputError, match="number=61"):
        view.to_html(tmp_path / "b.html", opened=[61])


def test_a_full_page_leaves_out_the_pairs_that_were_opened_first(view, tmp_path, monkeypatch):
    monkeypatch.setattr(mv.views.opening, "_PAGE_PAIRS", 1)
    with pytest.warns(UserWarning, match="leaves out 2, 1"):
        path = view.to_html(tmp_path / "a.html", opened=[1, 2, 3])
    assert [key for key in data_of(path)[0]["spec"]["held"] if key.startswith("pair.")] == ["pair.3"]


def test_a_page_without_texts_holds_no_word_of_pairs_and_opened_pairs(view, tmp_path):
    path = view.to_html(tmp_path / "a.html", texts=False, opened=[3])
    text = json.dumps(data_of(path)[0]["spec"])
    for word in ("springs", "volcano", "yeast", "why is it hot", "lava"):
        assert word not in text


def test_hostile_texts_cannot_leave_the_data(tmp_path):
    frame = many_pairs.pairs(4).assign(query="</script><img src=x onerror=alert(1)>", perturbed="<!-- \u2028 שלום 👩‍👩‍👧‍👦")
    page = StudyView(many_pairs.study((2, 2), pairs=frame)).to_html(tmp_path / "a.html").read_text(encoding="utf-8")
    assert "<img" not in page
    assert page.count("</script>") == 2
    assert "\u2028" not in page


def test_five_thousand_pairs_and_a_large_grid_are_sent_in_three_megabytes():
    view = StudyView(many_pairs.study((64, 64), 5000))
    total = len(json.dumps(view.spec)) + sum(map(len, view.buffers.values())) + sum(map(len, view.cells.values()))
    assert total < 3_000_000


def test_every_panel_is_a_picture(tmp_path):
    for summary in (many_pairs.study((3, 4), 20), many_pairs.classes_study(), many_pairs.mlps_study()):
        view = StudyView(summary)
        for panel in view.spec["panels"]:
            for theme in ("light", "dark"):
                root = ElementTree.parse(view.to_svg(tmp_path / "a.svg", panel, theme)).getroot()
                assert root.tag.endswith("svg")
    data, _ = view._repr_mimebundle_()
    ElementTree.fromstring(data["image/svg+xml"])


def test_no_pair_used_and_one_pair(tmp_path):
    frame = many_pairs.pairs(3).assign(reason="too long", original_score=np.nan, perturbed_score=np.nan, base_score=None)
    cells = many_pairs.cells((2, 2), ("layer", "head")) * np.nan
    none = StudyView(many_pairs.study(cells=cells, pairs=frame, groups={}))
    for panel in none.spec["panels"]:
        none.to_svg(tmp_path / "a.svg", panel)
    none.to_html(tmp_path / "a.html")
    one = StudyView(many_pairs.study((1, 1), 1))
    for panel in one.spec["panels"]:
        one.to_svg(tmp_path / "a.svg", panel)
    empty = StudyView(many_pairs.study((1, 1), pairs=many_pairs.pairs(3).iloc[:0], groups={}))
    for panel in empty.spec["panels"]:
        empty.to_svg(tmp_path / "a.svg", panel)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((3,), InputTypeError, "a StudyView draws a StudySummary, not 3"),
        ((many_pairs.study((2, 2), 5), 3), InputTypeError, "opener=3"),
        ((many_pairs.study((2, 2), pairs=many_pairs.pairs(5).assign(number=1)), opener), InputError, "number 1"),
        ((many_pairs.study((2, 2), 5), None, None, "pink"), InputError, "theme='pink'"),
    ],
)
def test_what_is_no_study_is_refused(arguments, error, words):
    with pytest.raises(error, match=words):
        StudyView(*arguments)
