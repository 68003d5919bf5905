"""Studies: one question asked of many pairs, in parts that survive an interruption, and the statistics of the answers."""

from mechviz.studies.folder import Study
from mechviz.studies.run import study
from mechviz.studies.scoring import scorecard

__all__ = ["Study", "scorecard", "study"]
