"""Results: frozen data with named dimensions and where it came from, saved whole and loaded the same.

A result knows nothing of rankers or views. It can be made by anybody's arrays.
"""

from mechviz.results.atlas import Atlas
from mechviz.results.attention import AttentionResult, StackShape
from mechviz.results.circuits import Circuit
from mechviz.results.curves import Curves
from mechviz.results.graph import Graph
from mechviz.results.pair import DIRECTIONS, Direction, Pair, Ranking
from mechviz.results.passages import Passage, PassageGroup, Passages
from mechviz.results.patch import PatchResult
from mechviz.results.plan import Evaluation, PlanResult
from mechviz.results.ranking import RankingResult
from mechviz.results.relation import RelationResult
from mechviz.results.scorecard import Scorecard
from mechviz.results.study import StudySummary
from mechviz.results.tree import AttributionTree

__all__ = [
    "DIRECTIONS",
    "Atlas",
    "AttentionResult",
    "AttributionTree",
    "Circuit",
    "Curves",
    "Direction",
    "Evaluation",
    "Graph",
    "Pair",
    "Passage",
    "PassageGroup",
    "Passages",
    "PatchResult",
    "PlanResult",
    "Ranking",
    "RankingResult",
    "RelationResult",
    "Scorecard",
    "StackShape",
    "StudySummary",
]
