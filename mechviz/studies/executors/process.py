"""Several processes on this machine, each with a copy of the ranker and one thread of torch.

They are spawned, not forked: a fork of a process in which torch has run threads may hang. Each has a pipe of its own, so that
one that dies is known at once and by the chunk that it held.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path

import pyarrow as pa
import torch

from mechviz.errors import MechvizError
from mechviz.studies.chunks import Chunk
from mechviz.studies.executors.answers import Failure, answer, opened, pack, unpack
from mechviz.studies.unit import Unit

#: How often a chunk may be begun: a worker that dies takes its chunk with it, and a fresh one does it again.
TRIES = 2
#: Seconds that a worker has to end after it was told to, before it is killed.
_PATIENCE = 5.0


class Processes:
    """Executor: so many processes at once.

    Parameters
    ----------
    workers : int
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def __call__(self, unit: Unit, chunks: Iterator[Chunk]) -> Iterator[tuple[Chunk, pa.Table]]:
        """Yield each chunk with its table, in the order in which they are done.

        Raises
        ------
        InputError
            The ranker cannot be sent to another process.
        MechvizError
            Workers cannot be started, or die twice over one chunk, which is named.
        """
        with tempfile.TemporaryDirectory(prefix="mechviz-") as folder:
            packed = Path(folder) / "unit"
            # In a file, not in a pipe: a pipe would hold the start of the next worker until this one has read it all.
            packed.write_bytes(pack(unit))
            team = _Team(packed)
            try:
                for chunk in chunks:
                    while team.size >= self.workers and not team.idle:
                        yield from team.collect()
                    team.give(chunk)
                while team.busy:
                    yield from team.collect()
            finally:
                team.dismiss()


class _Worker:
    """One process and the pipe to it."""

    def __init__(self, packed: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(packed, theirs), name="mechviz worker", daemon=True)
        with _importable_main():
            self.process.start()
        theirs.close()  # with this copy open, the pipe would not end when the worker does
        self.started = False
        self.chunk: Chunk | None = None

    def end(self) -> int | None:
        """End the process and return its exit code."""
        self.pipe.close()
        self.process.terminate()
        self.process.join(_PATIENCE)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
        return self.process.exitcode


@contextmanager
def _importable_main() -> Iterator[None]:
    """Hide the file of the main program where there is none: ``<stdin>``, which a worker would look for."""
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None)
    if file is None or Path(file).exists():
        yield
        return
    del main.__file__
    try:
        yield
    finally:
        main.__file__ = file


class _Team:
    """The workers that there are, and what each is doing."""

    def __init__(self, packed: Path) -> None:
        self._packed = packed
        self._workers: list[_Worker] = []
        self._tries: dict[str, int] = {}

    @property
    def size(self) -> int:
        return len(self._workers)

    @property
    def idle(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.chunk is None]

    @property
    def busy(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.chunk is not None]

    def give(self, chunk: Chunk) -> None:
        """Give a chunk to an idle worker, or to a new one."""
        if not self.idle:
            self._workers.append(_Worker(self._packed))
        worker = self.idle[0]
        worker.chunk = chunk
        with suppress(OSError):  # it died while it was idle, which `collect` sees
            worker.pipe.send(chunk)

    def collect(self) -> Iterator[tuple[Chunk, pa.Table]]:
        """Wait until a worker answers or dies, and yield the chunks that are done."""
        ready = wait([worker.pipe for worker in self.busy])
        for worker in [worker for worker in self.busy if worker.pipe in ready]:
            found = self._received(worker)
            if found is None:
                self._replace(worker)
            elif not isinstance(found, _Started):
                chunk, worker.chunk = worker.chunk, None
                assert chunk is not None
                self._tries.pop(str(chunk), None)
                yield chunk, opened(found, chunk)

    def dismiss(self) -> None:
        """End all workers."""
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.end()
        self._workers.clear()

    def _received(self, worker: _Worker) -> pa.Table | Failure | _Started | None:
        """Return what a worker sent; None if it died, which can be in the middle of a message."""
        try:
            found = worker.pipe.recv()
        except (EOFError, OSError):
            return None
        worker.started = True
        return found

    def _replace(self, worker: _Worker) -> None:
        """Give the chunk of a dead worker to a fresh one."""
        self._workers.remove(worker)
        worker.process.join(_PATIENCE)  # its pipe ends a little before it does, and its own exit code is wanted
        chunk, code = worker.chunk, worker.end()
        assert chunk is not None
        if not worker.started and (code or 0) >= 0:  # no signal ended it: the next one would fail alike
            raise MechvizError(
                f"a worker process ended with code {code} before it began (see what it wrote above). A script that starts "
                "workers must do so under: if __name__ == '__main__'; or use executor='serial'"
            )
        self._tries[str(chunk)] = tries = self._tries.get(str(chunk), 1) + 1
        if tries > TRIES:
            raise MechvizError(
                f"{TRIES} workers died one after the other (exit code {code}) over {chunk}; if memory ran out, give fewer "
                "workers or a smaller chunk. Parts that are written are kept: the same call goes on from there"
            )
        self.give(chunk)


class _Started:
    """What a worker says first: it has the ranker."""


def _serve(packed: Path, pipe: Connection) -> None:
    """Answer chunks until the pipe ends; the whole life of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all of a terminal's processes; the first one ends the others
    threading.Thread(target=_leave_with_parent, args=(packed.parent,), daemon=True).start()
    torch.set_num_threads(1)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    unit = unpack(packed.read_bytes())
    pipe.send(_Started())
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            pipe.send(answer(unit, pipe.recv()))


def _leave_with_parent(folder: Path) -> None:
    """End this process when its parent does, whatever ended that, and clear away the folder that the parent could not."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(1)
