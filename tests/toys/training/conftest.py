import pytest

from mechviz.corpora import TextPair
from mechviz.toys.passages import PASSAGES

WORDS = ("volcano lava", "bread dough", "moon crater", "river water")


@pytest.fixture(scope="session")
def judged():
    """Queries of words, and passages that hold more or fewer of them."""
    return [
        TextPair(
            query, passage, query_id=str(number), doc_id=str(at), grade=sum(word in passage.lower() for word in query.split())
        )
        for number, query in enumerate(WORDS)
        for at, passage in enumerate(PASSAGES)
    ]
