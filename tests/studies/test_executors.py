"""The executors give what one process gives, and leave nothing behind. Each test starts real processes: they are few."""

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import psutil
import pytest

import mechviz as mv
from mechviz.errors import InputError, MechvizError
from mechviz.rankers import Ranker
from mechviz.studies.executors.answers import Failure, answer, opened, pack, unpack
from tests.studies.running import close, pairs, parts, ready, study

ROOT = Path(__file__).parents[2]


def workers() -> list[psutil.Process]:
    """The worker processes of this one; multiprocessing's own helper is none."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            command = process.cmdline()
        except psutil.Error:
            continue
        if any("spawn_main" in word for word in command):
            found.append(process)
    return found


def gone(processes, seconds: float = 30) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    return not alive


# -- the ranker travels ----------------------------------------------------------------------------------------------


def test_every_ranker_travels_to_another_process(any_ranker: Ranker):
    copy = pickle.loads(pickle.dumps(any_ranker))
    assert repr(copy) == repr(any_ranker)
    assert copy.weight_hash() == any_ranker.weight_hash()
    assert copy.model is not any_ranker.model
    docs = [pair.doc for pair in pairs()[:3]]
    # Weights that are mapped from a file lie elsewhere in memory than their copies, and additions are ordered by that.
    assert close(copy.score("hot springs", docs), any_ranker.score("hot springs", docs))
    assert copy.hooked.active() == []
    assert copy.hooked.lock is not any_ranker.hooked.lock
    with copy.hooks([("z", lambda value, hook: value * 0)]):
        moved = copy.score("hot springs", docs)
    assert not np.array_equal(moved, copy.score("hot springs", docs))


def test_a_ranker_with_hooks_or_with_a_function_of_the_moment_does_not(cat, cat_folder):
    from mechviz.studies.settings import check_settings, header_of
    from mechviz.studies.unit import Unit

    settings = check_settings({"grid": "heads"})
    with cat.hooks([("z", lambda value, hook: None)]), pytest.raises(InputError, match="hooks set"):
        pack(Unit(cat, header_of(cat, settings, "doc"), settings))
    local = mv.Cat(str(cat_folder), score=lambda logits: logits[:, 0])
    with pytest.raises(InputError, match=r"cannot be sent to another process.*executor='serial'"):
        study(local, executor="process", workers=1)
    assert workers() == []


class OddError(Exception):
    """An error that does not survive pickling: its constructor takes more than it keeps."""

    def __init__(self, one, two):
        super().__init__(one)


@pytest.mark.parametrize("error", [MechvizError("plain"), OddError("odd", 2)], ids=["plain", "odd"])
def test_an_error_of_a_worker_is_raised_here_with_its_place(cat, error):
    class Unit:
        def table(self, chunk):
            raise error

    found = pickle.loads(pickle.dumps(answer(Unit(), "chunk 3")))
    assert isinstance(found, Failure)
    with pytest.raises(MechvizError, match=str(error)) as raised:
        opened(found, "chunk 3")
    (note,) = raised.value.__notes__
    assert "raised by a worker at chunk 3" in note
    assert "in table" in note


def test_a_unit_survives_packing():
    from mechviz.studies.chunks import windows
    from mechviz.studies.settings import check_settings, header_of
    from mechviz.studies.unit import Unit

    ranker, settings = mv.toys.compiled("bm25"), check_settings({"grid": "heads"})
    unit = Unit(ranker, header_of(ranker, settings, "doc"), settings)
    ((chunk,),) = windows(ready()[:3], 4, 1)
    assert unpack(pack(unit)).table(chunk) == unit.table(chunk)


# -- several processes -----------------------------------------------------------------------------------------------


def killing(texts, done: list[int]) -> Iterator:
    """Kill a worker in the middle of the stream."""
    for number, pair in enumerate(texts):
        if number == 16:
            victim = workers()[0]
            victim.kill()
            done.append(victim.pid)
        yield pair


def test_processes_give_the_same_bytes_also_when_one_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr("mechviz.studies.run.WINDOW", 4)
    ranker = mv.toys.compiled("bm25")
    study(ranker, out=tmp_path / "serial", chunk=2)
    killed: list[int] = []
    study(ranker, killing(ready(), killed), out=tmp_path / "process", executor="process", workers=2, chunk=2)
    assert len(killed) == 1
    assert parts(tmp_path / "process") == parts(tmp_path / "serial")
    assert workers() == []


def kill_worker(logits):
    """A score that no worker survives."""
    if multiprocessing.parent_process() is not None:
        os.kill(os.getpid(), signal.SIGKILL)
    return logits[:, 0]


def test_a_chunk_that_kills_its_workers_is_named(cat_folder, tmp_path):
    ranker = mv.Cat(str(cat_folder), score=kill_worker)
    with pytest.raises(MechvizError, match=r"2 workers died.*exit code -9.*chunk 0 of window 0 \(pairs"):
        study(ranker, executor="process", workers=1, out=tmp_path)
    assert parts(tmp_path) == {}
    assert workers() == []
    assert study(ranker, out=tmp_path).n_used == len(ready())


def interrupting(texts, seen: list) -> Iterator:
    """Be interrupted while workers are at work."""
    for number, pair in enumerate(texts):
        if number == 16:
            seen.extend(workers())
            raise KeyboardInterrupt
        yield pair


def test_an_interrupt_ends_all_workers(cat, tmp_path, monkeypatch):
    monkeypatch.setattr("mechviz.studies.run.WINDOW", 4)
    seen: list[psutil.Process] = []
    with pytest.raises(KeyboardInterrupt):
        study(cat, interrupting(ready(), seen), executor="process", workers=1, chunk=2, out=tmp_path)
    assert len(seen) == 1
    assert gone(seen)
    assert 0 < len(parts(tmp_path)) < 13


ORPHANS = """
import os, signal, sys
sys.path.insert(0, {root!r})
import psutil
import mechviz as mv
from tests.studies.running import ready, study
from tests.studies.test_executors import workers
def dying():
    for number, pair in enumerate(ready() * 4):
        if number == 64:
            print(*[process.pid for process in workers()], flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        yield pair
if __name__ == "__main__":
    study(mv.toys.compiled("bm25"), dying(), executor="process", workers=1, chunk=4, out={out!r})
"""


def test_workers_do_not_outlive_a_parent_that_is_killed(tmp_path):
    # The program comes from stdin: workers of an interactive session have no file to import.
    code, temporary = ORPHANS.format(root=str(ROOT), out=str(tmp_path / "out")), tmp_path / "tmp"
    temporary.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary)}
    done = subprocess.run([sys.executable, "-"], input=code, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == -signal.SIGKILL, done.stderr
    (pid,) = map(int, done.stdout.split())
    deadline = time.monotonic() + 30
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    assert len(parts(tmp_path / "out")) > 0
    assert not list(temporary.glob("mechviz-*"))  # the ranker that was sent to the worker


def test_a_script_without_a_guard_is_told_so(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "import mechviz as mv\n"
        "mv.study(mv.toys.compiled('bm25'), [('lava', 'Lava is hot.', 'Lava is lava.')], executor='process', workers=1)\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert "if __name__ == '__main__'" in done.stderr


# -- Ray -------------------------------------------------------------------------------------------------------------


def test_without_ray_the_error_says_how_to_get_it(cat, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MechvizError, match=r'pip install "mechviz-ir\[ray\]"'):
        study(cat, executor="ray")


@pytest.fixture(scope="module")
def cluster():
    """Ray as the executor itself starts it, alive for these tests: to the studies it is the user's own cluster."""
    ray = pytest.importorskip("ray", reason="Ray is not installed (extra: ray)")
    from mechviz.studies.executors.ray import _local

    # Workers import this module, to find what it gave the ranker.
    before, os.environ["PYTHONPATH"] = os.environ.get("PYTHONPATH"), str(ROOT)
    with ExitStack() as stack:
        for left in (2, 1, 0):  # Ray waits 30 seconds for its own start, which a busy machine may need more than once
            try:
                stack.enter_context(_local(ray, 2, 0))
                break
            except MechvizError:
                if not left:
                    raise
        yield ray
    os.environ.pop("PYTHONPATH") if before is None else os.environ.__setitem__("PYTHONPATH", before)
    assert not ray.is_initialized()


def test_ray_gives_the_same_bytes_and_leaves_the_users_cluster_alone(cluster, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr("mechviz.studies.executors.ray.SPAN", 4)  # two datasets, one after the other
    ranker = mv.toys.compiled("bm25")
    study(ranker, out=tmp_path / "serial", chunk=2)
    capfd.readouterr()
    study(ranker, out=tmp_path / "ray", executor="ray", workers=2, chunk=2)
    assert capfd.readouterr().err == ""
    assert parts(tmp_path / "ray") == parts(tmp_path / "serial")
    assert cluster.is_initialized()


def test_a_local_cluster_listens_on_this_machine_alone(cluster):
    me = psutil.Process()
    mine = {me.pid, *(process.pid for process in me.children(recursive=True))}
    listening = [one for one in psutil.net_connections("inet") if one.status == psutil.CONN_LISTEN and one.pid in mine]
    assert len(listening) > 2
    assert {one.laddr.ip.removeprefix("::ffff:") for one in listening} <= {"127.0.0.1", "::1"}


def test_an_error_of_an_actor_is_raised_here(cluster, cat_folder):
    ranker = mv.Cat(str(cat_folder), score=fail_in_actor)
    with pytest.raises(InputError, match="not in an actor") as raised:
        study(ranker, ready()[:2], executor="ray", workers=1, on_error="raise")
    assert "raised by a worker" in raised.value.__notes__[0]


def fail_in_actor(logits):
    """A score that fails in every process but the first one."""
    if os.environ.get("RAY_JOB_ID"):
        raise ValueError("not in an actor")
    return logits[:, 0]


def test_more_workers_than_the_cluster_has_room_for_are_refused(cluster, cat):
    with pytest.raises(InputError, match="too few for 9 workers"):
        study(cat, executor="ray", workers=9)
    with pytest.raises(InputError, match="0 GPUs"):
        study(cat, executor="ray", num_gpus=1)


def test_a_cluster_of_the_studys_own_is_started_once_and_shut_down(cat, tmp_path, monkeypatch):
    ray = pytest.importorskip("ray", reason="Ray is not installed (extra: ray)")
    from contextlib import contextmanager

    from mechviz.studies.executors import ray as executor

    said = []

    @contextmanager
    def local(given, workers, num_gpus):
        said.append(("start", workers, num_gpus))
        raise MechvizError("as far as this test goes")
        yield

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(executor, "_local", local)
    with pytest.raises(MechvizError, match="as far as this"):
        study(cat, executor="ray", workers=3, out=tmp_path)
    assert said == [("start", 3, 0)]
    study(cat, out=tmp_path)
    assert study(cat, executor="ray", workers=3, out=tmp_path).n_used == len(ready())  # nothing left: no cluster
    assert said == [("start", 3, 0)]
