import json
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mechviz.corpora import TextPair
from mechviz.errors import InputError, InputTypeError, MechvizError
from mechviz.studies.chunks import windows
from mechviz.studies.parts import PartWriter, encoded
from mechviz.studies.schema import Header

HEADER = Header(
    grid="heads",
    dims=(("layer", 2), ("head", 3)),
    stack="encoder",
    direction="perturbed->original",
    filler="a",
    ranker="toy",
    weights_sha256="0" * 16,
    settings={"layers": None, "chunk": 2},
    versions={"torch": "1"},
)


def changed(**fields) -> Header:
    return Header(**{**{name: getattr(HEADER, name) for name in HEADER.__dataclass_fields__}, **fields})


def stream(count: int = 7, word: str = "d"):
    return list(windows([TextPair("q", f"{word}{number}", f"{word}{number} q") for number in range(count)], 2, 2))


def table(chunk) -> pa.Table:
    rows = [
        {
            "number": number,
            **{name: getattr(pair, name) for name in pair.__dataclass_fields__},
            **{f"{name}_score": float(number) for name in ("original", "perturbed", "base", "source")},
            "length": 5,
            "moved": 1,
            "truncated": "",
            "patched": np.arange(6, dtype=np.float32) + number,
        }
        for number, pair in zip(chunk.numbers, chunk.pairs, strict=True)
    ]
    return pa.Table.from_pylist(rows, schema=HEADER.schema)


def write_all(folder, cut=None, header=HEADER, resume=True) -> list[str]:
    """Write what is missing, and return what that was."""
    written = []
    with PartWriter(folder, header, resume) as parts:
        for window in stream() if cut is None else cut:
            for chunk in parts.missing(window):
                parts.write(chunk, table(chunk))
                written.append(parts.path(chunk).name)
        parts.finish()
    return written


def files(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "parts").iterdir()}


def test_what_is_written_can_be_read_by_anybody_and_is_not_made_again(tmp_path):
    names = write_all(tmp_path / "a" / "b")
    assert sorted(names) == sorted(files(tmp_path / "a" / "b"))
    read = pa.concat_tables([pq.read_table(path) for path in (tmp_path / "a" / "b" / "parts").iterdir()]).sort_by("number")
    assert read["number"].to_pylist() == list(range(7))
    assert read["perturbed"].to_pylist() == [f"d{number} q" for number in range(7)]
    assert read["patched"].to_pylist()[3] == [3, 4, 5, 6, 7, 8]
    before = files(tmp_path / "a" / "b")
    assert write_all(tmp_path / "a" / "b") == []
    assert files(tmp_path / "a" / "b") == before


def test_only_what_is_missing_is_made_and_it_is_the_same(tmp_path):
    names = write_all(tmp_path)
    whole = files(tmp_path)
    for name in names[::2]:
        (tmp_path / "parts" / name).unlink()
    assert sorted(write_all(tmp_path)) == sorted(names[::2])
    assert files(tmp_path) == whole


def cut_off(path):
    path.write_bytes(path.read_bytes()[:-100])


def flip(path):
    content = bytearray(path.read_bytes())
    content[40] ^= 0xFF  # inside the first page
    path.write_bytes(content)


def empty(path):
    path.write_bytes(b"")


def swap(path):
    others = [other for other in path.parent.iterdir() if other != path]
    shutil.copy(min(others), path)


def strip(path):
    pq.write_table(pq.read_table(path).replace_schema_metadata(None), path)


@pytest.mark.parametrize("damage", [cut_off, flip, empty, swap, strip], ids=lambda function: function.__name__)
def test_a_damaged_part_is_named_and_made_again(tmp_path, damage):
    names = write_all(tmp_path)
    whole = files(tmp_path)
    damage(tmp_path / "parts" / names[1])
    with pytest.warns(UserWarning, match=f"{names[1]} is damaged .*: it is made again"):
        assert write_all(tmp_path) == [names[1]]
    assert files(tmp_path) == whole


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"weights_sha256": "1" * 16}, "weights_sha256 is '0000000000000000' there and '1111111111111111' here"),
        ({"grid": "mlps"}, "grid is 'heads' there and 'mlps' here"),
        ({"settings": {"layers": [1], "chunk": 2}}, r"layers is None there and \[1\] here"),
        ({"settings": {"layers": None, "chunk": 3}}, "chunk is 2 there and 3 here"),
        ({"direction": "original->perturbed"}, "direction is"),
        ({"dims": (("layer", 2), ("head", 4))}, "dims is"),
    ],
)
def test_a_folder_of_another_study_says_what_differs(tmp_path, fields, words):
    write_all(tmp_path)
    before = files(tmp_path)
    with pytest.raises(InputError, match=words):
        write_all(tmp_path, header=changed(**fields))
    assert files(tmp_path) == before


def test_other_versions_are_the_same_study(tmp_path):
    write_all(tmp_path)
    assert write_all(tmp_path, header=changed(versions={"torch": "2"})) == []


def test_other_pairs_are_refused_before_any_of_that_window_is_made(tmp_path):
    names = write_all(tmp_path)
    other = stream()[:1] + stream(word="other")[1:]
    with pytest.raises(InputError, match=r"other pairs: what it has of pairs 4 to 6 \(parts/000001-00-"):
        write_all(tmp_path, other)
    assert sorted(files(tmp_path)) == sorted(names)


@pytest.mark.parametrize("count", [3, 6, 8, 12])
def test_fewer_and_more_pairs_are_refused(tmp_path, count):
    # Windows of four: the last one, of three pairs, is another one in each case.
    write_all(tmp_path)
    with pytest.raises(InputError, match="of other pairs"):
        write_all(tmp_path, stream(count))


def test_pairs_that_end_with_a_window_of_a_longer_study_are_refused(tmp_path):
    write_all(tmp_path)
    with pytest.raises(InputError, match="more pairs than were given now: it has 2 parts more"):
        write_all(tmp_path, stream(4))


def test_without_resume_a_study_is_refused_and_an_empty_folder_is_not(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    assert len(write_all(tmp_path, resume=False)) == 4
    with pytest.raises(InputError, match="holds a study already"):
        write_all(tmp_path, resume=False)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_what_a_killed_study_left_half_written_is_cleared_away(tmp_path):
    names = write_all(tmp_path)
    (tmp_path / "parts" / names[0]).unlink()
    half = tmp_path / "parts" / f".{names[0]}.abc"
    half.mkdir()
    (half / names[0]).write_bytes(b"half")
    assert write_all(tmp_path) == [names[0]]
    assert sorted(files(tmp_path)) == sorted(names)


def test_two_studies_do_not_write_one_folder(tmp_path):
    with (
        PartWriter(tmp_path, HEADER, True),
        pytest.raises(InputError, match="running there now"),
        PartWriter(tmp_path, HEADER, True),
    ):
        raise AssertionError("not reached")
    assert len(write_all(tmp_path)) == 4


@pytest.mark.parametrize(
    ("content", "words"), [("{", "cannot be read"), ("[]", "cannot be read"), ('{"format": 99}', "format 99")]
)
def test_settings_that_cannot_be_read(tmp_path, content, words):
    write_all(tmp_path)
    (tmp_path / "study.json").write_text(content)
    with pytest.raises(MechvizError, match=words):
        write_all(tmp_path)


def test_parts_without_settings_are_refused(tmp_path):
    write_all(tmp_path)
    (tmp_path / "study.json").unlink()
    with pytest.raises(InputError, match=r"no study\.json"):
        write_all(tmp_path)


def test_settings_say_what_the_study_is(tmp_path):
    write_all(tmp_path)
    said = json.loads((tmp_path / "study.json").read_text())
    assert said["grid"] == "heads"
    assert said["settings"]["chunk"] == 2
    assert "versions" not in said


@pytest.mark.parametrize(("out", "kind"), [(5, InputTypeError), ("", InputTypeError), (__file__, InputError)])
def test_what_is_no_folder_is_refused(out, kind):
    with pytest.raises(kind, match="folder"), PartWriter(out, HEADER, True):
        raise AssertionError("not reached")


def test_the_bytes_of_a_part_depend_on_its_rows_alone():
    chunk = stream()[0][0]
    assert encoded(table(chunk)) == encoded(table(chunk))


def big(count: int):
    """Pairs whose texts do not compress: some ten thousand bytes a chunk."""
    random = np.random.default_rng(0)
    texts = ["".join(map(chr, random.integers(0x4E00, 0x9FFF, 2500))) for _ in range(count)]
    return list(windows([TextPair("q", text, f"{text} q") for text in texts], 2, 2))


def test_a_file_that_may_not_grow_leaves_whole_parts_and_a_plain_error(tmp_path):
    # The limit on the size of files is a real failure of write(2), without root.
    write_all(tmp_path)
    whole = files(tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(MechvizError, match=r"cannot write .*File too large.*are whole: make room") as failed:
            write_all(tmp_path / "big", big(4))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert isinstance(failed.value.__cause__, OSError)
    assert files(tmp_path / "big") == {}
    assert files(tmp_path) == whole
    assert len(write_all(tmp_path / "big", big(4))) == 2


FULL = """
import sys
sys.path.insert(0, {root!r})
from pathlib import Path
from tests.studies.test_parts import big, files, write_all
from mechviz.errors import MechvizError
folder = Path({folder!r})
try:
    write_all(folder, big(40))
except MechvizError as error:
    print("no space" in str(error).lower(), error.__cause__.errno)
kept = files(folder)
import pyarrow.parquet as pq
print(0 < len(kept) < 20, all(pq.read_table(path).num_rows == 2 for path in (folder / "parts").iterdir()))
"""


def test_a_full_disk_leaves_whole_parts_and_a_plain_error(tmp_path):
    # A file system of its own, of 128 kB; a name space of its own makes that possible without root, where it is allowed.
    mount = "mount -t tmpfs -o size=128k none"
    try:
        tried = subprocess.run(["unshare", "-rm", "sh", "-c", f"{mount} {tmp_path}"], capture_output=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("no unshare on this system")
    if tried.returncode:
        pytest.skip("this system does not let a user mount a file system of its own")
    code = FULL.format(root=str(Path(__file__).parents[2]), folder=str(tmp_path))
    command = f'{mount} {tmp_path} && exec "$0" -c "$1"'
    done = subprocess.run(["unshare", "-rm", "sh", "-c", command, sys.executable, code], capture_output=True, text=True)
    assert done.stdout.split() == ["True", "28", "True", "True"], done.stderr
