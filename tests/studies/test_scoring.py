"""Scorecards against a plain loop over the pairs, on a ranker whose formula is known."""

import math
import pickle

import numpy as np
import pandas as pd
import pytest

import mechviz as mv
from mechviz.corpora import TextPair
from mechviz.errors import InputError, InputTypeError
from mechviz.results.scorecard import bucket
from mechviz.toys.passages import PASSAGES

QUERIES = ("volcano lava rock", "warm springs water", "yeast bread rise", "tide moon sea", "glass sand soda")
NAMES = ("TFC1", "LNC1", "TDC", "PROX1")


@pytest.fixture(scope="module")
def ranker():
    return mv.toys.compiled("exact_match", PASSAGES)


@pytest.fixture(scope="module")
def pairs():
    return [
        TextPair(query, doc, query_id=str(number), grade=at % 3 if at % 5 else None, rank=None)
        for number, query in enumerate(QUERIES)
        for at, doc in enumerate(PASSAGES[number : number + 12])
    ]


@pytest.fixture(scope="module")
def card(ranker, pairs):
    return mv.scorecard(ranker, pairs, NAMES)


def test_rows_are_what_a_plain_loop_finds(ranker, pairs, card):
    statistics = mv.TermStatistics.of(sorted({pair.doc for pair in pairs}))
    for name in NAMES:
        axiom = mv.axioms.named(name, statistics=statistics)
        found, reasons = [], 0
        for pair in pairs:
            try:
                made = axiom.make(pair.query, pair.doc)
            except InputError:
                reasons += 1
                continue
            original, perturbed = ranker.score(pair.query, [made.doc, made.perturbed])
            found.append((made.preferred * float(perturbed - original), pair.grade))
        assert sum(card.dropped[name].values()) == reasons
        groups = {("all", ""): [change for change, _ in found]}
        for grade in {grade for _, grade in found}:
            groups["grade", bucket("grade", grade)] = [change for change, own in found if own == grade]
        for (group, value), changes in groups.items():
            (row,) = card.rows[
                (card.rows["axiom"] == name) & (card.rows["group"] == group) & (card.rows["value"] == value)
            ].itertuples()
            assert row.n == len(changes)
            if changes:
                assert row.satisfied == pytest.approx(sum(change > 0 for change in changes) / len(changes))
                assert row.change == pytest.approx(sum(changes) / len(changes), abs=1e-6)
    assert (card.rows["n"][card.rows["group"] == "all"] > 0).all(), "axioms without pairs test nothing"


def test_the_ranker_that_counts_matches_by_length_agrees_where_its_formula_does(ranker, pairs):
    """score = sum of idf of matches / (n + 1): one more rare match raises it, other words lower it, places are all one."""
    card = mv.scorecard(ranker, pairs, NAMES, statistics=mv.TermStatistics.of(PASSAGES))  # those that the ranker's idf is of
    share = card.rows[card.rows["group"] == "all"].set_index("axiom")["satisfied"]
    assert share["TFC1"] == 1
    assert share["TDC"] == 1
    assert share["LNC1"] > 0.5  # documents without a match score 0 before and after
    assert card.rows.set_index("axiom")["change"]["PROX1"].abs().max() < 1e-6


def test_intervals_hold_the_estimate_and_stay_shares(card):
    rows = card.rows.dropna(subset=["satisfied_low", "low"])
    assert len(rows) > len(NAMES)
    assert (rows["low"] <= rows["change"] + 1e-9).all()
    assert (rows["high"] >= rows["change"] - 1e-9).all()
    assert rows[["satisfied_low", "satisfied_high"]].stack().between(0, 1).all()


def test_buckets_come_in_order_and_rows_know_their_pairs(card):
    grades = card.rows[(card.rows["axiom"] == "TFC1") & (card.rows["group"] == "grade")]
    assert list(grades["value"]) == ["0", "1", "2", "unknown"]
    for row in card.rows.itertuples():
        assert len(card.of(row.axiom, row.group, row.value)) == row.n
    with pytest.raises(InputError, match="no row 'TFC9'"):
        card.of("TFC9")


def test_ranks_are_the_rankers_own_where_none_are_given(ranker, card):
    assert "by this ranker" in card.provenance["rank"]
    chosen = card.pairs.drop_duplicates(["query", "doc"])
    for query, of_query in chosen.groupby("query"):
        scores = ranker.score(query, list(of_query["doc"]))
        assert [int((scores > score).sum()) + 1 for score in scores] == of_query["rank"].tolist()


def test_given_ranks_are_kept(ranker):
    pairs = [TextPair(QUERIES[0], doc, rank=number) for number, doc in enumerate(PASSAGES[:12], start=5)]
    card = mv.scorecard(ranker, pairs, ["TFC1"])
    assert card.provenance["rank"] == "of the pairs"
    assert card.rows[card.rows["group"] == "rank"][["value", "n"]].values.tolist() == [["1-10", 6], ["11-50", 6]]


def test_default_axioms_are_all_that_need_nothing_more(ranker, pairs):
    names = set(mv.scorecard(ranker, pairs[:6]).axioms)
    assert names == {name for name in mv.axioms.ALL if not name.startswith("STMC")} - {"REG"}
    table = {"volcano": {"lava": 0.8}, "lava": {"volcano": 0.8}}
    assert {"REG", "STMC1", "STMC2"} <= set(mv.scorecard(ranker, pairs[:6], similarity=table).axioms)


def test_pairs_that_are_perturbed_already(ranker, pairs, card):
    perturbed = mv.Pairs(pairs).perturb([mv.axioms.TFC1()])
    again = mv.scorecard(ranker, perturbed)
    row, same = (frame.rows[frame.rows["axiom"] == "TFC1"].iloc[0] for frame in (again, card))
    assert row.n == same.n
    with pytest.raises(InputError, match="perturbed already"):
        mv.scorecard(ranker, perturbed, ["TFC1"])
    unsaid = mv.scorecard(ranker, mv.Pairs(pairs[:3]).perturb(mv.perturb.append("lava")))
    assert sum(unsaid.dropped["append('lava')"].values()) == 3
    assert unsaid.rows["n"].tolist() == [0]


def test_texts_that_are_too_long_are_counted_or_cut(ranker):
    long = [TextPair("lava rock", "lava " * 2000), TextPair("lava rock", "Lava is hot.")]
    card = mv.scorecard(ranker, long, ["TFC1"])
    assert card.dropped["TFC1"] == {"a text is too long for the ranker": 1}
    assert card.rows["n"].iloc[0] == 1
    assert mv.scorecard(ranker, long, ["TFC1"], truncate=True).rows["n"].iloc[0] == 2


def test_one_query_has_no_interval(ranker):
    card = mv.scorecard(ranker, [TextPair("lava rock", "Lava is hot.")], ["TFC1"])
    assert math.isnan(card.rows["low"].iloc[0])
    assert card.rows["satisfied"].iloc[0] == 1


def test_what_cannot_be_asked(ranker, pairs):
    with pytest.raises(InputError, match="holds no pair"):
        mv.scorecard(ranker, [])
    with pytest.raises(InputError, match="there is no axiom 'TFC9'"):
        mv.scorecard(ranker, pairs, ["TFC9"])
    with pytest.raises(InputError, match="give axioms such as"):
        mv.scorecard(ranker, pairs, [mv.perturb.append("a")])
    with pytest.raises(InputTypeError, match="the ranker must be"):
        mv.scorecard("toy", pairs)


def test_a_card_is_data_and_can_be_drawn(card):
    assert "TFC1" in card._repr_html_()
    assert isinstance(card.show(), mv.views.ScorecardView)
    copy = pickle.loads(pickle.dumps(card))
    pd.testing.assert_frame_equal(copy.rows, card.rows)
    with pytest.raises(InputError, match="holds no ranker"):
        copy.show()


def test_the_same_twice(ranker, pairs, card):
    again = mv.scorecard(ranker, iter(pairs), NAMES)
    np.testing.assert_array_equal(again.rows.select_dtypes("number"), card.rows.select_dtypes("number"))
