import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l0.common.errors import InputError
from l0.common.scalars import not_negative, positive, whole_number


@given(st.integers(2, 10**9))
def test_good_numbers_come_back_as_plain_ones(value):
    assert whole_number(value, "a", 2) == positive(value, "a") == not_negative(value, "a") == value
    assert not_negative(0, "a") == 0


@pytest.mark.parametrize("value", [1, 2.0, True, "2", None])
def test_a_whole_number_is_an_integer_large_enough(value):
    with pytest.raises(InputError, match="`size` must be an integer of at least 2, got"):
        whole_number(value, "size", 2)


@pytest.mark.parametrize("value", [0.0, -1, math.nan, math.inf, None, "2", 1j, [1.0]])
def test_positive_is_finite_and_above_0(value):
    with pytest.raises(InputError, match="`rate` must be positive and finite, got"):
        positive(value, "rate")


@pytest.mark.parametrize("value", [-1e-9, math.nan, math.inf, None, "2", 1j, [1.0]])
def test_not_negative_is_finite_and_at_least_0(value):
    with pytest.raises(InputError, match="`rate` must be finite and at least 0, got"):
        not_negative(value, "rate")
