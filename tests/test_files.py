import os
import stat

import pytest

from mechviz.errors import InputError, InputTypeError
from mechviz.files import replacing


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "x.html"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError), replacing(path) as part:
        part.write_text("half \ud800", encoding="utf-8")
    assert path.read_text() == "old"
    with replacing(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["x.html"]


def test_it_has_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "plain").write_text("x")
    with replacing(tmp_path / "ours") as part:
        part.write_text("x")
    assert stat.S_IMODE(os.stat(tmp_path / "ours").st_mode) == stat.S_IMODE(os.stat(tmp_path / "plain").st_mode)


@pytest.mark.parametrize(("name", "words"), [("nowhere/x", "no folder"), (".", "names a folder"), ("", "names a folder")])
def test_a_path_that_cannot_be_written(tmp_path, monkeypatch, name, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=words), replacing(name):
        raise AssertionError("not reached")


def test_what_is_no_path_is_refused():
    with pytest.raises(InputTypeError, match="None"), replacing(None):
        raise AssertionError("not reached")
