import numpy as np
import pytest

import mechviz as mv
from mechviz import cli
from mechviz.errors import InputError, MechvizError
from mechviz.studies.toml import run_file
from tests.studies.running import pairs, parts, rows
from tests.texts import FIXTURES


@pytest.fixture
def folder(tmp_path, cat_folder):
    """A folder with a ranker and a collection in it."""
    (tmp_path / "ranker").symlink_to(cat_folder)
    mv.Pairs(pairs()).to_tsv(tmp_path / "pairs.tsv")
    return tmp_path


def write(folder, text: str, name: str = "tfc1.toml"):
    path = folder / name
    path.write_text(text)
    return path


TSV = """
ranker = "ranker"
chunk = 4
grid = "heads"
[pairs]
tsv = {path = "pairs.tsv", text = "doc"}
[perturb]
kind = "append"
text = "volcano"
"""


def test_a_file_says_what_a_call_says(folder, cat):
    run_file(write(folder, TSV), progress=False)
    assert rows(folder / "tfc1")["perturbed"].to_pylist() == [f"{pair.doc} volcano" for pair in pairs()]
    ranker = mv.Cat(str(folder / "ranker"))
    mv.study(ranker, pairs(), mv.perturb.append("volcano"), chunk=4, out=folder / "call", progress=False)
    assert rows(folder / "call").drop("run_score") == rows(folder / "tfc1").drop("run_score")


def test_the_command_runs_prints_and_goes_on(folder, capsys):
    path = write(folder, TSV)
    assert cli.main(["study", str(path), "--top", "3"]) == 0
    shown = capsys.readouterr()
    assert "25/25" in shown.err
    whole = parts(folder / "tfc1")
    name = sorted(whole)[1]
    (folder / "tfc1" / "parts" / name).unlink()
    assert cli.main(["study", str(path), "--top", "3", "--quiet"]) == 0
    again = capsys.readouterr()
    assert again.err == ""
    assert again.out == shown.out
    assert parts(folder / "tfc1") == whole
    study = mv.Study.load(folder / "tfc1")
    lines = [line for line in shown.out.splitlines() if line.startswith("  layer")]
    best = np.argsort(-np.abs(study.effects.values.ravel()), kind="stable")[:3]
    assert len(lines) == 3
    for line, at in zip(lines, best, strict=True):
        layer, head = np.unravel_index(at, study.effects.shape)
        assert f"layer {layer}, head {head} " in line
        assert f"{study.effects.values.ravel()[at]:+.3f}" in line
        assert f"{study.interval['low'].values.ravel()[at]:+.3f}" in line
    assert f"{study.n_used} used" in shown.out
    assert str((folder / "tfc1").resolve()) in shown.out


def test_why_pairs_were_dropped_is_printed(folder, capsys):
    path = write(folder, TSV.replace('kind = "append"\ntext = "volcano"', 'kind = "replace"\nold = "caldera"\nnew = "basin"'))
    assert cli.main(["study", str(path), "--quiet"]) == 0
    out = capsys.readouterr().out
    study = mv.Study.load(folder / "tfc1")
    assert study.n_dropped > 0
    assert f"{study.n_dropped} dropped" in out
    for reason, count in study.dropped.items():
        assert f"{count:6d}  {reason}" in out


def test_settings_pairs_and_axioms_by_name(folder):
    text = """
    ranker = {name = "ranker", max_length = 100}
    out = "elsewhere"
    grid = "mlps"
    direction = "original->perturbed"
    metric = "raw"
    layers = [0, 2]
    pairs = {tsv = {path = "pairs.tsv", text = "doc"}, sample = 9, seed = 1, limit = 6}
    perturb = [{axiom = "tfc1"}, {kind = "prepend", text = "lava", on = "query"}]
    """
    study = run_file(write(folder, text), progress=False)
    found = rows(folder / "elsewhere")
    assert found.num_rows == 12
    assert found["side"].to_pylist() == ["doc", "query"] * 6
    drawn = [pair.doc for pair in mv.Pairs(pairs()).sample(9, 1).limit(6)]
    assert found["query_id"].to_pylist()[::2] == [pair.query_id for pair in mv.Pairs(pairs()).sample(9, 1).limit(6)]
    assert len(drawn) == 6
    assert study.analysis.metric == "raw"
    assert (study.header.grid, study.header.direction) == ("mlps", "original->perturbed")
    assert "max_length=100" in study.header.settings["reads"]
    assert all(np.isnan(row[1]) for row in found["patched"].to_pylist() if row is not None)


def test_statistics_of_the_documents_for_who_needs_them(folder):
    text = TSV.replace('kind = "append"\ntext = "volcano"', 'kind = "append_query_term"\nwhich = "rarest"\nstatistics = "docs"')
    run_file(write(folder, text), progress=False)
    statistics = mv.TermStatistics.of(dict.fromkeys(pair.doc for pair in pairs()))
    wanted = mv.perturb.append_query_term("rarest", statistics)
    for row, pair in zip(rows(folder / "tfc1").to_pylist(), pairs(), strict=True):
        if row["perturbed"] is not None:
            assert row["perturbed"] == wanted.apply(pair.query, pair.doc)


def test_trec_files(folder):
    for name in ("docs.tsv", "queries.tsv", "qrels"):
        (folder / name).write_bytes((FIXTURES / "collection" / name).read_bytes())
    text = """
    ranker = "ranker"
    pairs = {trec = {qrels = "qrels", docs = "docs.tsv", queries = "queries.tsv"}, limit = 4}
    perturb = {kind = "append", text = "lava"}
    """
    run_file(write(folder, text), progress=False)
    assert rows(folder / "tfc1")["doc"].to_pylist() == [pair.doc for pair in pairs()[:4]]
    assert rows(folder / "tfc1")["grade"].to_pylist() == [pair.grade for pair in pairs()[:4]]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('grid = "heads"', 'gird = "heads"', "unknown keys gird; there are ranker, pairs"),
        ('path = "pairs.tsv"', 'file = "pairs.tsv"', "tsv has the unknown keys file; there are path, columns"),
        ("[pairs]", "[pairs]\nlimits = 3", "pairs has the unknown keys limits; there are irds, tsv, trec"),
        ('text = "volcano"', 'word = "volcano"', "append has the unknown keys word; there are text"),
        ('text = "volcano"', "", "append needs text"),
        ('kind = "append"', 'kind = "on_query"', "needs kind, one of add_sentences, append"),
        ('kind = "append"', 'kind = "__class__"', "needs kind"),
        ('kind = "append"', 'kind = "wordnet"', "unknown keys text"),
        ('kind = "append"', 'on = "title"\nkind = "append"', "on='title'"),
        ('kind = "append"', 'axiom = "TFC9"', "there is no axiom 'TFC9'"),
        ('kind = "append"', 'axiom = "TFC1"', "TFC1 has no parameter 'text'"),
        ('ranker = "ranker"', "", "has no ranker"),
        ('ranker = "ranker"', "ranker = {max_length = 9}", "needs the name of a ranker"),
        ('ranker = "ranker"', "ranker = 5", "ranker must be a table"),
        ('tsv = {path = "pairs.tsv", text = "doc"}', "", "must have one of irds, tsv, trec; it has none"),
        ('tsv = {path = "pairs.tsv"', 'irds = "vaswani"\ntsv = {path = "pairs.tsv"', "it has irds, tsv"),
        ("[pairs]", "[pairs]\nseed = 3", "seed is for sample"),
        ("chunk = 4", "chunk = ", "is no TOML"),
        ("chunk = 4", "chunk = 0", "chunk=0"),
        ("chunk = 4", 'executor = "threads"', "executor='threads'"),
    ],
)
def test_what_cannot_be_is_named(folder, capsys, old, new, words):
    assert old in TSV
    path = write(folder, TSV.replace(old, new))
    with pytest.raises(MechvizError, match=words):
        run_file(path, progress=False)
    assert cli.main(["study", str(path), "--quiet"]) == 1
    assert capsys.readouterr().err.startswith("mechviz: ")
    assert not (folder / "tfc1").exists()


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.toml cannot be read"):
        run_file(tmp_path / "nowhere.toml")


def test_an_interrupt_says_that_the_study_goes_on(folder, monkeypatch, capsys):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("mechviz.studies.toml.run_file", stopped)
    assert cli.main(["study", str(write(folder, TSV))]) == 130
    assert "goes on with the same command" in capsys.readouterr().err


def test_a_study_without_a_pair_that_can_be_used_says_why(folder, capsys):
    path = write(folder, TSV.replace('kind = "append"\ntext = "volcano"', 'kind = "replace"\nold = "xyzzy"\nnew = "basin"'))
    assert cli.main(["study", str(path), "--quiet"]) == 0
    out = capsys.readouterr().out
    assert "0 used" in out
    assert "25  " in out
    assert "no pair can be used" in out
