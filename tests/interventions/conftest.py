from pathlib import Path

import pytest

from tests.interventions.hand import Hand


@pytest.fixture(scope="session")
def hand(cat_folder: Path) -> Hand:
    """The plain model of the ranker ``cat``."""
    return Hand(cat_folder)
