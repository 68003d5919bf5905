"""AUC of all neurons at once, against a loop of scikit-learn's: ``python -m benchmarks.probes.neurons``."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks.machine import describe, medians, seconds
from benchmarks.table import Row, print_table
from mechviz.probes.neuron_statistics import areas

AIM = 20
#: Texts, and neurons: those of all-MiniLM's six layers. The loop is timed on a part of them, its time being that of a neuron.
TEXTS, NEURONS, LOOPED = 400, 9216, 512


def rows() -> list[Row]:
    """Measure it, on activations with ties: half of them are 0."""
    random = np.random.default_rng(0)
    values = np.maximum(random.standard_normal((TEXTS, NEURONS)), 0).astype(np.float32)
    labels = random.random(TEXTS) < 0.4
    loop = np.empty(LOOPED)

    def by_loop() -> None:
        for at in range(LOOPED):
            loop[at] = roc_auc_score(labels, values[:, at])

    mine = medians({"all": lambda: areas(values, labels)}, 5)["all"]
    other = seconds(by_loop) / LOOPED * NEURONS
    apart = float(np.abs(areas(values, labels)[:LOOPED] - loop).max())
    what = f"AUC of all {NEURONS} neurons over {TEXTS} texts: times as fast as a loop of scikit-learn's"
    return [
        Row(what, f"{other / mine:.0f} ({mine:.2f} s / {other:.1f} s)", f"{AIM}", other / mine >= AIM),
        Row("largest difference from scikit-learn's", f"{apart:.1g}", "1e-12", apart <= 1e-12),
    ]


def main() -> None:
    """Print the figures."""
    print(describe(), "\n", flush=True)
    print_table(rows())


if __name__ == "__main__":
    main()
