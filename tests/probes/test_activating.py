"""Passages that activate most, against a loop over every text."""

import numpy as np
import pytest

from mechviz import views
from mechviz.errors import InputError, InputTypeError
from mechviz.interventions.subspaces import Basis
from mechviz.probes.activating import Along, Head, Neuron, activating
from mechviz.probes.reading import read
from tests.cases import CASES
from tests.texts import docs, judged_pairs

TEXTS = list(docs().values())[:30]


def own(tokens, specials=False):
    return [pos for pos, segment in enumerate(tokens.segments) if specials or segment in ("query", "doc")]


def expected(ranker, hook, value, texts=TEXTS, specials=False):
    """Return (text, position, value) of each text's largest, the largest first, by a loop."""
    found = []
    for one in read(ranker, texts, [hook], batch_size=1):
        at = own(one.tokens, specials)
        values = [value(one.arrays[hook], pos, at) for pos in at]
        best = int(np.argmax(values))
        found.append((one.number, at[best], values[best]))
    return sorted(found, key=lambda row: (-row[2], row[0]))


def check(found, rows, n=5):
    (group,) = found.groups
    assert len(group.passages) == n
    for passage, (text, _, value) in zip(group.passages, rows, strict=False):
        assert passage.label == f"text {text}"
        assert passage.value == pytest.approx(value, rel=1e-4, abs=1e-5)
        assert passage.marks.sum() == 1
        assert passage.values[passage.marks][0] == pytest.approx(np.nanmax(passage.values))


def test_a_neuron(dot):
    rows = expected(dot, "blocks.1.mlp.hook_post", lambda array, pos, at: array[pos, 17])
    check(activating(dot, TEXTS, Neuron(1, 17), n=5), rows)


def test_what_a_head_writes(dot):
    w_o = dot.stack("doc").w_o(2)[3].detach().numpy()
    rows = expected(dot, "blocks.2.attn.hook_z", lambda array, pos, at: np.linalg.norm(array[pos, 3] @ w_o))
    check(activating(dot, TEXTS, Head(2, 3), n=5), rows)


@pytest.mark.parametrize("by", ["from", "to"])
def test_attention_between_tokens(dot, by):
    def largest(array, pos, at):
        return max(array[1, pos, other] if by == "from" else array[1, other, pos] for other in at if other != pos)

    rows = expected(dot, "blocks.0.attn.hook_pattern", largest)
    check(activating(dot, TEXTS, Head(0, 1, by=by), n=5), rows)


def test_a_direction_and_a_basis(dot):
    rng = np.random.default_rng(0)
    vector, plane = rng.standard_normal(32), Basis(rng.standard_normal((32, 2)))
    hook = "blocks.1.hook_resid_post"
    rows = expected(dot, hook, lambda array, pos, at: array[pos] @ vector / np.linalg.norm(vector))
    found = activating(dot, TEXTS, Along(hook, vector), n=5)
    check(found, rows)
    assert found.signed
    rows = expected(dot, hook, lambda array, pos, at: np.linalg.norm(array[pos] @ plane.directions))
    check(activating(dot, TEXTS, Along(hook, plane), n=5), rows)


def test_special_tokens_count_where_they_are_asked_for(dot):
    hook = "blocks.0.hook_resid_pre"
    (first,) = read(dot, TEXTS[:1], [hook])
    what = Along(hook, first.arrays[hook][0])  # the first token's own embedding, which is the same in every text
    unit = what.direction / np.linalg.norm(what.direction)
    rows = expected(dot, hook, lambda array, pos, at: array[pos] @ unit, specials=True)
    assert {pos for _, pos, _ in rows} == {0}
    (group,) = activating(dot, TEXTS, what, n=30, specials=True).groups
    assert all(passage.marks[0] for passage in group.passages)
    check(activating(dot, TEXTS, what, n=5), expected(dot, hook, lambda array, pos, at: array[pos] @ unit))
    (group,) = activating(dot, TEXTS, what, n=30, around=200).groups
    assert all(np.isnan(passage.values[[0, -1]]).all() for passage in group.passages)


def test_equal_texts_keep_the_order_given_whatever_the_batches(dot):
    for batch_size in (1, 4):
        (group,) = activating(dot, [TEXTS[0]] * 6, Neuron(0, 0), n=3, batch_size=batch_size).groups
        assert [passage.label for passage in group.passages] == ["text 0", "text 1", "text 2"]
        assert "6 texts" in group.note


def test_a_passage_is_cut_around_its_largest(dot):
    (group,) = activating(dot, TEXTS, Neuron(1, 17), n=5, around=2).groups
    (whole,) = activating(dot, TEXTS, Neuron(1, 17), n=5, around=500).groups
    for short, long in zip(group.passages, whole.passages, strict=True):
        assert len(short.pieces) <= 5
        at = int(np.flatnonzero(long.marks)[0])
        assert short.pieces == long.pieces[max(0, at - 2) : at + 3]


def test_pairs_of_a_cross_encoder_and_of_t5(opened):
    for name in ("Cat bert", "MonoT5 t5 ("):
        ranker = opened(next(case for key, case in CASES.items() if key.startswith(name)))
        found = activating(ranker, judged_pairs()[:6], Head(1, 0, by="to"), n=2)
        assert len(found.groups[0].passages) == 2


def test_it_is_drawn(dot, monkeypatch):
    drawn = []
    monkeypatch.setattr(views, "passages", lambda shown, theme: drawn.append(shown), raising=False)
    found = activating(dot, TEXTS[:3], Neuron(0, 0))
    found.show()
    assert drawn == [found]


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (Head(3, 0), "layer=3"),
        (Head(0, 4), "head=4"),
        (Head(0, 0, by="sum"), "by='sum'"),
        (Neuron(0, 48), "index=48"),
        (Along("resid_post", np.ones(32)), "full name"),
        (Along("blocks.0.hook_nothing", np.ones(32)), "no hook"),
        (Along("blocks.0.attn.hook_pattern", np.ones(32)), "no features"),
        (Along("blocks.0.hook_resid_post", np.ones(31)), "31 features"),
        (Along("blocks.0.hook_resid_post", np.zeros(32)), "points nowhere"),
        (Along("blocks.0.hook_resid_post", np.ones((32, 2))), "shape"),
    ],
)
def test_what_cannot_be_measured(dot, what, words):
    with pytest.raises(InputError, match=words):
        activating(dot, TEXTS[:2], what)


def test_other_refusals(dot, opened):
    with pytest.raises(InputTypeError, match="a Head, a Neuron or an Along"):
        activating(dot, TEXTS, (0, 1))
    with pytest.raises(InputError, match="n=0"):
        activating(dot, TEXTS, Neuron(0, 0), n=0)
    with pytest.raises(InputError, match="no neurons"):
        activating(opened(CASES["Dot toy_encoder mean"]), TEXTS, Neuron(0, 0))
    with pytest.raises(InputError, match="two tokens of its own"):
        activating(dot, ["a"], Head(0, 0, by="to"))
