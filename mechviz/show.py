"""The calls that join rankers and views: run, and draw."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from mechviz import wire
from mechviz.errors import InputError, shown
from mechviz.patching import Session, Settings
from mechviz.patching.reading import Reading, attention_result, read
from mechviz.rankers import Ranker
from mechviz.rankers.checks import check_docs
from mechviz.rankers.parts import score_parts
from mechviz.rankers.provenance import provenance_of
from mechviz.rankers.ranker import check_ranker
from mechviz.results import Circuit, Pair, RankingResult
from mechviz.text.checks import check_text
from mechviz.text.perturb import as_perturbation
from mechviz.views import AttentionView, PatchingView, RankingView
from mechviz.views.checks import check_panels, check_theme, has_kernel, waits_for_file
from mechviz.views.patching import Extras, Job, Step

#: Grids that a view of a pair holds.
_GRIDS = ("heads", "mlps", "blocks")
#: A computation is drawn this often, in seconds.
_PACE = 0.08


class Runs:
    """The reader of a ranker's runs: see `mechviz.views.reader.Reader`.

    Parameters
    ----------
    readings : mapping of stack to Reading
    """

    def __init__(self, readings: Mapping[str, Reading]) -> None:
        self._readings = readings

    def pattern(self, stack: str, layer: int) -> NDArray[np.float32]:
        """Return the attention of one layer, dims (run, head, query_pos, key_pos); run 0 is the base."""
        return self._of(stack).pattern(layer)

    def scores(self, stack: str, layer: int, head: int, pos: int) -> dict[str, Any]:
        """Return what the scores of one position are made of."""
        return self._of(stack).scores(layer, head, pos)

    def _of(self, stack: str) -> Reading:
        if stack not in self._readings:
            raise InputError(f"stack={shown(stack)}; there are {', '.join(map(repr, self._readings))}")
        return self._readings[stack]


def show_patching(
    ranker: Ranker,
    query: str,
    doc: str,
    perturb: object,
    *,
    exact: Sequence[str] = ("heads", "mlps"),
    panels: Sequence[str] | None = None,
    circuit: Circuit | None = None,
    wait: bool | None = None,
    static: bool = False,
    theme: str = "auto",
    **settings: Unpack[Settings],
) -> Any:
    """Draw why a perturbation changed a document's score.

    The texts are checked and scored and a gradient preview is made inside the call; the view comes back at once and
    one worker thread replaces the preview by exact values, row by row.

    Parameters
    ----------
    ranker : Ranker
    query, doc : str
    perturb : callable or str
        ``doc -> doc``, ``(doc, query) -> doc``, the perturbed text itself, or ``mv.perturb.on_query`` of a function.
    exact : sequence of str, default ``("heads", "mlps")``
        Which grids get exact values: ``heads``, ``mlps``, and ``blocks`` (the effects by position, which take the longest; as
        a preview they are there at once, and a button computes them).
    panels : sequence of str, optional
        Which panels, in their order: see `mechviz.views.PatchingView`.
    circuit : Circuit, optional
        From `mechviz.circuit` of the same pair; it gets a panel that is linked to the others.
    wait : bool, optional
        Compute everything inside the call. Default: True where there is no kernel or the environment variable
        ``MECHVIZ_WAIT`` is 1 (for notebooks that are executed to a file), else False.
    static : bool, default False
        Return the one-file page in a frame instead of the widget, for places without a widget manager.
    theme : ``"auto"``, ``"light"`` or ``"dark"``
    **settings
        ``docs``, ``direction``, ``metric``, ``filler``, ``stack``, ``layers``, ``heads``, ``positions``, ``source`` and
        what else `mechviz.patch` takes, except a grid. Without ``stack``, every stack that reads the changed text is patched:
        of MonoT5 encoder, decoder and cross-attention.

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
        raise InputError(
            f"grid={shown(settings['grid'])}: the view holds {', '.join(_GRIDS)}; say by exact= which are computed exactly, "
            "or draw what mv.patch computes by mv.views.PatchingView(result)"
        )
    wrong = [name for name in exact if name not in _GRIDS]
    if wrong or isinstance(exact, str):
        raise InputError(f"exact={shown(exact)}; it is a sequence of {', '.join(map(repr, _GRIDS))}")
    check_panels(panels, (), PatchingView.PANELS)
    sessions = _sessions(check_ranker(ranker), query, doc, perturb, settings)
    main = next(iter(sessions.values()))
    previews = {key: session.attribution() for key, session in sessions.items()}
    jobs = {
        key: Job(partial(_steps, session, previews[key]), int(np.isfinite(previews[key]).sum()))
        for key, session in sessions.items()
    }
    now = {key: job for key, job in jobs.items() if key.rpartition(".")[2] in exact}
    view = PatchingView(
        [session.result("attribution", previews[key]) for key, session in sessions.items()],
        Runs({session.base.stack: session.reading for session in sessions.values()}),
        theme,
        panels,
        Extras(circuit, _parts_of(ranker, main.pair), {key: job for key, job in jobs.items() if key not in now}, main.competing),
    )
    view.follow(now, _waits(wait) or static, ranker.refuse_open_hooks)
    return view.static() if static else view


def show_attention(
    ranker: Ranker,
    query: str,
    doc: str,
    *,
    panels: Sequence[str] | None = None,
    truncate: bool = False,
    static: bool = False,
    theme: str = "auto",
) -> Any:
    """Draw where a ranker attends: all heads as thumbnails, the lines of one or several, and what a score is made of.

    Parameters
    ----------
    ranker : Ranker
    query, doc : str
    panels : sequence of str, optional
        Which panels, in their order: ``model``, ``lines``, ``neurons``, ``score``.
    truncate : bool, default False
        Cut what is too long, instead of raising.
    static : bool, default False
        Return the one-file page in a frame instead of the widget.
    theme : ``"auto"``, ``"light"`` or ``"dark"``

    Returns
    -------
    AttentionView

    Raises
    ------
    MechvizError
        Texts that cannot be used, NaN or inf in the activations.
    """
    check_theme(theme)
    query, doc = check_text("query", query), check_text("doc", doc)
    readings, score = read(check_ranker(ranker), query, doc, truncate)
    parts = None if truncate else score_parts(ranker, query, doc)
    packed = None if parts is None else wire.pack_parts(parts[0], [parts[1]])
    view = AttentionView(attention_result(ranker, query, doc, readings, score), Runs(readings), panels, theme, packed)
    return view.static() if static else view


def show_ranking(
    ranker: Ranker,
    query: str,
    docs: Sequence[str],
    *,
    doc: int | str | None = None,
    perturb: object = None,
    grades: Sequence[int] | None = None,
    static: bool = False,
    theme: str = "auto",
    **settings: Any,
) -> Any:
    """Draw a candidate list in the ranker's order, and what a perturbation does to it.

    Parameters
    ----------
    ranker : Ranker
    query : str
    docs : sequence of str
    doc : int or str, optional
        The one document that is perturbed, by its number or its text: the view is then that of `show_patching`, with the
        ranking first, and shows which rank the document gets when only the selected head is patched.
    perturb : callable or str, optional
        As in `show_patching`. Without ``doc``, each document is perturbed by itself (or the query, by
        ``mv.perturb.on_query``), and the view shows how all of them move; those that it leaves as they are keep their score.
    grades : sequence of int, optional
        Relevance of each document: the view tells nDCG@10 before and after.
    static : bool, default False
        Return the one-file page in a frame instead of the widget.
    theme : ``"auto"``, ``"light"`` or ``"dark"``
    **settings
        As in `show_patching`, where a ``doc`` is given.

    Returns
    -------
    RankingView, or PatchingView where ``doc`` is given

    Raises
    ------
    MechvizError
        Input that cannot be used.
    """
    check_theme(theme)
    query, texts = check_text("query", query), check_docs(docs)
    if not texts:
        raise InputError("docs is empty: there is nothing to rank")
    if doc is not None:
        if perturb is None:
            raise InputError("doc= says which document is perturbed, and there is no perturb=")
        chosen = texts[_number(doc, len(texts))] if isinstance(doc, int) else check_text("doc", doc)
        panels = ("ranking", *(name for name in PatchingView.PANELS if name not in ("ranking", "score", "circuit")))
        patching: Any = {"panels": panels, **settings, "docs": texts}
        return show_patching(ranker, query, chosen, perturb, static=static, theme=theme, **patching)
    if settings:
        raise InputError(f"{', '.join(settings)}: these say how one document is patched, and no doc= is given")
    view = RankingView(_ranked(check_ranker(ranker), query, texts, perturb, grades), theme)
    return view.static() if static else view


def _ranked(ranker: Ranker, query: str, docs: Sequence[str], perturb: object, grades: Sequence[int] | None) -> RankingResult:
    original = ranker.score(query, docs)
    perturbed, changed, name = None, None, ""
    if perturb is not None:
        perturbation = as_perturbation(perturb)
        name = perturbation.name
        if perturbation.side == "query":
            perturbed = ranker.score(perturbation.apply(query, docs[0]), docs)
            changed = np.ones(len(docs), dtype=bool)
        else:
            texts = [perturbation.apply(query, doc) for doc in docs]
            perturbed = ranker.score(query, texts)
            changed = np.array([text != doc for text, doc in zip(texts, docs, strict=True)])
    return RankingResult(
        query=query,
        docs=tuple(docs),
        original=original,
        perturbed=perturbed,
        changed=changed,
        perturbation=name,
        grades=None if grades is None else tuple(map(int, grades)),
        provenance=provenance_of(ranker),
    )


def _sessions(ranker: Ranker, query: str, doc: str, perturb: object, settings: Settings) -> dict[str, Session]:
    """Return the sessions of a view by grid key: heads of each stack, then MLPs, then effects by position."""
    first = Session(ranker, query, doc, perturb, more=("mlps", "blocks"), **settings)
    text, chosen = first.pair.stack, settings.get("stack")
    others = [stack for stack in ranker.stacks if ranker.text_of(stack) == text and stack != first.base.stack]
    by_stack = {first.base.stack: first}
    for stack in others if chosen is None else ():
        more: Any = {**settings, "stack": stack}
        by_stack[stack] = Session(ranker, query, doc, perturb, more=("mlps",), **more)
    found = {f"{stack}.heads": session for stack, session in by_stack.items()}
    # Decoder and cross-attention are two attentions of one layer, which has one MLP; some rankers have none.
    found |= {
        f"{stack}.mlps": session.turned("mlps")
        for stack, session in by_stack.items()
        if session.stack.d_mlp and (stack != "cross" or chosen)
    }
    if first.base.stack == text:
        found[f"{text}.blocks"] = first.turned("blocks")
    return found


def _parts_of(ranker: Ranker, pair: Pair) -> wire.Packed | None:
    """Return what the scores of both texts are made of, the base run's text first; None where a text was cut."""
    if pair.truncated:
        return None
    texts = [(pair.query, pair.doc), (pair.query, pair.changed) if pair.side == "doc" else (pair.changed, pair.doc)]
    parts = [score_parts(ranker, *text) for text in (texts if pair.direction == "perturbed->original" else texts[::-1])]
    known = [part for part in parts if part is not None]
    return wire.pack_parts(known[0][0], [part for _, part in known]) if known else None


def _steps(session: Session, preview: NDArray[np.float32]) -> Iterator[Step]:
    patched = np.full_like(preview, np.nan)
    wanted = int(np.isfinite(preview).sum())
    drawn = -_PACE
    for cells, scores in session.exact():
        patched.flat[cells] = scores
        exact = np.isfinite(patched)
        if time.perf_counter() - drawn < _PACE and int(exact.sum()) < wanted:
            continue
        drawn = time.perf_counter()
        yield Step(
            shown=session.result("exact", np.where(exact, patched, preview)),
            exact=exact,
            result=session.result("exact", patched, preview),
        )


def _waits(wait: bool | None) -> bool:
    return waits_for_file() or not has_kernel() if wait is None else wait


def _number(doc: int, size: int) -> int:
    if isinstance(doc, bool) or not 0 <= doc < size:
        raise InputError(f"doc={shown(doc)}; there are documents 0 to {size - 1}")
    return doc
