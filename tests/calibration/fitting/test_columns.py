import numpy as np
import pytest
import scipy.sparse as sp
import torch

from l0.calibration.fitting.columns import ColumnFits
from l0.calibration.fitting.scaled_matrix import ScaledMatrix
from l0.calibration.fitting.solver import solve_program
from l0.calibration.solver_settings import Solver
from l0.common.errors import InputError
from tests.calibration.fitting.matrices import with_row
from tests.calibration.fitting.programs import program

CPU = torch.device("cpu")
EXACT = Solver(gap=1e-8)


def solved(of):
    return solve_program(of, EXACT, CPU)


def factors(k=30, n_columns=6, seed=1):
    """Make columns that leave out some records each."""
    rng = np.random.default_rng(seed)
    found = np.full((k, n_columns), 1.2)
    found[rng.permutation(k)[: k // 2], np.arange(k // 2) % n_columns] = 0.0
    return found


def alone(of, f):
    """Solve one column as a program of its own."""
    live = np.flatnonzero(f)
    changes = {
        "matrix": ScaledMatrix.of(of.matrix.csr[:, live].multiply(f[live]).tocsr()),
        "cost": of.cost[live] * f[live],
        "distance": of.distance.of(live),
        "least": of.least[live],
        "most": of.most[live],
        "low": of.low,
        "high": of.high,
        "share": of.share,
        "squared": of.squared,
        "total": of.total,
    }
    weights = np.zeros(len(f))
    weights[live] = solved(type(of)(**changes)).q * f[live]
    return weights


CASES = {
    "raking": {},
    "linear": {"distance": "linear"},
    "logit": {"distance": "logit", "bounds": (0.3, 3.0)},
    "bounds": {"bounds": (0.4, 2.5)},
    "tolerance": {"tolerance": 0.02},
    "soft": {"n_soft": 2},
    "negative": {"pull": 1e-4},
}


@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_columns_that_meet_all_targets_are_the_single_solutions(options):
    of = program(**options)
    solution, f = solved(of), factors()
    found = ColumnFits(of, solution).fit(f)
    for column in range(f.shape[1]):
        expected = alone(of, f[:, column])
        np.testing.assert_allclose(found.weights[:, column], expected, atol=1e-3, rtol=1e-3)
    assert found.gaps.max() < 1e-3


@pytest.mark.parametrize("squared", [False, True])
def test_columns_whose_targets_contradict_each_other_are_the_single_solutions(squared):
    of = program(m=5, squared=squared, pull=0.1)
    B = of.matrix.csr
    of.matrix = ScaledMatrix.of(sp.vstack([B, B[:2]], format="csr"))
    of.low = of.high = np.r_[of.low, 1.3 * of.low[:2]]
    of.share = np.full(7, 1 / 7)
    solution, f = solved(of), factors()
    assert solution.status == "optimal"
    found = ColumnFits(of, solution).fit(f)
    for column in range(f.shape[1]):
        expected = alone(of, f[:, column])
        np.testing.assert_allclose(found.weights[:, column], expected, atol=2e-3, rtol=2e-3)
    assert found.gaps.max() < 1e-2


def test_a_column_of_ones_is_the_solution():
    for of in (program(), program(share=np.full(4, 0.001), pull=1.0), program(squared=True)):
        solution = solved(of)
        found = ColumnFits(of, solution).fit(np.ones((30, 2)))
        np.testing.assert_allclose(found.weights, np.tile(solution.q[:, None], 2), rtol=1e-4)


def test_columns_in_another_order_are_the_same_columns():
    of, f = program(), factors()
    solution = solved(of)
    first, second = ColumnFits(of, solution).fit(f), ColumnFits(of, solution).fit(f[:, ::-1])
    np.testing.assert_allclose(first.weights, second.weights[:, ::-1], rtol=1e-7)


def test_blocks_of_columns_are_fitted_one_after_another(monkeypatch):
    of, f = program(), factors()
    solution = solved(of)
    whole = ColumnFits(of, solution).fit(f)
    monkeypatch.setattr("l0.calibration.fitting.columns.BLOCK", 60)
    parts = ColumnFits(of, solution).fit(f)
    np.testing.assert_allclose(parts.weights, whole.weights, rtol=1e-6)
    assert parts.weights.shape == whole.weights.shape
    assert parts.gaps.shape == (6,)


def test_the_total_is_kept_in_all_columns():
    of = program()
    parts = of.cost / of.cost.sum()
    of.matrix = with_row(of.matrix, parts)
    of.low, of.high = np.append(of.low, 1.0), np.append(of.high, 1.0)
    of.share, of.total = np.append(of.share, np.inf), True
    found = ColumnFits(of, solved(of)).fit(factors())
    np.testing.assert_allclose(parts @ found.weights, 1.0, rtol=1e-12)


def test_a_target_that_lost_its_records_is_missed_and_the_others_are_met():
    of = program()
    matrix = of.matrix.csr.toarray()
    matrix[1, 3:] = 0.0
    of.matrix = ScaledMatrix.of(sp.csr_array(matrix))
    of.low[1] = of.high[1] = matrix[1].sum()
    f = np.ones((30, 2))
    f[:3, 0] = 0.0
    found = ColumnFits(of, solved(of)).fit(f)
    assert found.estimates[1, 0] == 0.0
    np.testing.assert_allclose(found.estimates[[0, 2, 3], 0], of.low[[0, 2, 3]], rtol=1e-4)
    np.testing.assert_allclose(found.estimates[:, 1], of.low, rtol=1e-6)
    assert (found.weights[:3, 0] == 0).all()
    assert np.isfinite(found.weights).all()


def test_squared_errors_meet_targets_that_the_solution_meets():
    of = program(squared=True, pull=1e-9)
    solution = solved(of)
    assert solution.status == "exact"
    found = ColumnFits(of, solution).fit(factors())
    np.testing.assert_allclose(found.estimates, np.tile(of.low[:, None], 6), rtol=1e-6)


def test_programs_whose_systems_are_too_large_are_refused(monkeypatch):
    of = program()
    solution = solved(of)
    monkeypatch.setattr("l0.calibration.fitting.columns.normal_matrix", lambda matrix: None)
    with pytest.raises(
        InputError, match="`replicates`: the systems of these targets are too large"
    ):
        ColumnFits(of, solution).fit(factors())
