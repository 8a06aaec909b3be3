from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from l0.calibration.fitting.linearised import MET, NOTHING, Linearised, dearer
from l0.calibration.fitting.normal_matrix import DenseNormalMatrix
from l0.calibration.fitting.scaled_matrix import ScaledMatrix
from l0.calibration.fitting.solver import solve_program
from l0.calibration.solver_settings import Solver
from tests.calibration.fitting.programs import program

EXACT = Solver(gap=1e-12)
CPU = torch.device("cpu")


def linearised(of):
    solution = solve_program(of, EXACT, CPU)
    return solution, Linearised.of(dearer(of, solution), solution, DenseNormalMatrix(of.matrix))


def leverage(matrix, s, met):
    matrix = sp.csr_array(matrix)
    normal = DenseNormalMatrix(ScaledMatrix.of(matrix))
    moved = np.maximum((matrix.multiply(matrix) @ (1 / s)).ravel(), 1e-9)
    solve = normal.factor(1 / s, np.where(met, MET, NOTHING) * moved)
    return Linearised(matrix, np.ones(len(s)), s, solve).leverage


@pytest.mark.parametrize("n_met", [0, 40, 150])
def test_leverage_is_the_number_of_targets_that_are_met_over_that_of_the_records(n_met):
    rng = np.random.default_rng(0)
    met = np.arange(150) < n_met
    found = leverage(rng.uniform(size=(150, 400)), rng.lognormal(0, 1, 400), met)
    assert found == pytest.approx(n_met / 400, abs=0.02)


def test_targets_that_follow_from_others_add_nothing():
    rng = np.random.default_rng(0)
    matrix, s = rng.uniform(size=(60, 300)), rng.lognormal(0, 1, 300)
    more = np.vstack([matrix, rng.normal(size=(60, 60)) @ matrix])
    alone, all_of_them = (leverage(each, s, np.full(len(each), True)) for each in (matrix, more))
    assert all_of_them == pytest.approx(alone, rel=1e-3)


def test_leverage_is_that_of_the_regression():
    rng = np.random.default_rng(1)
    matrix, s = rng.uniform(size=(30, 100)), rng.lognormal(0, 1, 100)
    scaled = matrix / np.sqrt(s)
    hat = scaled.T @ np.linalg.solve(scaled @ scaled.T, scaled)
    found = leverage(matrix, s, np.full(30, True))
    assert found == pytest.approx(np.trace(hat) / 100, abs=0.03)


def test_a_target_without_records_adds_nothing():
    matrix = np.vstack([np.ones(50), np.zeros(50)])
    assert 0 < leverage(matrix, np.ones(50), np.full(2, True)) < 0.1


def check_moves(of):
    solution, regression = linearised(of)
    change = 1e-4 * np.random.default_rng(3).normal(size=(40, 1))
    factor = 1 + change[:, 0]
    matrix = ScaledMatrix.of(sp.csr_array(of.matrix.csr.toarray() * factor))
    other = replace(of, matrix=matrix, cost=of.cost * factor, passes=0)
    moved = factor * solve_program(other, EXACT, CPU).q - solution.q
    found = regression.moved(sp.eye_array(40, format="csr"), lambda rows: rows @ change)[:, 0]
    assert np.abs(found - moved).max() < 0.01 * np.abs(moved).max()


CASES = {
    "raking": {},
    "linear": {"distance": "linear"},
    "logit": {"distance": "logit", "bounds": (0.3, 3.0)},
    "soft": {"n_soft": 2},
    "low shares": {"share": np.full(4, 1e-5)},
    "tolerance": {"tolerance": 0.05},
    "within tolerance": {"tolerance": 0.9},
}


def contradictory(squared):
    """Make a program with two values for each of its first targets."""
    of = program(m=5, k=40, squared=squared, pull=0.1)
    matrix = of.matrix.csr
    values = np.r_[of.low, 1.3 * of.low[:2]]
    return replace(
        of,
        matrix=ScaledMatrix.of(sp.vstack([matrix, matrix[:2]], format="csr")),
        low=values,
        high=values,
        share=np.full(7, 1 / 7),
    )


@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_ratios_move_as_those_of_a_program_with_other_base_weights(options):
    check_moves(program(m=4, k=40, **options))


@pytest.mark.parametrize("squared", [False, True])
def test_ratios_move_where_targets_give_way(squared):
    check_moves(contradictory(squared))
