import dataclasses

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from l0.calibration import CalibrationProblem
from l0.calibration.problem.core import FLOOR
from tests.calibration import problems


def small(**changes):
    given = {
        "A": np.array([[1.0, 2, 0], [0, 0, 4]]),
        "values": [5.0, 8.0],
        "weights": [1.0, 2.0, 2.0],
    }
    return CalibrationProblem.from_matrix(**{**given, **changes})


def test_scales_are_sizes_and_never_zero():
    problem = small(A=np.array([[1.0, -2, 0], [0, 0, 0], [1, 0, 0]]), values=[0, 0, -3])
    np.testing.assert_array_equal(problem.scales, [FLOOR * (1 * 1 + 2 * 2), 1, 3])
    assert problem.scales is problem.scales


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_the_scale_of_a_net_total_has_no_jump(one, other):
    A = np.array([[300.0, -200, 0], [0, 0, 4]])
    scales = [small(A=A, values=[value, 8]).scales[0] for value in (one, other, 0.0)]
    assert abs(scales[0] - scales[1]) <= abs(one - other)
    assert scales[0] >= max(abs(one), scales[2])
    assert scales[2] == FLOOR * (300 * 1 + 200 * 2)


@pytest.mark.parametrize("value", [1e-10, -1e-10, 0])
def test_a_residue_of_rounding_is_measured_like_a_total_of_zero(value):
    A = np.array([[1.0, -2, 0], [0, 0, 4]])
    assert small(A=A, values=[5 * value, 8]).scales[0] == FLOOR * 5


@pytest.mark.parametrize("share", [FLOOR, 0.01, 1, 100])
def test_the_total_of_a_rare_group_is_measured_by_its_own_size(share):
    assert small(A=np.eye(2, 3), values=[share * 1.0, 2]).scales[0] == share


def test_a_problem_may_be_measured_by_its_absolute_totals():
    problem = dataclasses.replace(small(A=np.array([[1.0, -2, 0], [0, 0, 4]])), floor=1.0)
    np.testing.assert_array_equal(problem.scales, [5, 8])


@pytest.mark.parametrize("block", [1, 3, 7, 10_000])
def test_scales_do_not_depend_on_how_many_entries_are_summed_at_a_time(monkeypatch, block):
    monkeypatch.setattr("l0.common.sparse_rows.CACHED", block)
    given = {**problems.parts(n=40, m=12), "values": np.zeros(12)}
    given["A"] = (given["A"] - 3 * sp.eye_array(12, 40)).tocsr()
    given["A"].data[: given["A"].indptr[1]] = 0
    given["A"].eliminate_zeros()  # the first row is empty
    problem = CalibrationProblem.from_matrix(**given)
    expected = abs(problem.matrix.toarray()) @ problem.design_weights
    np.testing.assert_allclose(problem.scales, np.where(expected == 0, 1, FLOOR * expected))


def test_estimates_are_weighted_totals():
    problem = small()
    np.testing.assert_array_equal(problem.estimate(np.array([1.0, 2, 3])), [5, 12])
    np.testing.assert_array_equal(problem.estimate(np.array([3.0]), np.array([2])), [0, 12])
