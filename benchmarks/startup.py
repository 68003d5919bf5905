"""How long a person waits before the first picture, and how much is sent."""

from __future__ import annotations

import gzip
import subprocess
import sys
import tempfile
from pathlib import Path

import mechviz as mv
from benchmarks.machine import seconds
from benchmarks.table import Row
from benchmarks.texts import CHANGE, QUERY, all_minilm, document
from mechviz import snapshot

_IMPORT = """
import sys, time
start = time.perf_counter()
import mechviz
print(time.perf_counter() - start, "torch" in sys.modules)
"""


def rows() -> list[Row]:
    """Measure import, demo, snapshot and bundle."""
    measured = [
        subprocess.run([sys.executable, "-c", _IMPORT], capture_output=True, text=True, check=True).stdout for _ in range(5)
    ]
    import_time = sorted(float(line.split()[0]) for line in measured)[2]
    without_torch = not any("True" in line for line in measured)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "mechviz.cli", "demo", "--out", str(Path(folder) / "demo.html")]
        demo = sorted(seconds(lambda: subprocess.run(command, capture_output=True, check=True)) for _ in range(3))[1]
        ranker = all_minilm()
        view = mv.show_patching(ranker, QUERY, document(ranker, 255), CHANGE, wait=True)
        page = view.to_html(Path(folder) / "why.html").stat().st_size / 1e6
        sent = sum(len(data) for data in view.buffers.values()) / 1e6
    bundle = len(gzip.compress(snapshot.bundle().encode(), 9)) / 1e3
    return [
        Row(
            "`import mechviz`",
            f"{import_time:.3f} s, torch {'not ' if without_torch else ''}imported",
            "0.2 s, no torch",
            import_time < 0.2 and without_torch,
        ),
        Row("`mechviz demo`, in all", f"{demo:.1f} s", "15 s", demo < 15),
        Row("HTML file of a pair of 255 tokens", f"{page:.2f} MB", "3 MB", page <= 3),
        Row("attention sent to the live widget, 255 tokens", f"{sent:.2f} MB"),
        Row("JS bundle, gzipped", f"{bundle:.1f} kB", "60 kB", bundle <= 60),
    ]
