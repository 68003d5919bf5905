import math

import numpy as np
import pytest

from mechviz.corpora import TextPair
from mechviz.errors import InputError
from mechviz.text.statistics import TermStatistics
from mechviz.text.words import STOPWORDS, terms
from mechviz.toys.training.lessons import SATURATION, prepare


@pytest.fixture(scope="module")
def lessons(judged):
    return prepare(judged, ["A further text about copper roofs and green copper."], None, 0.4)


def test_a_target_is_the_formula(lessons):
    statistics = TermStatistics.of(lessons.docs)
    for query, doc in ((0, 0), (5, 0), (len(lessons.queries) - 1, 3), (7, 2)):
        asked = {term for term in terms(lessons.queries[query]) if term in statistics.document_frequencies} - STOPWORDS
        counts = {term: terms(lessons.docs[doc]).count(term) for term in asked}
        reached = math.fsum(statistics.idf(t) * n / (n + SATURATION) for t, n in counts.items())
        most = math.fsum(statistics.idf(term) / (1 + SATURATION) for term in asked)
        wanted = lessons.wanted(np.array([query]), np.array([doc]))[0]
        assert wanted == pytest.approx(0.4 * reached / most, abs=1e-5)
        assert lessons.all_wanted(np.array([query]), np.array([doc]))[0, 0] == pytest.approx(wanted, abs=1e-6)


def test_the_teacher_adds_its_cosine(judged, minilm, tmp_path):
    few = judged[::9]
    plain = prepare(few, (), None, 0.4)
    taught = prepare(few, (), minilm, 0.4, tmp_path)
    queries, docs = np.array([0, 3, 9]), np.array([1, 0, 2])
    cosines = minilm.score([taught.queries[q] for q in queries], [taught.docs[d] for d in docs])
    assert taught.wanted(queries, docs) == pytest.approx(plain.wanted(queries, docs) + cosines, abs=1e-5)
    assert len(list(tmp_path.iterdir())) == 2
    again = prepare(few, (), minilm, 0.4, tmp_path)
    assert np.array_equal(again.doc_vectors, taught.doc_vectors)


def test_judgements_are_kept(judged, lessons):
    assert [lessons.queries[query] for query, *_ in lessons.graded] == list(dict.fromkeys(pair.query for pair in judged))
    query, docs, grades = lessons.graded[1]
    for pair in judged:
        if pair.query == lessons.queries[query]:
            at = lessons.docs.index(pair.doc)
            assert grades[list(docs).index(at)] == pair.grade


def test_made_queries_know_their_passage(lessons):
    for query in range(lessons.n_made):
        doc = int(lessons.source[query])
        assert set(terms(lessons.queries[query])) & set(terms(lessons.docs[doc]))
    assert (lessons.source[lessons.n_made :] == -1).all()


def test_sets_that_teach_nothing_are_refused(judged):
    with pytest.raises(InputError, match="no pair with a grade"):
        prepare([], (), None, 0.4)
    with pytest.raises(InputError, match=r"all .* have grade 0"):
        prepare([pair for pair in judged if pair.grade == 0], (), None, 0.4)
    with pytest.raises(InputError, match="no query could be made from 2 passages"):
        prepare([TextPair("a", "the", grade=0), TextPair("a", "of", grade=1)], (), None, 0.4)
