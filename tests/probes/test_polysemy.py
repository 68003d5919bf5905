import numpy as np
import pytest
import torch

import mechviz as mv
from mechviz.errors import InputError, InputTypeError
from mechviz.probes.occurrences import bank_of, sampled
from mechviz.probes.polysemy import polysemy, polysemy_of
from tests.cases import CASES

MONEY = ["loan", "cash", "credit", "debt", "interest"]
RIVER = ["water", "shore", "boat", "fish", "stream"]


def sentences(n=24, seed=0):
    """Texts of two topics, of which one word is in both."""
    random = np.random.default_rng(seed)
    found = []
    for number in range(n):
        words = list(random.permutation(MONEY if number % 2 else RIVER)[:4])
        found.append(" ".join([*words[:2], "bank", *words[2:]]))
    return found


def planted(seed, per=30, topics=3, features=12, noise=0.25):
    """Vectors of words of three topics, and of one word that is half of the time of the first and half of the second."""
    random = np.random.default_rng(seed)
    centres = np.linalg.qr(random.standard_normal((features, topics)))[0].T
    types = [f"w{topic}{word}" for topic in range(topics) for word in range(8) for _ in range(per)] + ["planted"] * per
    at = [int(kind[1]) for kind in types[:-per]] + [number % 2 for number in range(per)]
    vectors = centres[at] + noise * random.standard_normal((len(types), features))
    return vectors, types, np.arange(len(types))


@pytest.mark.parametrize("seed", [0, 1])
def test_a_word_with_two_planted_senses_is_first_and_the_others_are_about_0(seed):
    table = polysemy_of(*planted(seed), k=20, components=0).set_index("word")
    own, others = table.loc["planted"], table.drop("planted")
    assert table["excess"].idxmax() == table["polysemy"].idxmax() == "planted"
    assert own["excess"] > 0.5
    assert own["low"] <= own["polysemy"] <= own["high"]
    assert others["excess"].abs().max() < 0.2
    assert abs(others["excess"].mean()) < 0.05
    assert own["senses"] == 2
    assert own["effective_senses"] == pytest.approx(2, abs=0.05)
    assert (others["senses"] == 1).mean() > 0.9
    assert own["self_similarity"] < others["self_similarity"].min()
    assert own["own_type_rate"] < others["own_type_rate"].mean()


@pytest.fixture(scope="module")
def dot(tmp_path_factory):
    case = CASES["Dot bert mean"]
    return case.open(case.save(tmp_path_factory.mktemp("dot")))


def test_the_table_of_word_embeddings_has_no_polysemy_at_all(dot):
    found = polysemy(dot, sentences(60), layer=[-1, 0], k=5, min_occurrences=10, components=1)
    table = found.to_dataframe()
    static, first = (table[table["layer"] == layer] for layer in (-1, 0))
    assert len(static) == len(first) >= 11
    for column in ("polysemy", "low", "high"):
        assert (static[column] == 0.0).all()
    assert (static["senses"] == 1).all()
    assert (first["polysemy"] > 0).all()
    np.testing.assert_allclose(static["null"], 0, atol=1e-12)


def test_the_ranker_s_numbers_are_those_of_its_vectors(dot):
    texts = sentences(40)
    found = polysemy(dot, texts, layer=1, k=6, min_occurrences=10, words=["Bank", "loan"])
    uses = sampled(texts, 50)
    bank = bank_of(dot, texts, uses, [1], "resid_post", 32)
    again = polysemy_of(
        bank.vectors[0],
        [use.word for use in bank.uses],
        [use.text for use in bank.uses],
        k=6,
        words=["bank", "loan"],
        min_occurrences=10,
    )
    columns = [name for name in again if name != "word"]
    np.testing.assert_allclose(found.table[columns].to_numpy(float), again[columns].to_numpy(float), atol=1e-4)
    assert found.table["word"].tolist() == ["bank", "loan"]


def test_a_use_is_the_mean_of_its_pieces_as_plain_transformers_have_them(dot):
    text = "the unbelievable bank; Bank"
    uses = sampled([text, text + " again"], 9, also=["the"])
    own = [use for use in uses if use.text == 0]
    assert [text[use.start : use.end] for use in own] == ["the", "unbelievable", "bank", "Bank"]
    bank = bank_of(dot, [text, text], own, [-1, 1], "resid_post", 4)
    encoded = dot.tokenizer(text, return_tensors="pt", return_offsets_mapping=True)
    offsets = encoded.pop("offset_mapping")[0].tolist()
    with torch.no_grad():
        hidden = dot.model(**encoded, output_hidden_states=True).hidden_states[2][0]
    table = dot.model.embeddings.word_embeddings.weight.detach()[encoded["input_ids"][0]]
    for at, use in enumerate(own):
        rows = [row for row, (start, end) in enumerate(offsets) if end > start and start >= use.start and end <= use.end]
        assert bank.pieces[at] == len(rows)
        np.testing.assert_allclose(bank.vectors[1, at], hidden[rows].mean(0), atol=1e-5)
        np.testing.assert_allclose(bank.vectors[0, at], table[rows].mean(0), atol=1e-6)
    assert bank.pieces.max() > 1


def test_uses_are_from_as_many_texts_as_can_be():
    texts = ["bank bank bank bank", "bank river", "a bank river", "the lone word", "the lone word"]
    uses = sampled(texts, 3)
    assert sorted(use.text for use in uses if use.word == "bank") == [0, 1, 2]
    assert {use.word for use in uses} == {"bank", "river"}


def test_uses_beyond_what_is_read_are_left_out(dot):
    long = ["bank " + "loan " * 200 + "boat", "bank loan boat"]
    uses = sampled(long, 500)
    bank = bank_of(dot, long, uses, [0], "resid_post", 2)
    assert sum(use.word == "boat" for use in bank.uses) == 1
    assert (bank.pieces > 0).all()


def test_curves_and_senses_are_of_the_table(dot):
    found = polysemy(dot, sentences(60), k=6, min_occurrences=10)
    curves = found.curves(["bank", "loan"])
    assert list(curves.curves) == ["bank", "loan"]
    rows = found.table[found.table["word"] == "bank"].sort_values("layer")
    np.testing.assert_allclose(curves.curves["bank"].values, rows["excess"])
    np.testing.assert_allclose(curves.high["bank"].values, rows["high"] - rows["null"])
    assert len(found.curves().curves) == 8
    senses = found.senses("bank", layer=1)
    row = rows[rows["layer"] == 1].iloc[0]
    assert len(senses.groups) == row["senses"]
    for group in senses.groups:
        assert len(group.passages) == 3
        for passage in group.passages:
            assert [piece for piece, mark in zip(passage.pieces, passage.marks, strict=True) if mark] == ["bank"]
    assert set(senses.groups[0].note.removeprefix("nearest words: ").split(", ")) <= {*MONEY, *RIVER}
    assert "bank" not in senses.groups[0].note.split(": ")[1].split(", ")
    assert "Polysemy(" in repr(found)


def test_a_view_is_of_curves_or_of_senses(dot):
    found = polysemy(dot, sentences(60), layer=[0, 1], k=6, min_occurrences=10, words=["bank"])
    assert found.show().curves.y == found.curves().y
    assert found.show("bank").passages.title == "Senses of 'bank' at layer 1"


def test_two_runs_give_one_table(dot):
    tables = [polysemy(dot, sentences(60), layer=1, k=6, min_occurrences=10).table for _ in range(2)]
    assert tables[0].equals(tables[1])


def test_pairs_and_a_cross_encoder_work():
    cat = mv.load("toy/cat")
    texts = [("volcano", "lava is hot rock from a volcano"), ("bread", "hot bread is made of flour")] * 6
    texts = [(query, f"{doc} number {number}") for number, (query, doc) in enumerate(texts)]
    found = polysemy(cat, texts, layer=0, k=4, min_occurrences=6, words=["hot"])
    assert found.table["occurrences"].tolist() == [12]


def test_bad_input_is_said(dot):
    texts = sentences(60)
    for options, message in [
        ({"layer": 7}, "numbers from 0 to 1"),
        ({"layer": []}, "layer="),
        ({"k": 0}, "k=0"),
        ({"most": 5}, "most=5 is below"),
        ({"words": ["two words"]}, "single words"),
        ({"words": ["absent"]}, "'absent' 0"),
        ({"site": "z"}, "without heads"),
        ({"site": "nonsense"}, "no hook"),
        ({"search": "annoy"}, "search='annoy'"),
        ({"min_occurrences": 49}, "no word has"),
        ({"k": 500}, "points of other words"),
        ({"components": 32, "min_occurrences": 10}, "components=32"),
    ]:
        with pytest.raises(InputError, match=message):
            polysemy(dot, texts[:48] if "min_occurrences" in options and options["min_occurrences"] > 20 else texts, **options)
    with pytest.raises(InputTypeError, match="list of strings"):
        polysemy(dot, texts, words="bank")
    found = polysemy(dot, texts, layer=1, k=6, words=["bank"])
    with pytest.raises(InputError, match="not measured"):
        found.curves(["boat"])
    with pytest.raises(InputError, match="measured were 1"):
        found.senses("bank", 0)
    with pytest.raises(InputError, match="NaN or inf"):
        polysemy_of(np.full((3, 2), np.nan), ["a", "b", "c"], [0, 1, 2])
    with pytest.raises(InputError, match="3 types"):
        polysemy_of(np.ones((2, 2)), ["a", "b", "c"], [0, 1, 2])
