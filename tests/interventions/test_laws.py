"""The laws that hold for a plan whatever the ranker: nothing, everything, the same, one pair at a time, and as `mv.patch`."""

import numpy as np
import pytest

import mechviz as mv
from mechviz.interventions import Intervention, Plan
from tests.cases import CASES
from tests.interventions.hand import PAIRS
from tests.plain import close

NAMES = {
    "cat": "Cat bert",
    "dot": "Dot bert mean",
    "monot5": "MonoT5 t5 ('true', 'false')",
    "generative": next(name for name in CASES if name.startswith("Generative llama")),
    "splade": "Splade bert",
    "colbert": "ColBERT bert stanford",
    "roberta": "Cat roberta",
}
QUERY, DOC, CHANGED = PAIRS[0]
ON_QUERY = mv.perturb.on_query(mv.perturb.append("lava"))


@pytest.fixture(params=list(NAMES))
def named(request, opened):
    return request.param, opened(CASES[NAMES[request.param]])


def run(ranker, pairs, *interventions, **options):
    return Plan(list(interventions), **options).run(ranker, pairs)


def first(ranker, site, layer=0):
    """A hook of the stack that reads the document."""
    return ranker.stack(ranker.stack_of("doc")).hook(layer, site)


def test_nothing_everything_and_the_same(named):
    name, ranker = named
    bottom = first(ranker, "resid_pre")
    # ColBERT does not read punctuation, so that two texts that have it elsewhere are not read alike.
    pairs = (
        [tuple(text.translate(str.maketrans("", "", ".,:")) for text in pair) for pair in PAIRS] if name == "colbert" else PAIRS
    )
    nothing = run(ranker, pairs, Intervention(bottom, "collect"))
    everything = run(ranker, pairs, Intervention(bottom))
    same = run(ranker, [(q, d, d) for q, d, _ in PAIRS], Intervention(first(ranker, "z", 1)), aligned=False)
    scale = np.abs(everything.source_score.values).max()
    np.testing.assert_allclose(nothing.patched, nothing.base_score, atol=close(scale))
    np.testing.assert_allclose(everything.patched, everything.source_score[:, 0], atol=close(scale))
    np.testing.assert_allclose(same.patched, same.base_score, atol=close(scale))
    np.testing.assert_allclose(
        same.base_score, ranker.score([q for q, _, _ in PAIRS], [d for _, d, _ in PAIRS]), atol=close(scale)
    )
    assert np.abs(everything.raw.values).max() > 100 * close(scale)


def test_unaligned_texts_score_as_they_are(named):
    _, ranker = named
    found = run(ranker, PAIRS, Intervention(first(ranker, "resid_pre"), "zero", positions=1), aligned=False)
    np.testing.assert_allclose(found.base_score, ranker.score([q for q, _, _ in PAIRS], [d for _, d, _ in PAIRS]), atol=1e-4)
    np.testing.assert_allclose(
        found.source_score[:, 0], ranker.score([q for q, _, _ in PAIRS], [p for _, _, p in PAIRS]), atol=1e-4
    )


@pytest.mark.parametrize("direction", ["perturbed->original", "original->perturbed"])
def test_batches_change_nothing(named, direction):
    _, ranker = named
    whole = Intervention(first(ranker, "z", 1), heads=[0, 3], positions=["other", "query_term", "prompt"])
    alone = [float(run(ranker, pair, whole, direction=direction).patched[0]) for pair in PAIRS]
    scale = close(max(map(abs, alone)))
    np.testing.assert_allclose(run(ranker, PAIRS, whole, direction=direction).patched, alone, atol=scale)
    np.testing.assert_allclose(run(ranker, PAIRS[::-1], whole, direction=direction).patched[::-1], alone, atol=scale)


def heads_equal(ranker, pair, perturbation, stack=None):
    grid = mv.patch(ranker, pair.query, pair.doc, perturbation, stack=stack)
    part = ranker.stack(stack or ranker.stack_of(pair.side))
    for layer, head in ((0, 1), (1, 2)):
        found = run(ranker, pair, Intervention(part.hook(layer, "z"), heads=[head]), stack=stack)
        wanted = float(grid.patched.values[layer, head])
        assert float(found.patched[0]) == pytest.approx(wanted, abs=close(wanted))
        assert float(found.effects[0, 0]) == pytest.approx(float(grid.effects.values[layer, head]), abs=1e-3)


def test_one_head_is_that_of_patch(named):
    _, ranker = named
    heads_equal(ranker, mv.make_pair(ranker, QUERY, DOC, CHANGED), CHANGED)
    heads_equal(ranker, mv.make_pair(ranker, QUERY, DOC, ON_QUERY), ON_QUERY)


@pytest.mark.parametrize("stack", ["encoder", "decoder", "cross"])
def test_every_stack_of_a_t5(opened, stack):
    ranker = opened(CASES[NAMES["monot5"]])
    heads_equal(ranker, mv.make_pair(ranker, QUERY, DOC, CHANGED), CHANGED, stack)


@pytest.mark.parametrize("side", ["doc", "query"])
def test_two_towers(checkpoint, side):
    docs, queries = (str(checkpoint(CASES[name])) for name in ("Dot distilbert mean", "Dot bert mean"))
    twin = mv.Dot(docs, pooling="mean", query_name=queries)
    change = CHANGED if side == "doc" else ON_QUERY
    heads_equal(twin, mv.make_pair(twin, QUERY, DOC, change), change)


def test_one_position_is_that_of_patch(named):
    _, ranker = named
    grid = mv.patch(ranker, QUERY, DOC, CHANGED, grid="blocks", sites=["resid_pre", "mlp_out"], layers=[1])
    at = int(np.abs(grid.patched.values[0, 1] - grid.pair.base_score).argmax())
    for site in ("resid_pre", "mlp_out"):
        found = run(ranker, (QUERY, DOC, CHANGED), Intervention(first(ranker, site, 1), positions=at))
        wanted = float(grid.patched.sel(site=site).values[1, at])
        assert float(found.patched[0]) == pytest.approx(wanted, abs=close(wanted))


def test_of_the_text_that_does_not_change_nothing_moves(opened):
    """Dot with the query's side edited while the document changes: both runs have the same query."""
    dot = opened(CASES[NAMES["dot"]])
    found = run(dot, PAIRS, Intervention("blocks.0.hook_resid_pre"), stack="query")
    np.testing.assert_allclose(found.patched, found.base_score, atol=1e-5)
    moved = run(dot, PAIRS, Intervention("blocks.0.hook_resid_pre", "zero", positions="query"), stack="query")
    assert np.abs(moved.raw.values).max() > 1e-3
