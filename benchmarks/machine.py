"""The machine that figures were measured on, and its own speed."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import transformers

import mechviz


def describe() -> str:
    """Return the machine and versions in one line."""
    names = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    processor = names[0] if names else platform.processor() or platform.machine()
    return (
        f"{len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()} cores of {processor}, "
        f"{torch.get_num_threads()} torch threads, {platform.system()}, Python {platform.python_version()}, "
        f"torch {torch.__version__}, transformers {transformers.__version__}, mechviz {mechviz.__version__}"
    )


def seconds(work: Callable[[], object]) -> float:
    """Return the wall-clock time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def medians(works: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Return the median time of each work, in seconds; taken in turns, so that a noisy moment hits all of them."""
    for work in works.values():
        work()
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            times[name].append(seconds(work))
    return {name: float(np.median(values)) for name, values in times.items()}


class Product:
    """The machine's 2048 x 2048 float32 matrix product."""

    n = 2048
    gflop = 2 * n**3 / 1e9

    def __init__(self) -> None:
        assert torch.get_float32_matmul_precision() == "highest"
        generator = torch.Generator().manual_seed(0)
        self.a, self.b = (torch.randn(self.n, self.n, generator=generator) for _ in range(2))

    def __call__(self) -> None:
        """Multiply once."""
        torch.mm(self.a, self.b)


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []
