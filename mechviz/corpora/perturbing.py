"""Perturbing pair by pair: by an axiom, which may choose the texts itself, or by any perturbation."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

from mechviz.corpora.derived import Read
from mechviz.corpora.dropped import Dropped
from mechviz.corpora.text_pair import TextPair
from mechviz.errors import InputError, InputTypeError, MechvizError, PerturbError, shown
from mechviz.text.perturb import as_perturbation
from mechviz.text.perturb.rewrites import check_choice

ON_ERROR = ("record", "raise")


def check_on_error(on_error: object) -> str:
    """Return what to do with a pair that cannot be perturbed.

    Raises
    ------
    InputError
    """
    return check_choice("on_error", on_error, ON_ERROR)


def check_perturbs(perturb: object) -> list[Any]:
    """Return one perturbation or several as a list; an axiom stays what it is.

    Raises
    ------
    InputError, InputTypeError
        None at all, or something that perturbs nothing.
    """
    several = list(perturb) if isinstance(perturb, (list, tuple)) else [perturb]
    if not several:
        raise InputError("perturb is an empty list; give a perturbation or an axiom")
    for one in several:
        if inspect.isclass(one):
            raise InputTypeError(f"perturb holds the class {one.__name__}; make one of it: {one.__name__}()")
    return [one if _is_axiom(one) else as_perturbation(one) for one in several]


def name_of_perturb(perturb: Any) -> str:
    """Return what a perturbation or an axiom is called."""
    return str(getattr(perturb, "__name__", type(perturb).__name__) if _is_axiom(perturb) else perturb.name)


def read_perturbed(parent: Read, perturbs: Sequence[Any], on_error: str, seed: int, dropped: Dropped) -> Iterator[TextPair]:
    """Yield each pair once for each perturbation.

    Raises
    ------
    InputError
        A pair that has been perturbed already.
    MechvizError
        With ``on_error="raise"``: what a perturbation raised.
    """
    for pair in parent(dropped):
        if pair.perturbed is not None or pair.reason:
            raise InputError(
                f"query {shown(pair.query)} has been perturbed already (by {pair.perturbation or 'the collection itself'}); "
                "perturb the collection that this one was made of, with a list for several perturbations"
            )
        for one in perturbs:
            try:
                made = perturbed(pair, one, seed)
            except MechvizError as error:
                if on_error == "raise":
                    raise
                made = pair.without_perturbed(_reason(error, pair), name_of_perturb(one))
            yield made


def perturbed(pair: TextPair, perturb: Any, seed: int) -> TextPair:
    """Return a pair with its perturbed copy.

    Raises
    ------
    MechvizError
        It cannot be made.
    """
    name = name_of_perturb(perturb)
    if not _is_axiom(perturb):
        return pair.with_perturbed(perturb.apply(pair.query, pair.doc), name, perturb.side)
    try:
        made = perturb.make(pair.query, pair.doc, seed)
    except MechvizError:
        raise
    except Exception as error:
        raise PerturbError(
            f"{name} raised {type(error).__name__}: {error} (query {shown(pair.query)}, doc {shown(pair.doc)})"
        ) from error
    return pair.with_perturbed(made.perturbed, name, preferred=made.preferred, doc=made.doc)


def _is_axiom(perturb: object) -> bool:
    return callable(getattr(perturb, "make", None))


def _reason(error: MechvizError, pair: TextPair) -> str:
    """Return why, without the pair's own texts, so that equal reasons can be counted."""
    if isinstance(error, PerturbError):
        return f"the perturbation raises {type(error.__cause__).__name__}"
    message = str(getattr(error, "reason", "") or error)
    for name in ("doc", "query"):
        message = message.replace(shown(getattr(pair, name)), f"the {name}")
    return message
