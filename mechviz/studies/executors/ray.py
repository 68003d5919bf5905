"""A Ray cluster: Ray Data's ``map_batches`` with an actor that holds the ranker.

The cluster is the one that this program is connected to (``ray.init``); where there is none, one is started on this machine
for the time of the study, which listens on the loopback interface alone.
"""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import islice
from typing import Any

import pyarrow as pa
import torch
from torch import nn

from mechviz.errors import InputError, MechvizError
from mechviz.studies.chunks import Chunk
from mechviz.studies.executors.answers import answer, opened, pack, unpack
from mechviz.studies.unit import Unit

#: Chunks for each worker in one dataset. The stream may be longer than memory: it is worked off one dataset after the other,
#: and the actors are started anew for each.
SPAN = 64
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}


class Cluster:
    """Executor: so many actors at once.

    Parameters
    ----------
    workers : int or None
        None for as many as the cluster has cores, or GPUs where a worker has any.
    num_gpus : float
        GPUs of one worker.
    """

    def __init__(self, workers: int | None, num_gpus: float) -> None:
        self.workers, self.num_gpus = workers, num_gpus

    def __call__(self, unit: Unit, chunks: Iterator[Chunk]) -> Iterator[tuple[Chunk, pa.Table]]:
        """Yield each chunk with its table, in the order in which they are done.

        Raises
        ------
        InputError
            The ranker cannot be sent to another process, or the cluster has no room for so many workers.
        MechvizError
            Ray is not installed, or lost a chunk.
        """
        ray = _import()
        packed = pack(unit)
        chunk = next(chunks, None)
        if chunk is None:
            return
        with ExitStack() as stack:
            if not ray.is_initialized():
                stack.enter_context(_local(ray, self.workers, self.num_gpus))
            stack.enter_context(_quiet(ray))
            workers, sent = self._fitting(ray), ray.put(packed)
            while chunk is not None:
                span = [chunk, *islice(chunks, SPAN * workers - 1)]
                yield from self._span(ray, sent, span, min(workers, len(span)))
                chunk = next(chunks, None)

    def _span(self, ray: Any, sent: Any, span: list[Chunk], workers: int) -> Iterator[tuple[Chunk, pa.Table]]:
        rows = [{"chunk": place, "packed": pickle.dumps(chunk)} for place, chunk in enumerate(span)]
        answers = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            Actor,
            fn_constructor_args=([sent], self.num_gpus > 0),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=workers),
            num_cpus=1,
            num_gpus=self.num_gpus or None,
        )
        left = dict(enumerate(span))
        for row in answers.iter_rows():
            chunk = left.pop(int(row["chunk"]))
            yield chunk, opened(pickle.loads(row["answer"]), chunk)  # noqa: S301  # bytes of our own actor
        if left:
            raise MechvizError(f"Ray gave no answer for {next(iter(left.values()))}; run the study again: it goes on from there")

    def _fitting(self, ray: Any) -> int:
        """Return how many workers the cluster takes."""
        there = ray.cluster_resources()
        room = int(there.get("GPU", 0) / self.num_gpus) if self.num_gpus else int(there.get("CPU", 0))
        if room < (self.workers or 1):
            has = f"{there.get('CPU', 0):g} cores and {there.get('GPU', 0):g} GPUs"
            raise InputError(
                f"the Ray cluster has {has}: too few for {self.workers or 1} workers with a core and {self.num_gpus:g} GPUs "
                "each; give fewer workers, or connect to a larger cluster with ray.init"
            )
        return self.workers or room


class Actor:
    """What `map_batches` keeps alive: the ranker, ready to answer chunks.

    Parameters
    ----------
    sent : list of one reference
        To the packed unit; in a list, because Ray would fetch a bare one anew for each batch.
    gpu : bool
        Whether the ranker goes to the GPU that Ray gave.
    """

    def __init__(self, sent: list[Any], gpu: bool) -> None:
        self.unit = unpack(_import().get(sent[0]))
        if gpu:
            for module in (*(tower.model for tower in self.unit.ranker.models), self.unit.ranker.extra):
                nn.Module.to(module, "cuda")
        torch.set_num_threads(1)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Answer the one chunk of a batch."""
        chunk: Chunk = pickle.loads(batch["packed"][0])  # noqa: S301  # bytes of our own
        return {"chunk": [batch["chunk"][0]], "answer": [pickle.dumps(answer(self.unit, chunk))]}


def _import() -> Any:
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MechvizError(
            f"executor='ray' needs Ray Data ({error}): pip install \"mechviz-ir[ray]\"; or use executor='process'"
        ) from error
    return ray


@contextmanager
def _local(ray: Any, workers: int | None, num_gpus: float) -> Iterator[None]:
    """Start a cluster on this machine that nobody else can reach, and shut it down after.

    Raises
    ------
    MechvizError
        This version of Ray would listen on the network.
    """
    from ray._private import ray_constants

    with ExitStack() as stack:
        for name, value in _QUIET.items():
            stack.callback(_restore, name, os.environ.get(name))
            os.environ[name] = value
        # What Ray does on macOS and Windows, where it takes the loopback address; on Linux it would take that of the network.
        stack.callback(setattr, ray_constants, "ENABLE_RAY_CLUSTER", ray_constants.ENABLE_RAY_CLUSTER)
        ray_constants.ENABLE_RAY_CLUSTER = False
        gpus = None if not num_gpus or workers is None else workers * num_gpus
        stack.callback(ray.shutdown)
        try:
            ray.init(
                address="local",
                num_cpus=workers,
                num_gpus=gpus,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                _node_ip_address="127.0.0.1",
            )
        except Exception as error:  # Ray has no class of its own for this
            raise MechvizError(f"Ray cannot start on this machine ({error}); try again, or use executor='process'") from error
        address = ray.util.get_node_ip_address()
        if address not in ("127.0.0.1", "::1"):
            raise MechvizError(
                f"Ray {ray.__version__} would listen on {address}, not on this machine alone; start a cluster yourself with "
                "ray.init() if that is right, and call again"
            )
        yield


@contextmanager
def _quiet(ray: Any) -> Iterator[None]:
    """Leave progress and messages to the study."""
    context, logger = ray.data.DataContext.get_current(), logging.getLogger("ray.data")
    before = context.enable_progress_bars, logger.level
    context.enable_progress_bars = False
    logger.setLevel(logging.ERROR)  # it warns that its bars are off
    try:
        yield
    finally:
        context.enable_progress_bars = before[0]
        logger.setLevel(before[1])


def _restore(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value
