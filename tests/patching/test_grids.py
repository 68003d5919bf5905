"""Every grid, method and source, for every family, against plain `transformers` one cell at a time."""

import numpy as np
import pytest
import torch

import mechviz as mv
from mechviz.errors import InputError, InputTypeError
from mechviz.patching import Session
from mechviz.patching import session as module
from mechviz.patching.cells import GRIDS
from tests.cases import CASES
from tests.noise import DOC, QUERY
from tests.plain import Plain, close
from tests.plain_cells import PlainCells, Spot

CHANGE = mv.perturb.append("volcano lava")
ALL = [(name, stack) for name, case in CASES.items() for stack in case.stacks]


@pytest.fixture
def cells(request, opened, checkpoint):
    """A ranker of each case and stack, and the plain passes of the same pair."""
    name, stack = request.param
    case, ranker = CASES[name], opened(CASES[name])
    pair = mv.make_pair(ranker, QUERY, DOC, CHANGE)
    plain = Plain(case, checkpoint(case), torch.float64)  # in float32 its own rounding is the larger one for T5
    return ranker, stack or None, PlainCells(plain, stack, plain.scorer(QUERY), pair.base, pair.source)


def some_positions(result):
    """A few positions: where the texts differ, at the beginning, and beside a change; a decoder has one."""
    n = result.effects.sizes.get("pos", len(result.pair.base))
    return [0] if n == 1 else sorted({0, 3, n - 1, *result.pair.alignment.changed()[:2]})


def spots_of(result):
    """The computed cells of a result, as (index, spot)."""
    dims = result.effects.dims
    for index in zip(*np.nonzero(~np.isnan(result.patched.values)), strict=True):
        at = {dim: result.effects[dim].values[i] for dim, i in zip(dims, index, strict=True)}
        site = str(at.pop("site", GRIDS[result.grid].sites[0]))
        yield index, Spot(site, **{dim: int(value) for dim, value in at.items()})


def assert_equal_to_plain(result, plain):
    found = [(float(result.patched.values[index]), plain.patched([spot])) for index, spot in spots_of(result)]
    engine, expected = np.array(found).T
    assert np.abs(engine - expected).max() <= 2 * close(np.abs(expected).max())
    return np.ptp(expected)


@pytest.mark.parametrize("cells", ALL, ids=str, indirect=True)
def test_blocks(cells):
    ranker, stack, plain = cells
    pair = mv.make_pair(ranker, QUERY, DOC, CHANGE)
    n = 1 if stack in ("decoder", "cross") else len(pair.base)
    positions = [0] if n == 1 else sorted({0, 3, n - 1, *pair.alignment.changed()[:2].tolist()})
    result = mv.patch(ranker, QUERY, DOC, CHANGE, grid="blocks", positions=positions, stack=stack)
    assert result.effects.dims == ("site", "layer", "pos")
    assert assert_equal_to_plain(result, plain) > 100 * close(pair.base_score)


@pytest.mark.parametrize("cells", ALL, ids=str, indirect=True)
def test_head_inputs(cells):
    ranker, stack, plain = cells
    result = mv.patch(ranker, QUERY, DOC, CHANGE, grid="head_inputs", stack=stack)
    assert result.effects.dims == ("site", "layer", "head")
    computed = {spot.site for _, spot in spots_of(result)}
    # At its first step the decoder sees one position: its queries and keys have no effect.
    assert computed == ({"v"} if stack == "decoder" else {"q", "k", "v"})
    if not plain.own:
        assert_equal_to_plain(result, plain)


@pytest.mark.parametrize("cells", ALL, ids=str, indirect=True)
def test_head_positions(cells):
    ranker, stack, plain = cells
    positions = [0] if stack in ("decoder", "cross") else ["injected", 2]
    heads = [(0, 1), (1, 2)]
    result = mv.patch(ranker, QUERY, DOC, CHANGE, grid="head_positions", heads=heads, positions=positions, stack=stack)
    assert {(spot.layer, spot.head) for _, spot in spots_of(result)} == set(heads)
    if plain.own:
        result = mv.patch(ranker, QUERY, DOC, CHANGE, grid="head_positions", heads=heads, positions=positions, stack=stack)
        result.patched.sel(site="z")
    else:
        assert_equal_to_plain(result, plain)


@pytest.mark.parametrize("cells", [(name, stack) for name, stack in ALL if CASES[name].mlps], ids=str, indirect=True)
def test_mlps_and_neurons(cells):
    ranker, stack, plain = cells
    mlps = mv.patch(ranker, QUERY, DOC, CHANGE, grid="mlps", stack=stack)
    assert mlps.effects.dims == ("layer",)
    assert_equal_to_plain(mlps, plain)
    neurons = mv.patch(ranker, QUERY, DOC, CHANGE, grid="neurons", method="hybrid", top_k=6, stack=stack)
    assert neurons.effects.dims == ("layer", "neuron")
    assert int(neurons.exact.sum()) == 6
    for index in zip(*np.nonzero(neurons.exact.values), strict=True):
        expected = plain.patched([Spot("mlp_post", int(index[0]), neuron=int(index[1]))])
        assert abs(neurons.patched.values[index] - expected) <= 2 * close(expected)
    assert np.isfinite(neurons.patched).all(), "the others are the estimates"


@pytest.mark.parametrize("cells", [("Dot bert mean", ""), ("Cat llama", ""), ("Dot bert cls", "")], ids=str, indirect=True)
def test_cells_together(cells):
    ranker, _, plain = cells
    sets = [[(0, 1), (1, 2)], [(1, 0), (1, 3)], [(0, 0), (0, 1), (1, 1)]]
    result = mv.patch(ranker, QUERY, DOC, CHANGE, together=sets)
    assert result.effects.dims == ("cell",)
    assert list(result.effects["cell"].values) == ["0.1 + 1.2", "1.0 + 1.3", "0.0 + 0.1 + 1.1"]
    for value, heads in zip(result.patched.values, sets, strict=True):
        expected = plain.patched([Spot("z", layer, head) for layer, head in heads])
        assert abs(value - expected) <= close(expected)
    one = mv.patch(ranker, QUERY, DOC, CHANGE, together=sets[0])
    assert one.effects.sizes == {"cell": 1}
    assert one.patched.values[0] == pytest.approx(result.patched.values[0], abs=1e-6)
    blocks = mv.patch(ranker, QUERY, DOC, CHANGE, grid="blocks", together=[("attn_out", 0, 3), ("mlp_out", 1, 4)])
    expected = plain.patched([Spot("attn_out", 0, pos=3), Spot("mlp_out", 1, pos=4)])
    assert abs(blocks.patched.values[0] - expected) <= close(expected)


@pytest.mark.parametrize("cells", [("Dot bert mean", ""), ("Cat gpt2", "")], ids=str, indirect=True)
def test_the_curve(cells):
    ranker, _, plain = cells
    result = mv.patch(ranker, QUERY, DOC, CHANGE)
    curve = result.curve()
    top = [tuple(cell) for cell in result.top(8)[["layer", "head"]].values.tolist()]
    assert list(curve["cell"].values) == ["", *(f"{layer}.{head}" for layer, head in top)]
    for k in (0, 1, 3, 8):
        for name, heads in (("top", top[:k]), ("rest", top[k:])):
            expected = plain.patched([Spot("z", layer, head) for layer, head in heads])
            assert abs(float(curve[f"{name}_patched"][k]) - expected) <= 2 * close(expected)
    assert float(curve["top"][0]) == pytest.approx(0, abs=1e-4)
    assert float(curve["top"][8]) == pytest.approx(float(curve["rest"][0]), abs=1e-5)
    assert result.curve(2).sizes["k"] == 3


def test_a_curve_needs_the_ranker(dot, tmp_path):
    result = mv.patch(dot, QUERY, DOC, CHANGE)
    result.save(tmp_path / "r.nc")
    with pytest.raises(InputError, match="holds no ranker"):
        mv.PatchResult.load(tmp_path / "r.nc").curve()
    with pytest.raises(InputError, match="patched together already"):
        mv.patch(dot, QUERY, DOC, CHANGE, together=[(0, 1)]).curve()
    with pytest.raises(InputError, match="k=99"):
        result.curve(99)


# -- selections -----------------------------------------------------------------------------------------------------------


def test_a_selection_leaves_the_rest_out(dot):
    whole = mv.patch(dot, QUERY, DOC, CHANGE)
    some = mv.patch(dot, QUERY, DOC, CHANGE, layers=[1], heads=[(1, 0), (1, 3), (2, 2)])
    assert np.argwhere(~np.isnan(some.patched.values)).tolist() == [[1, 0], [1, 3]]
    np.testing.assert_allclose(some.patched.values[1, [0, 3]], whole.patched.values[1, [0, 3]], atol=1e-6)
    assert len(some.top(9)) == 2


def test_some_sites_of_a_grid(dot):
    whole = mv.patch(dot, QUERY, DOC, CHANGE, grid="blocks", layers=[1])
    some = mv.patch(dot, QUERY, DOC, CHANGE, grid="blocks", layers=[1], sites=["mlp_out", "resid_pre"])
    assert list(some.effects["site"].values) == ["resid_pre", "mlp_out"], "in the grid's order"
    np.testing.assert_allclose(some.patched, whole.patched.sel(site=["resid_pre", "mlp_out"]), atol=1e-6)
    one = mv.patch(dot, QUERY, DOC, CHANGE, grid="head_positions", sites="z", method="attribution")
    heads = mv.patch(dot, QUERY, DOC, CHANGE, method="attribution")
    base = one.pair.base_score
    np.testing.assert_allclose((one.patched - base).sum("pos")[0], heads.patched - base, atol=1e-4)


def test_heads_can_be_patched_at_some_positions_alone(dot):
    """In a grid without positions they say where a cell applies."""
    whole = mv.patch(dot, QUERY, DOC, CHANGE)
    n = len(whole.pair.base)
    everywhere = mv.patch(dot, QUERY, DOC, CHANGE, positions=range(n))
    np.testing.assert_allclose(everywhere.patched, whole.patched, atol=1e-6)
    session = Session(dot, QUERY, DOC, CHANGE, positions="injected")
    estimate = session.attribution()
    at = session.pair.alignment.changed()
    z = session.base.z[1][0], session.source.z[1][0], session.base.gradients["z"][1][0]
    expected = session.pair.base_score + float((z[2] * (z[1] - z[0]))[at][:, 2].sum())
    assert estimate[1, 2] == pytest.approx(expected, abs=1e-5)
    exact = mv.patch(dot, QUERY, DOC, CHANGE, positions="injected").patched.values
    one_by_one = mv.patch(dot, QUERY, DOC, CHANGE, grid="head_positions", heads=[(2, 1)], positions=[int(at[0])])
    single = mv.patch(dot, QUERY, DOC, CHANGE, heads=[(2, 1)], positions=[int(at[0])])
    expected = float(one_by_one.patched.sel(site="z", layer=2, head=1, pos=at[0]))
    assert single.patched.values[2, 1] == pytest.approx(expected, abs=1e-6)
    assert np.ptp(exact - whole.patched.values) > 0


def test_the_top_heads_are_those_of_the_largest_estimates(dot):
    estimate = mv.patch(dot, QUERY, DOC, CHANGE, method="attribution").top(3)
    result = mv.patch(dot, QUERY, DOC, CHANGE, grid="head_positions", heads="top:3", positions="injected")
    computed = np.argwhere(~np.isnan(result.patched.values).all(axis=(0, 3)))
    assert {tuple(head) for head in computed} == {tuple(head) for head in estimate[["layer", "head"]].values}


def test_the_frame_names_tokens_and_their_classes(cat):
    result = mv.patch(cat, QUERY, DOC, CHANGE, grid="blocks", positions=["cls", "injected", "query"])
    frame = result.to_dataframe().dropna(subset=["patched"])
    assert set(frame["class"]) == {"cls", "injected", "query"}
    assert set(frame.loc[frame["class"] == "injected", "token"]) == {"volcano", "lava"}


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"layers": [3]}, InputError, r"layers \[3\] do not exist; there are 0 to 2"),
        ({"layers": 2}, InputTypeError, "layers must be a list of whole numbers, not 2"),
        ({"layers": []}, InputError, "nothing is chosen"),
        ({"grid": "blocks", "sites": ["z"]}, InputError, r"sites=\['z'\]; grid='blocks' has 'resid_pre', 'attn_out', 'mlp_out'"),
        ({"heads": [(0, 4)]}, InputError, r"head 0\.4 does not exist; there are layers 0 to 2 and heads 0 to 3"),
        ({"heads": [1, 2]}, InputTypeError, r"a head is \(layer, head\), such as \(1, 6\), not 1"),
        ({"heads": "best"}, InputError, "give 'top:8'"),
        ({"heads": [(0, 1)], "grid": "mlps"}, InputError, "which has no head"),
        ({"positions": [99]}, InputError, r"positions \[99\] do not exist"),
        ({"positions": [-1]}, InputError, r"positions \[-1\] do not exist"),
        ({"positions": "nouns"}, InputError, "a class of tokens is one of 'cls'"),
        ({"positions": "prompt"}, InputError, "this pair has no such token; it has cls, "),
        ({"grid": "tails"}, InputError, "'heads', 'blocks', 'head_positions', 'head_inputs', 'mlps', 'neurons'"),
        ({"source": "noise"}, InputError, "'zero', 'mean', 'resample'"),
        ({"source": "mean"}, InputTypeError, r"takes activations from pairs=\[\(query, doc\)"),
        ({"source": "mean", "pairs": []}, InputError, "there are none"),
        ({"source": "mean", "pairs": ["tea"]}, InputError, "pairs must be"),
        ({"pairs": [(QUERY, DOC)]}, InputError, "source is None"),
        ({"source": {"blocks.0.attn.hook_q": 0}}, InputError, r"nothing for blocks\.0\.attn\.hook_z; it holds blocks\.0"),
        ({"source": {"blocks.0.attn.hook_z": torch.zeros(3)}, "layers": [0]}, InputError, r"shape \(3,\), which does not fit"),
        ({"source": "zero", "method": "integrated"}, InputError, "use 'attribution'"),
        ({"steps": 0}, InputError, "steps=0; give a whole number, at least 1"),
        ({"top_k": 1.5}, InputError, "top_k=1.5"),
        ({"memory": 0}, InputError, "memory=0"),
        ({"together": [(0, 9)]}, InputError, r"cell \(0, 9\): head 9 does not exist; there are 0 to 3"),
        ({"together": [3]}, InputTypeError, r"a cell of grid='heads' is \(layer, head\), not 3"),
        ({"together": []}, InputTypeError, "together must be a list of cells"),
        ({"together": [(0, 1)], "method": "attribution"}, InputError, "leave method out"),
        ({"together": [("q", 0, 1)], "grid": "head_inputs"}, InputError, "cannot be patched together"),
        ({"source": "resample", "pairs": [(QUERY, DOC)], "grid": "head_positions"}, InputError, "rows of a pattern"),
    ],
)
def test_what_cannot_be_chosen_is_refused(dot, settings, error, words):
    with pytest.raises(error, match=words):
        mv.patch(dot, QUERY, DOC, CHANGE, **settings)
    assert not dot.hooked.active()


# -- sources --------------------------------------------------------------------------------------------------------------

POOL = [("tea leaves", "Bread rises because yeast eats sugar."), ("moon", "Tides follow the moon and the sun, twice a day.")]


def pool_values(ranker, name):
    """What each pair of the pool has at a hook, dims (pos, ...)."""
    return [ranker.run_with_cache(query, doc, names=[name])[1][name][0] for query, doc in POOL]


@pytest.mark.parametrize("name", ["Dot bert mean", "Cat roberta", "MonoT5 t5 ('true', 'false')"])
def test_a_stored_vector_zero_and_the_mean(name, opened):
    ranker = opened(CASES[name])
    session = Session(ranker, QUERY, DOC, CHANGE)
    hook = session.stack.hook(1, "mlp_out")
    width = session.stack.d_model
    stored = {"zero": torch.zeros(width), "mean": torch.cat(pool_values(ranker, hook)).mean(0)}
    for source, vector in stored.items():
        pairs = POOL if source == "mean" else None
        result = mv.patch(ranker, QUERY, DOC, CHANGE, grid="mlps", layers=[1], source=source, pairs=pairs)
        by_hand = mv.patch(ranker, QUERY, DOC, CHANGE, grid="mlps", layers=[1], source={hook: vector})
        assert result.patched.values[1] == pytest.approx(by_hand.patched.values[1], abs=1e-5)
        put = (hook, lambda value, hook, vector=vector: vector.to(value).expand_as(value))
        with torch.no_grad(), ranker.hooks([put], stack=session.pair.stack):
            expected = float(ranker.score_inputs([session.base.inputs])[0])
        assert abs(result.patched.values[1] - expected) <= close(expected)
        assert result.pair.source_score == session.pair.source_score, "effects are measured by the two texts all the same"
        assert result.provenance["source"] == source


def test_resampled_vectors_come_from_the_pool(dot):
    def values(seed):
        return Session(dot, QUERY, DOC, CHANGE, source="resample", pairs=POOL, seed=seed).values.new("z", 1)

    drawn = values(3)
    pool = torch.cat(pool_values(dot, "blocks.1.attn.hook_z")).flatten(1)
    apart = (drawn.flatten(1)[:, None] - pool[None]).abs().amax(-1)
    assert float(apart.min(1).values.max()) < 1e-5
    starts = [0, len(pool_values(dot, "blocks.1.attn.hook_z")[0])]
    assert float(apart[0, starts].min()) < 1e-5, "a position draws from its own segment: CLS from CLS"
    assert torch.equal(drawn, values(3))
    assert not torch.equal(drawn, values(4))
    assert np.isfinite(mv.patch(dot, QUERY, DOC, CHANGE, source="resample", pairs=POOL).patched).all()


# -- estimates ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Dot bert mean", "Cat llama", "MonoT5 t5 ('true', 'false')", "Dot modernbert mean"])
@pytest.mark.parametrize("grid", list(GRIDS))
def test_estimates_are_first_order(grid, name, opened):
    """A step towards the source and one away from it: half the difference of the exact scores is the slope."""
    ranker = opened(CASES[name])
    session = Session(ranker, QUERY, DOC, CHANGE, grid=grid, layers=[1])
    results = {}
    size = 0.004 if "modernbert" in name else 0.03  # its weights are larger, and its scores bend sooner
    for step in (size, -size):
        near = {}
        for site in GRIDS[grid].sites:
            base, source = session.base.values[site][1][0], session.source.values[site][1][0]
            near[session.stack.hook(1, site)] = torch.lerp(base, source, step)
        results[step] = mv.patch(ranker, QUERY, DOC, CHANGE, grid=grid, layers=[1], source=near, top_k=12, method="hybrid")
    up, down = results.values()
    done = up.exact.values & down.exact.values
    assert done.sum() >= min(6, done.shape[-1] if grid != "mlps" else 1)
    slope = (up.patched.values - down.patched.values)[done] / 2
    estimate = (up.attribution.values - down.attribution.values)[done] / 2
    assert np.abs(slope).max() > 20 * close(up.pair.base_score), "or there is nothing to compare"
    assert np.abs(slope - estimate).max() <= 0.05 * np.abs(slope).max() + 2 * close(up.pair.base_score)


def test_integrated_gradients_add_up(dot):
    """Of the embeddings' own site the integral is exact: the moved scores of all positions add up to the whole change."""
    result = mv.patch(dot, QUERY, DOC, CHANGE, grid="blocks", method="integrated", steps=200, layers=[0])
    moved = result.patched.sel(site="resid_pre", layer=0).values - result.pair.base_score
    assert moved.sum() == pytest.approx(result.pair.change, rel=1e-2)
    plain = mv.patch(dot, QUERY, DOC, CHANGE, grid="blocks", method="attribution", layers=[0])
    rough = plain.patched.sel(site="resid_pre", layer=0).values - result.pair.base_score
    assert abs(rough.sum() - result.pair.change) > abs(moved.sum() - result.pair.change)
    assert result.method == "integrated"
    assert not result.exact.any()


def test_hybrid_marks_what_is_exact(cat):
    exact = mv.patch(cat, QUERY, DOC, CHANGE)
    hybrid = mv.patch(cat, QUERY, DOC, CHANGE, method="hybrid", top_k=5)
    estimate = mv.patch(cat, QUERY, DOC, CHANGE, method="attribution")
    done = hybrid.exact.values
    assert done.sum() == 5
    np.testing.assert_allclose(hybrid.patched.values[done], exact.patched.values[done], atol=1e-5)
    np.testing.assert_allclose(hybrid.patched.values[~done], estimate.patched.values[~done], atol=1e-5)
    assert exact.exact.all()
    assert not estimate.exact.any()
    assert hybrid.to_dataframe()["exact"].sum() == 5


def test_what_is_the_same_in_both_runs_is_not_run(dot, monkeypatch):
    """At the bottom only the changed positions differ: the others have the base score, without a pass."""
    given, run_cells = [], module.run_cells

    def counted(ranker, run, cells, rows):
        given.extend(cells)
        return run_cells(ranker, run, cells, rows)

    monkeypatch.setattr(module, "run_cells", counted)
    result = mv.patch(dot, QUERY, DOC, CHANGE, grid="blocks", layers=[0])
    changed = result.pair.alignment.changed()
    bottom = result.patched.sel(site="resid_pre", layer=0).values
    assert (np.delete(bottom, changed) == np.float32(result.pair.base_score)).all()
    assert len(given) == len(changed) + 2 * len(result.pair.base)


# -- metrics --------------------------------------------------------------------------------------------------------------

DOCS = ["Bread rises.", DOC, "Hot water comes from springs near a volcano.", "Tea"]


def test_the_rank_and_the_margin_are_metrics(dot):
    raw = mv.patch(dot, QUERY, DOC, CHANGE, docs=DOCS).patched.values
    others = dot.score(QUERY, DOCS)
    rank = mv.patch(dot, QUERY, DOC, CHANGE, docs=DOCS, metric="rank")
    expected = 1 + (others[[0, 2, 3], None, None] > raw).sum(0)
    np.testing.assert_array_equal(rank.effects, expected)
    margin = mv.patch(dot, QUERY, DOC, CHANGE, docs=DOCS, metric=mv.metrics.margin(2))
    np.testing.assert_allclose(margin.effects, raw - others[2], atol=1e-6)
    assert margin.metric == "margin(2)"


def test_a_metric_may_take_the_competitors(dot):
    def lead(patched, base, source, competitors):
        return patched - np.nanmax(competitors)

    result = mv.patch(dot, QUERY, DOC, CHANGE, docs=DOCS, metric=lead)
    best = dot.score(QUERY, [DOCS[0], *DOCS[2:]]).max()
    np.testing.assert_allclose(result.effects, result.patched.values - best, atol=1e-6)


@pytest.mark.parametrize(
    ("metric", "docs", "words"),
    [
        ("rank", None, r"give docs=\[...\]"),
        (mv.metrics.margin(7), DOCS, r"docs= has 4 documents"),
        (mv.metrics.margin(1), DOCS, "the patched one itself"),
    ],
)
def test_a_metric_without_its_competitor(dot, metric, docs, words):
    with pytest.raises(InputError, match=words):
        mv.patch(dot, QUERY, DOC, CHANGE, docs=docs, metric=metric)
    with pytest.raises(InputTypeError, match="margin takes the number"):
        mv.metrics.margin("Tea")
