import numpy as np
import pytest
import torch

import mechviz as mv
from mechviz.errors import InputError
from mechviz.probes import relations
from mechviz.probes.detector import RelationDetector
from mechviz.probes.detector_causal import plan_without
from tests.probes.detectors import SENTENCES, compiled, pairs_in_words_of


@pytest.fixture(scope="module")
def planted():
    ranker = compiled("bm25")
    texts = pairs_in_words_of(ranker, 18)
    return RelationDetector(relations.same_token(), ranker).fit(texts[:10], baselines=False), texts[10:]


@pytest.fixture(scope="module")
def detector():
    return RelationDetector(relations.same_token(), mv.load("toy/dot"), C=0.1).fit(SENTENCES, baselines=False)


def test_without_the_planted_head_neither_score_nor_effect_is_left(planted):
    detector, texts = planted
    found = detector.ablate(texts, n=1, draws=3, perturb=mv.perturb.append_query_term())
    table = found.table.set_index("condition")
    ranker = detector.ranker
    scores = ranker.score(*map(list, zip(*texts, strict=True)))
    change = mv.perturb.append_query_term()
    changed = ranker.score([query for query, _ in texts], [change(doc, query) for query, doc in texts])
    top = table.loc["top"]
    assert top["heads"] == "0.0"
    assert top["auc"] == 1  # its pattern is what it was: nothing below has changed
    assert top["auc_without"] == 0.5
    assert top["score_change"] == pytest.approx(np.abs(scores).mean(), abs=1e-5)  # the score is gone
    assert top["effect"] == pytest.approx(0, abs=1e-6)
    assert table.loc["intact", "effect"] == pytest.approx((changed - scores).mean(), abs=1e-5)
    assert top["effect_change_high"] < 0
    random = table.loc["random"]
    assert len(random) == 3
    assert all(heads.startswith("0.") and heads != "0.0" for heads in random["heads"])
    assert np.abs(random[["auc_change", "auc_without_change", "score_change", "effect_change"]].to_numpy()).max() < 1e-6
    compared = found.compare().set_index("measure")
    assert compared.loc["score_change", "as_far"] == 0.25
    assert compared.loc["auc_change", "as_far"] == 1
    assert "0.0" in repr(found)


def test_a_plan_without_heads_leaves_zeros_or_means(detector):
    ranker = detector.ranker
    part = ranker.stack(ranker.stack_of("doc"))
    heads = [(0, 1), (0, 3), (1, 2)]
    means = {
        layer: np.random.default_rng(layer).standard_normal((part.n_heads, part.d_head)).astype(np.float32) for layer in (0, 1)
    }

    def edit(value, hook):
        layer = int(hook.name.split(".")[1])
        for at, head in heads:
            if at == layer:
                value[:, :, head] = 0 if kind is None else torch.tensor(kind[layer][head])
        return value

    for kind in (None, means):
        with plan_without(ranker, heads, kind).active(ranker):
            got = ranker.score("hot rock", SENTENCES[:3])
        with ranker.hooks([("z", edit)], stack="doc"):
            expected = ranker.score("hot rock", SENTENCES[:3])
        np.testing.assert_allclose(got, expected, atol=1e-5)
        assert not np.allclose(got, ranker.score("hot rock", SENTENCES[:3]))


@pytest.mark.parametrize("how", ["zero", "mean"])
def test_the_auc_is_that_of_attention_under_the_ablation(detector, how):
    found = detector.ablate(SENTENCES, n=3, draws=2, how=how).table.set_index("condition")
    heads = [tuple(map(int, one.split("."))) for one in found.loc["top", "heads"].split()]
    weight = (detector.heads() ** 2).sum("way")
    assert sorted(float(weight[layer, head]) for layer, head in heads) == sorted(weight.values.ravel())[-3:]
    if how == "zero":
        report = detector.evaluate(SENTENCES, draws=5)
        assert found.loc["intact", "auc"] == pytest.approx(report.at()["auc"], abs=1e-6)
        with plan_without(detector.ranker, heads).active(detector.ranker):
            under = detector.evaluate(SENTENCES, draws=5)
        assert found.loc["top", "auc"] == pytest.approx(under.at()["auc"], abs=1e-6)
        assert min(heads)[0] == 0  # so that later layers see another input
        assert found.loc["top", "auc_change"] != 0
    assert np.isnan(found["score_change"]).all()  # there is no query
    assert (found["auc_low"] <= found["auc"]).all()
    intact = found.loc["intact"]
    assert intact["auc_change"] == intact["auc_change_low"] == 0


def test_random_heads_are_as_many_of_the_same_layers(detector):
    found = detector.ablate(SENTENCES[:3], n=3, draws=4).table
    sets = [[one.split(".") for one in heads.split()] for heads in found["heads"] if heads]
    layers = sorted(layer for layer, _ in sets[0])
    for drawn in sets[1:]:
        assert sorted(layer for layer, _ in drawn) == layers
        assert not {tuple(one) for one in drawn} & {tuple(one) for one in sets[0]}


def test_nothing_is_left_behind(detector):
    before = detector.ranker.score("hot rock", SENTENCES)
    detector.ablate(SENTENCES[:2], n=1, draws=1)
    assert np.array_equal(detector.ranker.score("hot rock", SENTENCES), before)


def test_bad_input_is_refused(detector, planted):
    heads = detector.heads().size // 2
    with pytest.raises(InputError, match=f"{heads} heads"):
        detector.ablate(SENTENCES, n=heads)
    with pytest.raises(InputError, match="give a smaller n"):
        detector.ablate(SENTENCES, n=heads - 1)
    with pytest.raises(InputError, match="how"):
        detector.ablate(SENTENCES, how="noise")
    with pytest.raises(InputError, match=r"give texts as \(query, doc\)"):
        detector.ablate(SENTENCES, n=1, perturb=mv.perturb.append("x"))
    with pytest.raises(InputError, match="changes the query"):
        planted[0].ablate(planted[1], n=1, perturb=mv.perturb.on_query(mv.perturb.append("x")))
    with pytest.raises(InputError, match="call fit"):
        RelationDetector(relations.same_token(), detector.ranker).ablate(SENTENCES)
