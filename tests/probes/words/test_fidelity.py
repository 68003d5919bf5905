import pickle
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau, spearmanr
from sklearn.metrics import r2_score

import mechviz as mv
from mechviz.errors import InputError, InputTypeError
from mechviz.probes.words import (
    agreement,
    deletion_insertion,
    explain_words,
    held_out_fit,
    lime,
    margin_to,
    occlusion,
    rank_among,
    stability,
)
from mechviz.probes.words.masking import drawn
from mechviz.results import Curves, Passages
from tests.interventions.hand import DOCS, QUERY

DOC = DOCS[2]


@pytest.fixture(scope="module")
def toy():
    return mv.load("toy/cat")


@pytest.fixture(scope="module")
def compared(toy):
    return explain_words(toy, QUERY, DOCS[0], n_samples=150)


def test_agreement_is_scipys(compared):
    table = agreement(compared.explanations)
    assert len(table) == 6
    for row in table.itertuples():
        x, y = (compared[name].values.values for name in (row.a, row.b))
        assert row.kendall == pytest.approx(kendalltau(x, y).statistic)
        assert row.spearman == pytest.approx(spearmanr(x, y).statistic)
        tops = [set(np.argsort(-np.abs(values))[:5]) for values in (x, y)]
        assert row.first == len(tops[0] & tops[1]) / 5
    pd.testing.assert_frame_equal(table, compared.agreement())


def test_agreement_where_a_method_says_nothing(toy):
    flat = occlusion(toy, QUERY, DOC, target=lambda queries, docs: [1.0] * len(docs), masker="a")
    other = occlusion(toy, QUERY, DOC, masker="a")
    table = agreement([flat, other])
    assert table["a"].item(), table["b"].item() == ("occlusion", "occlusion (1)")
    assert table[["kendall", "spearman"]].isna().all(axis=None)


def test_the_held_out_fit_is_sklearns(toy):
    found = lime(toy, QUERY, DOC, masker="a")
    fit = held_out_fit(found, n_samples=100, seed=5)
    keep = np.unique(drawn(len(found.words), 100, np.random.default_rng(5)), axis=0)
    target, foretold = found.game(keep), found.intercept + keep @ found.values.values
    assert fit.n == len(keep)
    assert fit.r2 == pytest.approx(r2_score(target, foretold))
    assert fit.weighted_r2 == pytest.approx(r2_score(target, foretold, sample_weight=np.sqrt(keep.mean(1))))
    assert fit.kendall == pytest.approx(kendalltau(target, foretold).statistic)


def test_curves_are_walked_one_score_at_a_time(toy):
    found = occlusion(toy, QUERY, DOCS[3], masker="a")  # "Water is warm."
    curves = deletion_insertion({"mine": found}, n_random=3)
    words = DOCS[3].removesuffix(".").split()
    order = np.argsort(-found.values.values, kind="stable")
    deletion, insertion = [], []
    for step in range(4):
        gone = set(order[:step])
        texts = (
            [("a" if at in gone else word) for at, word in enumerate(words)],
            [(word if at in gone else "a") for at, word in enumerate(words)],
        )
        deleted, inserted = (toy.score(QUERY, " ".join(text) + ".")[0] for text in texts)
        deletion.append(deleted)
        insertion.append(inserted)
    np.testing.assert_allclose(curves.deletion.curves["mine"], deletion, atol=1e-5)
    np.testing.assert_allclose(curves.insertion.curves["mine"], insertion, atol=1e-5)
    area = sum((a + b) / 2 / 3 for a, b in pairwise(deletion))
    assert curves.auc["deletion"][0] == pytest.approx(area, abs=1e-5)
    assert curves.auc["deletion_gain"][0] == pytest.approx(area - curves.auc["deletion"][1], abs=1e-5)
    assert (curves.deletion.low["random order"] <= curves.deletion.high["random order"]).all()


def test_good_explanations_beat_random_orders(compared):
    curves = compared.curves(n_random=8, seed=1)
    assert isinstance(curves.deletion, Curves)
    assert list(curves.deletion.curves) == [*compared.explanations, "random order"]
    methods = curves.auc.iloc[:-1]
    assert (methods["deletion_gain"] < 0).all()
    assert (methods["insertion_gain"] > 0).all()
    turned = {
        name: replace(one, words=tuple(replace(word, value=-word.value) for word in one.words))
        for name, one in compared.explanations.items()
    }
    assert (deletion_insertion(turned, seed=1).auc.iloc[:-1]["deletion_gain"] > 0).all()


def test_a_text_that_vanishes_has_no_last_point(toy):
    curves = deletion_insertion(occlusion(toy, QUERY, "hot water springs"))
    assert np.isnan(curves.deletion.curves["occlusion"].values[-1])
    assert np.isfinite(curves.auc[["deletion", "insertion"]]).all(axis=None)


def test_stability(toy):
    found = stability(lambda seed: lime(toy, QUERY, DOC, n_samples=60, seed=seed, masker="a"), seeds=[3, 8, 11])
    assert found.values.dims == ("seed", "word")
    assert found.values["seed"].values.tolist() == [3, 8, 11]
    values = found.values.values
    wanted = [spearmanr(values[a], values[b]).statistic for a, b in ((0, 1), (0, 2), (1, 2))]
    np.testing.assert_allclose(found.pairs["spearman"], wanted)
    assert found.spearman == pytest.approx(np.mean(wanted))
    assert found.pairs[["seed_a", "seed_b"]].values.tolist() == [[3, 8], [3, 11], [8, 11]]
    same = stability(lambda seed: occlusion(toy, QUERY, DOC), seeds=range(2))
    assert (same.spearman, same.kendall) == pytest.approx((1, 1))


def test_methods_share_their_scores(toy):
    compared = explain_words(toy, QUERY, DOCS[3], methods=["occlusion", "kernel_shap", "lime"])
    games = {id(one.game) for one in compared.explanations.values()}
    assert len(games) == 1
    assert compared["lime"].game.scored == 2**3  # all subsets of three words, once


def test_a_comparison(compared):
    assert list(compared.explanations) == ["occlusion", "lime", "kernel_shap", "integrated_gradients"]
    passages = compared.passages()
    assert isinstance(passages, Passages)
    assert [group.title for group in passages.groups] == list(compared.explanations)
    assert passages.signed
    assert compared.to_dataframe().groupby("method", sort=False).size().tolist() == [15] * 4
    assert compared.fits["method"].tolist() == list(compared.explanations)
    assert compared.fits["n"].nunique() == 1
    assert "15 words, score" in repr(compared)


def test_a_rank_has_no_gradient(toy):
    target = rank_among([DOCS[1], DOCS[2]])
    assert list(explain_words(toy, QUERY, DOCS[3], target=target).explanations) == ["occlusion", "lime", "kernel_shap"]
    with pytest.raises(InputError, match="leave 'integrated_gradients' out"):
        explain_words(toy, QUERY, DOCS[3], target=target, methods=["integrated_gradients"])


def test_low_fits_are_shown():
    """Membership that hangs on one word in two: no sum of values tells it."""
    ranker = mv.load("toy/dot")

    def parity(queries, docs):
        return [float(sum(word.strip(".") != "a" for word in doc.split()[:6]) % 2) for doc in docs]

    found = explain_words(ranker, QUERY, DOCS[0], target=parity, masker="a", methods=["lime", "kernel_shap"])
    assert "Low fit" in found["lime"].warning
    passages = found.passages()
    assert passages.warning.count("Low fit") == 2
    assert "lime:" in passages.warning
    assert "WARNING" in repr(found["lime"])


def test_a_pickle_has_no_ranker(compared):
    found = pickle.loads(pickle.dumps(compared["occlusion"]))
    pd.testing.assert_frame_equal(found.to_dataframe(), compared["occlusion"].to_dataframe())
    with pytest.raises(InputError, match="lost its ranker"):
        held_out_fit(found)
    with pytest.raises(InputError, match="lost its ranker"):
        deletion_insertion([found])


def test_what_cannot_be(toy, compared):
    one = compared["occlusion"]
    with pytest.raises(InputError, match="at least two different"):
        stability(lambda seed: one, seeds=[0, 0])
    with pytest.raises(InputTypeError, match="a function of a seed"):
        stability(one)
    with pytest.raises(InputError, match="at least two"):
        agreement([one])
    with pytest.raises(InputTypeError, match="must be a list or a dict"):
        agreement(one)
    with pytest.raises(InputTypeError, match="explanation 0 is 3"):
        agreement([3, 4])
    with pytest.raises(InputError, match="explains other words"):
        agreement([one, occlusion(toy, QUERY, DOC)])
    with pytest.raises(InputError, match="explains other words"):
        deletion_insertion([one, occlusion(toy, QUERY, DOCS[0], unit="sentence")])
    with pytest.raises(InputError, match="explanations of one target"):
        deletion_insertion([one, occlusion(toy, QUERY, DOCS[0], target=margin_to(DOC))])
    with pytest.raises(InputError, match="at most 7"):
        deletion_insertion([one] * 8)
    with pytest.raises(InputError, match="n_random=0"):
        deletion_insertion([one], n_random=0)
    with pytest.raises(InputError, match="is empty"):
        deletion_insertion([])
    with pytest.raises(InputError, match="there are 'occlusion', 'lime'"):
        explain_words(toy, QUERY, DOC, methods=["shap"])
    with pytest.raises(InputTypeError, match=r"\['lime'\]"):
        explain_words(toy, QUERY, DOC, methods="lime")
    with pytest.raises(InputError, match="there is no 'shap'"):
        compared["shap"]
    with pytest.raises(InputError, match="n=0"):
        one.top(0)
