import time

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mechviz as mv
from mechviz import wire
from mechviz.errors import InputError
from mechviz.views import PatchingView
from tests.conftest import save_dot

QUERY, DOC = "why are hot springs warm", "Hot springs are warm because water is heated by rock."
CHANGE = mv.perturb.append("volcano")


@pytest.fixture
def slow_cells(monkeypatch):
    """Give the caller time to act while the worker is not done."""
    engine = mv.patching.session
    run_cells = engine.run_cells

    def slow(*arguments):
        for item in run_cells(*arguments):
            time.sleep(0.2)
            yield item

    monkeypatch.setattr(engine, "run_cells", slow)


def test_without_a_kernel_everything_happens_in_the_call(ranker):
    view = mv.show_patching(ranker, QUERY, DOC, CHANGE)
    assert isinstance(view, PatchingView)
    assert view.progress["state"] == "done"
    np.testing.assert_array_equal(view.result.patched, mv.patch(ranker, QUERY, DOC, CHANGE).patched)
    assert view.result.method == "exact"
    assert view.result.agreement() == pytest.approx(view.progress["agreement"])


def test_the_view_comes_back_before_the_exact_values(dot, slow_cells):
    view = mv.show_patching(dot, QUERY, DOC, CHANGE, wait=False)
    assert view.progress["state"] == "running"
    assert set(np.frombuffer(view.cells["doc.heads.state"], np.uint8)) <= {1, 2}
    assert np.isfinite(view.result.patched.values).all()
    assert view.progress["state"] == "done"


def test_the_environment_can_ask_to_wait(dot, monkeypatch):
    monkeypatch.setattr(mv.show, "has_kernel", lambda: True)
    monkeypatch.setenv("MECHVIZ_WAIT", "1")
    assert mv.show_patching(dot, QUERY, DOC, CHANGE).progress["state"] == "done"


def test_open_hooks_do_not_wait_for_ever(dot, slow_cells):
    """The worker waits for the lock that the hooks hold; whoever waits for the worker inside the block would hang."""
    view = mv.show_patching(dot, QUERY, DOC, CHANGE, wait=False)
    with dot.hooks([("z", lambda z, hook: z)]), pytest.raises(mv.InputError, match="leave the block first"):
        _ = view.result
    assert np.isfinite(view.result.patched.values).all()


def test_a_wrong_theme_is_refused_before_anything_is_computed(dot):
    with pytest.raises(mv.InputError, match="theme='pink'"):
        mv.show_patching(dot, QUERY, DOC, lambda doc: 1 / 0, theme="pink")


UNUSUAL = [
    "مرحبا بالعالم",
    "火山はなぜ熱いのか",
    "🌋🔥 hot!",
    "naïve café",
    "a",
    "<b>bold</b> & 'quoted'",
    "x\ty\nz",
]


@pytest.mark.parametrize("text", UNUSUAL)
def test_unusual_texts_are_drawn(cat, dot, text):
    for ranker in (cat, dot):
        view = mv.show_patching(ranker, text, f"{text} springs", mv.perturb.prepend("tea"))
        assert np.isfinite(view.result.patched.values).all()


def test_ranks_are_shown_with_competitors(dot):
    view = mv.show_patching(dot, QUERY, DOC, CHANGE, docs=["Bread rises.", "Tea leaves.", QUERY])
    ranking = dot.rank(QUERY, ["Bread rises.", "Tea leaves.", QUERY, DOC])
    assert view.spec["ranks"]["original"] == ranking.ranks()[3]
    assert view.spec["ranks"]["of"] == 4


def test_the_lines_are_the_rankers_attention(cat):
    view = mv.show_patching(cat, QUERY, DOC, CHANGE)
    layer, head = view.selection["layer"], view.selection["head"]
    _, cache = cat.run_with_cache(QUERY, DOC + " volcano", "pattern")
    name = f"attention.encoder.{layer}.{head}.source"
    rows, columns = (np.frombuffer(view.buffers[f"{name}.{axis}"], "<u2") for axis in ("query_pos", "key_pos"))
    weights = np.frombuffer(view.buffers[f"{name}.weight"], "<f2")
    np.testing.assert_allclose(weights, cache["pattern", layer][0, head].numpy()[rows, columns], atol=1e-3)


def test_a_change_without_effect_says_so(tmp_path):
    """A pooled [CLS] of a ranker whose attention output is zero cannot see the document."""
    ranker = mv.Dot(str(save_dot(tmp_path / "dot", pooling="cls")))
    with torch.no_grad():
        for layer in range(3):
            ranker.hooked.main.module(layer, "attention.output.dense").weight.zero_()
    view = mv.show_patching(ranker, QUERY, DOC, CHANGE)
    assert not view.spec["gate"]["open"]
    assert np.isnan(view.result.effects.values).all()
    assert np.isfinite(view.result.patched.values).all()
    assert any("effects are not defined" in banner["text"] for banner in view.spec["banners"])


ANY = st.text(max_size=30) | st.text(alphabet="<>&\"'/ab \u200f\u05d0\u0627🌋\u0301\x00", max_size=30)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(query=ANY, doc=ANY, changed=ANY)
def test_any_texts_are_drawn_or_refused_by_us(tmp_path_factory, cat, query, doc, changed):
    try:
        view = mv.show_patching(cat, query, doc, changed)
    except mv.MechvizError:
        return
    page = view.to_html(tmp_path_factory.mktemp("html") / "why.html").read_text(encoding="utf-8")
    assert page.count("<script") == 2
    assert page.count("</script>") == 2


@settings(max_examples=40, deadline=None)
@given(query=ANY, doc=ANY, direction=st.sampled_from(["perturbed->original", "original->perturbed"]), side=st.booleans())
def test_any_texts_under_a_perturbation(dot, query, doc, direction, side):
    change = mv.perturb.prepend("tea moon") if side else mv.perturb.on_query(mv.perturb.append("tea"))
    try:
        view = mv.show_patching(dot, query, doc, change, direction=direction)
    except mv.MechvizError:
        return
    assert np.isfinite(view.result.patched.values).all()
    text = view.spec["texts"][view.spec["text"]]
    assert len(text["base"]["labels"]) == len(text["source"]["labels"]) == len(text["alignment"])


def test_a_selection_is_drawn_and_comes_to_its_end(dot):
    view = mv.show_patching(dot, QUERY, DOC, CHANGE, layers=[1], wait=True)
    assert view.progress["state"] == "done"
    assert (view.progress["done"], view.progress["total"]) == (5, 5)  # four heads and the MLP of one layer
    assert np.isnan(view.result.patched.values[[0, 2]]).all()


def test_a_hybrid_result_is_drawn_with_what_is_exact(dot):
    result = mv.patch(dot, QUERY, DOC, CHANGE, method="hybrid", top_k=3)
    view = mv.views.PatchingView(result)
    states = np.frombuffer(view.cells["doc.heads.state"], dtype=np.uint8).reshape(result.patched.shape)
    np.testing.assert_array_equal(states == wire.EXACT, result.exact)
    assert (view.progress["done"], view.progress["total"]) == (3, 12)
    with pytest.raises(InputError, match="dims layer, neuron; the view draws grids of heads, MLPs and positions"):
        mv.views.PatchingView(mv.patch(dot, QUERY, DOC, CHANGE, grid="neurons", method="attribution"))
