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
from tests.cases import CASES
from tests.noise import DOC, QUERY, hooks_that_count
from tests.plain import OUTPUTS, Plain, attribute_heads, close, patch_heads_one_at_a_time

CHANGES = {
    "append": mv.perturb.append("volcano lava"),
    "prepend": mv.perturb.prepend("volcano"),
    "replace": mv.perturb.replace("water", "cold rain"),
    "delete": mv.perturb.delete("because water"),
    "query": mv.perturb.on_query(mv.perturb.append("lava")),
}
MAIN = ("Dot bert mean", "Dot bert cls", "Cat bert", "MonoT5 t5 ('true', 'false')", "ColBERT bert stanford")
#: Every case with a changed document and a changed query, in every stack; the main ones with every change.
SESSIONS = [
    (name, change, stack)
    for name, case in CASES.items()
    for change in (CHANGES if name in MAIN else ("append", "query"))
    for stack in case.stacks
]


def scores_of(session, cells, max_rows=64):
    scores = np.full(len(cells), np.nan)
    for chosen, values in run_cells(session.ranker, session.base, cells, max_rows):
        scores[chosen] = values
    return scores


def z_cells(session, run):
    """Every head of the session's stack, with z of a run."""
    return [
        [Edit(session.stack.hook(layer, "z"), z[0], heads=(head,))]
        for layer, z in enumerate(run.z)
        for head in range(session.stack.n_heads)
    ]


@pytest.fixture(params=SESSIONS, ids=lambda param: ", ".join(filter(None, param)))
def session(request, opened):
    name, change, stack = request.param
    return Session(opened(CASES[name]), QUERY, DOC, CHANGES[change], stack=stack or None)


@pytest.mark.parametrize(("name", "stack"), [(name, stack) for name, case in CASES.items() for stack in case.stacks])
def test_batched_cells_equal_one_plain_forward_pass_each(name, stack, opened, checkpoint):
    """The engine against plain transformers, eager, one torch hook and one full pass a cell."""
    case = CASES[name]
    plain = Plain(case, checkpoint(case))
    outputs = OUTPUTS[case.family.partition(",")[0], stack]
    for direction in DIRECTIONS if name in MAIN else DIRECTIONS[:1]:
        result = mv.patch(opened(case), QUERY, DOC, CHANGES["append"], direction=direction, stack=stack or None)
        expected = patch_heads_one_at_a_time(plain.model, outputs, plain.scorer(QUERY), result.pair.base, result.pair.source)
        assert np.abs(result.patched.values - expected).max() <= close(np.abs(expected).max())
        assert np.ptp(expected) > 100 * close(np.abs(expected).max()), "the heads must differ for this to mean something"


@pytest.mark.parametrize(("name", "stack"), [(name, stack) for name, case in CASES.items() for stack in case.stacks])
def test_attribution_is_the_gradient_of_the_plain_model(name, stack, opened, checkpoint):
    """The estimate of every head against plain autograd at the output projections."""
    case = CASES[name]
    plain = Plain(case, checkpoint(case))
    outputs = OUTPUTS[case.family.partition(",")[0], stack]
    result = mv.patch(opened(case), QUERY, DOC, CHANGES["append"], stack=stack or None, method="attribution")
    expected = attribute_heads(plain.model, outputs, plain.scorer(QUERY), result.pair.base, result.pair.source)
    assert np.abs(result.patched.values - expected).max() <= 10 * close(np.abs(expected).max())


def test_patching_nothing_gives_the_base_score(session):
    base, stack = session.pair.base_score, session.stack
    nothing = [
        [],
        [Edit(stack.hook(1, "z"), session.base.z[1][0])],
        [Edit(stack.hook(1, "resid_pre"), session.base.resid_pre[1][0])],
        [Edit(stack.hook(stack.n_layers - 1, "pattern"), lambda pattern: pattern)],
    ]
    assert np.abs(scores_of(session, nothing) - base).max() <= close(base)


def test_patching_everything_at_the_bottom_gives_the_source_score(session):
    pair, stack = session.pair, session.stack
    assert pair.masks_equal
    assert pair.reads_equal
    bottom = scores_of(session, [[Edit(stack.hook(0, "resid_pre"), session.source.resid_pre[0][0])]])[0]
    # T5's decoder starts alike in both runs: what differs comes from the encoder, where this law is its own case.
    expected = pair.base_score if stack.blocks.name == "decoder_blocks" else pair.source_score
    assert abs(bottom - expected) <= close(expected)


def test_the_whole_residual_stream_of_any_layer_is_the_run(session):
    """Patched at all positions before, between or after the parts of any layer, it gives the source score."""
    stack = session.stack
    places = [(layer, site) for layer in range(stack.n_layers) for site in ("resid_pre", "after", "resid_post")]
    if stack.blocks.name == "decoder_blocks":  # its layers read the encoder too, which stays that of the base run
        last = stack.n_layers - 1
        places = [(last, "resid_post"), *([(last, "after")] if stack.name == "cross" else [])]
    kept = {}

    def keep(value, hook):
        kept[hook.name] = value[0]

    names = [stack.hook(layer, site) for layer, site in places]
    tower = session.ranker.towers[session.base.stack]
    with torch.no_grad(), tower.hooks([(name, keep) for name in names]):
        session.ranker.encode([session.source.inputs], session.base.stack)
    scores = scores_of(session, [[Edit(name, kept[name])] for name in names])
    assert np.abs(scores - session.pair.source_score).max() <= close(session.pair.source_score)


@pytest.mark.parametrize("side", ["doc", "query"])
def test_a_skip_list_makes_runs_that_cannot_be_exchanged(opened, side):
    """ColBERT leaves punctuation out of one run and reads the filler there in the other; the result says so."""
    ranker = opened(CASES["ColBERT bert stanford"])
    change = mv.perturb.append("!")
    pair = mv.make_pair(ranker, QUERY, DOC, change if side == "doc" else mv.perturb.on_query(change))
    assert pair.reads_equal == (side == "query")


def test_a_source_like_the_base_moves_nothing(session):
    same = scores_of(session, z_cells(session, session.base))
    assert np.abs(same - session.pair.base_score).max() <= close(session.pair.base_score)


def test_all_heads_of_a_layer_together_are_its_z(session):
    stack, layer = session.stack, session.stack.n_layers - 1
    z = stack.hook(layer, "z")
    cells = [
        [Edit(z, session.source.z[layer][0], heads=(h,)) for h in range(stack.n_heads)],
        [Edit(z, session.source.z[layer][0])],
        [Edit(stack.hook(layer, "attn_out"), session.source.values["attn_out"][layer][0])],
    ]
    scores = scores_of(session, cells)
    assert np.ptp(scores) <= close(scores[0])


def test_the_fast_layers_equal_the_models_own(session, monkeypatch):
    """The same cells through `Upper` or `Fused` and through the model's own layers, hooked."""
    cells = z_cells(session, session.source)
    fast = scores_of(session, cells)
    monkeypatch.setattr("mechviz.patching.edits.upper", lambda ranker, run: None)
    assert np.abs(fast - scores_of(session, cells)).max() <= close(session.pair.base_score)


@pytest.mark.parametrize("max_rows", [1, 3, 5, 100])
def test_chunks_change_nothing(ranker, max_rows):
    session = Session(ranker, QUERY, DOC, CHANGES["append"])
    cells = [[Edit(f"blocks.{i}.attn.hook_z", session.source.z[i][0], heads=(h,))] for i in range(3) for h in range(4)]
    assert np.abs(scores_of(session, cells, max_rows) - scores_of(session, cells)).max() <= close(session.pair.base_score)


HOOKS = {
    "mlp_in": lambda e: e.module(2, e.blocks.mlp_in).register_forward_hook(lambda module, args, output: output * 1.5),
    "query": lambda e: e.module(1, e.blocks.fused.query).register_forward_hook(lambda module, args, output: output * 1.5),
    "layer, before": lambda e: e.layers[1].register_forward_pre_hook(lambda module, args: (args[0] * 1.5, *args[1:])),
    "layer, after": lambda e: e.layers[1].register_forward_hook(lambda module, args, output: output * 1.5),
}


@pytest.mark.parametrize("where", list(HOOKS))
def test_a_hook_of_the_users_own_counts(ranker, where):
    """A caller's torch hook on a layer is part of the model: the fused path must step aside."""
    plain = mv.patch(ranker, QUERY, DOC, CHANGES["append"])
    handle = HOOKS[where](ranker.hooked.main)
    try:
        hooked = mv.patch(ranker, QUERY, DOC, CHANGES["append"])
        assert hooked.pair.base_score != pytest.approx(plain.pair.base_score, abs=1e-4)
        session = Session(ranker, QUERY, DOC, CHANGES["append"])
        names = ["blocks.0.attn.hook_z", "blocks.1.hook_resid_pre", "blocks.2.hook_attn_out"]
        nothing = scores_of(session, [[Edit(name, lambda activation: activation)] for name in names])
        assert np.abs(nothing - hooked.pair.base_score).max() <= close(hooked.pair.base_score)
        _, cache = ranker.run_with_cache(QUERY, session.pair.changed, "pattern")
        np.testing.assert_allclose(session.reading.pattern(1)[1], cache["pattern", 1][0], atol=1e-5)
    finally:
        handle.remove()


def test_every_hook_that_is_offered_counts(any_ranker):
    """Seeded noise that differs by position, at every position, moves the score at each hook."""
    assert [name for name, counts in hooks_that_count(any_ranker).items() if not counts] == []


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
    assert not cat.hooked.active()


WORDS = st.lists(
    st.sampled_from(["hot", "springs", "are", "warm", "because", "water", "bread", "moon", "tides", "tea", "7", "?", "##"]),
    min_size=1,
    max_size=10,
)


#: One of each kind, and each kind of tokenizer.
KINDS = ["Dot bert mean", "Cat roberta", "Cat llama", "MonoT5 mt5 ('true', 'false')", "Splade xlm-roberta"]
KINDS += [
    "ColBERT bert stanford",
    "ColBERT modernbert pylate",
    next(name for name in CASES if name.startswith("Generative qwen2")),
]
ANY = st.text(alphabet=st.characters(exclude_categories=[]), min_size=0, max_size=24)


@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=25, deadline=None)
@given(query=WORDS, doc=WORDS, other=WORDS, direction=st.sampled_from(DIRECTIONS), on_query=st.booleans())
def test_the_laws_hold_for_any_two_texts(opened, name, query, doc, other, direction, on_query):
    ranker = opened(CASES[name])
    query, doc, other = (" ".join(words) for words in (query, doc, other))
    change = mv.perturb.on_query(lambda _: other) if on_query else other
    try:
        session = Session(ranker, query, doc, change, gradient=False, direction=direction)
    except mv.MechvizError:
        return
    pair = session.pair
    cells = [[], [Edit(session.stack.hook(0, "resid_pre"), session.source.resid_pre[0][0])]]
    base, source = scores_of(session, cells)
    assert abs(base - pair.base_score) <= close(pair.base_score)
    if pair.reads_equal:
        assert abs(source - pair.source_score) <= close(pair.source_score)
    changed = (pair.changed, pair.doc) if on_query else (pair.query, pair.changed)
    for said, texts in zip((pair.original_score, pair.perturbed_score), ((pair.query, pair.doc), changed), strict=True):
        assert abs(said - ranker.score(*texts)[0]) <= close(said)


@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=25, deadline=None)
@given(query=ANY, doc=ANY, other=ANY)
def test_any_text_is_patched_or_refused_by_us(opened, name, query, doc, other):
    """Every character that Python has, half surrogate pairs too."""
    try:
        result = mv.patch(opened(CASES[name]), query, doc, other, truncate=True)
    except mv.MechvizError:
        return
    assert np.isfinite(result.patched).all()
    assert len(result.pair.base) == len(result.pair.source) == len(result.pair.alignment)


@pytest.mark.parametrize(("name", "side"), [("Dot bert mean", "doc"), ("Cat bert", "doc"), ("ColBERT bert stanford", "query")])
def test_a_stack_that_cannot_move_is_refused(name, side, opened):
    ranker = opened(CASES[name])
    with pytest.raises(InputError, match=r"stack='cross'; a .* ranker has"):
        mv.patch(ranker, QUERY, DOC, CHANGES["append"], stack="cross")
    if name.startswith("Cat"):
        return
    change = CHANGES["append" if side == "doc" else "query"]
    other = "query" if side == "doc" else "doc"
    with pytest.raises(InputError, match=f"the perturbation changes the {side}, and nothing in the stack '{other}'"):
        mv.patch(ranker, QUERY, DOC, change, stack=other)


def test_cells_may_hold_edits_of_several_stacks(opened):
    """An encoder head and a cross-attention head together, against one plain pass with both hooks."""
    ranker = opened(CASES["MonoT5 t5 ('true', 'false')"])
    session = Session(ranker, QUERY, DOC, CHANGES["append"])
    cross = Session(ranker, QUERY, DOC, CHANGES["append"], stack="cross")
    first = Edit("encoder_blocks.1.attn.hook_z", session.source.z[1][0], heads=(2,))
    second = Edit("decoder_blocks.1.cross_attn.hook_z", cross.source.z[1][0], heads=(1,))
    together, alone, later = scores_of(session, [[first, second], [first], [second]])
    assert abs(later - scores_of(cross, [[second]])[0]) <= close(later)

    def swap(edit):
        return (edit.hook, lambda z, hook: edit.apply(z[0])[None])

    with torch.no_grad(), ranker.hooks([swap(first), swap(second)]):
        expected = float(ranker.score_inputs([session.base.inputs])[0])
    assert abs(together - expected) <= close(expected)
    assert abs(together - alone) > close(expected)


def test_an_edit_that_raises_leaves_the_model_clean(ranker):
    """A function of the caller's, at every way that a cell can run."""

    def broken(activation):
        raise ZeroDivisionError("mine")

    session = Session(ranker, QUERY, DOC, CHANGES["append"])
    for hook, positions in (("attn.hook_z", None), ("hook_attn_out", (2,)), ("attn.hook_pattern", None), ("hook_mlp_out", None)):
        with pytest.raises(ZeroDivisionError, match="mine"):
            scores_of(session, [[Edit(f"blocks.1.{hook}", broken, positions=positions)]])
        assert not ranker.hooked.active()
    assert ranker.score(QUERY, DOC)[0] == pytest.approx(session.pair.original_score, abs=close(session.pair.original_score))


def test_edits_of_some_neurons(ranker):
    session = Session(ranker, QUERY, DOC, CHANGES["append"], grid="neurons")
    hook, new = "blocks.1.mlp.hook_post", session.source.values["mlp_post"][1][0]
    n = new.shape[-1]
    parts = [
        [Edit(hook, new)],
        [Edit(hook, new, neurons=range(5)), Edit(hook, new, neurons=range(5, n))],
        [Edit(hook, new, neurons=(3,))],
    ]
    whole, split, one = scores_of(session, parts)
    assert abs(whole - split) <= close(whole)
    assert abs(whole - one) > close(whole)
    with pytest.raises(InputError, match="has heads, not neurons"):
        scores_of(session, [[Edit("blocks.1.attn.hook_z", session.source.z[1][0], neurons=(0,))]])
    with pytest.raises(InputError, match=rf"neurons \[{n}\].*0 to {n - 1}"):
        scores_of(session, [[Edit(hook, new, neurons=(n,))]])


def test_one_position_is_the_same_by_every_way(session):
    """One position of z, of attention's output and of the residual stream: entered above, and through hooked layers."""
    stack, source, last = session.stack, session.source, session.base.hidden.shape[1] - 1
    cells = [
        [Edit(stack.hook(layer, site), source.values[site][layer][0], positions=(position,))]
        for layer in range(stack.n_layers)
        for site in ("resid_pre", "z", "attn_out")
        for position in sorted({0, last // 2, last})
    ]
    fast = scores_of(session, cells)

    def with_nothing_else(edit):
        return [edit, Edit(stack.hook(stack.n_layers - 1, "resid_post"), lambda x: x)]

    own = scores_of(session, [with_nothing_else(cell[0]) for cell in cells])
    assert np.abs(fast - own).max() <= 2 * close(session.pair.base_score)
