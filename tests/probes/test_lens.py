"""The score lens against plain `transformers`' hidden states; the tuned lens against its own promises."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GroupKFold
from transformers import AutoTokenizer, BertForSequenceClassification, BertModel

from mechviz.errors import InputError, InputTypeError, MechvizError
from mechviz.probes.lens import PENALTIES, TunedLens, _affine, score_lens, tuned_lens
from mechviz.probes.reading import read
from tests.cases import CASES
from tests.noise import DOC, QUERY
from tests.texts import docs, judged_pairs


def plain_states(model, tokens):
    with torch.no_grad():
        return model(**tokens, output_hidden_states=True).hidden_states


def test_a_cross_encoder_is_read_by_its_pooler_and_classifier(opened, checkpoint):
    folder = checkpoint(CASES["Cat bert"])
    model = BertForSequenceClassification.from_pretrained(folder, attn_implementation="eager").eval()
    tokens = AutoTokenizer.from_pretrained(folder)(QUERY, DOC, return_tensors="pt")
    with torch.no_grad():
        expected = [float(model.classifier(model.bert.pooler(state))[0, 0]) for state in plain_states(model, tokens)]
    found = score_lens(opened(CASES["Cat bert"]), QUERY, DOC)
    assert found.scores.dims == ("pair", "layer")
    assert found.scores.values[0] == pytest.approx(expected, abs=1e-5)


def test_a_bi_encoder_is_read_by_its_pooling_and_the_whole_query(dot, dot_folder):
    model = BertModel.from_pretrained(dot_folder, attn_implementation="eager").eval()
    tokenizer = AutoTokenizer.from_pretrained(dot_folder)

    def vectors(text):
        states = plain_states(model, tokenizer(text, return_tensors="pt"))
        return [torch.nn.functional.normalize(state[0].mean(0), dim=0) for state in states]

    expected = [float(vectors(QUERY)[-1] @ vector) for vector in vectors(DOC)]
    assert score_lens(dot, [(QUERY, DOC)]).scores.values[0] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", ["MonoT5 t5 (", "Generative gpt2", "Cat modernbert", "Splade bert", "ColBERT bert"])
def test_the_last_layer_is_the_score(opened, name):
    ranker = opened(next(case for key, case in CASES.items() if key.startswith(name)))
    pairs = judged_pairs()[:3]
    scores = ranker.score(*map(list, zip(*pairs, strict=True)))
    for stack in ranker.stacks:
        found = score_lens(ranker, pairs, stack=stack).scores
        assert found.sizes["layer"] == ranker.stack(stack).n_layers + 1
        assert found.values[:, -1] == pytest.approx(scores, rel=1e-5, abs=1e-5)
        assert np.abs(found.values[:, 0] - scores).max() > 1e-3


@pytest.fixture(scope="module")
def lens(dot):
    return tuned_lens(dot, list(docs().values())[:40])


def test_a_tuned_lens_foretells_the_last_layer_better(lens, dot):
    error = lens.error
    assert (error.sel(way="tuned")[:-1] < error.sel(way="plain")[:-1]).all()
    assert error.values[:, -1].tolist() == [0, 0]
    plain, tuned = (getattr(score_lens(dot, [(QUERY, DOC)], tuned=lens), name).values[0] for name in ("scores", "tuned"))
    assert tuned[-1] == plain[-1]
    assert (np.abs(tuned - tuned[-1])[:-1] < np.abs(plain - plain[-1])[:-1]).all()


def test_its_error_is_that_of_the_texts_held_out(lens, dot):
    """Measured again, on the texts that this seed holds out, with a loop and numpy."""
    texts = list(docs().values())[:40]
    hooks = ["blocks.0.hook_resid_pre", *(f"blocks.{layer}.hook_resid_post" for layer in range(3))]
    found = {one.number: one for one in read(dot, texts, hooks)}
    rng = np.random.default_rng(0)
    states = []
    for number in range(len(texts)):
        arrays = [found[number].arrays[hook] for hook in hooks]
        rows = np.arange(len(arrays[0]))
        if len(rows) > 16:
            rows = np.sort(rng.choice(rows, 16, replace=False))
        states.append(np.stack([array[rows] for array in arrays]))
    held = np.concatenate([states[number] for number in rng.permutation(len(texts))[: round(0.2 * len(texts))]], axis=1)
    last = held[-1]
    for layer in range(3):
        missed = last - (held[layer] @ lens.weights[layer] + lens.biases[layer])
        expected = np.square(missed).sum() / np.square(last - last.mean(axis=0)).sum()
        assert float(lens.error.sel(way="tuned", layer=layer)) == pytest.approx(expected, rel=1e-3)


def test_the_map_is_sklearns_ridge_of_the_same_folds():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((60, 7)).astype(np.float32), rng.standard_normal((60, 7)).astype(np.float32)
    groups = np.repeat(np.arange(12), 5)
    weight, bias = _affine(x, y, groups)
    unit = x.var(axis=0).mean() * len(x)
    splits = list(GroupKFold(5).split(x, groups=groups))
    ridge = RidgeCV([unit * one for one in PENALTIES], cv=splits, scoring="neg_mean_squared_error").fit(x, y - x)
    assert weight == pytest.approx(ridge.coef_.T + np.eye(7), abs=1e-4)
    assert bias == pytest.approx(ridge.intercept_, abs=1e-4)


def test_a_heavy_penalty_would_leave_the_identity(monkeypatch, dot):
    monkeypatch.setattr("mechviz.probes.lens.PENALTIES", (1e12,))
    found = tuned_lens(dot, list(docs().values())[:12])
    assert found.weights == pytest.approx(np.broadcast_to(np.eye(32), (3, 32, 32)), abs=1e-6)


def test_the_same_seed_the_same_lens_and_another_another(lens, dot):
    texts = list(docs().values())[:40]
    assert (tuned_lens(dot, texts, batch_size=32).weights == lens.weights).all()
    assert (tuned_lens(dot, texts, seed=1).weights != lens.weights).any()


def test_saved_and_loaded(lens, dot, tmp_path):
    lens.save(tmp_path / "lens.safetensors")
    again = TunedLens.load(tmp_path / "lens.safetensors")
    assert (again.weights == lens.weights).all()
    assert (again.biases == lens.biases).all()
    assert again.provenance == lens.provenance
    assert again.error.equals(lens.error)
    assert score_lens(dot, QUERY, DOC, tuned=again).tuned is not None
    (tmp_path / "other.safetensors").write_bytes(b"no lens")
    for name in ("other.safetensors", "missing.safetensors"):
        with pytest.raises(MechvizError, match="no tuned lens"):
            TunedLens.load(tmp_path / name)


def test_a_cross_encoder_learns_at_its_one_position(cat):
    found = tuned_lens(cat, judged_pairs()[:20])
    assert found.weights.shape == (3, 32, 32)
    assert len(score_lens(cat, judged_pairs()[:6], tuned=found).curves().curves) == 8  # four pairs, two curves each


def test_what_is_shown(lens, dot):
    found = score_lens(dot, judged_pairs()[:2], tuned=lens)
    assert list(found.to_dataframe().columns) == ["pair", "layer", "score", "tuned"]
    assert len(found.to_dataframe()) == 8
    assert set(found.show().curves.curves) == set(found.curves().curves)
    assert set(lens.show().curves.curves) == {"plain", "tuned"}
    assert "2 pairs" in repr(found)
    assert "held-out" in repr(lens)


def test_refusals(lens, dot, dot_cls, cat):
    with pytest.raises(InputError, match="needs its document"):
        score_lens(dot, QUERY)
    with pytest.raises(InputError, match="bring their own"):
        score_lens(dot, [(QUERY, DOC)], DOC)
    with pytest.raises(InputTypeError, match="pairs must be"):
        score_lens(dot, [QUERY])
    with pytest.raises(InputTypeError, match="tuned must be"):
        score_lens(dot, QUERY, DOC, tuned=np.eye(3))
    with pytest.raises(InputError, match="learned with other"):
        score_lens(cat, QUERY, DOC, tuned=lens)
    with pytest.raises(InputError, match="at least 5"):
        tuned_lens(dot, [DOC] * 4)
    with pytest.raises(InputError, match="held_out"):
        tuned_lens(dot, [DOC] * 9, held_out=1.0)
    with pytest.raises(InputError, match="positions"):
        tuned_lens(dot, [DOC] * 9, positions=0)
