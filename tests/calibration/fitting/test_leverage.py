import numpy as np
import pytest
import scipy.sparse as sp

from l0.calibration.fitting.leverage import mean_leverage
from l0.calibration.fitting.normal_matrix import DenseNormalMatrix
from l0.calibration.fitting.scaled_matrix import ScaledMatrix


def leverage(matrix, s, met):
    matrix = sp.csr_array(matrix)
    return mean_leverage(DenseNormalMatrix(ScaledMatrix.of(matrix)), matrix, s, met)


@pytest.mark.parametrize("n_met", [0, 40, 150])
def test_it_is_the_number_of_targets_that_are_met_over_that_of_the_records(n_met):
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


def test_it_is_that_of_the_regression():
    rng = np.random.default_rng(1)
    matrix, s = rng.uniform(size=(30, 100)), rng.lognormal(0, 1, 100)
    scaled = matrix / np.sqrt(s)
    hat = scaled.T @ np.linalg.solve(scaled @ scaled.T, scaled)
    found = leverage(matrix, s, np.full(30, True))
    assert found == pytest.approx(np.trace(hat) / 100, abs=0.03)


def test_a_target_without_records_adds_nothing():
    matrix = np.vstack([np.ones(50), np.zeros(50)])
    assert 0 < leverage(matrix, np.ones(50), np.full(2, True)) < 0.1
