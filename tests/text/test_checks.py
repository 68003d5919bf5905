import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechviz.errors import InputError, InputTypeError
from mechviz.text.checks import check_text


@pytest.mark.parametrize("value", [None, 3, b"bytes", ["text"]])
def test_what_is_no_text_is_named_and_shown(value):
    with pytest.raises(InputTypeError, match="query must be a string") as caught:
        check_text("query", value)
    assert type(value).__name__ in str(caught.value)


def test_an_empty_text_is_refused():
    with pytest.raises(InputError, match=r"doc is empty \(''\)"):
        check_text("doc", "")


def test_a_lone_surrogate_is_refused_with_its_position():
    with pytest.raises(InputError, match=r"U\+D83D at character 4"):
        check_text("doc", "hot \ud83d springs")


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_other_text_passes_unchanged(text):
    assert check_text("doc", text) == text
