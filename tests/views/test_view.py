"""What all views share: panels, pictures, the still picture beside the widget, pages without texts."""

import base64
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

import mechviz as mv
from mechviz.errors import InputError
from mechviz.views import AttentionView, PatchingView
from mechviz.views.patching import Job, Step
from tests import golden

QUERY, DOC = "why are hot springs warm", "Hot springs are warm because water is heated by rock."
CHANGE = mv.perturb.append("volcano")


@pytest.fixture(scope="module")
def view(dot):
    return mv.show_patching(dot, QUERY, DOC, CHANGE, docs=["Lava is hot.", "Tea is warm."], wait=True)


def test_every_panel_is_a_picture_without_a_browser(view, tmp_path):
    for panel in view.spec["panels"]:
        for theme in ("light", "dark"):
            path = view.to_svg(tmp_path / f"{panel}.svg", panel, theme)
            assert ElementTree.parse(path).getroot().tag.endswith("svg")
    assert view.spec["panels"] == ["heads", "texts", "lines", "model", "neurons", "positions", "ranking", "score"]


def test_a_picture_shows_the_selection(dot, tmp_path):
    view = mv.show_patching(dot, QUERY, DOC, CHANGE, wait=True)
    view.selection = {"layer": 2, "head": 3, "pos": 4}
    assert "layer 2, head 3" in view.to_svg(tmp_path / "a.svg", "lines").read_text(encoding="utf-8").lower()
    view.selection = {"layer": 0, "head": 1}
    assert "layer 0, head 1" in view.to_svg(tmp_path / "b.svg", "lines").read_text(encoding="utf-8").lower()


def test_png_has_the_size_that_was_asked_for(view, tmp_path):
    pytest.importorskip("resvg_py")
    small, large = (view.to_png(tmp_path / f"{scale}.png", "heads", scale).read_bytes() for scale in (1, 2))
    sizes = [[int.from_bytes(data[at : at + 4]) for at in (16, 20)] for data in (small, large)]
    assert sizes[1] == [2 * side for side in sizes[0]]


def test_pictures_that_there_are_not(view, tmp_path):
    with pytest.raises(InputError, match="panel='circuit'; this view has 'heads'"):
        view.to_svg(tmp_path / "a.svg", "circuit")
    with pytest.raises(InputError, match="theme='auto'"):
        view.to_svg(tmp_path / "a.svg", theme="auto")
    with pytest.raises(InputError, match="no folder"):
        view.to_svg(tmp_path / "nowhere" / "a.svg")


def test_panels_are_chosen_and_checked(dot):
    view = mv.show_patching(dot, QUERY, DOC, CHANGE, panels=["lines", "heads"], wait=True)
    assert view.spec["panels"] == ["lines", "heads"]
    with pytest.raises(InputError, match="panels=\\['dance'\\]; this view has 'heads'"):
        mv.show_patching(dot, QUERY, lambda: 1 / 0, CHANGE, panels=["dance"])
    assert PatchingView(golden.golden_result(), panels="texts").spec["panels"] == ["texts"]


def test_the_widget_has_a_still_picture_beside_it(view, monkeypatch):
    data, _ = view._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    ElementTree.fromstring(data["image/svg+xml"])
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
    monkeypatch.setenv("MECHVIZ_WAIT", "1")
    assert "application/vnd.jupyter.widget-view+json" not in view._repr_mimebundle_()[0]


def test_static_is_the_page_in_a_frame_over_a_picture(dot):
    framed = mv.show_patching(dot, QUERY, DOC, CHANGE, static=True)
    text = framed._repr_html_()
    assert text.count("<iframe") == 1
    assert 'sandbox="allow-scripts"' in text
    assert "data:image/svg+xml;base64," in text
    assert "volcano" in text
    assert not hasattr(framed, "comm")


def test_a_page_without_texts_holds_no_word_of_them(view, tmp_path):
    whole = view.to_html(tmp_path / "with.html").read_text(encoding="utf-8")
    bare = view.to_html(tmp_path / "without.html", texts=False).read_text(encoding="utf-8")
    for word in ("heated", "springs", "volcano", "Lava is"):
        assert word in whole
        assert word not in bare


def test_several_results_of_one_pair_make_one_view(dot):
    grids = ["heads", "mlps", "blocks"]
    results = [mv.patch(dot, QUERY, DOC, CHANGE, grid=grid, method="attribution") for grid in grids]
    view = PatchingView(results)
    assert list(view.results) == ["doc.heads", "doc.mlps", "doc.blocks"]
    assert view.spec["panels"] == ["heads", "texts", "lines", "positions"]
    with pytest.raises(InputError, match="different pairs"):
        PatchingView([results[0], mv.patch(dot, QUERY, DOC, mv.perturb.append("tea"), grid="mlps")])


def test_monot5_has_three_grids_and_one_selection(opened):
    from tests.cases import CASES

    ranker = opened(CASES["MonoT5 t5 ('true', 'false')"])
    view = mv.show_patching(ranker, QUERY, DOC, CHANGE, wait=True)
    keys = ["encoder.heads", "decoder.heads", "cross.heads", "encoder.mlps", "decoder.mlps", "encoder.blocks"]
    assert list(view.results) == keys
    for stack in ("encoder", "decoder", "cross"):
        own = mv.patch(ranker, QUERY, DOC, CHANGE, stack=stack)
        np.testing.assert_allclose(
            view.results[f"{stack}.heads"].patched, own.patched, atol=1e-5 * max(1, abs(own.pair.base_score))
        )
    view.selection = {"stack": "cross", "layer": 1, "head": 2}
    with pytest.raises(InputError, match="stack 'doc'"):
        view.selection = {"stack": "doc", "layer": 0, "head": 0}
    view.selection = {**view.selection, "heads": [["cross", 0, 1], ["encoder", 1, 1]]}
    with pytest.raises(InputError, match=r"selection\['heads'\]"):
        view.selection = {**view.selection, "heads": [["cross", 99, 1]]}


def answers(view, monkeypatch, message):
    sent = []
    monkeypatch.setattr(view, "send", lambda content, buffers=(): sent.append((content, buffers)))
    view._answer({"id": 1, **message})
    ((content, buffers),) = sent
    return content, buffers


def test_heads_are_patched_together(view, monkeypatch, dot):
    heads = [["doc", 0, 1], ["doc", 2, 2]]
    content, _ = answers(view, monkeypatch, {"type": "together", "heads": heads})
    own = mv.patch(dot, QUERY, DOC, CHANGE, together=[(0, 1), (2, 2)])
    assert content["entry"]["patched"] == pytest.approx(float(own.patched[0]), abs=1e-6)
    assert content["entry"]["effect"] == pytest.approx(float(own.effects[0]), abs=1e-5)
    assert content["entry"]["heads"] == heads


def test_the_curve_is_that_of_the_result(view, monkeypatch):
    content, buffers = answers(view, monkeypatch, {"type": "curve", "stack": "doc"})
    curve = view.result.curve(12)
    named = dict(zip(content["order"], buffers, strict=True))
    np.testing.assert_allclose(np.frombuffer(named["curve.doc.top"], "<f4"), curve["top"], atol=1e-6)
    np.testing.assert_allclose(np.frombuffer(named["curve.doc.rest_patched"], "<f4"), curve["rest_patched"], atol=1e-6)
    assert content["entry"]["cells"] == curve["cell"].values.tolist()


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"type": "together", "heads": []}, "no stack"),
        ({"type": "together", "heads": [["doc", 0, 99]]}, "99"),
        ({"type": "curve", "stack": "query"}, "needs the ranker"),
        ({"type": "scores", "stack": "doc", "layer": 0, "head": 0, "pos": 999}, "999"),
        ({"type": "thumbs", "stack": "song"}, "song"),
    ],
)
def test_what_goes_wrong_is_told_in_the_view(view, monkeypatch, message, words):
    content, _ = answers(view, monkeypatch, message)
    assert content["type"] == "error"
    assert words in content["message"]


def test_a_loaded_result_cannot_be_patched_together_and_says_so(tmp_path, monkeypatch, dot):
    mv.patch(dot, QUERY, DOC, CHANGE).save(tmp_path / "r.nc")
    view = PatchingView(mv.PatchResult.load(tmp_path / "r.nc"))
    content, _ = answers(view, monkeypatch, {"type": "curve", "stack": "doc"})
    assert "needs the ranker" in content["message"]


def test_an_estimate_is_computed_when_asked_for(dot, monkeypatch):
    view = mv.show_patching(dot, QUERY, DOC, CHANGE, wait=True)
    assert view.progress["offers"] == ["doc.blocks"]
    assert view.results["doc.blocks"].method == "attribution"
    view._receive(view, {"type": "compute", "key": "doc.blocks"}, [])
    exact = view.results["doc.blocks"]
    own = mv.patch(dot, QUERY, DOC, CHANGE, grid="blocks")
    np.testing.assert_allclose(exact.patched, own.patched, atol=1e-6)
    assert view.progress["state"] == "done"
    assert np.isfinite(view.results["doc.heads"].effects).all()
    asked = mv.show_patching(dot, QUERY, DOC, CHANGE, exact=("heads", "blocks"), wait=True)
    np.testing.assert_allclose(asked.results["doc.blocks"].patched, own.patched, atol=1e-6)
    assert asked.results["doc.mlps"].method == "attribution"


def test_two_jobs_are_counted_together():
    result = golden.golden_result()
    whole = np.isfinite(result.patched.values)
    view = PatchingView(result)
    steps = lambda: iter([Step(result, whole, result)])  # noqa: E731
    view.follow({"doc.heads": Job(steps, 7)}, wait=True)
    assert (view.progress["done"], view.progress["total"], view.progress["state"]) == (7, 7, "done")


def test_attention_of_any_ranker(any_ranker):
    view = mv.show_attention(any_ranker, QUERY, DOC)
    assert isinstance(view, AttentionView)
    assert {stack["name"] for stack in view.spec["stacks"]} == set(any_ranker.stacks)
    assert {f"thumbs.{stack}" for stack in any_ranker.stacks} <= set(view.spec["held"])
    assert view.spec["score"] == pytest.approx(float(any_ranker.score(QUERY, [DOC])[0]), rel=1e-4, abs=1e-5)
    assert view.spec["panels"][:3] == ["model", "lines", "neurons"]


def test_a_ranking_alone_and_perturbed(dot):
    docs = [DOC, "Lava is molten rock.", "The moon causes tides."]
    alone = mv.show_ranking(dot, QUERY, docs, grades=[2, 1, 0])
    np.testing.assert_allclose(alone.result.original, dot.score(QUERY, docs), atol=1e-6)
    assert alone.spec["ranking"]["compared"] is False
    view = mv.show_ranking(dot, QUERY, docs, perturb=CHANGE, grades=[2, 1, 0])
    np.testing.assert_allclose(view.result.perturbed, dot.score(QUERY, [doc + " volcano" for doc in docs]), atol=1e-5)
    assert view.result.changed.all()
    of_query = mv.show_ranking(dot, QUERY, docs, perturb=mv.perturb.on_query(mv.perturb.append("tea")))
    np.testing.assert_allclose(of_query.result.perturbed, dot.score(QUERY + " tea", docs), atol=1e-5)


def test_one_document_of_a_ranking_is_patched(dot):
    docs = [DOC, "Lava is molten rock.", "The moon causes tides."]
    view = mv.show_ranking(dot, QUERY, docs, doc=1, perturb=CHANGE)
    assert isinstance(view, PatchingView)
    assert view.spec["panels"][0] == "ranking"
    assert view.result.pair.doc == docs[1]
    assert view.result.docs == (docs[0], docs[2])
    same = mv.show_ranking(dot, QUERY, docs, doc=docs[1], perturb=CHANGE)
    np.testing.assert_array_equal(same.result.patched, view.result.patched)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"docs": []}, "docs"),
        ({"doc": 0}, "there is no perturb="),
        ({"doc": 9, "perturb": CHANGE}, "documents 0 to 0"),
        ({"perturb": CHANGE, "filler": "b"}, "no doc= is given"),
        ({"grades": [1, 2]}, "grades has 2 entries for 1 documents"),
    ],
)
def test_rankings_that_cannot_be(dot, arguments, words):
    with pytest.raises(InputError, match=words):
        mv.show_ranking(dot, QUERY, **{"docs": [DOC], **arguments})


def test_exact_names_grids(dot):
    with pytest.raises(InputError, match="exact=\\['neurons'\\]"):
        mv.show_patching(dot, QUERY, DOC, CHANGE, exact=["neurons"])
    with pytest.raises(InputError, match="grid='blocks': the view holds heads, mlps, blocks"):
        mv.show_patching(dot, QUERY, DOC, CHANGE, grid="blocks")
