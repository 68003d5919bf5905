"""What all views share: traits that the browser draws from, answers to what it asks for, and files."""

from __future__ import annotations

import base64
import contextlib
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import anywidget
import traitlets

import mechviz
from mechviz import figures, snapshot, wire
from mechviz.errors import InputError, MechvizError, shown
from mechviz.views.checks import THEMES, check_theme, has_kernel, index, plain, waits_for_file, write
from mechviz.views.reader import Reader

#: Heads whose attention comes with the widget; any other is fetched when asked for.
LIVE_HEADS = 8
LIVE_BYTES = 1_000_000
#: Attention that a page may hold; base64 makes it a third longer.
_PAGE_BYTES = 1_500_000
#: What scores are made of, and whole matrices, that a page may hold beside.
_PAGE_SCORES = 300_000
_PAGE_MATRICES = 600_000

#: A progress in which nothing runs.
IDLE: dict[str, Any] = {"state": "loaded", "done": 0, "total": 0, "seconds": 0.0, "message": "", "agreement": None}

Answer = Callable[[dict[str, Any]], wire.Packed]


class View(anywidget.AnyWidget):
    """A widget of linked panels.

    Parameters
    ----------
    spec : mapping
        From `mechviz.wire`.
    reader : Reader or None
        What heads are read from; without one nothing but what comes with the view can be opened.
    panels : sequence of str
        Which panels, in their order.
    order : sequence of (stack, layer, head)
        Heads, the most important first.
    theme : ``"auto"``, ``"light"`` or ``"dark"``
    **traits
        First values of the widget's other traits.

    Attributes
    ----------
    selection : dict
        ``stack``, ``layer``, ``head``; the pinned position ``pos`` and its partner ``key_pos`` (or None); ``heads``: the heads
        that are compared or patched together, as [stack, layer, head]. May be set.
    """

    _esm = snapshot.STATIC / f"{snapshot.WIDGET}.js"
    _css = snapshot.STATIC / f"{snapshot.WIDGET}.css"
    _bundle = snapshot.WIDGET

    spec = traitlets.Dict().tag(sync=True)
    buffers = traitlets.Dict().tag(sync=True)
    cells = traitlets.Dict().tag(sync=True)
    progress = traitlets.Dict().tag(sync=True)
    selection = traitlets.Dict().tag(sync=True)
    theme = traitlets.Enum(THEMES, default_value="auto").tag(sync=True)

    #: Panels that this kind of view has.
    PANELS: Sequence[str] = ()

    def __init__(
        self,
        spec: Mapping[str, Any],
        reader: Reader | None,
        panels: Sequence[str],
        order: Sequence[wire.Head],
        theme: str,
        **traits: Any,
    ) -> None:
        check_theme(theme)
        self._spec = {**spec, "panels": list(panels)}
        self._reader = reader
        self._order = list(order)
        self._sizes = {stack["name"]: (stack["n_layers"], stack["n_heads"]) for stack in spec["stacks"]}
        traits = {"progress": {**IDLE, "live": has_kernel()}, "selection": self._first_selection(), **traits}
        super().__init__(**self._still(LIVE_HEADS, LIVE_BYTES), theme=theme, **traits)
        self.on_msg(self._receive)

    # -- what a person uses ------------------------------------------------------------------------------------------

    @property
    def title(self) -> str:
        """What a file of this view is called."""
        return "mechviz"

    def to_html(self, path: str | os.PathLike[str], texts: bool = True) -> Path:
        """Write the view as one HTML file that needs no network, and return its path; waits for a computation.

        The file shows the current selection, holds the lines of as many heads as fit, by falling effect, and says which.

        Parameters
        ----------
        path : str or PathLike
        texts : bool, default True
            False leaves the texts out: tokens become their numbers, so that what is private can be shown.

        Raises
        ------
        InputError
            The folder does not exist.
        """
        page = self._page(texts).encode()
        if len(page) > snapshot.SIZE_CAP:
            warnings.warn(f"{path} has {len(page) / 2**20:.1f} MB, over {snapshot.SIZE_CAP / 2**20:.0f} MB", stacklevel=2)
        return write(path, page)

    def to_svg(self, path: str | os.PathLike[str], panel: str | None = None, theme: str = "light") -> Path:
        """Write a panel as SVG, made in Python without a browser, and return its path; waits for a computation.

        Parameters
        ----------
        path : str or PathLike
        panel : str, optional
            Which one of the view's panels; default the first.
        theme : ``"light"`` or ``"dark"``

        Raises
        ------
        InputError
            No such panel, or the folder does not exist.
        """
        self._finish()
        return write(path, self._checked_figure(panel, theme).encode())

    def to_png(self, path: str | os.PathLike[str], panel: str | None = None, scale: float = 2, theme: str = "light") -> Path:
        """Write a panel as PNG, made in Python without a browser, and return its path; waits for a computation.

        Parameters
        ----------
        path : str or PathLike
        panel : str, optional
            Which one of the view's panels; default the first.
        scale : float, default 2
            Pixels a unit of the picture.
        theme : ``"light"`` or ``"dark"``

        Raises
        ------
        InputError
            No such panel, or the folder does not exist.
        MechvizError
            The extra ``mechviz-ir[png]`` is not installed.
        """
        self._finish()
        return write(path, figures.to_png(self._checked_figure(panel, theme), scale))

    def static(self, height: int = 1450, texts: bool = True) -> Any:
        """Return the one-file page inside a frame, for places without a widget manager; IPython shows it.

        Where frames are taken out (a notebook that is not trusted), a still picture of the first panel stands there.
        """
        self._finish()
        return snapshot.Framed(self._page(texts), self._figure(self._spec["panels"][0], "light"), height)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Return the widget, and a still picture of its first panel beside it, for places that show no widgets.

        Where a notebook is executed to a file (``MECHVIZ_WAIT=1``) the picture comes alone: whoever opens the file has no
        kernel that the widget could come from.
        """
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is None:
            return None
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        picture = self._figure(self._spec["panels"][0], "light")
        data = {**data, "image/svg+xml": picture}
        # A notebook that is not trusted shows PNG only.
        with contextlib.suppress(MechvizError):
            data["image/png"] = base64.b64encode(figures.to_png(picture, 1)).decode()
        if waits_for_file():
            data.pop("application/vnd.jupyter.widget-view+json", None)
        return data, metadata

    def _checked_figure(self, panel: str | None, theme: str) -> str:
        panels = self._spec["panels"]
        chosen = panels[0] if panel is None else panel
        if chosen not in panels:
            raise InputError(f"panel={shown(panel)}; this view has {', '.join(map(repr, panels))}")
        if theme not in ("light", "dark"):
            raise InputError(f"theme={shown(theme)}; a picture is 'light' or 'dark'")
        return self._figure(chosen, theme)

    def _figure(self, panel: str, theme: str) -> str:
        """Return a panel as SVG, with the current selection."""
        raise NotImplementedError

    def _page(self, texts: bool) -> str:
        state = self.state(_PAGE_BYTES)
        if not texts:
            state["spec"] = wire.without_texts(state["spec"])
            state["buffers"] = {name: state["buffers"][name] for name in state["spec"]["buffers"]}
        return snapshot.to_html(plain(state), "mechviz" if not texts else self.title, mechviz.__version__, self._bundle)

    def state(self, budget: int) -> dict[str, Any]:
        """Return all that a page without a kernel draws from, with at most ``budget`` bytes of lines; waits for a computation."""
        self._finish()
        return {
            **self._still(sum(layers * heads for layers, heads in self._sizes.values()), budget, page=True),
            "cells": self.cells,
            "progress": {**self.progress, "live": False},
            "selection": dict(self.selection),
            "theme": self.theme,
        }

    def _finish(self) -> None:
        """Wait for what still runs."""

    # -- what comes with the view ------------------------------------------------------------------------------------

    def _still(self, count: int, budget: int, page: bool = False) -> dict[str, Any]:
        """Return the state that does not change while cells are computed, with lines of the ``count`` first heads."""
        packed = self._packed(count, budget, page)
        arrays = {name: array for one in packed for name, array in one.arrays.items()}
        return {"spec": wire.with_held(self._spec, packed), "buffers": wire.bytes_of(arrays)}

    def _packed(self, count: int, budget: int, page: bool) -> list[wire.Packed]:
        """Return what is sent at once: of a page also the thumbnails, and the scores of the position that is pinned."""
        if self._reader is None or not self._sizes:
            return []
        packed: list[wire.Packed] = []
        panels = self._spec["panels"]
        if "model" in panels and (page or self._shows_thumbs_first):
            packed += [self.pack_thumbs(stack) for stack in self._sizes]
        if page and "neurons" in panels:
            packed += self._pack_scores(_PAGE_SCORES)
        if page and "lines" in panels:
            packed += wire.pack_matrices(self._reader.pattern, self._first_heads(), _PAGE_MATRICES)
        return [*packed, *wire.pack_heads(self._reader.pattern, self._order[:count], budget)]

    #: Whether thumbnails are what the view is opened for.
    _shows_thumbs_first = False

    def _pack_scores(self, budget: int) -> list[wire.Packed]:
        """Pack what scores are made of: of the selected head and the first others, at the pinned or the first position."""
        packed: list[wire.Packed] = []
        for stack, layer, head in self._first_heads()[:LIVE_HEADS]:
            step = any(one["name"] == stack and one["query_labels"] for one in self._spec["stacks"])
            pos = self.selection["pos"]
            at = self.first_position(stack) if pos is None or step else pos
            try:
                one = wire.pack_scores(stack, layer, head, at, self.known_reader().scores(stack, layer, head, at))
            except MechvizError:  # attention without queries and keys, or a decoder's one position: the panel says so
                continue
            budget -= one.nbytes
            if budget < 0 and packed:
                break
            packed.append(one)
        return packed

    def _first_heads(self) -> list[wire.Head]:
        """Return all heads, the selected one first, then by their order."""
        chosen = (self.selection["stack"], self.selection["layer"], self.selection["head"])
        return list(dict.fromkeys([chosen, *self._order]))

    def first_position(self, stack: str) -> int:
        """Return where the neuron view begins: the first position that was changed, else the first that is of a text."""
        shape = next(one for one in self._spec["stacks"] if one["name"] == stack)
        if shape["query_labels"]:
            return 0
        text = self._spec["texts"][shape["text"]]
        of_text = (at for at, segment in enumerate(text["base"]["segments"]) if segment in ("query", "doc"))
        return next((at for at, kind in enumerate(text["alignment"]) if kind != "equal"), next(of_text, 0))

    def pack_thumbs(self, stack: str) -> wire.Packed:
        """Return the thumbnails of a stack."""
        return wire.pack_thumbs(stack, self._sizes[stack][0], self.known_reader().pattern)

    def known_reader(self) -> Reader:
        """Return what heads are read from.

        Raises
        ------
        MechvizError
            There is none.
        """
        if self._reader is None:
            raise MechvizError("this view was made without attention patterns: pass patterns= to PatchingView")
        return self._reader

    # -- the selection -----------------------------------------------------------------------------------------------

    def _first_selection(self) -> dict[str, Any]:
        stack, layer, head = self._order[0] if self._order else (next(iter(self._sizes), ""), 0, 0)
        return {"stack": stack, "layer": layer, "head": head, "pos": None, "key_pos": None, "heads": []}

    @traitlets.validate("selection")
    def _check_selection(self, proposal: Any) -> dict[str, Any]:
        value = {**self._first_selection(), "pos": None, "key_pos": None, "heads": [], **proposal["value"]}
        if not self._sizes:
            return value
        at = self._check_head([value["stack"], value["layer"], value["head"]], "selection")
        value["stack"], value["layer"], value["head"] = at
        value["heads"] = [self._check_head(head, "selection['heads']") for head in value["heads"]]
        for name in ("pos", "key_pos"):
            if value[name] is not None:
                value[name] = index(f"selection[{name!r}]", value[name], self._length(at[0]), "None or a position below")
        return value

    def _check_head(self, head: Any, where: str) -> list[Any]:
        stack, layer, number = head
        if stack not in self._sizes:
            raise InputError(f"{where}: stack {shown(stack)}; there are {', '.join(map(repr, self._sizes))}")
        n_layers, n_heads = self._sizes[stack]
        return [
            stack,
            index(f"{where}['layer']", layer, n_layers, "a number below"),
            index(f"{where}['head']", number, n_heads, "a number below"),
        ]

    def _length(self, stack: str) -> int:
        text = next(one["text"] for one in self._spec["stacks"] if one["name"] == stack)
        return len(self._spec["texts"][text]["base"]["labels"])

    # -- answers -----------------------------------------------------------------------------------------------------

    def _answers(self) -> dict[str, Answer]:
        """Return what answers each kind of message."""
        return {
            "attention": lambda message: self._answer_attention(message),
            "matrix": lambda message: self._answer_matrix(message),
            "thumbs": lambda message: self.pack_thumbs(str(message["stack"])),
            "scores": lambda message: self._answer_scores(message),
        }

    def answer_to(self, message: dict[str, Any]) -> wire.Packed:
        """Return what a message asks for.

        Raises
        ------
        MechvizError
            Nobody here knows that kind of message.
        """
        answers = self._answers()
        if message.get("type") not in answers:
            raise MechvizError(f"unknown message {shown(message.get('type'))}")
        return answers[message["type"]](message)

    def _answer_attention(self, message: dict[str, Any]) -> wire.Packed:
        stack, layer, head = str(message["stack"]), int(message["layer"]), int(message["head"])
        return wire.pack_head(stack, layer, head, self.known_reader().pattern(stack, layer)[:, head])

    def _answer_matrix(self, message: dict[str, Any]) -> wire.Packed:
        stack, layer, head = str(message["stack"]), int(message["layer"]), int(message["head"])
        return wire.pack_matrix(stack, layer, head, self.known_reader().pattern(stack, layer)[:, head])

    def _answer_scores(self, message: dict[str, Any]) -> wire.Packed:
        stack, layer, head, pos = str(message["stack"]), int(message["layer"]), int(message["head"]), int(message["pos"])
        return wire.pack_scores(stack, layer, head, pos, self.known_reader().scores(stack, layer, head, pos))

    def _receive(self, _widget: object, content: dict[str, Any], _buffers: object) -> None:
        self._answer(content)

    def _answer(self, content: dict[str, Any]) -> None:
        """Answer a message from the browser; what goes wrong is told there, not swallowed."""
        try:
            packed = self.answer_to(content)
        except Exception as error:
            self.send({"type": "error", "id": content.get("id"), "message": f"{type(error).__name__}: {error}"})
            return
        self.send(
            {
                "type": "answer",
                "id": content.get("id"),
                "key": packed.key,
                "entry": plain(packed.entry),
                "buffers": wire.describe(packed.arrays),
                "order": list(packed.arrays),
            },
            buffers=[wire.to_bytes(array) for array in packed.arrays.values()],
        )
