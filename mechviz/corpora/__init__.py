"""Collections: pairs of query and document from ir_datasets, tables and TREC files, read one by one."""

from mechviz.corpora.collate import Batch, collate
from mechviz.corpora.pairs import Pairs
from mechviz.corpora.text_pair import TextPair

__all__ = ["Batch", "Pairs", "TextPair", "collate"]
