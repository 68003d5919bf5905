"""The live picture of a circuit."""

from __future__ import annotations

from mechviz import figures, wire
from mechviz.errors import InputTypeError, shown
from mechviz.results import Circuit
from mechviz.views.view import View


class CircuitView(View):
    """The graph of a circuit: parts from the text at the left to the score at the right.

    Parameters
    ----------
    circuit : Circuit
        From `mechviz.circuit`.
    theme : ``"auto"``, ``"light"`` or ``"dark"``
    """

    PANELS = ("circuit",)

    def __init__(self, circuit: Circuit, theme: str = "auto") -> None:
        if not isinstance(circuit, Circuit):
            raise InputTypeError(f"a CircuitView draws a Circuit, not {shown(circuit)}; see mv.circuit")
        self.circuit = circuit
        super().__init__(wire.pack_circuit_alone(circuit), None, self.PANELS, (), theme)

    @property
    def title(self) -> str:
        """What a file of this view is called."""
        return f"circuit: {self.circuit.pair.perturbation} - mechviz"

    def _figure(self, panel: str, theme: str) -> str:
        return figures.circuit_svg(self.circuit, theme)

    def __repr__(self) -> str:
        return f"CircuitView({self.circuit!r})"
