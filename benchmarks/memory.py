"""How much memory a grid takes above the model, on a model of BERT-base's shape with 512 tokens."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.table import Row
from mechviz.patching.settings import DEFAULTS

#: GiB that a grid may take by default.
BUDGET = DEFAULTS["memory"]

_RUN = """
import resource, sys, threading, time
import mechviz as mv
from benchmarks.models import bert_base
from benchmarks.texts import CHANGE, QUERY, document

def used():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() / 2**30

ranker = bert_base()
doc = document(ranker, 512)
ranker.score(QUERY, "short")
before, peak, going = used(), 0.0, True

def watch():
    global peak
    while going:
        peak = max(peak, used())
        time.sleep(0.002)

thread = threading.Thread(target=watch)
thread.start()
settings = {"heads": {"layers": [0, 11]}, "blocks": {"layers": [0, 11], "positions": list(range(0, 512, 40))}}[sys.argv[1]]
mv.patch(ranker, QUERY, doc, CHANGE, grid=sys.argv[1], method=sys.argv[2], top_k=8, **settings)
going = False
thread.join()
print(peak - before)
"""


def rows() -> list[Row]:
    """Measure both grids in processes of their own: what is held at the peak, above the model that has scored once.

    A part of the cells is enough: what is held at once depends on the batch, not on how many there are.
    """
    found = []
    for grid, method in (("heads", "exact"), ("blocks", "exact"), ("heads", "hybrid")):
        said = subprocess.run([sys.executable, "-c", _RUN, grid, method], capture_output=True, text=True, check=True).stdout
        peak = float(said.split()[-1])
        what = f"{grid} grid, {method}, BERT-base's shape, 512 tokens: memory above the model"
        found.append(Row(what, f"{peak:.2f} GiB", f"{BUDGET:.0f} GiB", peak <= BUDGET))
    return found
