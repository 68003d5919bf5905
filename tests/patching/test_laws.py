"""The laws of DESIGN: what must hold whatever the ranker, the text and the perturbation."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import mechviz as mv
from mechviz.errors import InputError
from mechviz.patching import Edit, Session
from mechviz.patching.edits import run_cells
from mechviz.results import DIRECTIONS
from tests.oracles import close, patch_heads_one_at_a_time, plain_scorer

QUERY = "why are hot springs warm"
DOC = "Hot springs are warm because water is heated by rock and rises again through cracks."
CHANGES = {
    "append": mv.perturb.append("volcano lava"),
    "prepend": mv.perturb.prepend("volcano"),
    "replace": mv.perturb.replace("water", "cold rain"),
    "delete": mv.perturb.delete("because water"),
    "query": mv.perturb.on_query(mv.perturb.append("lava")),
}


def scores_of(session, cells, max_rows=64):
    scores = np.full(len(cells), np.nan)
    for chosen, values in run_cells(session.ranker, session.base, cells, max_rows):
        scores[chosen] = values
    return scores


@pytest.fixture(params=list(CHANGES))
def session(ranker, request):
    return Session(ranker, QUERY, DOC, CHANGES[request.param])


def test_batched_cells_equal_one_plain_forward_pass_each(request, ranker):
    """The engine against plain transformers, eager, one torch hook and one full pass a cell."""
    folder = ranker.model.config._name_or_path
    for direction in ("perturbed->original", "original->perturbed"):
        result = mv.patch(ranker, QUERY, DOC, CHANGES["append"], direction=direction)
        model, score = plain_scorer(ranker, folder, QUERY)
        plain = patch_heads_one_at_a_time(model, score, result.pair.base, result.pair.source)
        assert np.abs(result.patched.values - plain).max() <= close(np.abs(plain).max())
        assert np.ptp(plain) > 100 * close(np.abs(plain).max()), "the heads must differ for this to mean something"


def test_patching_nothing_gives_the_base_score(session):
    base = session.pair.base_score
    nothing = [
        [],
        [Edit("blocks.1.attn.hook_z", session.base.z[1][0])],
        [Edit("blocks.1.hook_resid_pre", session.base.resid_pre[1][0])],
        [Edit("blocks.2.attn.hook_pattern", lambda pattern: pattern)],
    ]
    assert np.abs(scores_of(session, nothing) - base).max() <= close(base)


def test_patching_everything_at_the_bottom_gives_the_source_score(session):
    source = session.pair.source_score
    everything = [[Edit("blocks.0.hook_resid_pre", session.source.resid_pre[0][0])]]
    assert abs(scores_of(session, everything)[0] - source) <= close(source)


def test_a_source_like_the_base_moves_nothing(ranker):
    session = Session(ranker, QUERY, DOC, CHANGES["append"])
    same = [[Edit(f"blocks.{i}.attn.hook_z", session.base.z[i][0], heads=(h,))] for i in range(3) for h in range(4)]
    assert np.abs(scores_of(session, same) - session.pair.base_score).max() <= close(session.pair.base_score)


def test_all_heads_of_a_layer_together_are_its_z(session):
    cells = [
        [Edit("blocks.1.attn.hook_z", session.source.z[1][0], heads=(h,)) for h in range(4)],
        [Edit("blocks.1.attn.hook_z", session.source.z[1][0])],
        [Edit("blocks.1.hook_attn_out", session.source.attn_out[1][0])],
    ]
    scores = scores_of(session, cells)
    assert np.ptp(scores) <= close(scores[0])


@pytest.mark.parametrize("max_rows", [1, 3, 5, 100])
def test_chunks_change_nothing(ranker, max_rows):
    session = Session(ranker, QUERY, DOC, CHANGES["append"])
    cells = [[Edit(f"blocks.{i}.attn.hook_z", session.source.z[i][0], heads=(h,))] for i in range(3) for h in range(4)]
    assert np.abs(scores_of(session, cells, max_rows) - scores_of(session, cells)).max() <= close(session.pair.base_score)


def test_the_fused_layers_equal_the_models_own(ranker, monkeypatch):
    """The same cells through `Kernel` and through the model's layers."""
    fast = mv.patch(ranker, QUERY, DOC, CHANGES["append"])
    monkeypatch.setattr("mechviz.patching.kernel.Kernel.fits", staticmethod(lambda encoder: False))
    slow = mv.patch(ranker, QUERY, DOC, CHANGES["append"])
    assert np.abs(fast.patched.values - slow.patched.values).max() <= close(fast.pair.base_score)


HOOKS = {
    "mlp_in": lambda e: e.parts(2).mlp_in.register_forward_hook(lambda module, args, output: output * 1.5),
    "query": lambda e: e.parts(1).query.register_forward_hook(lambda module, args, output: output * 1.5),
    "layer, before": lambda e: e.layers[1].register_forward_pre_hook(lambda module, args: (args[0] * 1.5, *args[1:])),
    "layer, after": lambda e: e.layers[1].register_forward_hook(lambda module, args, output: output * 1.5),
}


@pytest.mark.parametrize("where", list(HOOKS))
def test_a_hook_of_the_users_own_counts(ranker, where):
    """A caller's torch hook on a layer is part of the model: the fused path must step aside."""
    plain = mv.patch(ranker, QUERY, DOC, CHANGES["append"])
    handle = HOOKS[where](ranker.encoder)
    try:
        hooked = mv.patch(ranker, QUERY, DOC, CHANGES["append"])
        assert hooked.pair.base_score != pytest.approx(plain.pair.base_score, abs=1e-4)
        session = Session(ranker, QUERY, DOC, CHANGES["append"])
        names = ["blocks.0.attn.hook_z", "blocks.1.hook_resid_pre", "blocks.2.hook_attn_out"]
        nothing = scores_of(session, [[Edit(name, lambda activation: activation)] for name in names])
        assert np.abs(nothing - hooked.pair.base_score).max() <= close(hooked.pair.base_score)
        _, cache = ranker.run_with_cache(QUERY, session.pair.changed, "pattern")
        np.testing.assert_allclose(session.pattern(1)[1], cache["pattern", 1][0], atol=1e-5)
    finally:
        handle.remove()


def test_every_hook_that_is_offered_counts(ranker):
    """Seeded noise that differs by position, at every position, moves the score at each hook."""
    session = Session(ranker, QUERY, DOC, CHANGES["append"])
    generator = torch.Generator().manual_seed(11)
    names = ranker.encoder.names(None)

    def noisy(activation):
        noise = torch.randn(activation.shape, generator=generator)
        if activation.shape[-1] == activation.shape[-2] and bool((activation >= 0).all()):  # a pattern stays one
            return torch.softmax(torch.log(activation + 1e-9) + noise, dim=-1)
        return activation + noise

    moved = np.abs(scores_of(session, [[Edit(name, noisy)] for name in names]) - session.pair.base_score)
    silent = [name for name, change in zip(names, moved, strict=True) if change <= close(session.pair.base_score)]
    assert not silent


def test_a_masked_filler_is_seen_by_nobody(dot):
    """With a masked filler appended words leave no trace in the base run: it scores as the original."""
    pair = mv.make_pair(dot, QUERY, DOC, CHANGES["append"], filler="[PAD]")
    assert not pair.masks_equal
    assert pair.base.mask.sum() == len(pair.base) - 2
    # The separator sits two positions later than in the original, so the scores are close, not equal.
    other = mv.make_pair(dot, QUERY, DOC, mv.perturb.append("bread tea"), filler="[PAD]")
    assert pair.base_score == pytest.approx(other.base_score, abs=1e-6)


def test_edits_are_limited_to_heads_and_positions(ranker):
    session = Session(ranker, QUERY, DOC, CHANGES["append"])
    z = session.source.z[0][0]
    n = len(session.pair.base)
    whole = [Edit("blocks.0.attn.hook_z", z, heads=(1,))]
    halves = range(n // 2), range(n // 2, n)
    split = [Edit("blocks.0.attn.hook_z", z, heads=(1,), positions=half) for half in halves]
    part = [Edit("blocks.0.attn.hook_z", z, heads=(1,), positions=(n - 2,))]
    scores = scores_of(session, [whole, split, part])
    assert abs(scores[0] - scores[1]) <= close(scores[0])
    assert abs(scores[0] - scores[2]) > close(scores[0])


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (Edit("blocks.9.attn.hook_z", torch.zeros(1)), "is no hook"),
        (Edit("blocks.0.attn.hook_z", torch.zeros(1)), "has shape"),
        (Edit("blocks.0.attn.hook_z", lambda z: z, heads=(4,)), r"heads \[4\].*0 to 3"),
        (Edit("blocks.0.attn.hook_z", lambda z: z, positions=(-1,)), r"positions \[-1\]"),
        (Edit("blocks.0.hook_resid_pre", lambda x: x, heads=(0,)), "no head dimension"),
    ],
)
def test_an_edit_that_cannot_be_is_refused(cat, edit, words):
    session = Session(cat, QUERY, DOC, CHANGES["append"])
    with pytest.raises(InputError, match=words):
        scores_of(session, [[edit]])
    assert not cat.encoder.hooked()


WORDS = st.lists(
    st.sampled_from(["hot", "springs", "are", "warm", "because", "water", "bread", "moon", "tides", "tea", "7", "?", "##"]),
    min_size=1,
    max_size=10,
)


@settings(max_examples=25, deadline=None)
@given(query=WORDS, doc=WORDS, other=WORDS, direction=st.sampled_from(DIRECTIONS))
def test_the_laws_hold_for_any_two_texts(cat, query, doc, other, direction):
    try:
        session = Session(cat, " ".join(query), " ".join(doc), " ".join(other), direction=direction)
    except mv.MechvizError:
        return
    pair = session.pair
    cells = [[], [Edit("blocks.0.hook_resid_pre", session.source.resid_pre[0][0])]]
    base, source = scores_of(session, cells)
    assert abs(base - pair.base_score) <= close(pair.base_score)
    assert abs(source - pair.source_score) <= close(pair.source_score)
    texts = (pair.query, pair.doc), (pair.query, pair.changed)
    for said, (q, d) in zip((pair.original_score, pair.perturbed_score), texts, strict=True):
        assert abs(said - cat.score(q, d)[0]) <= close(said)
