"""Several methods on one text, side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from mechviz.errors import InputError, InputTypeError, shown
from mechviz.probes.words.fidelity import WordCurves, agreement, deletion_insertion
from mechviz.probes.words.fits import held_out_fit
from mechviz.probes.words.gradients import integrated
from mechviz.probes.words.leaving_out import occluded
from mechviz.probes.words.result import WordExplanation
from mechviz.probes.words.scoring import Game, game_of
from mechviz.probes.words.shapley import shapley
from mechviz.probes.words.surrogates import check_sampling, limed
from mechviz.rankers.ranker import Ranker
from mechviz.results import PassageGroup, Passages

METHODS: dict[str, Callable[..., WordExplanation]] = {
    "occlusion": lambda game, **_: occluded(game),
    "lime": lambda game, **sampling: limed(game, **sampling),
    "kernel_shap": lambda game, **sampling: shapley(game, **sampling),
    "integrated_gradients": lambda game, **_: integrated(game),
}


@dataclass(frozen=True, eq=False)
class WordComparison:
    """What several methods say of the words of one text.

    Attributes
    ----------
    explanations : mapping of str to WordExplanation
        By the method's name.
    """

    explanations: Mapping[str, WordExplanation]

    def __getitem__(self, method: str) -> WordExplanation:
        if method not in self.explanations:
            raise InputError(f"there is no {shown(method)}; the methods are {', '.join(self.explanations)}")
        return self.explanations[method]

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row a word and method, as `WordExplanation.to_dataframe`."""
        return pd.concat([one.to_dataframe() for one in self.explanations.values()], ignore_index=True)

    def agreement(self) -> pd.DataFrame:
        """Return rank correlations between methods; see `mechviz.probes.words.agreement`."""
        return agreement(self.explanations)

    def curves(self, n_random: int = 10, seed: int = 0) -> WordCurves:
        """Return deletion and insertion curves; see `mechviz.probes.words.deletion_insertion`."""
        return deletion_insertion(self.explanations, n_random, seed)

    @cached_property
    def fits(self) -> pd.DataFrame:
        """How well each method's values foretell the target of the same 200 masked copies, one row a method.

        ``r2``, ``weighted_r2``, ``kendall``, ``n``; see `Fit`. The copies are drawn apart from those of LIME and KernelSHAP.
        """
        fits = {name: held_out_fit(one, seed=10**6) for name, one in self.explanations.items()}
        columns = ("r2", "weighted_r2", "kendall", "n")
        return pd.DataFrame([{"method": name, **{key: getattr(fit, key) for key in columns}} for name, fit in fits.items()])

    def passages(self) -> Passages:
        """Return the text once a method, as `views.passages` draws it; the methods share one scale."""
        singles = {name: one.passages() for name, one in self.explanations.items()}
        first = next(iter(singles.values()))
        return Passages(
            tuple(PassageGroup(name, one.groups[0].passages, one.groups[0].note) for name, one in singles.items()),
            unit=first.unit,
            signed=True,
            title=first.title,
            note=first.note,
            warning=" ".join(f"{name}: {one.warning}" for name, one in singles.items() if one.warning),
            provenance=dict(first.provenance),
        )

    def show(self, theme: str = "auto") -> Any:
        """Draw the text once a method."""
        from mechviz import views

        return views.passages(self.passages(), theme=theme)

    def __repr__(self) -> str:
        first = next(iter(self.explanations.values()))
        return (
            f"WordComparison({', '.join(self.explanations)}; {len(first.words)} {first.unit}s, {first.target} {first.full:.4g})"
        )


def explain_words(
    ranker: Ranker,
    query: str,
    doc: str,
    methods: Sequence[str] | None = None,
    target: Any = "score",
    masker: str | None = None,
    n_samples: int = 1000,
    seed: int = 0,
    unit: str = "word",
    side: str = "doc",
    **options: Any,
) -> WordComparison:
    """Explain by several methods under one masker; a masked copy that two of them need is scored once.

    Parameters
    ----------
    ranker : Ranker
    query, doc : str
    methods : sequence of str, optional
        Of ``"occlusion"``, ``"lime"``, ``"kernel_shap"`` and ``"integrated_gradients"``; default all that can be (a rank has no
        gradient). Gradients start from ``"[MASK]"`` whatever the masker; for all else call the functions themselves.
    target, masker, unit, side, **options
        See `occlusion`; ``masker=None`` is ``"[MASK]"``, or ``"a"`` where the tokenizer has none.
    n_samples, seed
        See `lime` and `kernel_shap`.

    Raises
    ------
    InputError, InputTypeError
    """
    sampling = check_sampling(n_samples, seed, 0.95)
    if isinstance(methods, str):
        raise InputTypeError(f"methods must be a list of names, such as [{methods!r}], not a string")
    if methods is not None and (not methods or (unknown := [one for one in methods if one not in METHODS])):
        raise InputError(f"methods={shown(unknown if methods else methods)}; there are {', '.join(map(repr, METHODS))}")
    game = game_of(ranker, query, doc, target, masker, unit, side, **options)
    chosen = [one for one in METHODS if one != "integrated_gradients" or _has_gradient(game)] if methods is None else methods
    if "integrated_gradients" in chosen and not _has_gradient(game):
        raise InputError(f"the target {game.target.name} has no gradient; leave 'integrated_gradients' out of methods")
    return WordComparison({one: METHODS[one](game, **sampling) for one in dict.fromkeys(chosen)})


def _has_gradient(game: Game) -> bool:
    return game.target.smooth and game.target.function is None
