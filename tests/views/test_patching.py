import threading

import numpy as np
import pytest

import mechviz as mv
from mechviz import wire
from mechviz.errors import InputError, MechvizError
from mechviz.results import PatchResult
from mechviz.views import PatchingView
from mechviz.views.patching import Job, Step
from tests import golden

SELECTED = {"stack": "doc", "layer": 1, "head": 2, "pos": None, "key_pos": None, "heads": []}


def partial(done: int) -> PatchResult:
    whole = golden.golden_result()
    keep = np.arange(8).reshape(2, 4) < done
    return PatchResult(
        whole.pair, "heads", "exact", "effect", whole.effects.where(keep), whole.patched.where(keep), provenance=whole.provenance
    )


def steps(until=8, gate=None):
    for done in range(1, until + 1):
        if gate is not None:
            gate.acquire()
        yield Step(golden.golden_result(), np.arange(8).reshape(2, 4) < done, partial(done))


def jobs(made) -> dict[str, Job]:
    return {"doc.heads": Job(lambda: made, 7)}


@pytest.fixture
def view():
    return PatchingView(golden.golden_result(), golden.patterns)


@pytest.fixture
def sent(view, monkeypatch):
    messages = []
    monkeypatch.setattr(view, "send", lambda content, buffers=None: messages.append((content, buffers)))
    return messages


def test_a_result_from_anywhere_is_drawn(view):
    assert view.result.effects.shape == (2, 4)
    assert view.spec["scores"]["source"] == 1.0
    assert view.selection == SELECTED
    assert set(view.buffers) == set(view.spec["buffers"])
    assert view.progress["state"] == "loaded"
    assert "PatchingView(PatchResult(heads" in repr(view)


def test_without_patterns_there_are_no_lines():
    assert PatchingView(golden.golden_result()).buffers == {}


def test_steps_are_drawn_and_the_last_result_stays(view):
    view.follow(jobs(steps()), wait=True)
    assert view.progress["state"] == "done"
    assert view.result.patched.values.tobytes() == partial(8).patched.values.tobytes()
    assert (np.frombuffer(view.cells["doc.heads.state"], np.uint8) == wire.EXACT).all()


def test_a_worker_fills_it_while_the_caller_goes_on(view):
    gate = threading.Semaphore(0)
    view.follow(jobs(steps(gate=gate)), wait=False)
    assert view.progress["state"] == "running"
    gate.release(8)
    assert np.isfinite(view.result.patched.values).sum() == 7
    assert view.progress["done"] == 7


def test_cancel_keeps_what_is_done(view):
    gate = threading.Semaphore(0)
    view.follow(jobs(steps(gate=gate)), wait=False)
    view.cancel()
    gate.release(8)
    result = view.result
    assert view.progress["state"] == "cancelled"
    assert np.isfinite(result.patched.values).sum() == 1
    assert np.frombuffer(view.cells["doc.heads.state"], np.uint8).tolist() == [2, 1, 0, 1, 1, 1, 1, 1]


def broken():
    yield from steps(2)
    raise MechvizError("layer 3 is NaN")


@pytest.mark.parametrize("wait", [True, False])
def test_a_failure_is_shown_and_raised(view, wait):
    if wait:
        with pytest.raises(MechvizError, match="layer 3"):
            view.follow(jobs(broken()), wait=True)
    else:
        view.follow(jobs(broken()), wait=False)
    with pytest.raises(MechvizError, match="layer 3"):
        _ = view.result
    assert view.progress["state"] == "failed"
    assert "layer 3 is NaN" in view.progress["message"]


def test_a_head_is_sent_when_asked_for(view, sent):
    view._handle_custom_msg({"type": "attention", "id": 7, "stack": "doc", "layer": 0, "head": 3}, [])
    ((content, buffers),) = sent
    assert (content["type"], content["id"], content["key"]) == ("answer", 7, "attention.doc.0.3")
    expected = wire.pack_head("doc", 0, 3, golden.patterns(0)[:, 3])
    assert content["entry"] == expected.entry
    assert content["order"] == list(expected.arrays)
    assert buffers == [wire.to_bytes(array) for array in expected.arrays.values()]


@pytest.mark.parametrize(
    "message", [{"type": "attention", "stack": "doc", "layer": 9, "head": 99}, {"type": "dance"}, {"type": "attention"}, {}]
)
def test_a_message_that_fails_is_answered(view, sent, message):
    view._handle_custom_msg({**message, "id": 3}, [])
    ((content, _),) = sent
    assert (content["type"], content["id"]) == ("error", 3)
    assert content["message"]


def test_the_browser_can_cancel(view):
    view._handle_custom_msg({"type": "cancel"}, [])
    view.follow(jobs(steps()), wait=True)
    assert view.progress["state"] == "cancelled"


@pytest.mark.parametrize(
    "wrong", [{"layer": 2, "head": 0}, {"layer": 0, "head": -1}, {"layer": "0", "head": 0}, {"layer": 0, "head": 0, "pos": 7}]
)
def test_a_selection_outside_the_grid_is_refused(view, wrong):
    with pytest.raises(InputError, match="selection"):
        view.selection = wrong
    assert view.selection["layer"] == 1


def test_a_selection_may_be_set(view):
    view.selection = {"layer": 0, "head": 3}
    assert view.selection == {**SELECTED, "layer": 0, "head": 3}


def test_a_selection_of_numpy_integers(view):
    view.selection = {"layer": np.int64(0), "head": np.int64(2), "pos": None}
    assert type(view.selection["layer"]) is int


def test_another_theme_is_refused():
    with pytest.raises(InputError, match="theme='pink'; it is one of 'auto', 'light', 'dark'"):
        PatchingView(golden.golden_result(), theme="pink")


def test_waiting_that_would_never_end_is_refused(view):
    gate = threading.Semaphore(0)

    def refuse():
        raise InputError("leave the block first")

    view.follow(jobs(steps(gate=gate)), wait=False, before_wait=refuse)
    with pytest.raises(InputError, match="leave the block"):
        _ = view.result
    gate.release(8)


def test_closing_stops_the_computation(view):
    gate = threading.Semaphore(0)
    view.follow(jobs(steps(gate=gate)), wait=False)
    view.close()
    gate.release(8)
    assert np.isfinite(view.result.patched.values).sum() == 1


def test_the_page_holds_what_the_view_shows(view, tmp_path):
    view.selection = {"layer": 0, "head": 1, "pos": 2}
    path = view.to_html(tmp_path / "why.html")
    text = path.read_text(encoding="utf-8")
    assert '"selection": {"stack": "doc", "layer": 0, "head": 1, "pos": 2, "key_pos": null, "heads": []}' in text
    assert '"live": false' in text
    with pytest.raises(InputError, match="no folder"):
        view.to_html(tmp_path / "nowhere" / "why.html")


def test_a_page_over_the_cap_warns(view, tmp_path, monkeypatch):
    monkeypatch.setattr(mv.views.view.snapshot, "SIZE_CAP", 1000)
    with pytest.warns(UserWarning, match="over"):
        view.to_html(tmp_path / "why.html")


def test_scores_that_are_not_finite_still_make_a_page(tmp_path):
    result = golden.golden_result()
    competitors = np.array([[np.nan, np.inf]] * 2, dtype=np.float32)
    odd = PatchResult(result.pair, "heads", "exact", "effect", result.effects, result.patched, competitors=competitors)
    assert PatchingView(odd).to_html(tmp_path / "why.html").exists()
