"""Views: widgets that draw results, and anybody's arrays. They import neither a ranker nor torch."""

from mechviz.views.arrays import from_arrays, from_cache
from mechviz.views.atlas_view import AtlasView, atlas
from mechviz.views.attention import AttentionView
from mechviz.views.chart import CurvesView, curves
from mechviz.views.circuit import CircuitView
from mechviz.views.grid import GridView
from mechviz.views.passage_view import PassagesView, passages
from mechviz.views.patching import PatchingView
from mechviz.views.probe import ProbeView
from mechviz.views.ranking import RankingView
from mechviz.views.relation_view import RelationView, relation
from mechviz.views.scorecard import ScorecardView
from mechviz.views.study import StudyView
from mechviz.views.tensor_view import TensorView, tensor
from mechviz.views.tree_view import TreeView, tree
from mechviz.views.view import View

__all__ = [
    "AtlasView",
    "AttentionView",
    "CircuitView",
    "CurvesView",
    "GridView",
    "PassagesView",
    "PatchingView",
    "ProbeView",
    "RankingView",
    "RelationView",
    "ScorecardView",
    "StudyView",
    "TensorView",
    "TreeView",
    "View",
    "atlas",
    "curves",
    "from_arrays",
    "from_cache",
    "passages",
    "relation",
    "tensor",
    "tree",
]
