"""Causal models of a ranking decision: what the score should be if one variable had the value that it has for another text."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mechviz.errors import InputError, InputTypeError, shown
from mechviz.interventions.laid import listed


class CausalModel:
    """Variables, each computed from others by a function: a hypothesis of how a score is made.

    Parameters
    ----------
    functions : mapping of str to callable
        How each variable follows from its parents, which are the names of the function's parameters. Names that have no
        function are inputs, such as ``query`` and ``doc``.

    Attributes
    ----------
    variables : tuple of str
        Those with a function, parents before children.
    inputs : tuple of str
    parents : dict of str to tuple of str

    Raises
    ------
    InputError, InputTypeError
        No function, or variables that depend on each other in a circle.

    Examples
    --------
    >>> model = CausalModel({
    ...     "holds": lambda query, doc: query in doc.split(),
    ...     "score": lambda holds: 1.0 if holds else 0.0,
    ... })
    >>> model.run(query="lava", doc="a rock")["score"]
    0.0
    >>> model.interchange({"query": "lava", "doc": "a rock"}, {"holds": {"query": "lava", "doc": "hot lava"}})["score"]
    1.0
    """

    def __init__(self, functions: Mapping[str, Callable[..., Any]]) -> None:
        if not isinstance(functions, Mapping) or not functions or not all(map(callable, functions.values())):
            raise InputTypeError(f"a causal model is a mapping of variables to functions, not {shown(functions)}")
        self._functions = dict(functions)
        self.parents = {name: _parameters(name, function) for name, function in functions.items()}
        self.variables = tuple(self._ordered())
        known = dict.fromkeys(parent for parents in self.parents.values() for parent in parents)
        self.inputs = tuple(name for name in known if name not in self._functions)

    def run(self, fixed: Mapping[str, Any] | None = None, /, **inputs: Any) -> dict[str, Any]:
        """Return the value of every variable.

        Parameters
        ----------
        fixed : mapping of str to value, optional
            Variables that are set, whatever their parents say.
        **inputs
            The value of each input.

        Raises
        ------
        InputError
            An input is missing, or something is set that is no variable.
        """
        if missing := [name for name in self.inputs if name not in inputs]:
            raise InputError(f"the causal model needs {', '.join(missing)}; it has the inputs {', '.join(self.inputs)}")
        self._check_variables(fixed or {})
        values = {**inputs}
        for name in self.variables:
            if fixed is not None and name in fixed:
                values[name] = fixed[name]
            else:
                values[name] = self._functions[name](*(values[parent] for parent in self.parents[name]))
        return values

    def interchange(self, base: Mapping[str, Any], sources: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Return every variable for the base inputs with some variables set to what they are for other inputs.

        Parameters
        ----------
        base : mapping of str to value
        sources : mapping of variable to inputs
        """
        self._check_variables(sources)
        fixed = {name: self.run(**inputs)[name] for name, inputs in sources.items()}
        return self.run(fixed, **base)

    def targets(self, pairs: Any, variables: str | Sequence[str], score: str = "score") -> NDArray[np.float64]:
        """Return the counterfactual score of each pair, dims (pair), for `Plan.fit` and `Plan.evaluate`.

        Parameters
        ----------
        pairs
            As `Plan.run` takes them, each with its perturbed text; the base run is the original text.
        variables : str or sequence of str
            Which of them have the value of the source. With several source texts the first variable takes that of the first
            text, and so on.
        score : str
            The variable that is the score.
        """
        names = [variables] if isinstance(variables, str) else list(variables)
        if not names:
            raise InputError("variables=[]; name at least one variable that has the value of the source")
        self._check_variables([*names, score])
        found = []
        for pair, perturbed in listed(pairs):
            if not perturbed or (len(perturbed) > 1 and len(perturbed) != len(names)):
                raise InputError(f"{len(perturbed)} perturbed texts for the variables {', '.join(names)}; give one, or one each")
            texts = perturbed if len(perturbed) > 1 else perturbed * len(names)
            other = "doc" if pair.side == "doc" else "query"
            base = {"query": pair.query, "doc": pair.doc}
            sources = {name: {**base, other: text} for name, text in zip(names, texts, strict=True)}
            found.append(float(self.interchange(base, sources)[score]))
        return np.array(found)

    def __repr__(self) -> str:
        said = (f"{name} <- {', '.join(self.parents[name])}" for name in self.variables)
        return f"CausalModel({'; '.join(said)})"

    def _ordered(self) -> list[str]:
        order: list[str] = []
        left = dict(self.parents)
        while left:
            ready = [name for name, parents in left.items() if not any(parent in left for parent in parents)]
            if not ready:
                raise InputError(f"the variables {', '.join(left)} depend on each other in a circle")
            order += ready
            for name in ready:
                del left[name]
        return order

    def _check_variables(self, names: Iterable[str]) -> None:
        if wrong := [name for name in names if name not in self._functions]:
            raise InputError(
                f"{', '.join(map(str, wrong))} is no variable of the causal model; it has {', '.join(self.variables)}"
            )


def _parameters(name: str, function: Callable[..., Any]) -> tuple[str, ...]:
    try:
        return tuple(inspect.signature(function).parameters)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"the function of {name!r} does not say its parameters ({error}); give a lambda of named ones"
        ) from error
