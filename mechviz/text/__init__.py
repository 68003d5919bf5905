"""Texts: tokens with offsets, alignment of a text with its perturbed copy, perturbations."""

from mechviz.text.align import Alignment, align
from mechviz.text.fillers import Filler, FillerLike, bind_filler
from mechviz.text.tokens import Tokens

__all__ = ["Alignment", "Filler", "FillerLike", "Tokens", "align", "bind_filler"]
