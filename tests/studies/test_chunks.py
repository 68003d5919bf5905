from dataclasses import replace
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechviz.corpora import TextPair
from mechviz.studies.chunks import Chunk, windows

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=30)
PAIRS = st.builds(
    TextPair,
    query=TEXTS,
    doc=TEXTS,
    perturbed=st.none() | TEXTS,
    side=st.sampled_from(["doc", "query"]),
    grade=st.none() | st.integers(0, 3),
)
STREAMS = st.lists(PAIRS, max_size=60)
SIZES = st.integers(1, 7)


def length(pair: TextPair) -> int:
    if pair.perturbed is None:
        return 0
    changed, kept = (pair.doc, pair.query) if pair.side == "doc" else (pair.query, pair.doc)
    return len(kept) + max(len(changed), len(pair.perturbed))


@given(STREAMS, SIZES, SIZES)
def test_every_pair_is_in_one_chunk_under_its_number(stream, size, per_window):
    found = [chunk for window in windows(stream, size, per_window) for chunk in window]
    numbered = {number: pair for chunk in found for number, pair in zip(chunk.numbers, chunk.pairs, strict=True)}
    assert sum(map(len, found)) == len(numbered) == len(stream)
    assert [numbered[number] for number in range(len(stream))] == stream


@given(STREAMS, SIZES, SIZES)
def test_a_window_holds_neighbours_and_its_chunks_pairs_of_like_length(stream, size, per_window):
    cut = list(windows(stream, size, per_window))
    for at, window in enumerate(cut):
        numbers = sorted(chain.from_iterable(chunk.numbers for chunk in window))
        start = at * size * per_window
        assert numbers == list(range(start, min(start + size * per_window, len(stream))))
        assert [(chunk.window, chunk.place) for chunk in window] == [(at, place) for place in range(len(window))]
        assert all(len(chunk) == size for chunk in window[:-1])
        assert 1 <= len(window[-1]) <= size
        lengths = [length(pair) for chunk in window for pair in chunk.pairs]
        assert lengths == sorted(lengths)


@given(STREAMS, SIZES)
def test_a_stream_gives_what_a_list_gives(stream, size):
    assert list(windows(iter(stream), size, 3)) == list(windows(stream, size, 3))


def test_no_more_is_read_than_a_window():
    read = []

    def stream():
        for number in range(1000):
            read.append(number)
            yield TextPair("q", f"d{number}")

    cut = windows(stream(), 3, 4)
    next(cut)
    assert len(read) == 12
    next(cut)
    assert len(read) == 24


BASE = TextPair("q", "d", "p", query_id="1", doc_id="2", grade=1, rank=3, run_score=0.5, perturbation="n", preferred=1)
CHANGES = {
    "query": "Q",
    "doc": "D",
    "perturbed": "P",
    "side": "query",
    "query_id": "x",
    "doc_id": "x",
    "grade": None,
    "rank": 4,
    "run_score": 0.25,
    "perturbation": "m",
    "preferred": -1,
    "reason": "why",
}


@pytest.mark.parametrize("name", CHANGES)
def test_the_name_of_a_chunk_depends_on_all_that_is_known_of_a_pair(name):
    assert Chunk(0, 0, (0,), (replace(BASE, **{name: CHANGES[name]}),)).hash("") != Chunk(0, 0, (0,), (BASE,)).hash("")


def test_every_field_is_tried():
    assert set(CHANGES) == set(BASE.__dataclass_fields__)


def test_the_name_of_a_chunk_depends_on_the_study_and_the_numbers_and_on_nothing_else():
    chunk = Chunk(0, 0, (0,), (BASE,))
    assert chunk.hash("a") != chunk.hash("b")
    assert chunk.hash("a") != Chunk(0, 0, (1,), (BASE,)).hash("a")
    assert chunk.hash("a") == Chunk(5, 3, (0,), (replace(BASE),)).hash("a")
    two = Chunk(0, 0, (0, 1), (BASE, replace(BASE, query="other")))
    assert two.hash("a") != Chunk(0, 0, (0, 1), two.pairs[::-1]).hash("a")
