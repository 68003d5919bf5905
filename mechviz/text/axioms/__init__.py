"""Retrieval axioms: what a good ranker should prefer, as checkers of two documents and as makers of minimal pairs.

>>> axiom = TFC1(term="present")
>>> axiom.check("hot lava", "Lava is hot lava.", "Lava is hot rock.")
Verdict(margin=1.0, reason='')
>>> pair = axiom.make("hot lava", "Lava is a rock.")
>>> pair.perturbed, pair.preferred
('Lava is a rock. lava', 1)

An axiom is a perturbation too, so that it can stand where a perturbation can: ``mv.patch(ranker, query, doc, axiom)``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from mechviz.errors import InputError, shown
from mechviz.text.axioms.aspects import AND, DIV, M_AND, REG
from mechviz.text.axioms.base import Axiom, MinimalPair, NoPairError, Verdict
from mechviz.text.axioms.bound import LB1
from mechviz.text.axioms.frequency import TDC, TFC1, TFC3
from mechviz.text.axioms.length import LNC1, LNC2, TF_LNC
from mechviz.text.axioms.proximity import PROX1, PROX2, PROX3, PROX4, PROX5
from mechviz.text.axioms.saturation import TFC2, Series
from mechviz.text.axioms.semantics import STMC1, STMC2
from mechviz.text.axioms.similarity import SimilarityLike
from mechviz.text.statistics import TermStatistics

_CLASSES = (TFC1, TFC2, TFC3, TDC, LNC1, LNC2, TF_LNC, LB1, AND, M_AND, REG, DIV, PROX1, PROX2, PROX3, PROX4, PROX5, STMC1, STMC2)

#: Name -> class of every axiom.
ALL: Mapping[str, type[Axiom]] = MappingProxyType({axiom.__qualname__: axiom for axiom in _CLASSES})

__all__ = [
    "ALL",
    "AND",
    "DIV",
    "LB1",
    "LNC1",
    "LNC2",
    "M_AND",
    "PROX1",
    "PROX2",
    "PROX3",
    "PROX4",
    "PROX5",
    "REG",
    "STMC1",
    "STMC2",
    "TDC",
    "TFC1",
    "TFC2",
    "TFC3",
    "TF_LNC",
    "Axiom",
    "MinimalPair",
    "NoPairError",
    "Series",
    "Verdict",
    "named",
]


def named(name: str, statistics: TermStatistics | None = None, similarity: SimilarityLike | None = None, **options: Any) -> Axiom:
    """Return the axiom of a name, with what it needs of what is given.

    Parameters
    ----------
    name : str
        As in `ALL`; case does not matter, and ``TF-LNC`` is ``TF_LNC``.
    statistics : TermStatistics, optional
        Passed on to an axiom that uses term statistics.
    similarity : callable or mapping, optional
        Passed on to an axiom that compares terms.
    **options
        The axiom's own parameters.

    Raises
    ------
    InputError
        There is no such axiom, it has no such parameter, or it lacks what it needs.

    Examples
    --------
    >>> named("tf-lnc", count=2)
    TF_LNC(count=2)
    """
    found: Callable[..., Axiom] | None = ALL.get(name.upper().replace("-", "_")) if isinstance(name, str) else None
    if found is None:
        raise InputError(f"there is no axiom {shown(name)}; there are {', '.join(ALL)}")
    parameters = list(inspect.signature(found).parameters)
    unknown = [option for option in options if option not in parameters]
    if unknown:
        raise InputError(f"{name} has no parameter {unknown[0]!r}; it has {', '.join(parameters)}")
    shared = {"statistics": statistics, "similarity": similarity}
    return found(**options, **{key: value for key, value in shared.items() if key in parameters and value is not None})
