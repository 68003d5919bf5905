import pickle
import xml.etree.ElementTree as ElementTree

import pytest

import mechviz as mv
from mechviz.corpora import TextPair
from mechviz.corpora.join import BATCH
from mechviz.errors import InputError, InputTypeError
from tests import texts
from tests.corpora.conftest import RETRIEVED
from tests.corpora.test_irds import data

DOCS = """\
<DOC>
<DOCNO> d01 </DOCNO>
<HEADLINE>Hot &amp; cold</HEADLINE>
<AUTHOR>nobody</AUTHOR>
<TEXT>
Springs <b>are</b> warm,
1 &lt; 2.
</TEXT>
</DOC>

<doc><docno>d02</docno>
Lava is <!-- very --> hot.
</doc>
<DOC><DOCNO>d03</DOCNO><TITLE>One line</TITLE></DOC>
"""
TOPICS = """\
<top>
<num> Number: q1
<title> Topic: warm
water
<desc> Description:
Where does it come from?
</top>
<top><num>q2</num><title>lava &amp; ash</title></top>
<top>
<num> Number: q3
<desc> Description:
Only described
</top>
"""


def test_a_run_with_its_grades(files):
    pairs = mv.Pairs.from_trec(files.run, files.qrels, files.docs, files.queries)
    docs, queries, grades = texts.docs(), texts.queries(), {(q, d): grade for q, d, grade in texts.qrels()}
    assert list(pairs) == [
        TextPair(queries[q], docs[d], query_id=q, doc_id=d, grade=grades.get((q, d)), rank=rank, run_score=score)
        for q, d, rank, score in RETRIEVED
    ]
    assert pairs.name == "run"


def test_a_pair_that_is_judged_twice_has_its_first_grade(files):
    files.qrels.write_text("q1 0 d01 3\nq1 0 d01 0\n")
    grades = {(p.query_id, p.doc_id): p.grade for p in mv.Pairs.from_trec(files.run, files.qrels, files.docs, files.queries)}
    assert grades == {(q, d): 3 if (q, d) == ("q1", "d01") else None for q, d, _, _ in RETRIEVED}


def test_judged_pairs_and_texts_in_mappings(files):
    pairs = mv.Pairs.from_trec(qrels=str(files.qrels), docs=texts.docs(), queries=texts.queries(), name="mine")
    assert [(p.query_id, p.doc_id, p.grade) for p in pairs] == texts.qrels()
    assert [(p.query, p.doc) for p in pairs] == texts.judged_pairs()
    assert pairs.name == "mine"


def test_judged_pairs_with_the_ranks_of_a_run(files):
    found = list(mv.Pairs.from_trec(files.run, files.qrels, files.docs, files.queries, pairs="qrels"))
    ranks = {(q, d): (rank, score) for q, d, rank, score in RETRIEVED}
    assert [(p.query_id, p.doc_id, p.grade) for p in found] == texts.qrels()
    assert [(p.rank, p.run_score) for p in found] == [ranks.get((q, d), (None, None)) for q, d, _ in texts.qrels()]


def test_texts_in_trecs_own_format(files):
    files.docs.write_text(DOCS)
    files.queries.write_text(TOPICS)
    files.qrels.write_text("q1 0 d01 1\nq2 0 d02 0\nq3 0 d03 2\n")
    found = list(mv.Pairs.from_trec(qrels=files.qrels, docs=files.docs, queries=files.queries))
    assert [(p.query, p.doc) for p in found] == [
        ("warm\nwater", "Hot & cold\nSprings are warm,\n1 < 2."),
        ("lava & ash", "Lava is  hot."),
        ("Only described", "One line"),
    ]


def test_names_without_texts_are_counted_and_said_once(files):
    files.run.write_text("q1 Q0 d01 1 2 t\nq1 Q0 d99 2 1 t\nq8 Q0 d01 1 1 t\nq1 Q0 d98 3 0 t\n")
    pairs = mv.Pairs.from_trec(files.run, None, files.docs, files.queries)
    for _ in range(2):
        with pytest.warns(UserWarning, match="run: 3 pairs were left out: 2 .*query q1, document d99") as said:
            assert [(p.query_id, p.doc_id, p.rank) for p in pairs] == [("q1", "d01", 1)]
        assert len(said) == 1
        assert pairs.dropped == {"the document is not in the collection": 2, "the query is not in the collection": 1}
    strict = mv.Pairs.from_trec(files.run, None, files.docs, files.queries, on_missing="raise")
    with pytest.raises(InputError, match="not in the collection: query q1, document d99"):
        list(strict)


def test_what_was_left_out_is_known_of_what_was_made_of_it_too(files):
    files.qrels.write_text("q1 0 d99 1\nq1 0 d01 2\nq1 0 d01 0\nq1 0 d02 1\nq1 0 d98 1\n")
    pairs = mv.Pairs.from_trec(None, files.qrels, files.docs, files.queries).where(lambda pair: pair.grade).limit(2)
    with pytest.warns(UserWarning, match="2 pairs were left out"):
        assert [(p.doc_id, p.grade) for p in pairs] == [("d01", 2), ("d02", 1)]
    assert pairs.dropped == {"the document is not in the collection": 1, "judged again": 1}


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("run", "q1 Q0 d01 1 2.0 t\n\nq1 Q0 d01 1 2.0\n", "run, line 3: not query, Q0"),
        ("run", "q1 Q0 d01 1 high t\n", "run, line 1: .*high"),
        ("run", "q1 Q0 d01 1 nan t\n", "run, line 1: .*nan"),
        ("qrels", "q1 0 d01 1\nq1 0 d01 1.5\n", r"qrels, line 2: .*1\.5"),
        ("qrels", "q1 0 d01\n", "qrels, line 1: not query, iteration"),
        ("docs", "d01\tx\nd02 y\n", r"docs.tsv, line 2: not an id, a tab and a text: 'd02 y"),
        ("docs", "d01\tx\ty\n", r"docs.tsv, line 1: not an id, a tab"),
        ("docs", "d01\tx\nd02\ty\nd01\tz\n", r"line 3: 'd01' comes twice, first in .*line 1"),
        ("docs", "\n<doc>\n<docno>d01</docno>\nx\n<doc>\n", r"docs.tsv, line 5: a <doc> begins .*line 2 has ended"),
        ("docs", "<doc>\n<docno>d01</docno>\nx\n</doc>\n<doc>\nx\n</doc>\n", "line 5: this <doc> has no <docno>"),
        ("docs", "<doc>\n<docno>d01</docno>\nx\n", "line 1: this <doc> has no </doc>"),
        ("queries", "<top>\n<title>x\n</top>\n", "line 1: this <top> has no <num>"),
        ("queries", "q1\tx\nq1\ty\n", "line 2: 'q1' comes twice"),
    ],
)
def test_a_line_that_is_wrong_is_named(files, name, text, words):
    getattr(files, name).write_text(text)
    with pytest.raises(InputError, match=words):
        list(mv.Pairs.from_trec(files.run, files.qrels, files.docs, files.queries))


@pytest.mark.parametrize("name", ["run", "qrels", "docs", "queries"])
def test_another_encoding(files, name):
    text = {"run": "q1 Q0 d\xe9 1 2 t\n", "qrels": "q1 0 d\xe9 1\n", "docs": "d\xe9\tcaf\xe9\n", "queries": "q1\tcaf\xe9\n"}
    for one in ("run", "qrels", "docs", "queries"):
        getattr(files, one).write_bytes(text[one].encode("latin-1" if one == name else "utf-8"))
    with pytest.raises(InputError, match=rf"{name}.*, line 1: this is no utf-8 text.*encoding="):
        list(mv.Pairs.from_trec(files.run, files.qrels, files.docs, files.queries))
    for one in ("run", "qrels", "docs", "queries"):
        getattr(files, one).write_bytes(text[one].encode("latin-1"))
    (pair,) = mv.Pairs.from_trec(files.run, files.qrels, files.docs, files.queries, encoding="latin-1")
    assert (pair.query, pair.doc, pair.doc_id, pair.grade) == ("caf\xe9", "caf\xe9", "d\xe9", 1)


def test_a_mark_of_byte_order_and_the_line_ends_of_windows(files):
    files.docs.write_bytes(b"\xef\xbb\xbfd01\thot springs\r\n")
    files.queries.write_bytes(b"\xef\xbb\xbf<top>\r\n<num>q1</num><title>a\r\nb</title>\r\n</top>\r\n")
    files.qrels.write_bytes(b"\xef\xbb\xbfq1 0 d01 1\r\n")
    (pair,) = mv.Pairs.from_trec(None, files.qrels, files.docs, files.queries)
    assert (pair.query, pair.doc, pair.grade) == ("a\nb", "hot springs", 1)


def test_a_file_that_has_changed_is_not_misread(files):
    pairs = mv.Pairs.from_trec(None, files.qrels, files.docs, files.queries)
    list(pairs)
    lines = files.docs.read_text().splitlines(keepends=True)
    files.docs.write_text("".join([f"x{lines[0]}", *lines[1:]]))
    with pytest.raises(InputError, match="the file has changed"):
        list(pairs)


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"qrels": None, "run": None}, InputError, "qrels must be given"),
        ({"docs": None}, InputError, "docs must be given"),
        ({"run": None, "pairs": "run"}, InputError, "run must be given"),
        ({"pairs": "scoreddocs"}, InputError, "'run', 'qrels'"),
        ({"run": "nowhere"}, InputError, "there is no file nowhere"),
        ({"docs": "nowhere"}, InputError, "docs: there is no file"),
        ({"qrels": 3}, InputTypeError, "path of a file, not 3"),
        ({"queries": ["x"]}, InputTypeError, "queries must be a mapping"),
        ({"encoding": "nonsense"}, InputError, "'nonsense' is not known"),
        ({"on_missing": "skip"}, InputError, "'drop', 'raise'"),
    ],
)
def test_what_is_not_given_right(files, given, error, words):
    right = {"run": files.run, "qrels": files.qrels, "docs": files.docs, "queries": files.queries}
    with pytest.raises(error, match=words):
        mv.Pairs.from_trec(**{**right, **given})


@pytest.mark.parametrize("what", ["docs", "queries"])
def test_a_text_that_is_none(files, what):
    right = {"docs": texts.docs(), "queries": texts.queries()}
    wrong = {name: {**mapping, "d01": 3, "q1": 3} if name == what else mapping for name, mapping in right.items()}
    with pytest.raises(InputTypeError, match=r"the text of (document d01|query q1) is 3, a int"):
        list(mv.Pairs.from_trec(files.run, files.qrels, **wrong))


def test_only_the_texts_that_are_wanted_are_fetched(files):
    fetched = []

    class Counting(dict):
        def __getitem__(self, name):
            fetched.append(name)
            return super().__getitem__(name)

    docs = Counting({f"d{n}": f"text {n}" for n in range(100_000)})
    files.qrels.write_text("".join(f"q1 0 d{n} 0\n" for n in range(100_000)) + "a line that is wrong\n")
    pairs = mv.Pairs.from_trec(qrels=files.qrels, docs=docs, queries=texts.queries())
    assert [p.doc for p in pairs.limit(2)] == ["text 0", "text 1"]
    assert len(fetched) == BATCH


def test_it_can_be_sent_to_a_worker(files):
    pairs = mv.Pairs.from_trec(files.run, files.qrels, files.docs, files.queries).limit(3)
    assert list(pickle.loads(pickle.dumps(pairs))) == list(pairs)


def test_vaswani():
    docs, queries, qrels = data("vaswani/doc-text.trec", "vaswani/query-text.trec", "vaswani/qrels")
    pairs = mv.Pairs.from_trec(qrels=qrels, docs=docs, queries=queries)
    found = list(pairs)
    assert (len(found), len({p.query_id for p in found}), pairs.dropped) == (2083, 93, {})
    first = next(p for p in found if p.doc_id == "4057")
    assert (first.query_id, first.query) == ("4", "SYSTEMS OF DATA CODING FOR INFORMATION TRANSFER")


def test_cranfield():
    """Its qrels number the queries from 1 in the order of the file, not by <num>."""
    docs, queries, qrels = data("cranfield/cran.all.1400.xml", "cranfield/cran.qry.xml", "cranfield/cranqrel.trec.txt")
    topics = [topic.findtext("title") for topic in ElementTree.parse(queries).iter("top")]
    assert len(topics) == 225
    numbered = {str(number): title for number, title in enumerate(topics, 1)}
    pairs = mv.Pairs.from_trec(qrels=qrels, docs=docs, queries=numbered)
    with pytest.warns(UserWarning, match="left out"):
        found = list(pairs)
    with open(qrels) as file:
        lines = [line.split() for line in file]
    with open(docs, encoding="utf-8") as file:
        empty = {part.split("</docno>")[0] for part in file.read().split("<docno>")[1:] if "<text></text>" in part}
    assert (len(lines), empty) == (1837, {"471", "995"})
    assert pairs.dropped == {"the document has no text": 1}
    assert [(p.query_id, p.doc_id, str(p.grade)) for p in found] == [(q, d, g) for q, _, d, g in lines if d not in empty]
    third = next(p for p in found if p.query_id == "3")
    assert third.query.startswith("what problems of heat conduction in composite slabs have been solved")
