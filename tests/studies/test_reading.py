"""A study's folder: what is read of it, and what is refused or left out."""

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mechviz.errors import InputError, InputTypeError, MechvizError
from mechviz.studies.folder import Study
from mechviz.studies.schema import FORMAT, Header, part_schema
from tests.studies.made import CLASSES, HEADER, headline, made, write_part

FAST = {"draws": 200, "flips": 500}


def test_a_header_comes_back_as_it_was():
    assert Header.of(CLASSES.schema) == CLASSES
    assert CLASSES.schema.metadata[b"mechviz"].startswith(b'{"format": 1')
    assert CLASSES.schema.names == part_schema(6).names
    with pytest.raises(MechvizError, match="no header of mechviz"):
        Header.of(part_schema(6))
    other = replace(CLASSES, dims=(("layer", 7),)).schema.metadata
    with pytest.raises(MechvizError, match="its columns are"):
        Header.of(part_schema(6).with_metadata(other))
    newer = CLASSES.schema.metadata[b"mechviz"].replace(b'"format": %d' % FORMAT, b'"format": 99')
    with pytest.raises(MechvizError, match="it has format 99, this mechviz reads 1"):
        Header.of(part_schema(6).with_metadata({b"mechviz": newer}))
    with pytest.raises(MechvizError, match="its header cannot be read"):
        Header.of(part_schema(6).with_metadata({b"mechviz": b'{"format": 1}'}))


def flip(path, at):
    content = bytearray(path.read_bytes())
    content[at] ^= 0xFF
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("harm", ["cut", "empty", "text", "flipped", "infinite", "missing"])
def test_broken_parts_are_named_and_left_out(tmp_path, harm):
    pairs = made(18)
    pairs.write(tmp_path, 10)
    path = tmp_path / "parts" / "000010.parquet"
    if harm == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif harm == "empty":
        path.write_bytes(b"")
    elif harm == "text":
        path.write_text("not a table")
    elif harm == "flipped":
        flip(path, path.stat().st_size // 3)
    else:
        rows = pairs.rows()[10:20]
        if harm == "infinite":
            rows[3]["patched"][2] = np.inf
        else:
            rows[3]["query_id"] = None
        write_part(tmp_path, rows, HEADER, path.name, strict=False)
    with pytest.warns(UserWarning, match=r"1 broken parts of .* are left out: 000010.parquet \(.+\)"):
        study = Study.load(tmp_path, **FAST)
    assert list(study.broken) == ["000010.parquet"]
    assert study.n_used == 30
    assert study.effects.values.ravel()[1] == pytest.approx(headline(pairs, 1, [*range(10), *range(20, 40)]))
    assert "1 broken parts are left out: 000010.parquet" in repr(study)


def test_all_bytes_of_a_part_are_watched(tmp_path):
    """Wherever a byte is damaged, the part is found broken, or nothing of it changed."""
    pairs = made(19, pairs=5, queries=5)
    pairs.write(tmp_path, 5)
    path = tmp_path / "parts" / "000000.parquet"
    content = path.read_bytes()
    expected = Study.load(tmp_path).to_dataframe()
    rng = np.random.default_rng(0)
    broken = 0
    for at in rng.integers(0, len(content), 60):
        path.write_bytes(content)
        flip(path, at)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found = Study.load(tmp_path)
            except MechvizError:
                broken += 1
            else:
                pd.testing.assert_frame_equal(found.to_dataframe(), expected)
    assert broken > 20


def test_what_is_no_study_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"holds no study \(it has no folder parts\)"):
        Study.load(tmp_path)
    with pytest.raises(InputTypeError, match="not 3"):
        Study.load(3)
    tmp_path.joinpath("parts").mkdir()
    with pytest.raises(MechvizError, match=r"has no finished part\. Run the same"):
        Study.load(tmp_path)
    tmp_path.joinpath("parts", "a.parquet").write_text("no")
    with pytest.raises(MechvizError, match=r"has no finished part; broken: a.parquet \("):
        Study.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"weights_sha256": "f" * 16}, "weights_sha256 '0123456789abcdef' and 'ffffffffffffffff'"),
        ({"filler": "the", "ranker": "other"}, "filler 'a' and 'the'; ranker 'tiny' and 'other'"),
        ({"dims": (("layer", 3), ("head", 2))}, "dims"),
        ({"settings": {"layers": [1]}}, "settings"),
    ],
)
def test_parts_of_two_studies_are_refused(tmp_path, change, said):
    made(20).write(tmp_path, 20)
    pairs = made(21, header=replace(HEADER, **change))
    pairs.columns["number"] = list(range(40, 80))
    pairs.write(tmp_path, 20, prefix="other")
    with pytest.raises(MechvizError, match=f"000000.parquet and other000000.parquet .* are of different studies: {said}"):
        Study.load(tmp_path)


def test_parts_of_two_versions_are_one_study(tmp_path):
    made(20).write(tmp_path, 20)
    pairs = made(21, header=replace(HEADER, versions={"mechviz": "1"}))
    pairs.columns["number"] = list(range(40, 80))
    pairs.write(tmp_path, 20, prefix="other")
    assert Study.load(tmp_path).n_used == 80


def test_a_pair_counts_once(tmp_path):
    pairs = made(22)
    pairs.write(tmp_path, 20)
    pairs.write(tmp_path, 20, prefix="again")
    with pytest.raises(MechvizError, match=r"pair 0 is in 000000\.parquet and again in again000000\.parquet \(40 such pairs"):
        Study.load(tmp_path)


def test_files_that_are_being_written_are_no_parts(tmp_path):
    pairs = made(23)
    pairs.write(tmp_path)
    tmp_path.joinpath("parts", ".half.parquet").write_text("half")
    tmp_path.joinpath("parts", "notes.txt").write_text("mine")
    assert Study.load(tmp_path).broken == {}
