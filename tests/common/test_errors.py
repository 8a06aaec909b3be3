import pytest
from hypothesis import given
from hypothesis import strategies as st

from l0.common.errors import SHOWN, InputError, closest, first_few


def test_input_error_is_a_value_error():
    assert issubclass(InputError, ValueError)


@given(st.lists(st.text(max_size=3), max_size=12))
def test_first_few_shows_five_and_counts_the_rest(items):
    text = first_few(items)
    assert text.startswith(", ".join(repr(item) for item in items[:SHOWN]))
    assert text.endswith(f" and {len(items) - SHOWN} more") == (len(items) > SHOWN)


@pytest.mark.parametrize(
    ("items", "total", "text"),
    [
        ([], None, ""),
        (["a"], None, "'a'"),
        ([1, 2], 2, "1, 2"),
        ([1, 2, 3, 4, 5], 1234, "1, 2, 3, 4, 5 and 1,229 more"),
        (iter(range(7)), None, "0, 1, 2, 3, 4 and 2 more"),
    ],
)
def test_first_few_of_a_known_total(items, total, text):
    assert first_few(items, total) == text


def test_closest_names_the_options_that_are_near():
    assert closest("stat", ["band", "state", "status"]) == "closest: 'state', 'status'"


def test_closest_lists_the_options_where_none_is_near():
    assert closest("zzz", ["b", "a"]) == "there are: 'a', 'b'"
    assert closest("zzz", range(10, 20)) == "there are: '10', '11', '12', '13', '14' and 5 more"
    assert closest("zzz", []) == "there are none"
