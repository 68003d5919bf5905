"""The calls that join rankers and views: run, and draw."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from mechviz.errors import InputError, shown
from mechviz.patching import Session, Settings
from mechviz.rankers import Ranker
from mechviz.views import PatchingView
from mechviz.views.patching import Step, check_theme, has_kernel


def show_patching(
    ranker: Ranker,
    query: str,
    doc: str,
    perturb: object,
    *,
    wait: bool | None = None,
    theme: str = "auto",
    **settings: Unpack[Settings],
) -> PatchingView:
    """Draw why a perturbation changed a document's score.

    The texts are checked and scored and a gradient preview is made inside the call; the view comes back at once and
    one worker thread replaces the preview by exact values, row by row.

    Parameters
    ----------
    ranker : Ranker
    query, doc : str
    perturb : callable or str
        ``doc -> doc``, ``(doc, query) -> doc``, the perturbed text itself, or ``mv.perturb.on_query`` of a function.
    wait : bool, optional
        Compute everything inside the call. Default: True where there is no kernel or the environment variable
        ``MECHVIZ_WAIT`` is 1 (for notebooks that are executed to a file), else False.
    theme : ``"auto"``, ``"light"`` or ``"dark"``
    **settings
        ``docs``, ``direction``, ``metric``, ``filler``, ``stack``, ``layers``, ``heads``, ``positions``, ``source`` and
        what else `mechviz.patch` takes, except a grid: the view draws ``heads``.

    Returns
    -------
    PatchingView
        ``.result`` waits for the exact values; ``.cancel()`` stops; ``.to_html("why.html")`` writes one file.

    Raises
    ------
    MechvizError
        Input that cannot be used, a perturbation that raises, NaN or inf in the activations.
    """
    check_theme(theme)
    if settings.get("grid", "heads") != "heads":
        raise InputError(f"grid={shown(settings['grid'])}: the view draws the heads grid; mv.patch computes the others")
    session = Session(ranker, query, doc, perturb, **settings)
    preview = session.attribution()
    view = PatchingView(session.result("attribution", preview), session.pattern, theme)
    if wait is None:
        wait = os.environ.get("MECHVIZ_WAIT") == "1" or not has_kernel()
    view.follow(_steps(session, preview), int(np.isfinite(preview).sum()), wait, ranker.refuse_open_hooks)
    return view


def _steps(session: Session, preview: NDArray[np.float32]) -> Iterator[Step]:
    patched = np.full_like(preview, np.nan)
    for cells, scores in session.exact():
        patched.flat[cells] = scores
        exact = np.isfinite(patched)
        yield Step(
            shown=session.result("exact", np.where(exact, patched, preview)),
            exact=exact,
            result=session.result("exact", patched, preview),
        )
