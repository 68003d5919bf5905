"""Several interventions in one plan, their sources, what they collect and the shapes of what comes back."""

import numpy as np
import pytest
import torch

import mechviz as mv
from mechviz.errors import InputError
from mechviz.interventions import DAS, Intervention, Plan, ops
from tests.interventions.hand import DOCS, PAIRS, QUERY, put, runs

SEVERAL = (QUERY, DOCS[0], ["Bread and tea.", "The moon makes tides and water rises."])


def tokens(ranker, query, doc):
    return ranker.tokenize(query, doc)[ranker.stacks[0]]


def test_two_sources_act_in_parallel(hand, cat):
    """Texts of three lengths: CLS from the one at one layer, of some heads from the other above."""
    base, *sources = [tokens(cat, QUERY, doc) for doc in (SEVERAL[1], *SEVERAL[2])]
    first = hand.at(sources[0], "hook_resid_pre", 1)
    second = hand.at(sources[1], "attn.hook_z", 2)
    plan = Plan(
        [
            Intervention("blocks.1.hook_resid_pre", positions="cls", source=0),
            Intervention("blocks.2.attn.hook_z", heads=[1], positions=0, source=1),
        ],
        aligned=False,
    )
    edits = [
        ("hook_resid_pre", 1, put([0], slice(None), lambda x: first[:1].expand_as(x))),
        ("attn.hook_z", 2, put([0], range(8, 16), lambda x: second[:1].expand_as(x))),
    ]
    result = plan.run(cat, [SEVERAL, SEVERAL])
    np.testing.assert_allclose(result.patched, hand.score(base, edits), atol=2e-5)
    np.testing.assert_allclose(result.source_score[0], [hand.score(source) for source in sources], atol=2e-5)
    assert result.effects.shape == (2, 2)
    assert {"effect_0", "effect_1", "source_score_1"} <= set(result.to_dataframe().columns)


def test_columns_of_one_rotation_take_from_several_sources(hand, cat):
    """Two interventions at one place, tied by a key: each swaps its own directions of one learned rotation."""
    hook, where = "blocks.1.hook_resid_post", {"positions": "cls", "key": "both"}
    plan = Plan(
        [
            Intervention(hook, subspace=DAS(5, (0, 2)), source=0, **where),
            Intervention(hook, subspace=DAS(5, (2, 5)), source=1, **where),
        ],
        aligned=False,
    )
    result = plan.run(cat, SEVERAL)
    assert list(plan.coordinates) == ["both"]
    directions = plan.coordinates["both"].directions.detach()
    base, *sources = [tokens(cat, QUERY, doc) for doc in (SEVERAL[1], *SEVERAL[2])]
    taken = [hand.at(source, "hook_resid_post", 1)[0] for source in sources]

    def change(x):
        own, x = x[0], x.clone()
        for vector, part in zip(taken, (directions[:, :2], directions[:, 2:]), strict=True):
            x[0] += part @ (part.T @ (vector - own))
        return x

    assert float(result.patched[0]) == pytest.approx(hand.score(base, [("hook_resid_post", 1, change)]), abs=3e-5)


def test_keys_tie_what_two_hooks_learn(cat):
    plan = Plan([Intervention(f"blocks.{layer}.hook_resid_post", subspace="das", key="k") for layer in (0, 1)])
    plan.meet(cat)
    assert len(list(plan.parameters())) == 1
    with pytest.raises(InputError, match="key='k' ties subspaces that are not alike"):
        Plan([Intervention("a.b", subspace=DAS(rank), key="k") for rank in (1, 2)])
    hooks = ("blocks.0.hook_resid_post", "blocks.0.mlp.hook_post")
    with pytest.raises(InputError, match="key='k' ties hooks of 32 and 48 features"):
        Plan([Intervention(hook, subspace="das", key="k") for hook in hooks]).meet(cat)


def test_serial_is_a_chain(hand, cat):
    """Source 0 acts in source 1, and what is read there, edited, acts in the base run."""
    texts = [SEVERAL[1], "Bread and hot tea is warm.", "Water is cold and rises."]
    base, first, second = [tokens(cat, QUERY, doc) for doc in texts]
    plan = Plan(
        [
            Intervention("blocks.0.hook_resid_post", positions=[0, 2], source=0),
            Intervention("blocks.1.hook_resid_post", positions="cls", source=1),
        ],
        mode="serial",
        aligned=False,
    )
    result = plan.run(cat, (QUERY, texts[0], texts[1:]))
    taken = hand.at(first, "hook_resid_post", 0)
    swap = put([0, 2], slice(None), lambda x: torch.cat([taken[:3], x[3:]]))
    then = hand.at(second, "hook_resid_post", 1, [("hook_resid_post", 0, swap)])
    wanted = hand.score(base, [("hook_resid_post", 1, put([0], slice(None), lambda x: then[:1].expand_as(x)))])
    assert float(result.patched[0]) == pytest.approx(wanted, abs=2e-5)
    parallel = Plan(plan.interventions, aligned=False).run(cat, (QUERY, texts[0], texts[1:]))
    assert abs(float(parallel.patched[0]) - wanted) > 1e-4
    np.testing.assert_allclose(result.source_score[0], [hand.score(first), hand.score(second)], atol=2e-5)


def test_edits_of_one_hook_follow_each_other(hand, cat):
    base, _ = runs(cat, PAIRS[0])
    hook = "blocks.1.hook_resid_post"
    twice = Plan([Intervention(hook, lambda x: x + 1), Intervention(hook, ops.Scale(2))])
    wanted = hand.score(base, [("hook_resid_post", 1, lambda x: 2 * (x + 1))])
    assert float(twice.run(cat, PAIRS[0]).patched[0]) == pytest.approx(wanted, abs=2e-5)


@pytest.mark.parametrize("width", [32, 1])
def test_a_stored_vector(hand, cat, width):
    vector = torch.randn(width, generator=torch.Generator().manual_seed(0))
    base, _ = runs(cat, PAIRS[0])
    for op, change in (("swap", lambda x: vector.expand_as(x)), (ops.Add(3), lambda x: x + 3 * vector)):
        found = Plan(Intervention("blocks.0.hook_resid_post", op, source=vector)).run(cat, PAIRS[0])
        wanted = hand.score(base, [("hook_resid_post", 0, change)])
        assert float(found.patched[0]) == pytest.approx(wanted, abs=2e-5)
    alone = Plan(Intervention("blocks.0.hook_resid_post", source=vector)).run(cat, PAIRS[0][:2])
    assert alone.source_score.shape == (1, 0)
    assert np.isfinite(alone.patched.values).all()


def test_a_stored_vector_in_a_subspace(hand, cat):
    vector = torch.randn(32, generator=torch.Generator().manual_seed(0))
    base, _ = runs(cat, PAIRS[0])
    change = put(slice(None), [2, 7], lambda x: vector.expand_as(x))
    found = Plan(Intervention("blocks.0.hook_resid_post", source=vector, subspace=[2, 7])).run(cat, PAIRS[0])
    assert float(found.patched[0]) == pytest.approx(hand.score(base, [("hook_resid_post", 0, change)]), abs=2e-5)


@pytest.mark.parametrize("subspace", [None, "das"])
def test_a_stored_vector_of_another_size_is_refused(cat, subspace):
    with pytest.raises(InputError, match=r"stored source has 31 features, and .* has 32"):
        Plan(Intervention("blocks.0.hook_resid_post", source=np.ones(31), subspace=subspace)).run(cat, PAIRS[0])
    with pytest.raises(InputError, match="stored source has 3 features"):
        Plan(Intervention("blocks.0.attn.hook_pattern", source=np.ones(3))).run(cat, PAIRS[0])


@pytest.mark.parametrize("site", ["pattern", "attn_scores"])
def test_a_pattern_of_heads_at_query_positions(cat, site):
    """Against mechviz's older edits, whose own oracle is the plain model."""
    from mechviz.patching import Edit, Session
    from mechviz.patching.edits import score_cells

    query, doc, changed = PAIRS[0]
    session = Session(cat, query, doc, changed)
    hook = f"blocks.1.attn.hook_{site}"
    kept = {}
    with torch.no_grad(), cat.hooks([(hook, lambda value, hook: kept.update(here=value[0]))]):
        cat.encode([session.source.inputs], session.base.stack)
    wanted = score_cells(cat, session.base, [[Edit(hook, kept["here"], heads=(0, 2), positions=(0, 5))]], 8)[0]
    found = Plan(Intervention(hook, heads=[0, 2], positions=[0, 5])).run(cat, [PAIRS[1], PAIRS[0]])
    assert float(found.patched[1]) == pytest.approx(wanted, abs=1e-5)
    assert abs(float(found.raw[1])) > 1e-4


def test_a_pattern_needs_texts_of_one_length(cat):
    with pytest.raises(InputError, match="everywhere does not mean the same place"):
        Plan(Intervention("blocks.1.attn.hook_pattern", positions="cls"), aligned=False).run(cat, [PAIRS[0], PAIRS[0]])
    with pytest.raises(InputError, match=r"noise at blocks.1.attn.hook_pattern"):
        Intervention("blocks.1.attn.hook_pattern", "noise")


def test_what_is_collected_is_the_cache(cat):
    plan = Plan([Intervention("blocks.1.attn.hook_z", "collect", heads=[2, 0]), Intervention("hook_embed", "collect")])
    pairs = [(query, doc) for query, doc, _ in PAIRS]
    result = plan.run(cat, pairs)
    z = result.collected["blocks.1.attn.hook_z"]
    lengths = [len(tokens(cat, *pair)) for pair in pairs]
    assert z.shape == (4, max(lengths), 16)
    assert z.dims == ("pair", "unit", "feature")
    for row, (pair, length) in enumerate(zip(pairs, lengths, strict=True)):
        score, cache = cat.run_with_cache(*pair)
        assert float(result.patched[row]) == pytest.approx(score, abs=1e-5)
        own = cache["blocks.1.attn.hook_z"][0, :, [2, 0]].flatten(1)
        np.testing.assert_allclose(z.values[row, :length], own, atol=1e-5)
        np.testing.assert_allclose(result.collected["hook_embed"].values[row, :length], cache["hook_embed"][0], atol=1e-5)
        assert np.isnan(z.values[row, length:]).all()


def test_one_hook_may_be_collected_twice_and_after_an_edit(cat):
    hook = "blocks.1.hook_resid_post"
    plan = Plan(
        [
            Intervention(hook, "collect", positions=[0, 1]),
            Intervention(hook, "zero", subspace=[3]),
            Intervention(hook, "collect", positions="doc", subspace=[3, 4]),
        ]
    )
    found = plan.run(cat, PAIRS).collected
    assert list(found) == [hook, f"{hook} #2"]
    assert found[hook].shape == (4, 2, 32)
    after = found[f"{hook} #2"].values
    assert np.nanmax(np.abs(after[..., 0])) < 1e-6 < np.nanmax(np.abs(after[..., 1]))


def test_a_t5_in_all_its_stacks(opened):
    """Hooks of encoder and decoder in one plan: the whole model is entered again."""
    from tests.cases import CASES

    ranker = opened(CASES["MonoT5 t5 ('true', 'false')"])
    cross = "decoder_blocks.1.cross_attn.hook_v"
    names = ["encoder_blocks.1.hook_resid_pre", "decoder_blocks.1.hook_mlp_out", cross]
    result = Plan([Intervention(name, "collect") for name in names]).run(ranker, PAIRS)
    made = [mv.make_pair(ranker, *pair) for pair in PAIRS]
    assert result.collected[names[0]].shape[1] == max(len(pair.base) for pair in made)
    assert result.collected[names[1]].shape[1] == 1
    assert np.isfinite(result.collected[cross].values[0]).all(axis=1).sum() == len(made[0].base)
    both = Plan([Intervention(names[0], positions="cls"), Intervention(names[1], "zero")]).run(ranker, PAIRS)
    alone = [float(Plan([Intervention(names[0], positions="cls"), Intervention(names[1], "zero")]).run(ranker, pair).patched[0])
             for pair in PAIRS]  # fmt: skip
    np.testing.assert_allclose(both.patched, alone, atol=1e-5)
    every = Plan(Intervention(cross, positions="injected")).run(ranker, PAIRS)  # keys and values have the text's positions
    assert np.abs(every.raw.values).max() > 1e-4
