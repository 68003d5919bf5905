import gc
import pickle
import subprocess
import sys
import weakref
from itertools import islice

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mechviz as mv
from mechviz.corpora import TextPair
from mechviz.errors import InputError, InputTypeError, MechvizError

THREE = [("a", "x"), ("b", "y", "z"), TextPair("c", "x", grade=1)]


class Counted:
    """A source that counts what has been read of it, and what of that is still alive."""

    def __init__(self, n):
        self.n, self.read, self.alive, self.most = n, 0, 0, 0

    def __call__(self):
        for number in range(self.n):
            pair = TextPair("a query", f"text {number}", doc_id=str(number), grade=number % 3)
            self.read += 1
            self.alive += 1
            self.most = max(self.most, self.alive)
            weakref.finalize(pair, self._gone)
            yield pair

    def _gone(self):
        self.alive -= 1


def shout(doc):
    return doc.upper()


def test_a_list_of_tuples_and_pairs():
    pairs = mv.Pairs(THREE, "mine")
    expected = [TextPair("a", "x"), TextPair("b", "y", "z"), TextPair("c", "x", grade=1)]
    assert list(pairs) == list(pairs) == expected
    assert (len(pairs), repr(pairs)) == (3, "Pairs('mine', 3 pairs)")


def test_a_function_is_called_each_time():
    pairs = mv.Pairs(lambda: iter(THREE))
    assert list(pairs) == list(pairs) == list(mv.Pairs(THREE))
    assert list(zip(pairs, pairs, strict=True)) == [(one, one) for one in mv.Pairs(THREE)]
    assert list(mv.Pairs(pairs)) == list(pairs)


@pytest.mark.parametrize("source", ["text", 3, None, {"a": "b"}, {("a", "b")}, pd.DataFrame({"query": ["a"]}), iter(THREE)])
def test_what_is_no_collection(source):
    with pytest.raises(InputTypeError, match=r"source must be|can be read once only"):
        mv.Pairs(source)


@pytest.mark.parametrize("item", ["text", ("a",), ("a", "b", "c", "d"), None, {"query": "a"}])
def test_what_is_no_pair_is_named_with_its_place(item):
    with pytest.raises(InputTypeError, match=r"mine: pair 1 \(the first is 0\) must be"):
        list(mv.Pairs([("a", "x"), item], "mine"))


def test_a_function_that_gives_the_same_generator_again():
    once = (pair for pair in THREE)
    pairs = mv.Pairs(lambda: once)
    assert len(list(pairs)) == 3
    with pytest.raises(InputError, match="read before"):
        list(pairs)
    with pytest.raises(InputTypeError, match="must return an iterator"):
        list(mv.Pairs(lambda: 3))


def test_very_many_pairs_are_read_and_not_held():
    source = Counted(10**9)
    chosen = mv.Pairs(source).where(lambda pair: int(pair.doc_id) % 2).perturb([shout, mv.perturb.append("a")]).limit(5)
    assert [p.perturbed for p in chosen] == ["TEXT 1", "text 1 a", "TEXT 3", "text 3 a", "TEXT 5"]
    assert source.read == 6

    source = Counted(3000)
    gc.collect()
    assert sum(1 for _ in mv.Pairs(source).perturb(shout)) == source.read == 3000
    assert source.most <= 3


@settings(deadline=None)
@given(st.integers(0, 40), st.integers(1, 12), st.integers(0, 5))
def test_a_sample_is_of_that_size_in_order_and_always_the_same(total, n, seed):
    pairs = mv.Pairs(Counted(total)).sample(n, seed)
    numbers = [int(pair.doc_id) for pair in pairs]
    assert len(numbers) == min(n, total)
    assert numbers == sorted(set(numbers))
    assert numbers == [int(pair.doc_id) for pair in pairs]


def test_a_sample_draws_every_pair_equally_often_and_holds_no_more():
    eight, times = mv.Pairs([TextPair("a", "x", rank=number) for number in range(8)]), [0] * 8
    for seed in range(2000):
        for pair in eight.sample(2, seed):
            times[pair.rank] += 1
    assert sum(times) == 4000
    assert all(abs(count - 500) < 100 for count in times), times  # five standard deviations

    source = Counted(3000)
    gc.collect()
    assert len(list(mv.Pairs(source).sample(10))) == 10
    assert source.read == 3000
    assert source.most <= 13


def test_lengths_where_they_are_known():
    known, unknown = mv.Pairs(THREE), mv.Pairs(lambda: iter(THREE), "a stream")
    lengths = [known.limit(2), known.limit(9), known.sample(2), known.sample(9), known.perturb([shout, mv.perturb.append("a")])]
    assert [len(pairs) for pairs in lengths] == [2, 3, 2, 3, 6]
    for pairs in (unknown, unknown.limit(2), unknown.sample(2), known.where(bool), unknown.perturb(shout)):
        with pytest.raises(TypeError, match=r"'(a stream|pairs).*count them with sum\(1 for _ in pairs\)"):
            len(pairs)
        assert "number not known" in repr(pairs)


@pytest.mark.parametrize("n", [0, -1, 1.5, "3", None, True])
def test_a_number_of_pairs_that_is_none(n):
    for method in ("limit", "sample"):
        with pytest.raises(MechvizError, match=rf"{method}\(n\) (is .*give 1 or more|must be a whole number)"):
            getattr(mv.Pairs(THREE), method)(n)
    with pytest.raises(InputTypeError, match=r"sample\(seed\) must be a whole number"):
        mv.Pairs(THREE).sample(1, seed=None)


def test_groups_by_grade():
    pairs = mv.Pairs(Counted(10), "ten")
    groups = pairs.by_grade()
    assert {grade: [int(p.doc_id) for p in group] for grade, group in groups.items()} == {
        0: [0, 3, 6, 9],
        1: [1, 4, 7],
        2: [2, 5, 8],
    }
    assert list(groups) == [0, 1, 2]
    assert groups[1].name == "ten, grade 1"
    assert list(mv.Pairs(THREE).by_grade()) == [1]
    with pytest.raises(InputError, match="no pair has a grade"):
        mv.Pairs([("a", "b")]).by_grade()


def test_where_takes_a_function():
    assert [p.doc for p in mv.Pairs(THREE).where(lambda pair: pair.doc == "x")] == ["x", "x"]
    with pytest.raises(InputTypeError, match="where takes a function"):
        mv.Pairs(THREE).where(2)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["q1", "q2", "é"]), st.sampled_from(["d1", "d2", "ﬁ"])), max_size=12))
def test_each_query_and_document_once(items):
    pairs = mv.Pairs(items)
    assert list(pairs.queries()) == list(dict.fromkeys(query for query, _ in items))
    assert list(pairs.docs()) == list(dict.fromkeys(doc for _, doc in items))


def test_a_table_has_columns_of_fit_types():
    frame = mv.Pairs(THREE).to_frame()
    assert frame["grade"].tolist() == [pd.NA, pd.NA, 1]
    assert frame["perturbed"].tolist() == [pd.NA, "z", pd.NA]
    assert {str(frame[name].dtype) for name in ("grade", "rank")} == {"Int64"}
    assert list(mv.Pairs([]).to_frame().columns) == list(frame.columns)


def test_what_was_left_out_is_known_when_reading_stops_early(files):
    files.qrels.write_text("q1 0 d99 1\nq1 0 d01 1\nq1 0 d98 1\n")
    pairs = mv.Pairs.from_trec(None, files.qrels, files.docs, files.queries)
    reading = iter(pairs)
    assert next(reading).doc_id == "d01"
    reading.close()
    assert pairs.dropped == {"the document is not in the collection": 1}


def test_it_can_be_sent_to_a_worker():
    pairs = mv.Pairs(THREE[:1]).perturb(shout).sample(2).limit(1)
    again = pickle.loads(pickle.dumps(pairs))
    assert list(islice(again, 1)) == [TextPair("a", "x", "X", perturbation="shout")]


def test_collections_do_not_import_torch_or_ir_datasets():
    code = "import mechviz as mv, sys; mv.Pairs([('a', 'b')]).to_frame(); print({'torch', 'ir_datasets'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "set()"
