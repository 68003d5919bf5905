"""Perturbations: what is done to a text so that the ranker's answer to the change can be patched.

A perturbation is any function ``doc -> doc`` or ``(doc, query) -> doc``. The ready ones here are functions that
return such a function.

>>> append("volcano")("Hot springs are warm.")
'Hot springs are warm. volcano'

`Perturbation.change` also says where the two texts differ.

>>> replace("Hot", "Cold").change("springs", "Hot springs")
Change(text='Cold springs', removed=((0, 3),), added=((0, 4),))
"""

from mechviz.text.perturb.base import Perturbation, as_perturbation, on_query, perturbation
from mechviz.text.perturb.changes import Change
from mechviz.text.perturb.lexicons import WordNet, wordnet
from mechviz.text.perturb.numerals import swap_numbers
from mechviz.text.perturb.placing import add_sentences, append, concatenate, delete, insert, prepend, repeat, replace
from mechviz.text.perturb.query_terms import append_query_term, term_distance, terms_apart, terms_together
from mechviz.text.perturb.shuffling import shuffle_sentences, shuffle_words
from mechviz.text.perturb.synonyms import synonym
from mechviz.text.words import STOPWORDS

__all__ = [
    "STOPWORDS",
    "Change",
    "Perturbation",
    "WordNet",
    "add_sentences",
    "append",
    "append_query_term",
    "as_perturbation",
    "concatenate",
    "delete",
    "insert",
    "on_query",
    "perturbation",
    "prepend",
    "repeat",
    "replace",
    "shuffle_sentences",
    "shuffle_words",
    "swap_numbers",
    "synonym",
    "term_distance",
    "terms_apart",
    "terms_together",
    "wordnet",
]
