import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from l0.calibration import CalibrationProblem
from l0.calibration.problem.bounds import Bounds, unreachable
from l0.calibration.problem.movers import count_movers
from l0.calibration.problem.zero_totals import forced_out, forcing_totals

EVERYBODY = [1.0, 1, 1, 1]


def problem(A, totals, **changes):
    made = CalibrationProblem.from_matrix(A, totals, np.full(len(A[0]), 10.0))
    return dataclasses.replace(made, **changes)


def out_of(made):
    reachable = unreachable(made, Bounds(), made.n_records) == ""
    return forced_out(made, forcing_totals(made, reachable)).tolist()


@pytest.mark.parametrize("row", [[2.0, 0, 1, 0], [-2.0, 0, -1, 0]])
def test_a_total_of_zero_forces_out_the_records_that_only_add_to_it(row):
    assert out_of(problem([EVERYBODY, row], [40, 0])) == [True, False, True, False]


def test_amounts_that_can_cancel_force_nobody_out():
    assert not any(out_of(problem([EVERYBODY, [2.0, 0, -1, 0]], [40, 0])))


@pytest.mark.parametrize(
    "changes",
    [
        {"values": np.array([40, 1e-3])},
        {"tolerance": np.array([0, 0.1])},
        {"importance": np.array([1.0, 0])},
    ],
)
def test_only_a_total_of_exactly_zero_that_counts_forces_records_out(changes):
    assert not any(out_of(problem([EVERYBODY, [2.0, 0, 1, 0]], [40, 0], **changes)))


def test_a_total_out_of_reach_forces_nobody_out():
    made = problem([EVERYBODY, [2.0, 0, 1, 0]], [40, 0])
    assert not forcing_totals(made, np.array([True, False])).any()


def test_a_total_of_zero_without_records_forces_nobody_out():
    assert not any(out_of(problem([EVERYBODY, [0.0, 0, 0, 0]], [40, 0])))


def test_entries_that_are_stored_zeros_do_not_count():
    made = problem([EVERYBODY, [2.0, 0, -1, 3]], [40, 0])
    made.matrix.data[made.matrix.data == -1] = 0
    assert out_of(made) == [True, False, False, True]


def test_a_total_of_zero_that_leaves_another_target_without_records_forces_nobody_out():
    A = [EVERYBODY, [1.0, 1, 0, 0], [1.0, 1, 0, 0], [0, 0, 0, 1.0]]
    assert out_of(problem(A, [40, 0, 20, 0])) == [False, False, False, True]


def test_a_target_needs_records_of_its_own_sign():
    A = [EVERYBODY, [1.0, 0, 0, 0], [5.0, -1, 0, 0]]
    assert not any(out_of(problem(A, [40, 0, 20])))
    assert out_of(problem(A, [40, 0, -20])) == [True, False, False, False]
    assert out_of(problem(A, [40, 0, 0])) == [True, False, False, False]


def test_a_target_that_does_not_count_contradicts_nothing():
    A = [EVERYBODY, [1.0, 0, 0, 0], [1.0, 0, 0, 0]]
    made = problem(A, [40, 0, 20], importance=np.array([0.5, 0.5, 0]))
    assert out_of(made) == [True, False, False, False]


def test_a_target_whose_tolerance_includes_zero_needs_no_records():
    A = [EVERYBODY, [1.0, 0, 0, 0], [1.0, 0, 0, 0]]
    assert out_of(problem(A, [40, 0, 20], tolerance=np.array([0, 0, 1.0])))[0]


@given(
    hnp.arrays(
        np.float64,
        st.tuples(st.integers(1, 6), st.integers(1, 8)),
        elements=st.sampled_from([0.0, 0.0, 1.0, -2.0]),
    ),
    st.lists(st.sampled_from([0.0, 0.0, 7.0, -3.0]), min_size=6, max_size=6),
)
def test_what_remains_reaches_every_target_that_all_records_reach(A, values):
    made = problem(A, values[: len(A)])
    reachable = unreachable(made, Bounds(), made.n_records) == ""
    totals = forcing_totals(made, reachable)
    out = forced_out(made, totals)
    estimate = made.matrix @ np.where(out, 0.0, 1.0)
    np.testing.assert_array_equal(estimate[totals], 0)
    lost = count_movers(made, ~out) == 0
    assert not (lost & reachable & (made.values != 0)).any()
    # A total of zero that forces nobody out is contradicted by a target that shares its records.
    has = made.matrix.toarray()
    one_signed = (has >= 0).all(axis=1) | (has <= 0).all(axis=1)
    spared = one_signed & (made.values == 0) & has.any(axis=1) & ~totals
    for row in np.flatnonzero(spared):
        sharing = (has[:, has[row] != 0] != 0).any(axis=1) & (made.values != 0)
        assert (sharing & reachable).any()
