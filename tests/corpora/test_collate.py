import pickle

import numpy as np
import pytest
from torch.utils.data import DataLoader

import mechviz as mv
from mechviz.corpora import Batch, collate
from mechviz.errors import InputError, InputTypeError
from mechviz.text.perturb import append, on_query, replace
from tests import texts

CHANGES = [append("volcano"), on_query(append("volcano"))]


def pairs():
    return mv.Pairs(texts.judged_pairs()[:7], "seven")


@pytest.mark.parametrize("change", CHANGES, ids=repr)
def test_the_scores_of_batches_are_those_of_the_texts(ranker, change):
    perturbed = pairs().perturb(change)
    batches = list(DataLoader(perturbed.torch(), batch_size=3, collate_fn=collate(ranker)))
    assert [len(batch) for batch in batches] == [3, 3, 1]
    found = [np.concatenate([ranker.score_all(getattr(batch, name)) for batch in batches]) for name in ("original", "perturbed")]
    queries, docs = zip(*texts.judged_pairs()[:7], strict=True)
    changed = [f"{text} volcano" for text in (docs if change.side == "doc" else queries)]
    np.testing.assert_allclose(found[0], ranker.score(queries, docs), rtol=1e-5, atol=1e-5)
    expected = ranker.score(queries, changed) if change.side == "doc" else ranker.score(changed, docs)
    np.testing.assert_allclose(found[1], expected, rtol=1e-5, atol=1e-5)
    assert np.abs(found[0] - found[1]).max() > 1e-3
    assert [pair for batch in batches for pair in batch.pairs] == list(perturbed)


def test_pairs_without_a_copy_are_left_out_and_kept_in_sight(dot):
    items = list(pairs().perturb(replace("caldera", "crater")))
    batch = collate(dot)(items)
    without = [pair for pair in items if pair.reason]
    assert 0 < len(without) < len(items)
    assert list(batch.left_out) == without
    assert len(batch) == len(batch.original) == len(batch.perturbed) == len(items) - len(without)


def test_pairs_that_are_not_perturbed(dot):
    batch = collate(dot)(list(pairs()))
    assert (len(batch.original), batch.perturbed) == (7, [])
    assert len(dot.score_all(collate(dot)([]).original)) == 0
    half = [*pairs().limit(2), *pairs().limit(1).perturb(append("x"))]
    with pytest.raises(InputError, match="1 of 3 pairs have a perturbed copy"):
        collate(dot)(half)


def test_texts_that_are_too_long(dot):
    long = [*mv.Pairs([("q", "hot water " * 200)])]
    with pytest.raises(InputError, match="truncate=True"):
        collate(dot)(long)
    (inputs,) = collate(dot, truncate=True)(long).original
    assert len(inputs["doc"]) == dot.max_length


def test_what_is_no_ranker():
    with pytest.raises(InputTypeError, match="takes a ranker"):
        collate("toy/dot")


def test_a_batch_can_be_sent_from_a_worker(dot):
    batch = collate(dot)(list(pairs().limit(2)))
    again = pickle.loads(pickle.dumps(batch))
    assert isinstance(again, Batch)
    np.testing.assert_array_equal(dot.score_all(again.original), dot.score_all(batch.original))
