"""Views: widgets that draw results, and anybody's arrays. They import neither a ranker nor torch."""

from mechviz.views.arrays import from_arrays, from_cache
from mechviz.views.attention import AttentionView
from mechviz.views.chart import CurvesView, curves
from mechviz.views.circuit import CircuitView
from mechviz.views.grid import GridView
from mechviz.views.patching import PatchingView
from mechviz.views.ranking import RankingView
from mechviz.views.scorecard import ScorecardView
from mechviz.views.study import StudyView
from mechviz.views.view import View

__all__ = [
    "AttentionView",
    "CircuitView",
    "CurvesView",
    "GridView",
    "PatchingView",
    "RankingView",
    "ScorecardView",
    "StudyView",
    "View",
    "curves",
    "from_arrays",
    "from_cache",
]
