import subprocess
import sys

import pytest

from mechviz import cli
from mechviz.toys import shipped
from tests.conftest import save_dot
from tests.toys import made


def test_the_demo_on_a_named_ranker(tmp_path, capsys):
    folder = save_dot(tmp_path / "dot", max_position_embeddings=512)
    assert cli.main(["demo", "--out", str(tmp_path / "demo.html"), "--ranker", str(folder)]) == 0
    out = capsys.readouterr().out
    assert "score " in out
    assert "layer " in out
    assert str((tmp_path / "demo.html").resolve()) in out
    assert (tmp_path / "demo.html").stat().st_size > 50_000


def test_the_demo_on_a_toy_that_comes_with_mechviz(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(shipped, "WEIGHTS", made.weights(tmp_path / "weights"))
    assert cli.main(["demo", "--out", str(tmp_path / "demo.html")]) == 0
    assert "Cat('toy/cat', " in capsys.readouterr().out
    assert cli.main(["demo", "--out", str(tmp_path / "dot.html"), "--ranker", "toy/dot"]) == 0
    assert "Dot('toy/dot', " in capsys.readouterr().out


def test_a_toy_that_is_not_there_lists_those_that_are(tmp_path, capsys):
    assert cli.main(["demo", "--out", str(tmp_path / "demo.html"), "--ranker", "toy/xyz"]) == 1
    assert "toy/cat, toy/dot" in capsys.readouterr().err


def test_an_error_of_ours_is_one_line(tmp_path, capsys):
    assert cli.main(["demo", "--out", str(tmp_path / "x.html"), "--ranker", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("mechviz: ")


def test_help_and_version(capsys):
    for argument in ("--help", "--version"):
        with pytest.raises(SystemExit) as stopped:
            cli.main([argument])
        assert stopped.value.code == 0
    assert "mechviz" in capsys.readouterr().out


def test_it_runs_as_a_module():
    done = subprocess.run([sys.executable, "-m", "mechviz.cli", "demo", "--help"], capture_output=True, text=True, check=True)
    assert "--ranker" in done.stdout
