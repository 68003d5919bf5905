"""What a study says of its pairs; `test_reading` has what becomes of a folder that is not whole."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mechviz as mv
from mechviz import views
from mechviz.corpora import TextPair
from mechviz.errors import InputError, InputTypeError, MechvizError
from mechviz.results import StudySummary
from mechviz.studies.folder import Study
from mechviz.studies.schema import Header
from mechviz.studies.selection import NO_CHANGE, NO_SCORES, NOT_FINITE, counted
from tests.studies.made import CLASSES, HEADER, Made, headline, made

FAST = {"draws": 200, "flips": 500}
VARIABLES = ("effects", "ratio", "raw", "positive", "p", "q")


def told(study):
    return {name: getattr(study, name).values for name in VARIABLES} | {
        name: study.interval[name].values for name in ("low", "high")
    }


# -- what a study says ------------------------------------------------------------------------------------------------


def test_effects_are_those_of_a_loop(tmp_path):
    pairs = made()
    study = pairs.study(tmp_path, **FAST)
    flat = {name: values.reshape(-1) for name, values in told(study).items()}
    for cell in range(6):
        moved = pairs.difference[:, cell]
        assert flat["effects"][cell] == pytest.approx(headline(pairs, cell, range(40)))
        assert flat["ratio"][cell] == pytest.approx(moved.sum() / pairs.change.sum())
        assert flat["raw"][cell] == pytest.approx(moved.mean())
        assert flat["positive"][cell] == pytest.approx(sum(a * d > 0 for a, d in zip(moved, pairs.change, strict=True)) / 40)
    assert study.effects.dims == ("layer", "head")
    assert study.effects.shape == (2, 3)
    assert (study.n_used, study.n_queries, study.n_dropped, study.dropped) == (40, 12, 0, {})
    assert study.interval.attrs["confidence"] == 0.95
    assert (flat["low"] < flat["effects"]).all()
    assert (flat["effects"] < flat["high"]).all()
    assert flat["p"][5] < 0.01, "an effect of 0.6"
    assert (flat["q"] >= flat["p"]).all()
    assert study.notes == ()
    assert repr(study).startswith(
        "Study(TFC1 on tiny: 2 layer x 3 head, 40 pairs of 12 queries, 0 dropped; strongest layer 1, head 2"
    )


def test_other_metrics_are_means_of_what_patch_tells_of_a_pair(tmp_path):
    pairs = made(1)
    study = pairs.study(tmp_path, **FAST)
    functions = mv.metrics.METRICS
    for name in ("raw", "robust"):
        expected = np.mean(
            [functions[name](pairs.patched[i], pairs.base[i], pairs.base[i] + pairs.change[i]) for i in range(40)], axis=0
        )
        np.testing.assert_allclose(study.using(metric=name).effects.values.ravel(), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(study.using(metric="raw").effects, study.raw)


def test_the_headline_stays_where_the_other_two_explode(tmp_path):
    """D of both signs that add up to nearly nothing, and one pair whose D is small: every true effect is 0.5."""
    change = np.array([1.0, -1.0, 0.5, -0.5, 1e-3])
    patched = 0.5 * change + np.array([0, 0, 0, 0, 0.01])
    pairs = Made(np.repeat(patched[:, None], 6, axis=1), np.zeros(5), change, np.arange(5))
    study = pairs.study(tmp_path, **FAST)
    assert study.effects.values.ravel() == pytest.approx(0.5, abs=0.01)
    assert abs(study.ratio.values.ravel()[0]) > 5
    assert np.mean(pairs.difference[:, 0] / change) > 2, "the mean of ratios"


def test_one_query_has_no_interval_and_says_so(tmp_path):
    pairs = made(2, pairs=5, queries=1)
    study = pairs.study(tmp_path, **FAST)
    assert np.isfinite(study.effects).all()
    assert np.isnan(study.interval["low"]).all()
    assert np.isnan(study.interval["high"]).all()
    assert (study.p == 1).all()
    assert "intervals are not defined" in study.notes[0]
    assert "intervals are not defined" in repr(study)
    assert "intervals are not defined" in study.summary().provenance["notes"]
    one = made(2, pairs=1, queries=1).study(tmp_path / "one", **FAST)
    assert one.n_used == 1
    assert one.effects.values.ravel() == pytest.approx(
        made(2, pairs=1, queries=1).difference[0] / made(2, pairs=1, queries=1).change
    )


def test_few_queries_get_student_s_interval(tmp_path):
    study = made(3, pairs=9, queries=3).study(tmp_path, **FAST)
    assert (study.interval["low"] < study.effects).all()
    assert "3 queries are too few for a bootstrap" in study.notes[0]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 50), st.randoms(use_true_random=False), st.sampled_from([0.25, 8.0]))
def test_order_parts_and_scale_change_nothing(tmp_path, per_part, random, factor):
    pairs = made(4)
    expected = told(pairs.study(tmp_path / "whole", 40, **FAST))
    order = list(range(40))
    random.shuffle(order)
    shutil.rmtree(tmp_path / "cut", ignore_errors=True)
    found = told(pairs.scaled(factor).study(tmp_path / "cut", per_part, np.array(order), **FAST))
    for name, values in expected.items():
        scale = factor if name == "raw" else 1
        np.testing.assert_allclose(found[name], values * scale, rtol=1e-5, atol=1e-6, err_msg=name)


def test_the_same_study_gives_the_same_numbers_and_another_seed_others(tmp_path):
    pairs = made(5)
    study = pairs.study(tmp_path, **FAST)
    again, other = Study.load(tmp_path, **FAST), Study.load(tmp_path, seed=1, **FAST)
    for name, values in told(study).items():
        np.testing.assert_array_equal(told(again)[name], values)
    assert not np.array_equal(other.interval["low"], study.interval["low"])
    np.testing.assert_array_equal(other.effects, study.effects)


def test_queries_without_ids_are_told_apart_by_their_text(tmp_path):
    pairs = made(6)
    pairs.columns["query_id"] = [""] * 40
    study = pairs.study(tmp_path / "text", **FAST)
    assert study.n_queries == 12
    expected = replace(pairs, columns={}).study(tmp_path / "id", **FAST)
    np.testing.assert_allclose(study.effects, expected.effects)
    width = [float((one.interval["high"] - one.interval["low"]).mean()) for one in (study, expected)]
    assert width[0] == pytest.approx(width[1], rel=0.2)


def test_cells_that_a_pair_lacks_are_left_out_of_their_means(tmp_path):
    pairs = made(7, header=CLASSES)
    pairs.patched[:20, 1] = np.nan
    pairs.patched[:, 4] = np.nan
    study = pairs.study(tmp_path, **FAST)
    assert study.effects.sel(site="z", **{"class": "injected"}).item() == pytest.approx(headline(pairs, 1, range(20, 40)))
    assert study.pairs_of_cells.values.ravel().tolist() == [40, 20, 40, 40, 0, 40]
    missing = [np.isnan(values.ravel()[4]) and np.isfinite(np.delete(values.ravel(), 4)).all() for values in told(study).values()]
    assert all(missing)
    assert study.notes == ("1 of 6 cells are in no pair: not computed, or of a class of tokens that no pair has",)


def test_no_cell_that_any_pair_has_is_said(tmp_path):
    pairs = made(7, header=CLASSES)
    pairs.patched[:] = np.nan
    study = pairs.study(tmp_path, **FAST)
    assert all(np.isnan(values).all() for values in told(study).values())
    assert "6 of 6 cells are in no pair" in repr(study)


def test_many_queries_are_resampled_in_groups_and_said(tmp_path, monkeypatch):
    pairs = made(8, pairs=120, queries=100)
    alone = pairs.study(tmp_path, **FAST)
    monkeypatch.setattr("mechviz.studies.statistics.most_units", lambda cells: 50)
    grouped = Study.load(tmp_path, **FAST)
    np.testing.assert_allclose(grouped.effects, alone.effects)
    assert "100 queries are resampled as 50 groups of queries" in grouped.notes[0]
    width = [float((one.interval["high"] - one.interval["low"]).mean()) for one in (grouped, alone)]
    assert width[0] == pytest.approx(width[1], rel=0.3)


# -- which pairs ------------------------------------------------------------------------------------------------------


def test_pairs_that_are_not_used_are_counted_by_reason(tmp_path):
    pairs = made(9)
    pairs.change[:3] = [0, 5e-6, -5e-6]
    pairs.base[3], pairs.change[3] = 1000, 5e-3
    pairs.columns["reason"] = [""] * 36 + ["too long", "too long", "same ids", ""]
    patched = [row["patched"] for row in pairs.rows()]
    pairs.columns["patched"] = [*patched[:36], None, None, None, None]
    pairs.columns["base_score"] = [*pairs.base[:35], float("inf"), *pairs.base[36:]]
    study = pairs.study(tmp_path, **FAST)
    assert study.dropped == {NO_CHANGE: 4, "too long": 2, "same ids": 1, NO_SCORES: 1, NOT_FINITE: 1}
    assert (study.n_used, study.n_dropped) == (31, 9)
    assert study.effects.values.ravel()[0] == pytest.approx(headline(pairs, 0, range(4, 35)))
    assert "9 dropped (4: no change of the score)" in repr(study)
    frame = study.to_dataframe()
    assert (frame["reason"] == "").sum() == 31
    assert frame["reason"][37] == "too long"


@given(st.lists(st.text(min_size=1), min_size=1, max_size=5), st.integers(1, 10**6))
def test_reasons_that_differ_in_the_text_alone_are_one(texts, length):
    reasons = [
        f"doc {text!r} is too long: {length + at} tokens, at most 512 (the ranker's limit)" for at, text in enumerate(texts)
    ]
    found = counted([*reasons, "something else"])
    assert sorted(found.values()) == sorted([len(texts), 1])
    said = next(reason for reason in found if "limit" in reason)
    assert said.endswith("at most 512 (the ranker's limit)")
    if len(texts) == 1:
        assert said == reasons[0]


def test_where_narrows(tmp_path):
    pairs = made(10)
    pairs.columns["grade"] = [None, *np.arange(39) % 4]
    pairs.columns["rank"] = [None if i == 5 else 3 * i + 1 for i in range(40)]
    study = pairs.study(tmp_path, **FAST)

    def rows(narrow):
        return narrow.to_dataframe()["number"].tolist()

    grades = pairs.columns["grade"]
    assert rows(study.where(grade=2)) == [i for i in range(40) if grades[i] == 2]
    assert rows(study.where(grade=[1, None])) == [i for i in range(40) if grades[i] in (1, None)]
    assert rows(study.where(grade="unknown")) == [0]
    assert rows(study.where(rank="1-10")) == rows(study.where(rank=range(1, 11))) == [0, 1, 2, 3]
    assert rows(study.where(query_id="q3", grade=np.array([0, 1]))) == [
        i for i in range(40) if pairs.query[i] == 3 and grades[i] in (0, 1)
    ]
    narrow = study.where(grade=[2, 3]).where(rank=range(20, 100))
    chosen = [i for i in range(40) if grades[i] in (2, 3) and 20 <= (3 * i + 1) < 100]
    assert narrow.effects.values.ravel()[2] == pytest.approx(headline(pairs, 2, chosen))
    assert narrow.name == "TFC1 on tiny (grade=[2, 3], rank=range(20, 100))"
    assert study.n_used == 40, "the study itself stays as it was"
    with pytest.raises(InputError, match=r"grade=7: no pair has that; there are None, 0, 1, 2, 3"):
        study.where(grade=7)
    with pytest.raises(InputError, match="'color' is no column of a study; there are number, query_id"):
        study.where(color=1)
    with pytest.raises(InputError, match="no pair has grade=3, number=0"):
        study.where(grade=3, number=0)


def test_min_change_drops_pairs_and_counts_them(tmp_path):
    pairs = made(11)
    study = pairs.study(tmp_path, **FAST)
    narrow = study.where(min_change=0.3)
    kept = [i for i in range(40) if abs(pairs.change[i]) > 0.3]
    assert narrow.n_used == len(kept) < 40
    assert narrow.dropped == {"the score changes by 0.3 or less": 40 - len(kept)}
    assert narrow.effects.values.ravel()[4] == pytest.approx(headline(pairs, 4, kept))
    assert Study.load(tmp_path, min_change=0.3).n_used == len(kept)
    none = study.where(min_change=1e6)
    assert (none.n_used, none.n_queries, none.n_dropped) == (0, 0, 40)
    assert "no pair can be used" in repr(none)
    for name in (*VARIABLES, "interval"):
        with pytest.raises(MechvizError, match=r"no pair can be used.*40 the score changes by 1e\+06 or less"):
            getattr(none, name)
    summary = none.summary()
    assert (summary.n_used, summary.n_dropped, summary.covariates) == (0, 40, None)
    assert np.isnan(summary.cells["effect"]).all()
    assert "no pair can be used" in summary.provenance["notes"]


def test_groups_are_studies_of_their_pairs(tmp_path):
    pairs = made(12)
    pairs.columns["grade"] = [None, *np.arange(39) % 3]
    pairs.columns["rank"] = list(np.arange(40) * 5 + 1)
    pairs.change[39] = 0
    study = pairs.study(tmp_path, **FAST)
    by = study.by("grade")
    assert by["effect"].dims == ("grade", "layer", "head")
    assert by["grade"].values.tolist() == ["0", "1", "2", "unknown"]
    for name, grade in (("0", 0), ("1", 1), ("2", 2), ("unknown", None)):
        rows = [i for i in range(39) if pairs.columns["grade"][i] == grade]
        assert by["n"].sel(grade=name) == len(rows)
        assert by["effect"].sel(grade=name).values.ravel()[3] == pytest.approx(headline(pairs, 3, rows))
        assert by["n_queries"].sel(grade=name) == len(set(pairs.query[rows]))
    np.testing.assert_allclose(by["low"].sel(grade="1"), study.where(grade=1).interval["low"])
    assert np.isnan(by["low"].sel(grade="unknown")).all(), "one query"
    ranks = study.by("rank")
    assert ranks["rank"].values.tolist() == ["1-10", "11-50", "51-100", "101-1000"]
    assert ranks["n"].values.tolist() == [2, 8, 10, 19]
    halves = study.by("change", bins=2)
    assert halves["n"].values.sum() == 39
    assert abs(int(halves["n"][0]) - int(halves["n"][1])) <= 1
    edges = study.by("length", bins=[0, 5, 100])
    assert edges["n"].values.tolist() == [39]
    with pytest.raises(InputError, match=r"bins=2: query_id holds no numbers"):
        study.by("query_id", bins=2)
    with pytest.raises(InputError, match="'text' is no column"):
        study.by("text")


def test_too_many_groups_are_refused(tmp_path):
    study = made(13, pairs=60).study(tmp_path, **FAST)
    with pytest.raises(InputError, match=r"by\('doc_id'\): it has 60 values, at most 50 make groups"):
        study.by("doc_id")


# -- the pairs themselves ---------------------------------------------------------------------------------------------


def test_the_table_has_a_row_a_pair_in_order(tmp_path):
    pairs = made(14)
    study = pairs.study(tmp_path, 7, np.arange(40)[::-1], **FAST)
    frame = study.to_dataframe()
    assert frame["number"].tolist() == list(range(40))
    assert frame["doc"].tolist() == [f"document {i} says this" for i in range(40)]
    np.testing.assert_allclose(frame["change"], pairs.change)
    some = study.to_dataframe(limit=11)
    assert len(some) == 11
    pd.testing.assert_frame_equal(some, study.to_dataframe(limit=11))
    pd.testing.assert_frame_equal(some, frame[frame["number"].isin(some["number"])].reset_index(drop=True), check_dtype=False)
    with pytest.raises(InputError, match="limit=0"):
        study.to_dataframe(limit=0)


def test_a_pair_comes_back_as_it_was(tmp_path):
    given_pair = TextPair("what is lava", "Hot rock", "Hot rock lava", "doc", "7", "D1", 2, 13, 4.5, "TFC1", 1)
    bare = TextPair("what is lava", "Hot rock", reason="too long")
    pairs = made(15, pairs=2, queries=1)
    for name in TextPair.__dataclass_fields__:
        pairs.columns[name] = [getattr(given_pair, name), getattr(bare, name)]
    study = pairs.study(tmp_path, **FAST)
    assert study.pair(0) == given_pair
    assert study.pair(1) == bare
    with pytest.raises(InputError, match="number=2; this study has 2 pairs from 0 to 1"):
        study.pair(2)
    with pytest.raises(InputError, match="number=1; this study has 1 pairs from 0 to 0"):
        study.where(grade=2).pair(1)


def test_the_summary_is_the_study_as_plain_data(tmp_path):
    pairs = made(16)
    pairs.columns["grade"] = list(np.arange(40) % 2)
    study = pairs.study(tmp_path, **FAST)
    summary = study.summary(limit=10)
    assert isinstance(summary, StudySummary)
    for name, values in told(study).items():
        np.testing.assert_array_equal(summary.cells["effect" if name == "effects" else name], values)
    assert (summary.n_used, summary.n_queries, len(summary.pairs)) == (40, 12, 10)
    assert list(summary.groups) == ["grade"], "nobody knows ranks"
    assert summary.covariates["covariate"].tolist() == ["idf", "tf", "tf_idf", "length", "grade", "change"]
    assert summary.provenance["weights_sha256"] == HEADER.weights_sha256
    assert all(isinstance(value, str) for value in summary.provenance.values())


def test_show_gives_the_view_its_opener_where_there_is_a_ranker(tmp_path, monkeypatch):
    seen = {}
    monkeypatch.setattr(views, "StudyView", lambda summary, **more: seen.update(more, summary=summary), raising=False)
    made(17).study(tmp_path, **FAST).show(theme="dark", limit=5)
    assert (seen["theme"], len(seen["summary"].pairs), seen["opener"]) == ("dark", 5, None)


# -- with its ranker --------------------------------------------------------------------------------------------------

QUERY, DOC = "hot springs near a volcano", "Springs, warmed by a hot rock, rise near the moon."


def of_ranker(ranker, tmp_path, side="doc", **settings_):
    """A study of two pairs, as a run writes it."""
    other = "Springs rise volcano" if side == "doc" else "hot moon"
    perturb = other if side == "doc" else mv.perturb.on_query(lambda _: other)
    result = mv.patch(ranker, QUERY, DOC, perturb, **settings_)
    header = Header(
        grid="heads",
        dims=tuple(result.patched.sizes.items()),
        stack=result.stack,
        direction=result.pair.direction,
        filler=result.pair.filler,
        ranker=ranker.name,
        weights_sha256=ranker.weight_hash(),
        settings=json.loads(json.dumps(settings_)),
    )
    pairs = Made(
        np.repeat(result.patched.values.reshape(1, -1), 2, axis=0),
        np.full(2, result.pair.base_score),
        np.full(2, result.pair.change),
        np.arange(2),
        header,
        {"query": [QUERY] * 2, "doc": [DOC] * 2, "perturbed": [other, None], "side": [side] * 2, "reason": ["", "too long"]},
    )
    return pairs.write(tmp_path), result


@pytest.mark.parametrize("side", ["doc", "query"])
def test_a_pair_opens_with_the_settings_of_the_study(cat, tmp_path, side):
    chosen = {"filler": "rock", "direction": "original->perturbed", "layers": [0, 2]}
    folder, result = of_ranker(cat, tmp_path, side, **chosen)
    study = Study.load(folder, ranker=cat, metric="raw")
    view = study.open(0)
    assert isinstance(view, views.PatchingView)
    np.testing.assert_allclose(view.result.patched, result.patched, atol=1e-5)
    assert view.result.metric == "raw"
    assert view.result.pair.filler == "rock"
    assert view.result.pair.direction == "original->perturbed"
    np.testing.assert_allclose(study.where(side=side).effects, study.raw)
    with pytest.raises(InputError, match=r"pair 1 has no perturbed text \(too long\)"):
        study.open(1)


def test_a_study_opens_pairs_with_its_own_ranker_only(cat, dot, tmp_path):
    folder, _ = of_ranker(cat, tmp_path)
    with pytest.raises(MechvizError, match=r"opened without its ranker; Study.load\(path, ranker=...\)"):
        Study.load(folder).open(0)
    with pytest.raises(InputError, match=f"weights_sha256 {cat.weight_hash()}; .* has {dot.weight_hash()}"):
        Study.load(folder, ranker=dot)
    with pytest.raises(InputTypeError):
        Study.load(folder, ranker="toy/dot")


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ({"metric": "rank"}, "metric='rank'; a study has 'effect', 'raw', 'robust'"),
        ({"confidence": 95}, "confidence=95"),
        ({"draws": 10}, "draws=10"),
        ({"seed": -1}, "seed=-1"),
        ({"min_change": float("nan")}, "min_change=nan"),
        ({"min_change": -1}, "min_change=-1"),
        ({"metrics": "raw"}, "an analysis has no metrics; there are metric, confidence"),
    ],
)
def test_choices_that_cannot_be_are_refused(tmp_path, choice, said):
    made(24, pairs=13).write(tmp_path)
    with pytest.raises(InputError, match=said):
        Study.load(tmp_path, **choice)
