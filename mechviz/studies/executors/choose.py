"""The executors by name, and what they all are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Protocol

import pyarrow as pa

from mechviz.errors import InputError, shown
from mechviz.studies.chunks import Chunk
from mechviz.studies.executors import process, ray, serial
from mechviz.studies.unit import Unit
from mechviz.text.checks import whole_number

EXECUTORS = ("serial", "process", "ray")


class Executor(Protocol):
    """Works on chunks, taking them one by one as it can, and yields each with its table in the order in which they are done."""

    def __call__(self, unit: Unit, chunks: Iterator[Chunk]) -> Iterator[tuple[Chunk, pa.Table]]:
        """Yield a table for each chunk; closing the iterator ends all that was started."""


def choose(name: object, workers: int | None, num_gpus: float) -> Executor:
    """Return an executor by its name.

    Parameters
    ----------
    name : str
        One of `EXECUTORS`.
    workers : int or None
        How many chunks are worked on at once; None for one a core (``ray``: one a core or GPU of the cluster).
    num_gpus : float
        GPUs of one worker, for ``ray``.

    Raises
    ------
    InputError
    """
    if name not in EXECUTORS:
        raise InputError(f"executor={shown(name)}; mechviz has {', '.join(map(repr, EXECUTORS))}")
    if workers is not None:
        whole_number("workers", workers)
    if isinstance(num_gpus, bool) or not isinstance(num_gpus, (int, float)) or num_gpus < 0:
        raise InputError(f"num_gpus={shown(num_gpus)}; give how many GPUs one worker has, such as 1 or 0.5")
    if name != "ray" and num_gpus:
        raise InputError(f"num_gpus={num_gpus} is for executor='ray'; {name!r} runs the ranker on the device where it lies")
    if name == "serial":
        if workers not in (None, 1):
            raise InputError(f"workers={workers}: executor='serial' is one; use executor='process'")
        return serial.run
    if name == "process":
        return process.Processes(workers or os.cpu_count() or 1)
    return ray.Cluster(workers, num_gpus)
