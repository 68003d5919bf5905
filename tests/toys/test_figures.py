"""The command behind the model cards, on a small collection in the form of the large ones."""

import json
import re

import numpy as np
import pytest

import mechviz as mv
from benchmarks.toys import __main__ as command
from benchmarks.toys import card, compiled_cards, data, measures
from mechviz.toys import shipped
from mechviz.toys.compiled import NAMES
from tests import texts
from tests.toys import made


@pytest.fixture(scope="module")
def collections(tmp_path_factory):
    """The project's own collection as TREC DL's table, as Vaswani and as Cranfield."""
    root = tmp_path_factory.mktemp("data")
    for name in ("trecdl", "vaswani", "cranfield"):
        (root / name).mkdir()
    docs, queries = texts.docs(), texts.queries()
    ids = list(queries)
    (root / "trecdl" / "qids_2019.txt").write_text("\n".join(ids[::2]))
    (root / "trecdl" / "qids_2020.txt").write_text("\n".join(ids[1::2]))
    judged = [f"{q}\t{queries[q]}\t{d}\t{docs[d]}\t{grade}" for q, d, grade in texts.qrels()]
    (root / "trecdl" / "pairs.tsv").write_text("\n".join(["qid\tquery\tdocno\ttext\trelevance", *judged]))
    rows = [
        f"{q}\t{d}\t{n + 1}\t{docs[d]}\t{docs[d]} {queries[q].split()[-1]}\t{queries[q]}\t{grade}"
        for n, (q, d, grade) in enumerate(texts.qrels())
    ]
    header = "qid\tdocno\tscore_delta\ttext\tperturbed_text\tquery\trelevance"
    (root / "trecdl" / "tasb_tfc1_4000.tsv").write_text("\n".join([header, *rows]))
    number = {doc: str(n) for n, doc in enumerate(docs, 1)}
    place = {query: str(n) for n, query in enumerate(queries, 1)}
    qrels = "\n".join(f"{place[q]} 0 {number[d]} {min(grade, 1)}" for q, d, grade in texts.qrels())
    (root / "vaswani" / "qrels").write_text(qrels)
    (root / "cranfield" / "cranqrel.trec.txt").write_text(qrels)
    trec = "".join(f"<DOC>\n<DOCNO>{number[d]}</DOCNO>\n{text}\n</DOC>\n" for d, text in docs.items())
    (root / "vaswani" / "doc-text.trec").write_text(trec)
    topics = "".join(f"<top>\n<num>{place[q]}</num><title>\n{text.upper()}\n</title>\n</top>\n" for q, text in queries.items())
    (root / "vaswani" / "query-text.trec").write_text(topics)
    xml = "".join(
        f"<doc>\n<docno>{number[d]}</docno>\n<title>x</title>\n<text>{text}</text>\n</doc>\n" for d, text in docs.items()
    )
    (root / "cranfield" / "cran.all.1400.xml").write_text(xml)
    topics = "".join(
        f"<top>\n<num> {7 * int(place[q])}</num>\n<title>\n{text}\n</title>\n</top>\n" for q, text in queries.items()
    )
    (root / "cranfield" / "cran.qry.xml").write_text(topics)
    return root


@pytest.fixture
def here(collections, monkeypatch):
    monkeypatch.setenv("MECHVIZ_DATA", str(collections))
    data._table.cache_clear()
    yield collections
    data._table.cache_clear()


def test_without_the_collections_the_command_says_what_to_set(monkeypatch):
    monkeypatch.delenv("MECHVIZ_DATA", raising=False)
    with pytest.raises(SystemExit, match="MECHVIZ_DATA"):
        command.main(["judge", "toy/compiled-bm25"])


def test_ndcg_by_hand(here):
    pool = data.trecdl(2019)
    qid, rows = next(iter(pool.rows.items()))
    gains = pool.gains[rows]
    ideal = sum(gain / np.log2(rank + 2) for rank, gain in enumerate(sorted(gains, reverse=True)[:10]))
    order = np.arange(len(pool.docs), dtype=float)
    found = sum(gain / np.log2(rank + 2) for rank, gain in enumerate(gains[::-1][:10]))
    assert measures.ndcg(pool, order)[0] == pytest.approx(found / ideal)
    assert measures.ndcg(pool, pool.gains).tolist() == pytest.approx([1.0] * len(pool.rows))
    assert 0 < measures.random_ndcg(pool) < 1
    assert set(pool.rows) == data.query_ids(2019)
    assert qid in pool.rows


def test_bm25_of_a_pool_is_mechvizs(here):
    pool = data.vaswani()
    statistics = mv.TermStatistics.of(texts.docs().values())
    for at in range(0, len(pool.docs), 7):
        expected = data.bm25(pool.queries[at], pool.docs[at], statistics, data.K1, data.B)
        assert pool.baseline[at] == pytest.approx(expected)
    rows = next(iter(pool.rows.values()))
    assert (np.diff(pool.baseline[rows]) <= 0).all()


def test_cranfields_queries_are_numbered_by_their_place(here):
    one, other = data.cranfield(), data.vaswani()
    assert (
        dict(zip(one.query_ids, one.queries, strict=True)).keys() == dict(zip(other.query_ids, other.queries, strict=True)).keys()
    )
    assert {q.lower() for q in one.queries} == set(other.queries)
    np.testing.assert_array_equal(one.gains, other.gains)


def test_a_control_is_a_word_of_another_query(here):
    rows = data.added_terms()
    for query, doc, control in zip(rows.queries, rows.docs, rows.with_control, strict=True):
        word = control.removeprefix(f"{doc} ")
        assert " " not in word
        assert word not in data.terms(query)
        assert word not in data.terms(doc)
        assert any(word in data.terms(other) for other in rows.queries)
    assert rows.with_control == data.added_terms().with_control


@pytest.mark.parametrize("name", ["cat", "dot", "monot5"])
def test_from_checkpoints_to_a_card(here, tmp_path, name, capsys):
    root = made.weights(tmp_path / "weights")
    training = {"kind": {"cat": "Cat", "dot": "Dot", "monot5": "MonoT5"}[name], "layers": 3, "activation": "gelu", "seed": 0}
    training |= {"steps": 600, "seconds": 90.0, "threads": 1, "vocabulary": 8000, "data": "Passages.", "recipe": ["AdamW."]}
    training |= {"encouraged": ["Queries and keys start equal."]}
    (root / name / "training.json").write_text(json.dumps(training))
    folder = str(root / name)
    assert command.main(["judge", folder, folder, "--json", str(root / name / "figures.json")]) == 0
    figures = json.loads((root / name / "figures.json").read_text())
    assert str(here) not in (root / name / "figures.json").read_text()
    first, second = figures["runs"]
    assert {key: first[key] for key in ("ndcg", "tfc1")} == {key: second[key] for key in ("ndcg", "tfc1")}
    command.write_cards([name], root)
    text = (root / name / "README.md").read_text()
    assert text.startswith("---\nlicense: other\n")
    for said in (f"# toy/{name}", "seed 0, not picked", "Short of its aims", "Queries and keys start equal.", "../LICENSE"):
        assert said in text
    assert "nan" not in text
    heads = 3 * 4 if name != "monot5" else (2 + 3 + 3) * 4
    assert len(figures["inside"]["heads"]) == heads
    shipped.WEIGHTS, before = root, shipped.WEIGHTS
    try:
        assert mv.load(f"toy/{name}").name == f"toy/{name}"  # the sums were written anew
    finally:
        shipped.WEIGHTS = before


def test_a_head_that_matches_by_construction_is_found(here):
    """bm25's 0.0: a query word looks at its copies; without it, nothing is left."""
    from benchmarks.toys.inside import look

    heads = {(one["layer"], one["head"]): one for one in look(mv.load("toy/compiled-bm25"))["heads"]}
    assert heads[0, 0]["same"] > 10 * heads[0, 0]["other"]
    assert heads[0, 0]["effect"] == pytest.approx(1, abs=1e-3)
    assert heads[0, 0]["left"] == pytest.approx(0, abs=1e-3)
    assert heads[0, 1]["left"] == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_the_card_of_a_compiled_toy_is_what_the_command_writes(name, tmp_path):
    path = compiled_cards.write(tmp_path, name)
    kept = command.CARDS / path.name
    drawn, known = ((folder / f"{path.stem}.svg").read_text() for folder in (tmp_path, command.CARDS))
    version = re.compile(r"mechviz \d+\.\d+\.\d+")
    assert version.sub("", drawn) == version.sub("", known)
    ours, theirs = ("".join(c for c in one.read_text() if not c.isdigit()) for one in (path, kept))
    assert ours == theirs  # but for the digits of the error, which are the machine's
    assert compiled_cards.largest_error(mv.toys.compiled(name, compiled_cards.PASSAGES), name)[0] < 1e-5


def test_aims_are_of_the_toys_that_ship():
    assert set(card.AIMS) == set(shipped.TRAINED)
