import numpy as np
import pytest

import mechviz as mv
from mechviz.errors import InputError, InputTypeError
from mechviz.probes import relations
from mechviz.probes.relation_stems import stem
from mechviz.probes.relation_units import Units, units_of
from mechviz.probes.relations import reads_together
from tests.probes.detectors import compiled, tiny

QUERY, DOC = "warm springs of rock", "Hot springs, a spring of warm rock. Rocks!"


@pytest.fixture(scope="module")
def cat(tmp_path_factory):
    return tiny(tmp_path_factory.mktemp("cat"))


@pytest.fixture(scope="module")
def dot(tmp_path_factory):
    return tiny(tmp_path_factory.mktemp("dot"), "Dot")


def units(ranker, query: str, doc: str, merge_words: bool = True) -> Units:
    (inputs,) = ranker.checked_inputs([(query, doc)])
    return units_of(inputs[ranker.stack_of("doc")], {"query": query, "doc": doc}, merge_words)


def written(found: Units, matrix: np.ndarray, query: str, doc: str) -> set[tuple[str, str]]:
    """Return pairs of the user's own characters."""
    texts = {"query": query, "doc": doc}
    strings = [texts[segment][start:end] for segment, (start, end) in zip(found.segments, found.spans, strict=True)]
    return {(strings[i], strings[j]) for i, j in zip(*np.nonzero(matrix), strict=True)}


def asked(relation, found: Units, known=None) -> np.ndarray:
    return relation.truth(found, known) & relation.allowed(found, known)


def test_words_are_units_of_their_pieces_and_specials_are_none(cat):
    tokens, words = units(cat, QUERY, DOC, False), units(cat, QUERY, DOC, True)
    assert sorted(np.concatenate(words.pieces)) == sorted(tokens.first)
    assert set(np.array(tokens.tokens.segments)[tokens.first]) == {"query", "doc"}
    assert len(words) < len(tokens)  # the tiny tokenizer splits words, so that merging means something
    assert [DOC[a:b] for s, (a, b) in zip(words.segments, words.spans, strict=True) if s == "doc"][:4] == [
        "Hot",
        "springs",
        ",",
        "a",
    ]
    assert words.terms[list(words.segments).index("doc")] == "hot"


def test_relations_of_words_between_query_and_document(cat):
    found = units(cat, QUERY, DOC)
    same = written(found, asked(relations.same_token(), found), QUERY, DOC)
    assert same == {("warm", "warm"), ("springs", "springs"), ("of", "of"), ("rock", "rock")}
    stems = written(found, asked(relations.same_stem(verbatim=False), found), QUERY, DOC)
    assert stems == {("springs", "spring"), ("rock", "Rocks")}
    assert written(found, asked(relations.same_stem(), found), QUERY, DOC) == same | stems
    matches = written(found, asked(relations.query_match(), found), QUERY, DOC)
    assert matches == same - {("of", "of")}  # a stop word is no term of the query
    for table in ({"warm": "hot"}, {"Hot": ["warm", "boiling"]}, lambda term: {"warm": ("hot",)}.get(term, ())):
        assert written(found, asked(relations.synonym(table), found), QUERY, DOC) == {("warm", "Hot")}


def test_relations_inside_a_text(dot):
    found = units(dot, QUERY, DOC)
    before = written(found, asked(relations.previous_word(), found), QUERY, DOC)
    words = ["Hot", "springs", "a", "spring", "of", "warm", "rock", "Rocks"]
    assert before == set(zip(words[1:], words, strict=False))  # punctuation is passed over
    assert np.array_equal(asked(relations.next_word(), found), asked(relations.previous_word(), found).T)
    assert not np.diag(relations.same_token().allowed(found)).any()


def test_a_relation_of_words_holds_for_all_their_pieces(cat):
    pieces, words = units(cat, QUERY, DOC, False), units(cat, QUERY, DOC, True)
    whole = asked(relations.same_stem(), words)
    number = {int(first): at for at, one in enumerate(words.pieces) for first in one}
    expected = np.array([[whole[number[int(i)], number[int(j)]] for j in pieces.first] for i in pieces.first])
    assert np.array_equal(asked(relations.same_stem(), pieces), expected)


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("merge_words", [True, False])
def test_every_token_has_the_copy_that_stands_where_its_sentence_went(cat, dot, together, merge_words):
    ranker = cat if together else dot
    assert reads_together(ranker) == together
    text = "The rock is hot. Is the water hot? Rain fills the lake."
    relation = relations.aligned_copy(seed=1)
    made = relation.make(text, together)
    if together:
        query, doc = made.text
    else:
        query, doc = "rock", made.text
        assert doc.startswith(f"{text} ")
    found = units(ranker, query, doc, merge_words)
    truth, allowed = asked(relation, found, made.known), relation.allowed(found, made.known)
    copy = doc if together else doc[len(text) + 1 :]
    assert sorted(copy.replace("?", ".").split(". ")) != copy.replace("?", ".").split(". ")
    assert copy != text
    assert sorted(copy) == sorted(text)
    rows = allowed.any(axis=1)
    assert np.array_equal(truth.sum(axis=1), rows.astype(int))  # one copy each
    assert np.array_equal(truth.sum(axis=0), allowed.any(axis=0).astype(int))  # and each copy one
    keys = np.array(found.keys)
    for i, j in zip(*np.nonzero(truth), strict=True):
        assert keys[i] == keys[j]
        for step in (-1, 1):  # inside a sentence, neighbours are copied side by side
            a, b = i + step, j + step
            inside = min(a, b) >= 0 and max(a, b) < len(keys) and "." not in keys[i] and "?" not in keys[i]
            if inside and step == 1 and allowed[a, b]:
                assert truth[a, b]
    hot = keys == "hot"
    if hot.any():
        assert (allowed & hot[:, None] & hot[None, :]).sum() == 4  # two of them: the hard ones
        assert (truth & hot[:, None] & hot[None, :]).sum() == 2


def test_one_sentence_has_no_shuffled_copy():
    assert relations.aligned_copy().make("Only one sentence here.", True) is None
    assert relations.aligned_copy().make("Again. Again.", False) is None


def test_of_a_text_as_it_stands_nobody_knows_the_copies(dot):
    found = units(dot, "x", DOC)
    assert relations.aligned_copy().truth(found) is None
    assert relations.aligned_copy().allowed(found).any()


def test_the_injected_term_is_found_by_its_place(cat):
    query, doc = "warm rock", "Rock is warm here. Rock again."
    relation = relations.injected(mv.perturb.append("rock"))
    made = relation.make((query, doc), True)
    assert made.text == (query, f"{doc} rock")
    found = units(cat, *made.text)
    truth = asked(relation, found, made.known)
    ((i, j),) = zip(*np.nonzero(truth), strict=True)
    assert (found.terms[i], found.spans[j].tolist()) == ("rock", [len(doc) + 1, len(doc) + 5])
    assert relation.make((query, doc), True).known == made.known
    assert relations.injected(mv.perturb.append("lava")).make((query, doc), True) is None
    assert relations.injected().make((query, doc), True).text[1].split()[-1] in ("warm", "rock")
    assert relations.injected(mv.axioms.TFC1()).make((query, doc), True) is not None


def test_a_function_of_your_own(cat):
    def first_of_all(tokens):
        return {(int(tokens.positions("query")[0]), int(tokens.positions("doc")[0]))}

    def as_matrix(tokens):
        matrix = np.zeros((len(tokens), len(tokens)), dtype=bool)
        for pair in first_of_all(tokens):
            matrix[pair] = True
        return matrix

    for merge_words in (True, False):
        found = units(cat, QUERY, DOC, merge_words)
        for function in (first_of_all, as_matrix):
            truth = asked(relations.relation(function, "first"), found)
            ((i, j),) = zip(*np.nonzero(truth), strict=True)
            assert found.segments[i] == "query"
            assert i == 0
            assert j == list(found.segments).index("doc")


def test_two_unknown_words_are_one_string_only_if_written_alike():
    ranker = compiled("exact-match")
    (inputs,) = ranker.checked_inputs([("zzyzx", "zzyzx qwxyz")])
    unknown = ranker.tokenizer.unk_token
    found = units_of(inputs[ranker.stack_of("doc")], {"query": "zzyzx", "doc": "zzyzx qwxyz"}, unknown=unknown)
    assert relations.same_token().truth(found)[0].tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("word", "other", "alike"),
    [
        ("spring", "springs", True),
        ("heated", "heat", True),
        ("heating", "heats", True),
        ("city", "cities", True),
        ("running", "runs", True),
        ("hope", "hop", False),
        ("glass", "glas", False),
        ("caresses", "caress", True),
        ("agreed", "agree", True),
        ("bed", "b", False),
        ("connection", "connect", False),
        ("flies", "fly", False),  # as Porter's own: fli and fly
        ("is", "i", False),
    ],
)
def test_stems(word, other, alike):
    assert (stem(word) == stem(other)) == alike


def test_relations_that_a_ranker_cannot_show_are_refused_in_words(cat, dot):
    for one in (relations.query_match(), relations.injected(), relations.same_token(where="across")):
        with pytest.raises(InputError, match="Dot ranker reads them apart"):
            one.check(dot, True)
        with pytest.raises(InputError, match=r"give texts as \(query, document\)"):
            one.check(cat, False)
        one.check(cat, True)


def test_what_cannot_be_a_relation_is_refused(cat):
    with pytest.raises(InputTypeError, match="must be a mapping"):
        relations.synonym(3)
    with pytest.raises(InputError, match="is empty"):
        relations.synonym({})
    with pytest.raises(InputError, match="same_token"):
        relations.same_token(where="between")
    with pytest.raises(InputTypeError, match="verbatim"):
        relations.same_stem(verbatim=1)
    with pytest.raises(InputError, match="changes the query"):
        relations.injected(mv.perturb.on_query(mv.perturb.append("x")))
    with pytest.raises(InputTypeError, match="callable"):
        relations.relation("f", "name")
    with pytest.raises(InputError, match="say in words"):
        relations.relation(len, " ")
    found = units(cat, QUERY, DOC)
    for given, error in (
        ([(0, 10**6)], InputError),
        ([3], InputError),
        (np.zeros((2, 2), dtype=bool), InputError),
        (np.zeros((len(found.tokens),) * 2), InputError),
        (7, InputTypeError),
    ):
        with pytest.raises(error, match="mine"):
            relations.relation(lambda tokens, given=given: given, "mine").truth(found)
