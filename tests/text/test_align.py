import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechviz.errors import InputError
from mechviz.text import Alignment, align

IDS = st.lists(st.integers(0, 4), min_size=0, max_size=12)


def levenshtein(a: list[int], b: list[int]) -> int:
    """The textbook recurrence, as an oracle."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row = row, [i]
        for j, y in enumerate(b, 1):
            row.append(min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (x != y)))
    return row[-1]


@given(IDS, IDS)
def test_every_token_keeps_its_place(a, b):
    result = align(np.array(a, dtype=np.int64), np.array(b, dtype=np.int64))
    assert result.original[result.original >= 0].tolist() == list(range(len(a)))
    assert result.perturbed[result.perturbed >= 0].tolist() == list(range(len(b)))
    assert not ((result.original < 0) & (result.perturbed < 0)).any()
    for kind, o, p in zip(result.kinds, result.original, result.perturbed, strict=True):
        expected = "insert" if o < 0 else "delete" if p < 0 else "equal" if a[o] == b[p] else "replace"
        assert kind == expected


@given(IDS, IDS)
def test_the_script_is_the_shortest(a, b):
    result = align(np.array(a, dtype=np.int64), np.array(b, dtype=np.int64))
    assert len(result.changed()) == levenshtein(a, b)


@given(IDS, IDS, st.data())
def test_word_borders_change_where_gaps_lie_but_not_their_number(a, b, data):
    starts = [np.array(data.draw(st.lists(st.booleans(), min_size=len(x), max_size=len(x))), dtype=bool) for x in (a, b)]
    result = align(np.array(a, dtype=np.int64), np.array(b, dtype=np.int64), *starts)
    assert len(result.changed()) == levenshtein(a, b)
    assert result.original[result.original >= 0].tolist() == list(range(len(a)))
    assert result.perturbed[result.perturbed >= 0].tolist() == list(range(len(b)))


def test_an_inserted_word_is_not_torn_between_its_neighbours():
    play, ing, s = 5, 8, 9
    original, perturbed = np.array([1, play, s, 7]), np.array([1, play, ing, play, s, 7])
    starts = np.array([True, True, False, True]), np.array([True, True, False, True, False, True])
    assert align(original, perturbed).kinds == ("equal", "equal", "insert", "insert", "equal", "equal")
    assert align(original, perturbed, *starts).kinds == ("equal", "insert", "insert", "equal", "equal", "equal")


def test_a_deleted_word_likewise():
    play, ing, s = 5, 8, 9
    original, perturbed = np.array([1, play, ing, play, s, 7]), np.array([1, play, s, 7])
    starts = np.array([True, True, False, True, False, True]), np.array([True, True, False, True])
    assert align(original, perturbed, *starts).kinds == ("equal", "delete", "delete", "equal", "equal", "equal")


def test_a_replacement_stays_in_its_row():
    assert align(np.array([1, 2, 3]), np.array([1, 9, 3])).kinds == ("equal", "replace", "equal")


def test_a_phrase_becomes_a_word_at_its_start():
    assert align(np.array([1, 2, 3, 4, 9]), np.array([1, 7, 9])).kinds == ("equal", "replace", "delete", "delete", "equal")
    assert align(np.array([1, 7, 9]), np.array([1, 2, 3, 4, 9])).kinds == ("equal", "replace", "insert", "insert", "equal")


def test_keeping_rows_renumbers_what_is_left():
    kept = align(np.array([1, 2, 3]), np.array([1, 2, 8, 3])).keep(np.array([0, 2, 3]))
    assert kept.original.tolist() == [0, -1, 1]
    assert kept.perturbed.tolist() == [0, 1, 2]


def test_a_text_of_512_tokens_replaced_whole_is_aligned():
    rng = np.random.default_rng(0)
    result = align(rng.integers(0, 50, 510), rng.integers(0, 50, 480))
    assert len(result) >= 510


def test_ragged_columns_are_refused():
    with pytest.raises(InputError, match="one entry a row"):
        Alignment(np.array([0]), np.array([0, 1]), ("equal",))


def test_the_arrays_are_read_only():
    result = align(np.array([1, 2]), np.array([1]))
    with pytest.raises(ValueError, match="read-only"):
        result.original[0] = 3
