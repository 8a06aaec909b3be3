import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l0.linear_model.criteria import CRITERIA, penalty

SIZES = {"n": st.integers(200, 10**6), "p": st.integers(20, 10**5), "k": st.integers(0, 15)}


@given(**SIZES, q=st.integers(1, 9))
@pytest.mark.parametrize("name", CRITERIA)
def test_each_column_and_each_slope_cost_something(name, n, p, k, q):
    here = penalty(name, n, p, k, k, q)
    assert penalty(name, n, p, k, k + 1, q) > here
    assert penalty(name, n, p, k + 1, k + 1, q) > here
    assert penalty(name, n, p, k + 1, k + 1, q + 1) > penalty(name, n, p, k + 1, k + 1, q)


@given(**SIZES)
def test_few_rows_cost_more_and_many_nothing(n, p, k):
    plain, corrected = (penalty(name, n, p, k, k) for name in ("gic", "gicc"))
    assert corrected == pytest.approx(plain * (1 + (5 * k / n) ** 3))
    assert plain == pytest.approx(k * math.log(p) * max(1.0, math.log(math.log(n))))


@pytest.mark.parametrize(("columns", "slopes"), [(19, 1), (10, 2)])
def test_as_many_slopes_as_rows_are_never_worth_it(columns, slopes):
    assert penalty("gicc", 20, 100, 5, columns, slopes) == math.inf


@pytest.mark.parametrize("name", ["aicc", [], None])
def test_other_criteria_are_named(name):
    with pytest.raises(ValueError, match="`criterion` .* is not known; "):
        penalty(name, 20, 100, 5, 5)
