"""One session in a real JupyterLab."""

import pytest

from tests.browser.hosts import jupyter, play_a_session

pytestmark = [pytest.mark.browser, pytest.mark.lab]


@pytest.fixture
def server(tmp_path):
    with jupyter("lab", tmp_path) as server:
        yield server


def test_a_notebook_session(server, open_page, dot_folder, dot):
    play_a_session("lab", server, open_page, dot_folder, dot)
