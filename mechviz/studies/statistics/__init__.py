"""The statistics of studies: sums by query, and what resampling and sign flips make of them; plain arithmetic, no files."""

from mechviz.studies.statistics.bootstrap import Interval, counts, interval
from mechviz.studies.statistics.correlation import partial, spearman
from mechviz.studies.statistics.signs import false_discoveries, sign_flips
from mechviz.studies.statistics.sums import METRICS, Accumulator, Sums, divided, most_units, units_of

__all__ = [
    "METRICS",
    "Accumulator",
    "Interval",
    "Sums",
    "counts",
    "divided",
    "false_discoveries",
    "interval",
    "most_units",
    "partial",
    "sign_flips",
    "spearman",
    "units_of",
]
