"""Experiments: runs that keep what they were made with, append-only, opened again offline and compared.

>>> from mechviz import experiments
>>> run = experiments.run("heads", lambda seed: {"effects": effects_of(ranker, seed)})    # doctest: +SKIP
>>> experiments.compare(run, "runs/heads/20260101T120000-1a2b3c4d").arrays               # doctest: +SKIP
"""

from mechviz.experiments.compare import Comparison, compare
from mechviz.experiments.folder import Run, load, runs
from mechviz.experiments.run import run

__all__ = ["Comparison", "Run", "compare", "load", "run", "runs"]
