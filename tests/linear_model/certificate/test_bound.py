import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from l0.linear_model.certificate.bound import Bound, relaxed
from tests.linear_model.certificate.cases import DRAWS, best, products, remainder


def a_diagonal(draw, share=0.99):
    """A D with A - D positive definite, or nothing where A is singular."""
    least = np.linalg.eigvalsh(products(draw)[0])[0]
    if least <= 1e-8:
        reject()
    return np.full(draw[1], share * least)


@settings(max_examples=60, deadline=None)
@given(DRAWS, st.integers(0, 1000), st.data())
def test_any_u_bounds_every_choice_and_those_with_or_without_a_column(draw, seed, data):
    k = data.draw(st.integers(1, draw[1] - 1))
    d = a_diagonal(draw, data.draw(st.floats(0.1, 0.99)))
    u = np.random.default_rng(seed).normal(0, 0.1, draw[1])
    bound = Bound.of(remainder(draw, k), d, u)
    assert bound.value >= best(draw, k) - 1e-9
    for column in range(draw[1]):
        assert bound.with_each()[column] >= best(draw, k, [column]) - 1e-9
        assert bound.without_each()[column] >= best(draw, k, without=[column]) - 1e-9


@settings(max_examples=40, deadline=None)
@given(DRAWS, st.data())
def test_a_relaxation_lies_between_the_best_choice_and_all_columns(draw, data):
    k = data.draw(st.integers(1, draw[1] - 1))
    left = remainder(draw, k)
    start = np.full(draw[1], k / draw[1])
    bound, shares = relaxed(left, a_diagonal(draw), start, 500, -np.inf, 1.0)
    assert best(draw, k) - 1e-9 <= bound.value <= left.everything() + 1e-5
    assert shares.sum() == pytest.approx(k) and shares.min() > 0 and shares.max() <= 1


def test_a_relaxation_stops_where_its_bound_is_good_enough():
    draw = (0, 8, 30, 0.05, 0.7)
    left, d, start = remainder(draw, 3), a_diagonal(draw), np.full(8, 3 / 8)
    least = relaxed(left, d, start, 500, -np.inf, 1.0)[0].value
    first = relaxed(left, d, start, 1, -np.inf, 1.0)[0].value
    between = (least + first) / 2
    assert least < relaxed(left, d, start, 500, between, 1.0)[0].value <= between


def test_there_is_no_bound_where_d_is_too_large():
    draw = (0, 8, 30, 0.05, 0.7)
    assert Bound.of(remainder(draw, 3), a_diagonal(draw, 1.01), np.zeros(8)) is None
