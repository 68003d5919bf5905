"""Which words decide: what each word of a text does to its score, rank or margin, by several methods, and how far to trust it."""

from mechviz.probes.words.comparing import WordComparison, explain_words
from mechviz.probes.words.fidelity import Stability, WordCurves, agreement, deletion_insertion, stability
from mechviz.probes.words.fits import held_out_fit
from mechviz.probes.words.gradients import integrated_gradients
from mechviz.probes.words.leaving_out import leave_one_term, occlusion
from mechviz.probes.words.result import Fit, Word, WordExplanation
from mechviz.probes.words.shapley import kernel_shap
from mechviz.probes.words.surrogates import lime
from mechviz.probes.words.targets import Target, margin_to, rank_among, top_k

__all__ = [
    "Fit",
    "Stability",
    "Target",
    "Word",
    "WordComparison",
    "WordCurves",
    "WordExplanation",
    "agreement",
    "deletion_insertion",
    "explain_words",
    "held_out_fit",
    "integrated_gradients",
    "kernel_shap",
    "leave_one_term",
    "lime",
    "margin_to",
    "occlusion",
    "rank_among",
    "stability",
    "top_k",
]
