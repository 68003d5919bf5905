"""Interventions: what pyvene promises, for rankers, and checked.

An `Intervention` names a hook, positions, coordinates and an op; a `Plan` puts several together, runs them on pairs, learns their
subspaces, saves, and works inside another model.
"""

from mechviz.interventions import bases, ops, subspaces
from mechviz.interventions.bound import Bound
from mechviz.interventions.causal import CausalModel
from mechviz.interventions.controls import randomized
from mechviz.interventions.fitting import Fit, fit
from mechviz.interventions.intervention import Intervention
from mechviz.interventions.plan import Plan
from mechviz.interventions.probing import Probing, read_and_used
from mechviz.interventions.searching import Search, search
from mechviz.interventions.steering import Steering, steer
from mechviz.interventions.subspaces import DAS, Autoencoder, Basis, Boundless, Mask, Neurons
from mechviz.interventions.tracing import Trace, trace
from mechviz.interventions.wrapped import Wrapped, wrap

__all__ = [
    "DAS",
    "Autoencoder",
    "Basis",
    "Bound",
    "Boundless",
    "CausalModel",
    "Fit",
    "Intervention",
    "Mask",
    "Neurons",
    "Plan",
    "Probing",
    "Search",
    "Steering",
    "Trace",
    "Wrapped",
    "bases",
    "fit",
    "ops",
    "randomized",
    "read_and_used",
    "search",
    "steer",
    "subspaces",
    "trace",
    "wrap",
]
