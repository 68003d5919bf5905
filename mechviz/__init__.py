"""mechviz: see and test why a neural ranker scores a document as it does.

>>> import mechviz as mv
>>> ranker = mv.load("path/to/checkpoint")                                          # doctest: +SKIP
>>> mv.show_patching(ranker, query, doc, mv.perturb.append("volcano"))              # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.8.0"

# Public name -> module; loaded on first use, so that importing mechviz does not import torch.
_WHERE = {
    "Cat": "mechviz.rankers",
    "ColBERT": "mechviz.rankers",
    "Dot": "mechviz.rankers",
    "Generative": "mechviz.rankers",
    "MonoT5": "mechviz.rankers",
    "Splade": "mechviz.rankers",
    "load": "mechviz.rankers",
    "attention": "mechviz.patching",
    "circuit": "mechviz.patching",
    "make_pair": "mechviz.patching",
    "patch": "mechviz.patching",
    "path_patch": "mechviz.patching",
    "perturbation": "mechviz.text.perturb",
    "AttentionResult": "mechviz.results",
    "Circuit": "mechviz.results",
    "Curves": "mechviz.results",
    "Pair": "mechviz.results",
    "Pairs": "mechviz.corpora",
    "PatchResult": "mechviz.results",
    "Ranking": "mechviz.results",
    "RankingResult": "mechviz.results",
    "Scorecard": "mechviz.results",
    "Study": "mechviz.studies",
    "StudySummary": "mechviz.results",
    "TermStatistics": "mechviz.text.statistics",
    "TextPair": "mechviz.corpora",
    "scorecard": "mechviz.studies",
    "study": "mechviz.studies",
    "show_attention": "mechviz.show",
    "show_patching": "mechviz.show",
    "show_ranking": "mechviz.show",
    "InputError": "mechviz.errors",
    "InputTypeError": "mechviz.errors",
    "MechvizError": "mechviz.errors",
    "UnsupportedModelError": "mechviz.errors",
}
_MODULES = {
    "axioms": "mechviz.text.axioms",
    "corpora": "mechviz.corpora",
    "errors": "mechviz.errors",
    "experiments": "mechviz.experiments",
    "interventions": "mechviz.interventions",
    "metrics": "mechviz.patching.metrics",
    "perturb": "mechviz.text.perturb",
    "probes": "mechviz.probes",
    "toys": "mechviz.toys",
    "views": "mechviz.views",
}

__all__ = [*_WHERE, *_MODULES]

if TYPE_CHECKING:
    from mechviz import corpora as corpora
    from mechviz import errors as errors
    from mechviz import experiments as experiments
    from mechviz import interventions as interventions
    from mechviz import probes as probes
    from mechviz import toys as toys
    from mechviz import views as views
    from mechviz.corpora import Pairs as Pairs
    from mechviz.corpora import TextPair as TextPair
    from mechviz.errors import InputError as InputError
    from mechviz.errors import InputTypeError as InputTypeError
    from mechviz.errors import MechvizError as MechvizError
    from mechviz.errors import UnsupportedModelError as UnsupportedModelError
    from mechviz.patching import attention as attention
    from mechviz.patching import circuit as circuit
    from mechviz.patching import make_pair as make_pair
    from mechviz.patching import metrics as metrics
    from mechviz.patching import patch as patch
    from mechviz.patching import path_patch as path_patch
    from mechviz.rankers import Cat as Cat
    from mechviz.rankers import ColBERT as ColBERT
    from mechviz.rankers import Dot as Dot
    from mechviz.rankers import Generative as Generative
    from mechviz.rankers import MonoT5 as MonoT5
    from mechviz.rankers import Splade as Splade
    from mechviz.rankers import load as load
    from mechviz.results import AttentionResult as AttentionResult
    from mechviz.results import Circuit as Circuit
    from mechviz.results import Curves as Curves
    from mechviz.results import Pair as Pair
    from mechviz.results import PatchResult as PatchResult
    from mechviz.results import Ranking as Ranking
    from mechviz.results import RankingResult as RankingResult
    from mechviz.results import Scorecard as Scorecard
    from mechviz.results import StudySummary as StudySummary
    from mechviz.show import show_attention as show_attention
    from mechviz.show import show_patching as show_patching
    from mechviz.show import show_ranking as show_ranking
    from mechviz.studies import Study as Study
    from mechviz.studies import scorecard as scorecard
    from mechviz.studies import study as study
    from mechviz.text import axioms as axioms
    from mechviz.text import perturb as perturb
    from mechviz.text.perturb import perturbation as perturbation
    from mechviz.text.statistics import TermStatistics as TermStatistics


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(_MODULES[name])
    if name in _WHERE:
        return getattr(importlib.import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'mechviz' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
