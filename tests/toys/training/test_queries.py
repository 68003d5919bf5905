import numpy as np

from mechviz.text.words import STOPWORDS, terms
from mechviz.toys.passages import PASSAGES
from mechviz.toys.training.queries import _FRAMES, make_queries

FRAME_WORDS = {word for frame in _FRAMES for word in terms(frame)}


def test_queries_are_made_of_the_passage():
    for number, passage in enumerate(PASSAGES):
        queries = make_queries(passage, {}, 8, np.random.default_rng(number))
        assert len(queries) == 8
        for query in queries:
            assert set(terms(query)) <= set(terms(passage)) | FRAME_WORDS
            assert set(terms(query)) & (set(terms(passage)) - STOPWORDS)


def test_the_same_random_state_makes_the_same_queries():
    made = [make_queries(PASSAGES[0], {}, 8, np.random.default_rng(seed)) for seed in (3, 3, 4)]
    assert made[0] == made[1] != made[2]


def test_rare_words_come_more_often():
    counts = [0, 0]
    for seed in range(60):
        drawn = " ".join(make_queries("copper bread tin moss", {"copper": 50.0}, 4, np.random.default_rng(seed)))
        counts[0] += drawn.count("copper")
        counts[1] += drawn.count("moss")
    assert counts[0] > 1.5 * counts[1]


def test_a_passage_without_telling_words_makes_none():
    assert make_queries("the of and", {}, 8, np.random.default_rng(0)) == []
