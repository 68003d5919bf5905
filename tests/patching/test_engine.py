import copy
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

import mechviz as mv
from mechviz.errors import InputError, InputTypeError, MechvizError
from mechviz.patching import Session, edits
from mechviz.patching.fused import Fused, _low_rank_pays
from tests import texts
from tests.conftest import save_dot
from tests.minilm import patch_heads_one_at_a_time, plain_scorer
from tests.plain import close

QUERY, DOC = "what is a caldera", "A caldera is a large basin that forms when a volcano empties."
CHANGE = mv.perturb.append("lava")


def test_the_result_is_labelled_and_says_where_it_came_from(ranker):
    result = mv.patch(ranker, QUERY, DOC, CHANGE)
    assert result.effects.dims == ("layer", "head")
    assert result.effects.sizes == {"layer": 3, "head": 4}
    assert result.effects.dtype == np.float32
    pair = result.pair
    expected = (result.patched.values.astype(float) - pair.base_score) / (pair.source_score - pair.base_score)
    np.testing.assert_allclose(result.effects, expected, rtol=1e-5)
    assert result.provenance["weights_sha256"] == ranker.weight_hash()
    assert {"torch", "transformers", "transformer-lens", "mechviz", "filler", "direction", "texts_sha256"} <= set(
        result.provenance
    )


def test_the_four_scores(ranker):
    pair = mv.make_pair(ranker, QUERY, DOC, CHANGE)
    said = ranker.score(QUERY, [DOC, DOC + " lava"])
    assert abs(pair.original_score - said[0]) <= close(said[0])
    assert abs(pair.perturbed_score - said[1]) <= close(said[1])
    assert pair.source_score == pair.perturbed_score  # nothing was filled there
    assert abs(pair.base_score - ranker.score(QUERY, DOC + " a")[0]) <= close(pair.base_score)
    turned = mv.make_pair(ranker, QUERY, DOC, CHANGE, direction="original->perturbed")
    assert (turned.base_score, turned.source_score) == (pair.source_score, pair.base_score)
    assert turned.alignment.kinds == pair.alignment.kinds


def test_attribution_is_the_gradient_estimate(ranker):
    """Against central differences of the score along z_source - z_base of one head."""
    session = Session(ranker, QUERY, DOC, CHANGE)
    estimate = session.attribution().astype(float)
    exact = mv.patch(ranker, QUERY, DOC, CHANGE)
    assert mv.patch(ranker, QUERY, DOC, CHANGE, method="attribution").patched.values == pytest.approx(estimate, abs=1e-5)
    step = 1e-2
    for layer, head in ((0, 1), (1, 2), (2, 3)):
        at, to = session.base.z[layer][0], session.source.z[layer][0]
        cells = [
            [edits.Edit(f"blocks.{layer}.attn.hook_z", torch.lerp(at, to, amount), heads=(head,))] for amount in (step, -step)
        ]
        ((_, (up, down)),) = edits.run_cells(ranker, session.base, cells, 8)
        slope = (float(up) - float(down)) / (2 * step)
        moved = estimate[layer, head] - session.pair.base_score
        assert slope == pytest.approx(moved, rel=0.05, abs=2e-4 * max(1, abs(session.pair.base_score)))
    assert exact.method == "exact"


def test_attribution_works_on_a_frozen_model(tmp_path):
    ranker = mv.Dot(str(save_dot(tmp_path / "dot")))
    free = mv.patch(ranker, QUERY, DOC, CHANGE, method="attribution")
    ranker.model.requires_grad_(False)
    np.testing.assert_allclose(mv.patch(ranker, QUERY, DOC, CHANGE, method="attribution").patched, free.patched, rtol=1e-6)


@pytest.mark.parametrize("metric", ["raw", "robust"])
def test_other_metrics(dot, metric):
    result = mv.patch(dot, QUERY, DOC, CHANGE, metric=metric)
    moved = result.patched.values.astype(float) - result.pair.base_score
    expected = moved if metric == "raw" else moved / np.sqrt(1 + result.pair.change**2)
    np.testing.assert_allclose(result.effects, expected, atol=1e-6)
    assert result.metric == metric


def test_a_metric_of_the_users_own(dot):
    def share(patched, base, source):
        return patched / base

    result = mv.patch(dot, QUERY, DOC, CHANGE, metric=share)
    np.testing.assert_allclose(result.effects, result.patched / result.pair.base_score, rtol=1e-6)
    assert result.metric == "share"
    with pytest.raises(InputError, match="the metric <lambda> returned shape"):
        mv.patch(dot, QUERY, DOC, CHANGE, metric=lambda patched, base, source: patched[0])


def test_competitors_are_scored(dot):
    result = mv.patch(dot, QUERY, DOC, CHANGE, docs=["Bread rises.", "Tea"])
    np.testing.assert_allclose(result.competitors, [dot.score(QUERY, ["Bread rises.", "Tea"])] * 2, atol=1e-6)


def test_competitors_meet_the_changed_query_too(dot):
    docs = ["Bread rises.", "Tea"]
    result = mv.patch(dot, QUERY, DOC, mv.perturb.on_query(CHANGE), docs=docs)
    expected = [dot.score(QUERY, docs), dot.score(QUERY + " lava", docs)]
    np.testing.assert_allclose(result.competitors, expected, atol=1e-6)


def test_a_document_does_not_compete_with_itself(dot):
    result = mv.patch(dot, QUERY, DOC, CHANGE, docs=(doc for doc in ["Tea", DOC, DOC + " lava"]))
    assert result.competitors.shape == (2, 1)
    assert mv.patch(dot, QUERY, DOC, CHANGE, docs=None).competitors.shape == (2, 0)


@pytest.mark.parametrize("docs", ["Bread rises.", {"d1": "Tea"}, {"Tea"}, pd.DataFrame({"text": ["Tea"]}), 5])
def test_what_is_no_list_of_documents_is_refused(dot, docs):
    with pytest.raises(InputTypeError, match="docs must be a list of documents"):
        mv.patch(dot, QUERY, DOC, CHANGE, docs=docs)
    with pytest.raises(InputTypeError, match="docs must be a list of documents"):
        dot.rank(QUERY, docs)


@pytest.mark.parametrize("ranker", ["path/to/it", None])
def test_what_is_no_ranker_is_refused(ranker):
    with pytest.raises(InputTypeError, match=r"the ranker must be one that mv\.load"):
        mv.make_pair(ranker, QUERY, DOC, CHANGE)
    with pytest.raises(InputTypeError, match=r"the ranker must be one that mv\.load"):
        mv.patch(ranker, QUERY, DOC, CHANGE)
    with pytest.raises(InputTypeError, match=r"the ranker must be one that mv\.load"):
        mv.show_patching(ranker, QUERY, DOC, CHANGE)


def test_functions_of_the_callers_that_raise_are_named(dot):
    def broken(*_):
        raise KeyError("table")

    with pytest.raises(InputError, match="the filler function broken raised KeyError") as caught:
        mv.patch(dot, QUERY, DOC, CHANGE, filler=broken)
    assert isinstance(caught.value.__cause__, KeyError)
    with pytest.raises(InputError, match="the metric broken raised KeyError"):
        mv.patch(dot, QUERY, DOC, CHANGE, metric=broken)


def test_a_query_beside_a_document_is_never_cut(cat):
    with pytest.raises(InputError, match="shorten the query"):
        mv.patch(cat, "tea " * 200, DOC, CHANGE, truncate=True)


def test_a_query_that_runs_alone_is_cut_and_told_of(dot):
    with pytest.raises(InputError, match="the query has 202 tokens"):
        mv.patch(dot, "tea " * 200, DOC, CHANGE)
    pair = mv.patch(dot, "tea " * 200, DOC, CHANGE, truncate=True).pair
    assert "the query was cut from 202 to 128 tokens" in pair.truncated


def test_a_document_cut_beside_a_changed_query_is_told_of(dot):
    pair = mv.make_pair(dot, QUERY, "basin " * 200, mv.perturb.on_query(CHANGE), truncate=True)
    assert "the doc was cut from 202 to 128 tokens" in pair.truncated


def test_truncation_leaves_something_of_both_texts(ranker):
    with pytest.raises(InputError, match=r"nothing of the original doc is left|equal: the change"):
        mv.patch(ranker, "tea", DOC, mv.perturb.prepend("moon " * 140), truncate=True)


def test_a_wrapper_around_the_layers_is_refused(ranker):
    """Entering the model at a layer would leave it out."""
    handle = ranker.hooked.base.encoder.register_forward_hook(lambda module, args, output: output)
    try:
        with pytest.raises(InputError, match="around its layers"):
            mv.patch(ranker, QUERY, DOC, CHANGE)
    finally:
        handle.remove()
    everywhere = torch.nn.modules.module.register_module_forward_hook(lambda module, args, output: output)
    try:
        with pytest.raises(InputError, match="global module hooks"):
            mv.patch(ranker, QUERY, DOC, CHANGE)
    finally:
        everywhere.remove()


def test_a_copied_ranker_patches_the_same(dot):
    twin = copy.deepcopy(dot)
    assert twin.model is not dot.model
    np.testing.assert_allclose(mv.patch(twin, QUERY, DOC, CHANGE).patched, mv.patch(dot, QUERY, DOC, CHANGE).patched, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"method": "guess"}, InputError, "'exact', 'attribution'"),
        ({"grid": "neurons2"}, InputError, "'heads'"),
        ({"direction": "up"}, InputError, "perturbed->original"),
        ({"metric": "share"}, InputError, "'effect', 'raw', 'robust'"),
        ({"metric": 3}, InputTypeError, "metric must be"),
        ({"filler": "two words"}, InputError, "one token"),
        ({"filer": "a"}, InputTypeError, "unknown settings filer; mechviz has grid, .*filler"),
    ],
)
def test_settings_that_do_not_exist_list_those_that_do(dot, settings, error, words):
    with pytest.raises(error, match=words):
        mv.patch(dot, QUERY, DOC, CHANGE, **settings)


def test_texts_with_equal_token_ids_are_refused(ranker):
    with pytest.raises(InputError, match="same token ids"):
        mv.patch(ranker, QUERY, DOC, str.upper)


def test_a_text_over_the_limit(ranker):
    long = "basin " * 126
    with pytest.raises(InputError, match=r"original \(\d+\) and perturbed text \(\d+\) have \d+ tokens.*takes 128"):
        mv.patch(ranker, "tea", long, mv.perturb.prepend("moon moon"))
    result = mv.patch(ranker, "tea", long, mv.perturb.prepend("moon moon"), truncate=True)
    pair = result.pair
    assert len(pair.base) == len(pair.source) == 128
    assert "cut from" in pair.truncated
    assert pair.base.segments[-1] == pair.source.segments[-1] == "sep"
    assert pair.alignment.original.max() == (pair.alignment.original >= 0).sum() - 1
    cut = ranker.score_all([{**ranker.tokenize("tea", long), pair.stack: pair.source}])[0]
    assert abs(pair.perturbed_score - cut) <= close(cut)


def test_a_change_that_truncation_removes(ranker):
    with pytest.raises(InputError, match="the change lies in the part that was cut"):
        mv.patch(ranker, "tea", "basin " * 150, mv.perturb.append("moon"), truncate=True)


def test_open_hooks_do_not_mix_with_patches(dot):
    with dot.hooks([("z", lambda z, hook: z * 0)]), pytest.raises(InputError, match="hooks set"):
        mv.patch(dot, QUERY, DOC, CHANGE)


def test_memory_that_runs_out_halves_the_chunk(dot, monkeypatch):
    """A fake allocator that refuses more than three rows."""
    expected = mv.patch(dot, QUERY, DOC, CHANGE)
    finish, tried = Fused.finish, []

    def small_memory(self, changes):
        tried.append(len(changes))
        if len(changes) > 3:
            raise torch.OutOfMemoryError("fake")
        return finish(self, changes)

    monkeypatch.setattr(Fused, "finish", small_memory)
    np.testing.assert_allclose(mv.patch(dot, QUERY, DOC, CHANGE).patched, expected.patched, atol=1e-6)
    assert tried[:3] == [12, 6, 3]
    assert max(tried[2:]) <= 3, "once too large, always too large"


def test_an_error_that_is_not_about_memory_is_not_swallowed(dot, monkeypatch):
    def broken(*_):
        raise RuntimeError("something else")

    monkeypatch.setattr(Fused, "finish", broken)
    with pytest.raises(RuntimeError, match="something else"):
        mv.patch(dot, QUERY, DOC, CHANGE)


def test_two_threads_on_one_ranker_do_not_mix(dot):
    """One thread patches while the other hooks the same modules."""
    expected = mv.patch(dot, QUERY, DOC, CHANGE).patched.values

    def patch():
        return [mv.patch(dot, QUERY, DOC, CHANGE).patched.values for _ in range(8)]

    with ThreadPoolExecutor(1) as pool:
        patched = pool.submit(patch)
        rows = []
        while not patched.done():
            rows.append(dot.run_with_cache(QUERY, DOC)[1]["blocks.0.hook_resid_mid"].shape[0])
    assert set(rows) == {1}
    for values in patched.result():
        np.testing.assert_allclose(values, expected, atol=1e-5)


def test_weights_that_overflow_are_named(tmp_path):
    ranker = mv.Dot(str(save_dot(tmp_path / "dot", normalize=False)))
    with torch.no_grad():
        ranker.hooked.main.module(2, "output.LayerNorm").weight.fill_(3e38)
    with pytest.raises(MechvizError, match="NaN or inf"):
        mv.patch(ranker, QUERY, DOC, CHANGE)


@pytest.mark.parametrize("names", [["d02"], ["d02", "d01", "d03", "d10", "d20"]], ids=["short", "long"])
def test_all_minilm_against_plain_transformers(minilm, names):
    """Real weights, real size: the whole grid against one plain pass a cell, below and above where `_low_rank_pays`."""
    folder = minilm.model.config._name_or_path
    query, doc = texts.queries()["q2"], " ".join(texts.docs()[name] for name in names)
    result = mv.patch(minilm, query, doc, mv.perturb.append("volcano"))
    model, score = plain_scorer(folder, query)
    plain = patch_heads_one_at_a_time(model, score, result.pair.base, result.pair.source)
    assert np.abs(result.patched.values - plain).max() <= 1e-5
    assert _low_rank_pays(len(result.pair.base), 384, 32, 12) == (len(names) > 1)
    assert isinstance(result.effects, xr.DataArray)


def test_real_pairs(minilm):
    """Real queries and passages: the laws' two ends, on texts nobody cleaned."""
    for query, doc in texts.real_pairs(12):
        session = Session(minilm, query, doc, mv.perturb.append(query.split()[-1]), truncate=True, gradient=False)
        cells = [[edits.Edit("blocks.0.hook_resid_pre", session.source.resid_pre[0][0])], []]
        ((_, (source, base)),) = edits.run_cells(minilm, session.base, cells, 4)
        assert abs(source - session.pair.source_score) <= 1e-5
        assert abs(base - session.pair.base_score) <= 1e-5
