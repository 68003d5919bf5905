"""How the size of effects goes with what pairs are, against scipy and loops over texts."""

import math
import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats

from mechviz.errors import InputError, InputTypeError, MechvizError
from mechviz.text.statistics import TermStatistics
from tests.studies.made import HEADER, Made, made

WORDS = ("lava", "moon", "rock", "tide", "the", "the", "the", "of", "of", "ash")


def with_texts(seed=0, count=60, queries=60):
    """Documents of words of unlike frequency; a query's word is written once more, now and then one is taken away."""
    rng = np.random.default_rng(seed)
    pairs = made(seed, pairs=count, queries=queries)
    docs = [" ".join(rng.choice(WORDS, rng.integers(3, 30))) for _ in range(count)]
    added = [str(word) for word in rng.choice(WORDS, count)]
    perturbed = [f"{doc}, {word.upper()}!" for doc, word in zip(docs, added, strict=True)]
    perturbed[0], docs[0] = "rock ash", "rock ash tide"
    docs[1], perturbed[1] = "moon rock", "rock moon"
    pairs.columns |= {"doc": docs, "perturbed": perturbed, "grade": [None, None, *(rng.integers(0, 4, count - 2).tolist())]}
    return pairs


def by_hand(pairs, idf):
    """Each covariate of each pair, from the texts."""
    found = {name: [] for name in ("idf", "tf", "tf_idf", "length")}
    for doc, perturbed in zip(pairs.columns["doc"], pairs.columns["perturbed"], strict=True):
        before, after = (Counter(re.findall("[a-z]+", text.lower())) for text in (doc, perturbed))
        changed = [word for word in after if after[word] > before[word]] or [
            word for word in before if before[word] > after[word]
        ]
        found["idf"].append(np.mean([idf(word) for word in changed]) if changed else np.nan)
        found["tf"].append(np.mean([before[word] for word in changed]) if changed else np.nan)
        found["tf_idf"].append(np.mean([before[word] * idf(word) for word in changed]) if changed else np.nan)
        found["length"].append(sum(before.values()))
    found["grade"] = [np.nan if grade is None else grade for grade in pairs.columns["grade"]]
    found["change"] = np.abs(pairs.change)
    return {name: np.array(values, dtype=float) for name, values in found.items()}


def own_idf(docs):
    """Lucene's, over the distinct documents."""
    distinct = [set(doc.split()) for doc in dict.fromkeys(docs)]

    def idf(word):
        df = sum(word in doc for doc in distinct)
        return math.log(1 + (len(distinct) - df + 0.5) / (df + 0.5))

    return idf


def partial_of_three(x, y, z):
    a, b, c = (scipy.stats.spearmanr(*two).statistic for two in ((x, y), (x, z), (y, z)))
    return (a - b * c) / math.sqrt((1 - b**2) * (1 - c**2))


@pytest.mark.filterwarnings("ignore:Mean of empty slice")
@pytest.mark.parametrize("metric", ["effect", "raw", "robust"])
def test_covariates_are_those_of_a_loop_over_texts(tmp_path, metric):
    pairs = with_texts()
    study = pairs.study(tmp_path, metric=metric)
    scale = {"effect": 1 / np.abs(pairs.change), "raw": 1, "robust": 1 / np.sqrt(1 + pairs.change**2)}[metric]
    size = np.abs(pairs.difference).mean(axis=1) * scale
    frame = study.covariates().set_index("covariate")
    columns = by_hand(pairs, own_idf(pairs.columns["doc"]))
    assert list(frame.index) == list(columns)
    for name, values in columns.items():
        known = np.isfinite(values)
        row = frame.loc[name]
        assert row["n"] == row["n_queries"] == known.sum()
        assert row["spearman"] == pytest.approx(scipy.stats.spearmanr(values[known], size[known]).statistic)
        if name == "change":
            assert np.isnan([row["partial"], row["p_partial"]]).all()
        else:
            expected = partial_of_three(values[known], size[known], np.abs(pairs.change)[known])
            assert row["partial"] == pytest.approx(expected)
    assert frame.loc["idf", "n"] == 59, "nothing was written in pair 1, and nothing taken away"


def test_other_statistics_give_other_idf(tmp_path):
    pairs = with_texts(1)
    study = pairs.study(tmp_path)
    elsewhere = TermStatistics.of(["lava", "lava rock", "lava moon", "tide"])
    ours, theirs = (study.covariates(terms).set_index("covariate") for terms in (None, elsewhere))
    columns = by_hand(pairs, elsewhere.idf)
    size = np.abs(pairs.difference).mean(axis=1) / np.abs(pairs.change)
    known = np.isfinite(columns["idf"])
    assert theirs.loc["idf", "spearman"] == pytest.approx(scipy.stats.spearmanr(columns["idf"][known], size[known]).statistic)
    assert theirs.loc["idf", "spearman"] != ours.loc["idf", "spearman"]
    assert theirs.loc["tf", "spearman"] == ours.loc["tf", "spearman"]
    with pytest.raises(InputTypeError, match="statistics of terms have an idf"):
        study.covariates({"lava": 3})


def test_one_cell_may_be_looked_at(tmp_path):
    pairs = with_texts(2)
    study = pairs.study(tmp_path)
    row = study.covariates(layer=1, head=0).set_index("covariate").loc["change"]
    size = np.abs(pairs.difference[:, 3] / pairs.change)
    assert row["spearman"] == pytest.approx(scipy.stats.spearmanr(np.abs(pairs.change), size).statistic)
    layer = study.covariates(layer=1).set_index("covariate").loc["change"]
    size = np.abs(pairs.difference[:, 3:] / pairs.change[:, None]).mean(axis=1)
    assert layer["spearman"] == pytest.approx(scipy.stats.spearmanr(np.abs(pairs.change), size).statistic)
    with pytest.raises(InputError, match=r"no such cell; there are layer 0, 1"):
        study.covariates(layer=5)
    with pytest.raises(InputError, match="pos: this grid has no such dimension; it has layer, head"):
        study.covariates(pos=5)


def test_pairs_that_lack_the_cell_are_left_out(tmp_path):
    pairs = with_texts(3)
    pairs.patched[:25, 2] = np.nan
    pairs.patched[:5] = np.nan
    study = pairs.study(tmp_path)
    frame = study.covariates().set_index("covariate")
    size = np.nanmean(np.abs(pairs.difference[5:]), axis=1) / np.abs(pairs.change[5:])
    assert frame.loc["change", "n"] == 55
    assert frame.loc["change", "spearman"] == pytest.approx(scipy.stats.spearmanr(np.abs(pairs.change[5:]), size).statistic)
    assert study.covariates(layer=0, head=2).set_index("covariate").loc["change", "n"] == 35


def test_a_changed_query_is_compared_with_the_query(tmp_path):
    pairs = made(4, pairs=20, queries=20)
    rng = np.random.default_rng(4)
    docs = [" ".join(["lava"] * int(rng.integers(1, 9)) + ["moon"]) for _ in range(20)]
    pairs.columns |= {"query": ["moon"] * 20, "perturbed": ["moon lava"] * 20, "doc": docs, "side": ["query"] * 20}
    frame = pairs.study(tmp_path).covariates().set_index("covariate")
    size = np.abs(pairs.difference).mean(axis=1) / np.abs(pairs.change)
    expected = scipy.stats.spearmanr([doc.count("lava") for doc in docs], size).statistic
    assert frame.loc["tf", "spearman"] == pytest.approx(expected)
    assert np.isnan(frame.loc["idf", "spearman"]), "the same word each time"


def test_a_sample_is_told_by_its_n_and_is_the_same_each_time(tmp_path):
    study = with_texts(5).study(tmp_path)
    some = study.covariates(limit=30)
    assert some["n"].max() == 30
    assert some.equals(study.covariates(limit=30))
    assert not some.equals(study.using(seed=1).covariates(limit=30))


def test_texts_without_words_and_studies_without_pairs(tmp_path):
    pairs = made(6, pairs=10, queries=10)
    pairs.columns |= {"doc": ["!!!"] * 10, "perturbed": ["!!! lava"] * 10}
    study = pairs.study(tmp_path)
    frame = study.covariates().set_index("covariate")
    assert frame.loc["idf", "n"] == 0
    assert frame.loc["change", "n"] == 10
    with pytest.raises(MechvizError, match="no pair can be used"):
        study.where(min_change=100).covariates()


def test_two_pairs_say_nothing(tmp_path):
    rows = np.arange(12.0).reshape(2, 6)
    study = Made(rows, np.zeros(2), np.array([1.0, 2.0]), np.arange(2), replace(HEADER)).study(tmp_path)
    frame = study.covariates()
    assert (frame["n"] <= 2).all()
    assert frame[["spearman", "partial", "p", "p_partial"]].isna().all(axis=None)
