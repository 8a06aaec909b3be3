import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l0.linear_model.certificate.branch_and_bound import BranchAndBound
from tests.linear_model.certificate.cases import DRAWS, best, explained, products


def tree(draw, chosen, allowed=lambda columns: True):
    a, c, squares = products(draw)
    settings = {"scale": 1.0, "rounding": 1e-9, "spanned": 1e-11}
    return BranchAndBound(a, c, squares, np.array(chosen, np.int64), allowed, **settings)


@settings(max_examples=60, deadline=None)
@given(DRAWS, st.data())
def test_it_ends_with_the_best_choice_whatever_it_starts_from(draw, data):
    start = data.draw(st.permutations(range(draw[1])))[: data.draw(st.integers(0, draw[1]))]
    fixed = data.draw(st.integers(0, min(len(start), 2)))
    search = tree(draw, start)
    search.run(fixed, time.monotonic() + 600)
    assert search.bound == search.value
    assert search.value == pytest.approx(explained(draw, search.chosen), abs=1e-9)
    assert search.chosen[:fixed].tolist() == start[:fixed]
    assert len(set(search.chosen.tolist())) == len(start)
    assert search.value == pytest.approx(best(draw, len(start), start[:fixed]), abs=2e-9)


@settings(max_examples=40, deadline=None)
@given(DRAWS, st.data())
def test_the_bound_holds_when_there_is_no_time(draw, data):
    start = data.draw(st.permutations(range(draw[1])))[: data.draw(st.integers(0, draw[1]))]
    search = tree(draw, start)
    search.run(0, time.monotonic() - 1)
    assert search.value <= search.bound < np.inf
    assert search.bound >= best(draw, len(start)) - 2e-9


def test_a_choice_that_is_not_allowed_is_not_made():
    draw = (5, 9, 30, 0.01, 0.7)
    free = tree(draw, [0, 1, 2])
    free.run(0, time.monotonic() + 600)
    banned = set(free.chosen.tolist())
    search = tree(draw, [0, 1, 2], lambda columns: set(columns.tolist()) != banned)
    search.run(0, time.monotonic() + 600)
    assert set(search.chosen.tolist()) != banned
    assert search.value < free.value
