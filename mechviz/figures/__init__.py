"""Figures: results as SVG in pure Python, and PNG from them. They need neither a browser nor torch."""

from mechviz.figures.atlas import atlas_svg
from mechviz.figures.circuit import circuit_svg
from mechviz.figures.curves import curves_svg
from mechviz.figures.grid import grid_svg
from mechviz.figures.heads import heads_svg
from mechviz.figures.lines import attention_svg, lines_svg
from mechviz.figures.model import model_svg
from mechviz.figures.neurons import neurons_svg
from mechviz.figures.passages import passages_svg
from mechviz.figures.png import to_png
from mechviz.figures.positions import positions_svg
from mechviz.figures.ranking import ranking_svg
from mechviz.figures.relation import relation_svg
from mechviz.figures.score_parts import score_svg
from mechviz.figures.scorecard import scorecard_svg
from mechviz.figures.study import study_svg
from mechviz.figures.tensor import tensor_svg
from mechviz.figures.texts import texts_svg
from mechviz.figures.tree import tree_svg

__all__ = [
    "atlas_svg",
    "attention_svg",
    "circuit_svg",
    "curves_svg",
    "grid_svg",
    "heads_svg",
    "lines_svg",
    "model_svg",
    "neurons_svg",
    "passages_svg",
    "positions_svg",
    "ranking_svg",
    "relation_svg",
    "score_svg",
    "scorecard_svg",
    "study_svg",
    "tensor_svg",
    "texts_svg",
    "to_png",
    "tree_svg",
]
