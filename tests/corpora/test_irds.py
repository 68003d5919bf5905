import json
import os
import subprocess
import sys

import pytest

import mechviz as mv
from mechviz.corpora import TextPair
from mechviz.errors import InputError, InputTypeError, MechvizError
from tests import texts
from tests.corpora.conftest import RETRIEVED, TitledDoc, TitledQuery


def grades():
    return {(query, doc): grade for query, doc, grade in texts.qrels()}


def test_judged_pairs(dataset):
    docs, queries = texts.docs(), texts.queries()
    pairs = mv.Pairs.from_irds(dataset)
    expected = [TextPair(queries[q], docs[d], query_id=q, doc_id=d, grade=grade) for q, d, grade in texts.qrels()]
    assert list(pairs) == expected
    assert list(pairs) == expected, "it can be read again"
    assert pairs.dropped == {}
    assert repr(pairs) == f"Pairs('{dataset} qrels', number not known)"


@pytest.mark.parametrize("how", ["scoreddocs", "file", "frame", "pyterrier"])
def test_pairs_of_a_run_with_rank_score_and_grade(dataset, files, how):
    import pandas as pd

    columns = ["qid", "docno"] if how == "pyterrier" else ["query_id", "doc_id"]
    table = pd.DataFrame([(q, d, score, 7) for q, d, _, score in RETRIEVED], columns=[*columns, "score", "rank"])
    given = {"pairs": "scoreddocs"} if how == "scoreddocs" else {"run": files.run if how == "file" else table}
    found = list(mv.Pairs.from_irds(dataset, **given))
    assert [(p.query_id, p.doc_id, p.rank, p.run_score) for p in found] == RETRIEVED
    assert [p.grade for p in found] == [grades().get((q, d)) for q, d, _, _ in RETRIEVED]
    assert {3, None} <= {p.grade for p in found}
    assert [(p.query, p.doc) for p in found] == [(texts.queries()[q], texts.docs()[d]) for q, d, _, _ in RETRIEVED]


def test_judged_pairs_with_the_ranks_of_a_run(dataset, files):
    found = list(mv.Pairs.from_irds(dataset, pairs="qrels", run=files.run))
    ranks = {(q, d): (rank, score) for q, d, rank, score in RETRIEVED}
    assert [(p.query_id, p.doc_id, p.grade) for p in found] == texts.qrels()
    assert [(p.rank, p.run_score) for p in found] == [ranks.get((q, d), (None, None)) for q, d, _ in texts.qrels()]
    assert any(p.rank for p in found)


def test_a_run_without_scores_has_no_ranks(dataset, files):
    files.run.write_text("q1 d03\nq2 d02\nq1 d01\n")  # as MS MARCO's: ir_datasets gives every score as 0
    found = list(mv.Pairs.from_irds(dataset, pairs="scoreddocs"))
    assert [(p.query_id, p.doc_id, p.rank) for p in found] == [("q1", "d03", None), ("q2", "d02", 1), ("q1", "d01", None)]


@pytest.fixture
def titled(ir_datasets, register, files):
    files.docs.write_text("d1\tHot springs\tThey are warm.\t12\nd2\t\t \t3\n")
    files.queries.write_text("q1\twarm water\twhere does it come from\n")
    files.qrels.write_text("q1 0 d1 1\nq1 0 d2 0\nq1 0 d1 1\nq9 0 d1 1\nq1 0 d7 2\n")
    local, formats = ir_datasets.util.LocalDownload, ir_datasets.formats
    return register(
        formats.TsvDocs(local(files.docs), TitledDoc),
        formats.TsvQueries(local(files.queries), TitledQuery),
        formats.TrecQrels(local(files.qrels), {}),
    )


@pytest.mark.parametrize(
    ("given", "query", "doc"),
    [
        ({}, "warm water", "Hot springs: They are warm."),
        ({"field": "text"}, "warm water", "They are warm."),
        ({"field": ["text", "title"]}, "warm water", "They are warm. Hot springs"),
        ({"query_field": "description"}, "where does it come from", "Hot springs: They are warm."),
    ],
)
def test_the_text_is_what_the_dataset_says_or_the_fields_chosen(titled, given, query, doc):
    (first,) = mv.Pairs.from_irds(titled, **given).limit(1)
    assert (first.query, first.doc) == (query, doc)


@pytest.mark.parametrize("name", ["field", "query_field"])
def test_a_field_that_there_is_not(titled, name):
    has = {"field": "title, text, pages", "query_field": "title, description"}[name]
    with pytest.raises(InputError, match=rf"{name}: .*no field 'body'; it has {has}$"):
        mv.Pairs.from_irds(titled, **{name: ["title", "body"]})


def test_what_has_no_text_is_counted_and_said_once(titled):
    pairs = mv.Pairs.from_irds(titled, field="text")
    with pytest.warns(UserWarning, match=r"4 pairs were left out: .*query q9, document d1.*see \.dropped") as said:
        assert [(p.query_id, p.doc_id) for p in pairs] == [("q1", "d1")]
    assert len(said) == 1
    assert pairs.dropped == {
        "the document has no text": 1,
        "judged again": 1,
        "the query is not in the collection": 1,
        "the document is not in the collection": 1,
    }


def test_or_raised(titled):
    with pytest.raises(InputError, match="the document has no text: query q1, document d2"):
        list(mv.Pairs.from_irds(titled, field="text", on_missing="raise"))


def test_a_dataset_as_an_object(ir_datasets, dataset):
    assert list(mv.Pairs.from_irds(ir_datasets.load(dataset))) == list(mv.Pairs.from_irds(dataset))


def test_a_dataset_that_there_is_not(ir_datasets):
    with pytest.raises(InputError, match=r"no dataset 'vasvani'; the closest are 'vaswani'"):
        mv.Pairs.from_irds("vasvani")
    with pytest.raises(InputError, match="none is called alike"):
        mv.Pairs.from_irds("@@@@@@@@@@@@@@@@@")
    with pytest.raises(InputTypeError, match="named as in ir_datasets"):
        mv.Pairs.from_irds(3)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"pairs": "scoreddocs"}, "has no scoreddocs, only docs, queries, qrels"),
        ({"pairs": "run"}, "needs run="),
        ({"pairs": "all"}, "'qrels', 'run', 'scoreddocs'"),
        ({"on_missing": "skip"}, "'drop', 'raise'"),
    ],
)
def test_pairs_that_there_are_not(titled, given, words):
    with pytest.raises(InputError, match=words):
        mv.Pairs.from_irds(titled, **given)


def test_a_field_that_is_no_text(ir_datasets, register, files):
    class Docs(ir_datasets.formats.TsvDocs):
        def docs_store(self):
            return self

        def get_many(self, ids):
            return {name: TitledDoc(name, "t", "x", ["1", "2"]) for name in ids}

    local, formats = ir_datasets.util.LocalDownload, ir_datasets.formats
    name = register(
        Docs(local(files.docs), TitledDoc), formats.TsvQueries(local(files.queries)), formats.TrecQrels(local(files.qrels), {})
    )
    with pytest.raises(InputTypeError, match=r"'pages' holds .*no text"):
        list(mv.Pairs.from_irds(name, field="pages"))


def test_documents_are_asked_for_in_batches_and_only_when_needed(ir_datasets, register, files):
    asked = []

    class Docs(ir_datasets.formats.TsvDocs):
        def docs_store(self):
            return self

        def get_many(self, ids):
            asked.append(ids)
            return {name: ir_datasets.formats.GenericDoc(name, f"text of {name}") for name in ids}

    files.qrels.write_text("".join(f"q1 0 d{n} 0\n" for n in range(1000)))
    local, formats = ir_datasets.util.LocalDownload, ir_datasets.formats
    name = register(Docs(local(files.docs)), formats.TsvQueries(local(files.queries)), formats.TrecQrels(local(files.qrels), {}))
    assert [p.doc_id for p in mv.Pairs.from_irds(name).limit(70)] == [f"d{n}" for n in range(70)]
    assert [len(ids) for ids in asked] == [64, 64]


def test_a_download_that_fails(ir_datasets, register, files):
    util, formats = ir_datasets.util, ir_datasets.formats
    closed = util.Download(
        [util.RequestsDownload("http://127.0.0.1:9/docs.tsv", tries=1)], cache_path=files.docs.with_suffix(".d")
    )
    local = util.LocalDownload
    name = register(formats.TsvDocs(closed), formats.TsvQueries(local(files.queries)), formats.TrecQrels(local(files.qrels), {}))
    pairs = mv.Pairs.from_irds(name)
    with pytest.raises(MechvizError, match=rf"the docs of '{name}' .*IR_DATASETS_HOME.*registry\.register.*from_trec") as caught:
        next(iter(pairs))
    assert caught.value.__cause__ is not None


def test_files_that_are_not_there(register, ir_datasets, files):
    local, formats = ir_datasets.util.LocalDownload, ir_datasets.formats
    name = register(
        formats.TsvDocs(local(files.docs)),
        formats.TsvQueries(local(files.queries.with_name("nowhere"))),
        formats.TrecQrels(local(files.qrels), {}),
    )
    with pytest.raises(MechvizError, match=rf"the queries of '{name}' \(FileNotFoundError"):
        list(mv.Pairs.from_irds(name))


def in_its_own_process(code, home, **environment):
    """Run code with a home of ir_datasets from the start, and every way to the network closed."""
    closed = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    settings = {**os.environ, **closed, "IR_DATASETS_HOME": str(home), "NO_PROXY": "", "no_proxy": "", **environment}
    done = subprocess.run([sys.executable, "-c", code], env=settings, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_real_dataset_that_cannot_be_downloaded(tmp_path):
    code = """
import json, time
import mechviz as mv
pairs = mv.Pairs.from_irds("cranfield")
began = time.monotonic()
try:
    list(pairs)
except mv.MechvizError as error:
    print(json.dumps([str(error), type(error.__cause__).__name__, time.monotonic() - began]))
"""
    message, cause, took = in_its_own_process(code, tmp_path / "home")
    assert "'cranfield'" in message
    assert str(tmp_path / "home") in message
    assert cause == "RuntimeError"
    assert took < 15


def data(*names):
    folder = os.environ.get("MECHVIZ_DATA")
    if not folder:
        pytest.skip("MECHVIZ_DATA is not set: no real collections on this machine")
    return [os.path.join(folder, *name.split("/")) for name in names]


def test_vaswani_by_its_name(tmp_path):
    """The files of the real dataset, put where ir_datasets keeps them."""
    docs, queries, qrels = data("vaswani/doc-text.trec", "vaswani/query-text.trec", "vaswani/qrels")
    home = tmp_path / "home" / "vaswani"
    home.mkdir(parents=True)

    def between(text, start, end):
        return [part.split(end)[0] for part in text.split(start)[1:]]

    with open(docs) as file:
        parts = [part.split("</DOCNO>") for part in between(file.read(), "<DOCNO>", "</DOC>")]
    assert len(parts) == 11429
    (home / "docs.txt").write_text("".join(f"{name}\n{text.strip()}\n   /\n" for name, text in parts))
    with open(queries) as file:
        parts = [part.split("</num><title>") for part in between(file.read(), "<num>", "</title>")]
    assert len(parts) == 93
    (home / "queries.txt").write_text("".join(f"{name}\n{text.strip()}\n/\n" for name, text in parts))
    with open(qrels) as file:
        judged = [line.split() for line in file]
    by_query = {query: [doc for one, _, doc, _ in judged if one == query] for query, *_ in judged}
    (home / "qrels.txt").write_text("".join(f"{query}\n{' '.join(found)}\n   /\n" for query, found in by_query.items()))

    code = """
import json
import mechviz as mv
pairs = mv.Pairs.from_irds("vaswani")
found = list(pairs)
print(json.dumps([len(found), len(list(pairs.queries())), pairs.dropped, found[0].query, found[0].doc[:44], found[0].grade]))
"""
    assert in_its_own_process(code, tmp_path / "home") == [
        2083,
        93,
        {},
        "MEASUREMENT OF DIELECTRIC CONSTANT OF LIQUIDS BY THE USE OF MICROWAVE TECHNIQUES",
        "broadband millimetre wave paramagnetic reson",
        1,
    ]
