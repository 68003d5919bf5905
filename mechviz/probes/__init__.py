"""Probes: what heads relate, what words mean inside, which words decide.

- Heads: `RelationDetector` and `relations`, `composition`, `rollout`.
- Layers: `score_lens`, `tuned_lens`, `polysemy`, `atlas`.
- Neurons: `find_concept_neurons`, `knowledge_probe`, `sparse_probe`, `direction_probe`, `clamp_neurons`, `activating`.
- The score: `score_contributions`, `attribution_tree`; and by words, `words`.
- Anything else: `array` names what is inside, `graph_of_weights` and `graph_of_activations` hand it to other tools.
"""

from mechviz.probes import concepts, relations, words
from mechviz.probes.activating import Activating, Along, Head, Neuron, activating
from mechviz.probes.arrays import array
from mechviz.probes.atlas import Atlas, atlas
from mechviz.probes.attribution_tree import AttributionTree, attribution_tree
from mechviz.probes.clamping import Clamping, clamp_neurons
from mechviz.probes.coherence import neuron_weight_coherence
from mechviz.probes.composition import Composition, composition
from mechviz.probes.contributions import ScoreContributions, score_contributions
from mechviz.probes.detector import RelationDetector
from mechviz.probes.detector_causal import RelationAblation
from mechviz.probes.graph import graph_of_activations, graph_of_weights
from mechviz.probes.lens import ScoreLens, TunedLens, score_lens, tuned_lens
from mechviz.probes.neurons import ConceptNeurons, KnowledgeProbe, find_concept_neurons, knowledge_probe
from mechviz.probes.polysemy import Polysemy, polysemy
from mechviz.probes.reading import Read, read
from mechviz.probes.report import RelationReport
from mechviz.probes.rollout import Rollout, rollout
from mechviz.probes.sparse import Probes, direction_probe, sparse_probe

__all__ = [
    "Activating",
    "Along",
    "Atlas",
    "AttributionTree",
    "Clamping",
    "Composition",
    "ConceptNeurons",
    "Head",
    "KnowledgeProbe",
    "Neuron",
    "Polysemy",
    "Probes",
    "Read",
    "RelationAblation",
    "RelationDetector",
    "RelationReport",
    "Rollout",
    "ScoreContributions",
    "ScoreLens",
    "TunedLens",
    "activating",
    "array",
    "atlas",
    "attribution_tree",
    "clamp_neurons",
    "composition",
    "concepts",
    "direction_probe",
    "find_concept_neurons",
    "graph_of_activations",
    "graph_of_weights",
    "knowledge_probe",
    "neuron_weight_coherence",
    "polysemy",
    "read",
    "relations",
    "rollout",
    "score_contributions",
    "score_lens",
    "sparse_probe",
    "tuned_lens",
    "words",
]
