import numpy as np
import pytest
import scipy.sparse as sp

from l0.calibration import CalibrationProblem
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
    np.testing.assert_array_equal(problem.scales, [1 * 1 + 2 * 2, 1, 3])


@pytest.mark.parametrize("value", [3e-10, -3e-10])
def test_a_residue_of_rounding_is_measured_like_a_total_of_zero(value):
    A = np.array([[1.0, -2, 0], [0, 0, 4], [0, 0, 1e-9]])
    problem = small(A=A, values=[value, 1e-8, 1e-9])
    np.testing.assert_array_equal(problem.scales, [1 * 1 + 2 * 2, 1e-8, 1e-9])
    assert problem.scales is problem.scales


@pytest.mark.parametrize("block", [1, 3, 7, 10_000])
def test_scales_do_not_depend_on_how_many_entries_are_summed_at_a_time(monkeypatch, block):
    monkeypatch.setattr("l0.calibration.problem.core.BLOCK", block)
    given = {**problems.parts(n=40, m=12), "values": np.zeros(12)}
    given["A"] = (given["A"] - 3 * sp.eye_array(12, 40)).tocsr()
    given["A"].data[: given["A"].indptr[1]] = 0
    given["A"].eliminate_zeros()  # the first row is empty
    problem = CalibrationProblem.from_matrix(**given)
    expected = abs(problem.matrix.toarray()) @ problem.design_weights
    np.testing.assert_allclose(problem.scales, np.where(expected == 0, 1, expected))


def test_estimates_are_weighted_totals():
    problem = small()
    np.testing.assert_array_equal(problem.estimate(np.array([1.0, 2, 3])), [5, 12])
    np.testing.assert_array_equal(problem.estimate(np.array([3.0]), np.array([2])), [0, 12])
