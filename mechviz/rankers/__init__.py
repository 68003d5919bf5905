"""Rankers: plain `transformers` models with a score and hook points."""

from mechviz.rankers.cat import Cat
from mechviz.rankers.dot import Dot
from mechviz.rankers.load import load
from mechviz.rankers.ranker import Ranker

__all__ = ["Cat", "Dot", "Ranker", "load"]
