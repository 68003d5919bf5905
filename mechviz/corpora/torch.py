"""A collection as a torch Dataset; imported when it is asked for, since torch is slow to import."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from torch.utils.data import Dataset, IterableDataset, get_worker_info

from mechviz.corpora.text_pair import TextPair


class Listed(Dataset[TextPair]):
    """Pairs in memory, by number."""

    def __init__(self, pairs: Sequence[TextPair]) -> None:
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, number: int) -> TextPair:
        return self.pairs[number]


class Streamed(IterableDataset[TextPair]):
    """Pairs as they are read; of several workers each yields its share, so that every pair comes once."""

    def __init__(self, pairs: Iterable[TextPair]) -> None:
        self.pairs = pairs

    def __iter__(self) -> Iterator[TextPair]:
        worker = get_worker_info()
        return iter(self.pairs) if worker is None else islice(self.pairs, worker.id, None, worker.num_workers)
