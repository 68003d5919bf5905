import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.metrics import r2_score

import mechviz as mv
from mechviz.errors import InputError
from mechviz.probes.words import lime
from mechviz.probes.words.masking import closeness, drawn
from mechviz.probes.words.surrogates import lime_values
from tests.interventions.hand import DOCS, QUERY
from tests.probes.words.toy_functions import linear, tangled

WEIGHTS = [0.5, -2.0, 0.0, 3.0, 1.0]


@pytest.mark.parametrize("width", [0.25, None])
def test_a_linear_target_gives_its_weights(width):
    found = lime_values(linear(WEIGHTS, 0.3), 5, n_samples=300, width=width, alpha=0.0)
    np.testing.assert_allclose(found.values, WEIGHTS, atol=1e-8)
    assert found.intercept == pytest.approx(0.3, abs=1e-8)
    np.testing.assert_allclose(found.low, found.high, atol=1e-6)
    assert found.fit.n == 0  # every one of the few subsets was fitted to
    wide = np.random.default_rng(0).normal(size=30)
    found = lime_values(linear(wide), 30, alpha=0.0)
    np.testing.assert_allclose(found.values, wide, atol=1e-8)
    assert (found.fit.r2, found.fit.weighted_r2, found.fit.kendall) == pytest.approx((1, 1, 1))
    assert found.fit.n > 150
    assert found.fit.warning == ""


def test_it_is_sklearns_weighted_ridge():
    """The samples are drawn again as documented, the regression and the held-out fit made apart."""
    value = tangled(12)
    found = lime_values(value, 12, n_samples=500, width=0.3, alpha=2.0, seed=7)
    keep = drawn(12, 500, np.random.default_rng(7))
    keep[0] = True
    cosine = np.sqrt(keep.mean(1))
    weights = np.exp(-((1 - cosine) ** 2) / 0.3**2 / 2)
    fitted, tested = keep[:400], keep[400:]
    # the penalised normal equations, by augmenting the data: an oracle that does not use Ridge
    centre = np.average(fitted, axis=0, weights=weights[:400])
    mean = np.average(value(fitted), weights=weights[:400])
    rows = np.vstack([(fitted - centre) * np.sqrt(weights[:400])[:, None], np.sqrt(2.0) * np.eye(12)])
    wanted = np.linalg.lstsq(rows, np.append((value(fitted) - mean) * np.sqrt(weights[:400]), np.zeros(12)), rcond=None)[0]
    np.testing.assert_allclose(found.values, wanted, atol=1e-9)
    new = [at for at, row in enumerate(tested) if not (fitted == row).all(1).any()]
    new = list({tested[at].tobytes(): at for at in reversed(new)}.values())
    foretold = found.intercept + tested[new] @ found.values
    assert found.fit.n == len(new)
    assert found.fit.r2 == pytest.approx(r2_score(value(tested[new]), foretold))
    assert found.fit.weighted_r2 == pytest.approx(r2_score(value(tested[new]), foretold, sample_weight=cosine[400:][new]))


def test_intervals_hold_what_many_samples_give():
    """The value is what LIME gives in the limit; about 95 in 100 intervals hold it."""
    value, n = tangled(8, seed=3), 8
    keep = drawn(n, 400_000, np.random.default_rng(99))
    weights = closeness(keep, 0.25)
    limit = LinearRegression().fit(keep, value(keep), sample_weight=weights).coef_
    held = []
    for seed in range(60):
        found = lime_values(value, n, n_samples=400, alpha=1e-9, seed=seed)
        held.append((found.low <= limit) & (limit <= found.high))
    assert 0.9 < np.mean(held) < 0.99


def test_the_penalty_shrinks():
    small, large = (lime_values(linear(WEIGHTS), 5, alpha=alpha).values for alpha in (1e-6, 1e3))
    assert np.abs(large).sum() < 0.3 * np.abs(small).sum()


def test_a_low_fit_is_said():
    found = lime_values(lambda keep: (keep[:, :6].sum(1) % 2).astype(float), 12)  # parity: no word does anything by itself
    assert found.fit.weighted_r2 < 0.2
    assert "Low fit" in found.fit.warning
    assert "below 0.5" in found.fit.warning
    constant = lime_values(lambda keep: np.full(len(keep), 2.0), 12)
    assert np.isnan(constant.fit.weighted_r2)
    assert "is the same in all" in constant.fit.warning
    np.testing.assert_allclose(constant.values, 0, atol=1e-12)


def test_samples_without_a_number_are_left_out():
    value = linear(WEIGHTS)
    found = lime_values(lambda keep: np.where(keep[:, 2], value(keep), np.nan), 5, alpha=0.0)
    np.testing.assert_allclose(found.values[[0, 1, 3, 4]], np.array(WEIGHTS)[[0, 1, 3, 4]], atol=1e-8)
    with pytest.raises(InputError, match="0 samples have a score"):
        lime_values(lambda keep: np.full(len(keep), np.nan), 5)


def test_on_a_ranker():
    ranker = mv.load("toy/cat")
    found = lime(ranker, QUERY, DOCS[0], n_samples=200, masker="a", seed=4)
    again = lime(ranker, QUERY, DOCS[0], n_samples=200, masker="a", seed=4)
    np.testing.assert_array_equal(found.values.values, again.values.values)
    assert {word.text.lower() for word in found.top(3)} <= {"hot", "springs", "warm"}
    for word in found.words:
        assert word.low <= word.value <= word.high
    texts = [" ".join(DOCS[0].split())]
    keep = drawn(len(found.words), 200, np.random.default_rng(4))
    keep[0] = True
    spans = [word.spans[0] for word in found.words]
    texts = []
    for row in keep:
        text = DOCS[0]
        for (start, end), there in reversed(list(zip(spans, row, strict=True))):
            text = text if there else f"{text[:start]}a{text[end:]}"
        texts.append(text)
    scores = ranker.score(QUERY, texts)
    wanted = Ridge(alpha=1.0).fit(keep[:160], scores[:160], sample_weight=closeness(keep[:160], 0.25)).coef_
    np.testing.assert_allclose(found.values.values, wanted, atol=1e-4)
    assert found.provenance["n_samples"] == "200"
    assert found.provenance["weights_sha256"] == ranker.weight_hash()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"n_samples": 5}, "n_samples=5"),
        ({"n_samples": 20.0}, "n_samples=20.0"),
        ({"width": 0}, "width=0"),
        ({"alpha": -1}, "alpha=-1"),
        ({"seed": -1}, "seed=-1"),
        ({"confidence": 95}, "give a share"),
        ({"doc": "water"}, "at least two words"),
    ],
)
def test_what_cannot_be(cat, change, said):
    with pytest.raises(InputError, match=said):
        lime(**{"ranker": cat, "query": QUERY, "doc": DOCS[3], **change})
