"""Positions of every kind, against hooks of one's own at the numbers that they stand for."""

import numpy as np
import pytest
import torch

import mechviz as mv
from mechviz.errors import InputError, InputTypeError
from mechviz.interventions import Intervention, Plan
from mechviz.interventions.positions import as_where
from mechviz.text.classes import TOKEN_CLASSES
from tests.interventions.hand import DOCS, PAIRS, QUERY, put, runs

HOOK = "blocks.1.hook_resid_post"


def swapped(hand, cat, pair, rows):
    base, source = runs(cat, pair)
    taken = hand.at(source, "hook_resid_post", 1)
    return hand.score(base, [("hook_resid_post", 1, put(rows, slice(None), lambda x: taken))])


def numbers(cat, pair, where):
    """What a name stands for, from the pair's own classes and labels."""
    made = mv.make_pair(cat, *pair)
    size = len(made.base)
    if where == "doc":
        return [at for at, one in enumerate(made.base.segments) if one == "doc"]
    if isinstance(where, str):
        return [at for at, one in enumerate(made.classes()) if one == where]
    if isinstance(where, slice):
        return list(range(size)[where])
    if isinstance(where, tuple):
        return list(range(size)[where[0] : where[1]])
    if isinstance(where, list):
        return sorted({at for one in where for at in numbers(cat, pair, one)})
    return [where % size]


@pytest.mark.parametrize(
    "where",
    ["cls", "sep", "injected", "query", "query_term", "other", "doc", 0, 5, -1, -3, slice(2, 6), slice(None, 4), (3, 200),
     ["cls", "injected"], ["sep", 2, (4, 7), -1], range(2, 5), np.array([1, 3])],
    ids=str,
)  # fmt: skip
def test_positions_are_these_numbers(hand, cat, where):
    rows = [numbers(cat, pair, list(where) if isinstance(where, (range, np.ndarray)) else where) for pair in PAIRS]
    found = Plan(Intervention(HOOK, positions=where)).run(cat, PAIRS)
    wanted = [swapped(hand, cat, pair, own) for pair, own in zip(PAIRS, rows, strict=True)]
    np.testing.assert_allclose(found.patched, wanted, atol=2e-5)


def test_terms_of_the_query_are_words_of_the_document(cat):
    pair = mv.make_pair(cat, *PAIRS[0])
    plan = Plan(Intervention(HOOK, "collect", positions="query_terms"))
    (laid,), _ = plan.lay(cat, PAIRS[0])
    where = as_where("positions", "query_terms")
    found = [pair.base.labels[at].lower() for at in where.of(0, laid.tokens(), laid.classes(), laid.query)]
    assert found[:2] == ["hot", "spring"]
    assert set(found) <= {"hot", "spring", "s", "are", "warm"}
    assert all(pair.base.segments[at] == "doc" for at in where.of(0, laid.tokens(), laid.classes(), laid.query))


@pytest.mark.parametrize("kind", [np.array, torch.tensor])
def test_one_row_of_numbers_a_pair(hand, cat, kind):
    rows = [[1, 4, 2], [3, -1, -1], [-1, -1, -1], [0, -1, 5]]
    found = Plan(Intervention(HOOK, positions=kind(rows))).run(cat, PAIRS, batch_size=3)
    wanted = [swapped(hand, cat, pair, [at for at in own if at >= 0]) for pair, own in zip(PAIRS, rows, strict=True)]
    np.testing.assert_allclose(found.patched, wanted, atol=2e-5)
    assert float(found.raw[2]) == pytest.approx(0, abs=1e-6)


def test_collected_rows_keep_their_order(cat):
    _, cache = cat.run_with_cache(*PAIRS[0][:2])
    found = Plan(Intervention(HOOK, "collect", positions=np.array([[4, 1]]))).run(cat, PAIRS[0][:2]).collected[HOOK]
    np.testing.assert_allclose(found.values[0], cache[HOOK][0, [4, 1]], atol=1e-5)


def test_positions_of_the_source_are_others(hand, cat):
    base, source = runs(cat, PAIRS[0])
    taken = hand.at(source, "hook_resid_post", 1)[[6, 2]]

    def change(x):
        x = x.clone()
        x[[1, 3]] = taken
        return x

    plan = Plan(Intervention(HOOK, positions=np.array([[1, 3]]), source_positions=np.array([[6, 2]])))
    wanted = hand.score(base, [("hook_resid_post", 1, change)])
    assert float(plan.run(cat, PAIRS[0]).patched[0]) == pytest.approx(wanted, abs=2e-5)


def test_each_text_has_its_own_place_where_texts_are_not_aligned(hand, cat):
    """CLS and the last separator of texts of different lengths."""
    texts = (DOCS[0], "Bread and tea.")
    base, source = (cat.tokenize(QUERY, doc)[cat.stacks[0]] for doc in texts)
    taken = hand.at(source, "hook_resid_post", 1)

    def change(x):
        x = x.clone()
        x[[0, -1]] = taken[[0, -1]]
        return x

    found = Plan(Intervention(HOOK, positions=[0, -1]), aligned=False).run(cat, (QUERY, *texts))
    wanted = hand.score(base, [("hook_resid_post", 1, change)])
    assert float(found.patched[0]) == pytest.approx(wanted, abs=2e-5)


def test_names_of_aligned_texts_mean_one_place(cat):
    """A part of a word that stays while the word changes has one name in both runs."""
    plan = Plan([Intervention(HOOK, positions=name) for name in (*TOKEN_CLASSES, "doc")])
    found = plan.run(cat, [*PAIRS, (QUERY, "spring hots", "springed ho")])
    np.testing.assert_allclose(
        found.patched, Plan(Intervention(HOOK)).run(cat, [*PAIRS, (QUERY, "spring hots", "springed ho")]).patched, atol=2e-5
    )


def test_classes_of_texts_that_are_not_aligned(cat):
    (laid,), _ = Plan(Intervention(HOOK, positions="injected"), aligned=False).lay(
        cat, (QUERY, "water and bread", "moon water and")
    )
    base, source = ([one for one in laid.classes(run) if one != "query"] for run in (-1, 0))
    assert source == ["cls", "sep", "injected", "other", "other", "sep"]
    assert base == ["cls", "sep", "other", "other", "injected", "sep"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("clss", "positions='clss'; names are"),
        ([], r"positions=\[\]"),
        (1.5, "positions hold names"),
        (True, "positions hold names"),
        ((5, 2), "start below end"),
        ((-3, 2), "start below end"),
        (slice(0, 8, 2), "has a step"),
        (slice(2, None), "start below end"),
        (np.ones((2, 2)), "positions must have dims"),
        (np.array([[0, -2]]), "the least is -1"),
        (np.array([[2**63]], dtype=np.uint64), "positions hold"),
        ({"rows": [[1], [1, 2]]}, "positions"),
        ({"rows": "x"}, "positions must have dims"),
        ([["a", 1]], "span"),
    ],
)
def test_positions_that_cannot_be_are_refused(given, words):
    with pytest.raises((InputError, InputTypeError), match=words):
        Intervention(HOOK, positions=given)


@pytest.mark.parametrize(
    ("positions", "words"),
    [
        (99, "position 99 does not exist; the text has"),
        (-99, "position -99"),
        (np.array([[99], [1]]), r"positions \[99\] of pair 0"),
        (np.array([[1]]), "positions are given for 1 pairs"),
    ],
)
def test_positions_that_a_text_does_not_have_are_refused(cat, positions, words):
    with pytest.raises(InputError, match=words):
        Plan(Intervention(HOOK, positions=positions)).run(cat, PAIRS[:2])
    assert not cat.hooked.active()


def test_base_and_source_need_as_many(cat):
    with pytest.raises(InputError, match="different numbers of such positions"):
        Plan(Intervention(HOOK, positions="doc"), aligned=False).run(cat, PAIRS[0])
    with pytest.raises(InputError, match="different numbers of such positions"):
        Plan(Intervention(HOOK, positions=[1, 2], source_positions=3)).run(cat, PAIRS[0])
    with pytest.raises(InputError, match="everywhere does not mean the same place"):
        Plan(Intervention(HOOK), aligned=False).run(cat, PAIRS[0])


def test_a_decoder_has_no_names(opened):
    from tests.cases import CASES

    ranker = opened(CASES["MonoT5 t5 ('true', 'false')"])
    with pytest.raises(InputError, match="reads no text of its own"):
        Plan(Intervention("decoder_blocks.0.hook_resid_post", positions="doc")).run(ranker, PAIRS[0])
    with pytest.raises(InputError, match="position 1 does not exist"):
        Plan(Intervention("decoder_blocks.0.hook_resid_post", positions=1)).run(ranker, PAIRS[0])
