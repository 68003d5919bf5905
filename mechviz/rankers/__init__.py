"""Rankers: plain `transformers` models with a score and hook points."""

from mechviz.rankers.cat import Cat
from mechviz.rankers.colbert import ColBERT
from mechviz.rankers.dot import Dot
from mechviz.rankers.generative import Generative
from mechviz.rankers.load import load
from mechviz.rankers.monot5 import MonoT5
from mechviz.rankers.ranker import Ranker
from mechviz.rankers.splade import Splade

__all__ = ["Cat", "ColBERT", "Dot", "Generative", "MonoT5", "Ranker", "Splade", "load"]
