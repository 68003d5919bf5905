"""Whether polysemy in all-MiniLM tells homonyms from words of like frequency: ``python -m benchmarks.probes.polysemy``.

The words are those of ``homonyms.tsv``: 72 homonyms, each with a word that is about as frequent in the collections; words with
fewer than 50 occurrences have no match and are left out. The rule was made before the first measurement: the figure is the area
under the ROC curve of polysemy less its null (`excess`), at the last layer, of homonyms against their matches. Everything else
is shown beside it and chosen by nobody.

It needs the folder that MECHVIZ_DATA names, with ``trecdl/pairs.tsv``, ``vaswani/doc-text.trec`` and
``cranfield/cran.all.1400.xml``; about eight minutes on one core.
"""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.machine import describe
from benchmarks.table import Row, print_table
from benchmarks.texts import all_minilm
from mechviz.probes.neuron_statistics import area_interval, areas
from mechviz.probes.polysemy import polysemy
from mechviz.text.words import terms

WORDS = Path(__file__).parent / "homonyms.tsv"
AIM = 0.75
#: Occurrences of a word, and texts that are there for their words to be neighbours.
MOST, BACKGROUND, K = 50, 2000, 50
#: What is shown: the number that the figure is of, then others; less of the last is more polysemy.
SHOWN = ("excess", "polysemy", "effective_senses", "neighbour_entropy", "self_similarity")


def rows() -> list[Row]:
    """Measure it, where the data are."""
    folder = os.environ.get("MECHVIZ_DATA")
    if not folder:
        return [Row("polysemy of homonyms against matched words, all-MiniLM: AUC", "MECHVIZ_DATA is not set", f"{AIM}")]
    words = pd.read_csv(WORDS, sep="\t", keep_default_na=False)
    kept = words[words["match"] != ""].reset_index(drop=True)
    table = measured(collections(Path(folder)), [*kept["homonym"], *kept["match"]])
    last = int(table["layer"].max())
    found = [figure(table, kept, layer, "excess") for layer in range(last + 1)]
    main = found[last]
    dropped = len(words) - len(kept)
    what = f"polysemy of {len(kept)} homonyms against words of like frequency, all-MiniLM, last layer: AUC [95 % over words]"
    by_layer = " ".join(f"{value:.2f}" for value, _, _ in found)
    others = ", ".join(f"{name} {figure(table, kept, last, name)[0]:.2f}" for name in SHOWN[1:])
    return [
        Row(what, "{:.2f} [{:.2f}, {:.2f}]".format(*main), f"{AIM}", main[0] >= AIM),
        Row(f"the same by layer, 0 to {last}", by_layer),
        Row("other numbers at the last layer: AUC", others),
        Row("words dropped for fewer than 50 occurrences", f"{dropped}: {', '.join(words[words['match'] == '']['homonym'])}"),
    ]


def collections(folder: Path) -> list[str]:
    """Return the texts of the three collections, each once."""
    with (folder / "trecdl" / "pairs.tsv").open(encoding="utf-8", newline="") as file:
        found = [row["text"] for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]
    vaswani = (folder / "vaswani" / "doc-text.trec").read_text(encoding="utf-8")
    found += re.findall(r"</DOCNO>\s*(.*?)\s*</DOC>", vaswani, re.DOTALL)
    cranfield = (folder / "cranfield" / "cran.all.1400.xml").read_text(encoding="utf-8")
    found += re.findall(r"<text>\s*(.*?)\s*</text>", cranfield, re.DOTALL)
    return [text for text in dict.fromkeys(found) if terms(text)]


def measured(texts: list[str], words: list[str], seed: int = 0) -> pd.DataFrame:
    """Return the table of all layers: of at most 50 occurrences of each word, among the words of a few thousand texts."""
    random = np.random.default_rng(seed)
    counted: Counter[str] = Counter()
    chosen = set(random.permutation(len(texts))[:BACKGROUND].tolist())
    held = {at: Counter(terms(text)) for at, text in enumerate(texts)}
    for at in chosen:
        counted.update({word: held[at][word] for word in words})
    for at in random.permutation(len(texts)).tolist():
        if at not in chosen and any(held[at][word] and counted[word] < MOST for word in words):
            chosen.add(at)
            counted.update({word: held[at][word] for word in words})
    return polysemy(all_minilm(), [texts[at] for at in sorted(chosen)], words=words, k=K, most=MOST, seed=seed).table


def figure(table: pd.DataFrame, words: pd.DataFrame, layer: int, column: str) -> tuple[float, float, float]:
    """Return the area of homonyms against matches, and its bootstrap interval over pairs of words."""
    values = table[table["layer"] == layer].set_index("word")[column]
    both = np.concatenate([values.loc[words[side]].to_numpy() for side in ("homonym", "match")])
    both = -both if column == "self_similarity" else both
    labels = np.arange(len(both)) < len(words)
    low, high = area_interval(both, labels, np.tile(np.arange(len(words)), 2))
    return float(areas(both[:, None], labels)[0]), low, high


def main() -> None:
    """Print the figures."""
    print(describe(), "\n", flush=True)
    print_table(rows())


if __name__ == "__main__":
    main()
