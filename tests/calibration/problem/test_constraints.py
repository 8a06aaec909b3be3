import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from l0.calibration.inputs.quotas import Quota
from l0.calibration.problem.constraints import group_records


def test_no_constraint_is_none():
    assert group_records(np.zeros(3, dtype=bool), [], np.arange(3)) is None


def test_records_that_must_be_kept_are_one_group_without_quotas():
    constraints = group_records(np.array([True, False, False]), [], np.arange(3))
    assert constraints.group.tolist() == [0, 0, 0]
    assert (constraints.sizes.tolist(), constraints.forced.tolist()) == ([3], [1])
    assert constraints.allow(np.array([2]))
    assert constraints.obeyed_by(np.array([0, 2]))
    assert not constraints.obeyed_by(np.array([1, 2]))


def test_a_record_that_cannot_be_kept_has_no_group():
    quota = Quota("a", np.array([0, 1, 2]), 1, None)
    constraints = group_records(np.zeros(4, dtype=bool), [quota], np.array([1, 2, 3]))
    assert constraints.group.tolist() == [-1, 1, 1, 0]
    assert (constraints.least.tolist(), constraints.most.tolist()) == ([1], [2])


@given(st.data())
def test_groups_have_the_records_of_the_same_cells(data):
    n, c = data.draw(st.integers(1, 12)), data.draw(st.integers(0, 4))
    rows = st.lists(st.lists(st.booleans(), min_size=n, max_size=n), min_size=c, max_size=c)
    inside = np.array(data.draw(rows), dtype=bool).reshape(c, n)
    must = np.zeros(n, dtype=bool)
    must[0] = True
    quotas = [Quota(str(row), np.flatnonzero(inside[row]), 0, None) for row in range(c)]
    constraints = group_records(must, quotas, np.arange(n))
    group = constraints.group
    for i in range(n):
        for j in range(n):
            assert (group[i] == group[j]) == (inside[:, i] == inside[:, j]).all()
    np.testing.assert_array_equal(constraints.inside.toarray()[:, group], inside)
    np.testing.assert_array_equal(constraints.counts(np.arange(n)), constraints.sizes)
    assert constraints.forced.sum() == 1
