"""Results: frozen data with named dimensions and where it came from, saved whole and loaded the same.

A result knows nothing of rankers or views. It can be made by anybody's arrays.
"""

from mechviz.results.attention import AttentionResult, StackShape
from mechviz.results.circuits import Circuit
from mechviz.results.curves import Curves
from mechviz.results.pair import DIRECTIONS, Direction, Pair, Ranking
from mechviz.results.patch import PatchResult
from mechviz.results.plan import Evaluation, PlanResult
from mechviz.results.ranking import RankingResult
from mechviz.results.scorecard import Scorecard
from mechviz.results.study import StudySummary

__all__ = [
    "DIRECTIONS",
    "AttentionResult",
    "Circuit",
    "Curves",
    "Direction",
    "Evaluation",
    "Pair",
    "PatchResult",
    "PlanResult",
    "Ranking",
    "RankingResult",
    "Scorecard",
    "StackShape",
    "StudySummary",
]
