"""Studies and scorecards on the wire."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechviz import wire
from mechviz.results.scorecard import bucket
from tests import many_pairs

WORDS = st.lists(st.sampled_from(["hot", "water", "lava", "is", "</script>", "שלום", "👍🏽"]), min_size=1, max_size=8)


def test_each_text_is_sent_once_and_every_pair_finds_its_own():
    frame = many_pairs.pairs(200)
    packed = wire.pack_pairs(frame)
    assert len(packed.entry["queries"]) == frame["query"].nunique() < len(frame)
    for name, column in (("queries", "query"), ("perturbations", "perturbation"), ("reasons", "reason")):
        assert [packed.entry[name][at] for at in packed.arrays[f"pairs.{name}"]] == frame[column].tolist()
    for name in ("grade", "rank", "original_score", "perturbed_score", "base_score", "source_score"):
        np.testing.assert_array_equal(packed.arrays[f"pairs.{name}"], frame[name].to_numpy(dtype=np.float32))
    for column in ("grade", "rank"):
        names = packed.entry["buckets"][column]
        found = [names[at] for at in packed.arrays[f"pairs.buckets.{column}"]]
        assert found == [bucket(column, value) for value in frame[column]]


@given(WORDS, WORDS, WORDS, WORDS)
def test_what_changed_lies_between_what_did_not(before, gone, put, after):
    first, second = " ".join([*before, *gone, *after]), " ".join([*before, *put, *after])
    away, new = (part.split() for part in wire.changed_part(first, second))
    if first == second:
        assert (away, new) == ([], [])
    elif not any("…" in part for part in (*away, *new)):
        # What is left of the texts without the changed parts is one and the same text.
        rest = {" ".join(text.split()[:at] + text.split()[at + len(part) :]) for text, part, at in ends(first, second, away, new)}
        assert len(rest) == 1


def ends(first, second, away, new):
    """Each text with its changed part and where that begins: after the words that both begin with."""
    one, other = first.split(), second.split()
    start = 0
    while start < min(len(one), len(other)) and one[start] == other[start]:
        start += 1
    return [(first, away, start), (second, new, start)]


@given(st.text(max_size=3000), st.integers(2, 120))
def test_a_short_text_is_short_and_fits_a_file(text, most):
    found = wire.short(text, most)
    assert len(found) <= most
    assert "\n" not in found
    found.encode("utf-8")


def test_texts_that_no_file_can_hold():
    assert wire.short("lone \ud800 surrogate", 50) == "lone ? surrogate"
    frame = many_pairs.pairs(2).assign(query=pd.Series(["\udfff"] * 2, dtype=object), doc="a" * 10**6)
    packed = wire.pack_pairs(frame)
    json.dumps(packed.entry).encode()
    assert len(packed.entry["docs"][0]) < 200


def test_what_is_not_known_is_nan():
    frame = many_pairs.pairs(4).astype({"grade": object, "rank": object, "base_score": object})
    frame.loc[0, ["grade", "rank", "base_score"]] = None
    frame.loc[1, "grade"] = pd.NA
    frame.loc[2, "perturbed"] = None
    packed = wire.pack_pairs(frame)
    assert np.isnan(packed.arrays["pairs.grade"]).tolist() == [True, True, False, False]
    assert np.isnan(packed.arrays["pairs.rank"]).tolist() == [True, False, False, False]
    assert np.isnan(packed.arrays["pairs.base_score"][0])
    assert np.isnan(packed.arrays["pairs.preferred"]).all()
    assert packed.entry["changes"][packed.arrays["pairs.changes"][2]] == ["", ""]
    assert "unknown" in packed.entry["buckets"]["grade"]


def test_a_change_of_the_query_is_one_of_the_query():
    frame = many_pairs.pairs(1).assign(side="query", query="hot springs", perturbed="cold springs")
    assert wire.pack_pairs(frame).entry["changes"] == [["hot", "cold"]]


def test_of_very_many_pairs_a_sample_is_listed_and_it_says_so():
    frame = pd.concat([many_pairs.pairs(5000)] * 3, ignore_index=True).assign(number=np.arange(15_000))
    packed = wire.pack_pairs(frame)
    assert packed.arrays["pairs.number"].tolist() == list(range(0, 15_000, 3))
    spec = wire.pack_study(many_pairs.study((2, 2), pairs=frame), opens=True)
    assert spec["list"] == {"opens": True, "n": 5000, "of": 15_000}


def test_five_thousand_long_pairs_stay_small():
    rng = np.random.default_rng(0)
    letters = np.array(list("abcdefghij "))
    docs = ["".join(letters[rng.integers(0, 11, 700)]) for _ in range(5000)]
    frame = many_pairs.pairs(5000).assign(doc=docs, query=[doc[:300] for doc in docs], perturbed=[f"{doc} lava" for doc in docs])
    packed = wire.pack_pairs(frame)
    assert packed.nbytes + len(json.dumps(packed.entry, ensure_ascii=False).encode()) < 3_000_000


def test_cells_of_a_study_are_its_own():
    summary = many_pairs.study((3, 4), 20)
    summary.cells["effect"][1, 2] = np.nan
    arrays = wire.pack_study_cells(summary)
    assert {name.removeprefix("encoder.heads.") for name in arrays} == {
        *("effects", "low", "high", "ratio", "raw", "positive", "p", "q", "patched", "state")
    }
    for name in ("low", "ratio", "positive", "q"):
        np.testing.assert_array_equal(arrays[f"encoder.heads.{name}"], summary.cells[name].values.astype(np.float32))
    state = np.full((3, 4), wire.EXACT)
    state[1, 2] = wire.EMPTY
    np.testing.assert_array_equal(arrays["encoder.heads.state"], state)


def test_a_study_says_what_was_used_and_why_not():
    summary = many_pairs.study((3, 4), 100)
    spec = wire.pack_study(summary, opens=False)
    assert (spec["study"]["n_used"], spec["study"]["n_queries"]) == (summary.n_used, 6)
    assert dict(spec["study"]["dropped"]) == dict(summary.dropped)
    assert spec["study"]["min_change"] == 0.01
    assert spec["study"]["covariates"][3] == {"covariate": "grade", "n": 340, "spearman": None, "partial": None, "p": None}
    assert spec["stacks"][0]["n_heads"] == 4
    classes = wire.pack_study(many_pairs.classes_study(), opens=False)
    assert classes["stacks"] == []
    assert classes["grids"][0]["labels"][2] == ["query term", "injected", "stop word", "other"]
    assert wire.pack_study(many_pairs.study((1, 1), 3, provenance={}), opens=False)["study"]["min_change"] is None


def test_groups_have_the_dims_of_the_grid():
    summary = many_pairs.study((3, 4), 20)
    packed = wire.pack_groups(summary, "grade")
    assert packed.entry == {"values": ["0", "1", "2", "3"]}
    np.testing.assert_array_equal(packed.arrays["groups.grade.effect"], summary.groups["grade"]["effect"].values.astype("f4"))
    assert packed.arrays["groups.grade.n"].tolist() == summary.groups["grade"]["n"].values.tolist()


def test_a_scorecard_has_no_nan_in_its_json():
    card = many_pairs.scorecard(20)
    card.rows.loc[0, ["satisfied", "low"]] = np.nan
    spec = wire.pack_scorecard(card, opens=False)
    json.dumps(spec, allow_nan=False)
    assert spec["scorecard"]["rows"][0]["satisfied"] is None
    assert spec["ranker"]["name"] == card.ranker


@pytest.mark.parametrize("kind", ["study", "scorecard"])
def test_a_list_without_texts_holds_no_word_of_them(kind):
    made = many_pairs.study((2, 2), 30) if kind == "study" else many_pairs.scorecard(20)
    pack = wire.pack_study if kind == "study" else wire.pack_scorecard
    spec = wire.without_texts(wire.with_held(pack(made, opens=False), [wire.pack_pairs(made.pairs)]))
    text = json.dumps(spec)
    for word in ("springs", "lava", "yeast", "volcano"):
        assert word not in text
    assert "TFC1" in text
