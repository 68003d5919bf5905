"""One session in a real Notebook 7, whose page is another application than JupyterLab's."""

import pytest

from tests.browser.hosts import jupyter, play_a_session

pytestmark = [pytest.mark.browser, pytest.mark.lab]


@pytest.fixture
def server(tmp_path):
    with jupyter("notebook", tmp_path) as server:
        yield server


def test_a_notebook_session(server, open_page, dot_folder, dot):
    play_a_session("notebook", server, open_page, dot_folder, dot)
