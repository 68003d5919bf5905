import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

import mechviz as mv
from mechviz.errors import InputError
from mechviz.probes import relations
from mechviz.probes.detector import RelationDetector
from mechviz.probes.detector_figures import Pairs, figures, resampled_ranks, resamples
from mechviz.probes.report import BASELINES, DETECTOR, NEIGHBOURS, STRINGS
from mechviz.results import Curves
from tests.probes.detectors import SENTENCES

SYNONYMS = {"rock": ["lava", "magma"], "hot": "warm", "water": ["rain", "lake"], "ground": "hill"}


@pytest.fixture(scope="module")
def detector():
    found = RelationDetector(relations.aligned_copy(), mv.load("toy/dot"), C=0.1).fit(SENTENCES)
    assert found.fitted.scale > 0  # it has learned something, so that its figures are not those of a constant
    return found


@pytest.fixture(scope="module")
def report(detector):
    return detector.evaluate(SENTENCES, draws=50)


@st.composite
def scored(draw):
    """Labels of both kinds, documents, first units and scores with ties."""
    size = draw(st.integers(4, 40))
    labels = np.array([True, False, *draw(st.lists(st.booleans(), min_size=size - 2, max_size=size - 2))])
    docs = np.array(draw(st.lists(st.integers(0, 3), min_size=size, max_size=size)))
    rows = docs * 3 + np.array(draw(st.lists(st.integers(0, 2), min_size=size, max_size=size)))
    scores = np.array(draw(st.lists(st.integers(-3, 3), min_size=size, max_size=size))) / 2
    return Pairs(labels, docs, rows), scores


@settings(max_examples=30)
@given(scored())
def test_every_resample_has_the_figures_of_scikit_learn(given):
    pairs, scores = given
    drawn = resamples(4, 12, seed=1)
    auc, precision = resampled_ranks(pairs, scores, drawn)
    for number, times in enumerate(drawn):
        weight = times[pairs.docs]
        kept = weight > 0
        if not (pairs.labels & kept).any() or not (~pairs.labels & kept).any():
            assert np.isnan(auc[number])
            continue
        labels, own, weight = pairs.labels[kept], scores[kept], weight[kept]
        assert auc[number] == pytest.approx(roc_auc_score(labels, own, sample_weight=weight), abs=1e-12)
        assert precision[number] == pytest.approx(average_precision_score(labels, own, sample_weight=weight), abs=1e-12)


@settings(max_examples=30)
@given(scored())
def test_figures_are_those_of_scikit_learn_and_of_a_loop(given):
    pairs, scores = given
    found = figures(pairs, scores, resamples(4, 5, seed=0))
    assert found["auc"] == roc_auc_score(pairs.labels, scores)
    assert found["pr_auc"] == average_precision_score(pairs.labels, scores)
    assert np.isnan(found["log_loss"])
    hits = []
    for row in np.unique(pairs.rows):
        own = pairs.rows == row
        if pairs.labels[own].any():
            best = scores[own] == scores[own].max()
            hits.append(pairs.labels[own][best].mean())  # a tie is broken by chance
    assert found["p_at_1"] == pytest.approx(np.mean(hits))
    probability = 1 / (1 + np.exp(-scores))
    assert figures(pairs, probability, resamples(4, 5, seed=0), True)["log_loss"] == pytest.approx(
        log_loss(pairs.labels, probability)
    )


def test_many_scores_are_told_apart_well_enough_for_intervals():
    random = np.random.default_rng(0)
    labels, docs = random.random(30_000) < 0.3, random.integers(0, 5, 30_000)
    scores = random.standard_normal(30_000) + labels
    pairs = Pairs(labels, docs, docs)
    auc, precision = resampled_ranks(pairs, scores, np.ones((1, 5)))
    assert auc[0] == pytest.approx(roc_auc_score(labels, scores), abs=1e-3)
    assert precision[0] == pytest.approx(average_precision_score(labels, scores), abs=1e-3)


def test_documents_are_drawn_as_wholes():
    """Two documents that disagree: what comes out lies between them, and at them."""
    labels = np.array([True, False] * 20)
    docs = np.repeat([0, 1], 20)
    scores = np.where(docs == 0, labels, ~labels).astype(float)
    found = figures(Pairs(labels, docs, docs), scores, resamples(2, 400, seed=0))
    assert (found["auc"], found["auc_low"], found["auc_high"]) == (0.5, 0.0, 1.0)
    alone = figures(Pairs(labels[:20], docs[:20], docs[:20]), scores[:20], resamples(1, 10, seed=0))
    assert np.isnan(alone["auc_low"])


def test_what_cannot_be_told_is_nan():
    pairs = Pairs(np.ones(3, dtype=bool), np.zeros(3, dtype=np.int64), np.arange(3))
    assert np.isnan(list(figures(pairs, np.arange(3), resamples(1, 5, 0), True).values())).all()


def test_the_table_has_every_method_in_every_slice(report):
    table = report.to_dataframe()
    assert set(table["method"]) == {DETECTOR, *BASELINES}
    assert (table.groupby("slice").size() == len(BASELINES) + 1).all()
    whole = table[table["slice"] == "all"]
    assert whole["pairs"].nunique() == 1
    assert (whole["documents"] == len(SENTENCES)).all()
    near, far = report.at(slice_="near"), report.at(slice_="far")
    assert near["pairs"] + far["pairs"] == whole["pairs"].iloc[0]
    line = report.at()
    assert line["prevalence"] == line["positives"] / line["pairs"]
    assert line["auc_low"] <= line["auc"] <= line["auc_high"]
    assert report.at("prevalence")["auc"] == 0.5
    assert report.at("prevalence")["pr_auc"] == pytest.approx(line["prevalence"])


def test_string_equality_says_nothing_of_repeated_tokens_and_all_of_the_rest(report):
    again = report.at(STRINGS, "repeated tokens")
    assert again["positives"] > 5
    assert again["auc"] == 0.5
    assert again["pr_auc"] == pytest.approx(again["prevalence"])
    assert report.at(STRINGS)["auc"] > 0.9
    assert report.at(NEIGHBOURS, "repeated tokens")["auc"] > 0.6
    assert report.at(slice_="other strings")["positives"] == 0
    assert np.isnan(report.at(slice_="other strings")["auc"])


def test_the_auc_is_that_of_the_scores_that_the_detector_gives(detector):
    relation = relations.same_token()
    labels, scores = [], []
    for text in SENTENCES:
        result = detector.explain(text, most=10**6)
        strings = np.array(result.tokens.strings)
        labels.append(strings[result.pairs[:, 0]] == strings[result.pairs[:, 1]])
        scores.append(result.probability)
    labels, scores = np.concatenate(labels), np.concatenate(scores)
    line = detector.evaluate(SENTENCES, relation=relation, draws=5).at()
    assert 0.5 < line["auc"] < 1
    assert (line["pairs"], line["positives"]) == (len(labels), labels.sum())
    assert line["auc"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-4)
    assert line["log_loss"] == pytest.approx(log_loss(labels, scores), abs=1e-4)


def test_what_was_learned_on_one_relation_is_measured_on_another(detector):
    found = detector.evaluate(SENTENCES, relation=relations.synonym(SYNONYMS), draws=5)
    assert (found.relation, found.learned) == ("synonym", "aligned copy")
    assert "learned on aligned copy" in repr(found)
    assert found.at(STRINGS)["auc"] < 0.5  # synonyms are never the same string
    assert 0 <= found.at()["auc"] <= 1


def test_curves_and_view(report):
    roc = report.curves()
    assert isinstance(roc, Curves)
    assert DETECTOR in roc.curves
    assert all(np.all(np.diff(curve) >= 0) for curve in roc.curves.values())
    area = np.trapezoid(roc.curves[DETECTOR].values, roc.curves[DETECTOR]["x"].values)
    assert area == pytest.approx(report.at()["auc"], abs=0.02)
    reliability = report.curves("reliability")
    assert set(reliability.curves) == {DETECTOR, "perfect"}
    assert report.reliability["pairs"].sum() == report.at()["pairs"]
    for kind in ("roc", "reliability"):
        assert report.show(kind) is not None
    assert "repeated tokens" in repr(report)
    for bad in (lambda: report.curves("pr"), lambda: report.at("nonsense"), lambda: report.curves(slice_="other strings")):
        with pytest.raises(InputError):
            bad()


def test_without_baselines_there_is_no_run_on_random_weights(detector):
    plain = RelationDetector(relations.aligned_copy(), detector.ranker, C=0.1).fit(SENTENCES, baselines=False)
    found = plain.evaluate(SENTENCES, draws=5)
    assert set(found.table["method"]) == {DETECTOR, STRINGS, NEIGHBOURS, "mean attention", "prevalence"}
    assert found.at()["auc"] == detector.evaluate(SENTENCES, draws=5).at()["auc"]


def test_texts_in_which_nothing_can_be_asked_are_refused(detector):
    with pytest.raises(InputError, match="have no pairs"):
        detector.evaluate(["rock", "lava"], relation=relations.same_token())  # a token each
    with pytest.raises(InputError, match="none of the 2 texts can carry"):
        detector.evaluate(["rock", "lava"])
