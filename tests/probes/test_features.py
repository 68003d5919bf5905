import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoModelForSequenceClassification

from mechviz.errors import InputError, InputTypeError
from mechviz.probes import relations
from mechviz.probes.features import LEAST, Features, examples, hidden_hooks
from tests.cases import CASES
from tests.probes.detectors import SENTENCES, tiny

QUERY, DOC = "warm springs", "Hot springs, a spring of warm rock. Rocks!"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cat")


@pytest.fixture(scope="module")
def cat(folder):
    return tiny(folder)


@pytest.fixture(scope="module")
def plain(folder, cat):
    """What plain `transformers` says of the pair: attention (layer, head, pos, pos), v and hidden states."""
    model = AutoModelForSequenceClassification.from_pretrained(folder, attn_implementation="eager").eval()
    values = {}
    for number, layer in enumerate(model.bert.encoder.layer):
        layer.attention.self.value.register_forward_hook(lambda m, i, out, number=number: values.__setitem__(number, out[0]))
    encoded = cat.tokenizer(QUERY, DOC, return_tensors="pt")
    with torch.no_grad():
        out = model(**encoded, output_attentions=True, output_hidden_states=True)
    return model, torch.stack(out.attentions)[:, 0].numpy(), values, [state[0].numpy() for state in out.hidden_states]


def one(ranker, features, relation=None, text=(QUERY, DOC), hidden=()):
    (found,) = examples(ranker, relation or relations.same_token(where="inside"), [text], features, hidden)
    return found


def test_features_are_the_attentions_of_plain_transformers_both_ways(cat, plain):
    attention = plain[1]
    found = one(cat, Features(scale="none"))
    rows, columns = found.pairs()
    assert len(rows) > 50
    got = found.of(rows, columns).reshape(len(rows), *attention.shape[:2], 2)
    i, j = found.units.first[rows], found.units.first[columns]
    np.testing.assert_allclose(got[..., 0], attention[:, :, i, j].transpose(2, 0, 1), atol=1e-6)
    np.testing.assert_allclose(got[..., 1], attention[:, :, j, i].transpose(2, 0, 1), atol=1e-6)
    np.testing.assert_allclose(one(cat, Features()).of(rows, columns), np.log(got.reshape(len(rows), -1) + LEAST), atol=1e-3)
    length = len(found.units.tokens)
    np.testing.assert_allclose(
        one(cat, Features(scale="length")).of(rows, columns), got.reshape(len(rows), -1) * length, atol=1e-5
    )


def test_norm_weighting_is_the_length_of_what_each_head_adds(cat, plain):
    model, attention, values, _ = plain
    found = one(cat, Features(norm_weighted=True, scale="none"))
    heads = attention.shape[1]
    for layer, block in enumerate(model.bert.encoder.layer):
        weight = block.attention.output.dense.weight.detach()  # dims (d_model, head * d_head)
        for head in range(heads):
            size = weight.shape[1] // heads
            own = slice(head * size, (head + 1) * size)
            norms = (values[layer][:, own] @ weight[:, own].T).norm(dim=-1).numpy()
            expected = (attention[layer, head] * norms)[np.ix_(found.units.first, found.units.first)]
            np.testing.assert_allclose(found.attention[layer, head], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("offset", [-2, -1, 1, 3, 500])
def test_an_offset_moves_what_is_attended_to_or_from_where(cat, plain, offset):
    attention = plain[1]
    found = one(cat, Features(offset=offset, scale="none"))
    length, at = attention.shape[-1], found.units.first
    for i, first in enumerate(at):
        for j, second in enumerate(at):
            a, b = (first, second + offset) if offset > 0 else (first + offset, second)
            there = a >= 0 and b < length
            expected = attention[:, :, a, b] if there else np.zeros(attention.shape[:2])
            np.testing.assert_allclose(found.attention[:, :, i, j], expected, atol=1e-6)


def test_words_are_attended_to_by_the_sum_and_attend_by_the_mean_of_their_pieces(cat, plain):
    attention = plain[1]
    found = one(cat, Features(merge_words=True, scale="none"))
    assert max(map(len, found.units.pieces)) > 1
    for i, of in enumerate(found.units.pieces):
        for j, to in enumerate(found.units.pieces):
            expected = attention[:, :, of][:, :, :, to].sum(axis=-1).mean(axis=-1)
            np.testing.assert_allclose(found.attention[:, :, i, j], expected, atol=1e-5)


def test_a_share_is_of_all_that_is_asked_about(cat):
    relation = relations.same_token(where="across")
    shared = one(cat, Features(scale="share"), relation)
    attention = one(cat, Features(scale="none"), relation).attention + LEAST
    rows, columns = shared.pairs()
    of = np.exp(shared.of(rows, columns))
    for row in np.unique(rows):
        np.testing.assert_allclose(of[rows == row].sum(axis=0), 1, rtol=1e-4)
    row, column = rows[3], columns[3]
    asked = np.flatnonzero(shared.allowed[row])
    to = attention[0, 1, row, column] / attention[0, 1, row, asked].sum()
    back = attention[0, 1, column, row] / attention[0, 1, asked, row].sum()
    np.testing.assert_allclose(of[3].reshape(2, 4, 2)[0, 1], [to, back], rtol=1e-3)


@pytest.mark.parametrize("scale", ["log", "share"])
def test_context_is_the_mean_along_the_diagonal(cat, scale):
    relation = relations.same_token(where="across")
    alone, around = one(cat, Features(scale=scale), relation), one(cat, Features(scale=scale, context=1), relation)
    rows, columns = alone.pairs()
    got = around.of(rows, columns)
    asked = alone.allowed.any(axis=1)
    for number, (i, j) in enumerate(zip(rows, columns, strict=True)):
        inside = [(i + k, j + k) for k in (-1, 0, 1) if i + k >= 0 and j + k < len(alone.units)]
        inside = [(a, b) for a, b in inside if scale == "log" or asked[a]]
        expected = np.mean([alone.of(np.array([a]), np.array([b]))[0] for a, b in inside], axis=0)
        np.testing.assert_allclose(got[number], expected, rtol=1e-4, atol=1e-5)


def test_cosines_are_of_hidden_states(cat, plain):
    hidden = hidden_hooks(cat.stack(cat.stack_of("doc")))
    found = one(cat, Features(), hidden=hidden)
    for name, states in zip(hidden, plain[3], strict=True):
        own = torch.tensor(states[found.units.first])
        expected = torch.nn.functional.cosine_similarity(own[:, None], own[None, :], dim=-1)
        np.testing.assert_allclose(found.hidden[name], expected, atol=1e-5)


def test_padding_changes_nothing(cat):
    texts = [(QUERY, DOC), ("rock", " ".join([DOC] * 3)), ("lava", "Rain.")]
    relation = relations.same_token(where="inside")
    together = {found.number: found for found in examples(cat, relation, texts, Features(scale="none"))}
    for number, text in enumerate(texts):
        np.testing.assert_allclose(together[number].attention, one(cat, Features(scale="none"), text=text).attention, atol=1e-5)


def test_a_bi_encoder_is_read_inside_one_text(tmp_path):
    ranker = tiny(tmp_path, "Dot")
    model = AutoModel.from_pretrained(tmp_path, attn_implementation="eager").eval()
    found = one(ranker, Features(scale="none"), relations.aligned_copy(), SENTENCES[0])
    text = relations.aligned_copy().make(SENTENCES[0], False).text
    with torch.no_grad():
        attention = torch.stack(model(**ranker.tokenizer(text, return_tensors="pt"), output_attentions=True).attentions)[:, 0]
    at = found.units.first
    np.testing.assert_allclose(found.attention, attention.numpy()[:, :, at][:, :, :, at], atol=1e-6)


@pytest.mark.parametrize("name", ["MonoT5 t5", "Cat deberta-v2", "Generative qwen2", "ColBERT bert stanford", "Splade bert"])
def test_every_kind_of_ranker_has_features(name, tmp_path):
    case = next(case for known, case in CASES.items() if known.startswith(name))
    ranker = case.open(case.save(tmp_path))
    found = one(ranker, Features(norm_weighted=True), relations.same_token(), ("warm rock", "rock is warm"))
    rows, columns = found.pairs()
    part = ranker.stack(ranker.stack_of("doc"))
    assert found.of(rows, columns).shape == (len(rows), 2 * part.n_layers * part.n_heads)
    assert found.truth.any() == (ranker.stack_of("query") == ranker.stack_of("doc"))  # else rock and warm are there once each
    assert found.of(rows, columns).std() > 0


def test_settings_that_cannot_be_are_refused(cat):
    for bad, error in (
        ({"norm_weighted": 1}, InputTypeError),
        ({"merge_words": "yes"}, InputTypeError),
        ({"offset": 0.5}, InputTypeError),
        ({"scale": "sqrt"}, InputError),
        ({"context": -1}, InputError),
    ):
        with pytest.raises(error, match=next(iter(bad))):
            Features(**bad)
    with pytest.raises(InputError, match="none of the 1 texts can carry"):
        list(examples(cat, relations.aligned_copy(), ["One sentence."], Features()))
    with pytest.raises(InputTypeError, match="list of strings"):
        list(examples(cat, relations.same_token(), "text", Features()))
