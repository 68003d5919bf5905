import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset

import mechviz as mv

ITEMS = [(f"query {number}", f"text {number}") for number in range(11)]


def items():
    return iter(ITEMS)


def as_they_are(batch):
    return batch


def test_a_known_length_can_be_indexed_and_shuffled():
    dataset = mv.Pairs(ITEMS).torch()
    assert isinstance(dataset, Dataset)
    assert not isinstance(dataset, IterableDataset)
    assert (len(dataset), dataset[3].doc) == (11, "text 3")
    loader = DataLoader(dataset, 4, shuffle=True, collate_fn=as_they_are, generator=torch.Generator().manual_seed(0))
    found = [pair.doc for batch in loader for pair in batch]
    assert found != [doc for _, doc in ITEMS]
    assert sorted(found) == sorted(doc for _, doc in ITEMS)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stream_gives_every_pair_once(workers):
    dataset = mv.Pairs(items).torch()
    assert isinstance(dataset, IterableDataset)
    batches = list(DataLoader(dataset, 4, collate_fn=as_they_are, num_workers=workers))
    assert sorted(pair.doc for batch in batches for pair in batch) == sorted(doc for _, doc in ITEMS)
    if not workers:
        assert [pair.doc for batch in batches for pair in batch] == [doc for _, doc in ITEMS]
        assert [len(batch) for batch in batches] == [4, 4, 3]
