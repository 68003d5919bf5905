import json

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mechviz.errors import InputError, InputTypeError
from mechviz.interventions.controls import randomized
from mechviz.probes import relations
from mechviz.probes.detector import RelationDetector
from mechviz.probes.detector_regression import balance, regression
from mechviz.probes.features import Features, examples
from mechviz.probes.report import SHUFFLED, STRINGS
from mechviz.toys.circuits import circuit_of
from tests.probes.detectors import SENTENCES, compiled, pairs_in_words_of, tiny

#: Which way the planted head looks: from the query to the document, or back.
WAYS = {"exact-match": ["back"], "bm25": ["forth", "back"]}


@pytest.fixture(scope="module", params=list(WAYS))
def planted(request):
    ranker = compiled(request.param)
    texts = pairs_in_words_of(ranker, 20)
    return request.param, RelationDetector(relations.same_token(), ranker).fit(texts[:12]), texts[12:]


@pytest.fixture(scope="module")
def cat(tmp_path_factory):
    return tiny(tmp_path_factory.mktemp("cat"))


@pytest.fixture(scope="module")
def fitted(cat):
    return RelationDetector(relations.aligned_copy(), cat, negatives=5).fit(SENTENCES)


def test_the_planted_head_has_the_weight_and_tells_equal_words(planted):
    name, detector, texts = planted
    (asks,) = (edge.to_id for edge in circuit_of(name.replace("-", "_")) if edge.kind == "q")
    layer, head = map(int, asks.split("."))
    weights = np.abs(detector.heads())
    heaviest = weights.argmax(...)
    assert (int(heaviest["layer"]), int(heaviest["head"])) == (layer, head)
    assert str(weights["way"][int(heaviest["way"])].values) in WAYS[name]
    assert float(weights.sel(layer=layer, head=head).sum()) > 0.99 * float(weights.sum())
    assert (detector.stability().sel(layer=layer, head=head, way=WAYS[name]) == 1).all()
    report = detector.evaluate(texts)
    assert report.at()["auc"] == 1
    assert report.at()["p_at_1"] == 1
    assert report.at(STRINGS)["auc"] == 1
    assert report.at("random weights")["auc"] < 0.6
    assert abs(report.at("position only")["auc"] - 0.5) < 0.15


def test_labels_in_another_order_teach_nothing(fitted, planted):
    # where one head is all there is, every shuffle is right or wrong about its sign: only the mean says something
    assert abs(planted[1].evaluate(planted[2], draws=5).at(SHUFFLED)["auc"] - 0.5) < 0.25
    line = fitted.evaluate(SENTENCES, draws=5).at(SHUFFLED)
    assert abs(line["auc"] - 0.5) < 0.15
    assert line["auc_low"] < 0.5 < line["auc_high"]


def test_explain_says_what_score_says_and_why(planted):
    _, detector, texts = planted
    query, doc = texts[0]
    score, result = detector.score(query, doc), detector.explain(query, doc)
    assert score.dims == ("query_pos", "key_pos")
    assert len(result.pairs) == score.size
    own = [float(score.sel(query_pos=i, key_pos=j)) for i, j in result.pairs]
    np.testing.assert_allclose(result.probability, own, atol=1e-5)
    assert (np.diff(result.probability) <= 1e-7).all()
    words = [result.tokens.labels[at] for at in result.pairs.T.ravel()]
    halves = np.array(words).reshape(2, -1)
    assert np.array_equal(result.truth, halves[0] == halves[1])
    assert np.array_equal(result.truth, result.probability > 0.5)
    assert result.weights.identical(detector.heads())
    assert len(detector.explain(query, doc, most=5).pairs) == 5
    i, j = result.pairs[0]
    assert str(score["query_token"].sel(query_pos=i).values) == str(score["key_token"].sel(key_pos=j).values)


def test_a_pair_is_shown(planted):
    from mechviz.views import View

    _, detector, texts = planted
    assert isinstance(detector.show(*texts[0]), View)


def test_contributions_are_weight_times_standardised_feature(cat, fitted):
    text = ("Rock is hot.", "The rock melts. Hot springs.")
    result = fitted.explain(*text)
    (one,) = examples(cat, relations.same_token(), [text], Features())
    at = {int(first): number for number, first in enumerate(one.units.first)}
    rows, columns = (np.array([at[int(first)] for first in side]) for side in result.pairs.T)
    model = fitted.fitted.model
    expected = (one.of(rows, columns) - model.mean) / model.deviation * model.weights
    np.testing.assert_allclose(result.contributions.values.reshape(len(rows), -1), expected, rtol=1e-4, atol=1e-5)
    own = [float(fitted.score(*text).sel(query_pos=i, key_pos=j)) for i, j in result.pairs]
    np.testing.assert_allclose(result.probability, own, atol=1e-5)


@pytest.mark.parametrize("scale", ["log", "share", "length", "none"])
def test_all_settings_agree_between_score_explain_and_file(cat, tmp_path, scale):
    made = RelationDetector(
        relations.same_token(), cat, norm_weighted=True, offset=1, merge_words=True, C=0.1, negatives=3, scale=scale, context=1
    )
    texts = list(zip(SENTENCES, SENTENCES[1:] + SENTENCES[:1], strict=True))
    made.fit(texts)
    score, result = made.score(*texts[0]), made.explain(*texts[0])
    own = [float(score.sel(query_pos=i, key_pos=j)) for i, j in result.pairs]
    np.testing.assert_allclose(result.probability, own, atol=1e-5)
    made.save(tmp_path / "d.json")
    again = RelationDetector.load(tmp_path / "d.json", cat)
    assert again.score(*texts[0]).identical(score)
    assert again.features == made.features
    report, before = again.evaluate(texts[:3], draws=20), made.evaluate(texts[:3], draws=20)
    assert report.table.equals(before.table)
    assert again.heads().identical(made.heads())
    assert repr(again) == repr(made)


def test_learning_is_scikit_learns_on_standardised_features():
    random = np.random.default_rng(0)
    y, hard = random.random(300) < 0.1, random.random(300) < 0.2
    x = random.standard_normal((300, 7)) * [1, 2, 3, 4, 5, 6, 0] + y[:, None]
    x[:, 6] = 0.3  # constant: no feature
    found = regression(x, y, hard, 0.3)
    plain = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, max_iter=2000))
    plain.fit(x, y, logisticregression__sample_weight=balance(y, hard))
    np.testing.assert_allclose(found(x), plain.decision_function(x), rtol=1e-5, atol=1e-6)
    assert found.weights[6] == 0
    weights = balance(y, hard)
    for part, share in ((y, 0.5), (~y & hard, 0.25), (~y & ~hard, 0.25)):
        assert weights[part].sum() == pytest.approx(share * 300)
    np.testing.assert_allclose(balance(y, ~y), np.where(y, 0.5 / y.mean(), 0.5 / (1 - y.mean())))


def test_probabilities_fit_how_often_the_relation_holds_among_all_pairs():
    ranker = compiled("bm25")
    texts = pairs_in_words_of(ranker, 40, seed=3)
    noise = np.random.default_rng(4)

    def sometimes(tokens):
        """Equal words, half of the time, and now and then others: what no detector can know for sure."""
        equal = np.array(tokens.strings)[:, None] == np.array(tokens.strings)[None, :]
        return np.where(equal, noise.random(equal.shape) < 0.5, noise.random(equal.shape) < 0.02)

    detector = RelationDetector(relations.relation(sometimes, "sometimes"), ranker, negatives=3)
    detector.fit(texts, baselines=False)
    same, other = [], []
    for query, doc in texts:
        score = detector.score(query, doc)
        equal = score["query_token"].values[:, None] == score["key_token"].values[None, :]
        same.append(score.values[equal])
        other.append(score.values[~equal])
    assert np.concatenate(same).mean() == pytest.approx(0.5, abs=0.15)
    assert np.concatenate(other).mean() == pytest.approx(0.02, abs=0.015)


def test_equal_arguments_give_equal_detectors(cat, fitted):
    again = RelationDetector(relations.aligned_copy(), cat, negatives=5).fit(SENTENCES)
    assert again.fitted.to_dict() == fitted.fitted.to_dict()
    other = RelationDetector(relations.aligned_copy(), cat, negatives=5, seed=1).fit(SENTENCES)
    assert other.fitted.to_dict() != fitted.fitted.to_dict()


def test_texts_without_the_relation_are_counted_and_left_out(cat):
    detector = RelationDetector(relations.aligned_copy(), cat, C=0.1).fit([*SENTENCES, "One sentence."], baselines=False)
    assert (detector.fitted.texts, detector.fitted.dropped) == (len(SENTENCES), 1)
    assert detector.evaluate([*SENTENCES[:2], "One sentence."], draws=5).dropped == 1


def test_a_bi_encoder_learns_inside_its_texts(tmp_path):
    ranker = tiny(tmp_path, "Dot")
    detector = RelationDetector(relations.aligned_copy(), ranker, C=0.1).fit(SENTENCES, baselines=False)
    score = detector.score("The rock is hot. The rock is cold.")
    assert np.isnan(np.diag(score.values)).all()
    assert np.isfinite(score.values).sum() == score.size - len(score)
    assert detector.explain("The rock is hot. The rock is cold.").truth is None
    assert detector.explain("Rock.", "The rock is hot.").tokens.positions("query").size == 0  # the document's tower
    with pytest.raises(InputError, match="Dot ranker reads them apart"):
        RelationDetector(relations.query_match(), ranker)


def test_a_ranker_with_other_weights_is_refused_unless_told(cat, fitted, tmp_path):
    path = tmp_path / "d.json"
    fitted.save(path)
    twin = randomized(cat)
    with pytest.raises(InputError, match=r"any_weights=True"):
        RelationDetector.load(path, twin)
    loaded = RelationDetector.load(path, twin, any_weights=True)
    assert np.array_equal(loaded.heads().values, fitted.heads().values)
    assert not loaded.score(*SENTENCES[:2]).equals(fitted.score(*SENTENCES[:2]))
    small = tiny(tmp_path / "small", num_hidden_layers=1)
    with pytest.raises(InputError, match="2 x 4 heads"):
        RelationDetector.load(path, small, any_weights=True)


def test_a_file_does_not_hold_functions(cat, tmp_path):
    texts = list(zip(SENTENCES, SENTENCES[1:] + SENTENCES[:1], strict=True))
    table = {"rock": ["lava", "magma"], "hot": "warm", "water": "rain", "ground": "hill", "lake": "water"}
    made = RelationDetector(relations.synonym(table), cat, C=0.1).fit(texts, baselines=False)
    made.save(tmp_path / "d.json")
    again = RelationDetector.load(tmp_path / "d.json", cat)
    assert again.score(*texts[0]).identical(made.score(*texts[0]))
    assert again.explain(*texts[0]).truth is None
    with pytest.raises(InputError, match="a function or a lexicon"):
        again.evaluate(texts)
    known = RelationDetector.load(tmp_path / "d.json", cat, relation=relations.synonym(table))
    assert known.evaluate(texts, draws=5).at()["auc"] == made.evaluate(texts, draws=5).at()["auc"]
    with pytest.raises(InputError, match="was learned on 'synonym'"):
        RelationDetector.load(tmp_path / "d.json", cat, relation=relations.same_token())


def test_files_that_hold_no_detector_are_refused(cat, fitted, tmp_path):
    path = tmp_path / "d.json"
    with pytest.raises(InputError, match="there is no file"):
        RelationDetector.load(path, cat)
    fitted.save(path)
    data = json.loads(path.read_text())
    for change, told in (
        ({"format": 9}, "update mechviz"),
        ({"what": "x"}, "holds no relation detector"),
        ({"fitted": {}}, "lacks a part"),
        ({"ranker": None}, "lacks a part"),
    ):
        path.write_text(json.dumps({**data, **change}))
        with pytest.raises(InputError, match=told):
            RelationDetector.load(path, cat)
    path.write_text("{")
    with pytest.raises(InputError, match="cannot be read as JSON"):
        RelationDetector.load(path, cat)
    with pytest.raises(InputTypeError, match="a file is named"):
        RelationDetector.load(3, cat)


def test_bad_input_is_refused_before_anything_runs(cat, fitted):
    relation = relations.aligned_copy()
    for bad, error in (
        ({"C": 0}, InputError),
        ({"C": "1"}, InputError),
        ({"negatives": 0}, InputError),
        ({"seed": -1}, InputError),
        ({"seed": "x"}, InputTypeError),
        ({"scale": "none at all"}, InputError),
    ):
        with pytest.raises(error):
            RelationDetector(relation, cat, **bad)
    with pytest.raises(InputTypeError, match="give a relation"):
        RelationDetector("same token", cat)
    with pytest.raises(InputTypeError, match=r"mv\.load"):
        RelationDetector(relation, "toy/cat")
    fresh = RelationDetector(relation, cat)
    for call in (fresh.heads, lambda: fresh.score("a", "b"), lambda: fresh.save("x"), lambda: fresh.evaluate(SENTENCES)):
        with pytest.raises(InputError, match="call fit"):
            call()
    assert "not fitted" in repr(fresh)
    with pytest.raises(InputError, match="two such texts that differ"):
        fresh.fit([SENTENCES[0]] * 5)  # one document, however often
    with pytest.raises(InputError, match="groups"):
        fresh.fit(SENTENCES, groups=[1])
    with pytest.raises(InputError, match="texts is empty"):
        fresh.fit([])
    with pytest.raises(InputError, match=r"give texts as \(query, document\)"):
        RelationDetector(relations.query_match(), cat).fit(SENTENCES)
    with pytest.raises(InputError, match="most"):
        fitted.explain("a rock", "a rock", most=0)
    with pytest.raises(InputError, match="draws"):
        fitted.evaluate(SENTENCES, draws=0)
    assert fresh._fitted is None
