import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l0.calibration.inputs.quotas import Quota
from l0.calibration.problem.allocation import allocate, spread
from l0.calibration.problem.constraints import group_records


def cells(*codes, least=None, most=None, must=()):
    """Cells of the levels of label columns, named by column and level."""
    least, most = least or {}, most or {}
    quotas = [
        Quota(f"{column}{level}", np.flatnonzero(np.array(of) == level),
              least.get(f"{column}{level}", 0), most.get(f"{column}{level}"))
        for column, of in zip("abc", codes, strict=False)
        for level in sorted(set(of))
    ]  # fmt: skip
    n = len(codes[0])
    flags = np.zeros(n, dtype=bool)
    flags[list(must)] = True
    return group_records(flags, quotas, np.arange(n))


def test_numbers_within_the_quotas_stay():
    constraints = cells([0] * 10 + [1] * 10, least={"a0": 2})
    np.testing.assert_allclose(spread(constraints, np.array([3.0, 5.0]), 8), [3, 5])


def test_a_cell_gets_its_minimum_and_the_others_share_the_rest():
    constraints = cells([0] * 10 + [1] * 10 + [2] * 20, least={"a0": 6})
    np.testing.assert_allclose(spread(constraints, np.array([2.0, 2.0, 6.0]), 10), [6, 1, 3])


def test_the_groups_of_a_cell_share_its_change():
    constraints = cells([0] * 30 + [1] * 30, [0, 1, 2] * 20, least={"a0": 12})
    numbers = spread(constraints, np.array([1.0, 2, 3, 1, 2, 3]), 12)
    np.testing.assert_allclose(numbers, [2, 4, 6, 0, 0, 0], atol=0.05)


def test_numbers_do_not_exceed_a_group_or_fall_below_those_that_must_be_kept():
    constraints = cells([0] * 3 + [1] * 20 + [2] * 9, must=[23, 24])
    np.testing.assert_allclose(spread(constraints, np.array([6.0, 3, 1]), 10), [3, 5, 2], atol=1)
    assert spread(constraints, np.array([6.0, 3, 0]), 10).min() >= 2
    np.testing.assert_allclose(spread(constraints, np.zeros(3), 32), [3, 20, 9])


def test_few_records_change():
    constraints = cells([0] * 30 + [1] * 30, [0, 1, 2] * 20, least={"a0": 12})
    numbers = allocate(constraints, np.array([2, 2, 2, 4, 4, 4]), 18)
    assert numbers.tolist() == [4, 4, 4, 2, 2, 2]


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_the_closest_numbers_are_found(data):
    level = st.integers(0, 1)
    n = data.draw(st.integers(2, 7))
    codes = [data.draw(st.lists(level, min_size=n, max_size=n)) for _ in range(2)]
    names = [f"{column}{code}" for column, of in zip("ab", codes, strict=True) for code in set(of)]
    limits = st.dictionaries(st.sampled_from(names), st.integers(0, 3))
    constraints = cells(*codes, least=data.draw(limits), most=data.draw(limits),
                        must=data.draw(st.sets(st.integers(0, n - 1), max_size=2)))  # fmt: skip
    k = data.draw(st.integers(1, n))
    given_counts = np.array([data.draw(st.integers(0, size)) for size in constraints.sizes])
    spans = (range(low, high + 1) for low, high
             in zip(constraints.forced, constraints.sizes, strict=True))  # fmt: skip
    allowed = [np.array(each) for each in itertools.product(*spans)
               if sum(each) == k and constraints.allow(np.array(each))]  # fmt: skip
    if not allowed:
        return
    found = allocate(constraints, given_counts, k)
    assert any((found == each).all() for each in allowed)
    fewest = min(np.abs(each - given_counts).sum() for each in allowed)
    assert np.abs(found - given_counts).sum() == fewest


def test_a_search_that_finds_nothing_is_an_error():
    constraints = cells([0] * 3 + [1] * 3, least={"a0": 3, "a1": 3})
    with pytest.raises(ValueError, match="no choice of records was found that obeys them all"):
        allocate(constraints, np.array([1, 1]), 2)
