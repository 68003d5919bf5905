"""What views of many pairs share: the list of pairs, and each pair's own view, opened inside."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mechviz import wire
from mechviz.errors import InputError, InputTypeError, MechvizError, shown
from mechviz.views.checks import plain
from mechviz.views.patching import PatchingView
from mechviz.views.view import Answer, View

#: Attention that an opened pair brings with it; any other of its heads is fetched when asked for.
_PAIR_BYTES = 400_000
#: Bytes of opened pairs that a page holds.
_PAGE_PAIRS = 6_000_000

#: Runs the ranker on the pair of this number, and returns its view.
Opener = Callable[[int], PatchingView]


class OpeningView(View):
    """A view with a list of pairs, each of which opens as a view of its own.

    Parameters
    ----------
    spec : mapping
        From `mechviz.wire`.
    pairs : DataFrame
        As in `mechviz.StudySummary` or `mechviz.Scorecard`.
    opener : callable or None
        ``number -> PatchingView``.
    panels : sequence of str
    theme : ``"auto"``, ``"light"`` or ``"dark"``
    **traits
        First values of the widget's other traits.

    Raises
    ------
    InputError, InputTypeError
        An opener that cannot be called, or pairs that it could not tell apart.
    """

    def __init__(
        self,
        spec: Mapping[str, Any],
        pairs: pd.DataFrame,
        opener: Opener | None,
        panels: Sequence[str],
        theme: str,
        **traits: Any,
    ) -> None:
        if opener is not None and not callable(opener):
            raise InputTypeError(f"opener={shown(opener)}; give a function number -> PatchingView, or None")
        repeated = pairs["number"][pairs["number"].duplicated()]
        if opener is not None and len(repeated):
            raise InputError(f"number {int(repeated.iloc[0])} is that of several pairs; an opener needs one number a pair")
        self._opener = opener
        self._numbers = set(pairs["number"].tolist())
        self._opened: dict[int, PatchingView] = {}  # the latest last
        self._opening = threading.Lock()  # one run of the ranker at a time
        self._listed = wire.pack_pairs(pairs) if {"pairs", "changes"} & set(panels) else None
        super().__init__(spec, None, panels, (), theme, **traits)

    @property
    def opened(self) -> dict[int, PatchingView]:
        """The views of pairs that were opened, by number."""
        return dict(self._opened)

    def open_pair(self, number: int) -> PatchingView:
        """Return the view of a pair; it is made once, and goes into pages that are written later.

        Raises
        ------
        InputError
            There is no pair of this number.
        MechvizError
            This view has no opener.
        """
        if number not in self._numbers:
            raise InputError(f"number={shown(number)}; no pair of this list has it")
        with self._opening:
            view = self._opened.pop(number, None) or self._made(int(number))
            self._opened[int(number)] = view
        return view

    def _made(self, number: int) -> PatchingView:
        if self._opener is None:
            raise MechvizError("this view was made without an opener, so it cannot run the ranker on a pair; pass opener=")
        view = self._opener(number)
        if not isinstance(view, PatchingView):
            raise InputTypeError(f"opener({number}) returned {shown(view)}; it returns a PatchingView")
        return view

    def to_html(self, path: str | os.PathLike[str], texts: bool = True, opened: Iterable[int] = ()) -> Path:
        """Write the view as one HTML file that needs no network, and return its path.

        The file also holds the pairs that were opened, so that they open there too: the latest, as many as fit in about 5 MB;
        a warning says which were left out.

        Parameters
        ----------
        path : str or PathLike
        texts : bool, default True
            False leaves the texts out.
        opened : iterable of int
            Numbers of pairs that are opened first.

        Raises
        ------
        InputError
            The folder does not exist, or there is no such pair.
        """
        for number in opened:
            self.open_pair(number)
        return super().to_html(path, texts)

    def _packed(self, count: int, budget: int, page: bool) -> list[wire.Packed]:
        packed = [] if self._listed is None else [self._listed]
        return [*packed, *(self._opened_pairs() if page else ())]

    def _opened_pairs(self) -> list[wire.Packed]:
        """Return the pairs that were opened, the latest first, until the page is full."""
        packed: list[wire.Packed] = []
        left, budget = [], _PAGE_PAIRS
        for number in reversed(self._opened):
            one = self._pack_opened(number)
            budget -= one.nbytes
            if budget < 0 and packed:
                left.append(number)
            else:
                packed.append(one)
        if left:
            warnings.warn(
                f"this page is full: of the pairs that were opened, it leaves out {', '.join(map(str, left))}", stacklevel=5
            )
        return packed

    def _pack_opened(self, number: int) -> wire.Packed:
        return wire.pack_opened(number, plain(self.open_pair(number).state(_PAIR_BYTES)))

    # -- answers -----------------------------------------------------------------------------------------------------

    def _answers(self) -> dict[str, Answer]:
        return {
            "open": lambda message: self._pack_opened(int(message["number"])),
            "inside": lambda message: self._opened_before(int(message["number"])).answer_to(message["message"]),
        }

    def _opened_before(self, number: int) -> PatchingView:
        if number not in self._opened:
            raise MechvizError(f"pair {number} is not open in this kernel; open it again")
        return self._opened[number]

    def _receive(self, _widget: object, content: dict[str, Any], _buffers: object) -> None:
        # Both may run the ranker: the kernel must stay free for other answers.
        threading.Thread(target=self._answer, args=(content,), name="mechviz-open", daemon=True).start()
