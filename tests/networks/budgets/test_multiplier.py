"""The price of a budget."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l0.networks.budgets.multiplier import Multiplier


@given(total=st.integers(1, 10**9), share=st.floats(0.001, 1), step=st.integers(0, 400))
def test_the_target_falls_from_the_full_cost_to_the_budget(total, share, step):
    limit = max(1, int(share * total))
    multiplier = Multiplier(total, limit, ramp=100)
    assert multiplier.target(0) == total
    assert multiplier.target(step) >= multiplier.target(step + 1)
    assert multiplier.target(100) == pytest.approx(limit)
    assert multiplier.target(500) == pytest.approx(limit)


def test_it_grows_while_the_budget_is_exceeded_and_restarts_once_it_is_met():
    multiplier = Multiplier(1000, 100, ramp=10)
    values = []
    for step in range(1, 100):
        multiplier.update(150, step)
        values.append(multiplier.value)
    assert values[0] == 0  # the target is still above the cost
    late = values[20:]
    assert all(a < b for a, b in zip(late, late[1:], strict=False))
    multiplier.update(100, 100)
    assert multiplier.value == 0


def test_it_stays_finite():
    multiplier = Multiplier(1000, 1, ramp=1)
    for step in range(5000):
        multiplier.update(1000, step)
    assert multiplier.value == 1e6


def test_no_budget_no_price():
    multiplier = Multiplier(1000, 5000, ramp=10)
    multiplier.update(1000, 50)
    assert multiplier.value == 0
