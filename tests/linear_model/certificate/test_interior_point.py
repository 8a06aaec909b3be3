import time

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from l0.linear_model.certificate.bound import relaxed
from l0.linear_model.certificate.interior_point import least_bound
from tests.linear_model.certificate.cases import DRAWS, best, products, remainder

LATER = 600.0


def later():
    return time.monotonic() + LATER


@settings(max_examples=40, deadline=None)
@given(DRAWS, st.data())
def test_the_least_bound_holds_and_is_no_worse_than_with_an_equal_d(draw, data):
    k = data.draw(st.integers(1, draw[1] - 1))
    left = remainder(draw, k)
    least = np.linalg.eigvalsh(products(draw)[0])[0]
    assume(least > 1e-6)
    bound, d = least_bound(left, 1.0, best(draw, k), later())
    assert (d > 0).all()
    assert np.linalg.eigvalsh(products(draw)[0] - np.diag(d))[0] > -1e-12
    assert bound.value >= best(draw, k) - 1e-9
    start = np.full(draw[1], k / draw[1])
    equal, _ = relaxed(left, np.full(draw[1], least * (1 - 1e-9)), start, 500, -np.inf, 1.0)
    # It stops a third of the distance to the best choice short of the optimum.
    assert bound.value <= equal.value + 0.4 * (bound.value - best(draw, k)) + 1e-5


def test_orthogonal_columns_leave_no_gap():
    left = remainder((0, 6, 30, 0.0, 0.0), 3)
    left.products[:] = np.eye(6)
    best = np.sort(left.cross**2)[3:].sum()
    bound, _ = least_bound(left, 1.0, best, later())
    assert bound.value == pytest.approx(best, abs=1e-4)


def test_singular_products_have_no_such_bound():
    assert least_bound(remainder((0, 10, 8, 0.0, 0.7), 3), 1.0, -np.inf, later()) is None


def test_there_is_a_bound_after_the_time_is_up():
    draw = (1, 9, 30, 0.01, 0.95)
    bound, _ = least_bound(remainder(draw, 3), 1.0, -np.inf, time.monotonic() - 1)
    assert np.isfinite(bound.value) and bound.value >= best(draw, 3)
