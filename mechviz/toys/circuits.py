"""The circuits of the compiled rankers, as their weights have them.

``exact_match``: the document asks::

    query words --k, v--+
    document words --q--+-> 0.0 at each document word: idf of its copy in the query, or nothing (from CLS)
                              |
                              v
                            1.0 at CLS: the average over the document -> score

``bm25``: the query asks::

    query words --q-----+
    document words --k, v--> 0.0 at each query word: idf x tf / (tf + k), as CLS stands beside the copies
                              |
                              v
                            1.0 at CLS: the average over the query -> score

``bag``, for each text apart::

    words --v--> 0.h at CLS: the average of the words of quarter h of the vocabulary -> score
"""

from __future__ import annotations

from typing import NamedTuple

from mechviz.toys.compiled import HEADS, check_name


class Edge(NamedTuple):
    """What one part sends to another, by the names that `mechviz.circuit` gives them.

    Attributes
    ----------
    from_id, to_id : str
        ``embed``, ``score``, or a head: ``1.0`` is head 0 of layer 1.
    kind : str
        What the receiver reads with: ``q``, ``k`` or ``v`` of a head, ``in`` of the score.
    carries : str
        The features that it reads.
    """

    from_id: str
    to_id: str
    kind: str
    carries: str


_COPIED_IDF = Edge("embed", "0.0", "v", "idf")
_AVERAGED = (
    Edge("0.0", "1.0", "v", "idf of what matched"),
    Edge("1.0", "score", "in", "the average"),
)
_ASKS = Edge("embed", "0.0", "q", "code of the word")

_CIRCUITS = {
    "exact_match": (
        _ASKS,
        Edge("embed", "0.0", "k", "code of the word, of the document or not, CLS or not"),
        _COPIED_IDF,
        Edge("embed", "1.0", "k", "of the document or not"),
        *_AVERAGED,
    ),
    "bm25": (
        _ASKS,
        Edge("embed", "0.0", "k", "code of the word, of the document or not, CLS or not"),
        _COPIED_IDF,
        Edge("embed", "1.0", "k", "of the query or not, CLS or not"),
        *_AVERAGED,
    ),
    "bag": tuple(
        edge
        for head in range(HEADS)
        for edge in (
            Edge("embed", f"0.{head}", "v", f"words of quarter {head}"),
            Edge(f"0.{head}", "score", "in", f"share of each word of quarter {head}"),
        )
    ),
}


def circuit_of(name: str) -> tuple[Edge, ...]:
    """Return every edge that the weights of a compiled ranker have; there are no others.

    A change of one text uses some of them: `mechviz.circuit` finds ``embed -> 0.0`` by ``q`` where the text that asks has
    changed (the document of ``exact_match``, the query of ``bm25``), and where the other has, by ``k`` and ``v``, which it calls
    ``together``, since each alone does nothing. ``embed -> 1.0`` tells texts apart by their places and never changes.

    Parameters
    ----------
    name : str
        As in `mechviz.toys.compiled`.

    Raises
    ------
    InputError
        No such ranker.
    """
    check_name(name)
    return _CIRCUITS[name]
