import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l0.linear_model.criteria import CRITERIA, penalty

SIZES = {"n": st.integers(50, 10**6), "p": st.integers(20, 10**5), "k": st.integers(0, 15)}


@given(**SIZES)
@pytest.mark.parametrize("name", CRITERIA)
def test_each_column_and_each_slope_cost_something(name, n, p, k):
    here = penalty(name, n, p, k, 2 * k)
    assert penalty(name, n, p, k, 2 * k + 1) > here
    assert penalty(name, n, p, k + 1, 2 * k + 1) > here


@given(**SIZES)
def test_few_rows_cost_more_and_many_nothing(n, p, k):
    plain, corrected = (penalty(name, n, p, k, k) for name in ("gic", "gicc"))
    assert corrected == pytest.approx(plain * (1 + (5 * k / n) ** 3))
    assert plain == pytest.approx(k * math.log(p) * max(1.0, math.log(math.log(n))))


def test_as_many_slopes_as_rows_are_never_worth_it():
    assert penalty("gicc", 20, 100, 19, 19) == math.inf
