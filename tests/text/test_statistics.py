import math
import pickle
from collections import Counter

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mechviz as mv
from mechviz.errors import InputError, InputTypeError
from mechviz.text.statistics import TermStatistics
from tests.texts import docs

TEXTS = ["Hot springs, hot lava", "hot LAVA", "cold water", "?!"]
collections = st.lists(st.lists(st.sampled_from("abcde"), max_size=6).map(" ".join), min_size=1, max_size=8).filter(any)


def by_characters(text):
    return [character for character in text if character.isalpha()]


def test_counts():
    statistics = TermStatistics.of(TEXTS)
    assert (statistics.documents, statistics.words, len(statistics)) == (4, 8, 5)
    assert statistics.mean_length == 2.0
    assert (statistics.document_frequency("hot"), statistics.collection_frequency("hot")) == (2, 3)
    assert "lava" in statistics
    assert "LAVA" not in statistics
    assert repr(statistics) == "TermStatistics(4 documents, 5 terms, 8 words)"
    assert mv.TermStatistics is TermStatistics


@given(collections)
def test_counts_are_those_of_lists(texts):
    statistics = TermStatistics.of(iter(texts))
    for term in "abcde":
        assert statistics.document_frequency(term) == sum(term in text.split() for text in texts)
        assert statistics.collection_frequency(term) == " ".join(texts).split().count(term)
    assert statistics.mean_length == pytest.approx(sum(len(text.split()) for text in texts) / len(texts))


@given(collections)
def test_idf_is_the_stated_formula_written_as_a_quotient(texts):
    statistics = TermStatistics.of(texts)
    for term in "abcdef":
        df = sum(term in text.split() for text in texts)
        assert statistics.idf(term) == pytest.approx(math.log((len(texts) + 1) / (df + 0.5)), rel=1e-12)
    assert statistics.idf("unknown") == pytest.approx(math.log(2 * len(texts) + 2))
    assert all(statistics.idf("unknown") > statistics.idf(term) > 0 for term in statistics.document_frequencies)


def test_texts_are_read_once_and_not_kept():
    alive = []

    class Text(str):
        __slots__ = ("__weakref__",)

        def __new__(cls, value):
            alive.append(value)
            return super().__new__(cls, value)

        def __del__(self):
            alive.pop()

    def texts():
        for number in range(1000):
            assert len(alive) <= 1, "earlier texts are still held"
            yield Text(f"word{number % 7}")

    assert TermStatistics.of(texts()).documents == 1000


@given(collections, collections)
def test_merging_is_counting_both(some, others):
    assert TermStatistics.of(some) + TermStatistics.of(others) == TermStatistics.of([*some, *others])


def test_merging_asks_for_the_same_terms():
    with pytest.raises(InputError, match="by_characters"):
        _ = TermStatistics.of(["a"]) + TermStatistics.of(["a"], terms=by_characters)
    with pytest.raises(TypeError):
        _ = TermStatistics.of(["a"]) + 1


def test_what_is_loaded_is_what_was_saved(tmp_path):
    statistics = TermStatistics.of([*docs().values(), "Ärger naïve 北京 \u0301x"])
    path = tmp_path / "statistics.parquet"
    statistics.save(path)
    assert TermStatistics.load(path) == statistics
    assert [found.name for found in tmp_path.iterdir()] == ["statistics.parquet"]
    assert pickle.loads(pickle.dumps(statistics)) == statistics
    assert pq.read_table(path).column_names == ["term", "document_frequency", "collection_frequency"]


def test_the_order_of_the_texts_leaves_no_trace_in_the_file(tmp_path):
    TermStatistics.of(["b a", "c"]).save(tmp_path / "one")
    TermStatistics.of(["c", "a b"]).save(tmp_path / "other")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_other_terms_have_to_be_given_again(tmp_path):
    path = tmp_path / "statistics"
    TermStatistics.of(["ab"], terms=by_characters).save(path)
    with pytest.raises(InputError, match="by_characters"):
        TermStatistics.load(path)
    assert TermStatistics.load(path, terms=by_characters).document_frequency("b") == 1


def test_files_that_cannot_be_used(tmp_path):
    with pytest.raises(InputError, match=r"no file .*missing"):
        TermStatistics.load(tmp_path / "missing")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(InputError, match="cannot be read"):
        TermStatistics.load(tmp_path / "text")
    with pytest.raises(InputError, match="no folder"):
        TermStatistics.of(["a"]).save(tmp_path / "missing" / "file")
    table = pq.read_table(saved(tmp_path))
    pq.write_table(table.replace_schema_metadata({}), tmp_path / "bare")
    with pytest.raises(InputError, match="no term statistics"):
        TermStatistics.load(tmp_path / "bare")
    key = b"mechviz.statistics"
    newer = table.schema.metadata[key].replace(b'"format": 1', b'"format": 9')
    pq.write_table(table.replace_schema_metadata({key: newer}), tmp_path / "newer")
    with pytest.raises(InputError, match="format 9"):
        TermStatistics.load(tmp_path / "newer")
    pq.write_table(table.slice(0, 1), tmp_path / "short")
    with pytest.raises(InputError, match="contradict"):
        TermStatistics.load(tmp_path / "short")


def saved(folder):
    TermStatistics.of(["a b", "b"]).save(folder / "good")
    return folder / "good"


def test_a_save_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = saved(tmp_path)
    before = path.read_bytes()

    def broken(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(pq, "write_table", broken)
    with pytest.raises(OSError, match="disk full"):
        TermStatistics.of(["c"]).save(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("texts", "error", "words"),
    [
        ("one text", InputTypeError, "iterable of strings"),
        (3, InputTypeError, "iterable of strings"),
        (["a", None], InputTypeError, "text number 1"),
        ([], InputError, "no term in the 0 texts"),
        (["?!", ""], InputError, "no term in the 2 texts"),
    ],
)
def test_what_cannot_be_counted(texts, error, words):
    with pytest.raises(error, match=words):
        TermStatistics.of(texts)


def test_real_words_of_the_collection():
    texts = list(docs().values())
    plain = Counter("".join(c if c.isalnum() else " " for c in " ".join(texts)).casefold().split())
    assert TermStatistics.of(texts).collection_frequencies == plain
